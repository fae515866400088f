"""`moorage keys`: settle idempotency keys whose outcome a person has looked up at the vendor."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moorage.cli.answer import CommandResult
from moorage.cli.commands.call import read_bytes
from moorage.cli.context import Context
from moorage.cli.exit_codes import FAILED, OK
from moorage.cli.numbers import Status
from moorage.cli.places import opened_hub
from moorage.domain.http.response import Response
from moorage.errors import ConfigurationError
from moorage.hub.internals import flows_of

if TYPE_CHECKING:
    from moorage.hub.hub import Hub


def resolve(
    service: str,
    idempotency_key: str,
    /,
    *,
    done: bool = False,
    not_done: bool = False,
    answer: str | None = None,
    status: Status = 200,
    tenant: str | None = None,
    reason: str = "",
    context: Context,
) -> CommandResult:
    """Settle an idempotency key after you have checked its outcome at the vendor.

    Args:
        service: the service that was called under the key.
        idempotency_key: the key; `moorage logs list --status unknown` lists keys with an unknown
            outcome.
        done: the effect happened; repeats of the key get `--answer`.
        not_done: the effect did not happen, so the key may be used again.
        answer: the body of the vendor's answer, or the result of the function, as JSON: text,
            @file, or @- for the standard input.
        status: the HTTP status of the vendor's answer.
        tenant: the tenant of the key.
        reason: the reason, for the audit trail.
        context: the options that all commands share.
    """
    if done is not_done:
        raise ConfigurationError(
            "The outcome of the key is missing.",
            path="--done",
            remedy="Pass either --done or --not-done.",
        )
    if done and answer is None:
        raise ConfigurationError(
            "The answer for repeated calls with this key is missing.",
            path="--answer",
            remedy="Pass the body of the vendor's answer, such as"
            ' --answer \'{"id": "ch_1"}\' or --answer @answer.json.',
        )
    context.state()  # raises an error if no other process shares the store
    with opened_hub(context) as hub:
        is_settled = hub.manager.resolve_key(
            service,
            idempotency_key,
            done=done,
            answer=None if answer is None else _stored_answer(hub, service, answer, status),
            tenant=tenant,
            reason=reason,
        )
    outcome = "done" if done else "not done"
    result = {
        "service": service,
        "idempotency_key": idempotency_key,
        "tenant": tenant,
        "settled": is_settled,
    }
    if is_settled:
        return CommandResult(result, [f"the key {idempotency_key} is settled as {outcome}"], OK)
    line = (
        f"nothing was changed: the key {idempotency_key} has no unknown outcome, or a call"
        " with it may still be running"
    )
    return CommandResult(result, [line], FAILED)


def _stored_answer(hub: Hub, service: str, text: str, status: int) -> object:
    """Return the answer for a service: a response, or a value if it runs functions."""
    body = read_bytes(text, "--answer")
    try:
        value: Any = json.loads(body)
    except ValueError:
        value = None
        content_type = "text/plain; charset=utf-8"
    else:
        content_type = "application/json"
    known_service = flows_of(hub.manager).plans.services.get(service)
    if known_service is None or known_service.base_url is not None:
        return Response(status, {"Content-Type": content_type}, body)
    if content_type != "application/json":
        raise ConfigurationError(
            f"The result of a function of {service} must be JSON.",
            path="--answer",
            remedy="Quote the JSON for your shell, or pass a file with --answer @file.",
        )
    return value
