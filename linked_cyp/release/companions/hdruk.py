"""A release's dataset metadata in the HDR UK Gateway's schema 3.0.0, checked against it.

The schema is Health Data Research UK's (Apache 2.0), kept beside this module.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import uuid
from functools import cache
from importlib.resources import files
from typing import Any

from linked_cyp.contracts.organisation import Organisation
from linked_cyp.core.disclosure import rounded
from linked_cyp.core.errors import LinkedCypError
from linked_cyp.research.release import Release

SCHEMA = "hdruk_3_0_0.schema.json"
# Which of the Gateway's vocabularies a column's name tells of.
_VOCABULARIES = {
    "ICD10": "icd10",
    "OPCS4": "opcs",
    "SNOMED CT": "snomed|concept",
    "DM+D": "dmd",
    "ODS": "provider_code|practice_code|organisation_code",
}


def hdruk_metadata(release: Release, organisation: Organisation) -> dict[str, Any]:
    """The document for one release.

    Counts are rounded to 5 and suppressed under 10, where the schema wants a number: 0.

    Raises:
        LinkedCypError: what would be written is not valid by the schema (names the fields).
    """
    about = release.about
    sequence = int(str(about["release_id"]).split("-")[0])
    version = f"{sequence}.0.0"
    published = _moment(about["published_at"])
    children = rounded(children_in(release)) or 0
    document = {
        "identifier": str(uuid.uuid5(uuid.NAMESPACE_URL, _address(organisation, about))),
        "version": version,
        "revisions": [{"version": f"{number}.0.0"} for number in range(1, sequence + 1)],
        "issued": published,
        "modified": published,
        "summary": {
            "title": _short(about["title"], 150),
            "abstract": _short(about["purpose"], 500),
            "dataCustodian": {
                "identifier": organisation.identifier,
                "name": _short(organisation.name, 150),
                "contactPoint": organisation.contact,
            },
            "populationSize": children,
            "keywords": ["children", "education", "social care", "health", "linked data"],
            "contactPoint": organisation.contact,
        },
        "documentation": {
            "description": f"{about['purpose']} Cohort: {about['cohort']}. {release.cite()}",
            "inPipeline": "Available",
        },
        "coverage": {
            "spatial": organisation.area,
            "typicalAgeRangeMin": 0,
            "typicalAgeRangeMax": 24,
            "followUp": "Continuous",
            "pathway": "Education, children's social care and health records of the same child.",
        },
        "provenance": {
            "origin": {
                "purpose": ["Administrative", "Care", "Statutory"],
                "datasetType": ["Socioeconomic", "Health and disease"],
                "source": ["EPR"],
                "collectionSource": ["Local authority", "Secondary care - In-patients"],
            },
            "temporal": {
                "publishingFrequency": organisation.access["publishing_frequency"],
                "distributionReleaseDate": published[:10],
                "startDate": str(_start(release)),
                "timeLag": organisation.access["time_lag"],
            },
        },
        "accessibility": {
            "usage": {
                "dataUseLimitation": ["Project-specific restrictions", "Research use only"],
                "dataUseRequirements": ["Disclosure control", "Time limit on use"],
                "resourceCreator": organisation.name,
            },
            "access": {
                "accessRights": organisation.access["rights"],
                "accessServiceCategory": "TRE/SDE",
                "accessRequestCost": organisation.access["cost"],
                "deliveryLeadTime": organisation.access["lead_time"],
                "jurisdiction": ["GB-ENG"],
                "dataController": "; ".join(organisation.controllers),
                "dataProcessor": organisation.processor,
            },
            "formatAndStandards": {
                "vocabularyEncodingScheme": _vocabularies(release),
                "conformsTo": ["NHS DATA DICTIONARY", "LOCAL"],
                "language": ["en"],
                "format": ["application/vnd.duckdb"],
            },
        },
        "observations": [
            {
                "observedNode": "Persons",
                "measuredValue": children,
                "observationDate": published[:10],
                "measuredProperty": "Children with a record, rounded to 5",
            }
        ],
        "structuralMetadata": {"tables": _tables(release)},
    }
    problems = invalid(document)
    if problems:
        raise LinkedCypError("the HDR UK metadata is not valid: " + "; ".join(problems))
    return document


def invalid(document: dict[str, Any]) -> list[str]:
    """Where a document breaks the schema, as paths (no values)."""
    import jsonschema

    validator = jsonschema.Draft202012Validator(
        _schema(), format_checker=jsonschema.FormatChecker()
    )
    # below an alternative that failed stands the field that is to blame
    blamed = [jsonschema.exceptions.best_match([e]) for e in validator.iter_errors(document)]
    return [
        f"{'.'.join(map(str, error.absolute_path)) or 'document'} ({error.validator})"
        for error in blamed
    ]


@cache
def _schema() -> dict[str, Any]:
    text = files(__package__).joinpath(SCHEMA).read_text(encoding="utf-8")
    return json.loads(text)


def children_in(release: Release) -> int:
    """Children in any table, to be rounded before anybody sees it."""
    holding = release.query(
        "SELECT table_schema, table_name FROM dictionary WHERE column_name = 'person_id'"
    ).rows()
    if not holding:
        return 0
    each = " UNION ".join(f"SELECT person_id FROM {s}.{t}" for s, t in holding)
    return int(release.query(f"SELECT count(*) FROM ({each})").item())


def _start(release: Release) -> dt.date:
    """First day of the project's period, or the start of the earliest collection year held."""
    if release.about["period_start"]:
        return release.about["period_start"]
    year = release.query(
        "SELECT min(collection_year) FROM provenance.delivery WHERE status = 'accepted'"
    ).item()
    published = release.about["published_at"].date()
    return dt.date(int(year) - 1, 4, 1) if year else published


def _tables(release: Release) -> list[dict[str, Any]]:
    rows = release.query(
        """
        SELECT table_schema || '.' || table_name AS "table", column_name, data_type, description
        FROM dictionary ORDER BY table_schema, table_name, position
        """
    )
    described = dict(release.tables().select("table", "description").rows())
    found: dict[str, list[dict[str, Any]]] = {}
    for table, name, kind, text in rows.rows():
        found.setdefault(table, []).append(
            {"name": name, "dataType": kind, "description": text, "sensitive": True}
        )
    return [
        {"name": table, "description": described.get(table), "columns": columns}
        for table, columns in found.items()
    ]


def _vocabularies(release: Release) -> list[str]:
    names = " ".join(release.query("SELECT DISTINCT column_name FROM dictionary")["column_name"])
    found = [scheme for scheme, pattern in _VOCABULARIES.items() if re.search(pattern, names)]
    return [*found, "NHS NATIONAL CODES", "LOCAL"]


def _address(organisation: Organisation, about: dict[str, Any]) -> str:
    return f"{organisation.identifier}/projects/{about['project']}"


def _moment(value: dt.datetime) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%SZ}"


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1].rsplit(" ", 1)[0] + "…"
