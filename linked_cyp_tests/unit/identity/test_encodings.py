from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from cryptography.hazmat.primitives.ciphers import algorithms
from cryptography.hazmat.primitives.cmac import CMAC
from hypothesis import given, settings
from hypothesis import strategies as st

from linked_cyp.identity import encodings
from linked_cyp.identity.encodings import MISSING, Bloom, Encoder, bigrams
from linked_cyp.identity.keys import Keys

KEY = bytes(np.random.default_rng(11).integers(0, 256, 32, dtype=np.uint8))
OTHER_KEY = bytes(np.random.default_rng(12).integers(0, 256, 32, dtype=np.uint8))
NAMES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ ", min_size=1, max_size=20)


def encoder(key: bytes = KEY, hardened: bool = True) -> Encoder:
    return Encoder(Keys(key), hardened=hardened)


def dice(a: Bloom, i: int, b: Bloom, j: int) -> float:
    common = sum(
        int(x[i]).__and__(int(y[j])).__and__(2**64 - 1).bit_count()
        for x, y in ((a.lane_0, b.lane_0), (a.lane_1, b.lane_1))
    )
    return 2 * common / (int(a.bits[i]) + int(b.bits[j]))


@given(values=st.lists(st.one_of(st.none(), NAMES), min_size=1, max_size=20))
@settings(max_examples=25, deadline=None)
def test_tokens_are_equal_exactly_where_texts_are(values):
    tokens = encoder().tokens("name", pl.Series(values, dtype=pl.String))
    assert tokens.dtype == np.int64
    for text, token in zip(values, tokens.tolist(), strict=True):
        assert (token == MISSING) == (text is None)
        assert token >= -1
    known = {(text, token) for text, token in zip(values, tokens.tolist(), strict=True) if text}
    assert len(known) == len({text for text, _ in known}) == len({token for _, token in known})


@given(texts=st.lists(st.text(max_size=40), min_size=1, max_size=10))
@settings(max_examples=40, deadline=None)
def test_tokens_are_the_first_63_bits_of_aes_cmac(texts):
    tokens = encoder().tokens("nhs", pl.Series(texts))
    for text, token in zip(texts, tokens.tolist(), strict=True):
        mac = CMAC(algorithms.AES(Keys(KEY).derive("linkage:nhs")))
        mac.update(text.encode())
        assert token == int.from_bytes(mac.finalize()[:8], "little") % 2**63


def test_tokens_depend_on_key_and_purpose():
    names = pl.Series(["AMY"])
    token = encoder().tokens("name", names)[0]
    assert token == encoder().tokens("name", names)[0]
    assert token != encoder(OTHER_KEY).tokens("name", names)[0]
    assert token != encoder().tokens("surname_part", names)[0]


def test_composites_need_both_parts_and_know_their_order_and_purpose():
    left, right = np.array([5, 5, MISSING, 7]), np.array([7, MISSING, 7, 5])
    composed = encoder().compose("a", left, right)
    assert composed[1] == composed[2] == MISSING
    assert composed[0] != composed[3]
    assert composed[0] != encoder().compose("b", left, right)[0]
    assert (composed >= -1).all()


@given(names=st.lists(NAMES, min_size=1, max_size=15), salt=st.integers(0, 2**62))
@settings(max_examples=25, deadline=None)
def test_bloom_counts_its_bits_and_repeats(names, salt):
    salts = np.full(len(names), salt)
    bloom = encoder().bloom("forename", pl.Series(names), salts)
    again = encoder().bloom("forename", pl.Series(names[::-1]), salts)
    assert bloom.lane_0.tolist() == again.lane_0.tolist()[::-1]
    assert bloom.lane_1.tolist() == again.lane_1.tolist()[::-1]
    for i, name in enumerate(names):
        ones = sum((int(x[i]) & (2**64 - 1)).bit_count() for x in (bloom.lane_0, bloom.lane_1))
        assert ones == bloom.bits[i]
        assert 0 < ones <= encodings.HASHES * len(bigrams(name))


@given(names=st.lists(st.one_of(st.none(), NAMES, st.just("")), max_size=12))
@settings(max_examples=40, deadline=None)
def test_bigrams_of_many_names_are_those_of_each(names):
    vocabulary, grams, starts, codes = encodings._grams_of_distinct(
        pl.Series(names, dtype=pl.String)
    )
    for name, code in zip(names, codes.tolist(), strict=True):
        found = [vocabulary[int(g)] for g in grams[starts[code] : starts[code + 1]]]
        assert (sorted(found) == bigrams(name)) if name else code == -1


def test_bloom_is_the_same_in_chunks_of_any_size(monkeypatch):
    names = pl.Series(["AMY", "BARTHOLOMEW", None, "", "AMY", "ZOE"] * 5)
    salts = np.arange(30)
    whole = encoder().bloom("surname", names, salts)
    monkeypatch.setattr(encodings, "_GRAMS_PER_CHUNK", 7)
    parts = encoder().bloom("surname", names, salts)
    for lane in ("lane_0", "lane_1", "bits"):
        assert getattr(whole, lane).tolist() == getattr(parts, lane).tolist()
    assert (whole.bits[2], whole.bits[3]) == (0, 0)


def test_salt_hides_equal_names_and_plain_does_not():
    names = pl.Series(["ELIZABETH"] * 200)
    salts = encoder().tokens("birth_date", pl.Series([f"day {n}" for n in range(200)]))
    salted = encoder().bloom("forename", names, salts)
    assert len(set(salted.lane_0.tolist())) == 200
    assert np.mean([dice(salted, 0, salted, n) for n in range(1, 200)]) < 0.45
    plain = encoder(hardened=False).bloom("forename", names, salts)
    assert len(set(plain.lane_0.tolist())) == 1


@pytest.mark.parametrize(
    ("name", "like", "unlike"),
    [
        ("KATHERINE", "CATHERINE", "MOHAMMED"),
        ("SMITH", "SMYTH", "PATEL"),
        ("LILY", "LILLY", "OMAR"),
    ],
)
def test_similar_names_have_similar_encodings(name, like, unlike):
    bloom = encoder().bloom("surname", pl.Series([name, like, unlike]), np.full(3, 99))
    assert dice(bloom, 0, bloom, 1) > 0.6 > 0.45 > dice(bloom, 0, bloom, 2)


def test_a_row_without_birth_date_has_no_encoding():
    bloom = encoder().bloom("forename", pl.Series(["AMY", "AMY"]), np.array([MISSING, 4]))
    assert bloom.bits[0] == 0 < bloom.bits[1]


def test_fields_cannot_be_compared():
    names, salts = pl.Series(["JAMES"]), np.array([3])
    first = encoder().bloom("forename", names, salts)
    second = encoder().bloom("surname", names, salts)
    assert first.lane_0[0] != second.lane_0[0]
