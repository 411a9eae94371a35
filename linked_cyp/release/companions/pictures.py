"""Where a table comes from, as a picture: the fields used on the left, its variables on the right.

The way back ends at what a supplier sent, at a reference table, or at another table of the same
release, which has a picture of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from linked_cyp.metadata.dictionary import MADE_HERE
from linked_cyp.metadata.lineage import SUPPLIER, ColumnRef, Edge, origins, upstream_of
from linked_cyp.release.companions.completeness import columns_of
from linked_cyp.research.release import Release

# Left-hand lines beyond which fields are shown by table, and tables by feed.
LINES = 40
WIDTH, LEFT, RIGHT = 800, 330, 490
ROW, HEAD, GAP = 20, 24, 12


@dataclass(frozen=True)
class Origin:
    """One line on the left: a field of a group (a table, or a feed)."""

    group: str
    field: str


@dataclass(frozen=True)
class Picture:
    """The drawing, its words for those who cannot see it, and the tables of the release and the
    feeds that it reads."""

    svg: Markup
    words: str
    reads: tuple[str, ...]
    feeds: tuple[str, ...]


def pictures(release: Release) -> dict[str, Picture]:
    """A picture for each table of a release that has a lineage (``schema.table``)."""
    edges = [
        Edge(ColumnRef(*row[:3]), ColumnRef(*row[3:6]), row[6])
        for row in release.query("FROM provenance.column_lineage ORDER BY ALL").rows()
    ]
    held = columns_of(release)
    found = {}
    for table, columns in held.items():
        sources = sources_of(edges, table, columns, held)
        if any(sources.values()):
            found[table] = _picture(table, columns, sources)
    return found


def sources_of(
    edges: Iterable[Edge], table: str, columns: Iterable[str], tables: Collection[str]
) -> dict[str, list[ColumnRef]]:
    """Column → what it is made from: suppliers' fields, references, other tables of ``tables``."""
    schema, name = table.split(".")
    refs = [ColumnRef(schema, name, column) for column in columns]
    others = {tuple(other.split(".")) for other in tables} - {(schema, name)}
    path = upstream_of((e for e in edges if e.downstream.relation not in others), refs)
    return {
        ref.column: [
            o for o in origins(path, ref) if o.zone not in MADE_HERE or o.relation in others
        ]
        for ref in refs
    }


def _picture(
    table: str, columns: Iterable[str], sources: Mapping[str, Sequence[ColumnRef]]
) -> Picture:
    made = {column: {_line(ref) for ref in sources[column]} for column in columns}
    for merge in (_by_table, _by_feed):
        if _lines(made) > LINES:
            made = {column: {merge(origin) for origin in found} for column, found in made.items()}
    used = {ref for found in sources.values() for ref in found}
    reads = {".".join(ref.relation) for ref in used if ref.zone in MADE_HERE}
    feeds = {ref.table.split("__")[0] for ref in used if ref.zone == SUPPLIER}
    groups = sorted({origin.group for found in made.values() for origin in found})
    words = (
        f"Lines lead from fields of {', '.join(groups)} to the {len(made)} variables of {table}"
        " made from them."
    )
    return Picture(_draw(table, made, words), words, tuple(sorted(reads)), tuple(sorted(feeds)))


def _line(ref: ColumnRef) -> Origin:
    if ref.zone == SUPPLIER:
        return Origin(ref.table.replace("__", " · "), ref.column)
    if ref.zone in MADE_HERE:
        return Origin(f"{ref.zone}.{ref.table}", ref.column)
    if ref.zone == "pseudonymised":
        return Origin(ref.table.replace("__", " · "), ref.column)
    return Origin(f"{ref.zone}: {ref.table}", ref.column)


def _by_table(origin: Origin) -> Origin:
    return Origin(origin.group.split(" · ")[0], origin.group.partition(" · ")[2])


def _by_feed(origin: Origin) -> Origin:
    return Origin(origin.group, "")


def _lines(made: Mapping[str, Collection[Origin]]) -> int:
    return len({origin for found in made.values() for origin in found})


def _draw(table: str, made: Mapping[str, Collection[Origin]], words: str) -> Markup:
    """The drawing. A field that more than half of the variables need leads to the table's name."""
    used: dict[Origin, list[str]] = defaultdict(list)
    for column, found in made.items():
        for origin in found:
            used[origin].append(column)
    groups: dict[str, list[Origin]] = defaultdict(list)
    for origin in _in_order(used, list(made)):
        groups[origin.group].append(origin)
    parts: list[str] = []
    at: dict[Origin, int] = {}
    y = 4
    for group, members in groups.items():
        parts.append(_text(LEFT - 8, y, group, "group end"))
        for origin in members:
            at[origin] = y + HEAD // 2
            if origin.field:
                y += HEAD if origin is members[0] else ROW
                at[origin] = y + ROW // 2
                parts.append(_text(LEFT - 8, y, origin.field, "field end"))
        y += ROW + GAP
    height = max(y, HEAD + ROW * len(made) + GAP)
    top = max((height - HEAD - ROW * len(made)) // 2, 4)
    parts.append(_text(RIGHT, top, table, "group"))
    to = {column: top + HEAD + ROW * place + ROW // 2 for place, column in enumerate(made)}
    parts += [_text(RIGHT + 12, to[column] - ROW // 2, column, "field") for column in made]
    for origin, columns in used.items():
        if len(made) > 3 and len(columns) > len(made) / 2:
            parts.append(_curve(at[origin], top + HEAD // 2, RIGHT - 6, "whole"))
        else:
            parts += [_curve(at[origin], to[column], RIGHT + 6, "part") for column in columns]
    return Markup(
        f'<svg role="img" class="lineage" viewBox="0 0 {WIDTH} {height}"'
        f' style="max-width:{WIDTH}px"><title>Where {escape(table)} comes from</title>'
        f"<desc>{escape(words)}</desc>{''.join(parts)}</svg>"
    )


def _in_order(used: Mapping[Origin, Sequence[str]], columns: Sequence[str]) -> list[Origin]:
    """Groups, and fields within them, beside what they go into, so that few lines cross."""
    place = {column: number for number, column in enumerate(columns)}
    mean = {o: sum(map(place.__getitem__, names)) / len(names) for o, names in used.items()}
    by_group: dict[str, list[float]] = defaultdict(list)
    for origin, where in mean.items():
        by_group[origin.group].append(where)
    middle = {group: sum(found) / len(found) for group, found in by_group.items()}
    return sorted(used, key=lambda o: (middle[o.group], o.group, mean[o], o.field))


def _text(x: int, y: int, text: str, kind: str) -> str:
    longest = 46 if x < LEFT else 42
    short = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return f'<text x="{x}" y="{y + 15}" class="{kind}">{escape(short)}</text>'


def _curve(y: int, to: int, x: int, kind: str) -> str:
    middle = (LEFT + RIGHT) // 2
    return f'<path class="{kind}" d="M{LEFT} {y}C{middle} {y} {middle} {to} {x} {to}"/>'
