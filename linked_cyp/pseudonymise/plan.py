"""How a contract's pseudonymisation plan is carried out: look-up tables, then one statement.

Every value is made by SQL from the raw row and a look-up table; nothing reaches the output that
:func:`insert_statement` does not name, and :func:`refuse_unsafe` says what it may name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import duckdb
import polars as pl

from linked_cyp.contracts.model import Column, OutputColumn, Table
from linked_cyp.contracts.pseudonymised import ROW_COLUMNS, declared_only, target
from linked_cyp.contracts.vocabulary import TREATMENTS
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.sql import literal, quoted
from linked_cyp.identity import tokenise
from linked_cyp.identity.keys import Keys
from linked_cyp.identity.tokenise import Source, raw

# Roles that say who somebody is everywhere, not only at one supplier: no contract can have them
# kept, nor tokenised, as tokens of them fall to frequencies and belong to linkage alone.
IDENTIFYING_ROLES = (
    *("nhs_number", "former_nhs_number", "upn", "former_upn", "forename", "middle_names"),
    *("surname", "former_surname", "preferred_surname", "birth_date", "postcode"),
)


def refuse_unsafe(table: Table) -> None:
    """Refuse a plan that this module cannot carry out or that would let an identifier through.

    Raises:
        LinkedCypError: names the table, the column and the reason.
    """
    for column in table.columns:
        if column.pseudonymisation not in TREATMENTS:
            raise LinkedCypError(f"{table.table_name}.{column.name}: unknown treatment")
    declared = table.columns
    for output in table.pseudonymised():
        place = f"{table.table_name}.{output.name}"
        if output.source not in declared or output.treatment != output.source.pseudonymisation:
            raise LinkedCypError(f"{place}: not made as its column's contract says")
        if output.treatment == "drop":
            raise LinkedCypError(f"{place}: a dropped column cannot be in the output")
        if output.treatment == "keep" and _is_direct(output.source):
            raise LinkedCypError(f"{place}: an identifier cannot be kept")
        if output.treatment in ("keep", "token") and _identifies(output.source):
            raise LinkedCypError(f"{place}: belongs to linkage alone, not even as a token")


@dataclass
class LookUps:
    """The look-up tables one delivery needs: each scope, person key and postcode set once.

    Tables of a feed share them, so that a child's id found in ten tables is hashed once.
    """

    feed: str
    scopes: dict[str, tuple[Column, list[Source]]] = field(default_factory=dict)
    persons: dict[tuple[object, ...], tuple[Table, list[Source]]] = field(default_factory=dict)
    postcodes: list[Source] = field(default_factory=list)

    @classmethod
    def plan(cls, feed: str, tables: Iterable[Table]) -> LookUps:
        """What the tables' contract plans call for."""
        plan = cls(feed)
        for table in tables:
            for output in table.pseudonymised():
                source = Source(table.table_name, (output.source.name,))
                if output.treatment == "token":
                    column, sources = plan.scopes.setdefault(_scope(output), (output.source, []))
                    if tokenise.rule_for(column) is not tokenise.rule_for(output.source):
                        raise LinkedCypError(
                            f"{table.table_name}.{output.name}: shares the token scope of another "
                            "kind of identifier"
                        )
                    sources.append(source)
                elif output.treatment == "coarsen_lsoa" and source not in plan.postcodes:
                    plan.postcodes.append(source)
            if table.person_key:
                _, sources = plan.persons.setdefault(_person_kind(table), (table, []))
                sources.append(Source(table.table_name, tokenise.key_columns(table)))
        return plan

    def scope(self, output: OutputColumn) -> str:
        return f"look_up_token_{list(self.scopes).index(_scope(output))}"

    def person(self, table: Table) -> str:
        return f"look_up_person_{list(self.persons).index(_person_kind(table))}"

    @property
    def places(self) -> str:
        return "look_up_places"

    def names(self) -> list[str]:
        """Every look-up table: they hold identifiers in clear and are dropped at the end."""
        tokens = [f"look_up_token_{n}" for n in range(len(self.scopes))]
        return [*tokens, *(f"look_up_person_{n}" for n in range(len(self.persons))), self.places]

    def make(
        self,
        con: duckdb.DuckDBPyConnection,
        deliveries: list[str],
        keys: Keys,
        postcodes: pl.DataFrame,
    ) -> None:
        """Create the temporary tables for some deliveries."""
        for number, (scope, (column, sources)) in enumerate(self.scopes.items()):
            rule = tokenise.rule_for(column)
            name = f"look_up_token_{number}"
            tokenise.token_map(con, name, self.feed, scope, rule, sources, deliveries, keys)
        for number, (table, sources) in enumerate(self.persons.values()):
            name = f"look_up_person_{number}"
            tokenise.record_key_map(con, name, table, sources, deliveries, keys)
        if self.postcodes:
            tokenise.place_map(con, self.places, self.postcodes, deliveries, postcodes)


def insert_statement(table: Table, look_ups: LookUps) -> str:
    """One statement that reads a raw table once and writes its pseudonymised copy."""
    selected = {name: f"r.{name}" for name in ROW_COLUMNS}
    joins: dict[str, str] = {}
    if table.person_key:
        selected["record_key"] = "person.record_key"
        on = tokenise.joined("r", "person", tokenise.key_columns(table))
        joins["person"] = f"LEFT JOIN {look_ups.person(table)} person ON {on}"
    for number, output in enumerate(table.pseudonymised()):
        column = f"r.{quoted(output.source.name)}"
        match output.treatment:
            case "keep":
                made = declared_only(output.source, column)
                if output.source.withheld:
                    made = f"CASE WHEN NOT ({withheld(table)}) THEN {made} END"
            case "coarsen_month":
                made = f"date_trunc('month', {column})"
            case "coarsen_year":
                made = f"year({column})"
            case "token":
                alias = f"token_{number}"
                on = tokenise.joined("r", alias, [output.source.name])
                joins[alias] = f"LEFT JOIN {look_ups.scope(output)} {alias} ON {on}"
                made = f"{alias}.token"
            case "coarsen_lsoa":
                alias = f"place_{list(table.columns).index(output.source)}"
                on = tokenise.joined("r", alias, [output.source.name])
                joins[alias] = f"LEFT JOIN {look_ups.places} {alias} ON {on}"
                area = output.name.removeprefix(output.source.name.removesuffix("postcode"))
                made = f"{alias}.{quoted(area)}"
            case _:
                raise LinkedCypError(f"{table.table_name}.{output.name}: unknown treatment")
        selected[output.name] = f"CAST({made} AS {output.sql_type})"
    names = ", ".join(quoted(name) for name in selected)
    return (
        f"INSERT INTO {target(table)} ({names}) SELECT {', '.join(selected.values())} "
        f"FROM {raw(table.table_name)} r {' '.join(joins.values())} WHERE r.delivery_id = ?"
    )


def withheld(table: Table) -> str:
    """Whether a raw row ``r`` holds a withheld code: then all its codes of that kind are null.

    All of them, as one may give away the other: a medicine and its class.
    """
    tests = []
    for column in table.columns:
        if column.withheld is None:
            continue
        name = f"coalesce(r.{quoted(column.name)}, '')"
        whole = [c for c in column.withheld.values if not c.endswith("*")]
        tests.append(f"{name} IN ({', '.join(literal(code) for code in whole)})" if whole else "")
        tests += [
            f"starts_with({name}, {literal(code.removesuffix('*'))})"
            for code in column.withheld.values
            if code.endswith("*")
        ]
    return " OR ".join(filter(None, tests)) or "false"


def _scope(output: OutputColumn) -> str:
    return output.source.token_scope or output.source.name


def _person_kind(table: Table) -> tuple[object, ...]:
    """Tables whose person keys are made alike can share one look-up table."""
    kinds = ((c.linkage_role, c.identifier_type) for c in _key_column_contracts(table))
    return (table.person_key, *kinds)


def _key_column_contracts(table: Table) -> list[Column]:
    return [table.column(name) for name in tokenise.key_columns(table)]


def _is_direct(column: Column) -> bool:
    return column.classification == "direct_identifier" or column.linkage_role == "la_child_id"


def _identifies(column: Column) -> bool:
    return column.identifier_type is not None or column.linkage_role in IDENTIFYING_ROLES
