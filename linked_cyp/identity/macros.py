"""DuckDB macros that recognise identifiers, with the definitions of
`linked_cyp.identity.identifiers`.

`valid_<kind>` says whether a value is a real identifier; `accepted_<kind>` also accepts what
stands for "none" (blank, UN1 to UN7, ZZ99 postcodes), so it is false exactly where
`linked_cyp.identity.identifiers` refuses a value.

No macro answers NULL for a value that is not NULL: Great Expectations counts a row as unexpected
only when its condition is definitely false. `try_cast` guards each conversion, because DuckDB's
AND does not stop at the first false term.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from linked_cyp.core.sql import literal
from linked_cyp.identity.identifiers import (
    DECIMAL,
    FORMULA,
    LEADING_ZEROS,
    NO_ID,
    NOT_A_PLACE,
    O_FOR_ZERO,
    POSTCODE,
    QUOTED,
    THOUSANDS,
    UNSEEN,
    UPN_LETTERS,
)

PREFIX = "linked_cyp_"
# Rust's and Polars' \s, spelt out for RE2, and the dashes typed inside numbers.
_GAPS = r"[\t-\r \x{85}\p{Z}\-\x{2010}-\x{2015}]"
_INWARD = "[0-9][ABD-HJLNP-UW-Z]{2}"
# Royal Mail's postcode areas. Searching text for any letters would find diagnosis codes.
_AREAS_OF_ONE_LETTER = "[BEGLMNSW]"
_AREAS_OF_TWO_LETTERS = (
    "A[BL]|B[ABDHLNRST]|C[ABFHMORTVW]|D[ADEGHLNTY]|E[CHNX]|F[KY]|G[LUY]|H[ADGPRSUX]|I[GMPV]|JE"
    "|K[ATWY]|L[ADELNSU]|M[EKL]|N[EGNPRW]|O[LX]|P[AEHLOR]|R[GHM]|S[AEGKLMNOPRSTWY]|T[ADFNQRSW]"
    "|UB|W[ACDFNRSV]|YO|ZE"
)
# Five characters without a space are left out: "G01XA" is a diagnosis.
_POSTCODE_IN_TEXT = (
    rf"\b(({_AREAS_OF_ONE_LETTER}|{_AREAS_OF_TWO_LETTERS})[0-9][0-9A-Z]? "
    rf"|{_AREAS_OF_ONE_LETTER}[0-9][0-9A-Z]|({_AREAS_OF_TWO_LETTERS})[0-9][0-9A-Z]?){_INWARD}\b"
)


def _weighted(number: str, weights: Sequence[int]) -> str:
    """SQL for the sum of digit x weight of a number, its last digit under the last weight."""
    places = (10**power for power in reversed(range(len(weights))))
    return " + ".join(
        f"{weight} * (({number} // {place}) % 10)"
        for weight, place in zip(weights, places, strict=True)
    )


def _let(name: str, value: str, body: str) -> str:
    """SQL that computes a value once and uses it by name; DuckDB shares none inside CASE."""
    return f"list_transform([{value}], lambda {name}: {body})[1]"


def _number_check(shape: str, number: str, check: str) -> str:
    """SQL that is true when text has a shape and the number `n` in it passes a check."""
    checked = _let("n", f"try_cast({number} AS BIGINT)", f"coalesce({check}, false)")
    return f"CASE WHEN {shape} THEN {checked} ELSE false END"


def _in_one_spelling(spelling: str, check: str) -> str:
    """SQL that checks a value as it is when already in its one spelling, else compacted."""
    return (
        f"CASE WHEN regexp_full_match(v::VARCHAR, '{spelling}') THEN {PREFIX}{check}(v::VARCHAR) "
        f"ELSE {_let('t', f'{PREFIX}compact(v)', f'{PREFIX}{check}(t)')} END"
    )


def _or_placeholder(kind: str, placeholder: str) -> str:
    """SQL that is true for a valid value and for what stands for none."""
    either = f"{PREFIX}is_blank(t) OR {placeholder}"
    return (
        f"CASE WHEN {PREFIX}valid_{kind}(v) THEN true "
        f"ELSE {_let('t', f'{PREFIX}compact(v)', either)} END"
    )


_SPACED_DIGITS = "[0-9]{3}[ -][0-9]{3}[ -][0-9]{4}"
_TEN_DIGITS = f"[0-9]{{10}}|{_SPACED_DIGITS}"
_TENS = _weighted("(n // 10)", range(10, 1, -1))

# White space as Rust's regular expressions know it.
_SPACE = r"[\t-\r \x{85}\p{Z}]"
_SEEN = (
    f"trim(regexp_replace(regexp_replace(upper(v::VARCHAR), {literal(UNSEEN)}, '', 'g'), "
    f"'{_SPACE}+', ' ', 'g'))"
)

MACROS: dict[str, str] = {
    # An id without what is not seen and what spreadsheets put around it; identifiers._bare.
    "unwrapped(t)": rf"trim(regexp_replace(regexp_replace(t, {literal(FORMULA)}, '\1'), "
    rf"{literal(QUOTED)}, '\1'))",
    "number_text(t)": f"regexp_replace(CASE WHEN regexp_matches(t, {literal(THOUSANDS)}) "
    rf"THEN replace(t, ',', '') ELSE t END, '{DECIMAL}', '\1')",
    "seen(v)": f"{PREFIX}unwrapped({_SEEN})",
    "bare(v)": f"{PREFIX}number_text({PREFIX}seen(v))",
    "zeroless(t)": "CASE WHEN regexp_full_match(t, '[0-9]+') "
    rf"THEN regexp_replace(t, '{LEADING_ZEROS}', '\1') ELSE t END",
    # A supplier's own id in one spelling; identifiers.standardise_id, which also drops NO_ID.
    "id_text(v)": f"{PREFIX}zeroless({PREFIX}bare(v))",
    "compact(v)": f"regexp_replace({PREFIX}bare(v), '{_GAPS}', '', 'g')",
    "is_blank(t)": f"regexp_full_match(t, '({NO_ID})')",
    "is_repeated(t)": "length(t) = 10 AND t = repeat(substr(t, 1, 1), 10) "
    "AND regexp_full_match(t, '[0-9]{10}')",
    # NHS number: 11 less the remainder; 11 stands for 0, and 10, which no digit equals, is not
    # issued. Ranges as in identifiers.nhs_number_range.
    "nhs_text(t)": _number_check(
        "regexp_full_match(t, '[0-9]{10}')",
        "t",
        f"""(11 - ({_TENS}) % 11) % 11 = n % 10 AND n % 1111111111 <> 0
        AND (n BETWEEN 100000000 AND 3119999999 OR n BETWEEN 3200000000 AND 4999999999
             OR n BETWEEN 6000000000 AND 7999999999 OR n BETWEEN 9000000000 AND 9999999999)""",
    ),
    "valid_nhs_number(v)": _in_one_spelling("[0-9]{10}", "nhs_text"),
    "accepted_nhs_number(v)": _or_placeholder("nhs_number", "linked_cyp_is_repeated(t)"),
    # ULN: 10 less the remainder; a remainder of 0 is not issued.
    "uln_text(t)": _number_check(
        "regexp_full_match(t, '[1-9][0-9]{9}')",
        "t",
        f"({_TENS}) % 11 <> 0 AND 10 - ({_TENS}) % 11 = n % 10 AND n % 1111111111 <> 0",
    ),
    "valid_uln(v)": _in_one_spelling("[0-9]{10}", "uln_text"),
    "accepted_uln(v)": _or_placeholder("uln", "linked_cyp_is_repeated(t)"),
    # UPN: the weighted sum by 23 names the first letter; a temporary UPN's last letter counts as
    # its place in the same alphabet.
    "upn_text(t)": _number_check(
        f"regexp_full_match(t, '[{UPN_LETTERS}][0-9]{{11}}[0-9{UPN_LETTERS}]')",
        "substr(t, 2, 11)",
        f"""substr(t, 1, 1) = substr('{UPN_LETTERS}', 1 + ({_weighted("n", range(2, 13))}
            + 13 * coalesce(try_cast(substr(t, 13, 1) AS BIGINT),
                            strpos('{UPN_LETTERS}', substr(t, 13, 1)) - 1)) % 23, 1)""",
    ),
    "valid_upn(v)": _in_one_spelling("[A-Z][0-9]{11}[0-9A-Z]", "upn_text"),
    "accepted_upn(v)": _or_placeholder("upn", "regexp_full_match(t, 'UN[1-7]')"),
    "postcode_text(v)": rf"""regexp_replace(regexp_replace(
        regexp_replace(upper(v::VARCHAR), '[^A-Z0-9]', '', 'g'),
        '^{O_FOR_ZERO}$', '\10\2'), '^([A-Z0-9]{{2,}})([A-Z0-9]{{3}})$', '\1 \2')""",
    "is_postcode(t)": f"""CASE WHEN regexp_full_match(t, '{POSTCODE}')
        THEN NOT regexp_full_match(t, '({NOT_A_PLACE})') ELSE false END""",
    "valid_postcode(v)": """CASE WHEN linked_cyp_is_postcode(v::VARCHAR) THEN true
        ELSE linked_cyp_is_postcode(linked_cyp_postcode_text(v)) END""",
    "accepted_postcode(v)": f"""CASE WHEN linked_cyp_valid_postcode(v) THEN true
        ELSE regexp_full_match(linked_cyp_postcode_text(v), '({NOT_A_PLACE})') END""",
    # For columns that must hold no identifier: a search inside the text, cheap questions first.
    "holds_no_identifier(v)": f"""
        CASE WHEN length(v) < 6 OR NOT regexp_matches(v, '[0-9]') THEN true
             WHEN CASE WHEN regexp_matches(v, '[0-9][A-Za-z]{{2}}\\b')
                  THEN regexp_matches(upper(v), '{_POSTCODE_IN_TEXT}') ELSE false END THEN false
             WHEN CASE WHEN regexp_matches(v, '{_TEN_DIGITS}')
                  THEN list_bool_or(list_transform(
                       regexp_extract_all(v, '{_SPACED_DIGITS}|[0-9]+'),
                       lambda x: linked_cyp_nhs_text(replace(replace(x, ' ', ''), '-', ''))))
                  ELSE false END THEN false
             WHEN CASE WHEN regexp_matches(v, '[A-Za-z][0-9]{{11}}[0-9A-Za-z]')
                  THEN list_bool_or(list_transform(
                       regexp_extract_all(upper(v), '[A-Z][0-9]{{11}}[0-9A-Z]'),
                       lambda x: linked_cyp_upn_text(x)))
                  ELSE false END THEN false
             ELSE true END""",
    "is_first_of_month(v)": "day(v) = 1",
}


def create_macros(con: duckdb.DuckDBPyConnection) -> None:
    """Define the macros, named `linked_cyp_<name>`, once in a connection's temporary schema."""
    try:
        con.execute(f"SELECT {PREFIX}holds_no_identifier('')").fetchall()
    except duckdb.CatalogException:
        con.execute(
            ";".join(
                f"CREATE OR REPLACE TEMP MACRO {PREFIX}{name} AS {body}"
                for name, body in MACROS.items()
            )
        )
