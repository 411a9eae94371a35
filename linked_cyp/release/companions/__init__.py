"""What goes with a release: pages and metadata, made from the finished file and from nothing else.

Because they are read off the release, they cannot say more than it holds, and they can be made
again at any time. They stand in a folder beside it, named like it: ``releases/<project>/<id>/``.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from linked_cyp.contracts.model import Contract
from linked_cyp.contracts.organisation import Organisation, load_organisation
from linked_cyp.contracts.plain_words import PlainWords, load_plain_words
from linked_cyp.core.errors import value_free
from linked_cyp.core.settings import Settings
from linked_cyp.release.companions.catalogue import research_catalogue
from linked_cyp.release.companions.data_quality import data_quality_report
from linked_cyp.release.companions.hdruk import hdruk_metadata
from linked_cyp.release.companions.lineage import lineage_events
from linked_cyp.release.companions.public import CHILDREN, FAMILIES, for_children, for_families
from linked_cyp.release.files import BUILDING, ReleaseRef
from linked_cyp.release.project import Project, load_project, projects
from linked_cyp.research.release import Release, open_release


@dataclass(frozen=True)
class Setting:
    """What an installation declares, beside the release itself.

    ``projects`` is the register: every project that is declared.
    """

    contracts: Mapping[str, Contract]
    organisation: Organisation
    words: PlainWords
    projects: Mapping[str, Project]


def _json(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n"


# Each file that goes with a release, and what makes its text.
COMPANIONS: Mapping[str, Callable[[Release, Setting], str]] = {
    "metadata.hdruk.json": lambda release, setting: _json(
        hdruk_metadata(release, setting.organisation)
    ),
    "lineage.openlineage.json": lambda release, _: _json(lineage_events(release)),
    "catalogue.html": lambda release, _: research_catalogue(release),
    "data_quality.html": lambda release, setting: data_quality_report(release, setting.contracts),
    CHILDREN: for_children,
    FAMILIES: for_families,
}


def setting_of(settings: Settings, contracts: Mapping[str, Contract]) -> Setting:
    """What this installation declares.

    Raises:
        LinkedCypError: the organisation, the plain words or a project is not declared as it has to
            be.
    """
    folder = settings.contracts / "projects"
    return Setting(
        contracts=contracts,
        organisation=load_organisation(settings.contracts),
        words=load_plain_words(settings.contracts),
        projects={name: load_project(folder, name) for name in projects(folder)},
    )


def write_companions(ref: ReleaseRef, setting: Setting) -> Path:
    """Make every companion of a release, and put them beside it, all or none.

    Returns:
        the folder.
    """
    folder = ref.path.with_suffix("")
    fresh = folder.with_name(f"{BUILDING}{folder.name}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o750)
    with open_release(ref.path) as release:
        for name, make in COMPANIONS.items():
            with value_free(f"making {name} of release {ref.release_id}"):
                (fresh / name).write_text(make(release, setting), encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    os.rename(fresh, folder)
    return folder
