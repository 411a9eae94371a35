"""The master key file, derivation and tokens."""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import os
import pickle
import stat
from pathlib import Path

import polars as pl
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.identity.keys import Keys, create_master_key

MASTER = hashlib.sha256(b"a master key for tests").digest()
NIST_EXAMPLE = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"


@pytest.fixture
def keys() -> Keys:
    return Keys(MASTER)


def write_key(folder: Path, content: bytes, mode: int = 0o600) -> Path:
    folder.chmod(0o700)
    path = folder / "master.key"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def refusal(path: Path) -> str:
    with pytest.raises(LinkedCypError) as caught:
        Keys.load(path)
    assert caught.value.__cause__ is None
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_created_key_is_private_random_and_loads(tmp_path: Path) -> None:
    before = os.umask(0)  # privacy must not depend on the operator's umask
    try:
        first, second = tmp_path / "keys" / "master.key", tmp_path / "other" / "master.key"
        create_master_key(first)
        create_master_key(second)
    finally:
        os.umask(before)
    assert stat.S_IMODE(first.stat().st_mode) == 0o600
    assert stat.S_IMODE(first.parent.stat().st_mode) == 0o700
    assert len(bytes.fromhex(first.read_text().strip())) == 32
    assert Keys.load(first).fingerprint() != Keys.load(second).fingerprint()


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "master.key"
    create_master_key(path)
    content = path.read_bytes()
    with pytest.raises(LinkedCypError, match="never overwritten"):
        create_master_key(path)
    assert path.read_bytes() == content


def test_a_key_is_not_created_where_others_can_enter(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(LinkedCypError, match="chmod 700"):
        create_master_key(folder / "master.key")
    assert not (folder / "master.key").exists()


@pytest.mark.parametrize(
    "text",
    [
        MASTER.hex(),
        MASTER.hex().upper() + "\r\n",
        base64.b64encode(MASTER).decode() + "\n",
        base64.urlsafe_b64encode(MASTER).decode(),
    ],
)
def test_hexadecimal_and_base64_are_the_same_key(tmp_path: Path, text: str, keys: Keys) -> None:
    assert Keys.load(write_key(tmp_path, text.encode())).fingerprint() == keys.fingerprint()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (MASTER[:31].hex(), "248 bits"),
        (MASTER[:16].hex(), "128 bits"),
        ("", "0 bits"),
        (NIST_EXAMPLE, "published example"),
        ("00" * 32, "pattern"),
        ("deadbeef" * 8, "pattern"),
        (bytes(range(32)).hex(), "pattern"),
        (bytes(range(0, 256, 8)).hex(), "pattern"),
        ((MASTER[:16] + MASTER[:16]).hex(), "pattern"),
        (base64.b64encode(b"a" * 32).decode(), "pattern"),
        (base64.b64encode(b"Correct-Horse_battery.Staple 4567890!?").decode(), "typed text"),
        ("change-me! change-me! change-me! change-me!", "neither hexadecimal nor base64"),
    ],
)
def test_bad_keys_are_refused_without_showing_them(tmp_path: Path, content: str, why: str) -> None:
    message = refusal(write_key(tmp_path, content.encode()))
    assert why in message
    assert not content or content[:8] not in message


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660, 0o644, 0o601])
def test_a_key_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    assert "open to other users" in refusal(write_key(tmp_path, MASTER.hex().encode(), mode))


def test_a_key_in_a_folder_others_can_write_is_refused(tmp_path: Path) -> None:
    path = write_key(tmp_path, MASTER.hex().encode())
    tmp_path.chmod(0o777)
    assert "write to the key folder" in refusal(path)


def test_missing_linked_special_and_huge_files_are_refused(tmp_path: Path) -> None:
    real = write_key(tmp_path, MASTER.hex().encode())
    link = tmp_path / "link"
    link.symlink_to(real)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)
    assert "there is no key file" in refusal(tmp_path / "none")
    assert "symbolic link" in refusal(link)
    assert "not a plain file" in refusal(pipe)
    assert "not a plain file" in refusal(tmp_path)
    assert "too long" in refusal(write_key(tmp_path, b"ab" * 4000))


def test_a_key_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_key(tmp_path, MASTER.hex().encode())
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    assert "another user" in refusal(path)


def test_keys_show_nothing_and_cannot_be_pickled_or_copied(keys: Keys) -> None:
    keys.derive("upn")
    shown = f"{keys!r} {keys} {keys!s}"
    assert shown == "Keys(hidden) Keys(hidden) Keys(hidden)"
    with pytest.raises(TypeError):
        vars(keys)
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(LinkedCypError, match="pickled or copied"):
            attempt(keys)


def test_derivation_is_hkdf_sha256_one_key_per_purpose(keys: Keys) -> None:
    expected = HKDF(
        hashes.SHA256(), length=32, salt=b"linked_cyp key derivation v1", info=b"upn"
    ).derive(MASTER)
    assert keys.derive("upn") == expected
    purposes = ["upn", "nhs_number", "project:a", "project:b", "store:linkage"]
    assert len({keys.derive(purpose) for purpose in purposes}) == len(purposes)
    assert base64.b64decode(keys.store_key("linkage")) == keys.derive("store:linkage")


@pytest.mark.parametrize("purpose", ["", "UPN", "upn ", "project:", "a:b:c", "1a", "upn\n"])
def test_a_purpose_is_written_one_way(keys: Keys, purpose: str) -> None:
    with pytest.raises(LinkedCypError):
        keys.derive(purpose)


@given(st.lists(st.none() | st.text(max_size=20), max_size=30))
@settings(max_examples=50, deadline=None)
def test_tokens_are_the_first_63_bits_of_hmac_sha256(values: list[str | None]) -> None:
    keys = Keys(MASTER)
    tokens = keys.tokens("upn", pl.Series("x", values, dtype=pl.String))
    key = keys.derive("upn")
    expected = [
        None
        if value is None
        else int.from_bytes(hmac.digest(key, value.encode(), "sha256")[:8], "big") >> 1
        for value in values
    ]
    assert (tokens.dtype, tokens.name, tokens.to_list()) == (pl.Int64, "x", expected)
    assert all(token is None or token >= 0 for token in expected)


def test_one_message_gives_the_same_token_as_a_series(keys: Keys) -> None:
    assert keys.token("upn", "A") == keys.tokens("upn", pl.Series(["A"])).item()
    assert keys.token("upn", "A") != keys.token("nhs_number", "A")
    assert keys.token("upn", "A") != Keys(MASTER[::-1]).token("upn", "A")


def test_tokens_are_made_from_text_only(keys: Keys) -> None:
    with pytest.raises(LinkedCypError, match="Int64"):
        keys.tokens("upn", pl.Series([1]))
