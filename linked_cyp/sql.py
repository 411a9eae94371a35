"""Quoting for generated SQL."""

from __future__ import annotations


def quoted(name: str) -> str:
    """One identifier, quoted; DuckDB reserves words that standard SQL does not."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """One string literal."""
    return "'" + text.replace("'", "''") + "'"
