"""A forgotten guard cannot leak: an error with a value in it, raised inside each kind of door."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import typer

from linked_cyp.cli import app as cli
from linked_cyp.core.errors import LinkedCypError, door
from linked_cyp.definitions import defs

VALUE = "9434765919 Quillfeather"


def steps() -> dict[str, Any]:
    """What Dagster calls, of every step there is: its name → the function."""
    graph = defs().resolve_asset_graph()
    nodes = {definition.node_def for definition in graph.assets_defs if definition.is_executable}
    checks = {definition.node_def for definition in defs().asset_checks or ()}
    return {node.name: node.compute_fn.decorated_fn for node in nodes | checks}


def test_every_step_is_behind_a_door() -> None:
    found = steps()
    assert len(found) > 40
    assert [name for name, step in found.items() if not getattr(step, "is_door", False)] == []


@pytest.mark.parametrize("kind", ["generator", "function"])
def test_a_value_raised_in_a_step_reaches_no_log_and_no_event(
    kind: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def yields() -> Iterator:
        yield dg.MaterializeResult()
        raise ValueError(VALUE) from KeyError(VALUE)

    def returns() -> None:
        raise ValueError(VALUE) from KeyError(VALUE)

    step = dg.asset(name="step")(door("in the step")(yields if kind == "generator" else returns))
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        result = dg.materialize([step], instance=instance, raise_on_error=False)
        assert not result.success
        told = "\n".join(map(str, instance.all_logs(result.run_id)))
    assert "ValueError" in told
    assert "in the step" in told
    said = capfd.readouterr()
    assert "Quillfeather" not in told + said.out + said.err
    stored = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert stored
    assert not any(b"Quillfeather" in content for content in stored)


def test_a_value_raised_in_a_command_is_not_printed(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Suppliers' commands (validate, encode) go through the same door."""

    def fails() -> None:
        raise ValueError(VALUE) from KeyError(VALUE)

    broken = typer.Typer(pretty_exceptions_enable=False)
    broken.command()(fails)
    monkeypatch.setattr(cli, "app", broken)
    monkeypatch.setattr(sys, "argv", ["linked-cyp"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    said = capfd.readouterr()
    assert "ValueError" in said.err
    assert "Quillfeather" not in said.out + said.err


def test_what_is_ours_passes_a_door_as_it_is() -> None:
    @door("in the step")
    def refuses() -> None:
        raise LinkedCypError("a rule broke")

    with pytest.raises(LinkedCypError, match="^a rule broke$"):
        refuses()
