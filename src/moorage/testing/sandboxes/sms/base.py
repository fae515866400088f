"""The base of sandboxes for SMS vendors with webhooks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

from moorage.testing.sandboxes.base import Sandbox, moment, state_field

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.testing.sandboxes.base import Notice
    from moorage.testing.sandboxes.sms.sent_templates import SentTemplate

OUR_NUMBER: Final = "+15005550006"
"""The number of the account, which messages come from and go to."""

OUR_WHATSAPP_NUMBER: Final = "+15005550009"
"""The number of the account's WhatsApp sender."""


class SmsSandbox(Sandbox, ABC):
    """A local sandbox that imitates an SMS vendor.

    A subclass keeps the messages that it accepts in `messages`, and defines the fields and the
    signature of its webhooks.

    Attributes:
        messages: the accepted messages by id, as the API returns them.
        callbacks: the URL of each message's reports, by id.
        sent_templates: the accepted messages from templates, in their order.
    """

    messages: dict[str, dict[str, Any]] = state_field(dict)
    callbacks: dict[str, str] = state_field(dict)
    sent_templates: list[SentTemplate] = state_field(list)

    def report(
        self,
        id_: str,
        status: str,
        *,
        error_code: str | None = None,
        url: str | None = None,
        at: datetime | None = None,
    ) -> Notice:
        """Send a webhook about a message's delivery.

        Args:
            id_: id of the message.
            status: the vendor's word for the status.
            error_code: the vendor's code for the failure.
            url: URL of the webhook; by default the message's own URL.
            at: time of its sending; by default the current time.
        """
        fields = self._report_fields(id_, status, error_code)
        return self._webhook(url or self.callbacks[id_], fields, moment(at))

    def receive(
        self, sender: str, text: str, *, url: str = "", at: datetime | None = None
    ) -> Notice:
        """Send a webhook about an incoming message.

        Args:
            sender: number of the sender.
            text: text of the message.
            url: URL at which the application receives messages, if the account has none.
            at: time of its sending; by default the current time.
        """
        return self._webhook(url, self._incoming_fields(sender, text), moment(at))

    @abstractmethod
    def _report_fields(self, id_: str, status: str, error_code: str | None, /) -> dict[str, Any]:
        """Record a message's status, and return the webhook's fields."""

    @abstractmethod
    def _incoming_fields(self, sender: str, text: str, /) -> dict[str, Any]:
        """Return the webhook's fields for an incoming message."""

    @abstractmethod
    def _webhook(self, url: str, fields: dict[str, Any], at: datetime, /) -> Notice:
        """Send a signed webhook with these fields."""
