"""Column lineage: from a supplier's field to a research variable.

Two sources, both declared, neither observed: the contracts (supplier's file → raw →
pseudonymised) and dbt's manifest (pseudonymised → curated → cohort, by reading the compiled SQL
with sqlglot). The result is a list of edges, and projections of it: a table, Dagster's dependencies
by column, and OpenLineage documents. SQL that cannot be followed is reported, never guessed at.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from linked_cyp.contracts.model import Contract
from linked_cyp.metadata.sql_lineage import Relations, column_sources

SUPPLIER = "supplier"
PRODUCER = "urn:linked_cyp:lineage"
_EVENT_SCHEMA = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/JobEvent"
_LINEAGE_FACET = "https://openlineage.io/spec/facets/1-2-0/ColumnLineageDatasetFacet.json"


@dataclass(frozen=True, order=True)
class ColumnRef:
    """A column: zone (``supplier`` or a database schema), table, and column name."""

    zone: str
    table: str
    column: str

    def __str__(self) -> str:
        return f"{self.zone}.{self.table}.{self.column}"

    @property
    def relation(self) -> tuple[str, str]:
        return (self.zone, self.table)

    @property
    def asset_key(self) -> tuple[str, ...]:
        """Dagster's asset key: zone, then feed and table where the table belongs to a feed."""
        return (self.zone, *self.table.split("__", 1))


@dataclass(frozen=True, order=True)
class Edge:
    """``upstream`` takes part in making ``downstream``; ``how`` is the treatment or the model."""

    upstream: ColumnRef
    downstream: ColumnRef
    how: str


@dataclass
class Lineage:
    """Edges, and the columns whose SQL could not be followed."""

    edges: list[Edge] = field(default_factory=list)
    unresolved: list[ColumnRef] = field(default_factory=list)


def contract_edges(contracts: Mapping[str, Contract]) -> list[Edge]:
    """Supplier's field → raw column → pseudonymised column, for every contract."""
    edges = set()
    for contract in contracts.values():
        for table in contract.tables.values():
            name = table.table_name
            for column in table.columns:
                supplied = ColumnRef(SUPPLIER, name, column.physical_name)
                edges.add(Edge(supplied, ColumnRef("raw", name, column.name), "read"))
            for output in table.pseudonymised():
                raw = ColumnRef("raw", name, output.source.name)
                made = ColumnRef("pseudonymised", name, output.name)
                edges.add(Edge(raw, made, output.treatment))
            for key_column in {c for alternative in table.person_key for c in alternative}:
                raw = ColumnRef("raw", name, key_column)
                edges.add(Edge(raw, ColumnRef("pseudonymised", name, "record_key"), "token"))
    return sorted(edges)


def load_manifest(path: Path) -> dict[str, Any] | None:
    """dbt's manifest, or None where dbt has not made one yet."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def manifest_lineage(manifest: Mapping[str, Any]) -> Lineage:
    """Column lineage of every compiled model, in the order in which they depend on each other.

    Args:
        manifest: dbt's manifest, compiled (after ``dbt compile`` or ``build``): models that are
            only parsed have no SQL and all their columns are reported as unresolved.
    """
    schema = _known_columns(manifest)
    result = Lineage()
    for node in _models_in_order(manifest):
        columns = column_sources(node.get("compiled_code") or "", schema)
        relation = (node["schema"], node["alias"])
        schema[relation] = list(columns) or list(node.get("columns") or {})
        for name in schema[relation]:
            made = ColumnRef(*relation, name)
            sources = columns.get(name)
            if sources is None:
                result.unresolved.append(made)
            for source in sources or ():
                result.edges.append(Edge(ColumnRef(*source), made, node["name"]))
    result.edges = sorted(set(result.edges))
    return result


def lineage(contracts: Mapping[str, Contract], manifest: Mapping[str, Any] | None) -> Lineage:
    """Everything that is known, from the supplier's fields to the cohort tables."""
    result = manifest_lineage(manifest) if manifest else Lineage()
    result.edges = sorted({*contract_edges(contracts), *result.edges})
    return result


Edges = Iterable[Edge] | Mapping[ColumnRef, list[Edge]]


def upstream_of(edges: Edges, columns: Iterable[ColumnRef]) -> list[Edge]:
    """The edges that lead to these columns, however far back.

    Args:
        edges: or, to ask for many columns, what :func:`by_downstream` makes of them.
    """
    into = edges if isinstance(edges, Mapping) else by_downstream(edges)
    wanted, seen, kept = list(columns), set(), set()
    while wanted:
        column = wanted.pop()
        if column in seen:
            continue
        seen.add(column)
        for edge in into.get(column, ()):
            kept.add(edge)
            wanted.append(edge.upstream)
    return sorted(kept)


def origins(edges: Edges, column: ColumnRef) -> list[ColumnRef]:
    """Where a column comes from in the end: columns with nothing upstream, sorted."""
    path = upstream_of(edges, [column])
    made = {edge.downstream for edge in path}
    return sorted({edge.upstream for edge in path if edge.upstream not in made})


def dagster_column_deps(
    edges: Iterable[Edge],
) -> dict[tuple[str, ...], dict[str, list[tuple[tuple[str, ...], str]]]]:
    """Asset key → column → [(upstream asset key, upstream column)], as TableColumnLineage wants.

    The supplier's files are not assets and are left out.
    """
    deps: dict[tuple[str, ...], dict[str, list[tuple[tuple[str, ...], str]]]] = {}
    for edge in sorted(set(edges)):
        if edge.upstream.zone == SUPPLIER:
            continue
        columns = deps.setdefault(edge.downstream.asset_key, {})
        found = columns.setdefault(edge.downstream.column, [])
        found.append((edge.upstream.asset_key, edge.upstream.column))
    return deps


def edge_rows(edges: Iterable[Edge]) -> list[tuple[str, ...]]:
    """Rows of the lineage table: from zone, table, column, to zone, table, column, how."""
    return [
        (*_parts(edge.upstream), *_parts(edge.downstream), edge.how) for edge in sorted(set(edges))
    ]


def openlineage_events(edges: Iterable[Edge], event_time: str) -> list[dict[str, Any]]:
    """One OpenLineage JobEvent (design-time lineage) per table that is made.

    Args:
        event_time: ISO 8601 time with zone, given by the caller so that the result can be repeated.
    """
    by_table: dict[tuple[str, str], list[Edge]] = defaultdict(list)
    for edge in edges:
        by_table[edge.downstream.relation].append(edge)
    return [_event(relation, by_table[relation], event_time) for relation in sorted(by_table)]


def _event(relation: tuple[str, str], edges: list[Edge], event_time: str) -> dict[str, Any]:
    inputs = sorted({edge.upstream.relation for edge in edges})
    fields: dict[str, Any] = {}
    for edge in sorted(set(edges)):
        entry = fields.setdefault(edge.downstream.column, {"inputFields": []})
        entry["inputFields"].append(
            {**_dataset(edge.upstream.relation), "field": edge.upstream.column}
            | {"transformations": [{"type": "DIRECT", "description": edge.how}]}
        )
    facet = {"_producer": PRODUCER, "_schemaURL": _LINEAGE_FACET, "fields": fields}
    return {
        "eventTime": event_time,
        "producer": PRODUCER,
        "schemaURL": _EVENT_SCHEMA,
        "job": {"namespace": "linked_cyp", "name": f"make {'.'.join(relation)}"},
        "inputs": [_dataset(source) for source in inputs],
        "outputs": [{**_dataset(relation), "facets": {"columnLineage": facet}}],
    }


def _dataset(relation: tuple[str, str]) -> dict[str, str]:
    return {"namespace": "linked_cyp", "name": ".".join(relation)}


def _parts(column: ColumnRef) -> tuple[str, str, str]:
    return (column.zone, column.table, column.column)


def by_downstream(edges: Iterable[Edge]) -> dict[ColumnRef, list[Edge]]:
    """The edges that lead to each column."""
    into: dict[ColumnRef, list[Edge]] = defaultdict(list)
    for edge in edges:
        into[edge.downstream].append(edge)
    return into


def _known_columns(manifest: Mapping[str, Any]) -> Relations:
    """Columns of what dbt does not make by SQL: its sources and seeds."""
    known: Relations = {}
    for source in (manifest.get("sources") or {}).values():
        known[(source["schema"], source["identifier"])] = list(source.get("columns") or {})
    for node in (manifest.get("nodes") or {}).values():
        if node["resource_type"] in ("seed", "snapshot"):
            known[(node["schema"], node["alias"])] = list(node.get("columns") or {})
    return known


def _models_in_order(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Models, each after those it depends on."""
    models = {
        key: node
        for key, node in (manifest.get("nodes") or {}).items()
        if node["resource_type"] == "model"
    }
    done: set[str] = set()

    def visit(key: str) -> Iterator[Mapping[str, Any]]:
        if key in done or key not in models:
            return
        done.add(key)
        for upstream in sorted(models[key].get("depends_on", {}).get("nodes", ())):
            yield from visit(upstream)
        if models[key].get("config", {}).get("materialized") != "ephemeral":
            yield models[key]

    for key in sorted(models):
        yield from visit(key)
