"""Resend: email and statistics.

JSON with a bearer key. Resend remembers idempotency keys for a day, so a message that may have
been sent is sent again under its key. A bulk message is one request with a message for each
recipient; messages with files need a request each.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

from moorage import vendor_sdk as sdk
from moorage.contracts.email import EmailCapability, EmailMessage
from moorage.contracts.email_outcomes import EmailReceipt, EmailStatus
from moorage.vendors.email import _resend_suppressions as resend_suppressions
from moorage.vendors.email._common import (
    address_header,
    addresses_header,
    ascii_header,
    combined_pairs,
    filled_fields,
    in_base64,
    messages_of,
    one_by_one,
    sender_of,
    status_of,
    utc_moment,
)
from moorage.vendors.email._resend_answers import (
    COUNTS,
    classify,
    read_batch,
    read_events,
    read_message,
    read_metrics,
    read_receipt,
)
from moorage.vendors.email._vendor import EmailVendor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.email import Attachment
    from moorage.contracts.email_bulk import BulkMessage
    from moorage.contracts.email_outcomes import (
        EmailStatistics,
        StatisticsQuery,
    )
    from moorage.contracts.email_received import ReceivedEmail

_KEY: Final = 256
_MOST_FILES: Final = 100
_MOST_TAGS: Final = 75
_TAG: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
_ANYTHING: Final = "application/octet-stream"
_TYPES: Final = {
    "csv": "text/csv",
    "gif": "image/gif",
    "htm": "text/html",
    "html": "text/html",
    "ics": "text/calendar",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "json": "application/json",
    "pdf": "application/pdf",
    "png": "image/png",
    "txt": "text/plain",
    "zip": "application/zip",
}
"""Content types by file ending; with another type, Resend never sends the message."""
_KEYS: Final = sdk.VendorKeys(
    memory=24 * 3_600.0,
    repeat=sdk.RepeatedKey.REPLAYED,
    documentation=("https://resend.com/docs/dashboard/emails/idempotency-keys",),
    header="Idempotency-Key",
)


@sdk.frozen(kw_only=True)
class Resend(EmailVendor):
    """An account at Resend.

    Attributes:
        credentials: API key; by default the credential provider supplies it. Statistics need a key
            with full access.
        sender: sender of messages that name none.
        base_url: URL of Resend.
    """

    name = "resend"
    capabilities = frozenset(EmailCapability) - sdk.members_of(
        EmailCapability,
        "amp_html envelope_sender international track_clicks track_opens validate_address",
    )
    limits: ClassVar[Mapping[str, int]] = {
        "batch": 100,
        "recipients": 50,
        "message_bytes": 40 * 1024 * 1024,
        "idempotency_key": _KEY,
    }
    webhook = "svix"
    idempotency = _KEYS

    refusals = staticmethod(classify)
    headers: ClassVar[Mapping[str, str]] = {"User-Agent": "moorage"}  # which Resend requires
    ping_path = "/domains"
    event_reading = staticmethod(read_events)

    base_url: str = "https://api.resend.com"

    async def send_transactional(
        self, wire: sdk.Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        """Send one message."""
        request = sdk.Request.post("/emails", json=mail_body(self, message))

        def parse(response: sdk.Response) -> EmailReceipt:
            fields, status = sdk.read_answer(response), status_of(message)
            return read_receipt(wire, fields, message.everybody, status, response)

        return await wire.send(request, key=_vendor_key(wire, key), parse=parse)

    async def send_bulk(
        self, wire: sdk.Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[sdk.Result[EmailReceipt]]:
        """Send a message to each recipient: in one request, or separately if there are files."""
        if not bulk.base.attachments:
            return await self._send_batch(wire, bulk, key)
        return await one_by_one(wire, bulk, self.send_transactional, key)

    async def _send_batch(
        self, wire: sdk.Wire, bulk: BulkMessage, key: str | None
    ) -> list[sdk.Result[EmailReceipt]]:
        bodies = [mail_body(self, message) for message in messages_of(bulk)]
        # Otherwise one invalid message would make the whole batch fail.
        headers = {"x-batch-validation": "permissive"}
        request = sdk.Request.post("/emails/batch", json=bodies, headers=headers)
        parse = partial(read_batch, wire, bulk)
        return await wire.send(request, key=_vendor_key(wire, key), parse=parse)

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> EmailReceipt:
        """Get the state of a message from its last event."""
        response = await wire.send(sdk.Request.get(f"/emails/{quote(ref.id, safe='')}"))
        return read_message(ref, response)

    async def cancel(self, wire: sdk.Wire, ref: sdk.Ref, /) -> EmailReceipt:
        """Cancel a scheduled message."""
        request = sdk.Request.post(f"/emails/{quote(ref.id, safe='')}/cancel")
        try:
            fields = sdk.read_answer(await wire.send(request.evolve(idempotent=True)))
        except sdk.VendorRejected:
            # A second cancellation may be refused, for example after a lost response.
            receipt = await self.get(wire, ref)
            if receipt.status is not EmailStatus.CANCELED:
                raise
            return receipt
        return EmailReceipt(ref=ref, status=EmailStatus.CANCELED, raw=fields.raw)

    async def get_statistics(self, wire: sdk.Wire, query: StatisticsQuery, /) -> EmailStatistics:
        """Get the statistics of a range of days."""
        period = {
            "start_date": query.start.isoformat(),
            "end_date": query.end.isoformat(),
            "granularity": "daily",
            "dimensions": "period",
            "metrics": ",".join(COUNTS.values()),
        }
        return read_metrics(
            query, await wire.send(sdk.Request.get("/emails/metrics", query=period))
        )

    async def get_received(self, wire: sdk.Wire, ref: sdk.Ref, /) -> ReceivedEmail:
        """Get a received message; its files have expiring URLs."""
        path = f"/emails/receiving/{quote(ref.id, safe='')}"
        # Images stay separate from the HTML, as with other vendors.
        response = await wire.send(sdk.Request.get(path, query={"html_format": "cid"}))
        fields = sdk.read_answer(response)
        if fields.text("id") != ref.id:
            raise sdk.malformed(response, "id")
        listed: list[sdk.Answer] = []
        if fields.value("attachments"):
            pages = await wire.send(
                sdk.Request.get(f"{path}/attachments", query={"limit": _MOST_FILES})
            )
            listed = list(sdk.read_answer(pages).objects("data"))
        from moorage.vendors.email._resend_received import read_received  # noqa: PLC0415 - few accounts receive mail

        return read_received(fields, ref, listed, raw=fields.raw)

    suppressions = staticmethod(resend_suppressions.list_suppressed)
    add_suppression = staticmethod(resend_suppressions.suppress)
    remove_suppression = staticmethod(resend_suppressions.send_again)


def _vendor_key(wire: sdk.Wire, key: str | None) -> str | None:
    return None if key is None else sdk.key_for_vendor(wire, key, _KEY)


def mail_body(vendor: Resend, message: EmailMessage) -> dict[str, Any]:
    """A message as a request body, or as a part of a batch's body.

    Raises:
        InvalidData: the message has tags, metadata or files that Resend does not accept.
    """
    tags = combined_pairs(message.tags, message.metadata, _TAG, "Resend")
    if len(tags) > _MOST_TAGS:
        raise sdk.InvalidData(
            f"The message has {len(tags)} tags and metadata entries in total, but Resend"
            f" accepts only {_MOST_TAGS}.",
            field="metadata",
            remedy="Give fewer.",
        )
    body = {
        "from": address_header(sender_of(message, vendor.sender)),
        "to": addresses_header(message.to),
        "cc": addresses_header(message.cc),
        "bcc": addresses_header(message.bcc),
        "reply_to": addresses_header(message.reply_to),
        "headers": {name: ascii_header(value) for name, value in message.all_headers.items()},
        "attachments": [_file(file) for file in message.attachments],
        "tags": [{"name": name, "value": value} for name, value in tags.items()],
        "scheduled_at": None if message.send_at is None else utc_moment(message.send_at),
    }
    return sdk.merged(
        filled_fields(body) | _contents(message), sdk.extra_for("resend", message.extra)
    )


def _contents(message: EmailMessage) -> dict[str, Any]:
    if message.template is not None:
        # A template's subject applies unless the message has one; Resend accepts no texts with a
        # template.
        subject = {"subject": message.subject} if message.subject else {}
        return {"template": _template(message.template.id, message.template.data), **subject}
    # Resend refuses a message that has only files, and otherwise derives a text from the HTML.
    text = message.text or ("" if message.html else " ")
    html = {"html": message.html} if message.html else {}
    return {"subject": message.subject, "text": text, **html}


def _template(id_: str, data: Mapping[str, Any]) -> dict[str, Any]:
    if any(type(value) not in {str, int} for value in data.values()):
        raise sdk.InvalidData(
            "A value for the template is not a str or an int.",
            field="template.data",
            remedy="Convert the value to a str first. Resend's templates accept only str and int.",
        )
    return {"id": id_, **({"variables": dict(data)} if data else {})}


def _file(file: Attachment) -> dict[str, str]:
    essence = file.content_type.partition(";")[0].lower()
    ending = file.filename.rpartition(".")[2].lower()
    fields = {"filename": file.filename, "content": in_base64(file)}
    if essence != _ANYTHING:
        if essence != _TYPES.get(ending, essence):
            raise sdk.InvalidData(
                f"A file's name ends in .{ending}, but its content_type is {essence}. Resend"
                " would accept the message and never send it.",
                field="attachments",
                remedy=f"Set content_type={_TYPES[ending]!r}, or use another file name.",
            )
        # Resend derives a missing content type from the file name.
        fields["content_type"] = file.content_type
    return fields | ({"content_id": file.content_id} if file.content_id else {})
