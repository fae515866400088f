"""Postmark: email and statistics.

JSON with a server token in a header. Postmark takes no idempotency key, so a message that may have
been sent is not sent again. A bulk message is one request with a message and a result for each
recipient. A response with status 200 may report an error, by its `ErrorCode`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

from moorage import vendor_sdk as sdk
from moorage.contracts.email import Attachment, EmailCapability, EmailMessage
from moorage.contracts.email_outcomes import (
    EmailCounts,
    EmailReceipt,
    EmailStatistics,
    EmailStatus,
    RecipientOutcome,
    StatisticsQuery,
)
from moorage.vendors.email._common import (
    address_header,
    addresses_header,
    ascii_header,
    check_some_readable,
    filled_fields,
    in_base64,
    in_parts,
    messages_of,
    sender_of,
)
from moorage.vendors.email._postmark_events import read_event
from moorage.vendors.email._postmark_suppressions import change_suppression, list_suppressed
from moorage.vendors.email._vendor import EmailVendor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_bulk import BulkMessage
    from moorage.contracts.email_suppressions import SuppressionPage

_MEGABYTE: Final = 1024 * 1024
_MOST_BYTES: Final = 50 * _MEGABYTE
_OVERHEAD_BYTES: Final = 2_000
"""Approximate bytes of a message besides its content."""
_MOST_TAGS: Final = 1
_MOST_METADATA: Final = 10
_INACTIVE: Final = "inactive addresses:"
_IS_INACTIVE: Final = "406"
_OK: Final = "OK"
_TOO_MANY_REQUESTS: Final = 429
_KINDS: Final[dict[int, type[sdk.ConnectorError]]] = {
    10: sdk.AuthenticationFailed,
    100: sdk.VendorFailed,
    300: sdk.InvalidRequest,
    402: sdk.InvalidRequest,
    403: sdk.InvalidRequest,
    409: sdk.InvalidRequest,
    410: sdk.InvalidRequest,
    411: sdk.InvalidRequest,
    429: sdk.RateLimitExceeded,
}
_COUNTED_FIELDS: Final = {
    "sends": {"Sent": "requested"},
    "bounces": {
        "HardBounce": "bounced",
        "SoftBounce": "bounced",
        "Transient": "deferred",
        "SMTPApiError": "dropped",
    },
    "spam": {"SpamComplaint": "complained"},
    "opens": {"Opens": "opened", "Unique": "unique_opened"},
    "clicks": {"Clicks": "clicked", "Unique": "unique_clicked"},
}
"""Counters of each list of days, by the contract's names."""


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for a response's `ErrorCode`, which is more specific than the status."""
    error = sdk.error_answer(response)
    says_itself = response.status >= 500 or response.status == _TOO_MANY_REQUESTS
    default_error = None if says_itself else sdk.VendorRejected
    return _refusal(error, default_error, status=response.status, response=response)


@sdk.frozen(kw_only=True)
class Postmark(EmailVendor):
    """A Postmark "server", which means one application of an account.

    Attributes:
        credentials: server API token; by default the credential provider supplies it.
        sender: sender of messages that name none.
        message_stream: stream of messages and statistics; by default "outbound" for messages, and
            all streams for statistics.
        base_url: URL of Postmark.
    """

    name = "postmark"
    capabilities = frozenset(EmailCapability) - sdk.members_of(
        EmailCapability,
        "amp_html envelope_sender cancel international received scheduled validate_address",
    )
    limits: ClassVar[Mapping[str, int]] = {
        "batch": 500,
        "recipients": 50,
        "message_bytes": 10 * _MEGABYTE,
    }
    modes = sdk.key_modes(test=("POSTMARK_API_TEST",))
    webhook = "postmark"

    auth = sdk.api_key("X-Postmark-Server-Token")
    refusals = staticmethod(classify)
    headers: ClassVar[Mapping[str, str]] = {"Accept": "application/json"}
    ping_path = "/server"
    event_reading = staticmethod(read_event)

    message_stream: str | None = None
    base_url: str = "https://api.postmarkapp.com"

    async def send_transactional(
        self, wire: sdk.Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        """Send one message."""
        path = "/email" if message.template is None else "/email/withTemplate"
        request = sdk.Request.post(path, json=mail_body(self, message))

        def parse(response: sdk.Response) -> EmailReceipt:
            return read_sent(wire, sdk.read_answer(response), message.everybody, response)

        return await wire.send(request, key=key, parse=parse)

    async def send_bulk(
        self, wire: sdk.Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[sdk.Result[EmailReceipt]]:
        """Send a message to each recipient, in as few requests as the size limit allows."""
        batch_size = max(1, _MOST_BYTES // (bulk.base.size + _OVERHEAD_BYTES))
        return await in_parts(wire, bulk, batch_size, partial(self._send_batch, wire), key)

    async def _send_batch(
        self, wire: sdk.Wire, bulk: BulkMessage, key: str | None
    ) -> list[sdk.Result[EmailReceipt]]:
        parse = partial(read_entries, wire, bulk)
        return await wire.send(batch_request(self, bulk), key=key, parse=parse)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> EmailReceipt:
        """Get the state of a message, and of each recipient."""
        request = sdk.Request.get(f"/messages/outbound/{quote(ref.id, safe='')}/details")
        response = await wire.send(request)
        from moorage.vendors.email._postmark_messages import read_message  # noqa: PLC0415 - few accounts look messages up

        return read_message(ref, response)

    async def get_statistics(self, wire: sdk.Wire, query: StatisticsQuery, /) -> EmailStatistics:
        """Get the statistics of a range of days in Eastern Time."""
        dates = {
            "fromdate": query.start.isoformat(),
            "todate": query.end.isoformat(),
            "messagestream": self.message_stream,
        }
        counted_pairs: list[tuple[date, EmailCounts]] = []
        raw_answer: dict[str, Any] = {}
        for report, names in _COUNTED_FIELDS.items():
            response = await wire.send(sdk.Request.get(f"/stats/outbound/{report}", query=dates))
            counted_pairs += read_days(response, names)
            raw_answer[report] = response.json()
        return EmailStatistics.of(query, counted_pairs, raw_answer)

    async def suppressions(self, wire: sdk.Wire, after: sdk.Ref | None, /) -> SuppressionPage:  # noqa: ARG002 - there is one page
        """Get the stream's suppressed addresses."""
        return await list_suppressed(wire, self.message_stream)

    async def add_suppression(self, wire: sdk.Wire, address: EmailAddress, /) -> None:
        """Suppress an address in the stream."""
        await change_suppression(wire, self.message_stream, address, add=True)

    async def remove_suppression(self, wire: sdk.Wire, address: EmailAddress, /) -> None:
        """Remove an address from the stream's suppressions."""
        await change_suppression(wire, self.message_stream, address, add=False)


def mail_body(vendor: Postmark, message: EmailMessage) -> dict[str, Any]:
    """A message as a request body, or as a part of a batch's body.

    Raises:
        InvalidData: the message has more tags or metadata than Postmark accepts.
    """
    if len(message.tags) > _MOST_TAGS:
        raise sdk.InvalidData(
            f"The message has {len(message.tags)} tags, but Postmark accepts only one.",
            field="tags",
            remedy="Pass one tag, and pass the other words as metadata.",
        )
    if len(message.metadata) > _MOST_METADATA:
        raise sdk.InvalidData(
            f"The message has {len(message.metadata)} metadata entries, but Postmark accepts"
            f" {_MOST_METADATA}.",
            field="metadata",
            remedy="Give fewer.",
        )
    clicks = {True: "HtmlAndText", False: "None", None: None}[message.track_clicks]
    body = {
        "From": address_header(sender_of(message, vendor.sender)),
        "To": ", ".join(addresses_header(message.to)),
        "Cc": ", ".join(addresses_header(message.cc)),
        "Bcc": ", ".join(addresses_header(message.bcc)),
        "ReplyTo": ", ".join(addresses_header(message.reply_to)),
        **_contents(message),
        "Tag": next(iter(message.tags), None),
        "Headers": [
            {"Name": name, "Value": ascii_header(value)}
            for name, value in message.all_headers.items()
        ],
        "Attachments": [_file(file) for file in message.attachments],
        "Metadata": dict(message.metadata),
        "TrackOpens": message.track_opens,
        "TrackLinks": clicks,
        "MessageStream": vendor.message_stream,
    }
    return sdk.merged(
        filled_fields(body) | _model(message), sdk.extra_for("postmark", message.extra)
    )


def _contents(message: EmailMessage) -> dict[str, Any]:
    template = message.template
    if template is not None:
        # A template has its own content, and Postmark accepts no other content with it.
        by_number = template.id.isascii() and template.id.isdigit()
        return {"TemplateId": int(template.id)} if by_number else {"TemplateAlias": template.id}
    # Postmark refuses a message that has only files.
    text = message.text or (None if message.html else " ")
    return {"Subject": message.subject, "TextBody": text, "HtmlBody": message.html}


def _model(message: EmailMessage) -> dict[str, Any]:
    """The values for a template's placeholders; Postmark requires this field even if empty."""
    template = message.template
    return {} if template is None else {"TemplateModel": dict(template.data)}


def _file(file: Attachment) -> dict[str, str]:
    fields = {
        "Name": file.filename,
        "Content": in_base64(file),
        "ContentType": file.content_type,
    }
    return fields | ({"ContentID": f"cid:{file.content_id}"} if file.content_id else {})


def batch_request(vendor: Postmark, bulk: BulkMessage) -> sdk.Request:
    """The request that sends separate messages to all recipients."""
    bodies = [mail_body(vendor, message) for message in messages_of(bulk)]
    if bulk.base.template is None:
        return sdk.Request.post("/email/batch", json=bodies)
    return sdk.Request.post("/email/batchWithTemplates", json={"Messages": bodies})


def read_sent(
    wire: sdk.Wire, fields: sdk.Answer, people: tuple[EmailAddress, ...], response: sdk.Response
) -> EmailReceipt:
    """Parse the receipt of a message accepted for at least one recipient."""
    id_, words = fields.text("MessageID"), fields.text("Message") or _OK
    if id_ is None:
        raise sdk.malformed(response, "MessageID")
    address_words = words.partition(_INACTIVE)[2].replace(",", " ").split()
    inactive_addresses = {word.rstrip(".").lower() for word in address_words}
    return EmailReceipt(
        ref=wire.ref(id_),
        status=EmailStatus.QUEUED,
        recipients=tuple(
            RecipientOutcome(email=address.email, status=EmailStatus.REJECTED, code=_IS_INACTIVE)
            if address.wire.lower() in inactive_addresses
            else RecipientOutcome(email=address.email, status=EmailStatus.QUEUED)
            for address in people
        ),
        warnings=() if words == _OK else (sdk.masked_words(words) or "",),
        raw=fields.raw,
    )


def read_entries(
    wire: sdk.Wire, bulk: BulkMessage, response: sdk.Response
) -> list[sdk.Result[EmailReceipt]]:
    """Parse the results of a bulk message."""
    entries = sdk.read_answers(response)
    if len(entries) != len(bulk.recipients):
        raise sdk.malformed(response, "result for each message")
    results = [
        read_entry(wire, entry, recipient.everybody, response)
        for entry, recipient in zip(entries, bulk.recipients, strict=True)
    ]
    check_some_readable(results, response)
    return results


def read_entry(
    wire: sdk.Wire, entry: sdk.Answer, people: tuple[EmailAddress, ...], response: sdk.Response
) -> sdk.Result[EmailReceipt]:
    """Parse one message's result in a bulk response."""
    refusal = _refusal(entry, sdk.VendorRejected, service=wire.account)
    if refusal is not None:
        return sdk.Result(error=refusal)
    try:
        return sdk.Result(read_sent(wire, entry, people, response))
    except sdk.ConnectorError as error:
        return sdk.Result(error=error)


def read_days(response: sdk.Response, names: Mapping[str, str]) -> list[tuple[date, EmailCounts]]:
    """Parse the daily counts of messages."""
    body = sdk.read_answer(response)
    if not sdk.is_list(body.value("Days")):
        raise sdk.malformed(response, "Days")
    counted_pairs: list[tuple[date, EmailCounts]] = []
    for day in body.objects("Days"):
        day_text = sdk.required(day.time("Date"), response, "Date")
        counted_pairs += [
            (day_text.date(), EmailCounts(**{field_name: day.integer(vendor_field)}))
            for vendor_field, field_name in names.items()
        ]
    return counted_pairs


def _refusal(
    body: sdk.Answer, otherwise: type[sdk.ConnectorError] | None, **fields: Any
) -> sdk.ConnectorError | None:
    code = body.integer("ErrorCode")
    kind: Any = _KINDS.get(code or 0, otherwise)
    if not code or kind is None:
        return None
    words = sdk.masked_words(body.text("Message"))
    error_fields = {"by_vendor": True} if kind is sdk.RateLimitExceeded else {}
    error: sdk.ConnectorError = kind(
        f"Postmark refused: {words or code}",
        vendor_code=str(code),
        vendor_message=words,
        **fields,
        **error_fields,
    )
    return error
