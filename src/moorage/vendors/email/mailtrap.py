"""Mailtrap: email, on its transactional or its bulk stream.

JSON with a bearer token. Mailtrap gives each recipient of a message a different id. So moorage puts
an id of its own into each message's custom variables, which events return. It takes no idempotency
key, so a message that may have been sent is not sent again. A bulk is one request with a message
and a result for each recipient.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email import Attachment, EmailCapability, EmailMessage
from moorage.contracts.email_address import EmailAddress, as_address
from moorage.vendors.email._common import (
    addresses_header,
    ascii_header,
    derived_message_id,
    filled_fields,
    in_base64,
    in_parts,
    masked,
    messages_of,
    sender_of,
    vendor_metadata_name,
)
from moorage.vendors.email._mailtrap_answers import (
    ID_VARIABLE,
    is_id_variable,
    read_batch,
    read_event,
    read_receipt,
    read_refusal,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.contracts.email_bulk import BulkMessage
    from moorage.contracts.email_outcomes import EmailEvent, EmailReceipt

_MEGABYTE: Final = 1024 * 1024
_MOST_BATCH_BYTES: Final = 50 * _MEGABYTE
_OVERHEAD_BYTES: Final = 2_000
"""Approximate bytes of a message besides its content."""
_MOST_VARIABLE_BYTES: Final = 1_000


@sdk.frozen(kw_only=True)
class Mailtrap(sdk.ApiVendor):
    """A sending stream of a Mailtrap account.

    Attributes:
        credentials: API token; by default the credential provider supplies it.
        sender: sender of messages that name none.
        base_url: URL of the stream; by default that of the transactional stream.
    """

    name = "mailtrap"
    kinds = ("email",)
    api_version = "v2"
    capabilities = sdk.members_of(
        EmailCapability,
        "attachments custom_headers inline_images metadata tags templates unsubscribe",
    )
    limits: ClassVar[Mapping[str, int]] = {
        "batch": 500,
        "recipients": 1_000,
        "message_bytes": 10 * _MEGABYTE,
    }
    webhook = "mailtrap"

    refusals = sdk.Refusals(
        vendor="Mailtrap",
        statuses=sdk.error_statuses("400"),
        read=read_refusal,
        mask=masked,
    )

    sender: EmailAddress | None = sdk.field(default=None, converter=sdk.optional(as_address))
    base_url: str = "https://send.api.mailtrap.io"

    async def send_transactional(
        self, wire: sdk.Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        """Send one message."""
        id_ = derived_message_id(wire, key)
        request = sdk.Request.post("/api/send", json=mail_body(self, message, id_))
        return await wire.send(request, key=key, parse=partial(read_receipt, wire, message, id_))

    async def send_bulk(
        self, wire: sdk.Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[sdk.Result[EmailReceipt]]:
        """Send a message to each recipient, in as few requests as the size limit allows."""
        max_messages = min(self.limits["batch"], messages_that_fit(bulk.base.size))
        return await in_parts(wire, bulk, max_messages, partial(self._send_batch, wire), key)

    async def _send_batch(
        self, wire: sdk.Wire, bulk: BulkMessage, key: str | None
    ) -> list[sdk.Result[EmailReceipt]]:
        sent_fields = {
            derived_message_id(wire, key and sdk.part_key(key, f"m{number}")): message
            for number, message in enumerate(messages_of(bulk), 1)
        }
        bodies = [mail_body(self, message, id_) for id_, message in sent_fields.items()]
        request = sdk.Request.post("/api/batch", json={"requests": bodies})
        return await wire.send(request, key=key, parse=partial(read_batch, wire, sent_fields))

    def events(self, event: sdk.WebhookEvent, ref: sdk.MakeRef) -> tuple[EmailEvent, ...]:
        """Convert a webhook item to events."""
        return read_event(event, ref)


def messages_that_fit(size: int) -> int:
    """The number of messages of a size in bytes that Mailtrap accepts in one request."""
    return max(1, _MOST_BATCH_BYTES // (size + _OVERHEAD_BYTES))


def mail_body(vendor: Mailtrap, message: EmailMessage, id_: str) -> dict[str, Any]:
    """A message as a request body, or as a part of a batch's body.

    Raises:
        InvalidData: the message has more than one tag, a tag besides a template, or more metadata
            than Mailtrap keeps.
    """
    if len(message.tags) > 1 or (message.tags and message.template is not None):
        raise sdk.InvalidData(
            "Mailtrap accepts at most one tag, and no tag if the message has a template.",
            field="tags",
            remedy="Pass one tag, or none with a template, and pass the other words as metadata.",
        )
    headers = {name: ascii_header(value) for name, value in message.all_headers.items()}
    if len(message.reply_to) > 1:
        headers["Reply-To"] = ", ".join(addresses_header(message.reply_to))
    body = {
        "from": _person(sender_of(message, vendor.sender)),
        "to": _people(message.to),
        "cc": _people(message.cc),
        "bcc": _people(message.bcc),
        "reply_to": _person(message.reply_to[0]) if len(message.reply_to) == 1 else None,
        **_contents(message),
        "category": next(iter(message.tags), None),
        "headers": headers,
        "attachments": [_file(file) for file in message.attachments],
        "custom_variables": _variables(message, id_),
    }
    return sdk.merged(filled_fields(body), sdk.extra_for("mailtrap", message.extra))


def _contents(message: EmailMessage) -> dict[str, Any]:
    template = message.template
    if template is not None:
        # A template has its own subject and texts, and Mailtrap accepts no others with it.
        return {"template_uuid": template.id, "template_variables": dict(template.data)}
    # Mailtrap refuses a message that has only files.
    text = message.text or (None if message.html else " ")
    return {"subject": message.subject, "text": text, "html": message.html}


def _variables(message: EmailMessage, id_: str) -> dict[str, str]:
    words = {
        vendor_metadata_name(name, is_id_variable): text for name, text in message.metadata.items()
    }
    variables = {ID_VARIABLE: id_, **words}
    if len(sdk.encode_json(variables)) > _MOST_VARIABLE_BYTES:
        raise sdk.InvalidData(
            "The metadata are longer than Mailtrap's limit of 1000 bytes.",
            field="metadata",
            remedy="Pass fewer or shorter entries.",
        )
    return variables


def _person(address: EmailAddress) -> dict[str, str]:
    return filled_fields({"email": address.wire, "name": address.name})


def _people(several: Iterable[EmailAddress]) -> list[dict[str, str]]:
    return [_person(address) for address in several]


def _file(file: Attachment) -> dict[str, str]:
    fields = {
        "filename": file.filename,
        "content": in_base64(file),
        "type": file.content_type,
        "disposition": file.disposition.value,
    }
    return fields | ({"content_id": file.content_id} if file.content_id else {})
