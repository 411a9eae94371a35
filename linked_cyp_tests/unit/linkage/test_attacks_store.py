"""The attacks on a store's own records: rates come out, names do not, and the checks fire."""

from __future__ import annotations

import datetime as dt
import warnings
from types import SimpleNamespace

import dagster as dg
import polars as pl
import pytest

from benchmarks.linkage_population import population
from linked_cyp.cli.commands.linkage import CHILDREN as CHILDREN_OF_THE_COMMAND
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.defs.linkage_attack import attack
from linked_cyp.expectations import run_rules
from linked_cyp.linkage import build_person_records
from linked_cyp.linkage.attacks import store as attacks_on_store
from linked_cyp.linkage.attacks.rules import attack_rules
from linked_cyp.linkage.attacks.store import COLUMNS, TABLE, attack_store, draw
from linked_cyp.linkage.attacks.suite import SCHEMA, summarise
from linked_cyp.linkage.attacks.table import GUESS, groups
from linked_cyp.linkage.report import counts
from linked_cyp.stores.door import Stores
from linked_cyp_tests.support import NOT_ASKED
from linked_cyp_tests.unit.linkage.test_identities import CONTRACTS, opened, put

CHILDREN = 200


def deliver(con, people) -> None:
    """The spine's and the schools' records, as raw tables hold them."""
    spine = people.identities.filter(pl.col("source") == 0).drop_nulls("nhs_number")
    schools = people.identities.filter(pl.col("source").is_between(1, 9)).drop_nulls("upn")
    for delivery, feed, table, key, frame in (
        ("nwl_icb.2025-03-31.aa", "pds_demographics", "person", "nhs_number", spine),
        ("brent.2024-autumn.bb", "school_census", "pupil_on_roll", "upn", schools),
    ):
        put(con, delivery, feed, table, [])
        rows = frame.unique(key).select(
            pl.lit(delivery).alias("delivery_id"),
            pl.int_range(1, pl.len() + 1).alias("row_number"),
            pl.lit(0).alias("source_file"),
            *(key, "forename", "surname", "birth_date"),
            pl.col("sex").cast(pl.String).alias("sex_code"),
        )
        con.register("rows", rows.to_arrow())
        con.execute(f"INSERT INTO identifiable.raw.{feed}__{table} BY NAME FROM rows")
        con.unregister("rows")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A store whose persons are said rather than found: a name and a birth date, a person."""
    folder = tmp_path_factory.mktemp("attacked")
    people = population(CHILDREN, seed=5)
    with opened(folder) as (con, keys):
        deliver(con, people)
        build_person_records(con, CONTRACTS, keys, opt_outs=NOT_ASKED)
        con.execute(
            "CREATE TABLE linkage.main.person AS SELECT record_key, min(record_key) OVER"
            " (PARTITION BY forename_birth_date, surname_birth_date) AS cluster"
            " FROM linkage.main.person_record WHERE alternative = 0"
        )
        con.execute(
            "CREATE TABLE linkage.main.run AS SELECT 7 AS run_id, DATE '2025-01-31' AS run_date"
        )
        con.execute("CREATE TABLE linkage.main.pairs AS SELECT 3 AS model_id")
    return SimpleNamespace(folder=folder, people=people, stores=stores_of(folder))


def stores_of(folder) -> Stores:
    from linked_cyp.core.settings import Settings

    return Stores(Settings(folder, folder / "keys" / "master.key", folder, folder))


@pytest.fixture(scope="module")
def attacked(home):
    """The table as the asset makes it, with one seed, and what Dagster was told."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = dg.materialize(
            [attack()],
            resources={"stores": home.stores},
            run_config={"ops": {"linkage_attack": {"config": {"children": 10_000, "seeds": 1}}}},
        )
    with home.stores.connect(linkage="ro") as con:
        return result, con.execute(f"FROM {TABLE}").pl()


def test_the_controls_fall_and_the_store_does_not(attacked):
    result, table = attacked
    summary = summarise(table).filter(known=0, field="forename")
    rates = {(e, a): r for e, a, r in summary.select("encoding", "attack", "rate").iter_rows()}
    assert rates["plain", "bits"] > 0.9
    assert rates["stored", "bits in a birth date"] < 0.2
    assert rates["stored", "rank within sex"] < 0.1
    verdicts = {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
    assert verdicts["control__fell"]
    assert set(verdicts) == {rule.name for rule in attack_rules()}


def test_the_table_holds_rates_and_on_what_they_were_made(home, attacked):
    _, table = attacked
    assert table.columns == [*SCHEMA, *COLUMNS]
    about = table.select(COLUMNS.keys()).unique()
    assert about.height == 1
    row = about.row(0, named=True)
    assert (row["run_id"], row["run_date"], row["model_id"]) == (7, dt.date(2025, 1, 31), 3)
    assert row["children"] == row["of_children"] > 150
    assert "birth_date" in table["field"]
    said = {v for c in table.select(pl.col(pl.String)) for v in c.drop_nulls()}
    names = set(home.people.identities["forename"]) | set(home.people.identities["surname"])
    assert not {word.upper() for text in said for word in text.split()} & names


def test_no_name_is_left_in_the_linkage_store_or_beside_it(home, attacked):
    names = set(home.people.identities["surname"].drop_nulls()) - {""}
    with home.stores.connect(linkage="ro") as con:
        left = con.execute("SELECT table_name FROM duckdb_tables() WHERE temporary").fetchall()
        texts = [
            value
            for name, column in con.execute(
                "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name ="
                " 'linkage' AND data_type = 'VARCHAR'"
            ).fetchall()
            for (value,) in con.execute(
                f'SELECT DISTINCT "{column}" FROM linkage.main.{name}'
            ).fetchall()
        ]
    assert left == []
    assert not names & {str(text).upper() for text in texts}
    assert list(home.stores.settings.work.iterdir()) == []
    long = [name.encode() for name in names if len(name) > 5]
    for file in home.folder.rglob("*"):
        if file.is_file():
            held = file.read_bytes()
            assert not any(name in held for name in long), file.name


def test_the_report_shows_them_by_kind_of_record(home, attacked):
    with home.stores.connect(linkage="ro") as con:
        shown = counts.attacks(con)
    assert (shown["run_id"], shown["model_id"], shown["seeds"]) == (7, 3, 1)
    assert not shown["is_sample"]
    titles = [group.title for group in shown["groups"]]
    assert titles[0] == "Control: plain encodings"
    assert titles[-1] == "This store's records, as they stand"
    stored = shown["groups"][-1]
    assert stored.rows[0].attack == GUESS
    assert all(len(row.cells) == len(stored.fields) for row in stored.rows)


def test_too_few_records_are_not_shown(attacked):
    _, table = attacked
    few = summarise(table).with_columns(pl.lit(49, dtype=pl.Int64).alias("attacked"))
    cells = [c for g in groups(few) for row in g.rows for c in row.cells]
    assert set(cells) <= {None}


def broken(home, change: str) -> set[str]:
    """Checks that fail on results so changed; nobody is named in those of the store itself."""
    with home.stores.connect(linkage="ro") as con:
        con.execute(f"CREATE TEMP TABLE tried AS FROM {TABLE}")
        con.execute("UPDATE tried SET correct = 0 WHERE encoding IN ('hardened', 'stored')")
        con.execute(change)
        return {o.name for o in run_rules(con, "temp.main.tried", attack_rules()) if not o.passed}


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ("UPDATE tried SET correct = 0 WHERE encoding = 'plain'", "control__fell"),
        ("DELETE FROM tried WHERE encoding = 'plain' AND field = 'surname'", "control__fell"),
        (
            "UPDATE tried SET correct = 0 WHERE encoding = 'birth_date_salt'",
            "control__fell_within_salt",
        ),
        (
            "UPDATE tried SET correct = attacked / 4 WHERE encoding = 'stored' AND attack = 'rank'"
            " AND field = 'surname'",
            "name__rarely_read",
        ),
    ],
)
def test_the_checks_fire(home, attacked, change, check):
    assert broken(home, "SELECT 1") == set()
    assert broken(home, change) == {check}


def test_children_are_drawn_by_birth_date():
    """Else those of a crowded day would be thinned out, and safer than in the store."""
    born = [dt.date(2010, 1, 1) + dt.timedelta(days=n // 10) for n in range(100)]
    known = pl.DataFrame({"record_key": range(100), "child": range(100), "birth_date": born})
    drawn = known.join(draw(known, 30, 1), on="record_key")
    assert drawn.height == 30
    assert drawn["birth_date"].n_unique() == 3
    assert draw(known, 30, 1).equals(draw(known, 30, 1))
    assert not draw(known, 30, 1).equals(draw(known, 30, 2))
    assert draw(known, 1000, 1).height == 100


def test_a_sample_says_that_it_is_one(home, monkeypatch):
    seen = []
    monkeypatch.setattr(attacks_on_store, "write_attacks", lambda _, attacks, about: about)
    monkeypatch.setattr(
        attacks_on_store, "run_attacks", lambda people, *_, **__: seen.append(people) or frame()
    )
    about = attack_store(home.stores, CONTRACTS, children=50, seeds=2)
    assert (about.children, seen[0].equals(seen[1])) == (50, True)
    assert about.of_children > 150


def frame() -> pl.DataFrame:
    return pl.DataFrame(schema=SCHEMA)


def test_records_older_than_the_deliveries_are_refused(home):
    with home.stores.connect(linkage="rw") as con:
        con.execute("CREATE TEMP TABLE kept AS FROM linkage.main.person LIMIT 3")
        con.execute(
            "DELETE FROM linkage.main.person WHERE record_key IN (SELECT record_key FROM kept)"
        )
    try:
        with pytest.raises(LinkedCypError, match="^3 source persons have been delivered since"):
            attack_store(home.stores, CONTRACTS)
    finally:
        with home.stores.connect(linkage="rw") as con:
            con.execute("DROP TABLE linkage.main.person")


def test_nothing_linked_is_nothing_to_attack(tmp_path):
    with opened(tmp_path):
        pass
    with pytest.raises(LinkedCypError, match="nothing has been linked yet"):
        attack_store(stores_of(tmp_path), CONTRACTS)


def test_the_default_is_one_number():
    assert CHILDREN_OF_THE_COMMAND == attacks_on_store.CHILDREN
