"""Linkage from the command line: a model trained anew, compared and accepted; records attacked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.settings import Settings

if TYPE_CHECKING:
    import polars as pl

app = typer.Typer(
    help="The linkage model: train anew, compare, accept. Its records: attack them.",
    no_args_is_help=True,
)
console = Console()
LARGEST_CHANGES = 10
CHILDREN = 4_000


@app.command(epilog="Example: [bold]linked-cyp linkage retrain[/bold]")
def retrain() -> None:
    """Train a candidate on the records of now and show what it would change. Nothing changes."""
    from linked_cyp.linkage import retraining
    from linked_cyp.stores.door import Stores

    with Stores(Settings.from_environment()).connect(linkage="rw") as con:
        proposed = retraining.propose(con)
        rows = retraining.compare(con)
    _show(rows)
    console.print(f"To put it in force: [bold]linked-cyp linkage accept {proposed.model_id}[/bold]")


@app.command(epilog="Example: [bold]linked-cyp linkage compare[/bold]")
def compare() -> None:
    """Compare the newest candidate with the model in force once more, on the records of now."""
    from linked_cyp.linkage import retraining
    from linked_cyp.stores.door import Stores

    with Stores(Settings.from_environment()).connect(linkage="rw") as con:
        _show(retraining.compare(con))


@app.command(epilog="Example: [bold]linked-cyp linkage accept 2[/bold]")
def accept(
    model: Annotated[int, typer.Argument(help="Number of the newest candidate.")],
) -> None:
    """Put a compared candidate in force. The next run links with it."""
    from linked_cyp.linkage import retraining
    from linked_cyp.stores.door import Stores

    with Stores(Settings.from_environment()).connect(linkage="rw") as con:
        accepted = retraining.accept_model(con, model)
    console.print(f"Linkage model {accepted.model_id} is in force.", highlight=False)
    console.print("The next run links with it: [bold]linked-cyp refresh[/bold]")


@app.command(epilog="Example: [bold]linked-cyp linkage status[/bold]")
def status() -> None:
    """Every model, and what each blocking rule found when pairs were last scored."""
    from linked_cyp.linkage import retraining
    from linked_cyp.linkage.pairs import blocking
    from linked_cyp.stores.door import Stores

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


@app.command(epilog="Example: [bold]linked-cyp linkage attack --children 4000[/bold]")
def attack(
    children: Annotated[
        int, typer.Option(min=1000, help="How many at most; 4,000 take some two minutes.")
    ] = CHILDREN,
) -> None:
    """Attack the store's own records: how many names can be read without the key.

    Reads the names in the deliveries to count by, in memory, and keeps rates only. The linkage
    report shows them from its next run on.
    """
    from linked_cyp.contracts.model import load_contracts
    from linked_cyp.expectations import run_rules
    from linked_cyp.linkage.attacks import summarise
    from linked_cyp.linkage.attacks.rules import attack_rules
    from linked_cyp.linkage.attacks.store import TABLE, attack_store
    from linked_cyp.linkage.attacks.table import groups
    from linked_cyp.stores.door import Stores

    settings = Settings.from_environment()
    stores = Stores(settings)
    stores.keys()
    bar = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*bar, console=console) as progress:
        task = progress.add_task("Reading records and names", total=None)

        def on_seed(done: int, seeds: int) -> None:
            progress.update(
                task, description=f"Attacking, {seeds} keys", completed=done, total=seeds
            )

        attacks = attack_store(
            stores, load_contracts(settings.contracts), children=children, on_seed=on_seed
        )
        with stores.connect(linkage="ro") as con:
            failed = [o for o in run_rules(con, TABLE, attack_rules()) if not o.passed]
    for group in groups(summarise(attacks)):
        shown = Table("attack", "children known", *group.fields, title=group.title)
        for row in group.rows:
            shown.add_row(row.attack, str(row.known), *(cell or "-" for cell in row.cells))
        console.print(shown)
    tried, there = attacks["children"][0], attacks["of_children"][0]
    console.print(f"Per cent of records named, {tried:,} of {there:,} children.", highlight=False)
    console.print("These are the rates of these attacks; a better one may exist.")
    for outcome in failed:
        console.print(f"check failed: {outcome.name}: {outcome.description}", highlight=False)
    if any(outcome.severity == "error" for outcome in failed):
        raise LinkedCypError("the attacks failed on the control: they prove nothing")


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
