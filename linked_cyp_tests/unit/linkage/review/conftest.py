"""A small linked population, made once for the tests of clerical review."""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pytest

from linked_cyp.identity.encodings import Encoder
from linked_cyp.identity.keys import Keys
from linked_cyp.linkage import predict, resolve, train
from linked_cyp.linkage.records.writing import write_person_records
from linked_cyp_tests.unit.linkage.linkage_population import NO_ALIASES, SOURCES
from linked_cyp_tests.unit.linkage.review.support import PEOPLE


@pytest.fixture(scope="session")
def linked_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("review") / "linkage.duckdb"
    con = duckdb.connect()
    con.execute(f"ATTACH '{path}' AS linkage")
    encoder = Encoder(Keys(np.random.default_rng(8).bytes(32)))
    write_person_records(con, [PEOPLE.identities], SOURCES, NO_ALIASES, encoder)
    train(con)
    predict(con)
    resolve(con)
    con.close()
    return path


@pytest.fixture
def con(linked_file, tmp_path):
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(linked_file.read_bytes())
    connection = duckdb.connect()
    connection.execute(f"ATTACH '{copy}' AS linkage")
    yield connection
    connection.close()
