"""The command line. Every command has an example, a progress display, and one line on failure."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from linked_cyp.cli.commands import encode, generate, linkage, opt_outs, pseudonym, review
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.core.files import readable
from linked_cyp.core.settings import PROJECT_ROOT, Settings

app = typer.Typer(
    name="linked-cyp",
    help="Turn the records that services hold about children into one pseudonymised, linked, "
    "research-ready dataset.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
keys_app = typer.Typer(help="The master key that every pseudonym depends on.", no_args_is_help=True)
app.add_typer(keys_app, name="keys")
encode.register(app, keys_app)
generate.register(app)
pseudonym.register(keys_app)
app.add_typer(linkage.app, name="linkage")
app.add_typer(review.app, name="review")
app.add_typer(opt_outs.app, name="opt-outs")
console = Console()
errors = Console(stderr=True, soft_wrap=True)  # one line stays one line


def main() -> None:
    """Run a command; any failure is one line on standard error and exit code 1."""
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "yes")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    logging.getLogger("great_expectations").setLevel(logging.CRITICAL)
    try:
        app()
    except LinkedCypError as error:
        errors.print(f"[red]error:[/red] {error}", highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        errors.print("stopped; what was finished is kept, and the command can be run again")
        sys.exit(130)
    except Exception as error:  # its message may quote a value from the data
        errors.print(f"[red]error:[/red] unexpected {type(error).__name__}{_where(error)}")
        sys.exit(1)


@keys_app.command("create", epilog="Example: [bold]linked-cyp keys create[/bold]")
def keys_create(
    file: Annotated[
        Path | None, typer.Option(help="Where to write it; by default LINKED_CYP_KEY_FILE.")
    ] = None,
) -> None:
    """Create the master key file (256 random bits, readable by you alone). Never overwrites."""
    from linked_cyp.identity.keys import create_master_key

    path = file or Settings.from_environment().key_file
    create_master_key(path)
    console.print(f"Master key written to {path}. Keep a copy apart from the data: without it,")
    console.print("no store opens and no pseudonym can be made again.")


@app.command(epilog="Example: [bold]linked-cyp synthesise --children 5000[/bold]")
def synthesise(
    children: Annotated[int, typer.Option(min=1, help="How many children.")] = 5000,
    local_authorities: Annotated[
        int, typer.Option(min=1, max=6, help="How many of the six invented ones.")
    ] = 3,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 1,
) -> None:
    """Write an invented population's deliveries, in native formats, into the landing folder."""
    settings = Settings.from_environment()
    _synthesise(settings, children, local_authorities, seed)


@app.command(epilog="Example: [bold]linked-cyp ingest data/landing/brent/ssda903/2025[/bold]")
def ingest(
    folder: Annotated[
        Path | None,
        typer.Argument(help="One delivery's folder; by default everything new in landing."),
    ] = None,
    allow: Annotated[
        str | None,
        typer.Option(help="A refused delivery's id: its supplier says that it is right as it is."),
    ] = None,
    reason: Annotated[
        str, typer.Option(help="Why it is right; kept in the ledger. Name no child in it.")
    ] = "",
) -> None:
    """Take deliveries from landing to pseudonymised tables. Known deliveries are passed over."""
    settings = Settings.from_environment()
    _needs_key(settings)
    if allow:
        _allow(settings, allow, reason)
    if not _ingest(settings, folder):
        raise typer.Exit(1)


@app.command(epilog="Example: [bold]linked-cyp refresh[/bold]")
def refresh() -> None:
    """Link, curate and release again from every accepted delivery (what the nightly run does)."""
    settings = Settings.from_environment()
    _needs_key(settings)
    _run_job(settings, "refresh", "Linking, curating and releasing")


@app.command(epilog="Example: [bold]linked-cyp validate ~/return --report ~/checked[/bold]")
def validate(
    path: Annotated[Path, typer.Argument(exists=True, help="A file, or a folder of files.")],
    feed: Annotated[
        str | None, typer.Option(help="Which return it is; by default found from the headers.")
    ] = None,
    year: Annotated[
        int | None,
        typer.Option(help="Collection year, by the year it ends in; by default the return's own."),
    ] = None,
    last_year: Annotated[
        Path | None, typer.Option(exists=True, help="Last year's return, to compare with.")
    ] = None,
    report_to: Annotated[
        Path | None, typer.Option("--report", help="A folder for the page and the CSV.")
    ] = None,
    values: Annotated[
        bool,
        typer.Option(
            "--values", help="The report shows children and values: your own return only."
        ),
    ] = False,
    postcodes: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="ONSPD or NSPL, for the rules about where children are placed; by default the "
            "one of this installation, where there is one.",
        ),
    ] = None,
) -> None:
    """Check a return before sending it: what is wrong, by file, table, row and rule.

    The Department for Education's rules are part of it for the looked-after children return and
    the children in need census. Needs no key and keeps nothing but the report you ask for. Values
    are never printed. Exits with 0 when all of it would be taken, 1 when the return or
    some of its rows would be refused or the check could not be made, and 3 when none of the
    Department's rules ran. What ingest asks of earlier deliveries and of the folder is not asked.
    """
    from linked_cyp.supplier.validation import validate_path
    from linked_cyp.supplier.validation_output import show, write_report

    settings = Settings.from_environment()
    if postcodes is None and settings.postcodes.is_file():
        postcodes = settings.postcodes
    report = validate_path(
        path,
        settings.contracts,
        feed=feed,
        year=year,
        last=last_year,
        values=values,
        postcodes=postcodes,
    )
    show(report, console)
    if report_to is not None:
        for file in write_report(report, report_to):
            console.print(f"Wrote {file}", highlight=False, soft_wrap=True)
    if report.no_rules:
        errors.print(f"[red]error:[/red] {report.no_rules}", highlight=False)
    if not report.acceptable:
        raise typer.Exit(1)
    if report.no_rules:
        raise typer.Exit(3)


@app.command(epilog="Example: [bold]linked-cyp scorecard brent[/bold]")
def scorecard(
    supplier: Annotated[str, typer.Argument(help="As its folder in landing is called.")],
) -> None:
    """Write the page on how good a supplier's deliveries are, and what it should mend first."""
    from linked_cyp.contracts.model import load_contracts
    from linked_cyp.stores.door import Stores
    from linked_cyp.supplier.scorecard import write_scorecards

    settings = Settings.from_environment()
    _needs_key(settings)
    stores = Stores(settings)
    if not stores.path("identifiable").exists():
        raise LinkedCypError("nothing was delivered yet")
    for path in write_scorecards(stores, load_contracts(settings.contracts), supplier).values():
        console.print(f"Wrote {path}", highlight=False, soft_wrap=True)


@app.command(epilog="Example: [bold]linked-cyp release demo[/bold]")
def release(
    project: Annotated[str, typer.Argument(help="A project of data_contracts/projects.")],
) -> None:
    """Publish a new release for a project from the curated tables as they stand."""
    from linked_cyp.release import publish
    from linked_cyp.stores.door import Stores

    settings = Settings.from_environment()
    _needs_key(settings)
    with console.status(f"Building a release for {project}"):
        published = publish(settings, project, keys=Stores(settings).keys())
    console.print(f"Released {published.release_id}: {published.path}", highlight=False)
    if published.small_differences:
        console.print(
            "[yellow]Beside the release before, a handful of children or rows can be seen to come"
            f" or go in {', '.join(published.small_differences)}.[/yellow] See docs/releases.md."
        )
    if published.small_beside:
        console.print(
            "[yellow]So can a handful of children beside the older"
            f" {', '.join(published.small_beside)}.[/yellow] See docs/releases.md."
        )


@app.command(epilog="Example: [bold]linked-cyp rollback demo[/bold]")
def rollback(
    project: Annotated[str, typer.Argument()],
    release_id: Annotated[
        str | None, typer.Option("--to", help="Which release; by default the one before.")
    ] = None,
) -> None:
    """Make an earlier release the current one. No file is changed; only the pointer moves."""
    from linked_cyp.release import rollback as roll_back

    reference = roll_back(Settings.from_environment(), project, release_id)
    console.print(f"{project} now points to {reference.release_id}", highlight=False)


@app.command(
    epilog="Example: [bold]linked-cyp withdraw brent.2025.3f9a1c2b4d5e "
    '--reason "sent in error"[/bold]'
)
def withdraw(
    delivery: Annotated[str, typer.Argument(help="The delivery's id (see linked-cyp status).")],
    reason: Annotated[str, typer.Option(help="Kept in the ledger; name no child in it.")],
    rebuild: Annotated[
        bool, typer.Option(help="Erase and refresh everything now, not in the nightly run.")
    ] = True,
) -> None:
    """Withdraw a delivery: every row of it leaves the stores and the next release."""
    from linked_cyp.pseudonymise import erasure
    from linked_cyp.release import current
    from linked_cyp.release.files import made_from
    from linked_cyp.release.project import projects
    from linked_cyp.stores.door import Stores

    settings = Settings.from_environment()
    _needs_key(settings)
    earlier = erasure.withdraw(Stores(settings), delivery, reason)
    console.print(f"Withdrawn: {delivery}", highlight=False)
    if earlier:
        console.print(f"An earlier delivery of that period counts again: {earlier}")
    for project in projects(settings.contracts / "projects"):
        released = current(settings, project)
        if released and delivery in made_from(released):
            console.print(f"{project}: the current release still holds it", highlight=False)
    if rebuild:
        _run_job(settings, "rebuild_after_withdrawal", "Erasing and rebuilding")


@app.command(epilog="Example: [bold]linked-cyp status[/bold]")
def status() -> None:
    """What has been delivered, what became of it, and which releases are current."""
    from linked_cyp.contracts.model import load_contracts
    from linked_cyp.ingest import landing, ledger
    from linked_cyp.release import current
    from linked_cyp.release.project import projects
    from linked_cyp.stores.door import Stores

    settings = Settings.from_environment()
    _needs_key(settings)
    table = Table("delivery", "feed", "status", "received", "accepted", "quarantined", "reason")
    stores = Stores(settings)
    rows = []
    if stores.path("identifiable").exists():  # not before the first ingest
        with stores.connect(identifiable="ro") as connection:
            rows = ledger.ledger_rows(connection)
    for row in rows:
        table.add_row(
            row.delivery_id,
            row.feed,
            row.status,
            *(f"{n:,}" for n in (row.received, row.accepted, row.quarantined)),
            escape(row.reason or ""),
        )
    console.print(table)
    landing.passed_over(settings.landing, load_contracts(settings.contracts), _tell)
    for project in projects(settings.contracts / "projects"):
        reference = current(settings, project)
        console.print(f"{project}: {reference.path if reference else 'nothing released yet'}")


@app.command(epilog="Example: [bold]linked-cyp ui --port 3000[/bold]")
def ui(
    port: Annotated[int, typer.Option(help="On the loopback address only.")] = 3000,
    read_only: Annotated[bool, typer.Option(help="Nobody can start a run from it.")] = False,
) -> None:
    """Open the Dagster UI with its daemon (sensor and schedule) on this machine."""
    from linked_cyp.defs import instance

    settings = Settings.from_environment()
    instance.prepare(settings)
    console.print(f"Dagster UI: http://127.0.0.1:{port}  (Ctrl-C stops it)")
    options = ["--read-only"] if read_only else []
    serve = [sys.executable, "-m", "linked_cyp.defs.webserver", str(port)]
    os.execv(sys.executable, [*serve, str(PROJECT_ROOT / "workspace.yaml"), *options])


@app.command(epilog="Example: [bold]linked-cyp demo[/bold]")
def demo(
    children: Annotated[int, typer.Option(min=200, help="How many synthetic children.")] = 5000,
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    """From nothing to a released dataset: invent a population, ingest, link, curate, release."""
    from linked_cyp.identity.keys import create_master_key
    from linked_cyp.release import current
    from linked_cyp.research import demonstration

    settings = Settings.from_environment()
    started = time.monotonic()
    if not settings.key_file.exists():
        create_master_key(settings.key_file)
    _synthesise(settings, children, 3, seed)
    taken = _ingest(settings, None)
    _run_job(settings, "refresh", "Linking, curating and releasing")
    reference = current(settings, "demo")
    if reference is None or not taken:
        raise LinkedCypError("the demonstration did not reach a release; see the messages above")
    for finding in demonstration.findings(reference.path):
        console.print(finding)
    console.print()
    console.print(f"Finished in {time.monotonic() - started:.0f} seconds.")
    console.print(f"The release:    {_shown(reference.path)}", highlight=False)
    console.print(f"Its pages:      {_shown(reference.path.with_suffix(''))}", highlight=False)
    console.print("Query it:       [bold]duckdb.connect(path, read_only=True)[/bold]; start with")
    console.print("                [bold]FROM dictionary[/bold]")
    console.print("The Dagster UI: [bold]make ui[/bold], then http://127.0.0.1:3000")


def _synthesise(settings: Settings, children: int, local_authorities: int, seed: int) -> None:
    from linked_cyp.identity import pseudonym_keys
    from linked_cyp.synthetic import synthesise as make_population

    with _progress(f"Inventing {children:,} children") as step:
        summary = make_population(
            settings.home,
            children=children,
            local_authorities=local_authorities,
            seed=seed,
            progress=step,
        )
    pseudonym_keys.take_over_all(settings.home / "truth", settings.key_file.parent)
    console.print(
        f"{summary.deliveries.height} deliveries from {local_authorities} local authorities "
        f"and the NHS are in {_shown(settings.landing)}",
        highlight=False,
    )


def _ingest(settings: Settings, folder: Path | None) -> bool:
    """Ingest one delivery or all new ones; True when none was rejected."""
    from linked_cyp.contracts.model import load_contracts
    from linked_cyp.defs.runs import ingest_all
    from linked_cyp.ingest import landing, ledger
    from linked_cyp.ingest.new import to_take
    from linked_cyp.stores.door import Stores

    contracts = load_contracts(settings.contracts)
    stores = Stores(settings)
    with console.status("Looking at the landing folder"):
        landed = landing.discover(settings.landing, contracts, folder, _tell)
        new = to_take(stores, landed, contracts, archived=folder is None)
    if not new:
        console.print("Nothing new in landing.")
        return True
    rejected = []
    with _bar("Ingesting", len(new)) as advance:
        for delivery, summary in ingest_all(settings, new):
            advance(f"{delivery.supplier} {delivery.feed} {delivery.period}")
            if not summary.success:
                rejected.append((delivery.delivery_id, "; ".join(summary.failures)))
    for delivery_id, reason in rejected:
        errors.print(f"[red]not accepted:[/red] {delivery_id}: {escape(reason)}", highlight=False)
    with stores.connect(identifiable="ro") as connection:
        ids = {delivery.delivery_id for delivery in new}
        rows = [row for row in ledger.ledger_rows(connection) if row.delivery_id in ids]
        blank = ledger.absent_columns(connection, ids)
    received, accepted, quarantined = (
        sum(getattr(row, part) for row in rows) for part in ("received", "accepted", "quarantined")
    )
    for delivery_id, columns in blank.items():
        errors.print(
            f"[yellow]without:[/yellow] {delivery_id}: {', '.join(columns)} (taken as blank)",
            highlight=False,
        )
    console.print(
        f"{len(new) - len(rejected)} of {len(new)} deliveries accepted: {received:,} rows "
        f"received = {accepted:,} accepted + {quarantined:,} in quarantine",
        highlight=False,
    )
    return not rejected


def _allow(settings: Settings, delivery: str, reason: str) -> None:
    """Write down that a refused delivery is right; the ingest that follows takes it again."""
    from linked_cyp.ingest import ledger
    from linked_cyp.stores.door import Stores

    with Stores(settings).connect(identifiable="rw") as connection:
        ledger.allow_worse(connection, delivery, reason)
    console.print(f"Allowed: {delivery}", highlight=False)


def _tell(folder: Path, problem: str) -> None:
    line = escape(f"{_shown(folder)}: {problem}")  # others named the folder
    errors.print(f"[yellow]passed over:[/yellow] {line}", highlight=False)


def _run_job(settings: Settings, job: str, doing: str) -> None:
    from linked_cyp.defs.runs import Platform

    with _progress(doing) as step:
        summary = Platform(settings).run(job, on_step=step)
    for name in summary.failed_checks:
        errors.print(f"[yellow]check failed:[/yellow] {name}", highlight=False)
    if not summary.success:
        raise LinkedCypError("; ".join(summary.failures) or f"{job} did not finish")


def _needs_key(settings: Settings) -> None:
    from linked_cyp.identity.keys import Keys

    Keys.load(settings.key_file)


@contextmanager
def _progress(title: str) -> Iterator[Callable[[str, int, int], None]]:
    """A bar driven by (what is being done, steps done, steps in all)."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(file=sys.stdout),  # whatever redirects standard output inside
    ) as progress:
        task = progress.add_task(title, total=None)

        def step(doing: str, done: int, steps: int) -> None:
            progress.update(task, description=f"{title}: {doing}", completed=done, total=steps)

        yield step
        progress.update(task, description=title, completed=1, total=1)


@contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[[str], None]]:
    """A bar advanced once after each of ``total`` things, showing the last one done."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        task = progress.add_task(title, total=total)

        def advance(doing: str) -> None:
            progress.update(task, description=f"{title}: {doing}", advance=1)

        yield advance
        progress.update(task, description=title, completed=total)


def _shown(path: Path) -> str:
    """A path as short as it can be from here."""
    here = Path.cwd()
    return readable(path.relative_to(here) if path.is_relative_to(here) else path)


def _where(error: Exception) -> str:
    from linked_cyp.core.errors import place

    return place(error.__traceback__)


if __name__ == "__main__":
    main()
