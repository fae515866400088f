"""Mailchimp Transactional, whose API is named Mandrill: email with templates and suppressions.

JSON with the API key in each body. Mandrill gives each recipient of a message an id of its own, so
each message carries an id of moorage's in its metadata, which events bring back; the reference has
Mandrill's ids too. Mandrill takes no idempotency key, so a message that may have been sent is not
sent again. Each message of a bulk is a request of its own.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email import Attachment, EmailCapability, EmailMessage
from moorage.contracts.email_outcomes import EmailReceipt, EmailStatus
from moorage.vendors.email._common import (
    addresses_header,
    ascii_header,
    derived_message_id,
    filled_fields,
    in_base64,
    sender_of,
    utc_second,
    vendor_metadata_name,
)
from moorage.vendors.email._mandrill_answers import (
    ID_NAME,
    classify,
    ids_of,
    is_id_name,
    read_message,
    read_receipt,
)
from moorage.vendors.email._mandrill_events import read_events
from moorage.vendors.email._mandrill_rejects import list_rejects, send_again, suppress
from moorage.vendors.email._vendor import EmailVendor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_suppressions import SuppressionPage

_LONGEST_TAG: Final = 50
_IMAGE: Final = "image/"
_RESERVED: Final = "_"
_UNKNOWN_MESSAGE: Final = "Unknown_Message"


@sdk.frozen(kw_only=True)
class Mandrill(EmailVendor):
    """An account of Mailchimp Transactional.

    Attributes:
        credentials: API key; by default the credential provider supplies it.
        sender: sender of messages that name none.
        subaccount: id of the subaccount that sends, and whose suppressed addresses are meant.
        base_url: URL of the API.
    """

    name = "mandrill"
    api_version = "1.0"
    capabilities = sdk.members_of(
        EmailCapability,
        "add_suppression attachments cancel custom_headers inline_images look_up metadata scheduled"
        " suppressions tags templates track_clicks track_opens unsubscribe",
    )
    limits: ClassVar[Mapping[str, int]] = {"batch": 100, "recipients": 50}
    webhook = "mandrill"

    auth = sdk.body_key("key")
    refusals = staticmethod(classify)
    event_reading = staticmethod(read_events)

    subaccount: str | None = None
    base_url: str = "https://mandrillapp.com/api/1.0"

    async def send_transactional(
        self, wire: sdk.Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        """Send one message."""
        id_ = derived_message_id(wire, key)
        path = "/messages/send" if message.template is None else "/messages/send-template"
        request = sdk.Request.post(path, json=mail_body(self, message, id_))
        return await wire.send(request, key=key, parse=partial(read_receipt, wire, message, id_))

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> EmailReceipt:
        """Get the state of a message to each recipient."""
        answers = [
            sdk.read_answer(await wire.send(_request_about("/messages/info", id_, repeatable=True)))
            for id_ in ids_of(ref)
        ]
        return read_message(ref, answers)

    async def cancel(self, wire: sdk.Wire, ref: sdk.Ref, /) -> EmailReceipt:
        """Cancel a scheduled message to each recipient who has not been left out before."""
        canceled_messages: list[Any] = []
        missing: sdk.VendorRejected | None = None
        for id_ in ids_of(ref):
            try:
                response = await wire.send(_request_about("/messages/cancel-scheduled", id_))
                canceled_messages.append(sdk.read_answer(response).raw)
            except sdk.VendorRejected as refusal:
                if refusal.vendor_code != _UNKNOWN_MESSAGE:
                    raise
                missing = refusal
        if missing is not None and not canceled_messages:
            raise missing
        return EmailReceipt(ref=ref, status=EmailStatus.CANCELED, raw=canceled_messages)

    async def suppressions(self, wire: sdk.Wire, after: sdk.Ref | None, /) -> SuppressionPage:  # noqa: ARG002 - there is one page
        """Get the addresses on the denylist."""
        return await list_rejects(wire, self.subaccount)

    async def add_suppression(self, wire: sdk.Wire, address: EmailAddress, /) -> None:
        """Add an address to the denylist."""
        await suppress(wire, self.subaccount, address)

    async def remove_suppression(self, wire: sdk.Wire, address: EmailAddress, /) -> None:
        """Remove an address from the denylist."""
        await send_again(wire, self.subaccount, address)


def _request_about(path: str, id_: str, *, repeatable: bool = False) -> sdk.Request:
    return sdk.Request.post(path, json={"id": id_}).evolve(idempotent=repeatable)


def mail_body(vendor: Mandrill, message: EmailMessage, id_: str) -> dict[str, Any]:
    """A message as a request body, without the API key.

    Raises:
        InvalidData: the message has tags or metadata with names that Mandrill reserves, a tag that
            is too long, or an inline file that is not an image.
    """
    _check_words(message)
    files = [file for file in message.attachments if file.content_id is None]
    images = [file for file in message.attachments if file.content_id is not None]
    headers = {name: ascii_header(value) for name, value in message.all_headers.items()}
    reply_header = {"Reply-To": ", ".join(addresses_header(message.reply_to))}
    fields = {
        **_sender(vendor, message),
        "to": [
            {**_person(address), "type": kind}
            for kind, people in (("to", message.to), ("cc", message.cc), ("bcc", message.bcc))
            for address in people
        ],
        # Otherwise each recipient would get a message without the others' addresses.
        "preserve_recipients": True,
        "subject": message.subject,
        **_contents(message),
        "headers": headers | filled_fields(reply_header),
        "attachments": [_file(file, file.filename) for file in files],
        "images": [_image(file) for file in images],
        "tags": list(message.tags),
        "metadata": _metadata(message, id_),
        "track_opens": message.track_opens,
        "track_clicks": message.track_clicks,
        "subaccount": vendor.subaccount,
    }
    template = message.template
    body = {
        "message": filled_fields(fields),
        "template_name": None if template is None else template.id,
        "send_at": None if message.send_at is None else utc_second(message.send_at),
    }
    # Mandrill requires this field, though it may be empty.
    content: dict[str, Any] = {} if template is None else {"template_content": []}
    return sdk.merged(filled_fields(body) | content, sdk.extra_for("mandrill", message.extra))


def _check_words(message: EmailMessage) -> None:
    if any(len(tag) > _LONGEST_TAG or tag.startswith(_RESERVED) for tag in message.tags):
        raise sdk.InvalidData(
            f"A tag begins with an underscore or has more than {_LONGEST_TAG} characters, which"
            " Mandrill does not accept.",
            field="tags",
            remedy="Pass short tags, and pass other words as metadata.",
        )
    if any(name.startswith(_RESERVED) for name in message.metadata):
        raise sdk.InvalidData(
            "The name of a metadata entry begins with an underscore, which Mandrill reserves.",
            field="metadata",
            remedy="Use another name.",
        )


def _sender(vendor: Mandrill, message: EmailMessage) -> dict[str, str | None]:
    if message.template is not None and message.from_ is None and vendor.sender is None:
        # A template has a sender of its own.
        return {}
    sender = sender_of(message, vendor.sender)
    return {"from_email": sender.wire, "from_name": sender.name}


def _contents(message: EmailMessage) -> dict[str, Any]:
    template = message.template
    if template is not None:
        values = [{"name": name, "content": value} for name, value in template.data.items()]
        # Mandrill takes the HTML of the template in place of the message's.
        return {"text": message.text, "global_merge_vars": values}
    # Without a template nothing is filled in, though a text may look like a placeholder.
    text = message.text or (None if message.html else " ")
    return {"text": text, "html": message.html, "merge": False}


def _metadata(message: EmailMessage, id_: str) -> dict[str, str]:
    words = {
        vendor_metadata_name(name, is_id_name): text for name, text in message.metadata.items()
    }
    return {ID_NAME: id_, **words}


def _person(address: EmailAddress) -> dict[str, str]:
    return filled_fields({"email": address.wire, "name": address.name})


def _file(file: Attachment, name: str) -> dict[str, str]:
    return {"type": file.content_type, "name": name, "content": in_base64(file)}


def _image(file: Attachment) -> dict[str, str]:
    if not file.content_type.startswith(_IMAGE):
        raise sdk.InvalidData(
            f"An inline file has the type {file.content_type}, but Mandrill accepts only images"
            " inside the HTML.",
            field="attachments",
            remedy="Attach the file, or set the type of an image, such as 'image/png'.",
        )
    return _file(file, file.content_id or "")
