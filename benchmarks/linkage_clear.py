"""Clear-text Splink on the same records: what pseudonymised linkage is measured against.

``clear`` makes the comparisons and blocking rules of :mod:`linked_cyp.linkage.model.settings` on
the texts
themselves and takes connected components; ``recipe`` is Splink's documentation followed to the
letter, one table per feed and its library's comparisons.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from benchmarks.linkage_steps import Steps
from linked_cyp.identity import comparisons
from linked_cyp.identity.person_records import (
    COLUMNS,
    DATE_TOKENS,
    FORENAME_TOKENS,
    POSTCODE_TOKENS,
    SURNAME_TOKENS,
    expand,
)
from linked_cyp.linkage import resolve
from linked_cyp.linkage.model import settings as model
from linked_cyp.linkage.model.parameters import parameters
from linked_cyp.linkage.model.splink_session import linker
from linked_cyp.linkage.pairs.blocking import CHEAP
from linked_cyp.linkage.records.writing import HOLDER_DDL

PROBABILITY = 0.95
# What a token of a person record is made of, as columns of the clear-text table.
PARTS = {
    "forename_birth_date": ("forename", "birth_date"),
    "forename_postcode": ("forename", "postcode"),
    "forename_sound_birth_date": ("forename_sound", "birth_date"),
    "forename_sound_postcode": ("forename_sound", "postcode"),
    "surname_birth_date": ("surname", "birth_date"),
    "surname_swapped": ("surname", "birth_date_swapped"),
    "surname_postcode": ("surname", "postcode"),
    "surname_sound_birth_date": ("surname_sound", "birth_date"),
    "names": ("both_names",),
    "names_birth_year": ("both_names", "birth_year"),
}
# Similarity of encodings (Dice, per cent) and the library's Jaro-Winkler threshold in its place.
JARO_WINKLER = {"80": "0.92", "60": "0.88", "45": "0.7"}


def clear(
    con: duckdb.DuckDBPyConnection,
    batches: Iterator[pl.DataFrame],
    companions: dict[str, pl.DataFrame],
    steps: Steps,
    *,
    resolved: bool,
    chunks: int,
) -> int:
    """Link in clear text into ``answer`` (record_key, person); the number of pairs kept.

    Args:
        batches: identities, as for :func:`linked_cyp.linkage.records.writing.write_person_records`.
        companions: ``sources`` and ``aliases``.
        resolved: conflict-aware resolution instead of connected components.
    """
    with steps("encode"):
        _clear_table(con, batches)
    settings = clear_settings()
    settings["blocking_rules_to_generate_predictions"] = _rules(con)
    threshold: dict[str, float] = (
        {"threshold_match_weight": parameters().lowest_weight}
        if resolved
        else {"threshold_match_probability": PROBABILITY}
    )
    if chunks > 1:
        threshold |= {"num_chunks_left": chunks, "num_chunks_right": 1}
    with linker(con, "memory.main.clear_record", settings, doing="clear text") as splink:
        with steps("train"):
            _train(splink)
            con.execute(
                "CREATE TABLE linkage.main.model AS"
                " SELECT 1::BIGINT AS model_id, FALSE AS is_hardened, ?::VARCHAR AS settings",
                [json.dumps(splink.misc.save_model_to_json())],
            )
        with steps("predict"):
            scored = splink.inference.predict(**threshold)
            con.execute(_pairs(scored.physical_name))
    pairs = con.execute("SELECT count(*) FROM linkage.main.pairs").fetchall()[0][0]
    with steps("resolve"):
        if resolved:
            _tables_of_resolver(con, companions)
            resolve(con)
            con.execute(
                "CREATE VIEW memory.main.answer AS"
                " SELECT record_key, cluster AS person FROM linkage.main.person"
            )
        else:
            _components(con)
    return int(pairs)


def _clear_table(con: duckdb.DuckDBPyConnection, batches: Iterator[pl.DataFrame]) -> None:
    """One row per record and alternative, with the texts that tokens are made of."""
    for number, batch in enumerate(batches):
        rows = expand(batch)
        for field, rules in TEXTS.items():
            distinct = rows.select(pl.col(field).drop_nulls().unique())
            texts = distinct.with_columns(
                rule(pl.col(field)).alias(column) for column, rule in rules.items()
            )
            rows = rows.join(texts, on=field, how="left", maintain_order="left")
        con.register("incoming", rows.to_arrow())
        into = "INSERT INTO memory.main.given" if number else "CREATE TABLE memory.main.given AS"
        con.execute(f"{into} SELECT * FROM incoming")
        con.unregister("incoming")
    con.execute(_CLEAR_TABLE)
    con.execute("DROP TABLE memory.main.given")


# Columns made of each identifier. Those of a name go by its field: surname_sound, surname_part_1.
TEXTS = {
    field: {f"{prefix}{part}": rule for part, (_, rule) in rules.items() if part != field}
    for field, prefix, rules in (
        ("birth_date", "", DATE_TOKENS),
        ("postcode", "", POSTCODE_TOKENS),
        ("forename", "forename_", FORENAME_TOKENS),
        ("surname", "surname_", SURNAME_TOKENS),
    )
}
_CLEAR_TABLE = """
    CREATE TABLE memory.main.clear_record AS
    SELECT row_number() OVER (ORDER BY source, record_key, alternative)::BIGINT AS record_id,
        * EXCLUDE (exclusion, nhs_number, la_child_id, forename, surname, forename_name,
            surname_name, birth_date, birth_date_swapped),
        nhs_number AS nhs, la_child_id AS la_child, forename_name AS forename,
        surname_name AS surname, birth_date, birth_date_swapped::DATE AS birth_date_swapped,
        least(forename_name, surname_name) || ' ' || greatest(forename_name, surname_name)
            AS both_names
    FROM memory.main.given ORDER BY record_id
"""


def clear_levels() -> dict[str, comparisons.Levels]:
    """The model's levels on texts."""
    return {
        name: {label: clear_level(name, label, sql) for label, sql in levels.items()}
        for name, levels in comparisons.comparison_levels(hardened=False).items()
    }


def clear_settings() -> dict[str, Any]:
    """The model's settings with clear-text levels and blocking rules, u to be estimated."""
    settings, levels = model.settings(hardened=False), clear_levels()
    for comparison in settings["comparisons"]:
        name = comparison["output_column_name"]
        for level in comparison["comparison_levels"]:
            label = level["label_for_charts"]
            level["sql_condition"] = levels[name][label]
            if not (level.get("is_null_level") or parameters().levels[name][label].fixed):
                level["fix_m_probability"] = level["fix_u_probability"] = False
    return settings


def clear_level(field: str, label: str, condition: str) -> str:
    """A level's condition on texts: names compared by themselves, Jaro-Winkler for Dice."""
    if field not in ("forename", "surname"):
        return condition
    if label == comparisons.NULL_LEVEL:
        return f"{field}_l IS NULL OR {field}_r IS NULL"
    alike = re.sub(
        r"(\w+)_bits_l > 0 AND \w+_bits_r > 0 AND 200 \* \(.*?\) >= (\d+) \* \(\w+ \+ \w+\)",
        lambda m: f"jaro_winkler_similarity({m[1]}_l, {m[1]}_r) >= {JARO_WINKLER[m[2]]}",
        condition,
    )

    def spelt(match: re.Match[str]) -> str:
        parts = PARTS.get(match[1], (match[1],))
        # A twin's surname is compared together with the birth date; other names by themselves.
        chosen = parts if label == "twin" else parts[:1]
        return " AND ".join(f"{part}_l = {part}_r" for part in chosen)

    condition = re.sub(r"\b(\w+)_l = \1_r", spelt, alike)
    return re.sub(r"(\b\w+ = \w+)( OR \1)+", r"\1", condition)


def clear_rule(rule: str) -> str:
    """A blocking rule on texts: each composite token becomes equalities of its parts."""

    def spelt(match: re.Match[str]) -> str:
        left, right = (PARTS.get(name, (name,)) for name in match.groups())
        return " AND ".join(f"l.{a} = r.{b}" for a, b in zip(left, right, strict=True))

    return re.sub(r"\bl\.(\w+) = r\.(\w+)", spelt, rule)


def _rules(con: duckdb.DuckDBPyConnection) -> list[dict[str, str]]:
    """The blocking rules on texts, without those that are too dear for so many records."""
    rules = []
    for name in model.BLOCKING_RULES:
        rule = clear_rule(model.rule_sql(name))
        if name in model.CHEAP_ONLY:
            columns = ", ".join(re.findall(r"\bl\.(\w+)", rule))
            pairs, records = con.execute(
                "SELECT sum(n * (n - 1) / 2), sum(n) FROM (SELECT count(*) AS n"
                f" FROM memory.main.clear_record WHERE ({columns}) IS NOT NULL GROUP BY {columns})"
            ).fetchall()[0]
            if pairs > CHEAP * records:
                continue
        rules.append({"blocking_rule": rule, "sql_dialect": "duckdb"})
    return rules


def _train(splink: Any) -> None:
    training = splink.training
    prior = [model.rule_sql(name) for name in model.PRIOR_RULES] + [model.PRIOR_NAMES]
    training.estimate_probability_two_random_records_match(
        [clear_rule(rule) for rule in prior], recall=parameters().prior_recall
    )
    training.estimate_u_using_random_sampling(max_pairs=2e6, seed=1)
    for block in model.TRAINING_BLOCKS.values():
        with suppress(ValueError):  # a level died out: too few pairs
            training.estimate_parameters_using_expectation_maximisation(
                clear_rule(block), max_pairs=parameters().em_pairs
            )


def _pairs(scored: str) -> str:
    """``linkage.main.pairs``: the best combination of two records and its levels."""
    levels = clear_levels()
    used = sorted(set(re.findall(r"\b(\w+)_[lr]\b", str(levels))))
    sides = ", ".join(f"{side}.{c} AS {c}_{side}" for c in used for side in "lr")
    gammas = ", ".join(
        "(CASE "
        + " ".join(
            f"WHEN {sql} THEN {comparisons.level_number(name, label)}"
            for label, sql in each.items()
            if sql != "ELSE"
        )
        + f" ELSE 0 END)::TINYINT AS gamma_{name}"
        for name, each in levels.items()
    )
    return f"""
        CREATE TABLE linkage.main.pairs AS
        WITH scored AS (
            SELECT least(record_key_l, record_key_r) AS key_l,
                   greatest(record_key_l, record_key_r) AS key_r,
                   max({{'w': match_weight, 'l': -record_id_l, 'r': -record_id_r}}) AS best
            FROM {scored} WHERE record_key_l <> record_key_r GROUP BY ALL
        ), sides AS (
            SELECT key_l AS record_key_l, key_r AS record_key_r, best.w AS match_weight, {sides}
            FROM scored
            JOIN memory.main.clear_record l ON l.record_id = -best.l
            JOIN memory.main.clear_record r ON r.record_id = -best.r
        )
        SELECT record_key_l, record_key_r, match_weight, {gammas}, 1::BIGINT AS model_id
        FROM sides ORDER BY record_key_l, record_key_r
    """


def _tables_of_resolver(
    con: duckdb.DuckDBPyConnection, companions: dict[str, pl.DataFrame]
) -> None:
    """What conflict-aware resolution reads besides the pairs, with hashes for tokens."""
    known = {
        "nhs": "CASE WHEN nhs IS NOT NULL THEN hash(nhs) >> 1 END",
        "upn": "CASE WHEN upn IS NOT NULL THEN hash(upn) >> 1 END",
        "is_upn_permanent": "upn SIMILAR TO '.*[0-9]'",
        "is_named": "forename IS NOT NULL OR surname IS NOT NULL",
        **{c: c for c in ("record_id", "record_key", "source", "supplier", "alternative", "sex")},
    }
    columns = ", ".join(f"({known.get(c, 'NULL')})::{t} AS {c}" for c, t in COLUMNS.items())
    con.execute(
        "CREATE TABLE linkage.main.person_record AS"
        f" SELECT {columns} FROM memory.main.clear_record ORDER BY record_id"
    )
    con.execute(f"CREATE TABLE linkage.main.number_holder ({HOLDER_DDL})")
    con.register("sources", companions["sources"].to_arrow())
    con.register("aliases", companions["aliases"].to_arrow())
    con.execute("CREATE TABLE linkage.main.source AS FROM sources")
    con.execute(
        "CREATE TABLE linkage.main.identifier_alias AS SELECT identifier,"
        " (hash(former) >> 1)::BIGINT AS former, (hash(present) >> 1)::BIGINT AS token FROM aliases"
    )


def _components(con: duckdb.DuckDBPyConnection) -> None:
    """Splink's connected components of the pairs."""
    from splink.backends.duckdb import DuckDBAPI
    from splink.clustering import cluster_pairwise_predictions_at_threshold

    con.execute(
        "CREATE VIEW memory.main.node AS SELECT record_key AS record_id"
        " FROM memory.main.clear_record WHERE alternative = 0"
    )
    con.execute(
        "CREATE VIEW memory.main.edge AS SELECT record_key_l AS record_id_l,"
        " record_key_r AS record_id_r, match_weight FROM linkage.main.pairs"
    )
    con.execute("USE memory.main")
    api = DuckDBAPI(con)
    found = cluster_pairwise_predictions_at_threshold(
        api.register("node"),
        api.register("edge"),
        api,
        node_id_column_name="record_id",
        edge_id_column_name_left="record_id_l",
        edge_id_column_name_right="record_id_r",
    )
    con.execute(
        "CREATE TABLE memory.main.answer AS SELECT record_id AS record_key,"
        f" cluster_id AS person FROM {found.physical_name}"
    )


RECIPE_COLUMNS = "record_key, nhs_number, upn, forename, surname, birth_date, sex, postcode"


def recipe(
    con: duckdb.DuckDBPyConnection, people: Path, feeds: dict[str, list[int]], steps: Steps
) -> int:
    """Splink off the shelf into ``answer``; the number of pairs it predicts.

    Args:
        people: the identities' Parquet file (current values; the recipe knows no alternatives).
        feeds: source numbers by feed, each a table of its own.
    """
    import splink.comparison_library as cl
    from splink import Linker, SettingsCreator, block_on
    from splink.backends.duckdb import DuckDBAPI

    with steps("encode"):
        for feed, numbers in feeds.items():
            listed = ", ".join(map(str, numbers))
            con.execute(
                f"CREATE TABLE memory.main.{feed} AS SELECT {RECIPE_COLUMNS}"
                f" FROM read_parquet('{people}') WHERE source IN ({listed})"
            )
    safe = [block_on("nhs_number"), block_on("upn"), block_on("forename", "surname", "birth_date")]
    settings = SettingsCreator(
        link_type="link_and_dedupe",
        unique_id_column_name="record_key",
        comparisons=[
            cl.NameComparison("forename"),
            cl.NameComparison("surname"),
            cl.DateOfBirthComparison("birth_date", input_is_string=False),
            cl.PostcodeComparison("postcode"),
            cl.ExactMatch("sex"),
            cl.ExactMatch("nhs_number"),
            cl.ExactMatch("upn"),
        ],
        blocking_rules_to_generate_predictions=[
            block_on("nhs_number"),
            block_on("upn"),
            block_on("surname", "birth_date"),
            block_on("forename", "birth_date"),
            block_on("postcode", "birth_date"),
            block_on("forename", "surname", "postcode"),
        ],
    )
    logging.getLogger("splink").setLevel(logging.CRITICAL)  # small data train some levels badly
    api = DuckDBAPI(con)
    splink = Linker([api.register(feed) for feed in feeds], settings, log_level=None)
    with steps("train"):
        training = splink.training
        training.estimate_probability_two_random_records_match([*safe], recall=0.8)
        training.estimate_u_using_random_sampling(max_pairs=2e6, seed=1)
        for block in (block_on("nhs_number"), block_on("birth_date", "postcode"), *safe[1:]):
            with suppress(ValueError):
                training.estimate_parameters_using_expectation_maximisation(block)
    with steps("predict"):
        scored = splink.inference.predict(threshold_match_probability=PROBABILITY)
    with steps("resolve"):
        found = splink.clustering.cluster_pairwise_predictions_at_threshold(scored, PROBABILITY)
        con.execute(
            "CREATE TABLE memory.main.answer AS SELECT record_key, cluster_id AS person"
            f" FROM {found.physical_name}"
        )
    return int(con.execute(f"SELECT count(*) FROM {scored.physical_name}").fetchall()[0][0])
