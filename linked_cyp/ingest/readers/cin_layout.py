"""Which elements of the children in need return become rows of which tables.

Layout: DfE children in need census schemas 2017-2026.
"""

from __future__ import annotations

from dataclasses import dataclass

CHILD_KEY = "LAchildID"


@dataclass(frozen=True)
class Branch:
    """An element that becomes a row, and the elements inside it that become rows of their own.

    ``surrogate`` is the key counted for it; ``repeats`` are leaf elements of which each occurrence
    is a row of the table of that element's group.
    """

    element: str
    surrogate: str | None = None
    branches: tuple[Branch, ...] = ()
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True)
class Group:
    """A list of leaf elements: each is one row. ``table`` is the element that wraps them."""

    table: str
    leaf: str


CHILD = (
    Branch("ChildIdentifiers"),
    Branch("ChildCharacteristics", groups=(Group("Disabilities", "Disability"),)),
    Branch(
        "CINdetails",
        "CINdetailsID",
        branches=(
            Branch(
                "Assessments",
                "AssessmentID",
                groups=(Group("FactorsIdentifiedAtAssessment", "AssessmentFactors"),),
            ),
            Branch("CINPlanDates", "CINPlanID"),
            Branch("Section47", "Section47ID"),
            Branch("ChildProtectionPlans", "CPPID", groups=(Group("Reviews", "CPPreviewDate"),)),
        ),
    ),
)
