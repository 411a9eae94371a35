"""What can be read from person records without their key: attacks, run and counted.

The attacker has the whole table, knows how it is made (but for the key) and how often each name
occurs in the very population attacked, and may know some of the children. See
``docs/linkage_attacks.md`` for what came of it.
"""

from linked_cyp.linkage.attacks.suite import run_attacks, summarise

__all__ = ["run_attacks", "summarise"]
