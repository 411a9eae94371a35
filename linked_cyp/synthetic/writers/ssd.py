"""Standard safeguarding dataset: one authority's whole case management system on one day.

What happens after the day of the extract is still open in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from linked_cyp.synthetic.parameters import day_of
from linked_cyp.synthetic.world import World
from linked_cyp.synthetic.writers.delivery import Sent, Style
from linked_cyp.synthetic.writers.ssd_care import care_tables
from linked_cyp.synthetic.writers.ssd_extract import Extract
from linked_cyp.synthetic.writers.ssd_need import need_tables
from linked_cyp.synthetic.writers.ssd_person import person_tables


def deliveries(world: World) -> Iterator[Callable[[], Sent]]:
    """One extract of each authority, at the end of the last year."""
    for area in range(world.places.outside):
        yield partial(ssd, world, area)


def ssd(world: World, area: int) -> Sent:
    """One authority's extract."""
    rules = world.parameters.deliveries["feeds"]["ssd"]
    day = day_of(world.years[-1], rules["snapshot"])
    look = world.parameters.deliveries["styles"][area % 3]
    extract = Extract(world, area, day)
    return Sent(
        feed="ssd",
        supplier=world.places.areas["slug"][area],
        period=str(np.datetime64(day, "D")),
        produced=f"{np.datetime64(day, 'D')}T23:00:00",
        tables={
            **person_tables(extract),
            **need_tables(extract),
            **care_tables(extract),
        },
        style=Style(
            date="%Y-%m-%d" if area % 2 == 0 else "%d/%m/%Y",
            true="Y",
            false="N",
            encoding=look["encoding"],
            manifest=look["manifest"],
        ),
    )
