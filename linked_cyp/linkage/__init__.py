"""Linkage: from identities in every source to stable, random person ids.

In order: :func:`build_person_records`, :func:`train` (once), :func:`predict`, :func:`resolve`,
:func:`update_registry`, :func:`publish_bridge`; or :func:`link` for one frame of records.
"""

from linked_cyp.linkage.bridge import publish_bridge
from linked_cyp.linkage.identities import build_person_records
from linked_cyp.linkage.one_call import Linked, link
from linked_cyp.linkage.prediction import predict
from linked_cyp.linkage.registry import update_registry
from linked_cyp.linkage.resolution import resolve
from linked_cyp.linkage.training import train

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
