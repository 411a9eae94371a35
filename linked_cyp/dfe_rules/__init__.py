"""The Department for Education's validation rules for its statutory returns, run in DuckDB."""

from linked_cyp.dfe_rules.engine import run_rules
from linked_cyp.dfe_rules.rules import Rule, load_rules

__all__ = ["Rule", "load_rules", "run_rules"]
