"""What steps are given, and how they are run."""

from __future__ import annotations

import dagster as dg

from linked_cyp.core.settings import Settings
from linked_cyp.stores.door import Stores


@dg.definitions
def resources() -> dg.Definitions:
    return dg.Definitions(
        resources={"stores": Stores(Settings.from_environment())},
        # Few, fat steps that mostly wait for one file: a process each would only cost start-up.
        executor=dg.in_process_executor,
    )
