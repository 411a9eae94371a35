"""Supplier keys: what they hold, what they refuse, how they are kept."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.identity import tokenise
from linked_cyp.identity.keys import Keys
from linked_cyp.identity.roles import ROLES
from linked_cyp.ingest.encoded import compatibility
from linked_cyp.ingest.encoded.supplier_keys import SupplierKeys, purposes, supplier_keys
from linked_cyp_tests.encoded_support import CENSUS, CONTRACTS, MASTER, keys_of

OF_STORES = ("store:identifiable", "store:linkage", "fingerprint", "project:demo")


def saved(tmp_path: Path) -> Path:
    path = tmp_path / "handover" / "brent.key"
    keys_of().save(path)
    return path


@pytest.mark.parametrize("purpose", OF_STORES)
def test_no_key_but_those_of_encoding_can_be_had(purpose: str) -> None:
    with pytest.raises(LinkedCypError, match="holds no key"):
        keys_of().derive(purpose)


def test_no_store_can_be_opened_with_a_supplier_key() -> None:
    with pytest.raises(LinkedCypError, match="holds no key"):
        keys_of().store_key("identifiable")


@pytest.mark.parametrize(
    ("feed", "supplier"),
    [("ssda903", "plantshire"), ("school_census", "brent"), ("ssda903", "brent")],
)
def test_tokens_of_other_feeds_and_suppliers_cannot_be_made(feed: str, supplier: str) -> None:
    for kind in (tokenise.LOCAL_ID, tokenise.SUPPLIER_PERSON):
        with pytest.raises(LinkedCypError, match="holds no key"):
            keys_of().token(tokenise.purpose(kind, feed, supplier), "C1")


def test_the_keys_are_the_master_keys_own() -> None:
    master = Keys(MASTER.digest())
    mine = keys_of()
    wanted = purposes(CENSUS, "plantshire")
    assert {name: mine.derive(name) for name in wanted} == {n: master.derive(n) for n in wanted}


def test_a_feed_without_names_gets_no_keys_of_names() -> None:
    care, census = (set(purposes(CONTRACTS[f], "x")) for f in ("ssda903", "school_census"))
    assert "linkage:name" in census - care
    assert "linkage:la_child" in care - census
    assert not any(name.startswith("linkage:gram") for name in care)
    assert "linkage:nhs" not in census | care


def test_every_field_of_the_sample_has_a_usable_value() -> None:
    """Else the key of a field would not be among a supplier's."""
    invented = compatibility.identities()
    fields = {role.field for role in ROLES.values()}
    assert not [field for field in fields if invented[field].null_count() == invented.height]


def test_a_key_file_is_private_and_says_whose_it_is(tmp_path: Path) -> None:
    path = saved(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text()
    assert MASTER.hexdigest() not in text
    loaded = SupplierKeys.load(path)
    assert (loaded.feed, loaded.supplier) == ("school_census", "plantshire")
    assert loaded.fingerprint() == keys_of().fingerprint() == json.loads(text)["fingerprint"]
    assert repr(loaded) == "Keys(hidden)"
    with pytest.raises(LinkedCypError, match="never overwritten"):
        loaded.save(path)


def test_fingerprints_tell_keys_apart() -> None:
    other = Keys(compatibility.PUBLISHED_KEY)
    found = {
        keys_of().fingerprint(),
        keys_of(supplier="brent").fingerprint(),
        keys_of("ssda903").fingerprint(),
        supplier_keys(other, CENSUS, "plantshire").fingerprint(),
    }
    assert len(found) == 4


def test_key_files_that_are_not_in_order_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    with pytest.raises(LinkedCypError, match="there is no supplier key file"):
        SupplierKeys.load(path.with_name("other.key"))
    path.chmod(0o640)
    with pytest.raises(LinkedCypError, match="chmod 600"):
        SupplierKeys.load(path)
    path.chmod(0o600)
    held = json.loads(path.read_text())
    held["keys"]["linkage:name"] = "00" * 32
    path.write_text(json.dumps(held))
    with pytest.raises(LinkedCypError, match="damaged"):
        SupplierKeys.load(path)
    path.write_text("{}")
    with pytest.raises(LinkedCypError, match="not a supplier key file"):
        SupplierKeys.load(path)


def test_the_encoding_version_follows_what_is_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    version = compatibility.encoding_version.__wrapped__
    before = version()
    assert version() == before
    other = {**ROLES, "surname": replace(ROLES["surname"], rule=ROLES["postcode"].rule)}
    monkeypatch.setattr(compatibility, "ROLES", other)
    assert version() != before


def test_tokens_of_several_suppliers_each_have_their_own_key() -> None:
    keys = Keys(MASTER.digest())
    messages = pl.DataFrame({"supplier": ["b", "a", "b"], "text": ["x", "x", None]})
    made = tokenise.own_tokens(keys, "local_id", "toy", messages)
    assert made.to_list() == [
        keys.token("local_id:toy.b", "x"),
        keys.token("local_id:toy.a", "x"),
        None,
    ]
