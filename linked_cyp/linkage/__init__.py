"""Linkage: from identities in every source to stable, random person ids.

In order: :func:`build_person_records`, :func:`train` (once), :func:`predict`, :func:`resolve`,
:func:`update_registry`, :func:`publish_bridge`; or :func:`link` for one frame of records.
"""

from linked_cyp.linkage.link import Linked, link
from linked_cyp.linkage.model.training import train
from linked_cyp.linkage.pairs.prediction import predict
from linked_cyp.linkage.persons.bridge import publish_bridge
from linked_cyp.linkage.persons.registry import update_registry
from linked_cyp.linkage.persons.resolution import resolve
from linked_cyp.linkage.records.identities import build_person_records

__all__ = [
    "Linked",
    "build_person_records",
    "link",
    "predict",
    "publish_bridge",
    "resolve",
    "train",
    "update_registry",
]
