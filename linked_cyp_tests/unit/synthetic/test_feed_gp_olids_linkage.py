"""General practice records link by the supplier's pseudonym of the NHS number, or not at all."""

from __future__ import annotations

import hashlib
import hmac
import pickle
from datetime import date

import polars as pl
import pytest

from linked_cyp.core.errors import LinkedCypError
from linked_cyp.identity import pseudonym_keys
from linked_cyp.identity.exclusions import SPREADING, exclusions
from linked_cyp.identity.tokenise import record_key_table
from linked_cyp.linkage import (
    build_person_records,
    predict,
    publish_bridge,
    resolve,
    train,
    update_registry,
)
from linked_cyp.opt_outs.policy import not_applied
from linked_cyp_tests.unit.linkage.test_identities import ADA, BEN, CONTRACTS, OLD, opened, put

KEY = hashlib.sha256(b"a supplier's key, for tests only").digest()
UNKNOWN, OTHER = "9990000042", "9990000050"
NO_LISTS = not_applied("invented records, and opt-outs have tests of their own")
RULES = exclusions([CONTRACTS["gp_olids"]])


def pseudonym(number: str, key: bytes = KEY) -> str:
    return hmac.new(key, number.encode(), hashlib.sha256).hexdigest()


def give_key(folder, supplier: str = "nwl_icb", key: bytes = KEY) -> None:
    pseudonym_keys.write_private(pseudonym_keys.path(folder / "keys", supplier), key.hex().encode())


def put_clear(con) -> None:
    """Ada and Ben on the spine, and Ada's superseded number."""
    people = [
        {"nhs_number": ADA, "forename": "Ada", "birth_date": date(2012, 3, 4), "sex_code": "2"},
        {"nhs_number": BEN, "forename": "Ben", "birth_date": date(2009, 11, 30), "sex_code": "1"},
    ]
    put(con, "nwl_icb.2025-03-31.aa", "pds_demographics", "person", people)
    merger = {"nhs_number": ADA, "superseded_nhs_number": OLD}
    put(con, "nwl_icb.2025-03-31.aa", "pds_demographics", "person_merger", [merger])


def patient(number: str, hashed: str | None, year: int, month: int, sex: str, **more) -> dict:
    said = {"patient_id": number, "nhs_number_hash": hashed, "sex_code": sex}
    return said | {"birth_year": year, "birth_month_number": month} | more


def put_patients(con, *patients: dict) -> None:
    put(con, "nwl_icb.2025-04-01.bb", "gp_olids", "patient", list(patients))


def linked(con, keys) -> tuple[dict[str, int], dict[str, int]]:
    """Counts of the build, and the person of each source record by its key in its feed."""
    counts = build_person_records(con, CONTRACTS, keys, opt_outs=NO_LISTS)
    train(con)
    predict(con)
    resolve(con)
    persons = {}
    for feed, table, column, delivery in (
        ("pds_demographics", "person", "nhs_number", "nwl_icb.2025-03-31.aa"),
        ("gp_olids", "patient", "patient_id", "nwl_icb.2025-04-01.bb"),
    ):
        contract = CONTRACTS[feed]
        record_key_table(con, contract, contract.tables[table], keys, [delivery], "k")
        persons |= dict(
            con.execute(
                f"SELECT {column}, cluster FROM identifiable.raw.{feed}__{table}"
                " JOIN k USING (delivery_id, source_file, row_number)"
                " JOIN linkage.main.person USING (record_key)"
            ).fetchall()
        )
    return counts, persons


def test_pseudonyms_find_their_persons_and_wrong_ones_do_not(tmp_path):
    with opened(tmp_path) as (con, keys):
        put_clear(con)
        put_patients(
            con,
            patient("ada", pseudonym(ADA), 2012, 3, "female"),
            # another practice, written as a binary literal in capitals, with a wrong sex
            patient("ada again", "0x" + pseudonym(ADA).upper(), 2012, 3, "male"),
            patient("a sister's", pseudonym(ADA), 2013, 3, "female"),
            patient("ada before", pseudonym(OLD), 2012, 3, "female"),
            patient("ben's number", pseudonym(BEN), 2012, 3, "female"),  # a brother's, by a slip
            patient("nobody's", pseudonym(UNKNOWN), 2012, 3, "female"),
            patient("another key", pseudonym(ADA, b"x" * 32), 2012, 3, "female"),
            patient("bare hash", hashlib.sha256(ADA.encode()).hexdigest(), 2012, 3, "female"),
            patient("blank", None, 2012, 3, "female"),
        )
        give_key(tmp_path)
        counts, persons = linked(con, keys)
    assert persons["ada"] == persons["ada again"] == persons["ada before"] == persons[ADA]
    others = {k: v for k, v in persons.items() if v != persons[ADA]}
    assert len(set(others.values())) == len(others) == 7  # each alone, Ben too
    assert {k: v for k, v in counts.items() if k.startswith("pseudonymised")} == {
        "pseudonymised numbers": 8,
        "pseudonymised numbers of suppliers without a key": 0,
        "pseudonymised numbers without a match": 3,
        "pseudonymised numbers refused by birth": 2,
    }


def test_a_hospital_s_slip_does_not_join_brother_and_sister(tmp_path):
    """Ben came in under Ada's number. Nothing but that number joins his visit with her practice."""
    with opened(tmp_path) as (con, keys):
        put_clear(con)
        put_patients(con, patient("ada", pseudonym(ADA), 2012, 3, "female"))
        visit = {"spell_id": "1", "nhs_number": ADA, "birth_date": date(2009, 11, 30)}
        put(con, "nwl_icb.2025-03.cc", "sus_apc", "spell", [visit | {"sex_code": "1"}])
        give_key(tmp_path)
        _, persons = linked(con, keys)
        update_registry(con)
        con.execute("ATTACH ':memory:' AS warehouse")
        publish_bridge(con)
        tiers = dict(con.execute("SELECT feed, tier FROM warehouse.linkage.bridge").fetchall())
        sizes = con.execute("SELECT count(*) FROM linkage.main.person GROUP BY cluster").fetchall()
    assert persons["ada"] == persons[ADA]
    assert sorted(sizes) == [(1,), (1,), (2,)]
    # the number was believed for year and month of birth: as sure as any other that agrees
    assert (tiers["gp_olids"], tiers["sus_apc"]) == ("identifier", "unlinked")


def test_a_maternity_record_links_to_who_was_born_that_month_and_never_to_the_mother(tmp_path):
    """The bridge gives Ada's record her number, that of Ben's birth his mother's, and holds a
    mother besides."""
    with opened(tmp_path) as (con, keys):
        put_clear(con)
        mother = {"nhs_number": OTHER, "birth_date": date(1985, 6, 7), "sex_code": "2"}
        put(con, "nwl_icb.2025-03-30.ee", "pds_demographics", "person", [mother])
        delivery = "nwl_icb.2020.dd"
        births = [("ada", 2012, 3, "2"), ("ben", 2009, 11, "1")]
        rows = [
            {"baby_record_id": baby, "mother_record_id": "m", "birth_year": year}
            | {"birth_month_number": month, "sex_code": sex}
            for baby, year, month, sex in births
        ]
        put(con, delivery, "msds", "maternity_record", rows)
        bridge = [("ada", ADA), ("ben", OTHER), ("m", OTHER)]
        put(
            con,
            delivery,
            "msds",
            "bridge",
            [{"record_id": record, "nhs_number": number} for record, number in bridge],
        )
        build_person_records(con, CONTRACTS, keys, opt_outs=NO_LISTS)
        train(con)
        predict(con)
        resolve(con)
        sources = con.execute(
            "SELECT list(feed ORDER BY feed) FROM linkage.main.person JOIN"
            " linkage.main.person_record USING (record_key) JOIN linkage.main.source USING (source)"
            " WHERE alternative = 0 GROUP BY cluster ORDER BY ALL"
        ).fetchall()
    alone = [(["msds"],)] * 2 + [(["msds", "pds_demographics"],)] + [(["pds_demographics"],)] * 2
    assert sources == alone


@pytest.mark.parametrize("supplier", [None, "other_icb"])
def test_without_the_suppliers_key_nothing_links(tmp_path, supplier):
    with opened(tmp_path) as (con, keys):
        put_clear(con)
        put_patients(con, patient("ada", pseudonym(ADA), 2012, 3, "female"))
        if supplier:
            give_key(tmp_path, supplier)
        counts, persons = linked(con, keys)
    assert len(set(persons.values())) == 3
    assert counts["pseudonymised numbers of suppliers without a key"] == 1


@pytest.mark.parametrize("rule", RULES, ids=[f"{r.table}-{r.column}" for r in RULES])
def test_marked_patients_have_no_edge(tmp_path, rule):
    with opened(tmp_path) as (con, keys):
        put_clear(con)
        mark = {rule.column: rule.values[0] if rule.values else True}
        marked = rule.table == "patient"
        put_patients(
            con, patient("ada", pseudonym(ADA), 2012, 3, "female", **(mark if marked else {}))
        )
        if not marked:
            entry = {"observation_id": "1", "patient_id": "ada"} | mark
            put(con, "nwl_icb.2025-04-01.bb", "gp_olids", rule.table, [entry])
        give_key(tmp_path)
        _, persons = linked(con, keys)
        reasons = con.execute(
            "SELECT exclusion, count(DISTINCT record_key) FROM linkage.main.person_record"
            " WHERE exclusion IS NOT NULL GROUP BY ALL"
        ).fetchall()
    assert persons["ada"] != persons[ADA]
    # the reason is found in the practice's record; some hold for the spine's record as well
    assert reasons == [(rule.reason, 2 if rule.reason in SPREADING else 1)]


def test_who_was_adopted_and_is_sensitive_is_left_out(tmp_path):
    with opened(tmp_path) as (con, keys):
        put_clear(con)
        hashed = pseudonym(ADA)
        put_patients(con, patient("ada", hashed, 2012, 3, "female", is_spine_sensitive=True))
        adopted = {"observation_id": "1", "patient_id": "ada", "snomed_code": "393547004"}
        put(con, "nwl_icb.2025-04-01.bb", "gp_olids", "observation", [adopted])
        give_key(tmp_path)
        linked(con, keys)
        reasons = con.execute(
            "SELECT exclusion FROM linkage.main.person_record WHERE alternative = 0"
        ).fetchall()
    assert sorted(str(reason) for (reason,) in reasons) == ["None", "sensitive", "sensitive"]


def test_no_number_stays_behind(tmp_path):
    with opened(tmp_path) as (con, keys):
        put_clear(con)
        put_patients(con, patient("ada", pseudonym(ADA), 2012, 3, "female"))
        give_key(tmp_path)
        build_person_records(con, CONTRACTS, keys, opt_outs=NO_LISTS)
        left = con.execute("SELECT table_name FROM duckdb_tables() WHERE temporary").fetchall()
    assert left == []


def test_a_pseudonym_key_is_guarded(tmp_path):
    folder = tmp_path / "keys"
    handed = tmp_path / "own" / "handed.key"
    pseudonym_keys.write_private(handed, KEY.hex().encode() + b"\n")
    written = pseudonym_keys.take_over(handed, folder, "nwl_icb")
    assert written.stat().st_mode & 0o777 == 0o600
    key = pseudonym_keys.load(folder, "nwl_icb")
    assert key is not None
    assert key.pseudonyms(pl.Series([ADA])).to_list() == [pseudonym(ADA)]
    assert pseudonym_keys.load(folder, "other") is None
    assert KEY.hex() not in repr(key)
    with pytest.raises(LinkedCypError, match="never overwritten"):
        pseudonym_keys.take_over(handed, folder, "nwl_icb")
    with pytest.raises(LinkedCypError, match="pickled"):
        pickle.dumps(key)
    written.chmod(0o644)
    with pytest.raises(LinkedCypError, match="open to other users"):
        pseudonym_keys.load(folder, "nwl_icb")
    for content in (b"no key at all", b"00" * 32, b"ab"):
        bad = tmp_path / "bad" / f"{len(content)}.key"
        pseudonym_keys.write_private(bad, content)
        with pytest.raises(LinkedCypError) as caught:
            pseudonym_keys.take_over(bad, folder, "another")
        assert content.decode() not in str(caught.value)
    with pytest.raises(LinkedCypError, match="lower case"):
        pseudonym_keys.path(folder, "../elsewhere")
