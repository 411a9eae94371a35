"""The Department for Education's validation rules for its statutory returns, run in DuckDB."""

from linked_cyp.dfe_rules.engine import run_rules, runnable_rules
from linked_cyp.dfe_rules.rules import Rule, has_rules, load_rules

__all__ = ["Rule", "has_rules", "load_rules", "run_rules", "runnable_rules"]
