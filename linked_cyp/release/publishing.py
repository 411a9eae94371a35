"""Publishing: gate, build, check, commit, point. Readers see the old release or the new one."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb

from linked_cyp.contracts.model import Contract, load_contracts
from linked_cyp.core.errors import LinkedCypError, value_free
from linked_cyp.core.settings import Settings
from linked_cyp.core.sql import transaction
from linked_cyp.metadata.dictionary import Entry, contract_entries, entries_by_ref, model_entries
from linked_cyp.metadata.lineage import ColumnRef, Edge, lineage, load_manifest
from linked_cyp.opt_outs.policy import Policy, load_policy
from linked_cyp.release import build, files, record, truth
from linked_cyp.release.changes import change_table, small_beside, small_differences
from linked_cyp.release.check import check_release
from linked_cyp.release.codes import code_table
from linked_cyp.release.companions import setting_of, write_companions
from linked_cyp.release.content import content_hash
from linked_cyp.release.definition import definition_table
from linked_cyp.release.files import ReleaseRef
from linked_cyp.release.gate import gate
from linked_cyp.release.known_problems import known_problem_table
from linked_cyp.release.link_quality import link_quality_table
from linked_cyp.release.project import Project, load_project
from linked_cyp.release.shapes import declared_codes
from linked_cyp.stores.door import Stores

# What makes two releases the same; when, why it was run again and by whom do not.
_IDENTITY = ("content_hash", "declaration_hash", "code_version", "model_fingerprint")


def publish(
    settings: Settings,
    project: str,
    *,
    keys: build.Tokeniser,
    contracts: Mapping[str, Contract] | None = None,
    manifest: Mapping[str, Any] | None = None,
    model_fingerprint: str | None = None,
    now: dt.datetime | None = None,
) -> ReleaseRef:
    """Publish a project's release and make it current, or find that it is current already.

    Args:
        keys: tokens under purpose ``project:<name>``.
        contracts: by default those of the installation.
        manifest: dbt's manifest; by default the one in the dbt project's target folder, if any.
        model_fingerprint: by default what the linkage left in ``linkage.model``.
        now: the time to record and to judge expiry by (UTC); by default the clock's.

    Returns:
        the release. ``created`` is False, and nothing was written, when the same content is
        current already, or is a release that an operator rolled back from (``is_current`` False).

    Raises:
        LinkedCypError: names every reason for refusing; nothing has changed then.
    """
    now = now or dt.datetime.now(dt.UTC).replace(tzinfo=None)
    declared = load_project(settings.contracts / "projects", project)
    _refuse_for(declared.refusals(now.date()))
    contracts = load_contracts(settings.contracts) if contracts is None else contracts
    setting = setting_of(settings, contracts)
    if manifest is None:
        manifest = load_manifest(settings.dbt_project / "target" / "manifest.json")
    with files.locked(settings, project) as folder, files.building(folder) as place:
        stores, policy = Stores(settings), load_policy(settings.opt_outs)
        told = truth.ask(stores, contracts, policy)  # before the warehouse is held: see erasure
        with stores.connect(warehouse="ro") as con:
            _refuse_for(refusals(con, told, policy, now.date(), contracts))
            documented = entries_by_ref([*contract_entries(contracts), *model_entries(manifest)])
            tables = build.plan(con, declared, documented, _identifiers(contracts), manifest)
            _attach(con, place)
            counts = build.copy_tables(con, declared, tables, keys)
            leaked = build.ids_that_leaked(con, tables)
            if leaked:
                raise LinkedCypError(f"release refused: {', '.join(leaked)} kept warehouse ids")
            known = files.releases(settings, project)
            with value_free("writing the release's record of itself"):
                edges = lineage(contracts, manifest).edges
                values = _write_records(
                    con, declared, contracts, documented, tables, edges, manifest
                )
                values["code_version"] = record.code_version(settings.dbt_project)
                values["model_fingerprint"] = model_fingerprint or record.model_fingerprint(con)
            same = _already_published(known, files.stepped_back_from(settings, project), values)
            if same:
                if not same.path.with_suffix("").exists():  # killed before they were made
                    write_companions(same, setting)
                return same
            ref = _next(folder, project, known, values["content_hash"])
            pointed = next((r for r in known if r.is_current), None)
            values["release_id"] = ref.release_id
            values["previous_release_id"] = pointed and pointed.release_id
            values["published_at"] = now
            with value_free("comparing with the release before"):
                changed = change_table(con, tables, pointed.path if pointed else None)
                older = {r.release_id: r.path for r in known if r != pointed}
                beside = small_beside(con, tables, older)
            with value_free("finishing the release's file"):
                with transaction(con):
                    record.write(con, changed)
                    record.write(con, record.release_table(values))
                con.execute(f"CHECKPOINT {build.FRESH}")
                con.execute(f"DETACH {build.FRESH}")
        codes = declared_codes(contracts, settings.dbt_project / "seeds")
        check_release(place, tables, counts, codes)
        with stores.connect(identifiable="ro") as con:  # nothing is withdrawn until it is out
            if truth.read(con, contracts, policy) != told:
                _refuse_for(["the ledger changed while the release was made: refresh"])
            files.commit(place, ref)
            write_companions(ref, setting)
            files.point_to(ref)
    small = tuple(small_differences(changed))
    return replace(ref, small_differences=small, small_beside=tuple(beside))


def refusals(
    con: duckdb.DuckDBPyConnection,
    told: truth.Truth,
    policy: Policy,
    today: dt.date,
    contracts: Mapping[str, Contract],
) -> list[str]:
    """Every reason for which nothing may be released from this warehouse now.

    Args:
        con: a connection with the warehouse attached as ``warehouse``.
        told: the ledger of now, from :func:`linked_cyp.release.truth.ask`.
        policy: what the operator has decided on opt-outs by now.
        today: the day on which the age of opt-out lists is judged.
        contracts: feeds by name as they stand now.
    """
    reasons = [*truth.disagreements(con, told, today), *gate(con, policy, today, contracts)]
    return list(dict.fromkeys(reasons))


def content_hash_of(path: Path) -> str:
    """The content hash worked out again from a release's file (compare ``provenance.release``)."""
    with value_free("hashing the release"), duckdb.connect(str(path), read_only=True) as con:
        row = con.execute("SELECT current_database()").fetchone()
        return content_hash(con, str(row[0]) if row else "", _hashed(con, str(row and row[0])))


def _refuse_for(reasons: Sequence[str]) -> None:
    if reasons:
        raise LinkedCypError("release refused: " + "; ".join(reasons))


def _identifiers(contracts: Mapping[str, Contract]) -> frozenset[str]:
    """Names under which some contract holds a direct identifier, token or not."""
    return frozenset(
        column.name
        for contract in contracts.values()
        for table in contract.tables.values()
        for column in table.columns
        if (column.classification == "direct_identifier" or column.identifier_type)
        and not column.name.endswith("_id")  # ids are re-keyed, whatever they were
    )


def _attach(con: duckdb.DuckDBPyConnection, place: Path) -> None:
    before = os.umask(0o077)
    try:
        with value_free("creating the release's file"):
            con.execute(f"ATTACH '{str(place).replace(chr(39), chr(39) * 2)}' AS {build.FRESH}")
    finally:
        os.umask(before)


def _write_records(
    con: duckdb.DuckDBPyConnection,
    project: Project,
    contracts: Mapping[str, Contract],
    documented: Mapping[ColumnRef, Entry],
    tables: Sequence[build.ReleaseTable],
    edges: Sequence[Edge],
    manifest: Mapping[str, Any] | None,
) -> dict[str, Any]:
    made = (
        record.dictionary_table(tables, documented, edges),
        code_table(con, tables, contracts, edges),
        definition_table(tables, manifest),
        record.lineage_table(tables, edges),
        record.contract_table(contracts),
        record.delivery_table(con),
        record.left_out_table(con),
        record.check_table(con),
        link_quality_table(con, contracts),
        record.opt_out_table(con),
        known_problem_table(con, contracts, project, tables, edges),
    )
    with transaction(con):
        for table in made:
            record.write(con, table)
    return {
        "project": project.name,
        "title": project.title,
        "purpose": project.purpose,
        "legal_basis": project.legal_basis,
        "approver": project.approver,
        "expiry": project.expiry,
        "cohort": project.cohort.description if project.cohort else "everybody",
        "period_start": project.period.start if project.period else None,
        "period_end": project.period.end if project.period else None,
        "declaration_hash": project.declaration_hash,
        "content_hash": content_hash(con, build.FRESH, _hashed(con, build.FRESH)),
    }


def _hashed(con: duckdb.DuckDBPyConnection, catalog: str) -> list[tuple[str, str]]:
    """Everything but what tells of this run: when and by what code it was made and checked."""
    return con.execute(
        "SELECT schema_name, table_name FROM duckdb_tables() WHERE database_name = ?"
        " AND (schema_name, table_name) NOT IN (('provenance', 'release'),"
        " ('provenance', 'check_result'), ('provenance', 'change'))",
        [catalog],
    ).fetchall()


def _already_published(
    known: Sequence[ReleaseRef], stepped_back: set[str], values: Mapping[str, Any]
) -> ReleaseRef | None:
    """The release that is the same as what was just built: current, stepped back from, or
    finished by a process that was killed before it could point to it (which is done now)."""
    wanted = tuple(values[name] for name in _IDENTITY)
    pointed = max((ref.sequence for ref in known if ref.is_current), default=0)
    for ref in reversed(known):
        if ref.sequence < pointed:
            return None
        if _identity(ref.path) != wanted:
            continue
        if ref.is_current or ref.release_id in stepped_back:
            return ref
        files.point_to(ref)
        return replace(ref, is_current=True)
    return None


def _identity(path: Path) -> tuple[Any, ...]:
    with value_free("reading an earlier release"), duckdb.connect(str(path), read_only=True) as con:
        row = con.execute(f"SELECT {', '.join(_IDENTITY)} FROM provenance.release").fetchone()
    return tuple(row or ())


def _next(folder: Path, project: str, known: Sequence[ReleaseRef], content: str) -> ReleaseRef:
    sequence = known[-1].sequence + 1 if known else 1
    release_id = f"{sequence:04d}-{content[:12]}"
    return ReleaseRef(project, release_id, folder / f"{release_id}.duckdb", True, created=True)
