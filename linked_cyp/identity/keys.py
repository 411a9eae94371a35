"""The master key and what is derived from it.

One file holds one master key of at least 256 bits. HKDF-SHA256 (RFC 5869) derives from it one key
per purpose, and HMAC-SHA-256 under a purpose's key turns an identifier into a token. Tokens made
for different purposes cannot be joined, and nobody without the file can make or test one.

Values are never hashed bare or with a salt only: the space of NHS numbers, postcodes and dates of
birth is small enough to try them all.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import os
import re
import secrets
import stat
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

import numpy as np
import polars as pl
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from linked_cyp.core.errors import LinkedCypError

KEY_BYTES = 32
_LONGEST_FILE = 4096
_SALT = b"linked_cyp key derivation v1"
_PURPOSE = re.compile(r"[a-z][a-z0-9_]*(:[a-z0-9_.-]+)?")

# SHA-256 of published keys that no rule on randomness would catch.
_EXAMPLES = frozenset(
    {
        # AES-256 key of NIST SP 800-38A, appendix F
        "b93c72b74bc8487d29827005f80d635918f91bc22b14d7ed05714d58f96702dd",
    }
)


def create_master_key(path: Path) -> None:
    """Write a new random master key: 256 bits in hexadecimal, mode 0600, in a 0700 folder.

    Raises:
        LinkedCypError: a key is there already (it is never overwritten: every store and token
            depends on it), or others may enter the folder.
    """
    write_private(path, secrets.token_hex(KEY_BYTES).encode() + b"\n")


def write_private(path: Path, content: bytes) -> None:
    """Write a new key file: mode 0600, in a 0700 folder, never over another.

    Raises:
        LinkedCypError: as :func:`create_master_key`.
    """
    folder = path.parent
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.stat()
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise LinkedCypError(f"the key folder {folder} must be yours alone: chmod 700")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        raise LinkedCypError(f"{path} exists already: a key is never overwritten") from None
    except OSError as error:
        raise LinkedCypError(f"cannot create the key file {path}: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)  # a half-written key would refuse every later start
        raise


class Keys:
    """Keys derived from one master key. Shows nothing of them; cannot be pickled or copied."""

    __slots__ = ("_derived", "_folder", "_master")

    def __init__(self, master: bytes) -> None:
        """Take a master key, as :meth:`load` reads it (tests pass random bytes).

        Raises:
            LinkedCypError: the key is short, an example, or not random.
        """
        problem = _weakness(master)
        if problem:
            raise LinkedCypError(f"the master key {problem}: run 'linked-cyp keys create'")
        self._master = bytes(master)
        self._derived: dict[str, bytes] = {}
        self._folder: Path | None = None

    @classmethod
    def load(cls, path: Path) -> Keys:
        """Read the master key file: hexadecimal or base64 text, at least 256 bits.

        Raises:
            LinkedCypError: in one line that never shows the content: the file is missing, a link,
                not a plain file, somebody else's, open to others, or not a good key.
        """
        loaded = cls(_decode(read_private(path)))
        loaded._folder = path.parent
        return loaded

    @property
    def folder(self) -> Path | None:
        """Where the key file lies, and suppliers' pseudonym keys with it; None when not loaded."""
        return self._folder

    def derive(self, purpose: str) -> bytes:
        """The 32-byte key of one purpose, such as ``"nhs_number"`` or ``"project:asthma"``.

        Raises:
            LinkedCypError: a purpose not written as ``name`` or ``name:detail`` in lower case.
        """
        if not _PURPOSE.fullmatch(purpose):
            raise LinkedCypError("a key's purpose is written name or name:detail, in lower case")
        if purpose not in self._derived:
            kdf = HKDF(hashes.SHA256(), length=KEY_BYTES, salt=_SALT, info=purpose.encode())
            self._derived[purpose] = kdf.derive(self._master)
        return self._derived[purpose]

    def store_key(self, name: str) -> str:
        """The key of one encrypted store, in base64 as DuckDB's ``ENCRYPTION_KEY`` wants it."""
        return base64.b64encode(self.derive(f"store:{name}")).decode()

    def fingerprint(self) -> str:
        """A public 16-digit name of this master key: tells which key made a set of tokens."""
        return self.digest("fingerprint", "linked_cyp").hex()[:16]

    def digest(self, purpose: str, message: str | bytes) -> bytes:
        """HMAC-SHA-256 of one message under a purpose's key: 32 bytes."""
        mac = HMAC(self.derive(purpose), hashes.SHA256())
        mac.update(message.encode() if isinstance(message, str) else message)
        return mac.finalize()

    def token(self, purpose: str, message: str) -> int:
        """The token of one message (see :meth:`tokens`)."""
        return int(_first_63_bits([self.digest(purpose, message)])[0])

    def tokens(self, purpose: str, values: pl.Series) -> pl.Series:
        """A token per text: the first 63 bits of its HMAC-SHA-256, so a non-negative BIGINT.

        Each distinct text is hashed once (about a million a second). Null stays null. That any
        two of ten million people share a token has a chance of about 1 in 200,000.

        Args:
            purpose: which key; tokens of different purposes cannot be joined.
            values: texts, already standardised.

        Returns:
            Int64 series of the same length, order and name.

        Raises:
            LinkedCypError: the values are not text, or the purpose is not written as one.
        """
        if values.dtype != pl.String:
            raise LinkedCypError(f"tokens are made from text, not from {values.dtype}")
        distinct = values.drop_nulls().unique()
        if distinct.is_empty():  # asks for no key: a supplier's key file need not hold it
            return pl.Series(values.name, [None] * len(values), dtype=pl.Int64)
        base = HMAC(self.derive(purpose), hashes.SHA256())
        known = pl.DataFrame(
            {"value": distinct, "token": _first_63_bits(_digests(base, distinct.to_list()))},
            schema={"value": pl.String, "token": pl.Int64},
        )
        looked_up = pl.DataFrame({"value": values}).join(
            known, on="value", how="left", maintain_order="left"
        )
        return looked_up["token"].alias(values.name)

    def __repr__(self) -> str:
        return "Keys(hidden)"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise LinkedCypError("keys cannot be pickled or copied")


def _digests(base: HMAC, messages: Iterable[str]) -> Iterable[bytes]:
    """HMACs under one key: copying a keyed state is twice as fast as keying each time."""
    for message in messages:
        mac = base.copy()
        mac.update(message.encode())
        yield mac.finalize()


def _first_63_bits(digests: Iterable[bytes]) -> np.ndarray:
    heads = b"".join(digest[:8] for digest in digests)
    return (np.frombuffer(heads, dtype=">u8") >> np.uint64(1)).astype(np.int64)


def read_private(path: Path, longest: int = _LONGEST_FILE) -> bytes:
    """A key file's bytes, after checking the opened file itself (not a name that may be swapped).

    Raises:
        LinkedCypError: as :meth:`Keys.load`.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    if path.is_symlink():
        raise LinkedCypError(f"the key file {path} is a symbolic link: name the file itself")
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise LinkedCypError(f"there is no key file {path}: run 'linked-cyp keys create'") from None
    except OSError as error:
        raise LinkedCypError(f"the key file {path} cannot be opened: {error.strerror}") from None
    try:
        _check_private(path, os.fstat(descriptor))
        content = os.read(descriptor, longest + 1)
    finally:
        os.close(descriptor)
    if len(content) > longest:
        raise LinkedCypError(f"the key file {path} is too long to be a key")
    return content


def _check_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise LinkedCypError(f"the key file {path} is not a plain file")
    if status.st_uid != os.geteuid():
        raise LinkedCypError(f"the key file {path} belongs to another user")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise LinkedCypError(f"the key file {path} is open to other users: chmod 600")
    if stat.S_IMODE(path.parent.stat().st_mode) & 0o022:
        raise LinkedCypError(f"other users can write to the key folder {path.parent}")


def _decode(content: bytes) -> bytes:
    """Bytes of a key written in hexadecimal or (URL-safe) base64."""
    text = b"".join(content.split())
    try:
        if re.fullmatch(rb"[0-9A-Fa-f]+", text):
            return binascii.unhexlify(text)
        return base64.b64decode(text.translate(bytes.maketrans(b"-_", b"+/")), validate=True)
    except (binascii.Error, ValueError):
        pass
    raise LinkedCypError("the master key is neither hexadecimal nor base64 text")


def _weakness(key: bytes) -> str | None:
    """What is wrong with a master key, or None. Chance that random bytes fail: below 1 in 10^11."""
    if len(key) < KEY_BYTES:
        return f"has {8 * len(key)} bits; at least {8 * KEY_BYTES} are needed"
    if hashlib.sha256(key).hexdigest() in _EXAMPLES:
        return "is a published example"
    steps = {(after - before) % 256 for before, after in itertools.pairwise(key)}
    patterned = len(set(key)) < KEY_BYTES // 2 or len(steps) < KEY_BYTES // 4
    if patterned or len(zlib.compress(key, 9)) < len(key):
        return "is not random: it follows a pattern"
    if all(32 <= byte < 127 for byte in key):
        return "is not random: it is typed text"
    return None
