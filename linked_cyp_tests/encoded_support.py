"""A small world for tests of supplier-side encoding: keys, a postcode file, planted returns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import polars as pl

from linked_cyp.contracts.model import load_contracts
from linked_cyp.core.files import sha256
from linked_cyp.core.settings import PROJECT_ROOT, Settings
from linked_cyp.identity.keys import Keys, write_private
from linked_cyp.ingest import deliveries
from linked_cyp.ingest.encoded import content
from linked_cyp.ingest.encoded.statement import Statement, read
from linked_cyp.ingest.encoded.supplier_keys import SupplierKeys, seal_purpose, supplier_keys
from linked_cyp.ingest.landing import MANIFEST, STATEMENT, identify
from linked_cyp.ingest.ledger import PROCESSABLE, DeliveryOutcome
from linked_cyp.pseudonymise import deliveries as pseudonymise
from linked_cyp.stores.door import Stores
from linked_cyp.supplier.encode import EncodedDelivery, encode
from linked_cyp_tests.privacy.planted import SUPPLIER, plant

CONTRACTS = load_contracts(PROJECT_ROOT / "data_contracts")
CENSUS = CONTRACTS["school_census"]
# Always the same, so that no token holds a needle by chance in one run of a thousand.
MASTER = hashlib.sha256(b"a master key for tests of encoding")
POSTCODES = pl.DataFrame(
    {
        "postcode": ["ZE3 9AB", "ZE3 9BD"],
        "lsoa11_code": ["E01000001", "E01000002"],
        "lsoa21_code": ["E01000001", "E01000002"],
        "la_code": ["E06000001", "E06000001"],
    }
)


@dataclass
class Centre:
    """One installation at the centre."""

    stores: Stores
    keys: Keys
    held: duckdb.DuckDBPyConnection | None = None

    @contextmanager
    def open(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to its stores; inside another one the same, as opening takes long."""
        if self.held:
            yield self.held
            return
        with self.stores.connect(identifiable="rw", linkage="rw", warehouse="rw") as con:
            self.held = con
            try:
                yield con
            finally:
                self.held = None

    def take(self, folder: Path, postcodes: pl.DataFrame | None = None) -> DeliveryOutcome:
        """Ingest a folder and pseudonymise it if it was accepted."""
        landed = identify(folder, CONTRACTS)
        contract = CONTRACTS[landed.feed]
        work = self.stores.settings.work
        places = POSTCODES if postcodes is None else postcodes
        with self.open() as con:
            outcome = deliveries.ingest(con, contract, landed, work, keys=self.keys)
            if outcome.status in PROCESSABLE:
                pseudonymise.pseudonymise_delivery(
                    con, contract, landed.delivery_id, self.keys, places
                )
        return outcome

    def rows(self, query: str) -> list[tuple]:
        with self.open() as con:
            return con.execute(query).fetchall()


def centre(home: Path) -> Centre:
    settings = Settings(home, home / "keys" / "master.key", PROJECT_ROOT / "data_contracts", home)
    write_private(settings.key_file, MASTER.hexdigest().encode())
    return Centre(Stores(settings), Keys.load(settings.key_file))


def keys_of(feed: str = "school_census", supplier: str = SUPPLIER) -> SupplierKeys:
    return supplier_keys(Keys(MASTER.digest()), CONTRACTS[feed], supplier)


def planted(root: Path, feed: str = "school_census") -> tuple[Path, dict[str, list[str]]]:
    """A return of invented children whose every identifier is unmistakable, and those."""
    needles = plant(root, {feed: CONTRACTS[feed]})
    (folder,) = (root / SUPPLIER / feed).iterdir()
    return folder, needles


def encoded(folder: Path, out: Path, feed: str = "school_census") -> EncodedDelivery:
    return encode(folder, CONTRACTS, keys_of(feed), POSTCODES, out)


def forge(
    folder: Path,
    change: Callable[[Statement], Statement] | None = None,
    file: str | None = None,
    rewrite: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
) -> None:
    """Change an encoded delivery as somebody who holds its key could: every hash and seal fits."""
    statement = read((folder / STATEMENT).read_bytes(), CENSUS)
    if file and rewrite:
        path = folder / f"{file}{content.SUFFIX}"
        frame = rewrite(pl.read_parquet(path))
        pq_write(frame, path)
        files = {**statement.files, path.name: (frame.height, sha256(path)[0])}
        statement = replace(statement, files=files)
    statement = (change or (lambda s: s))(statement)
    keys = keys_of()
    sealed = statement.sealed(keys, seal_purpose(keys.feed, keys.supplier))
    (folder / STATEMENT).write_text(sealed.to_json())
    relist(folder)


def pq_write(frame: pl.DataFrame, path: Path) -> None:
    with duckdb.connect() as con:
        con.register("frame", frame.to_arrow())
        con.execute(f"COPY frame TO '{path}' (FORMAT parquet)")


def relist(folder: Path) -> None:
    """Make the manifest fit the files again."""
    said = json.loads((folder / MANIFEST).read_text())
    said["files"] = {
        path.name: {"sha256": sha256(path)[0]} for path in folder.iterdir() if path.name != MANIFEST
    }
    (folder / MANIFEST).write_text(json.dumps(said))
