"""The rules of this house for a contract, beyond what each word may hold.

Loading applies them, so a supplier's ``validate``, the code location and the tests agree on what a
contract may say. Each rule is a function from a contract, a table or a column to what is wrong.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from linked_cyp.contracts.model import Column, Contract, Table

TYPES = ("string", "integer", "number", "date", "timestamp", "boolean")
CLASSIFICATIONS = ("direct_identifier", "quasi_identifier", "sensitive", "operational")
CADENCES = ("annual", "termly", "quarterly", "monthly")
DOMAINS = (
    "education",
    "social_care",
    "health/demographics",
    "health/primary_care",
    "health/secondary_uses",
    "health/mental_health_and_community",
    "health/births_deaths_growth",
    "governance",
    "reference",
)
NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
LONGEST_NAME = 60
# What names a person, a home or a professional, wherever and however it is written.
IDENTIFYING = re.compile(
    r"surname|forename|given.?name|middle.?name|family.?name|(?<!authority)postcode$|home_post|pl_post"
    r"|address|street|locality|saon|paon|uprn|uniqueproperty|\bupn\b|formerupn|former_upn|uln|"
    r"uniquelearner|nhs.number(?!.*status)|e?mail|phone|local_patient|patient_identifier\.value"
    r"|consultant|professional\.identifier|anaesthetist|sw_id|child_id|lachildid",
    re.I,
)
# Named like what they refer to, but not holding it: marks and keys of an export, areas.
NOT_IDENTIFYING = re.compile(
    r"VULNERABILITY|^missingaddress$|tableid$|LSOAofResidence_FromPostcode$"
    r"|^patient\.usual_address\.(lsoa_11|local_authority_district)$"
)
IDENTITY_ROLES = frozenset(
    {
        *("nhs_number", "former_nhs_number", "nhs_number_hash", "upn", "former_upn"),
        *("la_child_id", "forename", "middle_names", "surname", "former_surname"),
        *("preferred_surname", "postcode"),
    }
)
# What leads to a person wherever it is written: not even a keyed number of it leaves the store.
NEVER_TOKENS = IDENTITY_ROLES - {"la_child_id", "postcode"}
# What a kept text must not let pass: names, addresses and numbers of persons, as they are written.
PROSE = (
    *("Mary Smith", "Li", "Ng", "Amy", "Zoe", "John", "Chris", "Chloe", "Nguyen", "Mohammed"),
    *("O'Neil", "1 High Street", "AB1 2CD", "AB12CD", "M1 1AA", "M11AA", "W1A0AX", "DN551PT"),
    *("999 000 0018", "9990000018", "A123456789012", "07700900123", "+447700900123"),
    *("a.smith@example.org", "1234567890"),
)
SEXES = ("M", "F", "U")
# The Department for Education's main codes of ethnicity: the scale that all feeds share.
ETHNICITIES = (
    *("WBRI", "WIRI", "WIRT", "WROM", "WOTH", "MWBC", "MWBA", "MWAS", "MOTH", "AIND", "APKN"),
    *("ABAN", "AOTH", "BCRB", "BAFR", "BOTH", "CHNE", "OOTH", "REFU", "NOBT"),
)
HARMONISED = {"sex": SEXES, "ethnicity": ETHNICITIES}
_TYPE_OF_ROLE = {
    "nhs_number": "nhs_number",
    "former_nhs_number": "nhs_number",
    "upn": "upn",
    "former_upn": "upn",
    "postcode": "postcode",
}


def contract_problems(contract: Contract, stem: str) -> Iterator[str]:
    """What a contract gets wrong in this project's vocabulary, one line each."""
    if contract.feed != stem:
        yield f"id is {contract.feed!r} but the file is named for {stem!r}"
    for rule in CONTRACT_RULES:
        yield from rule(contract)
    for table in contract.tables.values():
        for of_table in TABLE_RULES:
            yield from (f"{table.name}{said}" for said in of_table(contract, table))
        for column in table.columns:
            for of_column in COLUMN_RULES if contract.domain != "reference" else (_type,):
                for said in of_column(contract, column):
                    yield f"{table.name}.{column.name}: {said}"


def identifies(column: Column) -> bool:
    """Whether a text column is named like what names a person, a home or a professional."""
    if column.type != "string" or NOT_IDENTIFYING.search(column.physical_name):
        return False
    return any(IDENTIFYING.search(n) for n in (column.name, column.physical_name, *column.aliases))


def is_about_persons(contract: Contract) -> bool:
    """Whether a feed holds persons for linkage: no list of who objected, no reference data."""
    return contract.domain not in ("governance", "reference")


def _domain(contract: Contract) -> Iterator[str]:
    if contract.domain not in DOMAINS:
        yield f"domain must be one of {', '.join(DOMAINS)}"


def _said(contract: Contract) -> Iterator[str]:
    """What a steward asks."""
    if not re.fullmatch(r"\d+\.\d+\.\d+", contract.version):
        yield "version is three numbers, as 1.0.0"
    if not contract.tables:
        yield "no tables"
    if contract.domain == "reference":
        return
    told = {"purpose": contract.purpose, "usage": contract.description}
    for name, text in {**told, "limitations": contract.limitations}.items():
        if len(text.split()) < 8:
            yield f"description.{name} says what a steward asks, in eight words at least"
    if "Article 6" not in contract.legal_basis:
        yield "legalBasis names the part of Article 6 of the UK GDPR that it rests on"
    if not contract.owner:
        yield "team has no name: nobody owns the feed"
    if contract.cadence not in CADENCES:
        yield f"slaProperties frequency must be one of {', '.join(CADENCES)}"


def _opt_outs(contract: Contract) -> Iterator[str]:
    if any(table.person_key for table in contract.tables.values()) and is_about_persons(contract):
        if not contract.opt_outs:
            yield "optOuts is missing: a feed about persons says which opt-outs take them out"
        elif "local_objection" not in contract.opt_outs:
            yield "optOuts lacks local_objection: an objection reaches every feed of persons"


def _can_be_linked(contract: Contract) -> Iterator[str]:
    """A feed of persons tells enough to recognise one."""
    if not is_about_persons(contract):
        return
    roles = {c.linkage_role for t in contract.tables.values() for c in t.columns}
    if "sex" not in roles:
        yield "no column has the linkageRole sex"
    if not roles & {"birth_date", "birth_year"}:
        yield "no column has the linkageRole birth_date or birth_year"
    by_number = roles & {"nhs_number", "nhs_number_hash", "upn", "la_child_id"}
    if not by_number and not {"forename", "surname"} <= roles:
        yield "linkageRole: neither a number nor forename and surname to know a person by"


def _spine(contract: Contract) -> Iterator[str]:
    if contract.is_spine and not any(t.person_key for t in contract.tables.values()):
        yield "spine: a feed without a personKey holds nobody to be found in"


def _plain_words(contract: Contract) -> Iterator[str]:
    """Every table of a feed about people has its place on the public page, and no other."""
    if not is_about_persons(contract):
        return
    if contract.plain_words is None:
        yield "plainWords is missing: what the public page says of the feed"
        return
    told, there = contract.plain_words.told(), set(contract.tables)
    for table in sorted(there - told):
        yield f"plainWords does not say what {table} holds"
    for table in sorted(told - there):
        yield f"plainWords names {table}, which is no table"


def _names(_: Contract, table: Table) -> Iterator[str]:
    for name, times in Counter(c.name for c in table.columns).items():
        if times > 1:
            yield f".{name} is declared twice"
    for both in sorted(set(table.not_taken) & {c.physical_name for c in table.columns}):
        yield f": {both} is a column and among notTaken"
    for name, times in Counter(o.name for o in table.pseudonymised()).items():
        if times > 1:
            yield f": two columns become {name} when pseudonymised"
    headers = Counter(
        header
        for c in table.columns
        for header in {name.casefold() for name in (c.physical_name, *c.aliases)}
    )
    for header, times in headers.items():
        if times > 1:
            yield f": the header {header} means {times} columns"


def _described(contract: Contract, table: Table) -> Iterator[str]:
    if not table.columns:
        yield ": no columns"
    if len(table.description.split()) < 4 and contract.domain != "reference":
        yield ": the description says in four words at least what the table is"
    if not table.grain.startswith("one "):
        yield ": dataGranularityDescription says what a row is: one …"


def _keys(contract: Contract, table: Table) -> Iterator[str]:
    names = {c.name for c in table.columns}
    for alternative in table.person_key:
        for name in sorted(set(alternative) - names):
            yield f": personKey names an undeclared column {name}"
    keyed = [c for c in table.columns if c.primary_key_position is not None]
    positions = sorted(c.primary_key_position or 0 for c in keyed)
    if positions != list(range(1, len(keyed) + 1)):
        yield ": primaryKeyPosition counts from 1 without gaps"
    for column in keyed:
        if not column.required:
            yield f".{column.name}: a column of the primary key is required"
    for name in vars(table.dissents).values() if table.dissents else ():
        if name not in names:
            yield f": dissents names an undeclared column {name}"


def _references(contract: Contract, table: Table) -> Iterator[str]:
    for link in table.relationships:
        target = contract.tables.get(link.to_table)
        theirs = {c.name: c for c in target.columns} if target else {}
        ours = {c.name: c for c in table.columns}
        if set(link.to_columns) - set(theirs) or set(link.columns) - set(ours):
            yield f": a relationship refers to {link.to_table}, which does not hold it"
        elif target and link.to_columns != target.primary_key[: len(link.to_columns)]:
            # an export may repeat its own key for each school: then it begins the primary key
            yield f": a relationship leads to {link.to_table}, but not to its primary key"
        else:
            ends = zip(link.columns, link.to_columns, strict=True)
            yield from (
                f".{a}: does not join to {link.to_table}.{b}: type, treatment or tokenScope differ"
                for a, b in ends
                if _joins_as(ours[a]) != _joins_as(theirs[b])
            )


def _joins_as(column: Column) -> tuple[str, ...]:
    scope = column.token_scope or column.name if column.pseudonymisation == "token" else ""
    return (column.type, column.pseudonymisation, scope)


def _name(_: Contract, column: Column) -> Iterator[str]:
    """The law of names."""
    name = column.name
    if not NAME.fullmatch(name) or len(name) > LONGEST_NAME:
        yield f"names are snake_case, of {LONGEST_NAME} characters at most"
    ends = {"date": ("_date",), "timestamp": ("_at",)}.get(column.type)
    if ends and not name.endswith(ends):
        yield f"the name of a {column.type} ends with {ends[0]}"
    if not ends and column.type != "boolean" and name.endswith(("_date", "_at")):
        yield f"no name of a {column.type} ends with _date or _at"
    if (column.type == "boolean") != name.startswith("is_"):
        yield "the name of a boolean, and no other, begins with is_"
    if column.codeset is not None and not name.endswith("_code"):
        yield "the name of a coded column ends with _code"
    if column.pseudonymisation == "token" and not name.endswith(("_id", "_number", "_urn")):
        yield "the name of a token ends with _id, _number or _urn"


def _column_described(contract: Contract, column: Column) -> Iterator[str]:
    text = column.description
    words = set(re.findall(r"[a-z]+", text.lower()))
    said = words - set(re.findall(r"[a-z]+", column.physical_name.lower()))
    whole = len(text.split()) >= 3 and text.endswith(".") and text[:1].isupper()
    if not (whole and said and " / " not in text):
        yield "the description is a sentence that says more than the name"


def _type(contract: Contract, column: Column) -> Iterator[str]:
    if column.type not in TYPES:
        yield f"logicalType must be one of {', '.join(TYPES)}"
    if column.type == "date" and not (column.date_formats or contract.date_formats):
        yield "no dateFormats here or on the contract"
    if column.codeset is not None and (column.type != "string" or column.pattern):
        yield "a column with a codeset is a string without a pattern"
    if column.linkage_role in ("birth_date", "death_date") and column.type != "date":
        yield f"a {column.linkage_role} is a date"


def _classified(_: Contract, column: Column) -> Iterator[str]:
    if column.classification not in CLASSIFICATIONS:
        yield f"classification must be one of {', '.join(CLASSIFICATIONS)}"
    personal = identifies(column) or column.linkage_role in IDENTITY_ROLES or column.identifier_type
    if personal and column.classification != "direct_identifier":
        yield "what names a person, a home or a professional is a direct_identifier"
    expected = _TYPE_OF_ROLE.get(column.linkage_role or "")
    if column.linkage_role and column.identifier_type != expected:
        yield f"the identifierType of a {column.linkage_role} is {expected or 'left out'}"


def _treated(_: Contract, column: Column) -> Iterator[str]:
    """What may leave the identifiable store."""
    treatment = column.pseudonymisation
    if column.classification == "direct_identifier" and treatment == "keep":
        yield "a direct identifier cannot be kept"
    national = column.identifier_type in ("nhs_number", "upn", "uln")
    if (national or column.linkage_role in NEVER_TOKENS) and treatment != "drop":
        yield "a national number or a name is dropped: not even a token of it passes"
    if column.identifier_type == "postcode" and treatment not in ("coarsen_lsoa", "drop"):
        yield "a postcode becomes a small area (coarsen_lsoa) or is dropped"
    if column.linkage_role_by and treatment != "drop":
        yield "a column of several identifiers is dropped"
    if treatment.startswith("coarsen_") and not _coarsenable(column):
        yield f"{treatment} does not fit a {column.type} of this name"
    if _is_vital_date(column) and treatment not in ("coarsen_month", "coarsen_year", "drop"):
        yield "a date of birth or death is coarsened or dropped"


def _is_vital_date(column: Column) -> bool:
    named = re.search(r"birth|death", column.name) and column.type in ("date", "timestamp")
    written = re.search(r"DOB|birth|death", column.physical_name, re.I) and column.type == "date"
    return bool(named or written)


def _coarsenable(column: Column) -> bool:
    if column.pseudonymisation == "coarsen_lsoa":
        return column.type == "string" and column.name.endswith("postcode")
    return column.type in ("date", "timestamp")


def _text(_: Contract, column: Column) -> Iterator[str]:
    """Kept text is limited to what cannot hold a name."""
    kept = column.pseudonymisation == "keep"
    if kept and column.type == "string" and not (column.codeset or column.pattern):
        yield "text is kept only with a codeset or a pattern, as it may hold a name"
    if column.pattern is None:
        return
    if not (column.pattern.startswith("^") and column.pattern.endswith("$")):
        yield "a pattern is closed: ^…$"
    elif kept and any(re.search(column.pattern, t) for text in PROSE for t in _cases(text)):
        yield "the pattern would let a name, an address or a number of a person pass"


def _cases(text: str) -> tuple[str, str, str]:
    return text, text.upper(), text.lower()


def _roles(contract: Contract, column: Column) -> Iterator[str]:
    names = {c.name for t in contract.tables.values() for c in t.columns if column in t.columns}
    by = column.linkage_role_by
    for name in (n for n in (by.column, by.ended_by) if n and n not in names) if by else ():
        yield f"linkageRoleBy names an undeclared column {name}"
    if column.excludes and column.codeset:
        for value in sorted(set(column.excludes.values) - set(column.codeset.values)):
            yield f"excludes names {value}, which is no code of {column.codeset.name}"


def _harmonised(contract: Contract, column: Column) -> Iterator[str]:
    """Every code of sex and ethnicity says what it means on the scale that all feeds share."""
    scale = HARMONISED.get(column.linkage_role or "")
    if scale is None or column.pseudonymisation != "keep":
        return
    if column.codeset is None:
        yield f"{column.linkage_role} that is kept has a codeset, which says what its codes mean"
        return
    for code in column.codeset.codes:
        if code.harmonised not in scale:
            yield (
                f"codeset {column.codeset.name}: harmonised of {code.code} must be one of"
                f" {', '.join(scale)}"
            )


ContractRule = Callable[["Contract"], Iterable[str]]
TableRule = Callable[["Contract", "Table"], Iterable[str]]
ColumnRule = Callable[["Contract", "Column"], Iterable[str]]
CONTRACT_RULES: tuple[ContractRule, ...] = (
    *(_domain, _said, _opt_outs, _can_be_linked, _spine, _plain_words),
)
TABLE_RULES: tuple[TableRule, ...] = (_names, _described, _keys, _references)
COLUMN_RULES: tuple[ColumnRule, ...] = (
    *(_name, _column_described, _type, _classified, _treated, _text, _roles, _harmonised),
)
