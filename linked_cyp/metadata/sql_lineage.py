"""Which columns a query's output columns are made from, read from its SQL with sqlglot.

Two things that sqlglot leaves out are added. ``UNION … BY NAME`` is put in order by name (sqlglot
goes by position). And a value looked up in a reference table, or in the bridge, is made not only
from that table but also from the columns it was looked up with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# (schema, table) → its columns, in order.
Relations = dict[tuple[str, str], list[str]]
# (schema, table, column)
Found = tuple[str, str, str]
# Zones whose tables translate one value into another.
LOOK_UPS = ("reference", "linkage")


def column_sources(sql: str, known: Relations) -> dict[str, list[Found] | None]:
    """Output column → the columns it is made from; None where that cannot be followed.

    Empty when the SQL cannot be read at all. A column made from constants or counted rows has an
    empty list.

    Args:
        sql: one DuckDB query, compiled, naming tables by schema.
        known: columns of the tables it names, where they are known.
    """
    from sqlglot import exp, parse_one
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope
    from sqlglot.schema import MappingSchema

    unreadable = (SqlglotError, RecursionError, AttributeError, KeyError, ValueError, IndexError)
    try:
        query: Any = parse_one(sql, dialect="duckdb")
        schema = MappingSchema(_nested_schema(query, known), dialect="duckdb")
        query = qualify(
            query, dialect="duckdb", schema=schema, validate_qualify_columns=False, identify=False
        )
        _put_unions_in_order(query)
        _add_look_up_keys(query)
        scope = build_scope(query)
        names = [name for name in query.named_selects if name != "*"]
    except unreadable:
        return {}
    found: dict[str, list[Found] | None] = {}
    for name in names:
        try:
            root = lineage(
                name,
                query,
                schema=schema,
                dialect="duckdb",
                scope=scope,
                trim_selects=False,
                copy=False,
            )
        except unreadable:
            found[name] = None
            continue
        leaves = {
            (node.expression.db, node.expression.name, node.name.rsplit(".", 1)[-1])
            for node in root.walk()
            if not node.downstream and isinstance(node.expression, exp.Table)
        }
        found[name] = sorted(leaf for leaf in leaves if leaf[2] != "*")
    return found


def _nested_schema(query: Any, known: Relations) -> dict[str, Any]:
    """The known columns of the tables a query names, nested as deeply as the query names them."""
    from sqlglot import exp

    schema: dict[str, Any] = {}
    for table in query.find_all(exp.Table):
        columns = known.get((table.db, table.name))
        if columns:
            place = schema.setdefault(table.catalog, {}) if table.catalog else schema
            place.setdefault(table.db, {})[table.name] = dict.fromkeys(columns, "VARCHAR")
    return schema


def _put_unions_in_order(query: Any) -> None:
    """Rewrite every ``UNION BY NAME`` as a union by position, with NULL where a side has no such
    column."""
    from sqlglot import exp

    for union in list(query.find_all(exp.SetOperation)):
        if union.args.get("by_name"):
            _arrange(union, _names(union))


def _names(query: Any) -> list[str]:
    from sqlglot import exp

    if isinstance(query, exp.Subquery):
        return _names(query.this)
    if isinstance(query, exp.SetOperation):
        left = _names(query.left)
        extra = _names(query.right) if query.args.get("by_name") else []
        return [*left, *(name for name in extra if name not in left)]
    return list(query.named_selects)


def _arrange(query: Any, names: Sequence[str]) -> None:
    """Make a query give exactly these columns in this order."""
    own = _names(query)
    _pick(query, [(name, own.index(name) if name in own else None) for name in names])


def _pick(query: Any, columns: Sequence[tuple[str, int | None]]) -> None:
    from sqlglot import exp

    if isinstance(query, exp.Subquery):
        _pick(query.this, columns)
    elif isinstance(query, exp.SetOperation) and query.args.get("by_name"):
        names = [name for name, _ in columns]
        query.set("by_name", False)
        _arrange(query.left, names)
        _arrange(query.right, names)
    elif isinstance(query, exp.SetOperation):
        _pick(query.left, columns)
        _pick(query.right, columns)
    else:
        given = query.expressions
        chosen = [
            exp.alias_(exp.null() if at is None else given[at].unalias(), name)
            for name, at in columns
        ]
        query.set("expressions", chosen)


def _add_look_up_keys(query: Any) -> None:
    """Where a select takes a column of a look-up table it joins, let it take the join's keys too.

    The query is only read, never run, so ``coalesce(looked_up, key, …)`` says enough.
    """
    from sqlglot import exp

    for select in query.find_all(exp.Select):
        keys = _look_up_keys(select)
        for projection in select.expressions:
            for column in list(projection.find_all(exp.Column)):
                used = keys.get(column.table)
                if used:
                    wider: Any = exp.Coalesce(
                        this=column.copy(), expressions=[k.copy() for k in used]
                    )
                    if column is projection:
                        wider = exp.alias_(wider, column.name)
                        select.set(
                            "expressions",
                            [wider if e is projection else e for e in select.expressions],
                        )
                    else:
                        column.replace(wider)


def _look_up_keys(select: Any) -> Mapping[str, list[Any]]:
    """Alias of each joined look-up table → the other tables' columns in its join condition."""
    from sqlglot import exp

    keys = {}
    for join in select.args.get("joins") or ():
        condition = join.args.get("on")
        if isinstance(join.this, exp.Table) and join.this.db in LOOK_UPS and condition:
            alias = join.alias_or_name
            keys[alias] = [c for c in condition.find_all(exp.Column) if c.table != alias]
    return keys
