"""`moorage audit`: list, verify and seal the audit trail."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs
from cyclopts import Parameter

from moorage.cli.answer import CommandResult, Table
from moorage.cli.context import Context
from moorage.cli.exit_codes import FAILED, OK
from moorage.cli.numbers import Count
from moorage.errors import ConfigurationError
from moorage.hub.audit import AuditHead, AuditQuery

if TYPE_CHECKING:
    from moorage.domain.observation.audit import AuditRecord
    from moorage.hub.audit import AuditTrail

_ANCHOR: Final = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")
_COLUMNS: Final = ("number", "time", "actor", "act", "subject", "reason")


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Records:
    """Command-line options that select a page of audit records.

    Attributes:
        act: list only this act; with a dot at the end, such as circuit., all acts that begin with
            it.
        subject: list only acts on this subject.
        actor: list only acts of this person.
        since: list only acts since this time, in UTC unless it has a zone.
        until: list only acts before this time, in UTC unless it has a zone.
        limit: the maximum number of records.
        after: the `next` value of the previous page.
    """

    act: str | None = None
    subject: str | None = None
    actor: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: Count = 50
    after: int | None = None


_DEFAULT_RECORDS: Final = Records()


def list_records(*, which: Records = _DEFAULT_RECORDS, context: Context) -> CommandResult:
    """List manual actions and changes of the configuration, newest first.

    Args:
        which: the filter and page of the records.
        context: the options that all commands share.
    """
    fields = attrs.asdict(which)
    for name in ("since", "until"):
        if fields[name] is not None and fields[name].tzinfo is None:
            fields[name] = fields[name].replace(tzinfo=UTC)
    with closing(_trail(context)) as trail:
        page = trail.find(AuditQuery(**fields))
    records = [_record_fields(record) for record in page.items]
    rows = [[record[name] for name in _COLUMNS] for record in records]
    output: list[str | Table] = [Table(_COLUMNS, rows)]
    if page.next is not None:
        output.append(f"There are more: --after {page.next}")
    return CommandResult({"records": records, "next": page.next}, output)


def verify_chain(*, anchor: str | None = None, context: Context) -> CommandResult:
    """Verify the whole audit trail, and print the first broken link.

    The exit code is 1 if a link is broken.

    Args:
        anchor: a record that was noted elsewhere, as NUMBER:HASH, as printed by `audit seal`.
        context: the options that all commands share.
    """
    anchor_record = None if anchor is None else _anchor(anchor)
    with closing(_trail(context)) as trail:
        result = trail.verify(anchor=anchor_record)
    finding = result.finding
    document: dict[str, Any] = {
        "whole": result.whole,
        "records": result.records,
        "sealed": result.sealed,
        "unverified_seals": result.unverified,
        "anchor": _text(result.head),
        "finding": None if finding is None else attrs.asdict(finding),
    }
    if finding is not None:
        return CommandResult(document, [finding.message], FAILED)
    lines = [
        f"The audit trail is intact: {result.records} records, sealed up to {result.sealed}.",
        f"Anchor: {_text(result.head)}",
    ]
    if result.unverified:
        lines.append(f"{result.unverified} seals were not verified, because their key is missing.")
    return CommandResult(document, lines, OK)


def seal_chain(*, context: Context) -> CommandResult:
    """Seal the audit trail with the first key, and print the anchor; keep it elsewhere.

    Args:
        context: the options that all commands share.
    """
    with closing(_trail(context)) as trail:
        record = trail.seal()
    anchor = f"{record.number}:{record.hash}"
    return CommandResult(
        {"number": record.number, "anchor": anchor},
        [f"Sealed {record.subject}.", f"Anchor: {anchor}"],
    )


def _trail(context: Context) -> AuditTrail:
    settings = context.configured().audit
    if settings is None:
        raise ConfigurationError(
            "The configuration has no audit trail.",
            path="audit",
            remedy="Add a table [audit] with url = 'sqlite:///audit.db' or the URL of another"
            " store.",
        )
    return settings.open()


def _anchor(text: str) -> AuditHead:
    match = _ANCHOR.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f"{text[:80]!r} is not an anchor.",
            path="--anchor",
            remedy="Pass NUMBER:HASH, as `moorage audit seal` printed it.",
        )
    return AuditHead(int(match[1]), match[2])


def _text(head: AuditHead) -> str:
    return f"{head.number}:{head.hash}"


def _record_fields(record: AuditRecord) -> dict[str, Any]:
    return {**attrs.asdict(record), "time": record.time.isoformat()}
