"""The asset graph is what it was when somebody last looked: any change shows in a review."""

from __future__ import annotations

import difflib

from linked_cyp_tests import graph_snapshot

SHOWN = 40


def test_the_asset_graph_is_the_one_that_was_reviewed() -> None:
    now = graph_snapshot.generated()
    before = {p: p.read_text(encoding="utf-8") for p in graph_snapshot.FOLDER.glob("*.txt")}
    changes = [
        line
        for path in sorted(now.keys() | before.keys())
        for line in difflib.unified_diff(
            before.get(path, "").splitlines(),
            now.get(path, "").splitlines(),
            f"{path.stem} reviewed",
            f"{path.stem} now",
            lineterm="",
            n=1,
        )
    ]
    more = f"\n… and {len(changes) - SHOWN} more lines" if len(changes) > SHOWN else ""
    assert not changes, (
        "the asset graph changed:\n"
        + "\n".join(line[:400] for line in changes[:SHOWN])
        + more
        + "\nIf that is meant, renew it with `linked-cyp generate graph` and let it be reviewed."
    )


def test_a_feed_stands_in_its_domain() -> None:
    assert graph_snapshot.domain("health/secondary_uses/sus_apc") == "health_secondary_uses"
    assert graph_snapshot.domain("education/school_census") == "education"
    assert graph_snapshot.domain("cohort") == "cohort"
