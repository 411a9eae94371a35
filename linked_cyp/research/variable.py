"""One variable of a release: what it means, who says so, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

import polars as pl

FEW = 12  # codes that are shown; the others are in ``codes``


@dataclass(frozen=True, eq=False)
class Variable:
    """A column of a research table.

    Attributes:
        name: ``schema.table.column``.
        type: its DuckDB type.
        description: what it means.
        definition_source: who defines it so, to be cited; empty where nobody is.
        source_fields: the suppliers' fields that it is made from, as ``feed table.FIELD``.
        lineage: every step from those fields to here, one row each.
        codes: what its codes mean, one row each; empty where no list is known.
        rows: rows of the table.
        filled: rows in which it has a value.
    """

    name: str
    type: str
    description: str
    definition_source: str
    source_fields: tuple[str, ...]
    lineage: pl.DataFrame
    codes: pl.DataFrame
    rows: int
    filled: int

    @property
    def completeness(self) -> float | None:
        """Share of rows with a value, 0 to 1; None where there are no rows."""
        return self.filled / self.rows if self.rows else None

    def __str__(self) -> str:
        share = "no rows" if self.completeness is None else f"{self.completeness:.1%} filled"
        meaning = self.description.removesuffix(f" Source: {self.definition_source}.")
        lines = [f"{self.name} ({self.type}, {share})", meaning]
        if self.codes.height:
            lines.append(f"Codes: {self._meanings()}")
        if self.definition_source:
            lines.append(f"Defined by: {self.definition_source}")
        if self.source_fields:
            lines.append("Made from: " + "; ".join(self.source_fields))
        return "\n".join(lines)

    def _meanings(self) -> str:
        known = self.codes.select("code", "meaning").unique(maintain_order=True).rows()
        more = f"; and {len(known) - FEW} more" if len(known) > FEW else ""
        return "; ".join(f"{code} {meaning}" for code, meaning in known[:FEW]) + more

    def _repr_html_(self) -> str:
        """How a notebook shows it: in words, with its lineage folded away."""
        first, *rest = [escape(line) for line in str(self).splitlines()]
        words = "".join(f"<p>{line}</p>" for line in rest)
        steps = "".join(
            f"<tr><td>{escape(step)}</td><td>{escape(used)}</td><td>{escape(made)}</td></tr>"
            for step, used, made in self.lineage.select("step", "used", "made").rows()
        )
        head = "<tr><th>Step</th><th>From</th><th>To</th></tr>"
        return (
            f"<p><strong>{first}</strong></p>{words}<details><summary>Lineage,"
            f" {self.lineage.height} steps</summary><table>{head}{steps}</table></details>"
        )
