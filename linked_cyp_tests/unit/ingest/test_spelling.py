"""How dates are read beyond the contract's own spelling."""

from __future__ import annotations

import duckdb

from linked_cyp.ingest.readers.spelling import _in_summer_time


def test_londons_summer_time_is_what_the_table_of_time_zones_says_on_every_night_of_67_years():
    """The law of each year is written out, as a browser's DuckDB knows no time zones."""
    with duckdb.connect() as con:
        rows, summer, differ = con.execute(
            "WITH nights AS (SELECT moment FROM generate_series(TIMESTAMP '1968-01-01 23:00', "
            "TIMESTAMP '2034-12-31 23:00', INTERVAL 1 DAY) AS t(moment)), told AS (SELECT "
            f"{_in_summer_time('moment')} AS ours, (moment AT TIME ZONE 'UTC' AT TIME ZONE "
            "'Europe/London')::TIME = TIME '00:00' AS theirs FROM nights) SELECT count(*), "
            "count(*) FILTER (theirs), count(*) FILTER (ours IS DISTINCT FROM theirs) FROM told"
        ).fetchone() or (0, 0, 0)
    assert (rows, summer) == (24472, 14868)
    assert differ == 0
