"""`moorage outbox pause` and the like: pause and resume the entries of an outbox or inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
from cyclopts import Parameter

from moorage.cli.answer import CommandResult
from moorage.cli.commands.entries import InboxPlace, OutboxPlace, managed_inbox, opened_outbox
from moorage.cli.context import Context
from moorage.cli.exit_codes import FAILED, OK
from moorage.domain.entries.pauses import scope_of

if TYPE_CHECKING:
    from moorage.domain.entries.pauses import Pause


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Scope:
    """Command-line options that select the entries of a pause.

    Attributes:
        tenant: only entries of this tenant.
        subject: only entries about this person.
    """

    tenant: str | None = None
    subject: str | None = None


_OUTBOX: Final = OutboxPlace()
_INBOX: Final = InboxPlace()
_WHOLE_SCOPE: Final = Scope()


def pause_outbox(
    target: str | None = None,
    /,
    *,
    scope: Scope = _WHOLE_SCOPE,
    reason: str,
    place: OutboxPlace = _OUTBOX,
    context: Context,
) -> CommandResult:
    """Stop the workers of all processes from making calls, until `outbox resume`.

    Args:
        target: the contract or service of the calls; by default all.
        scope: the filter for the calls; by default all calls of the target.
        reason: the reason, which lists and the audit trail show.
        place: the outbox.
        context: the options that all commands share.
    """
    with opened_outbox(context, place) as (outbox, _):
        return _pause_result(outbox.pause(target, **_scope_fields(scope), reason=reason))


def pause_inbox(
    target: str | None = None,
    /,
    *,
    scope: Scope = _WHOLE_SCOPE,
    reason: str,
    place: InboxPlace = _INBOX,
    context: Context,
) -> CommandResult:
    """Stop the workers of all processes from handling webhooks, until `inbox resume`.

    Args:
        target: the account of the webhooks; by default all.
        scope: the filter for the webhooks; by default all webhooks of the account.
        reason: the reason, which lists and the audit trail show.
        place: the inbox.
        context: the options that all commands share.
    """
    with managed_inbox(context, place) as inbox:
        return _pause_result(inbox.pause(target, **_scope_fields(scope), reason=reason))


def resume_outbox(
    target: str | None = None,
    /,
    *,
    scope: Scope = _WHOLE_SCOPE,
    reason: str = "",
    place: OutboxPlace = _OUTBOX,
    context: Context,
) -> CommandResult:
    """End a pause of calls; exit with 1 if there is no pause of exactly these calls.

    Args:
        target: the contract or service that the pause names, if any.
        scope: the tenant and the person that the pause names, if any.
        reason: the reason, for the audit trail.
        place: the outbox.
        context: the options that all commands share.
    """
    with opened_outbox(context, place) as (outbox, _):
        return _resume_result(outbox, target, scope, reason)


def resume_inbox(
    target: str | None = None,
    /,
    *,
    scope: Scope = _WHOLE_SCOPE,
    reason: str = "",
    place: InboxPlace = _INBOX,
    context: Context,
) -> CommandResult:
    """End a pause of webhooks; exit with 1 if there is no pause of exactly these webhooks.

    Args:
        target: the account that the pause names, if any.
        scope: the tenant and the person that the pause names, if any.
        reason: the reason, for the audit trail.
        place: the inbox.
        context: the options that all commands share.
    """
    with managed_inbox(context, place) as inbox:
        return _resume_result(inbox, target, scope, reason)


def _scope_fields(scope: Scope) -> dict[str, str | None]:
    return {"tenant": scope.tenant, "subject": scope.subject}


def _pause_result(pause: Pause) -> CommandResult:
    since = pause.since.isoformat(timespec="seconds")
    words = scope_of(pause.target, pause.tenant, pause.subject)
    return CommandResult(
        {**attrs.asdict(pause), "since": since}, [f"paused since {since}: {words} ({pause.reason})"]
    )


def _resume_result(box: Any, target: str | None, scope: Scope, reason: str) -> CommandResult:
    was_paused = box.resume(target, **_scope_fields(scope), reason=reason)
    words = scope_of(target, scope.tenant, scope.subject)
    lines = [f"resumed: {words}" if was_paused else f"There is no pause of {words}."]
    lines += [
        f"still paused: {scope_of(pause.target, pause.tenant, pause.subject)} ({pause.reason})"
        for pause in box.pauses()
    ]
    document = {"target": target, **_scope_fields(scope), "resumed": was_paused}
    return CommandResult(document, lines, code=OK if was_paused else FAILED)
