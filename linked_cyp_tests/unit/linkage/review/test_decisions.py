"""What reviewers decide, how it is recorded, and what becomes of the pairs."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime

import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.expectations.suite import run_rules
from linked_cyp.identity.comparisons import level_number
from linked_cyp.linkage import resolve
from linked_cyp.linkage.model.parameters import parameters
from linked_cyp.linkage.pairs.edges import EDGE_CLASSES, edge_class_sql
from linked_cyp.linkage.persons.checks import person_rules
from linked_cyp.linkage.persons.joining import REASONS
from linked_cyp.linkage.review.decisions import newest_decisions, record_decisions
from linked_cyp.linkage.review.sampling import draw_sheet
from linked_cyp_tests.unit.linkage.review.support import drawn, frame, write


def test_decisions_are_kept_with_who_when_and_on_what(con, tmp_path):
    sheet_id = draw_sheet(con, pairs=5, seed=1)
    file = write(
        tmp_path / "d.csv",
        [f"{sheet_id},2,Same,", f'{sheet_id},1,different,"twins, I think"', f"{sheet_id},3,,"],
    )
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))  # as Excel saves
    moment = datetime(2025, 1, 31, 12)
    taken = record_decisions(con, file, reviewer=" A. Example ", now=moment)
    assert taken.sheet_id == sheet_id
    assert taken.decisions == {"same": 1, "different": 1, "unsure": 0}
    assert taken.left_blank == 1
    pairs = drawn(con, sheet_id)
    kept = frame(con, "FROM linkage.main.decision ORDER BY decision_id")
    expected = pairs[:2].select("record_key_l", "record_key_r", "match_weight", "model_id")
    assert kept.select(expected.columns).equals(expected)
    rows = kept.select("decision", "reviewer", "note", "decided", "sheet_id").rows()
    assert rows == [
        ("different", "A. Example", "twins, I think", moment, sheet_id),
        ("same", "A. Example", None, moment, sheet_id),
    ]


def test_an_old_file_recorded_again_does_not_outdo_a_later_answer(con, tmp_path):
    sheet_id = draw_sheet(con, pairs=5, seed=1)
    first = write(tmp_path / "first.csv", [f"{sheet_id},1,same,", f"{sheet_id},2,same,"])
    corrected = write(tmp_path / "second.csv", [f"{sheet_id},1,different,"])
    record_decisions(con, first, reviewer="R", now=datetime(2025, 1, 1))
    record_decisions(con, corrected, reviewer="R", now=datetime(2025, 1, 2))
    again = record_decisions(con, first, reviewer="R", now=datetime(2025, 1, 3))
    assert (again.decisions["same"], again.repeated) == (0, 2)
    assert sorted(newest_decisions(con)["decision"]) == ["different", "same"]
    somebody_else = record_decisions(con, first, reviewer="S", now=datetime(2025, 1, 3))
    assert somebody_else.decisions["same"] == 2


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (["{s},1,same,", "{s},99,same,"], "row 3, column number: no such pair on this sheet"),
        (["{s},1,same,", "{s},x7,same,"], "row 3, column number: no such pair"),
        (["{s},1,same,", "other,2,same,"], "row 3, column sheet: no such sheet was drawn here"),
        (["{s},1,same,", "{t},2,same,"], "row 3, column sheet: another sheet than"),
        (["{s},1,same,", "{s},2,sane,"], "row 3, column decision: must be same, different or"),
        (["{s},1,same,", "{s},1,unsure,"], "row 3, column number: this pair stands in the file"),
        (["{s},1,same,", "{s},2,same,a,b"], "row 3: 5 columns instead of 4"),
        (["{s},1,same,999 000 0018"], "row 2, column note: holds a long number"),
        (["{s},1,same," + "x" * 301], "row 2, column note: longer than 300 characters"),
        (["{s},1,,", "{s},2,,"], "no pair in the file has a decision"),
        (['{s},1,same,"open'], "not CSV"),
    ],
)
def test_a_file_with_anything_wrong_changes_nothing(con, tmp_path, rows, problem):
    sheet_id, other = draw_sheet(con, pairs=5, seed=1), draw_sheet(con, pairs=5, seed=2)
    file = write(tmp_path / "d.csv", [row.format(s=sheet_id, t=other) for row in rows])
    with pytest.raises(LinkedCypError, match=re.escape(problem)) as error:
        record_decisions(con, file, reviewer="R")
    assert not re.search("sane|x7|999", str(error.value).replace("99,", ""))
    assert frame(con, "FROM linkage.main.decision").is_empty()


def test_a_file_with_other_columns_or_without_reviewer_is_refused(con, tmp_path):
    sheet_id = draw_sheet(con, pairs=5, seed=1)
    rows = [f"{sheet_id},1,same,"]
    with pytest.raises(LinkedCypError, match="row 1: the columns must be sheet, number"):
        record_decisions(con, write(tmp_path / "d.csv", rows, "a,b,c,d"), reviewer="R")
    with pytest.raises(LinkedCypError, match="name of its reviewer"):
        record_decisions(con, write(tmp_path / "d.csv", rows), reviewer="  ")
    with pytest.raises(LinkedCypError, match="cannot be read"):
        record_decisions(con, tmp_path / "none.csv", reviewer="R")


# The next run


def decide(con, left: int, right: int, decision: str, day: int = 1, reviewer: str = "R") -> None:
    left, right = sorted((left, right))
    con.execute(
        "INSERT INTO linkage.main.decision SELECT coalesce(max(decision_id), 0) + 1, ?, ?, ?, ?,"
        " NULL, ?, 'S', 1.0, 1 FROM linkage.main.decision",
        [left, right, decision, reviewer, datetime(2025, 1, day)],
    )


def clusters(con) -> dict[int, int]:
    return dict(con.execute("SELECT record_key, cluster FROM linkage.main.person").fetchall())


def a_joined_pair(con) -> tuple[int, int]:
    return con.execute(
        "SELECT record_key_l, record_key_r FROM linkage.main.pairs"
        " JOIN linkage.main.person l ON l.record_key = record_key_l"
        " JOIN linkage.main.person r ON r.record_key = record_key_r AND l.cluster = r.cluster"
        " ORDER BY match_weight DESC, 1, 2 LIMIT 1"
    ).fetchall()[0]


def apart(con, *, with_two_numbers: bool = False) -> tuple[int, int]:
    """Two records alike as in a household, which no threshold joins."""
    numbers = "gamma_nhs = 0" if with_two_numbers else "gamma_nhs <> 0 AND gamma_upn <> 0"
    left, right = con.execute(
        f"SELECT record_key_l, record_key_r FROM linkage.main.pairs WHERE {edge_class_sql()}"
        f" = 'household' AND {numbers} ORDER BY 1, 2 LIMIT 1"
    ).fetchall()[0]
    assert clusters(con)[left] != clusters(con)[right]
    return left, right


def test_different_parts_and_the_newest_decision_counts(con):
    left, right = a_joined_pair(con)
    before = clusters(con)
    decide(con, left, right, "different")
    counts = resolve(con)
    assert counts["decisions_applied"] == 1
    assert clusters(con)[left] != clusters(con)[right]
    refused = "SELECT reason FROM linkage.main.refused WHERE record_key_l = ? AND record_key_r = ?"
    assert "clerical decision" in con.execute(refused, [left, right]).fetchall()[0][0]
    decide(con, left, right, "unsure", day=2)
    assert resolve(con)["decisions_applied"] == 0
    assert clusters(con) == before


def test_where_reviewers_differ_nobody_is_joined(con):
    left, right = a_joined_pair(con)
    decide(con, left, right, "different", reviewer="A")
    for day, word in enumerate(("unsure", "same"), 2):
        decide(con, left, right, word, day=day, reviewer="B")
        resolve(con)
        assert clusters(con)[left] != clusters(con)[right]
    rule = next(rule for rule in person_rules() if rule.name == "decision__respected")
    (held,) = run_rules(con, "linkage.main.person", [rule])
    con.execute("UPDATE linkage.main.person SET cluster = 1")  # as if it had been done all the same
    (broken,) = run_rules(con, "linkage.main.person", [rule])
    assert held.passed
    assert not broken.passed
    decide(con, left, right, "same", day=4, reviewer="A")
    resolve(con)
    assert clusters(con)[left] == clusters(con)[right]


def test_same_joins_what_no_threshold_joins_but_never_two_numbers(con):
    left, right = apart(con)
    decide(con, left, right, "same")
    one, other = apart(con, with_two_numbers=True)
    decide(con, one, other, "same")
    counts = resolve(con)
    assert (counts["decisions_applied"], counts["decisions_refused"]) == (1, 1)
    assert clusters(con)[left] == clusters(con)[right]
    assert clusters(con)[one] != clusters(con)[other]
    kept = con.execute("SELECT reason FROM linkage.main.refused WHERE edge_class = 'decided'")
    assert kept.fetchall() == [("two NHS numbers",)]


def test_decisions_about_records_that_are_gone_or_excluded_are_kept_and_ignored(con):
    left, right = apart(con)
    before = clusters(con)
    decide(con, left, 5, "same")  # no such record
    decide(con, left, right, "same")
    con.execute(
        "UPDATE linkage.main.person_record SET exclusion = 'adoption' WHERE record_key = ?", [right]
    )
    counts = resolve(con)
    assert (counts["decisions_applied"], counts["decisions_ignored"]) == (0, 2)
    assert clusters(con) == before
    assert newest_decisions(con).height == 2


def test_a_replaced_number_is_no_conflict(con):
    one, other = apart(con, with_two_numbers=True)
    decide(con, one, other, "same")
    assert resolve(con)["decisions_refused"] == 1
    con.execute(
        "INSERT INTO linkage.main.identifier_alias SELECT 'nhs', l.nhs, r.nhs"
        " FROM linkage.main.person_record l, linkage.main.person_record r"
        " WHERE l.record_key = ? AND r.record_key = ? AND l.alternative = 0 AND r.alternative = 0",
        [one, other],
    )
    assert resolve(con)["decisions_refused"] == 0
    assert clusters(con)[one] == clusters(con)[other]


@pytest.mark.parametrize("kind", parameters().conflicts)
def test_which_conflicts_count_is_a_parameter(con, kind):
    low = replace(parameters(), thresholds=dict.fromkeys(EDGE_CLASSES, -50.0))
    con.execute("UPDATE linkage.main.source SET tells_apart = TRUE")
    if kind == "twin":
        con.execute(
            f"UPDATE linkage.main.pairs SET gamma_forename = {level_number('forename', 'twin')}"
            f" WHERE {edge_class_sql()} = 'household'"
        )
    resolve(con, given=replace(low, conflicts=[kind]))
    count = "SELECT count(*) FROM linkage.main.refused WHERE reason = ?"
    assert con.execute(count, [REASONS[kind]]).fetchall()[0][0] > 0
    resolve(con, given=replace(low, conflicts=[k for k in low.conflicts if k != kind]))
    assert con.execute("SELECT count(*) FROM linkage.main.refused").fetchall()[0][0] > 0
    assert con.execute(count, [REASONS[kind]]).fetchall()[0][0] == 0


# Thresholds
