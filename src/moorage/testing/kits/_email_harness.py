"""A test environment for an email vendor, and the messages that the checks send."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from moorage.contracts.email import EmailMessage
from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from moorage.testing.sandboxes.base import Sandbox
    from moorage.testing.sandboxes.email.mailbox import DeliveredEmail


@attrs.frozen(kw_only=True)
class EmailHarness:
    """An email vendor and its sandbox, with operations for the checks.

    Attributes:
        hub: a `Hub` or an `AsyncHub` with one account, whose clock is virtual.
        stranger: the same hub with wrong credentials.
        delivered: the delivered messages.
        refuse: makes the sandbox refuse the next call, or the next message of a bulk, as one too
            many.
        lose: makes the sandbox accept the next message and lose its response; returns the
            address to
            send that message to.
        malform: makes the sandbox accept the next message with a malformed response; None if it
            cannot.
        codes: the vendor's own codes for "auth", "throttled", "outage" and "refused".
        secret: the secret part of the account's credentials.
        many: number of recipients of a large bulk.
        odd_name: a recipient's name that headers must quote, without a comma if the vendor refuses
            commas.
        template: the vendor's id of a template that the sandbox has, for a vendor with templates.
        sandbox: the vendor's sandbox, whose requests are checked; None if the vendor sends none, as
            a mail server's does.
    """

    hub: Any
    stranger: Any
    delivered: Sequence[DeliveredEmail]
    refuse: Callable[[], None]
    lose: Callable[[], str]
    malform: Callable[[], None] | None
    codes: dict[str, str | None]
    secret: str
    sandbox: Sandbox | None
    many: int = 10_000
    odd_name: str = "Lovelace, Ada"
    template: str = "welcome"

    @property
    def vendor(self) -> Any:
        """The email vendor under test."""
        return self.hub.account("mail").vendor


Factory: TypeAlias = Callable[[], EmailHarness]


def message(**changes: Any) -> EmailMessage:
    """Return a message that every vendor accepts."""
    default_fields: dict[str, Any] = {
        "from_": "Zoë's Shop <shop@example.com>",
        "to": ("Ada <ada@example.com>",),
        "subject": "Invoice 7 – grüße",
        "text": "Dear Ada, it is 149.90 €.",
    }
    return EmailMessage(**{**default_fields, **changes})


def sent_text(delivered: DeliveredEmail) -> str:
    """Return all texts in the requests that sent a message."""
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
