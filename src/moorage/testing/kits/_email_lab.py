"""A mail vendor under test, and the messages that the checks send."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from moorage.contracts.email import EmailMessage
from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from moorage.testing.sandboxes.base import Sandbox
    from moorage.testing.sandboxes.email.mailbox import Delivered


@attrs.frozen(kw_only=True)
class EmailLab:
    """A mail vendor and its sandbox, with the operations of the checks.

    Attributes:
        hub: a `Hub` or an `AsyncHub` with one account, whose clock is virtual.
        stranger: the same, with credentials that are wrong.
        delivered: the mail that has arrived.
        refuse: have the next call, or the next message of a bulk, refused for too much mail.
        lose: have the next message taken and the answer lost; returns the address to send it to.
        malform: have the next message taken, and an answer that is none; None if there is no such
            thing.
        codes: the vendor's own codes for "auth", "throttled", "outage" and "refused".
        secret: what the account's credentials keep secret.
        many: how many recipients a large bulk has.
        odd_name: a recipient's name that headers must quote; another one if the vendor refuses
            commas.
        sandbox: the vendor's sandbox, whose requests are checked; None if the vendor sends none, as
            a mail server's does.
    """

    hub: Any
    stranger: Any
    delivered: Sequence[Delivered]
    refuse: Callable[[], None]
    lose: Callable[[], str]
    malform: Callable[[], None] | None
    codes: dict[str, str | None]
    secret: str
    sandbox: Sandbox | None
    many: int = 10_000
    odd_name: str = "Lovelace, Ada"

    @property
    def vendor(self) -> Any:
        """The mail vendor under test."""
        return self.hub.account("mail").vendor


Factory: TypeAlias = Callable[[], EmailLab]


def message(**changes: Any) -> EmailMessage:
    """Return a message that every vendor accepts."""
    default_fields: dict[str, Any] = {
        "from_": "Zoë's Shop <shop@example.com>",
        "to": ("Ada <ada@example.com>",),
        "subject": "Invoice 7 – grüße",
        "text": "Dear Ada, it is 149.90 €.",
    }
    return EmailMessage(**{**default_fields, **changes})


def sent_text(delivered: Delivered) -> str:
    """Return all text that was sent for a message."""
    return (
        delivered.raw.decode(errors="replace")
        if isinstance(delivered.raw, bytes)
        else repr(delivered.raw)
    )


async def raised_error_of(awaitable: Awaitable[Any]) -> Exception | None:
    try:
        await awaitable
    except ConnectorError as error:
        return error
    return None
