"""Postal: email through a mail server that you host.

JSON with an API key in a header. Postal gives each recipient of a message an id of its own, and the
message its Message-ID, which is the reference; the reference has the recipients' ids too. Postal
takes no idempotency key, so a message that may have been sent is not sent again. Each message of a
bulk is a request of its own.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email import Attachment, EmailCapability, EmailMessage
from moorage.vendors.email._common import (
    address_header,
    addresses_header,
    ascii_header,
    filled_fields,
    in_base64,
    sender_of,
)
from moorage.vendors.email._postal_answers import (
    classify,
    data_of,
    ids_of,
    read_message,
    read_receipt,
)
from moorage.vendors.email._postal_events import read_events
from moorage.vendors.email._vendor import EmailVendor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.email_outcomes import EmailReceipt
    from moorage.contracts.email_received import ReceivedEmail

_BLANK: Final = "<p></p>"
"""A body that shows nothing. Postal refuses a message whose texts are empty or have only spaces."""


@sdk.frozen(kw_only=True)
class Postal(EmailVendor):
    """A mail server of an installation of Postal.

    Attributes:
        credentials: API key of the mail server; by default the credential provider supplies it.
        sender: sender of messages that name none.
        base_url: URL of the installation.
    """

    name = "postal"
    api_version = "v1"
    capabilities = sdk.members_of(
        EmailCapability, "attachments custom_headers look_up received tags unsubscribe"
    )
    limits: ClassVar[Mapping[str, int]] = {"batch": 100, "recipients": 50}
    webhook = "postal"

    auth = sdk.api_key("X-Server-API-Key")
    refusals = staticmethod(classify)
    event_reading = staticmethod(read_events)

    base_url: str

    async def send_transactional(
        self, wire: sdk.Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        """Send one message."""
        request = sdk.Request.post("/api/v1/send/message", json=mail_body(self, message))
        return await wire.send(request, key=key, parse=partial(read_receipt, wire, message))

    async def get(self, wire: sdk.Wire, ref: sdk.Ref, /) -> EmailReceipt:
        """Get the state of a message to each recipient."""
        answers: list[tuple[sdk.Answer, sdk.Response]] = []
        for id_ in ids_of(ref):
            message = data_of(await wire.send(_question("message", id_, "status", "details")))
            answers.append((message, await wire.send(_question("deliveries", id_))))
        return read_message(ref, answers)

    async def get_received(self, wire: sdk.Wire, ref: sdk.Ref, /) -> ReceivedEmail:
        """Get a received message."""
        [id_] = ids_of(ref)
        response = await wire.send(_question("message", id_, "details", "raw_message"))
        from moorage.vendors.email._postal_received import read_stored  # noqa: PLC0415 - few accounts receive mail

        return read_stored(ref, response)


def _question(name: str, id_: int, *expansions: str) -> sdk.Request:
    body = filled_fields({"id": id_, "_expansions": list(expansions)})
    return sdk.Request.post(f"/api/v1/messages/{name}", json=body).evolve(idempotent=True)


def mail_body(vendor: Postal, message: EmailMessage) -> dict[str, Any]:
    """A message as a request body.

    Raises:
        InvalidData: the message has more than one tag, or a file that is empty.
    """
    if len(message.tags) > 1:
        raise sdk.InvalidData(
            "The message has several tags, but Postal accepts only one.",
            field="tags",
            remedy="Pass one tag.",
        )
    has_text = any((text or "").strip() for text in (message.text, message.html))
    fields = {
        "from": address_header(sender_of(message, vendor.sender)),
        "to": addresses_header(message.to),
        "cc": addresses_header(message.cc),
        "bcc": addresses_header(message.bcc),
        "reply_to": ", ".join(addresses_header(message.reply_to)),
        "subject": message.subject,
        "plain_body": message.text,
        "html_body": message.html if has_text else _BLANK,
        "tag": next(iter(message.tags), None),
        "headers": {name: ascii_header(value) for name, value in message.all_headers.items()},
        "attachments": [_file(file) for file in message.attachments],
    }
    return sdk.merged(filled_fields(fields), sdk.extra_for("postal", message.extra))


def _file(file: Attachment) -> dict[str, str]:
    if not file.content.strip():
        raise sdk.InvalidData(
            "A file is empty or has only spaces, which Postal does not accept.",
            field="attachments",
            remedy="Leave out the file.",
        )
    return {"name": file.filename, "content_type": file.content_type, "data": in_base64(file)}
