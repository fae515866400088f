"""Mailgun: email, address checks and statistics.

Forms with a key, in the region of the sending domain. Mailgun takes no idempotency key, so a
message that may have been sent is not sent again. A bulk message is one request with variables for
each recipient, and all of them share one message id; a bulk that does not fit this form is sent in
single requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.email import EmailCapability
from moorage.contracts.email_outcomes import AddressCheck, Verdict
from moorage.vendors.email._common import one_by_one, receipt_of, status_of
from moorage.vendors.email._mailgun_events import bare_message_id, read_events
from moorage.vendors.email._mailgun_forms import bulk_request, fits_one, mail_request
from moorage.vendors.email._mailgun_statistics import statistics
from moorage.vendors.email._mailgun_suppressions import list_suppressed, send_again, suppress
from moorage.vendors.email._vendor import EmailVendor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.email import EmailMessage
    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_bulk import BulkMessage
    from moorage.contracts.email_outcomes import (
        EmailEvent,
        EmailReceipt,
        EmailStatistics,
        StatisticsQuery,
    )
    from moorage.contracts.email_received import ReceivedEmail
    from moorage.contracts.email_suppressions import SuppressionPage

_DOMAIN: Final = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
_REGIONS: Final = {"us": "https://api.mailgun.net", "eu": "https://api.eu.mailgun.net"}
_GREETING: Final = b"Mailgun Magnificent"
_SENDING_FORBIDDEN: Final = "not allowed to send"
_TRY_AGAIN: Final = "try again after "
_TOO_MANY_REQUESTS: Final = 429
_VERDICTS: Final = {
    "deliverable": Verdict.DELIVERABLE,
    "catch_all": Verdict.RISKY,
    "do_not_send": Verdict.RISKY,
    "undeliverable": Verdict.UNDELIVERABLE,
}
_NO_MX: Final = frozenset({"no_mx", "No MX host found"})
_SCHEMES: Final = {"events": "mailgun", "received": "mailgun-inbound"}


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for a response whose status code does not reveal it."""
    if sdk.is_success(response.status):
        return _greeting_error(response)
    error = sdk.error_answer(response)
    message = error.text("message") or ""
    fields: dict[str, Any] = {
        "status": response.status,
        "vendor_message": sdk.masked_words(message),
        "response": response,
    }
    if response.status in {400, 403} and _SENDING_FORBIDDEN in message:
        return sdk.VendorRejected(f"Mailgun refused: {fields['vendor_message']}", **fields)
    retry_time = sdk.as_time(message.partition(_TRY_AGAIN)[2])
    if response.status == _TOO_MANY_REQUESTS and retry_time is not None:
        return sdk.RateLimitExceeded(
            f"Mailgun refused: {fields['vendor_message']}",
            by_vendor=True,
            retry_at=retry_time,
            **fields,
        )
    return None


def _auth(_: Mailgun, secret: sdk.Secret) -> sdk.Credentials:
    """Basic authentication with the user name "api"."""
    return sdk.Credentials.basic("api", secret)


@attrs.frozen(kw_only=True)
class Mailgun(EmailVendor):
    """A sending domain of a Mailgun account.

    Attributes:
        domain: sending domain.
        region: region of the domain, "us" or "eu".
        credentials: API key; by default the credential provider supplies `Credentials`, with the
            user "api".
        sender: sender of messages that name none.
        test_mode: True to have messages accepted and not delivered.
        webhook_content: content of this account's webhooks: "events", or "received" for the
            messages that a route forwards. For both, configure two accounts.
        base_url: URL of Mailgun; by default that of the region.
    """

    name = "mailgun"
    api_version = "v3"
    capabilities = frozenset(EmailCapability) - sdk.members_of(
        EmailCapability, "envelope_sender cancel look_up international received"
    )
    limits: ClassVar[Mapping[str, int]] = {
        "batch": 1_000,
        "recipients": 1_000,
        "message_bytes": 25 * 1024 * 1024,
    }
    webhook = "mailgun"

    urls: ClassVar[Mapping[str, str]] = {"": "_url"}
    auth = _auth
    refusals = staticmethod(classify)
    ping_path = "/v4/domains/{domain}"

    domain: str = attrs.field(
        validator=sdk.matches(
            _DOMAIN,
            problem="The domain is not a valid domain name.",
            remedy="Set the domain as Mailgun shows it, such as 'mail.example.com'.",
        )
    )
    region: str = sdk.choice("us", *_REGIONS, problem="Mailgun does not have this region.")
    test_mode: bool = False
    webhook_content: str = sdk.choice(
        "events", *_SCHEMES, problem="Mailgun's webhooks do not support this content."
    )
    base_url: str | None = None

    def mode(self) -> sdk.Mode | None:
        """Return live or test mode, as the options say; None if unknown."""
        return sdk.Mode.TEST if self.test_mode else None

    @property
    def _url(self) -> str:
        return self.base_url or _REGIONS[self.region]

    async def send_transactional(
        self, wire: sdk.Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        """Send one message."""
        request = mail_request(self.domain, message, self.sender, **self._fields())
        id_, raw_answer = await wire.send(request, key=key, parse=read_id)
        return receipt_of(wire, id_, message.everybody, status_of(message), raw_answer)

    async def send_bulk(
        self, wire: sdk.Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[sdk.Result[EmailReceipt]]:
        """Send a message to each recipient, in one request if it can express the differences."""
        if not fits_one(bulk):
            return await one_by_one(wire, bulk, self.send_transactional, key)
        request = bulk_request(self.domain, bulk, self.sender, **self._fields())
        id_, raw_answer = await wire.send(request, key=key, parse=read_id)
        status = status_of(bulk.base)
        return [
            sdk.Result(receipt_of(wire, id_, recipient.everybody, status, raw_answer))
            for recipient in bulk.recipients
        ]

    async def validate_address(self, wire: sdk.Wire, address: EmailAddress, /) -> AddressCheck:
        """Check an address."""
        request = sdk.Request.get("/v4/address/validate", query={"address": address.wire})
        return read_check(address, await wire.send(request))

    async def get_statistics(self, wire: sdk.Wire, query: StatisticsQuery, /) -> EmailStatistics:
        """Get the statistics of a range of days, summed over all pages."""
        return await statistics(wire, self.domain, query)

    async def suppressions(self, wire: sdk.Wire, after: sdk.Ref | None, /) -> SuppressionPage:
        """Get a page of the domain's suppressed addresses, one suppression list after another."""
        return await list_suppressed(wire, self.domain, after)

    async def add_suppression(self, wire: sdk.Wire, address: EmailAddress, /) -> None:
        """Add an address to the domain's unsubscribes."""
        await suppress(wire, self.domain, address)

    async def remove_suppression(self, wire: sdk.Wire, address: EmailAddress, /) -> None:
        """Remove an address from all lists of the domain."""
        await send_again(wire, self.domain, address)

    def webhook_verification(self) -> Mapping[str, Any]:
        """The webhook signature scheme, for events or received mail."""
        return {"scheme": _SCHEMES[self.webhook_content]}

    def events(
        self, event: sdk.WebhookEvent, ref: sdk.MakeRef
    ) -> tuple[EmailEvent, ...] | tuple[ReceivedEmail, ...]:
        """Convert a webhook to events, or to a received message."""
        if event.vendor == _SCHEMES["received"]:
            from moorage.vendors.email._mailgun_received import read_received  # noqa: PLC0415 - few accounts receive mail

            return read_received(event, ref)
        return read_events(event, ref)

    def _fields(self) -> dict[str, Any]:
        return {"o:testmode": "yes"} if self.test_mode else {}


def read_id(response: sdk.Response) -> tuple[str, Any]:
    """The id of an accepted message, with the complete response."""
    fields = sdk.read_answer(response)
    id_ = bare_message_id(fields.text("id") or "")
    if not id_:
        raise sdk.malformed(response, "id")
    return id_, fields.raw


def read_check(address: EmailAddress, response: sdk.Response) -> AddressCheck:
    """Parse the response to an address check."""
    fields = sdk.read_answer(response)
    verdict = sdk.required(fields.text("result"), response, "result")
    reasons = fields.texts("reason")
    return AddressCheck(
        email=address.email,
        verdict=_VERDICTS.get(verdict, Verdict.UNKNOWN),
        vendor_verdict=verdict,
        reasons=reasons,
        did_you_mean=fields.text("did_you_mean"),
        disposable=fields.flag("is_disposable_address"),
        role=fields.flag("is_role_address"),
        mx=False if _NO_MX.intersection(reasons) else None,
        raw=fields.raw,
    )


def _greeting_error(response: sdk.Response) -> sdk.ConfigurationError | None:
    """The error for Mailgun's greeting page, which a wrong URL returns with status 200."""
    if _GREETING not in response.body[:200]:
        return None
    return sdk.ConfigurationError(
        "Mailgun's API is not at this URL, so no message was sent.",
        path="base_url",
        remedy="Correct the base_url and the domain.",
    )
