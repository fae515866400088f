"""SendGrid: email, address checks and statistics.

Version 3 of the API, JSON with a bearer key. SendGrid takes no idempotency key, so a message that
may have been sent is not sent again. A bulk message is one request with a personalization for each
recipient; all of them share one message id. If AMP content has placeholders, each recipient of a
bulk message gets a separate request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.email import EmailCapability, EmailMessage
from moorage.contracts.email_bulk import PLACE, BulkMessage, BulkRecipient
from moorage.vendors.email import _sendgrid_suppressions as sendgrid_suppressions
from moorage.vendors.email._common import one_by_one, status_of
from moorage.vendors.email._sendgrid_answers import (
    classify,
    read_check,
    read_statistics,
    read_taken,
)
from moorage.vendors.email._sendgrid_events import read_events
from moorage.vendors.email._sendgrid_messages import bulk_body, mail_body, personalization
from moorage.vendors.email._vendor import EmailVendor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_outcomes import (
        AddressCheck,
        EmailEvent,
        EmailReceipt,
        EmailStatistics,
        StatisticsQuery,
    )
    from moorage.contracts.email_received import ReceivedEmail

_VALIDATIONS: Final = "validations"
_PAGE: Final = 500
_SCHEMES: Final = {
    "events": "sendgrid",
    "received": "sendgrid-inbound",
    "received_basic": "sendgrid-inbound-basic",
}


@attrs.frozen(kw_only=True)
class SendGrid(EmailVendor):
    """An account at SendGrid.

    Attributes:
        credentials: API key; by default the credential provider supplies it.
        validation_credentials: separate API key for address checks.
        sender: sender of messages that name none.
        sandbox: True to have messages checked and not sent.
        webhook_content: content of this account's webhooks: "events", or the messages that Inbound
            Parse forwards: "received" with a signature, or "received_basic" with a name and a
            password in the URL. For both, configure two accounts.
        base_url: URL of SendGrid; the EU has a separate URL.
    """

    name = "sendgrid"
    api_version = "v3"
    capabilities = frozenset(EmailCapability) - sdk.members_of(
        EmailCapability, "envelope_sender cancel look_up international received"
    )
    limits: ClassVar[Mapping[str, int]] = {
        "batch": 1_000,
        "recipients": 1_000,
        "message_bytes": 30 * 1024 * 1024,
    }
    webhook = "sendgrid"

    refusals = staticmethod(classify)
    ping_path = "/v3/scopes"

    validation_credentials: sdk.Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(sdk.as_secret)
    )
    sandbox: bool = False
    webhook_content: str = sdk.choice(
        "events",
        *_SCHEMES,
        problem="SendGrid's webhooks do not support this content.",
        remedy="Set 'events', 'received' if Inbound Parse signs its requests, or"
        " 'received_basic' for a user name and a password in the URL.",
    )
    base_url: str = "https://api.sendgrid.com"

    def mode(self) -> sdk.Mode | None:
        """Return live or test mode, as the options say; None if unknown."""
        return sdk.Mode.TEST if self.sandbox else None

    def services(self) -> Mapping[str, sdk.Service]:
        """The API as two services: one with the main key, one with the key for address checks."""
        main, key = super().services()[""], self.validation_credentials
        if key is None:
            return {"": main, _VALIDATIONS: main}
        bearer = sdk.Credentials.bearer(key)
        checks = attrs.evolve(main, credentials=bearer, needs_credentials=False)
        return {"": main, _VALIDATIONS: checks}

    async def send_transactional(
        self, wire: sdk.Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        """Send one message."""
        recipient = BulkRecipient(to=message.to, cc=message.cc, bcc=message.bcc)
        body = mail_body(self, message, [personalization(recipient)])
        request = sdk.Request.post("/v3/mail/send", json=body)

        def parse(response: sdk.Response) -> EmailReceipt:
            return read_taken(wire, body, response, key).receipt(recipient, status_of(message))

        return await wire.send(request, key=key, parse=parse)

    async def send_bulk(
        self, wire: sdk.Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[sdk.Result[EmailReceipt]]:
        """Send a message to each recipient, in one request if it can express the differences."""
        if PLACE.search(bulk.base.amp_html or ""):
            # SendGrid documents substitutions for subject, text and HTML only.
            return await one_by_one(wire, bulk, self.send_transactional, key)
        body = bulk_body(self, bulk)
        request = sdk.Request.post("/v3/mail/send", json=body)
        status = status_of(bulk.base)

        def parse(response: sdk.Response) -> list[sdk.Result[EmailReceipt]]:
            acceptance = read_taken(wire, body, response, key)
            return [
                sdk.Result(acceptance.receipt(recipient, status)) for recipient in bulk.recipients
            ]

        return await wire.send(request, key=key, parse=parse)

    async def validate_address(self, wire: sdk.Wire, address: EmailAddress, /) -> AddressCheck:
        """Check an address."""
        request = sdk.Request.post("/v3/validations/email", json={"email": address.wire})
        response = await wire.send(request.evolve(idempotent=True), to=_VALIDATIONS)
        return read_check(address, response)

    async def get_statistics(self, wire: sdk.Wire, query: StatisticsQuery, /) -> EmailStatistics:
        """Get the statistics of a range of days."""
        rows: list[sdk.Answer] = []
        while True:
            days = {"start_date": query.start.isoformat(), "end_date": query.end.isoformat()}
            page = {"aggregated_by": "day", "limit": str(_PAGE), "offset": str(len(rows))}
            response = await wire.send(sdk.Request.get("/v3/stats", query={**days, **page}))
            page_rows = sdk.read_answers(response)
            rows += page_rows
            if len(page_rows) < _PAGE:
                return read_statistics(query, rows, response)

    suppressions = staticmethod(sendgrid_suppressions.list_suppressed)
    add_suppression = staticmethod(sendgrid_suppressions.suppress)
    remove_suppression = staticmethod(sendgrid_suppressions.send_again)

    def webhook_verification(self) -> Mapping[str, Any]:
        """The webhook signature scheme, for events or received mail."""
        return {"scheme": _SCHEMES[self.webhook_content]}

    def events(
        self, event: sdk.WebhookEvent, ref: sdk.MakeRef
    ) -> tuple[EmailEvent, ...] | tuple[ReceivedEmail, ...]:
        """Convert a webhook to events, or to a received message."""
        if event.vendor in {_SCHEMES["received"], _SCHEMES["received_basic"]}:
            from moorage.vendors.email._sendgrid_received import read_received  # noqa: PLC0415 - few accounts receive mail

            return read_received(event, ref)
        return read_events(event, ref)
