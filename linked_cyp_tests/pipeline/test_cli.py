"""The command line: help with an example that can be typed, one line on failure, no values."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from linked_cyp.cli import app as cli
from linked_cyp.core.settings import Settings
from linked_cyp.identity.keys import create_master_key

GOOD = "CHILD,SEX,DOB,ETHNIC,UPN\nPLT000001,1,13/01/2011,WBRI,A801999600001\n"
SECRETS = ("PLT000002", "Quillfeathr", "13/13/2011")
BAD = GOOD + "PLT000002,7,13/13/2011,Quillfeathr,A801999600002\n,1,14/01/2011,WBRI,A801999600003\n"
COMMANDS = (
    "demo",
    "encode",
    "generate",
    "ingest",
    "keys create",
    "keys pseudonym",
    "keys supplier",
    "linkage accept",
    "linkage attack",
    "linkage compare",
    "linkage retrain",
    "linkage status",
    "opt-outs numbers",
    "refresh",
    "release",
    "review record",
    "review sheet",
    "review status",
    "review threshold",
    "rollback",
    "scorecard",
    "status",
    "synthesise",
    "ui",
    "validate",
    "withdraw",
)


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("LINKED_CYP_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LINKED_CYP_KEY_FILE", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    return Settings.from_environment()


@pytest.fixture
def run(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """A command as the shell runs it: its exit code, and what it printed where."""

    def command(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["linked-cyp", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        code = ended.value.code
        return Ended(code if isinstance(code, int) else int(code is not None), *printed)

    return command


def command_of(name: str) -> Any:
    found = typer.main.get_command(cli.app)
    for part in name.split():
        found = found.commands[part]
    return found


def names(command: Any, before: str = "") -> list[str]:
    inner = getattr(command, "commands", None)
    if inner is None:
        return [before.strip()]
    return sorted(n for name, each in inner.items() for n in names(each, f"{before} {name}"))


def refused(ended: Ended) -> str:
    """The one line of a refusal."""
    assert ended.code == 1
    assert "Traceback" not in ended.out + ended.err
    lines = ended.err.strip().splitlines()
    assert len(lines) == 1, ended.err
    assert lines[0].startswith("error: ")
    return lines[0]


def test_these_are_the_commands() -> None:
    assert tuple(names(typer.main.get_command(cli.app))) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example_that_can_be_typed(run: Run, name: str) -> None:
    shown = run(*name.split(), "--help")
    assert shown.code == 0
    text = re.sub(r"\s+", " ", shown.out)
    assert f"Example: linked-cyp {name}" in text
    command = command_of(name)
    assert len(command.help or "") > 30
    example = re.sub(r"\[/?bold\]", "", command.epilog or "").removeprefix("Example: ")
    typed = shlex.split(example)[1 + len(name.split()) :]
    typed = [__file__ if word.startswith("~/") else word for word in typed]
    context = command.make_context(name, typed)  # raises on a wrong option or a missing argument
    assert context.args == []


def test_no_command_shows_what_there_is(run: Run) -> None:
    shown = run()
    assert "synthesise" in shown.out + shown.err
    assert run("--help").code == 0
    assert run("fly").code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("ingest",),
        ("refresh",),
        ("release", "demo"),
        ("status",),
        ("withdraw", "brent.2025.3f9a1c2b4d5e", "--reason", "sent in error"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_without_a_key_nothing_runs(run: Run, settings: Settings, arguments: tuple) -> None:
    assert "key" in refused(run(*arguments))
    assert not settings.stores.exists()


def test_a_key_is_made_once(run: Run, settings: Settings) -> None:
    assert run("keys", "create").code == 0
    assert settings.key_file.stat().st_mode & 0o777 == 0o600
    before = settings.key_file.read_bytes()
    line = refused(run("keys", "create"))
    assert settings.key_file.read_bytes() == before
    assert before.decode(errors="ignore").strip() not in line


def test_what_does_not_exist_is_said_in_one_line(run: Run, settings: Settings) -> None:
    create_master_key(settings.key_file)
    assert "project" in refused(run("release", "nowhere"))
    assert "release" in refused(run("rollback", "demo"))
    assert "delivery" in refused(
        run("withdraw", "brent.2025.3f9a1c2b4d5e", "--reason", "sent in error", "--no-rebuild")
    )
    assert "delivery" in refused(run("ingest", str(settings.landing / "brent/ssda903/2025")))
    assert "no delivery has been accepted" in refused(run("release", "demo"))


def test_nothing_has_landed_yet(run: Run, settings: Settings) -> None:
    create_master_key(settings.key_file)
    ended = run("ingest")
    assert (ended.code, ended.out.strip()) == (0, "Nothing new in landing.")
    shown = run("status")
    assert shown.code == 0
    assert "nothing released yet" in shown.out


def test_what_nobody_delivered_or_gave_a_reason_for_is_not_allowed(
    run: Run, settings: Settings
) -> None:
    create_master_key(settings.key_file)
    unknown = run("ingest", "--allow", "brent.2025.0123456789ab", "--reason", "it is right")
    assert (unknown.code, "does not know" in unknown.err) == (1, True)
    silent = run("ingest", "--allow", "brent.2025.0123456789ab")
    assert (silent.code, "needs a reason" in silent.err) == (1, True)


def test_a_folder_that_is_no_delivery_is_passed_over_and_said(run: Run, settings: Settings) -> None:
    create_master_key(settings.key_file)
    folder = settings.landing / "brent" / "no_such_feed" / "2025"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text(BAD)
    ended = run("ingest")
    assert ended.code == 0
    assert "passed over" in ended.err
    assert "passed over" in run("status").err
    assert not any(secret in ended.out + ended.err for secret in SECRETS)


def test_a_good_file_is_found_good(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "header.csv"
    file.write_text(GOOD)
    ended = run("validate", str(file), "--feed", "ssda903", "--year", "2025")
    assert ended.code == 0, ended.out


def test_a_bad_file_is_reported_by_row_and_rule_and_not_by_value(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "header.csv"
    file.write_text(BAD)
    ended = run("validate", str(file), "--feed", "ssda903", "--year", "2025")
    assert ended.code == 1
    for expected in ("CHILD", "DOB", "SEX"):
        assert expected in ended.out
    assert re.search(r"\b2\b", ended.out)
    assert re.search(r"\b3\b", ended.out)
    assert not any(secret in ended.out + ended.err for secret in SECRETS)


def test_validate_says_the_year_and_ends_with_the_documented_code(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "census.xml"

    def census(year: int, child_id: str) -> None:
        file.write_text(
            f"<Message><Header><CollectionDetails><Collection>CIN</Collection><Year>{year}</Year>"
            f"<ReferenceDate>{year}-03-31</ReferenceDate></CollectionDetails><Source><LEA>301</LEA>"
            f"</Source></Header><Children><Child><ChildIdentifiers>{child_id}<PersonBirthDate>"
            "2012-05-06</PersonBirthDate></ChildIdentifiers></Child></Children></Message>"
        )

    census(2025, "<LAchildID>K1</LAchildID>")
    ended = run("validate", str(file))
    assert (ended.code, "collection year 2025" in ended.out) == (0, True)
    assert "the return says so" in ended.out
    assert run("validate", str(file), "--year", "2024").code == 1
    assert "not of 2024 but of 2025" in refused(run("validate", str(file), "--year", "2024"))
    assert "20255 is not a collection year" in refused(
        run("validate", str(file), "--year", "20255")
    )
    census(2019, "<LAchildID>K1</LAchildID>")
    ended = run("validate", str(file))
    assert ended.code == 3
    assert "None of the Department's rules ran" in ended.err
    census(2025, "")
    assert run("validate", str(file)).code == 1


def test_validate_needs_no_key_and_keeps_nothing(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "header.csv"
    file.write_text(GOOD)
    run("validate", str(file))
    assert not settings.home.exists()


def test_a_file_that_cannot_be_recognised_is_refused(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "unknown.csv"
    file.write_text("Quillfeathr,x\n1,2\n")
    line = refused(run("validate", str(file)))
    assert "Quillfeathr" not in line
    assert run("validate", str(tmp_path / "absent.csv")).code == 2


def test_an_error_of_a_library_does_not_quote_what_it_was_given(
    run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError("could not convert string to date: 'Jorvexi Quillfeathr'")

    create_master_key(settings.key_file)
    monkeypatch.setattr("linked_cyp.release.rollback", fails)
    line = refused(run("rollback", "demo"))
    assert "ValueError" in line
    assert "Quillfeathr" not in line


def test_ctrl_c_is_no_crash(run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("linked_cyp.release.rollback", interrupted)
    ended = run("rollback", "demo")
    assert ended.code == 130
    assert "Traceback" not in ended.out + ended.err
