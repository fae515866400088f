"""Brevo, formerly Sendinblue: email and statistics.

JSON with an API key in a header. A message that may have been sent is not sent again: Brevo takes
idempotency keys, but it only refuses a repeat, and does not return the id of the first message. A
bulk message is one request with a version for each recipient, and is accepted or refused as a
whole.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.email import Attachment, EmailCapability, EmailMessage
from moorage.vendors.email import _brevo_suppressions as brevo_suppressions
from moorage.vendors.email._brevo_answers import (
    read_event,
    read_page,
    read_receipt,
    read_reports,
    read_results,
)
from moorage.vendors.email._common import (
    ascii_header,
    check_type,
    delete_scheduled,
    filled_fields,
    in_base64,
    in_parts,
    masked,
    messages_of,
    sender_of,
    utc_moment,
)
from moorage.vendors.email._vendor import EmailVendor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_bulk import BulkMessage
    from moorage.contracts.email_outcomes import (
        EmailReceipt,
        EmailStatistics,
        StatisticsQuery,
    )

_MEGABYTE: Final = 1024 * 1024
_MOST_BYTES: Final = 15 * _MEGABYTE
_VERSION_OVERHEAD: Final = 1_000
"""Approximate bytes of one recipient's version in a bulk message, besides its content."""
_PAGE: Final = 30
_METADATA: Final = "X-Mailin-custom"
_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_SPECIAL_CHARACTERS: Final = re.compile(r'[()<>@,:;."\\\[\]]')
_ENDINGS: Final = frozenset(
    {
        *("aif", "aifc", "aiff", "avi", "bmp", "cgm", "css", "csv", "doc"),
        *("docm", "docx", "eps", "epub", "ez", "flac", "gif", "htm", "html"),
        *("ics", "jpeg", "jpg", "m4a", "m4v", "mkv", "mobi", "mov", "mp3"),
        *("mp4", "mpeg", "mpg", "msg", "ods", "odt", "ogg", "pdf", "pkpass"),
        *("png", "ppt", "pptx", "pub", "rtf", "shtml", "tar", "tif", "tiff"),
        *("txt", "wav", "wma", "wmv", "xls", "xlsm", "xlsx", "xml", "zip"),
    }
)
"""The file name endings that Brevo sends; it refuses all others."""
_SCHEMES: Final = {"bearer": "brevo", "basic": "brevo-basic"}


@attrs.frozen(kw_only=True)
class Brevo(EmailVendor):
    """An account at Brevo.

    Attributes:
        credentials: API key; by default the credential provider supplies it.
        sender: sender of messages that name none.
        webhook_authentication: the way in which webhooks are authenticated: "bearer" for a token
            of the webhook, "basic" for a user name and a password in its URL.
        base_url: URL of Brevo.
    """

    name = "brevo"
    api_version = "v3"
    capabilities = sdk.members_of(
        EmailCapability,
        "attachments cancel custom_headers metadata scheduled statistics suppressions tags"
        " templates unsubscribe",
    )
    limits: ClassVar[Mapping[str, int]] = {
        "batch": 1_000,
        "recipients": 99,
        "message_bytes": _MOST_BYTES,
    }
    webhook = "brevo"

    auth = sdk.api_key("api-key")
    headers: ClassVar[Mapping[str, str]] = {"Accept": "application/json"}
    ping_path = "/v3/account"
    refusals = sdk.Refusals(
        vendor="Brevo",
        codes={"unauthorized": sdk.AuthenticationFailed},
        statuses=sdk.error_statuses("400 405 406 413 422"),
        # Brevo may respond with 403 because of the sender instead of the key.
        reading={403: sdk.AuthenticationFailed},
        mask=masked,
    )
    event_reading = staticmethod(read_event)

    webhook_authentication: str = sdk.choice(
        "bearer",
        *_SCHEMES,
        problem="Brevo's webhooks do not support this kind of authentication.",
        remedy="Set 'bearer' for a token, or 'basic' for a user name and a password in the URL.",
    )
    base_url: str = "https://api.brevo.com"

    async def send_transactional(
        self, wire: sdk.Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        """Send one message."""
        request = sdk.Request.post("/v3/smtp/email", json=mail_body(self, message))
        return await wire.send(request, key=key, parse=partial(read_receipt, wire, message))

    async def send_bulk(
        self, wire: sdk.Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[sdk.Result[EmailReceipt]]:
        """Send a message to each recipient, in as few requests as the size limit allows."""
        words = attrs.evolve(bulk.base, attachments=()).size if bulk.places else 0
        max_recipients = max(1, _MOST_BYTES // (words + _VERSION_OVERHEAD))
        return await in_parts(wire, bulk, max_recipients, partial(self._send_versions, wire), key)

    async def _send_versions(
        self, wire: sdk.Wire, bulk: BulkMessage, key: str | None
    ) -> list[sdk.Result[EmailReceipt]]:
        request = sdk.Request.post("/v3/smtp/email", json=bulk_body(self, bulk))
        return await wire.send(request, key=key, parse=partial(read_results, wire, bulk))

    async def cancel(self, wire: sdk.Wire, ref: sdk.Ref, /) -> EmailReceipt:
        """Delete a scheduled message."""
        return await delete_scheduled(wire, ref, "/v3/smtp/email/", f"<{ref.id}>")

    async def get_statistics(self, wire: sdk.Wire, query: StatisticsQuery, /) -> EmailStatistics:
        """Get the statistics of a range of days."""
        rows: list[sdk.Answer] = []
        while True:
            page: dict[str, str | int] = {
                "startDate": query.start.isoformat(),
                "endDate": query.end.isoformat(),
                "sort": "asc",
                "limit": _PAGE,
                "offset": len(rows),
            }
            request = sdk.Request.get("/v3/smtp/statistics/reports", query=page)
            response: sdk.Response = await wire.send(request)
            new_rows = read_page(response)
            rows += new_rows
            if len(new_rows) < _PAGE or len(rows) > (query.end - query.start).days:
                return read_reports(query, rows)

    suppressions = staticmethod(brevo_suppressions.list_suppressed)
    remove_suppression = staticmethod(brevo_suppressions.send_again)

    def webhook_verification(self) -> Mapping[str, Any]:
        """The webhook authentication scheme."""
        return {"scheme": _SCHEMES[self.webhook_authentication]}


def mail_body(vendor: Brevo, message: EmailMessage) -> dict[str, Any]:
    """The body of a request with one message.

    Raises:
        InvalidData: the message has reply addresses, metadata, files or a template that Brevo does
            not accept.
    """
    if len(message.reply_to) > 1:
        raise sdk.InvalidData(
            f"The message has {len(message.reply_to)} reply addresses, but Brevo accepts only one.",
            field="reply_to",
            remedy="Give one address.",
        )
    body = {
        "sender": _person(sender_of(message, vendor.sender)),
        **_personal_fields(message),
        "replyTo": next(map(_person, message.reply_to), None),
        "attachment": [_file(file) for file in message.attachments],
        "tags": list(message.tags),
        "scheduledAt": None if message.send_at is None else utc_moment(message.send_at),
    }
    return sdk.merged(filled_fields(body), sdk.extra_for("brevo", message.extra))


def bulk_body(vendor: Brevo, bulk: BulkMessage) -> dict[str, Any]:
    """The body of a bulk message: common fields, and those that differ by recipient."""
    common_fields = _personal_fields(bulk.base)
    versions = [
        # A missing field gets the common value, so an empty value is sent as a space.
        {name: value or " " for name, value in fields.items() if value != common_fields[name]}
        for fields in map(_personal_fields, messages_of(bulk))
    ]
    return mail_body(vendor, bulk.base) | {"messageVersions": versions}


def _personal_fields(message: EmailMessage) -> dict[str, Any]:
    """The fields that may differ between recipients of a bulk message."""
    return {
        "to": [_person(address) for address in message.to],
        "cc": [_person(address) for address in message.cc],
        "bcc": [_person(address) for address in message.bcc],
        "headers": _headers(message),
        **_contents(message),
    }


def _contents(message: EmailMessage) -> dict[str, Any]:
    template = message.template
    if template is None:
        # Brevo refuses a message that has only files.
        text = message.text or (None if message.html else " ")
        return {"subject": message.subject, "textContent": text, "htmlContent": message.html}
    if _NUMBER.fullmatch(template.id) is None:
        raise sdk.InvalidData(
            "The id of a Brevo template must be a number.",
            field="template.id",
            remedy="Pass the number that Brevo shows beside the template, such as '7'.",
        )
    # A template has its own texts, and Brevo ignores any others.
    params = dict(template.data)
    return {"subject": message.subject, "templateId": int(template.id), "params": params}


def _headers(message: EmailMessage) -> dict[str, str]:
    headers = {name: ascii_header(value) for name, value in message.all_headers.items()}
    if not message.metadata:
        return headers
    words = sdk.encode_json(dict(message.metadata)).decode()
    is_taken = any(name.lower() == _METADATA.lower() for name in headers)
    if is_taken or not words.isascii():
        raise sdk.InvalidData(
            f"The message sets the header {_METADATA}, but moorage sends the metadata in this"
            " header."
            if is_taken
            else "The metadata contain non-ASCII characters, which Brevo does not accept.",
            field="metadata",
            remedy=f"Remove the header {_METADATA}, or leave out the metadata."
            if is_taken
            else "Use only ASCII characters in metadata.",
        )
    return headers | {_METADATA: words}


def _person(address: EmailAddress) -> dict[str, str]:
    name = address.name
    if not name:
        return {"email": address.wire}
    # Brevo loses a name that contains both a special character, such as a comma, and non-ASCII
    # letters.
    return {
        "email": address.wire,
        "name": ascii_header(name) if _SPECIAL_CHARACTERS.search(name) else name,
    }


def _file(file: Attachment) -> dict[str, str]:
    _, dot, ending = file.filename.lower().rpartition(".")
    if not dot or ending not in _ENDINGS:
        raise sdk.InvalidData(
            "The name of an attached file does not end in a file extension that Brevo accepts.",
            field="attachments",
            remedy=f"Use a file name with one of these extensions: {', '.join(sorted(_ENDINGS))}.",
        )
    check_type(file, "Brevo")
    return {"name": file.filename, "content": in_base64(file)}
