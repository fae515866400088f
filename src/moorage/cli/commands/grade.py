"""`moorage grade`: grade an installed vendor by moorage's rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.cli.answer import CommandResult, Table
from moorage.cli.context import Context
from moorage.cli.exit_codes import FAILED, OK
from moorage.grading.gathering import evidence_of
from moorage.grading.grade import RULES, Result, grade
from moorage.grading.rule import Tier

if TYPE_CHECKING:
    from moorage.grading.grade import Finding, Grade


def grade_vendor(vendor: str, /, *, every: bool = False, context: Context) -> CommandResult:
    """Grade an installed vendor by its statements, and by its behaviour at its sandbox.

    The exit code is 0 if the vendor is gold, and 1 otherwise.

    Args:
        vendor: the name of the vendor.
        every: also show the rules that passed.
        context: the options that all commands share.
    """
    result = grade(evidence_of(vendor))
    findings = result.findings if every else result.failures
    rows = [row for finding in findings for row in _rows(finding, result)]
    output: list[str | Table] = [
        f"{vendor}: {result.tier}. {len(RULES) - len(result.failures)} of {len(RULES)} rules hold."
    ]
    if rows:
        output.append(Table(("rule", "tier", "result", "where", "what to do"), rows))
    document = {
        "vendor": vendor,
        "tier": str(result.tier),
        "rules": [_document(finding, result) for finding in result.findings],
    }
    return CommandResult(document, output, OK if result.tier is Tier.GOLD else FAILED)


def _rows(finding: Finding, result: Grade) -> list[tuple[str, ...]]:
    rule = finding.rule
    if not finding.violations:
        return [(rule.name, str(rule.tier), str(finding.result), "", "")]
    return [
        (
            rule.name,
            str(rule.tier),
            violation.problem,
            str(violation.line or result.start),
            rule.remedy,
        )
        for violation in finding.violations
    ]


def _document(finding: Finding, result: Grade) -> dict[str, object]:
    rule = finding.rule
    return {
        "rule": rule.name,
        "tier": str(rule.tier),
        "result": str(finding.result),
        "sentence": rule.sentence,
        "violations": [
            {"problem": violation.problem, "where": str(violation.line or result.start)}
            for violation in finding.violations
        ],
        "remedy": rule.remedy if finding.result is Result.FAILED else None,
    }
