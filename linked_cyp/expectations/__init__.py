"""Checks: rules from contracts, run by Great Expectations inside DuckDB, counts only.

`rules` turns a contract into named rules, `suite` runs them in one validation per table. Great
Expectations itself is imported when the first check runs, because that takes seconds.
"""

from linked_cyp.expectations.rules import Rule, contract_rules, ledger_rules, pseudonymised_rules
from linked_cyp.expectations.suite import CheckOutcome, run_rules

__all__ = [
    "CheckOutcome",
    "Rule",
    "contract_rules",
    "ledger_rules",
    "pseudonymised_rules",
    "run_rules",
]
