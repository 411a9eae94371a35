"""Keys for one supplier and one feed: what encoding that return needs, and nothing else.

The centre derives them from its master key and hands them over out of band. HKDF cannot be turned
round, so neither the master key nor the key of a store, a release or another supplier's tokens can
be had from them. What linkage compares across suppliers must be keyed alike everywhere: those
keys are shared, but only for the fields the feed holds.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from linked_cyp.contracts.model import Contract
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.identity import tokenise
from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.keys import KEY_BYTES, Keys, read_private, write_private
from linked_cyp.identity.person_records import encode, expand
from linked_cyp.identity.roles import ROLES
from linked_cyp.ingest.encoded.compatibility import PUBLISHED_KEY, identities

FORMAT = "linked-cyp supplier key 1"
_LONGEST_FILE = 1 << 16


class SupplierKeys(Keys):
    """Derived keys of some purposes; every other purpose is refused.

    ``feed`` and ``supplier`` say whose they are.
    """

    __slots__ = ("feed", "supplier")

    def __init__(self, feed: str, supplier: str, derived: Mapping[str, bytes]) -> None:
        if any(len(key) != KEY_BYTES for key in derived.values()) or not derived:
            raise LinkedCypError("the supplier key file is damaged")
        self._master = b""
        self._derived = dict(derived)
        self._folder = None
        self.feed = feed
        self.supplier = supplier

    @classmethod
    def load(cls, path: Path) -> SupplierKeys:
        """Read a supplier key file.

        Raises:
            LinkedCypError: in one line that never shows the content: the file is missing, open to
                others, somebody else's, or not a supplier key.
        """
        if not path.exists():
            raise LinkedCypError(f"there is no supplier key file {path}")
        try:
            held = json.loads(read_private(path, _LONGEST_FILE))
            keys = {str(name): bytes.fromhex(key) for name, key in held["keys"].items()}
            said = {name: str(held[name]) for name in ("format", "feed", "supplier", "fingerprint")}
        except (ValueError, KeyError, TypeError, AttributeError):
            said, keys = {}, {}
        if said.get("format") != FORMAT:
            raise LinkedCypError(f"{path} is not a supplier key file")
        loaded = cls(said["feed"], said["supplier"], keys)
        if loaded.fingerprint() != said["fingerprint"]:
            raise LinkedCypError("the supplier key file is damaged")
        return loaded

    def derive(self, purpose: str) -> bytes:
        """The key of one purpose.

        Raises:
            LinkedCypError: the supplier does not have it.
        """
        key = self._derived.get(purpose)
        if key is None:
            raise LinkedCypError(
                f"the supplier key holds no key for {purpose}: it is for {self.feed} of "
                f"{self.supplier} only, or was issued for another version of linked-cyp"
            )
        return key

    def fingerprint(self) -> str:
        """A public 16-digit name of these keys."""
        digest = hashlib.sha256(f"{FORMAT}\0{self.feed}\0{self.supplier}\0".encode())
        for purpose, key in sorted(self._derived.items()):
            digest.update(purpose.encode() + b"\0" + key)
        return digest.hexdigest()[:16]

    def save(self, path: Path) -> None:
        """Write them to a new file of mode 0600 in a folder of mode 0700.

        Raises:
            LinkedCypError: the file exists, or others may enter the folder.
        """
        content = {
            "format": FORMAT,
            "feed": self.feed,
            "supplier": self.supplier,
            "fingerprint": self.fingerprint(),
            "keys": {purpose: key.hex() for purpose, key in sorted(self._derived.items())},
        }
        write_private(path, json.dumps(content, indent=1).encode() + b"\n")


def supplier_keys(master: Keys, contract: Contract, supplier: str) -> SupplierKeys:
    """What a supplier needs to encode one feed, derived from the master key."""
    wanted = purposes(contract, supplier)
    return SupplierKeys(contract.feed, supplier, {name: master.derive(name) for name in wanted})


def seal_purpose(feed: str, supplier: str) -> str:
    """The purpose of the key that seals a supplier's encoded deliveries."""
    return f"delivery:{feed}.{supplier}"


def purposes(contract: Contract, supplier: str) -> tuple[str, ...]:
    """Every purpose that encoding a feed derives a key for.

    Found by encoding invented identities that hold the feed's fields and listening, so that it
    cannot differ from what the encoder does.
    """
    fields = frozenset(
        role.field
        for table in contract.tables.values()
        for column in table.columns
        if (role := ROLES.get(column.linkage_role or ""))
    )
    listening = _Listening()
    encode(expand(identities(fields)), Encoder(listening))
    own = (
        tokenise.purpose(kind, contract.feed, supplier)
        for kind in (tokenise.LOCAL_ID, tokenise.SUPPLIER_PERSON)
    )
    return tuple(sorted({*listening.asked, *own, seal_purpose(contract.feed, supplier)}))


class _Listening(Keys):
    """Remembers which purposes it was asked for."""

    __slots__ = ("asked",)

    def __init__(self) -> None:
        super().__init__(PUBLISHED_KEY)
        self.asked: set[str] = set()

    def derive(self, purpose: str) -> bytes:
        self.asked.add(purpose)
        return super().derive(purpose)
