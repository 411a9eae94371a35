"""Column lineage of a release as OpenLineage documents."""

from __future__ import annotations

from typing import Any

from linked_cyp.metadata.lineage import ColumnRef, Edge, openlineage_events
from linked_cyp.research.release import Release


def lineage_events(release: Release) -> list[dict[str, Any]]:
    """One OpenLineage JobEvent for each table made on the way to this release."""
    rows = release.query("FROM provenance.column_lineage ORDER BY ALL").rows(named=True)
    edges = [
        Edge(
            ColumnRef(row["from_zone"], row["from_table"], row["from_column"]),
            ColumnRef(row["to_zone"], row["to_table"], row["to_column"]),
            row["step"],
        )
        for row in rows
    ]
    return openlineage_events(edges, f"{release.about['published_at']:%Y-%m-%dT%H:%M:%SZ}")
