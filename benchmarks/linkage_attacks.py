"""Attack the person records of a realistic population (``docs/linkage_attacks.md``).

python -m benchmarks.linkage_attacks --children 8000 --seeds 5
"""

from __future__ import annotations

import argparse
import time

from benchmarks.linkage_population import population
from linked_cyp.linkage.attacks import run_attacks, summarise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--children", type=int, default=8_000)
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    people = population(given.children)
    persons = people.truth.join(people.people.select("child", "household"), on="child")
    start = time.process_time()
    attacks = run_attacks(people.identities, persons, range(1, given.seeds + 1))
    columns = ("attack", "encoding", "field", "column", "known", "attacked")
    rates = ("rate", "low", "high", "baseline")
    print(f"| {' | '.join((*columns, *rates))} |")
    print("|---" * (len(columns) + len(rates)) + "|")
    for row in summarise(attacks).iter_rows(named=True):
        cells = [str(row[c] if row[c] is not None else "") for c in columns]
        cells += [f"{100 * row[c]:.2f}" if row[c] is not None else "" for c in rates]
        print(f"| {' | '.join(cells)} |")
    print(f"Rates in per cent; {time.process_time() - start:.0f} s of CPU time")


if __name__ == "__main__":
    main()
