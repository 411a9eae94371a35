"""DuckDB macros that recognise identifiers, with the definitions of `linked_cyp.identifiers`.

`valid_<kind>` says whether a value is a real identifier; `accepted_<kind>` also accepts what
stands for "none" (blank, UN1 to UN7, ZZ99 postcodes), so it is false exactly where
`linked_cyp.identifiers` refuses a value.

No macro answers NULL for a value that is not NULL: Great Expectations counts a row as unexpected
only when its condition is definitely false. `try_cast` guards each conversion, because DuckDB's
AND does not stop at the first false term.
"""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from linked_cyp.identifiers import UPN_LETTERS

PREFIX = "linked_cyp_"
# Rust's and Polars' \s, spelt out for RE2, and the dashes typed inside numbers.
_GAPS = r"[\t-\r \x{85}\p{Z}\-\x{2010}-\x{2015}]"
_NO_ID = "UNKNOWN|NOT KNOWN|NULL|NONE|NAN|#?N/A"
_FIRST = "[A-PR-UWYZ]"
_INWARD = "[0-9][ABD-HJLNP-UW-Z]{2}"
_POSTCODE = (
    f"(GIR|{_FIRST}[0-9]{{1,2}}|{_FIRST}[0-9][A-HJKPSTUW]|{_FIRST}[A-HK-Y][0-9]{{1,2}}"
    f"|{_FIRST}[A-HK-Y][0-9][ABEHMNPRVWXY]) {_INWARD}"
)
_NOT_A_PLACE = "ZZ.*|XX.*|AA[0-9]{1,2} [0-9]AA|A1 1AA|N/?A|NFA|UNKNOWN|NOT ?KNOWN|NONE|NULL|"
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


_TENS = _weighted("(n // 10)", range(10, 1, -1))

MACROS: dict[str, str] = {
    "compact(v)": f"regexp_replace(upper(v::VARCHAR), '{_GAPS}', '', 'g')",
    "is_blank(t)": f"regexp_full_match(t, '({_NO_ID}|)')",
    "is_repeated(t)": "length(t) = 10 AND t = repeat(substr(t, 1, 1), 10) "
    "AND regexp_full_match(t, '[0-9]{10}')",
    # NHS number: 11 less the remainder; 11 stands for 0, and 10, which no digit equals, is not
    # issued. Ranges as in identifiers.nhs_number_range.
    "nhs_check(n)": f"""coalesce(
        (11 - ({_TENS}) % 11) % 11 = n % 10 AND n % 1111111111 <> 0
        AND (n BETWEEN 100000000 AND 3119999999 OR n BETWEEN 3200000000 AND 4999999999
             OR n BETWEEN 6000000000 AND 7999999999 OR n BETWEEN 9000000000 AND 9999999999),
        false)""",
    "nhs_text(t)": "CASE WHEN regexp_full_match(t, '[0-9]{10}') "
    "THEN linked_cyp_nhs_check(try_cast(t AS BIGINT)) ELSE false END",
    "valid_nhs_number(v)": "linked_cyp_nhs_text(linked_cyp_compact(v))",
    "accepted_nhs_number(v)": """linked_cyp_valid_nhs_number(v)
        OR linked_cyp_is_blank(linked_cyp_compact(v))
        OR linked_cyp_is_repeated(linked_cyp_compact(v))""",
    # ULN: 10 less the remainder; a remainder of 0 is not issued.
    "uln_check(n)": f"coalesce(({_TENS}) % 11 <> 0 AND 10 - ({_TENS}) % 11 = n % 10, false)",
    "valid_uln(v)": """CASE WHEN regexp_full_match(linked_cyp_compact(v), '[1-9][0-9]{9}')
             AND NOT linked_cyp_is_repeated(linked_cyp_compact(v))
        THEN linked_cyp_uln_check(try_cast(linked_cyp_compact(v) AS BIGINT)) ELSE false END""",
    "accepted_uln(v)": """linked_cyp_valid_uln(v) OR linked_cyp_is_blank(linked_cyp_compact(v))
        OR linked_cyp_is_repeated(linked_cyp_compact(v))""",
    # UPN: the weighted sum by 23 names the first letter; a temporary UPN's last letter counts as
    # its place in the same alphabet.
    "upn_check(t, n)": f"""coalesce(substr(t, 1, 1) = substr('{UPN_LETTERS}', 1 + (
        {_weighted("n", range(2, 13))} + 13 * coalesce(
            try_cast(substr(t, 13, 1) AS BIGINT),
            strpos('{UPN_LETTERS}', substr(t, 13, 1)) - 1)) % 23, 1), false)""",
    "upn_text(t)": f"""CASE WHEN regexp_full_match(
            t, '[{UPN_LETTERS}][0-9]{{11}}[0-9{UPN_LETTERS}]')
        THEN linked_cyp_upn_check(t, try_cast(substr(t, 2, 11) AS BIGINT)) ELSE false END""",
    "valid_upn(v)": "linked_cyp_upn_text(linked_cyp_compact(v))",
    "accepted_upn(v)": """linked_cyp_valid_upn(v) OR linked_cyp_is_blank(linked_cyp_compact(v))
        OR regexp_full_match(linked_cyp_compact(v), 'UN[1-7]')""",
    "postcode_text(v)": r"""regexp_replace(regexp_replace(
        regexp_replace(upper(v::VARCHAR), '[^A-Z0-9]', '', 'g'),
        '^([A-Z0-9]{2,4})O([A-Z]{2})$', '\10\2'), '^([A-Z0-9]{2,})([A-Z0-9]{3})$', '\1 \2')""",
    "valid_postcode(v)": f"""regexp_full_match(linked_cyp_postcode_text(v), '{_POSTCODE}')
        AND NOT regexp_full_match(linked_cyp_postcode_text(v), '({_NOT_A_PLACE})')""",
    "accepted_postcode(v)": f"""linked_cyp_valid_postcode(v)
        OR regexp_full_match(linked_cyp_postcode_text(v), '({_NOT_A_PLACE})')""",
    # For columns that must hold no identifier: a search inside the text.
    "holds_no_identifier(v)": f"""
        CASE WHEN length(v) < 6 THEN true
             WHEN regexp_matches(upper(v), '{_POSTCODE_IN_TEXT}') THEN false
             WHEN length(v) < 10 THEN true
             ELSE NOT (coalesce(list_bool_or(list_transform(
                     regexp_extract_all(v, '[0-9]{{3}}[ -][0-9]{{3}}[ -][0-9]{{4}}|[0-9]+'),
                     lambda x: linked_cyp_nhs_text(replace(replace(x, ' ', ''), '-', '')))), false)
                 OR coalesce(list_bool_or(list_transform(
                     regexp_extract_all(upper(v), '[A-Z][0-9]{{11}}[0-9A-Z]'),
                     lambda x: linked_cyp_upn_text(x))), false))
             END""",
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
