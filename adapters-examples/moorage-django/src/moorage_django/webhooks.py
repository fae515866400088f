"""The registered webhook handlers, and the inbox that passes webhooks to them."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.db import DEFAULT_DB_ALIAS, transaction

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.hub.inbox import WebhookInbox

F = TypeVar("F", bound="Callable[..., Any]")

_registered: Final[list[tuple[type | str, Callable[..., Any]]]] = []


def on(kind: type | str) -> Callable[[F], F]:
    """Register a handler: a function of an event and its inbox entry.

    Put handlers into the module `webhooks` of an app, because Django imports these modules when it
    starts. Each handler runs in its own transaction. If a handler raises an error, its transaction
    is rolled back, and all handlers of the webhook are called again later.

    Args:
        kind: a contract such as "payments", or a class of events, for the events of a contract;
            "webhook" for each webhook as the vendor sent it.
    """

    def register(handler: F) -> F:
        _registered.append((kind, handler))
        return handler

    return register


def handled_by(inbox: WebhookInbox) -> WebhookInbox:
    """Add all registered webhook handlers to an inbox, and return the inbox."""
    for kind, handler in _registered:
        inbox.on(kind)(_atomic(handler))
    return inbox


def has_handlers() -> bool:
    """True if any handler is registered."""
    return bool(_registered)


def _atomic(handler: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(handler)
    def read_whole_body(*args: Any) -> Any:
        with transaction.atomic(using=DEFAULT_DB_ALIAS):
            return handler(*args)

    return read_whole_body
