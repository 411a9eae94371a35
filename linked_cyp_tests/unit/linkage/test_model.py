from __future__ import annotations

import datetime as dt
from dataclasses import replace

import duckdb
import numpy as np
import polars as pl
import pytest
import sqlglot

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.identity import comparisons as compared
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.keys import Keys
from linked_cyp.identity.person_records import IDENTITY_SCHEMA, OPTIONAL, TOKENS, encode, expand
from linked_cyp.linkage.model import settings as model
from linked_cyp.linkage.model import training
from linked_cyp.linkage.model.chance import agreement_by_chance
from linked_cyp.linkage.model.parameters import parameters
from linked_cyp.linkage.pairs.prediction import _case
from linked_cyp.linkage.records.writing import name_agreement

KEYS = Keys(bytes(np.random.default_rng(21).integers(0, 256, 32, dtype=np.uint8)))
CHILD = {
    "source": 1,
    "supplier": 1,
    "nhs_number": "9990000018",
    "upn": "B801200005001",
    "la_child_id": "brent|77",
    "forename": "KATHERINE ANNE",
    "surname": "OKONJO SMITH",
    "birth_date": dt.date(2012, 3, 4),
    "sex": 2,
    "postcode": "NW10 5AB",
}


def levels_of(hardened: bool = True, child: dict | None = None, **changes) -> dict[str, str]:
    """The level of each comparison between a child's record and a changed copy of it."""
    first = CHILD | (child or {})
    rows = [first | {"record_key": 1}, first | changes | {"record_key": 2}]
    frame = pl.DataFrame(rows, schema=IDENTITY_SCHEMA)
    return agreement(encode(expand(frame), Encoder(KEYS, hardened=hardened)), 1, 2, hardened)


def agreement(encoded: pl.DataFrame, left: int, right: int, hardened: bool = True):
    """The level of each comparison between two records."""
    con = duckdb.connect()
    con.register("records", encoded.to_arrow())
    comparisons = compared.comparison_levels(hardened)
    gammas = ", ".join(f"{_case(rules)} AS {name}" for name, rules in comparisons.items())
    sides = ", ".join(f"{s}.{c} AS {c}_{s}" for c in encoded.columns for s in "lr")
    (row,) = con.execute(
        f"SELECT {gammas} FROM (SELECT {sides} FROM records l, records r"
        " WHERE l.record_key = ? AND r.record_key = ?)",
        [left, right],
    ).fetchall()
    return {
        name: next(x for x in labels if compared.level_number(name, x) == number)
        for (name, labels), number in zip(comparisons.items(), row, strict=True)
    }


def test_a_copy_agrees_everywhere():
    assert set(levels_of().values()) == {"exact"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"forename": "KATHERINEANNE"}, {"forename": "exact"}),
        ({"forename": "KATHERINE ANN"}, {"forename": "dice_80"}),
        ({"forename": "CATHARINA"}, {"forename": "sound"}),
        ({"forename": "KITTY"}, {"forename": "form"}),  # familiar
        ({"forename": "EKATERINA"}, {"forename": "form"}),  # another language's
        ({"forename": "ANNE"}, {"forename": "form"}),  # the second name is used
        ({"forename": "MOHAMMED"}, {"forename": "twin", "surname": "exact"}),
        ({"forename": "MOHAMMED", "surname": "OKONJO SMYTH"}, {"forename": "twin"}),
        ({"forename": "MOHAMMED", "surname": "PATEL"}, {"forename": "differ", "surname": "differ"}),
        ({"surname": "SMITH"}, {"surname": "part"}),
        ({"surname": "OKONJO"}, {"surname": "part"}),
        ({"surname": None}, {"surname": "missing", "forename": "exact"}),
        ({"birth_date": dt.date(2012, 4, 3)}, {"birth_date": "swapped", "forename": "exact"}),
        ({"birth_date": dt.date(2012, 3, 14)}, {"birth_date": "two_parts", "surname": "exact"}),
        ({"birth_date": dt.date(2013, 7, 14)}, {"birth_date": "differ"}),
        ({"birth_date": dt.date(2012, 1, 1)}, {"birth_date": "estimated"}),
        ({"birth_date": dt.date(2013, 1, 1)}, {"birth_date": "differ"}),
        ({"birth_date": None}, {"birth_date": "missing", "forename": "exact"}),
        ({"postcode": "NW10 5ZZ"}, {"postcode": "sector", "forename": "exact"}),
        ({"postcode": "NW10 9ZZ"}, {"postcode": "district"}),
        ({"postcode": "HA1 1AA"}, {"postcode": "differ"}),
        ({"postcode": None}, {"postcode": "missing"}),
        ({"nhs_number": "9990000026"}, {"nhs": "differ"}),
        ({"upn": None}, {"upn": "missing"}),
        ({"sex": 1}, {"sex": "differ"}),
        ({"la_child_id": "brent|78"}, {"la_child": "differ"}),
        ({"la_child_id": "ealing|77", "supplier": 2}, {"la_child": "missing"}),
    ],
)
def test_levels(change, expected):
    found = levels_of(**change)
    assert {name: found[name] for name in expected} == expected


def test_a_middle_name_used_as_the_first_is_recognised_but_shared_ones_prove_nothing():
    rows = [
        CHILD | {"record_key": 1, "forename": "PETER", "middle_names": "JOHN PAUL"},
        CHILD | {"record_key": 2, "forename": "JOHN", "middle_names": None},
        CHILD | {"record_key": 3, "forename": "MARK", "middle_names": "JOHN"},
    ]
    frame = pl.DataFrame(rows, schema=IDENTITY_SCHEMA | OPTIONAL)
    encoded = encode(expand(frame), Encoder(KEYS))
    assert agreement(encoded, 1, 2)["forename"] == "form"
    assert agreement(encoded, 1, 3)["forename"] == "twin"


def test_names_cannot_be_compared_where_nothing_salts_them():
    changes = {"birth_date": None, "postcode": None, "surname": "PATEL"}
    found = levels_of(child={"birth_date": None}, **changes)
    assert found["forename"] == found["surname"] == "missing"


@pytest.mark.parametrize("side", ["l", "r"])
def test_one_january_stands_for_its_year_on_either_side(side):
    year_only, whole = {"birth_date": dt.date(2012, 1, 1)}, {"birth_date": dt.date(2012, 9, 23)}
    child, changes = (year_only, whole) if side == "l" else (whole, year_only)
    assert levels_of(child=child, **changes)["birth_date"] == "estimated"
    assert levels_of(child=year_only)["birth_date"] == "exact"


def test_names_salted_by_other_dates_say_nothing_unless_the_postcode_is_one():
    other = {"birth_date": dt.date(2013, 7, 14), "forename": "KATHERINE ANN"}
    moved = levels_of(**other, postcode="HA1 1AA")
    assert moved["forename"] == moved["surname"] == "missing"
    at_home = levels_of(**other)
    assert at_home["surname"] == "exact"
    assert at_home["forename"] == "sound"
    stranger = levels_of(**other | {"forename": "MOHAMMED", "surname": "PATEL"})
    assert stranger["forename"] == stranger["surname"] == "differ"


def test_plain_encodings_compare_names_across_birth_dates():
    change = {
        "forename": "KATHERINE ANN",
        "surname": "PATEL",
        "birth_date": dt.date(2013, 7, 14),
        "postcode": "HA1 1AA",
    }
    assert levels_of(**change)["forename"] == "missing"
    assert levels_of(hardened=False, **change)["forename"] == "dice_80"


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("nhs_number", dict.fromkeys(("forename", "surname", "birth_date", "postcode", "upn"))),
        ("upn", {"nhs_number": None, "birth_date": None, "forename": "X", "surname": "Y"}),
        ("la_child", {"nhs_number": None, "upn": None, "birth_date": None, "postcode": None}),
        ("birth_date_surname", {"forename": "X", "postcode": None, "surname": "OKONJO SMYTH"}),
        ("birth_date_forename", {"surname": "X", "postcode": None, "forename": "CATHERINE"}),
        ("birth_date_sector", {"forename": None, "surname": None, "postcode": "NW10 5ZZ"}),
        ("names_birth_year", {"birth_date": dt.date(2012, 9, 9), "postcode": None}),
        ("postcode_forename", {"birth_date": None, "surname": "X"}),
        ("swapped_birth_date", {"birth_date": dt.date(2012, 4, 3), "forename": "X"}),
        ("names_sector", {"birth_date": None, "postcode": "NW10 5ZZ"}),
        ("names", {"birth_date": None, "postcode": "HA1 1AA"}),
        ("birth_date", {"forename": "X", "surname": "Y", "postcode": "HA1 1AA"}),
    ],
)
def test_each_blocking_rule_survives_its_error(rule, change):
    frame = pl.DataFrame(
        [CHILD | {"record_key": 1}, CHILD | change | {"record_key": 2}], schema=IDENTITY_SCHEMA
    )
    encoded = encode(expand(frame), Encoder(KEYS))
    con = duckdb.connect()
    con.register("records", encoded.to_arrow())
    query = (
        f"SELECT count(*) FROM records l, records r WHERE {model.rule_sql(rule)}"
        " AND l.record_key < r.record_key"
    )
    assert con.execute(query).fetchall() == [(1,)]


def test_every_blocking_rule_has_a_case_above():
    tested = {"nhs_number", "upn", "la_child", "names_birth_year", "postcode_forename"} | {
        "birth_date_surname",
        "birth_date_forename",
        "birth_date_sector",
        "swapped_birth_date",
        "names_sector",
        *model.CHEAP_ONLY,
    }
    assert set(model.BLOCKING_RULES) == tested


@pytest.mark.parametrize("hardened", [True, False])
def test_every_condition_means_the_same_in_duckdb_and_spark(hardened):
    rules = [model.rule_sql(name) for name in model.BLOCKING_RULES]
    levels = [
        sql
        for conditions in compared.comparison_levels(hardened).values()
        for sql in conditions.values()
        if sql != "ELSE"
    ]
    for sql in (*levels, *rules, *model.TRAINING_BLOCKS.values(), model.PRIOR_NAMES):
        spark, duck = (sqlglot.parse_one(sql, dialect=dialect) for dialect in ("spark", "duckdb"))
        # Nothing needs translating: no quoted names, no function of one engine only.
        assert duck.sql("spark") == spark.sql("spark") == duck.sql("duckdb")
        assert '"' not in sql
        functions = {f.name for f in duck.find_all(sqlglot.exp.Anonymous)}
        assert functions <= {"bit_count"}  # both have it; sqlglot does not know it


@pytest.mark.parametrize("hardened", [True, False])
def test_agreement_counts_for_and_disagreement_against(hardened):
    """In the fall-back parameters, which training starts from and falls back on."""
    for name, levels in compared.comparison_levels(hardened).items():
        given = [
            parameters().levels[name][x] for x in levels if x not in (compared.NULL_LEVEL, "twin")
        ]
        assert given[0].m > given[0].u
        assert given[-1].m < given[-1].u


def test_parameters_cover_the_model_and_add_up():
    for name, levels in compared.comparison_levels().items():
        given = parameters().levels[name]
        assert list(given) == [x for x in levels if x != compared.NULL_LEVEL]
        learnt = [p for label, p in given.items() if label != "twin"]
        assert sum(p.m for p in learnt) == pytest.approx(1, abs=0.02)
        assert sum(p.u for p in learnt) == pytest.approx(1, abs=0.11)


def test_a_twin_costs_sixteen_bits_and_identifiers_outweigh_it():
    weight = {
        (name, label): np.log2(p.m / p.u)
        for name, levels in parameters().levels.items()
        for label, p in levels.items()
    }
    assert weight["forename", "twin"] == pytest.approx(-16, abs=0.1)
    assert weight["nhs", "exact"] > 26
    assert weight["nhs", "differ"] < -8


def test_an_incomplete_model_is_refused():
    settings = model.settings()
    training.check_complete(settings)
    settings["comparisons"][3]["comparison_levels"][2]["m_probability"] = None
    with pytest.raises(LinkedCypError, match=r"no m_probability for forename\.dice_80"):
        training.check_complete(settings)


def test_what_training_leaves_out_keeps_its_fall_back():
    start, trained = model.settings(), model.settings()
    sex = next(c for c in trained["comparisons"] if c["output_column_name"] == "sex")
    sex["comparison_levels"][1]["m_probability"] = 0.9
    sex["comparison_levels"][2]["m_probability"] = "level not observed in training dataset"
    nhs = trained["comparisons"][0]["comparison_levels"][1]
    nhs["m_probability"] = 0.5
    used = {(x["comparison"], x["level"]): x for x in training.complete(trained, start, trust=0.5)}
    assert used["sex", "exact"]["m"] == pytest.approx((0.9 + 0.998) / 2)
    assert used["sex", "exact"]["u"] == 0.5
    assert used["sex", "exact"]["is_m_learnt"]
    assert not used["sex", "differ"]["is_m_learnt"]
    assert used["nhs", "exact"]["m"] == 0.998  # fixed, whatever training says


def test_chance_agreement_is_counted_from_groups():
    rows = [
        CHILD | {"record_key": n, "birth_date": date, "sex": sex, "postcode": postcode}
        for n, (date, sex, postcode) in enumerate(
            [
                (dt.date(2012, 3, 4), 1, "NW10 5AB"),
                (dt.date(2012, 4, 3), 2, "NW10 5AB"),  # swapped with the first
                (dt.date(2012, 3, 14), 2, "NW10 5ZZ"),  # two parts with the first
                (dt.date(2012, 3, 14), None, None),  # the same as the third
                (dt.date(2012, 1, 1), None, None),  # 1 January of the same year
            ]
        )
    ]
    con = duckdb.connect()
    frame = pl.DataFrame(rows, schema=IDENTITY_SCHEMA)
    con.register("records", encode(expand(frame), Encoder(KEYS)).to_arrow())
    counted = replace(parameters(), chance_pairs=0)
    shares = agreement_by_chance(con, "records", 0.0, counted)
    date = shares["birth_date"]
    assert date == pytest.approx(
        {"exact": 0.1, "swapped": 0.1, "two_parts": 0.2, "estimated": 0.4, "differ": 0.2}
    )
    assert shares["sex"] == pytest.approx({"exact": 1 / 3, "differ": 2 / 3})
    place = shares["postcode"]
    assert (place["exact"], place["sector"]) == pytest.approx((1 / 3, 2 / 3))
    fewer = agreement_by_chance(con, "records", 0.1, counted)
    assert fewer["birth_date"]["exact"] < date["exact"]
    assumed = agreement_by_chance(con, "records", 0.0, parameters())["birth_date"]
    given = parameters().levels["birth_date"]
    assert assumed == pytest.approx({level: p.u for level, p in given.items()}, rel=0.7, abs=0.001)


def test_name_agreement_counts_random_pairs():
    frequencies = pl.DataFrame({"name": ["SMITH", "SMYTH", "PATEL"], "n": [500, 250, 250]})
    shares = name_agreement("surname", frequencies, Encoder(KEYS))
    assert shares["exact"] == pytest.approx(0.375, abs=0.005)
    assert shares["dice_80"] + shares["sound"] == pytest.approx(0.25, abs=0.005)
    assert sum(shares.values()) == pytest.approx(1, abs=0.001)


def test_no_identifier_survives_in_an_encoded_record():
    frame = pl.DataFrame([CHILD | {"record_key": 1}], schema=IDENTITY_SCHEMA)
    row = encode(expand(frame), Encoder(KEYS)).row(0, named=True)
    assert all(isinstance(row[name], int) and row[name] >= 0 for name in TOKENS if row[name])
    texts = {str(value) for value in row.values()}
    assert not texts & {str(value) for value in CHILD.values()} - {"1", "2"}
