"""What must hold for the results of the attacks: the checks of ``linkage/attack``.

They are shown and not recorded: no bridge, table or release waits for them.
"""

from __future__ import annotations

from linked_cyp.expectations.rules import Rule, zero_rows

CONTROL_FALLS = 0.9  # of plain records named; 99.9 % were (docs/linkage_attacks.md)
SALT_CONTROL_FALLS = 0.5
NAMED_TOO_OFTEN = 0.2  # 14.1 % is the most measured, 15.2 % the upper end of its interval
FEWEST_RECORDS = 200  # of fewer, a fifth may be named by chance
KNOWN_SHARE = 10  # whoever knows a tenth of the children is not attacking encodings


def attack_rules() -> list[Rule]:
    """Relation ``linkage.main.attack``."""
    return [
        zero_rows(
            "control__fell",
            "SELECT 1 FROM (VALUES ('forename'), ('surname')) f(field) LEFT JOIN"
            " (SELECT field, sum(correct) / sum(attacked) AS rate FROM {batch}"
            "  WHERE encoding = 'plain' AND attack = 'bits' GROUP BY field) USING (field)"
            f" WHERE coalesce(rate, 0) < {CONTROL_FALLS}",
            f"The attack on bits names at least {CONTROL_FALLS:.0%} of the same records encoded"
            " plainly; else its failing elsewhere proves nothing.",
        ),
        zero_rows(
            "control__fell_within_salt",
            "SELECT 1 FROM (SELECT coalesce(sum(correct) / sum(attacked), 0) AS rate FROM {batch}"
            " WHERE encoding = 'birth_date_salt' AND field = 'forename' AND known ="
            " (SELECT max(known) FROM {batch} WHERE encoding = 'birth_date_salt'))"
            f" WHERE rate < {SALT_CONTROL_FALLS}",
            f"With most children known, the attack inside a salt names at least"
            f" {SALT_CONTROL_FALLS:.0%} of records that are salted by birth date alone.",
            "warn",
        ),
        zero_rows(
            "name__rarely_read",
            "SELECT 1 FROM {batch} WHERE encoding NOT IN ('plain', 'birth_date_salt')"
            f" AND field <> 'birth_date' AND known * {KNOWN_SHARE} <= children"
            ' GROUP BY attack, encoding, field, known, "column"'
            f" HAVING sum(attacked) / count(DISTINCT seed) >= {FEWEST_RECORDS}"
            f" AND sum(correct) / sum(attacked) > {NAMED_TOO_OFTEN}",
            f"No attack names more than {NAMED_TOO_OFTEN:.0%} of hardened records.",
            "warn",
        ),
    ]
