"""Nobody is linked to the life before an adoption: five thousand old and new identities."""

from __future__ import annotations

import duckdb
import numpy as np
import polars as pl
import pytest

from linked_cyp.identity.comparisons import level_number
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.keys import Keys
from linked_cyp.identity.names import phonetic, standardise_surname
from linked_cyp.linkage import link, predict, resolve, train
from linked_cyp.linkage.link.frames import identities
from linked_cyp.linkage.pairs import edges
from linked_cyp.linkage.persons import resolution
from linked_cyp.linkage.persons.checks import person_rules
from linked_cyp.linkage.records.writing import write_person_records
from linked_cyp.synthetic.names import draw_forenames, draw_surnames
from linked_cyp.synthetic.numbers import upns
from linked_cyp.synthetic.parameters import load_parameters

KEY = np.random.default_rng(8).bytes(32)
KINDS = ("elsewhere", "district", "one_number", "no_number", "double")
EACH, ORDINARY = 1_000, 2_500
NOBODY = pl.DataFrame(schema={"a": pl.Int32, "b": pl.Int32})
LETTERS = list("ABDEFGHJLNPQRSTUWXYZ")


def nhs_numbers(first: int, count: int) -> list[str]:
    stems = 900_100_000 + first * 1_000_000 + 7 * np.arange(2 * count)
    weights = np.arange(10, 1, -1)
    check = (11 - (stems[:, None] // 10 ** np.arange(8, -1, -1) % 10) @ weights % 11) % 11
    return [f"{s}{c}" for s, c in zip(stems, check, strict=True) if c != 10][:count]


def pupil_numbers(first: int, count: int) -> list[str]:
    return upns(
        np.full(count, 330), np.full(count, 2001 + first), np.full(count, 10), np.arange(count)
    ).tolist()


def postcodes(rng: np.random.Generator, district: np.ndarray) -> list[str]:
    return [
        f"{place} {rng.integers(0, 10)}{rng.choice(LETTERS)}{rng.choice(LETTERS)}"
        for place in district
    ]


def children(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Names, birth dates and a district of each."""
    parameters = load_parameters()
    origin = rng.choice(["english", "pakistani_bangladeshi", "west_african"], count).astype(object)
    sex = rng.choice(["F", "M"], count).astype(object)
    days = np.datetime64("2008-01-01") + rng.integers(0, 4_000, count)
    return {
        "forename": draw_forenames(rng, parameters, sex, origin),
        "surname": draw_surnames(rng, parameters, origin),
        "other": draw_surnames(rng, parameters, origin),
        "third": draw_surnames(rng, parameters, origin),
        "birth_date": days.astype(str),
        "sex": sex,
        "district": np.array([f"DW{n}" for n in rng.integers(1, 60, count)]),
    }


def unlike(drawn: dict[str, np.ndarray]) -> np.ndarray:
    """The two surnames are not one that was misheard: that would be more in common."""
    sounds = pl.DataFrame({k: drawn[k].astype(str) for k in ("surname", "other")}).select(
        phonetic(standardise_surname(pl.all()))
    )
    return (sounds["surname"] != sounds["other"]).to_numpy()


def lives(seed: int = 5) -> pl.DataFrame:
    """Two records for each adopted child: before (even ids) and after (odd ids).

    Behind them ordinary children, whom school and practice know alike, so that there is a model.
    """
    rng = np.random.default_rng(seed)
    size = len(KINDS) * EACH
    drawn = children(rng, 2 * size)
    drawn = {name: values[np.flatnonzero(unlike(drawn))[:size]] for name, values in drawn.items()}
    kind = np.array(KINDS)[np.arange(size) % len(KINDS)]
    keeps = rng.random(size) < 0.5
    double = np.where(
        keeps,
        [f"{a}-{b}" for a, b in zip(drawn["surname"], drawn["other"], strict=True)],
        [f"{a}-{b}" for a, b in zip(drawn["other"], drawn["third"], strict=True)],
    )
    near = np.isin(kind, ("district", "no_number"))
    away = np.where(near, drawn["district"], [f"EV{n}" for n in rng.integers(1, 60, size)])
    both = np.isin(kind, ("elsewhere", "district"))
    before, after = both | (kind == "one_number") & keeps, both | (kind == "one_number") & ~keeps
    shared = {name: drawn[name] for name in ("forename", "birth_date", "sex")} | {"kind": kind}
    first = pl.DataFrame(
        shared
        | {
            "record_id": 2 * np.arange(size),
            "source": ["school"] * size,
            "surname": drawn["surname"],
            "postcode": postcodes(rng, drawn["district"]),
            "upn": np.where(before, pupil_numbers(0, size), None),
        }
    )
    second = pl.DataFrame(
        shared
        | {
            "record_id": 2 * np.arange(size) + 1,
            "source": ["gp"] * size,
            "surname": np.where(kind == "double", double, drawn["other"]),
            "postcode": postcodes(rng, away),
            "nhs_number": np.where(after, nhs_numbers(0, size), None),
        }
    )
    return pl.concat([first, second, *ordinary(rng)], how="diagonal_relaxed").sort("record_id")


def ordinary(rng: np.random.Generator) -> list[pl.DataFrame]:
    """Children whom three sources know, with the numbers that each has.

    Some took a step-parent's surname or added it, half have moved: the practice knows.
    """
    drawn = children(rng, ORDINARY)
    shared = {name: drawn[name] for name in ("forename", "surname", "birth_date", "sex")}
    shared |= {"postcode": np.array(postcodes(rng, drawn["district"]))}
    shared |= {"kind": ["ordinary"] * ORDINARY}
    change, move = rng.random((2, ORDINARY))
    both = [f"{a}-{b}" for a, b in zip(drawn["surname"], drawn["other"], strict=True)]
    near = postcodes(rng, drawn["district"])
    far = postcodes(rng, rng.permutation(drawn["district"]))
    later = shared | {
        "surname": np.select(
            [change < 0.15, change < 0.25], [drawn["other"], both], drawn["surname"]
        ),
        "postcode": np.select([move < 0.2, move < 0.5], [near, far], shared["postcode"]),
    }
    nhs, pupil = nhs_numbers(1, ORDINARY), pupil_numbers(5, ORDINARY)
    told = (
        ("school", shared | {"upn": pupil}),
        ("gp", later | {"nhs_number": nhs}),
        ("social_care", shared | {"upn": pupil, "nhs_number": nhs}),
    )
    ids = np.arange(ORDINARY)
    return [
        pl.DataFrame(
            columns | {"record_id": 100_000 * (place + 1) + ids, "source": [source] * ORDINARY}
        )
        for place, (source, columns) in enumerate(told)
    ]


def joined(frame: pl.DataFrame, households: bool | None = True) -> list[str]:
    """The kinds of the children whose two lives became one person."""
    found = link(frame, KEY, households=households).persons.join(frame, on="record_id")
    both = found.filter(pl.col("kind") != "ordinary").with_columns(child=pl.col("record_id") // 2)
    one = both.filter(pl.col("person_id").n_unique().over("child") == 1)
    return one["kind"].gather_every(2).to_list()


@pytest.fixture(scope="module")
def adopted():
    return lives()


def test_no_child_of_five_thousand_is_linked_to_the_life_before_adoption(adopted):
    assert adopted.filter(pl.col("kind") != "ordinary").height == 10_000
    assert joined(adopted) == []


def test_nor_where_two_surnames_differ_in_a_letter():
    """Of this population two have surnames like ISLAM and ASLAM, before and after."""
    assert joined(lives(seed=6)) == []


def test_nor_where_nobody_is_related(adopted):
    assert joined(adopted, households=False) == []


@pytest.fixture(scope="module")
def scored(adopted):
    return linked(adopted, [])


def joined_without(scored, adopted, monkeypatch, wall: str) -> list[str]:
    """The same where another condition stands for the wall, and for edges alone."""
    monkeypatch.setattr(edges, "renamed_sql", lambda: wall)
    monkeypatch.setattr(resolution, "_renamed", lambda *_: NOBODY)
    resolve(scored)
    monkeypatch.undo()
    person = scored.execute("SELECT record_key AS record_id, cluster FROM linkage.main.person").pl()
    both = person.join(adopted.filter(pl.col("kind") != "ordinary"), on="record_id")
    both = both.with_columns(child=pl.col("record_id") // 2)
    one = both.filter(pl.col("cluster").n_unique().over("child") == 1)
    return one["kind"].gather_every(2).to_list()


def test_without_the_wall_hundreds_of_every_kind_are_linked(scored, adopted, monkeypatch):
    found = joined_without(scored, adopted, monkeypatch, "false")
    assert {kind: found.count(kind) > 100 for kind in KINDS} == dict.fromkeys(KINDS, True)


@pytest.mark.parametrize("part", ["district", "likeness", "part of a surname"])
def test_each_part_of_the_wall_is_needed(scored, adopted, monkeypatch, part):
    """Another home of one district; surnames alike by chance; the old one in the new."""
    whole = edges.renamed_sql()
    assert joined_without(scored, adopted, monkeypatch, whole) == []
    home = level_number("postcode", "exact")
    differ, by_part = (level_number("surname", label) for label in ("differ", "part"))
    weaker = {
        "district": whole.replace(f"gamma_postcode < {home}", "gamma_postcode < 1"),
        "likeness": whole.replace(
            edges.unrelated_sql(), f"(gamma_surname IN ({differ}, {by_part}))"
        ),
        "part of a surname": whole.replace(
            edges.unrelated_sql(), f"({edges.unrelated_sql()} AND gamma_surname <> {by_part})"
        ),
    }[part]
    assert weaker != whole
    assert len(joined_without(scored, adopted, monkeypatch, weaker)) > 20


# --- through third records ----------------------------------------------------------------------

HOME, AWAY = "DW3 4AB", "EV7 1QR"
LIFE = {"forename": "GRACE", "sex": "F"}
OLD, NEW = LIFE | {"surname": "PATEL"}, LIFE | {"surname": "WOOD"}
# What a third record says; `nhs` and `upn` are those of the new life and the old one.
THIRD = {
    "a hospital stay at the old address, with the new number": {
        "sex": "F",
        "postcode": HOME,
        "nhs": True,
    },
    "both surnames, at both addresses": OLD
    | {"surname": "PATEL-WOOD", "postcode": HOME, "former_postcode": AWAY},
    "no surname, at both addresses": LIFE | {"postcode": HOME, "former_postcode": AWAY},
    "neither name, at both addresses": {"sex": "F", "postcode": HOME, "former_postcode": AWAY},
    "the old name with both numbers": OLD | {"postcode": HOME, "nhs": True, "upn": True},
}


@pytest.fixture(scope="module")
def thirds():
    """For each third record a child of its own: old life, new life, third record."""
    nhs, pupil = nhs_numbers(2, len(THIRD)), pupil_numbers(9, len(THIRD))
    rows = []
    for number, third in enumerate(THIRD.values()):
        for place, record in enumerate(
            (OLD | {"postcode": HOME, "upn": True}, NEW | {"postcode": AWAY, "nhs": True}, third)
        ):
            held = {
                "nhs_number": nhs[number] if record.get("nhs") else None,
                "upn": pupil[number] if record.get("upn") else None,
                "birth_date": f"2012-{number + 2:02}-17",
                "record_id": 10 * number + place,
                "source": f"s{place}",
                "kind": "third",
            }
            rows.append({k: v for k, v in record.items() if k not in ("nhs", "upn")} | held)
    few = pl.DataFrame(rows, infer_schema_length=None)
    others = ordinary(np.random.default_rng(9))
    return linked(pl.concat([few, *others], how="diagonal_relaxed"), [])


def together(con: duckdb.DuckDBPyConnection) -> list[str]:
    """The third records that bring the two lives together."""
    person = dict(con.execute("SELECT record_key, cluster FROM linkage.main.person").fetchall())
    return [third for n, third in enumerate(THIRD) if person[10 * n] == person[10 * n + 1]]


def test_no_third_record_brings_two_lives_together_but_one_with_both_numbers(thirds):
    resolve(thirds)
    assert together(thirds) == ["the old name with both numbers"]


def test_others_would_without_the_wall(thirds, monkeypatch):
    monkeypatch.setattr(resolution, "_renamed", lambda *_: NOBODY)
    resolve(thirds)
    assert len(together(thirds)) > 2
    assert check_adoption(thirds) == len(together(thirds)) - 1  # and the check sees each of them


# --- at one postcode ------------------------------------------------------------------------------


def linked(frame: pl.DataFrame, marked: list[int]) -> duckdb.DuckDBPyConnection:
    """Records linked as in a store, some of them marked with adoption."""
    con = duckdb.connect()
    con.execute("ATTACH ':memory:' AS linkage")
    ids = frame["record_id"].cast(pl.Int64)
    found = identities(frame.drop("record_id", "source", "kind"), ids, frame["source"])
    found = found.with_columns(
        pl.when(pl.col("record_key").is_in(marked)).then(pl.lit("adoption")).alias("exclusion")
    )
    number = found["source"].unique().sort()
    sources = pl.DataFrame(
        {
            "source": number,
            "feed": number.cast(pl.String),
            "supplier": number,
            "tells_apart": [False] * len(number),
        }
    )
    none = pl.DataFrame(schema={"identifier": pl.String, "former": pl.String, "present": pl.String})
    write_person_records(con, [found], sources, none, Encoder(Keys(KEY)))
    train(con)
    predict(con, use_state=False)
    resolve(con)
    return con


@pytest.mark.parametrize("marked", [True, False])
def test_at_one_postcode_a_mark_on_any_record_nearby_keeps_them_apart(marked):
    """Adopted by the foster carer: the looked-after child has neither name nor number."""
    few = [
        life | {"postcode": HOME, "birth_date": "2012-05-06", "record_id": n, "source": f"s{n}"}
        for n, life in enumerate((OLD, NEW, {"sex": "F"}))
    ]
    others = ordinary(np.random.default_rng(9))
    frame = pl.concat([pl.DataFrame(few), *others], how="diagonal_relaxed")
    con = linked(frame, [2] if marked else [])
    rows = con.execute("SELECT cluster FROM linkage.main.person WHERE record_key < 2").fetchall()
    assert (len(set(rows)) == 2) is marked


# --- the check that needs no truth ----------------------------------------------------------------


def check_adoption(con: duckdb.DuckDBPyConnection) -> int:
    (rule,) = [rule for rule in person_rules() if rule.name == "adoption__apart"]
    sql = rule.arguments["sql"].format(batch="linkage.main.person", schema="linkage.main")
    return len(con.execute(sql).fetchall())


def test_the_check_counts_two_lives_in_one_person_whoever_joined_them(scored):
    resolve(scored)
    assert check_adoption(scored) == 0
    scored.execute("UPDATE linkage.main.person SET cluster = 0 WHERE record_key IN (0, 1)")
    assert check_adoption(scored) == 1
