"""The linkage model from the command line: train anew, compare, accept, see where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from linked_cyp.settings import Settings

if TYPE_CHECKING:
    import polars as pl

app = typer.Typer(
    help="The linkage model: train anew, compare with the one in force, accept.",
    no_args_is_help=True,
)
console = Console()
LARGEST_CHANGES = 10


@app.command(epilog="Example: [bold]linked-cyp linkage retrain[/bold]")
def retrain() -> None:
    """Train a candidate on the records of now and show what it would change. Nothing changes."""
    from linked_cyp.linkage import retraining
    from linked_cyp.stores import Stores

    with Stores(Settings.from_environment()).connect(linkage="rw") as con:
        proposed = retraining.propose(con)
        rows = retraining.compare(con)
    _show(rows)
    console.print(f"To put it in force: [bold]linked-cyp linkage accept {proposed.model_id}[/bold]")


@app.command(epilog="Example: [bold]linked-cyp linkage compare[/bold]")
def compare() -> None:
    """Compare the newest candidate with the model in force once more, on the records of now."""
    from linked_cyp.linkage import retraining
    from linked_cyp.stores import Stores

    with Stores(Settings.from_environment()).connect(linkage="rw") as con:
        _show(retraining.compare(con))


@app.command(epilog="Example: [bold]linked-cyp linkage accept 2[/bold]")
def accept(
    model: Annotated[int, typer.Argument(help="Number of the newest candidate.")],
) -> None:
    """Put a compared candidate in force. The next run links with it."""
    from linked_cyp.linkage import retraining
    from linked_cyp.stores import Stores

    with Stores(Settings.from_environment()).connect(linkage="rw") as con:
        accepted = retraining.accept_model(con, model)
    console.print(f"Linkage model {accepted.model_id} is in force.", highlight=False)
    console.print("The next run links with it: [bold]linked-cyp refresh[/bold]")


@app.command(epilog="Example: [bold]linked-cyp linkage status[/bold]")
def status() -> None:
    """Every model, and what each blocking rule found when pairs were last scored."""
    from linked_cyp.linkage import blocking, retraining
    from linked_cyp.stores import Stores

    with Stores(Settings.from_environment()).connect(linkage="ro") as con:
        models = retraining.models(con)
        rules = blocking.read_counts(con)
    if models.is_empty():
        console.print("No linkage model has been trained yet.")
        return
    table = Table("model", "status", "trained", "records", "sessions", title="Linkage models")
    for number, state, created, records, sessions in models.iter_rows():
        table.add_row(
            str(number), state, f"{created:%Y-%m-%d %H:%M}", f"{records:,}", ", ".join(sessions)
        )
    console.print(table)
    table = Table("blocking rule", "candidates", "used", "groups too large", title="Candidates")
    for rule, pairs, is_used, groups in rules:
        table.add_row(rule, f"{pairs:,}", "yes" if is_used else "no", f"{groups:,}")
    console.print(table)


def _show(rows: pl.DataFrame) -> None:
    """What would change, and the weights that change most."""
    from linked_cyp.linkage.retraining import summary

    table = Table("", "", title="What the candidate would change", show_header=False)
    for name, number in summary(rows).items():
        table.add_row(name, f"{number:,.1f}" if "weight" in name else f"{number:,.0f}")
    console.print(table)
    weights = rows.filter(measure="weight").drop_nulls(["before", "after"])
    weights = weights.with_columns(change=(weights["after"] - weights["before"]).abs())
    table = Table("comparison", "level", "before", "after", title="Match weights")
    for row in weights.sort("change", descending=True).head(LARGEST_CHANGES).to_dicts():
        table.add_row(
            row["comparison"], row["level"], f"{row['before']:.2f}", f"{row['after']:.2f}"
        )
    console.print(table)
