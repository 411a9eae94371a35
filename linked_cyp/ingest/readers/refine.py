"""The second look at a staged delivery: every value in one spelling before anything is compared.

Readers take text apart and type what is written as the contract says, which is nearly all. What is
left is looked at here, by column, over the whole delivery and whatever it came from (CSV, workbook
or XML): ids and codes get their one spelling, dates are read in other ways and in one order of day
and month, text decoded twice is mended, and dates that cannot be are taken out. The text as the
supplier wrote it stays beside; repairs are counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date

import duckdb
import pyarrow as pa

from linked_cyp.contracts.model import Column, Contract, Table
from linked_cyp.core.sql import literal, quoted
from linked_cyp.identity.identifiers import NO_ID
from linked_cyp.identity.macros import create_macros
from linked_cyp.ingest.readers import lines
from linked_cyp.ingest.readers.conform import EARLIEST, MISSING_WORDS, TEXT_PREFIX
from linked_cyp.ingest.readers.spelling import (
    AMBIGUOUS,
    MOJIBAKE,
    Reading,
    code_reading,
    mended_text,
    moment_readings,
    plain,
    school_year,
)
from linked_cyp.ingest.readers.staging import PROBLEMS, Staged, StagedTable, find_problems

# Ids as nearly all are written: nothing of them could be spelt otherwise.
_PLAIN_ID = "[A-Z1-9][A-Z0-9_|:/-]*"
_HASHES = ("nhs_number_hash",)
# Dates by which databases say "no end".
OPEN_END = (
    *("2079-06-06", "2099-12-31", "2999-12-31", "3000-01-01", "3000-12-31", "4712-12-31"),
    *("9999-01-01", "9999-09-09", "9999-12-30", "9999-12-31"),
)
# And those by which databases and spreadsheets say "never": the first day that they can write.
NEVER = ("1753-01-01", "1800-01-01", "1899-12-30", "1899-12-31", "1900-01-01", "1900-01-02")
# Dates that are laid down beforehand, or say until when something holds.
_AHEAD = re.compile(r"expected|planned|due|target|next|valid|expir|end|until|leaving|scheduled")
YEARS_AHEAD, YEARS_BEYOND = 6, 1
# Words for nothing that are no name either (Null is one).
_NO_TEXT = ("\\N", "#N/A", "NaN", "(null)", "(NULL)", "<null>", "<NULL>", "[null]", "[NULL]")
RARELY_PADDED = 0.1  # share of the rows


def refine(con: duckdb.DuckDBPyConnection, staged: Staged, year: int | None) -> None:
    """Give every staged table its second look, and judge the rows.

    Args:
        year: collection year, which decides what date lies beyond the delivery; None: no date does.
    """
    create_macros(con)
    for item in staged.tables.values():
        lines.set_aside(con, item)
        for name in item.present:
            column = item.table.column(name)
            if column.type == "string":
                _text(con, staged, item, column)
    _dates(con, staged)
    for item in staged.tables.values():
        for column in _moments(item):
            _impossible(con, item, column, year)
    find_problems(con, staged)
    for item in staged.tables.values():
        _unknown_codes(con, item)
        _misaligned(con, item)


def id_columns(contract: Contract, table: Table) -> set[str]:
    """The text columns that hold ids: keys, references to them, and what becomes a token."""
    names = {name for alternative in table.person_key for name in alternative}
    names |= {*table.primary_key}
    for other in contract.tables.values():
        for link in other.relationships:
            names |= {*link.columns} if other.name == table.name else set()
            names |= {*link.to_columns} if link.to_table == table.name else set()
    return {
        column.name
        for column in table.columns
        if column.type == "string"
        and (column.name in names or column.pseudonymisation == "token")
        and not (column.codeset or column.identifier_type == "postcode")
        and column.linkage_role not in (*lines.NAMES, *_HASHES)
    }


def _text(
    con: duckdb.DuckDBPyConnection, staged: Staged, item: StagedTable, column: Column
) -> None:
    if column.name in id_columns(staged.contract, item.table):
        _ids(con, item, column)
    elif column.codeset:
        table = staged.in_force.tables.get(item.table.name)
        current = {c.name: c.codeset for c in table.columns} if table else {}
        known = ", ".join(literal(code) for code in column.codeset.values)
        read = code_reading(column.codeset, current.get(column.name))
        _respell(con, item, column.name, f"NOT IN ({known})", read, missing=True)
    elif column.name.startswith("academic_year"):
        _respell(con, item, column.name, "NOT NULL", school_year)
    elif column.pattern:
        words = f"IN ({', '.join(map(literal, MISSING_WORDS))})"
        _respell(con, item, column.name, words, lambda _: None, missing=True)
    else:
        words = f"IN ({', '.join(map(literal, _NO_TEXT))})"
        _respell(con, item, column.name, words, lambda _: None, missing=True)
        odd = f"SIMILAR TO {literal(f'(?s).*({MOJIBAKE}).*')}"
        _respell(con, item, column.name, odd, mended_text, lost="encoding")


def _ids(con: duckdb.DuckDBPyConnection, item: StagedTable, column: Column) -> None:
    """Ids in one spelling. Where all of a column are in small letters they may stay so."""
    spelt = "linked_cyp_compact" if column.identifier_type else "linked_cyp_id_text"
    name = quoted(column.name)
    nothing = f"linked_cyp_is_blank(upper(trim({name})))"
    plain_id = f"regexp_full_match({name}, {literal(_PLAIN_ID)})"
    odd = f"FROM {item.relation} WHERE NOT {plain_id} OR {nothing}"
    if con.execute(f"SELECT 1 {odd} LIMIT 1").fetchone() is None:
        return  # before the macros are planned, which takes longer than all the rest
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE spellings AS SELECT {name} AS old, "
        f"CASE WHEN {nothing} THEN '' ELSE {spelt}({name}) END AS new "
        f"FROM (SELECT DISTINCT {name} {odd}) WHERE new IS DISTINCT FROM old "
        "AND (new <> upper(old) OR new IN "
        f"(SELECT {name} FROM {item.relation} WHERE {name} = upper({name})))"
    )
    con.execute("UPDATE temp.main.spellings SET new = nullif(new, '')")
    if not column.identifier_type and _collide(con, item, name):
        item.collided.add(column.name)
    _take_over(con, item, column.name)


def _collide(con: duckdb.DuckDBPyConnection, item: StagedTable, name: str) -> bool:
    """Whether two ids of a column differ by leading zeros only: two children, or one, nobody
    knows."""
    found = con.execute(
        "SELECT new FROM (FROM temp.main.spellings UNION ALL "
        f"SELECT DISTINCT {name}, {name} FROM {item.relation} "
        f"WHERE {name} IN (SELECT new FROM temp.main.spellings)) "
        "WHERE regexp_full_match(new, '[0-9]*[1-9][0-9]*') "
        "GROUP BY new HAVING count(DISTINCT linked_cyp_bare(old)) > 1 LIMIT 1"
    ).fetchone()
    return found is not None


def _respell(
    con: duckdb.DuckDBPyConnection,
    item: StagedTable,
    name: str,
    odd: str,
    read: Reading,
    *,
    missing: bool = False,
    lost: str | None = None,
) -> None:
    """Read the odd distinct values of a text column; those that stay unread are left as they are.

    Args:
        odd: SQL behind the column that is true of values to be looked at.
        missing: words that stand for nothing become null.
        lost: values that cannot be read become null too, and are recorded under this rule.
    """
    condition = f"{quoted(name)} IS {odd}" if odd == "NOT NULL" else f"{quoted(name)} {odd}"
    found = con.execute(
        f"SELECT DISTINCT {quoted(name)} FROM {item.relation} WHERE {condition}"
    ).fetchall()
    pairs: list[tuple[str, str | None]] = []
    for (text,) in found:
        new = read(text)
        if (new is None and missing and re.fullmatch(NO_ID, plain(text))) or (new is None and lost):
            pairs.append((text, None))
        elif new is not None and new != text:
            pairs.append((text, new))
    if pairs:
        spellings = pa.table(
            {
                "old": pa.array([a for a, _ in pairs]),
                "new": pa.array([b for _, b in pairs], pa.string()),
            }
        )
        con.register("read_spellings", spellings)
        con.execute("CREATE OR REPLACE TEMP TABLE spellings AS FROM read_spellings")
        con.unregister("read_spellings")
        _take_over(con, item, name, blank=missing)


def _take_over(
    con: duckdb.DuckDBPyConnection, item: StagedTable, name: str, *, blank: bool = True
) -> None:
    """Write the new spellings into a column and count them; the text as written stays beside.

    ``blank``: a value without a new spelling was nothing, so that the text beside is null too.
    """
    column, text = quoted(name), quoted(TEXT_PREFIX + name)
    found = con.execute(
        f"SELECT count(*) FROM {item.relation} JOIN temp.main.spellings ON {column} = old"
    ).fetchone()
    count = int(found[0]) if found else 0
    if count:
        if name not in item.rewritten:
            con.execute(f"ALTER TABLE {item.relation} ADD COLUMN {text} VARCHAR")
            con.execute(f"UPDATE {item.relation} SET {text} = {column}")
            item.rewritten.add(name)
        beside = f", {text} = CASE WHEN new IS NOT NULL THEN {text} END" if blank else ""
        con.execute(
            f"UPDATE {item.relation} SET {column} = new{beside} FROM temp.main.spellings "
            f"WHERE {column} = old"
        )
        item.repaired[name] = item.repaired.get(name, 0) + count
    con.execute("DROP TABLE temp.main.spellings")


def _moments(item: StagedTable) -> list[Column]:
    columns = [item.table.column(name) for name in item.present]
    return [column for column in columns if column.type in ("date", "timestamp")]


def _unread(con: duckdb.DuckDBPyConnection, item: StagedTable) -> list[int]:
    """Of each column of dates, the cells that are not written as the contract says."""
    counts = [f"count({item.written(c.name)}) - count({quoted(c.name)})" for c in _moments(item)]
    if not counts:
        return []
    return list(con.execute(f"SELECT {', '.join(counts)} FROM {item.relation}").fetchone() or ())


def _dates(con: duckdb.DuckDBPyConnection, staged: Staged) -> None:
    """Read the dates that are not written as the contract says, column by column.

    One program wrote the whole delivery: where no date of a column tells day from month, the other
    columns do, of whatever table.
    """
    unread = [
        (item, column, cells)
        for item in staged.tables.values()
        for column, cells in zip(_moments(item), _unread(con, item), strict=True)
    ]
    if not any(cells for _, _, cells in unread):
        return
    orders = [_order(con, item, column) for item, column, _ in unread]
    elsewhere = "month" in orders and "day" not in orders
    for (item, column, cells), order in zip(unread, orders, strict=True):
        month_first = order == "month" or (elsewhere and order == "either")
        if month_first or cells:
            _read_again(con, item, column, month_first)


def _order(con: duckdb.DuckDBPyConnection, item: StagedTable, column: Column) -> str:
    """Which of two numbers is the month, by all of a column: day, month, either or none.

    The order for which more dates speak: those of the other order stay unread, and count as lost.
    """
    text = item.written(column.name)
    first = f"try_cast(regexp_extract({text}, {literal('^' + AMBIGUOUS)}, 1) AS INTEGER)"
    second = f"try_cast(regexp_extract({text}, {literal('^' + AMBIGUOUS)}, 2) AS INTEGER)"
    day, month, both = con.execute(
        f"SELECT count(*) FILTER ({first} > 12), count(*) FILTER ({second} > 12), count({first}) "
        f"FROM {item.relation}"
    ).fetchone() or (0, 0, 0)
    if not both:
        return "none"
    if not day and not month:
        return "either"
    return "month" if month > day else "day"


def _read_again(
    con: duckdb.DuckDBPyConnection, item: StagedTable, column: Column, month_first: bool
) -> None:
    name, text = quoted(column.name), item.written(column.name)
    wanted = f"{text} IS NOT NULL AND {name} IS NULL"
    if month_first:
        two_numbers = f"regexp_matches({text}, {literal('^' + AMBIGUOUS)})"
        wanted = f"{text} IS NOT NULL AND ({name} IS NULL OR {two_numbers})"
    texts = f"SELECT DISTINCT {text} AS text FROM {item.relation} WHERE {wanted}"
    readings = moment_readings(texts, month_first, column.type == "date")
    con.execute(f"CREATE OR REPLACE TEMP TABLE readings AS FROM ({readings})")
    earliest = f"TIMESTAMP {literal(EARLIEST)}"
    con.execute(f"UPDATE temp.main.readings SET moment = NULL WHERE moment < {earliest}")
    changed = con.execute(
        f"UPDATE {item.relation} SET {name} = moment::{column.sql_type} "
        f"FROM temp.main.readings AS r WHERE {text} = r.text "
        f"AND {name} IS DISTINCT FROM moment::{column.sql_type}"
    ).fetchone()
    if changed and changed[0]:
        item.repaired[column.name] = item.repaired.get(column.name, 0) + int(changed[0])
    con.execute("DROP TABLE temp.main.readings")


def _impossible(
    con: duckdb.DuckDBPyConnection, item: StagedTable, column: Column, year: int | None
) -> None:
    """Take out the dates by which databases say "never" or "no end", and those beyond the delivery.

    The first say nothing, except where a date must be; the second say nothing where a date may lie
    ahead; everywhere else they are lost, as are the last.
    """
    name = quoted(column.name)
    of_life = column.linkage_role in ("birth_date", "death_date")
    never = f"{name}::DATE IN ({', '.join(f'DATE {literal(day)}' for day in NEVER)})"
    if column.required or column.linkage_role == "birth_date":
        con.execute(f"UPDATE {item.relation} SET {name} = NULL WHERE {never}")
    else:
        _nothing(con, item, column, never)
    if _AHEAD.search(column.name) and not of_life:
        ends = ", ".join(f"DATE {literal(day)}" for day in OPEN_END)
        _nothing(con, item, column, f"{name} >= DATE '2079-06-06' AND {name}::DATE IN ({ends})")
    if year is not None:
        ahead = YEARS_AHEAD if _AHEAD.search(column.name) else YEARS_BEYOND
        latest = date(year + (0 if of_life else ahead), 12, 31)
        con.execute(
            f"UPDATE {item.relation} SET {name} = NULL "
            f"WHERE {name}::DATE > DATE {literal(str(latest))}"
        )


def _nothing(con: duckdb.DuckDBPyConnection, item: StagedTable, column: Column, where: str) -> None:
    """Make some values of a column blank, as what they say is that there is none."""
    gone = con.execute(
        f"UPDATE {item.relation} SET {quoted(column.name)} = NULL, "
        f"{item.written(column.name)} = NULL WHERE {where}"
    ).fetchone()
    if gone and gone[0]:
        item.repaired[column.name] = item.repaired.get(column.name, 0) + int(gone[0])


def _unknown_codes(con: duckdb.DuckDBPyConnection, item: StagedTable) -> None:
    """Record the cells that will be blank beyond the raw table: text that is not declared."""
    for column in kept_text(item):
        con.execute(
            f"INSERT INTO {PROBLEMS} SELECT {literal(item.table.name)}, source_file, row_number, "
            f"'cell', {literal(column.name)}, {literal(column.name + '__codes')}, 500, 0, "
            f"{item.written(column.name)} FROM {item.relation} WHERE {undeclared(column)}"
        )


def kept_text(item: StagedTable) -> Iterable[Column]:
    """The present text columns that a code list or a pattern limits."""
    for name in item.present:
        column = item.table.column(name)
        if column.type == "string" and (column.codeset or _limited(column)):
            yield column


def undeclared(column: Column) -> str:
    """SQL that is true of a value that the contract does not declare."""
    name = quoted(column.name)
    if column.codeset:
        return f"{name} NOT IN ({', '.join(literal(c) for c in column.codeset.values)})"
    return f"NOT regexp_matches({name}, {literal(column.pattern or '')})"


def _limited(column: Column) -> bool:
    return bool(column.pattern) and column.pseudonymisation == "keep"


def _misaligned(con: duckdb.DuckDBPyConnection, item: StagedTable) -> None:
    """A line that lacked fields and does not read well lacked them in its middle: no row."""
    if not item.padded:
        return
    # Where many lines are short it is the file's way to leave out what is empty.
    is_rare = len(item.padded) <= RARELY_PADDED * item.received
    padded = pa.table(
        {
            "source_file": pa.array([file for file, _ in item.padded], pa.int32()),
            "row_number": pa.array([number for _, number in item.padded], pa.int64()),
        }
    )
    con.register("padded_rows", padded)
    con.execute(
        f"INSERT INTO {PROBLEMS} SELECT DISTINCT {literal(item.table.name)}, source_file, "
        f"row_number, 'row', NULL, 'row__structure', -1, 1, NULL FROM {PROBLEMS} AS p "
        "SEMI JOIN padded_rows USING (source_file, row_number) "
        f"WHERE table_name = {literal(item.table.name)} AND "
        "(scope = 'cell' OR rule NOT LIKE 'line_%' AND rule NOT LIKE 'key_%' "
        "AND rule NOT IN ('row__blank', 'row__duplicate')) GROUP BY source_file, row_number "
        f"HAVING count(DISTINCT column_name) >= {1 if is_rare else 2} OR bool_or(scope = 'row')"
    )
    con.unregister("padded_rows")
