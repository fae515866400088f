"""A vendor's grade: the results of all rules, and the tier that follows from them."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import attrs

from moorage.grading import rules_of_behaviour, rules_of_statements
from moorage.grading.rule import Rule, Tier, Violation

if TYPE_CHECKING:
    from moorage.grading.evidence import Evidence
    from moorage.grading.sources import Line

RULES: Final = tuple(
    rule
    for tier in (Tier.BRONZE, Tier.SILVER, Tier.GOLD)
    for rule in (*rules_of_statements.RULES, *rules_of_behaviour.RULES)
    if rule.tier is tier
)
"""All rules, by tier."""


class Result(StrEnum):
    """The result of a rule."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_CONCERNED = "not concerned"


@attrs.frozen
class Finding:
    """A rule's result for a vendor.

    Attributes:
        rule: the rule.
        result: the result of the rule.
        violations: the violations that were found.
    """

    rule: Rule
    result: Result
    violations: tuple[Violation, ...] = ()


@attrs.frozen
class Grade:
    """The grade of a vendor.

    Attributes:
        vendor: the name of the vendor.
        findings: the results of all rules.
        start: the source line of the vendor's class.
    """

    vendor: str
    findings: tuple[Finding, ...]
    start: Line

    @property
    def tier(self) -> Tier:
        """The highest tier for which all its rules, and those of lower tiers, passed."""
        tier = Tier.NONE
        for candidate in (Tier.BRONZE, Tier.SILVER, Tier.GOLD):
            if any(
                finding.result is Result.FAILED
                for finding in self.findings
                if finding.rule.tier is candidate
            ):
                return tier
            tier = candidate
        return tier

    @property
    def failures(self) -> tuple[Finding, ...]:
        """The results of the rules that failed."""
        return tuple(finding for finding in self.findings if finding.result is Result.FAILED)


def grade(evidence: Evidence) -> Grade:
    """Return a vendor's grade, computed from the evidence."""
    return Grade(evidence.name, tuple(_finding(rule, evidence) for rule in RULES), evidence.start)


def _finding(rule: Rule, evidence: Evidence) -> Finding:
    if not rule.applies_to(evidence):
        return Finding(rule, Result.NOT_CONCERNED)
    violations = tuple(rule.check(evidence))
    return Finding(rule, Result.FAILED if violations else Result.PASSED, violations)
