"""Dagster's home: prepared once, before any process uses it."""

from __future__ import annotations

import os
from pathlib import Path

import dagster as dg

from linked_cyp.core.files import prepare_folder
from linked_cyp.core.settings import Settings

TEMPLATE = Path(__file__).with_name("instance.yaml")


def prepare(settings: Settings) -> Path:
    """Make ``<home>/dagster`` with its settings and point this process at it.

    An existing ``dagster.yaml`` is the operator's and stays as it is.
    """
    prepare_folder(settings.home)
    home = prepare_folder(settings.dagster_home)
    target = home / "dagster.yaml"
    if not target.exists():
        draft = home / f".dagster.yaml.{os.getpid()}"
        draft.write_text(TEMPLATE.read_text(encoding="utf-8"), encoding="utf-8")
        os.replace(draft, target)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ["LINKED_CYP_HOME"] = str(settings.home)
    return home


def instance(settings: Settings) -> dg.DagsterInstance:
    """This home's Dagster instance; its storage is made on first use."""
    prepare(settings)
    return dg.DagsterInstance.get()
