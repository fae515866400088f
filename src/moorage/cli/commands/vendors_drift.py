"""`moorage vendors drift`: compare two versions of a vendor's API description."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from moorage.cli.answer import CommandResult, Table
from moorage.cli.context import Context
from moorage.cli.exit_codes import FAILED, OK
from moorage.config.openapi_files import parsed_description
from moorage.grading.drift import facts_of, vendor_drift, vendors_at

if TYPE_CHECKING:
    from moorage.domain.openapi.drift import Change
    from moorage.grading.drift import VendorFacts


def drift(old: Path, new: Path, /, *, vendor: str | None = None, context: Context) -> CommandResult:
    """Show the changes of a vendor's API description that affect moorage.

    The exit code is 1 if requests, or the reading of answers, may fail after the changes.

    Args:
        old: the earlier description: a file of OpenAPI 2 or 3, in JSON or YAML.
        new: the later description.
        vendor: the vendor of the API; by default the vendor whose host the description names.
        context: the options that all commands share.
    """
    old_description, new_description = parsed_description(old), parsed_description(new)
    names = (vendor,) if vendor is not None else vendors_at(old_description)
    documents: list[dict[str, object]] = []
    output: list[str | Table] = []
    is_broken = False
    for name in names:
        facts = facts_of(name)
        result = vendor_drift(facts, name, old_description, new_description)
        is_broken = is_broken or any(change.breaks for change in result.changes)
        documents.append(
            {
                "vendor": name,
                "compared": [*result.compared],
                "undescribed": [f"{method} {path}" for method, path in result.undescribed],
                "changes": [_document(change, facts) for change in result.changes],
            }
        )
        output.append(
            f"{name}: {len(result.compared)} operations compared, {len(result.changes)}"
            " changes affect moorage."
        )
        if result.changes:
            output.append(
                Table(
                    ("change", "where", "what", "fact"),
                    [_row(change, facts) for change in result.changes],
                )
            )
    return CommandResult({"vendors": documents}, output, FAILED if is_broken else OK)


def _document(change: Change, facts: VendorFacts) -> dict[str, object]:
    return {
        "kind": str(change.kind),
        "breaks": change.breaks,
        "operation": change.operation,
        "side": change.side and str(change.side),
        "field": change.path or None,
        "message": change.sentence,
        "fact": str(facts.line_of(change)),
    }


def _row(change: Change, facts: VendorFacts) -> tuple[str, ...]:
    place = f"{change.side} {change.path}" if change.side else ""
    return (
        f"{'! ' if change.breaks else '  '}{change.kind}",
        f"{change.operation} {place}".strip(),
        change.sentence,
        str(facts.line_of(change)),
    )
