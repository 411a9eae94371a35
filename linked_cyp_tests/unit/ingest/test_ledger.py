"""The ledger: one state whatever the order of arrival; duplicates, rejections, withdrawals."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import duckdb
import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.ingest.deliveries import ingest_landed
from linked_cyp.ingest.landing import Unidentified, discover, find, identify, natural, slug
from linked_cyp.ingest.ledger import (
    current_deliveries,
    erase_withdrawn,
    ledger_rows,
    withdraw,
)
from linked_cyp_tests.deliveries_support import (
    VISIT,
    contract,
    delivery,
    land,
    memory_store,
    quarantined,
    rows,
    take,
)

HEADER = "PUPIL_ID,VISIT_DATE,REASON\n"
FEED = contract(VISIT, share=0.1)


def visits(*names: str) -> dict[str, str]:
    return {"visit.csv": HEADER + "".join(f"{n},2025-01-02,x\n" for n in names)}


@pytest.fixture
def con():
    connection = memory_store()
    yield connection
    connection.close()


def state(con):
    """Everything the ledger and the raw table say, without times."""
    ledger = con.execute(
        "SELECT COLUMNS(c -> c NOT LIKE '%\\_at' ESCAPE '\\') FROM identifiable.ledger.current "
        "ORDER BY delivery_id"
    ).fetchall()
    raw = con.execute("SELECT * FROM identifiable.raw.toy__visit ORDER BY ALL").fetchall()
    tables = con.execute("SELECT * FROM identifiable.ledger.delivery_table ORDER BY ALL").fetchall()
    return ledger, raw, tables, quarantined(con)


def test_every_order_of_five_deliveries_gives_one_state(tmp_path):
    landing = tmp_path / "landing"
    folders = [
        land(landing, visits("A", "B"), name="2025"),
        land(landing, visits("A", "C"), name="2025__2"),
        land(landing, visits("A", "D"), name="2025__10"),  # newest, but withdrawn
        land(landing, visits("A", "B"), name="2025__3"),  # the first again: as good as version 3
        land(landing, {"visit.csv": HEADER + "A,soon,x\n"}, name="2025__11"),  # not acceptable
    ]
    landed = [delivery(FEED, folder) for folder in folders]
    to_withdraw = landed[2].delivery_id
    assert len({d.delivery_id for d in landed}) == 4
    # After any set of arrivals there is one state, whichever came last; as the next state depends
    # on nothing else, all 120 orders end in one. This needs 80 arrivals instead of 600.
    stores: dict[frozenset[int], Path] = {frozenset(): tmp_path / "empty.duckdb"}
    states = {}
    with duckdb.connect(config={"threads": 1}) as con:
        for size in range(5):
            for before in map(frozenset, itertools.combinations(range(5), size)):
                for place in set(range(5)) - before:
                    store = tmp_path / f"{'-'.join(map(str, sorted(before)))}+{place}.duckdb"
                    if before:
                        shutil.copy(stores[before], store)
                    con.execute(f"ATTACH '{store}' AS identifiable")
                    take(con, FEED, folders[place])
                    if place == 2:
                        withdraw(con, to_withdraw, "sent in error")
                    after = before | {place}
                    stores.setdefault(after, store)
                    assert states.setdefault(after, state(con)) == state(con)
                    con.execute("DETACH identifiable")
    last = states[frozenset(range(5))]
    status = {row[0]: row[-1] for row in last[0]}
    assert [status[landed[i].delivery_id] for i in (0, 1, 2, 4)] == [
        "accepted",
        "superseded",
        "withdrawn",
        "rejected",
    ]


def test_the_same_content_again_is_not_read_again(con, tmp_path):
    folder = land(tmp_path / "landing", visits("A"))
    first = take(con, FEED, folder)
    before = con.execute("SELECT received_at FROM identifiable.ledger.delivery").fetchall()
    again = take(con, FEED, folder)
    assert (first.is_repeat, again.is_repeat) == (False, True)
    assert again.tables == first.tables
    assert before == con.execute("SELECT received_at FROM identifiable.ledger.delivery").fetchall()


def test_a_changed_contract_reads_the_same_content_again(con, tmp_path):
    folder = land(tmp_path / "landing", visits("A", "B"))
    take(con, FEED, folder)
    outcome = take(con, contract(VISIT, version="1.1.0"), folder)
    assert not outcome.is_repeat
    assert len(rows(con, "toy__visit")) == 2
    assert sum(row.received for row in ledger_rows(con)) == 2


def test_the_archive_stands_in_for_the_landing_folder(con, tmp_path):
    landing = tmp_path / "landing"
    folder = land(landing, visits("A", "B"))
    first = take(con, FEED, folder)
    (folder / "visit.csv").unlink()
    again = ingest_landed(con, FEED, first.delivery_id, landing, tmp_path / "work")
    assert again.is_repeat
    newer = contract(VISIT, version="2.0.0")
    anew = ingest_landed(con, newer, first.delivery_id, landing, tmp_path / "work")
    assert (anew.is_repeat, anew.accepted) == (False, 2)
    assert list((tmp_path / "work").iterdir()) == []
    with pytest.raises(LinkedCypError, match="does not know"):
        ingest_landed(con, FEED, "brent.2025.000000000000", landing, tmp_path / "work")


def test_withdrawn_content_stays_withdrawn_and_is_erased(con, tmp_path):
    old = take(con, FEED, land(tmp_path / "landing", visits("A")))
    folder = land(tmp_path / "landing", visits("B"), name="2025__2")
    new = take(con, FEED, folder)
    assert current_deliveries(con, "toy") == [new.delivery_id]
    assert withdraw(con, new.delivery_id, "objection") == old.delivery_id
    assert current_deliveries(con, "toy") == [old.delivery_id]
    assert erase_withdrawn(con) == [new.delivery_id]
    assert erase_withdrawn(con) == []
    assert rows(con, "toy__visit", "delivery_id, pupil_id") == [(old.delivery_id, "A")]
    for held in ("quarantine.rejected", "archive.file"):
        found = con.execute(
            f"SELECT count(*) FROM identifiable.{held} WHERE delivery_id = ?", [new.delivery_id]
        ).fetchone()
        assert found == (0,)
    assert take(con, contract(VISIT, version="9.0.0"), folder).status == "withdrawn"
    assert rows(con, "toy__visit", "delivery_id") == [(old.delivery_id,)]
    with pytest.raises(LinkedCypError, match="reason"):
        withdraw(con, old.delivery_id, " ")
    with pytest.raises(LinkedCypError, match="does not know"):
        withdraw(con, "brent.2025.000000000000", "x")


def test_too_many_bad_rows_reject_the_delivery_and_keep_the_reasons(con, tmp_path):
    content = HEADER + "".join(f"A{n},2025-01-02,x\n" for n in range(8)) + "B,,x\n,,\nA1,?,x\n"
    outcome = take(con, FEED, land(tmp_path / "landing", {"visit.csv": content}))
    assert (outcome.status, outcome.reason) == ("rejected", "18 % of visit would be quarantined")
    assert (outcome.received, outcome.accepted, outcome.quarantined) == (11, 0, 11)
    assert rows(con, "toy__visit") == []
    assert ("visit", None, "file", None, "delivery__rejected", 8) in quarantined(con)
    assert "A1" not in str(outcome)


def test_a_missing_required_table_rejects_the_delivery(con, tmp_path):
    outcome = take(con, contract(), land(tmp_path / "landing", visits("A")))
    assert (outcome.status, outcome.reason) == ("rejected", "required table pupil is missing")
    assert outcome.quarantined == outcome.received == 1


@pytest.mark.parametrize(
    ("manifest", "status", "reason"),
    [
        ({"version": "4"}, "accepted", None),
        ({"files": {"visit.csv": {"rows": 2}}}, "accepted", None),
        ({"files": {"visit.csv": {"rows": 3}}}, "rejected", "file 0 does not hold the rows"),
        ({"files": {"visit.csv": {"sha256": "00"}}}, "rejected", "does not match its sha256"),
        ({"files": {"other.csv": {}}}, "rejected", "1 files of the manifest are missing"),
        ({"files": []}, "rejected", "not an object"),
    ],
)
def test_a_manifest_is_believed_or_the_delivery_is_rejected(
    con, tmp_path, manifest, status, reason
):
    folder = land(tmp_path / "landing", visits("A", "B"), manifest=manifest)
    outcome = take(con, FEED, folder)
    assert outcome.status == status
    assert (reason or "") in (outcome.reason or "")
    assert outcome.received == 2
    assert ledger_rows(con)[0].version == manifest.get("version", "")


def test_one_suppliers_bad_delivery_does_not_touch_anothers(con, tmp_path):
    good = take(con, FEED, land(tmp_path / "landing", visits("A"), supplier="ealing"))
    bad = take(con, FEED, land(tmp_path / "landing", {"x.csv": "nothing\n"}))
    assert (good.status, bad.status) == ("accepted", "rejected")
    assert current_deliveries(con) == [good.delivery_id]


def test_landing_is_read_by_names_and_manifest(con, tmp_path):
    landing = tmp_path / "landing"
    folder = land(landing, visits("A"), supplier="Brent Council", name="2025__2")
    land(landing, visits("B"), name="last year")
    (folder / ".hidden").write_text("x")
    (folder / "half.part").write_text("x")
    told: list[str] = []
    found = discover(landing, {"toy": FEED}, on_problem=lambda _, problem: told.append(problem))
    assert [(d.supplier, d.period, d.version, len(d.files)) for d in found] == [
        ("brent_council", "2025", "2", 1)
    ]
    assert len(told) == 2
    assert "half written" in told[0]
    assert "a period is written like" in told[1]
    assert find(landing, {"toy": FEED}, found[0].delivery_id) == found[0]
    (folder / "manifest.json").write_text(
        json.dumps({"supplier": "Brent-council", "period": "2024"})
    )
    moved = identify(folder, {"toy": FEED})
    assert (moved.supplier, moved.period, moved.problem) == ("brent_council", "2024", None)
    assert moved.delivery_id != found[0].delivery_id
    for problem in ({"feed": "unheard_of"}, {"period": "2024-13"}):
        with pytest.raises(Unidentified):
            identify(folder, {"toy": FEED}, **problem)


def test_versions_sort_as_people_count():
    assert sorted(["10", "9", "v2", "V10", ""], key=natural) == ["", "9", "10", "v2", "V10"]
    assert slug(" NWL ICB-1 ") == "nwl_icb_1"
