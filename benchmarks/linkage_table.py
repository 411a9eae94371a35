"""The figures of :mod:`benchmarks.linkage` as lines and Markdown tables."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

Result = dict[str, Any]
STEPS = ("encode", "train", "predict", "resolve")
SHARES = ("precision", "recall", "f1")


def total(result: Result) -> float:
    return sum(result["seconds"].values())


def line(result: Result) -> str:
    """One result on one line, for the terminal."""
    steps = "".join(f" {step} {result['seconds'].get(step, 0):.1f}" for step in STEPS)
    shares = "".join(f" {share[0].upper()} {result[share]:.4f}" for share in SHARES)
    cpu = sum(result["cpu"].values())
    return (
        f"{result['records']:>9,} {result['variant']:<15}{steps} = {total(result):.1f} s"
        f" ({cpu:.1f} s of processor) {result['gigabytes']:.2f} GB{shares}"
    )


def table(results: list[Result]) -> str:
    """Markdown: speed and quality, growth with size, recall by group for the largest run."""
    parts = [_main(results), _growth(results), _groups(results)]
    return "\n\n".join(part for part in parts if part)


def _rows(header: list[str], rows: list[list[str]]) -> str:
    rule = ["---", "---", *["---:"] * (len(header) - 2)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rule, *rows))


def _main(results: list[Result]) -> str:
    header = ["records", "variant", *(f"{step} s" for step in STEPS), "total s", "of clear"]
    header += ["of recipe", "GB", "million pairs", "precision", "recall", "F1"]
    header += ["twins merged %", "siblings merged %"]
    rows = []
    for result in results:
        same = {
            r["variant"]: total(r)
            for r in results
            if [r[k] for k in ("size", "level", "seed")]
            == [result[k] for k in ("size", "level", "seed")]
        }
        ratios = [
            f"{total(result) / same[other]:.2f}" if other in same else ""
            for other in ("clear", "recipe")
        ]
        rows.append(
            [
                f"{result['records']:,}" + f" ({result['level']}, {result['seed']})",
                result["variant"],
                *(f"{result['seconds'].get(step, 0):.1f}" for step in STEPS),
                f"{total(result):.1f}",
                *ratios,
                f"{result['gigabytes']:.2f}",
                f"{result['pairs'] / 1e6:.2f}",
                *(f"{result[share]:.4f}" for share in SHARES),
                *(f"{100 * result[k]:.3f}" for k in ("twins_merged", "siblings_merged")),
            ]
        )
    return _rows(header, rows)


def _growth(results: list[Result]) -> str:
    """b in time ~ n^b from each size to the next."""
    rows = []
    for variant in dict.fromkeys(r["variant"] for r in results):
        mine = sorted((r for r in results if r["variant"] == variant), key=lambda r: r["records"])
        for small, large in pairwise(mine):
            if small["level"] == large["level"] and small["records"] < large["records"]:
                power = math.log(total(large) / total(small)) / math.log(
                    large["records"] / small["records"]
                )
                sizes = f"{small['records']:,} to {large['records']:,}"
                rows.append([variant, sizes, f"{power:.2f}"])
    return _rows(["variant", "records", "time grows as n to the"], rows) if rows else ""


def _groups(results: list[Result]) -> str:
    """Recall by group at the largest size, with the distance of the worst from the mean."""
    if not results:
        return ""
    most = max(r["size"] for r in results)
    chosen = [r for r in results if r["size"] == most]
    variants = [r["variant"] + f" ({r['level']}, {r['seed']})" for r in chosen]
    rows = []
    for kind, groups in chosen[0]["groups"].items():
        for group, (_, pairs) in groups.items():
            found = [r["groups"][kind].get(group, [float("nan")])[0] for r in chosen]
            rows.append([kind, group, f"{pairs:,.0f}", *(f"{share:.4f}" for share in found)])
    rows.append(["all", "", "", *(f"{r['recall']:.4f}" for r in chosen)])
    return _rows(["recall by", "group", "true pairs", *variants], rows)
