"""Unisender Go: email with templates, and suppressed addresses.

JSON with an API key in a header. Unisender Go gives each message an id, which its events have. It
refuses a key that was used in the last minute, but does not say in which words, so moorage sends it
no keys, and a message that may have been sent is not sent again. Each message of a bulk is a
request of its own.
"""

from __future__ import annotations

from email.header import Header
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email import Attachment, EmailCapability, EmailMessage
from moorage.vendors.email._common import (
    ascii_header,
    filled_fields,
    in_base64,
    sender_of,
    utc_second,
)
from moorage.vendors.email._unisender_go_answers import (
    classify,
    list_suppressed,
    read_event,
    read_receipt,
    send_again,
    suppress,
)
from moorage.vendors.email._vendor import EmailVendor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_outcomes import EmailReceipt
    from moorage.contracts.email_suppressions import SuppressionPage

_MOST: Final = {"to": 10, "cc": 10, "bcc": 10, "reply_to": 1, "tags": 4, "metadata": 10}
"""The most entries in each field of a message."""
_LONGEST_NAME: Final = 78
_LONGEST_WORD: Final = 76
"""The most characters of an encoded word, and of the space before it."""
_LONGEST_METADATA: Final = (64, 1024)
"""The most characters in the name and in the value of a metadata entry."""
_SPECIAL: Final = frozenset('()<>@,:;."[]\\')
_BRACES: Final = "{{"
_BRACES_NAME: Final = "braces_"


@sdk.frozen(kw_only=True)
class UnisenderGo(EmailVendor):
    """An account or a project at Unisender Go.

    Attributes:
        credentials: API key of the account or the project; by default the credential provider
            supplies it.
        sender: sender of messages that name none.
        base_url: URL of the server on which the account is.
    """

    name = "unisender_go"
    api_version = "v1"
    capabilities = sdk.members_of(
        EmailCapability,
        "add_suppression amp_html attachments custom_headers inline_images metadata scheduled"
        " suppressions tags templates track_clicks track_opens",
    )
    limits: ClassVar[Mapping[str, int]] = {"batch": 100, "message_bytes": 10_000_000}
    webhook = "unisender-go"

    auth = sdk.api_key("X-API-KEY")
    refusals = staticmethod(classify)
    event_reading = staticmethod(read_event)

    base_url: str = sdk.field(
        default="https://go1.unisender.ru",
        validator=sdk.matches(
            "https://go[12].unisender.ru",
            problem="The URL is not that of a server of Unisender Go.",
            remedy="Set 'https://go1.unisender.ru' or 'https://go2.unisender.ru', as the address"
            " of your dashboard says.",
        ),
    )

    async def send_transactional(
        self, wire: sdk.Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        """Send one message."""
        request = sdk.Request.post(
            "/ru/transactional/api/v1/email/send.json", json=mail_body(self, message)
        )
        return await wire.send(request, key=key, parse=partial(read_receipt, wire, message))

    async def suppressions(self, wire: sdk.Wire, after: sdk.Ref | None, /) -> SuppressionPage:
        """Get a page of the suppressed addresses."""
        return await list_suppressed(wire, after)

    async def add_suppression(self, wire: sdk.Wire, address: EmailAddress, /) -> None:
        """Add an address to the suppressed addresses."""
        await suppress(wire, address)

    async def remove_suppression(self, wire: sdk.Wire, address: EmailAddress, /) -> None:
        """Remove an address from the suppressed addresses."""
        await send_again(wire, address)


def mail_body(vendor: UnisenderGo, message: EmailMessage) -> dict[str, Any]:
    """A message as a request body.

    Raises:
        InvalidData: the message has more addresses, tags or metadata than Unisender Go accepts, no
            recipient in `to`, or a header that Unisender Go would leave out.
    """
    _check_fields(message)
    template = message.template
    reply_to = next(iter(message.reply_to), None)
    files = [file for file in message.attachments if file.content_id is None]
    images = [file for file in message.attachments if file.content_id is not None]
    fields = {
        "recipients": [_recipient(address) for address in message.everybody],
        "headers": _headers(message),
        **_sender(vendor, message),
        "reply_to": reply_to and reply_to.wire,
        "reply_to_name": reply_to and _words(reply_to.name or ""),
        **_contents(message),
        "template_id": None if template is None else template.id,
        "attachments": [_file(file, file.filename) for file in files],
        "inline_attachments": [_file(file, file.content_id or "") for file in images],
        "global_metadata": dict(message.metadata),
        "tags": list(message.tags),
        "track_read": None if message.track_opens is None else int(message.track_opens),
        "track_links": None if message.track_clicks is None else int(message.track_clicks),
        "options": {} if message.send_at is None else {"send_at": utc_second(message.send_at)},
    }
    body = {"message": filled_fields(fields)}
    return sdk.merged(body, sdk.extra_for("unisender_go", message.extra))


def _check_fields(message: EmailMessage) -> None:
    for field, limit in _MOST.items():
        count = len(getattr(message, field))
        if count > limit:
            raise sdk.InvalidData(
                f"The message has {count} entries in {field}, but Unisender Go accepts {limit}.",
                field=field,
                remedy="Give fewer.",
            )
    if not message.to:
        raise sdk.InvalidData(
            "The message has no recipient in `to`, which Unisender Go requires.",
            field="to",
            remedy="Give a recipient.",
        )
    longest_name, longest_value = _LONGEST_METADATA
    if any(
        len(name) > longest_name or len(text) > longest_value
        for name, text in message.metadata.items()
    ):
        raise sdk.InvalidData(
            f"A metadata entry has a name of more than {longest_name} characters, or a value of"
            f" more than {longest_value}.",
            field="metadata",
            remedy="Pass shorter entries.",
        )
    if any(not name.lower().startswith("x-") for name in message.headers):
        raise sdk.InvalidData(
            "The name of a header does not begin with 'X-'. Unisender Go leaves out such a header.",
            field="headers",
            remedy="Leave out the header. If the support of Unisender Go has allowed it for your"
            " account, pass it in `extra`.",
        )


def _recipient(address: EmailAddress) -> dict[str, Any]:
    name = address.name or ""
    # A longer name is only in the header.
    values = {"to_name": name} if 0 < len(name) <= _LONGEST_NAME else {}
    return filled_fields({"email": address.wire, "substitutions": values})


def _headers(message: EmailMessage) -> dict[str, str]:
    headers = {name: ascii_header(value) for name, value in message.headers.items()}
    # Otherwise each recipient would get a message without the others' addresses.
    return headers | filled_fields(
        {"to": _addresses_header(message.to), "cc": _addresses_header(message.cc)}
    )


def _addresses_header(several: Iterable[EmailAddress]) -> str:
    return ", ".join(
        f"{_words(address.name)} <{address.wire}>" if address.name else address.wire
        for address in several
    )


def _words(name: str) -> str:
    """A name as it may be in a header; Unisender Go misreads special characters in quotes."""
    if name.isascii() and _SPECIAL.isdisjoint(name):
        return name
    return Header(name, "utf-8", maxlinelen=_LONGEST_WORD).encode(linesep="")


def _sender(vendor: UnisenderGo, message: EmailMessage) -> dict[str, str | None]:
    if message.template is not None and message.from_ is None and vendor.sender is None:
        # A template has a sender of its own.
        return {}
    sender = sender_of(message, vendor.sender)
    return {"from_email": sender.wire, "from_name": sender.name}


def _contents(message: EmailMessage) -> dict[str, Any]:
    template = message.template
    if template is not None:
        body = {"html": message.html, "plaintext": message.text, "amp": message.amp_html}
        return {
            "subject": message.subject,
            "body": filled_fields(body),
            "global_substitutions": dict(template.data),
        }
    texts = {
        "html": message.html,
        "plaintext": message.text or (None if message.html else " "),
        "amp": message.amp_html,
    }
    has_braces = any(_BRACES in (text or "") for text in (message.subject, *texts.values()))
    return {
        "subject": _literal_text(message.subject),
        "body": {name: _literal_text(text) for name, text in texts.items() if text},
        "global_substitutions": {_BRACES_NAME: _BRACES} if has_braces else {},
    }


def _literal_text(text: str) -> str:
    """A text in which nothing is filled in, though a part may look like a substitution."""
    return text.replace(_BRACES, f"{{{{{_BRACES_NAME}}}}}")


def _file(file: Attachment, name: str) -> dict[str, str]:
    return {"type": file.content_type, "name": name, "content": in_base64(file)}
