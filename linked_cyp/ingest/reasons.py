"""Why a delivery is refused: for the operator in our names, for the supplier in theirs."""

from __future__ import annotations

from dataclasses import dataclass

from linked_cyp.contracts.model import Column, Table
from linked_cyp.ingest.ledger import UNLESS_TOLD


@dataclass(frozen=True)
class Reason:
    """``says`` is a sentence without any value; ``{table}``, ``{column}`` (with its table),
    ``{name}`` (without), ``{other}`` and ``{file}`` stand in it for what it is about.

    ``is_overruled``: the delivery is taken once the operator says that it is right.
    """

    rule: str
    says: str
    table: Table | None = None
    column: Column | None = None
    other: Table | None = None
    file: int | None = None
    is_overruled: bool = False

    def __str__(self) -> str:
        """The sentence as the ledger keeps it."""
        table, column = self.table, self.column
        written = f"{table.name}.{column.name} ({column.physical_name})" if table and column else ""
        text = self.says.format(
            table=table.name if table else "",
            column=written,
            name=column.name if column else "",
            other=self.other.name if self.other else "",
            file=self.file,
        )
        return f"{text}, {UNLESS_TOLD}" if self.is_overruled else text

    @property
    def in_suppliers_words(self) -> str:
        """The sentence with the return's own names."""
        return self.says.format(
            table=self.table.physical_name if self.table else "",
            column=self.column.physical_name if self.column else "",
            name=self.column.physical_name if self.column else "",
            other=self.other.physical_name if self.other else "",
            file=self.file,
        )
