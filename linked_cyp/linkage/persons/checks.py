"""What must hold for persons and ids, as rules for :mod:`linked_cyp.expectations`.

:data:`RULES` are those of every table of linkage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from linked_cyp.expectations.rules import Rule, between, in_set, not_null, unique, zero_rows
from linked_cyp.linkage.model.checks import model_rules
from linked_cyp.linkage.model.parameters import parameters
from linked_cyp.linkage.pairs.checks import pairs_rules
from linked_cyp.linkage.pairs.edges import twin_sql
from linked_cyp.linkage.pairs.renamed import unvouched_sql
from linked_cyp.linkage.persons.bridge import TIERS
from linked_cyp.linkage.persons.registry import EVENTS
from linked_cyp.linkage.persons.resolution import REASONS
from linked_cyp.linkage.records.checks import person_record_rules
from linked_cyp.linkage.review.decisions import newest_sql


def person_rules() -> list[Rule]:
    """Relation ``linkage.main.person``: what resolution refuses, no person may hold."""
    unused = {name for name, kind in _HOLDS.items() if kind not in parameters().conflicts}
    return [rule for rule in _person_rules() if rule.name not in unused]


_HOLDS = {  # which conflict a rule looks for
    "nhs_number__one_per_person": "nhs",
    "upn__one_per_person": "upn",
    "source__one_per_person": "local",
    "twins__apart": "twin",
}


def _person_rules() -> list[Rule]:
    return [
        unique(["record_key"]),
        not_null("cluster"),
        zero_rows(
            "nhs_number__one_per_person",
            _conflict(
                join=_alias("nhs"),
                where="",
                having="count(DISTINCT coalesce(a.token, r.nhs)) > 1",
            ),
            "No person has two NHS numbers.",
        ),
        zero_rows(
            "upn__one_per_person",
            _conflict(
                join=_alias("upn") + " LEFT JOIN {schema}.second_upn t"
                " ON t.upn = coalesce(a.token, r.upn)",
                where="AND r.is_upn_permanent",
                having="count(DISTINCT coalesce(t.counts_as, a.token, r.upn)) > 1",
            ),
            "No person has two permanent UPNs, unless everything else agrees.",
        ),
        zero_rows(
            "source__one_per_person",
            _conflict(
                join="JOIN {schema}.source s ON s.source = r.source AND s.tells_apart",
                where="",
                having="count(*) > count(DISTINCT r.source)",
            ),
            "No person has two ids of one source that tells children apart.",
        ),
        zero_rows(
            "twins__apart",
            f"SELECT 1 FROM {{schema}}.pairs e {_TOGETHER} WHERE {twin_sql()} AND l.cluster NOT IN"
            f" (SELECT p.cluster FROM {{batch}} p JOIN ({_DECIDED}) d ON d.decision = 'same'"
            "  AND p.record_key IN (d.record_key_l, d.record_key_r))",
            "No person holds two forenames under one surname and birth date, unless an identifier"
            " agrees or a reviewer said so.",
        ),
        zero_rows(
            "adoption__apart",
            unvouched_sql(
                "SELECT record_key, cluster FROM {batch}",
                "{schema}",
                f"FROM ({_DECIDED}) WHERE decision = 'same'",
            ),
            "No person holds two surnames that only a forename and a birth date connect, unless a"
            " reviewer said so: it is what an adopted child keeps.",
        ),
        zero_rows(
            "decision__respected",
            f"SELECT 1 FROM ({_DECIDED}) e {_TOGETHER} WHERE e.decision = 'different'",
            "No person holds two records that a reviewer called different people.",
        ),
        zero_rows(
            "person_record__all_resolved",
            "SELECT 1 FROM {schema}.person_record r ANTI JOIN {batch} p USING (record_key)",
            "Every source person belongs to a person.",
        ),
        zero_rows(
            "refused__known_reason",
            f"SELECT 1 FROM {{schema}}.refused WHERE reason NOT IN {tuple(REASONS.values())}",
            "What was kept apart says why.",
        ),
        zero_rows(
            "cluster__size",
            "SELECT cluster FROM {batch} GROUP BY 1 HAVING count(*) > 50",
            "No person is made of more than 50 source persons.",
            "warn",
        ),
    ]


_DECIDED = newest_sql("{schema}.decision")
# Both records of a pair e belong to one person.
_TOGETHER = (
    "JOIN {batch} l ON l.record_key = e.record_key_l"
    " JOIN {batch} r ON r.record_key = e.record_key_r AND r.cluster = l.cluster"
)


def _conflict(join: str, where: str, having: str) -> str:
    """Query of the clusters whose current records break a condition."""
    return (
        "SELECT cluster FROM {batch} p JOIN {schema}.person_record r USING (record_key) "
        f"{join} WHERE r.alternative = 0 {where} GROUP BY cluster HAVING {having}"
    )


def _alias(identifier: str) -> str:
    """Join that finds the number which replaced this one."""
    return (
        "LEFT JOIN {schema}.identifier_alias a"
        f" ON a.identifier = '{identifier}' AND a.former = r.{identifier}"
    )


def registry_rules() -> list[Rule]:
    """Relation ``linkage.main.registry``."""
    return [
        unique(["record_key"]),
        not_null("person_id"),
        between("person_id", 1, None, "error"),
        zero_rows(
            "person__one_id",
            "SELECT p.cluster FROM {batch} g JOIN {schema}.person p USING (record_key)"
            " WHERE g.is_current GROUP BY 1 HAVING count(DISTINCT g.person_id) > 1",
            "All records of a person have one id.",
        ),
        zero_rows(
            "person_id__one_person",
            "SELECT g.person_id FROM {batch} g JOIN {schema}.person p USING (record_key)"
            " WHERE g.is_current GROUP BY 1 HAVING count(DISTINCT p.cluster) > 1",
            "No id stands for two persons.",
        ),
        zero_rows(
            "event__known",
            f"SELECT 1 FROM {{schema}}.event WHERE event NOT IN {EVENTS} OR person_id IS NULL",
            "What happened to an id is one of the known events.",
        ),
    ]


def bridge_rules() -> list[Rule]:
    """Relation ``warehouse.linkage.bridge``."""
    return [
        unique(["record_key"]),
        not_null("person_id"),
        not_null("feed"),
        in_set("tier", TIERS, "error"),
        zero_rows(
            "excluded__alone",
            "SELECT person_id FROM {batch} GROUP BY 1"
            " HAVING count(*) > 1 AND bool_or(tier = 'excluded')",
            "Nobody who may not be linked shares a person id with another record.",
        ),
    ]


RULES: Mapping[str, Callable[[], list[Rule]]] = {
    "person_record": person_record_rules,
    "model": model_rules,
    "pairs": pairs_rules,
    "person": person_rules,
    "registry": registry_rules,
    "bridge": bridge_rules,
}
