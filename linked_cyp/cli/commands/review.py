"""Clerical review from the command line: draw a sheet, take decisions in, see where it stands."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from linked_cyp.core.settings import Settings

app = typer.Typer(
    help="Clerical review of doubtful pairs, without a name, number, date or address.",
    no_args_is_help=True,
)
console = Console()


@app.command(epilog="Example: [bold]linked-cyp review sheet --pairs 100[/bold]")
def sheet(
    pairs: Annotated[int, typer.Option(min=1, max=1000, help="How many pairs at most.")] = 100,
    out: Annotated[
        Path | None, typer.Option(help="The HTML file; by default in the reviews folder.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Draw the same pairs again.")] = None,
) -> None:
    """Draw undecided pairs around the thresholds and write them as an offline HTML sheet."""
    from linked_cyp.linkage.review.patterns import sheet_pairs
    from linked_cyp.linkage.review.sampling import draw_sheet
    from linked_cyp.linkage.review.sheet import review_sheet
    from linked_cyp.pages import write_page
    from linked_cyp.stores.door import Stores

    settings = Settings.from_environment()
    with Stores(settings).connect(linkage="rw") as con:
        sheet_id = draw_sheet(con, pairs=pairs, seed=seed)
        drawn = sheet_pairs(con, sheet_id)
    path = out or settings.home / "reviews" / f"{sheet_id}.html"
    write_page(review_sheet(sheet_id, drawn), path)
    console.print(f"{len(drawn)} pairs on sheet {sheet_id}: {path}", highlight=False)


@app.command(
    epilog="Example: [bold]linked-cyp review record review-20250131-3f9a1c.csv "
    '--reviewer "A. Example"[/bold]'
)
def record(
    file: Annotated[Path, typer.Argument(help="The CSV file that the sheet saved.")],
    reviewer: Annotated[str, typer.Option(help="Who decided; kept with every decision.")],
) -> None:
    """Take a reviewer's decisions in: all of the file, or nothing. The next run applies them."""
    from linked_cyp.linkage.review.decisions import record_decisions
    from linked_cyp.stores.door import Stores

    with Stores(Settings.from_environment()).connect(linkage="rw") as con:
        taken = record_decisions(con, file, reviewer=reviewer)
    counts = ", ".join(f"{count} {word}" for word, count in taken.decisions.items())
    console.print(f"Recorded for sheet {taken.sheet_id}: {counts}.", highlight=False)
    if taken.repeated:
        console.print(
            f"{taken.repeated:,} were recorded before and are not taken twice; to say one again,"
            " give it another note."
        )
    if taken.left_blank:
        console.print(f"{taken.left_blank} pairs were left blank.")
    console.print("The next run applies them: [bold]linked-cyp refresh[/bold]")


@app.command(epilog="Example: [bold]linked-cyp review status[/bold]")
def status() -> None:
    """What has been decided, how far reviewers agree, and how right pairs are by weight."""
    from linked_cyp.linkage.review.standing import standing
    from linked_cyp.stores.door import Stores

    with Stores(Settings.from_environment()).connect(linkage="ro") as con:
        found = standing(con)
    console.print(f"{found.sheets} sheets with {found.drawn} pairs")
    words = ", ".join(f"{n} {word}" for word, n in found.decisions.items())
    console.print(f"Decisions that count: {words}")
    for name, count in found.reviewers.items():
        console.print(f"  {name}: {count}", markup=False)
    if found.agreement is None:
        console.print("No pair has been seen by two reviewers yet.")
    else:
        console.print(
            f"Reviewers agree on {_share(found.agreement)} of {found.pairs_seen_twice} pairs "
            f"({_share(found.agreement_low)} to {_share(found.agreement_high)})"
        )
    table = Table("stands on", "weight from", "same", "different", "unsure", "precision", "95 %")
    for row in found.bands.iter_rows(named=True):
        table.add_row(
            row["edge_class"],
            f"{row['band']:.0f}",
            *(str(row[word]) for word in ("same", "different", "unsure")),
            _share(row["value"]),
            f"{_share(row['low'])} to {_share(row['high'])}",
        )
    if found.bands.height:
        console.print(table)


@app.command(epilog='Example: [bold]linked-cyp review threshold --apply --by "A. Example"[/bold]')
def threshold(
    apply: Annotated[bool, typer.Option("--apply", help="Put them into force.")] = False,
    by: Annotated[str, typer.Option(help="Who answers for it; needed with --apply.")] = "",
) -> None:
    """The thresholds that the decisions ask for under the loss of parameters.toml."""
    from linked_cyp.linkage.model.parameters import parameters
    from linked_cyp.linkage.review.standing import thresholds_from_decisions
    from linked_cyp.linkage.review.thresholds import set_thresholds
    from linked_cyp.stores.door import Stores

    chosen = parameters()
    with Stores(Settings.from_environment()).connect(linkage="rw" if apply else "ro") as con:
        in_force, choices = thresholds_from_decisions(con, chosen)
        written = (
            set_thresholds(con, choices, chosen.loss, decided_by=by, basis="clerical decisions")
            if apply
            else {}
        )
    loss = chosen.loss
    console.print(f"One wrong link costs {loss.false_link / loss.missed_link:g} missed ones.")
    table = Table("stands on", "in force", "loss", "asked for", "95 %", "loss", "labelled", "")
    for name, weight in in_force.items():
        choice = choices.get(name)
        if choice is None:
            table.add_row(name, _weight(weight), "", "", "", "", "0", "no decisions")
            continue
        table.add_row(
            name,
            _weight(weight),
            f"{choice.loss_at(weight):.1f}",
            _weight(choice.weight),
            f"{_weight(choice.low)} to {_weight(choice.high)}",
            f"{choice.loss:.1f}",
            f"{choice.same} + {choice.different}",
            "in force now"
            if name in written
            else ("" if choice.is_supported else "too few to go by"),
        )
    console.print(table)
    console.print("Loss is expected for 1,000 pairs of the kind; labelled is same + different.")


def _weight(weight: float) -> str:
    return "none believed" if math.isinf(weight) else f"{weight:.1f}"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
