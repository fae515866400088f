"""Mailjet: email and statistics.

Mail uses the Send API v3.1, statistics the REST API v3; the API key and its secret are sent as
basic authentication. Mailjet takes no idempotency key, so a message that may have been sent is not
sent again. If one of several messages in a request is wrong, Mailjet sends the others but responds
with an error status; so each message of a bulk is sent in its own request. moorage gives each
message an id as its `CustomID`, because Mailjet gives each recipient a different `MessageID`.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email import Attachment, EmailCapability, EmailMessage
from moorage.vendors.email._common import (
    ascii_header,
    derived_message_id,
    filled_fields,
    in_base64,
    sender_of,
)
from moorage.vendors.email._mailjet_answers import (
    classify,
    read_events,
    read_receipt,
    read_rows,
    read_statistics,
)
from moorage.vendors.email._vendor import EmailVendor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_outcomes import (
        EmailReceipt,
        EmailStatistics,
        StatisticsQuery,
    )

_PAGE: Final = 1_000
_LAST_SECOND: Final = time(23, 59, 59)
_NUMBER: Final = re.compile("[0-9]{1,18}")
_TRACKING: Final = {True: "enabled", False: "disabled", None: None}


@sdk.frozen(kw_only=True)
class Mailjet(EmailVendor):
    """An API key of a Mailjet account.

    Attributes:
        api_key: API key, which is not secret.
        credentials: secret key; by default the credential provider supplies `Credentials`.
        sender: sender of messages that name none.
        base_url: URL of Mailjet.
    """

    name = "mailjet"
    api_version = "v3.1"
    capabilities = frozenset(EmailCapability) - sdk.members_of(
        EmailCapability,
        "add_suppression amp_html envelope_sender cancel look_up international received scheduled"
        " suppressions validate_address",
    )
    limits: ClassVar[Mapping[str, int]] = {
        "batch": 100,
        "recipients": 50,
        "message_bytes": 15_000_000,
    }
    webhook = "mailjet"

    auth = sdk.basic("api_key")
    refusals = staticmethod(classify)
    ping_path = "/v3/REST/sender"
    event_reading = staticmethod(read_events)

    api_key: str
    base_url: str = "https://api.mailjet.com"

    async def send_transactional(
        self, wire: sdk.Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        """Send one message."""
        body = mail_body(self, message, derived_message_id(wire, key))
        request = sdk.Request.post("/v3.1/send", json={"Messages": [body]})
        parse = partial(read_receipt, wire, message, body["CustomID"])
        return await wire.send(request, key=key, parse=parse)

    async def get_statistics(self, wire: sdk.Wire, query: StatisticsQuery, /) -> EmailStatistics:
        """Get the statistics of messages by their sending day in UTC."""
        rows: list[sdk.Answer] = []
        period = {
            "CounterSource": "APIKey",
            "CounterTiming": "Message",
            "CounterResolution": "Day",
            "FromTS": _seconds(query.start, time.min),
            "ToTS": _seconds(query.end, _LAST_SECOND),
            "Limit": str(_PAGE),
        }
        while True:
            offset = {"Offset": str(len(rows))}
            request = sdk.Request.get("/v3/REST/statcounters", query={**period, **offset})
            page = read_rows(await wire.send(request))
            rows += page
            if len(page) < _PAGE:
                return read_statistics(query, rows)


def _seconds(day: date, at: time) -> str:
    return str(int(datetime.combine(day, at, UTC).timestamp()))


def mail_body(vendor: Mailjet, message: EmailMessage, id_: str) -> dict[str, Any]:
    """A message in a request body.

    Raises:
        InvalidData: the message has more tags or reply addresses than Mailjet accepts, an empty
            file, or a template that is not named by its number.
    """
    for field, values in (("tags", message.tags), ("reply_to", message.reply_to)):
        if len(values) > 1:
            raise sdk.InvalidData(
                f"The message has {len(values)} values for {field}, but Mailjet accepts only one.",
                field=field,
                remedy="Give one value.",
            )
    files = [file for file in message.attachments if file.content_id is None]
    images = [file for file in message.attachments if file.content_id is not None]
    # Mailjet accepts tracking options only with HTML; without HTML nothing is tracked.
    is_tracked = message.html or message.template
    body = {
        "To": _people(message.to),
        "Cc": _people(message.cc),
        "Bcc": _people(message.bcc),
        "ReplyTo": next(iter(_people(message.reply_to)), None),
        "Subject": message.subject,
        **_contents(vendor, message),
        "Attachments": [_file(file) for file in files],
        "InlinedAttachments": [{**_file(image), "ContentID": image.content_id} for image in images],
        "Headers": {name: ascii_header(value) for name, value in message.all_headers.items()},
        "CustomCampaign": next(iter(message.tags), None),
        "EventPayload": _payload(message.metadata),
        "TrackOpens": _TRACKING[message.track_opens] if is_tracked else None,
        "TrackClicks": _TRACKING[message.track_clicks] if is_tracked else None,
    }
    fields = filled_fields(body) | {"CustomID": id_}
    return sdk.merged(fields, sdk.extra_for("mailjet", message.extra))


def _contents(vendor: Mailjet, message: EmailMessage) -> dict[str, Any]:
    template = message.template
    if template is None:
        # Mailjet refuses a message that has only files.
        text = message.text or (None if message.html else " ")
        sender = _person(sender_of(message, vendor.sender))
        return {"From": sender, "TextPart": text, "HTMLPart": message.html}
    if not _NUMBER.fullmatch(template.id):
        raise sdk.InvalidData(
            "The id of a Mailjet template must be a number.",
            field="template",
            remedy="Pass the template's number as its id, such as '7'.",
        )
    template_sender = message.from_ or vendor.sender
    return {
        "From": None if template_sender is None else _person(template_sender),
        "TemplateID": int(template.id),
        "TemplateLanguage": True,
        "Variables": dict(template.data),
    }


def _person(address: EmailAddress) -> dict[str, str]:
    return filled_fields({"Email": address.wire, "Name": address.name})


def _people(several: Iterable[EmailAddress]) -> list[dict[str, str]]:
    return [_person(address) for address in several]


def _payload(metadata: Mapping[str, str]) -> str | None:
    return sdk.encode_json(dict(metadata)).decode() if metadata else None


def _file(file: Attachment) -> dict[str, str]:
    if not file.content:
        raise sdk.InvalidData(
            "An attached file is empty, and Mailjet does not accept empty files.",
            field="attachments",
            remedy="Leave it out.",
        )
    return {
        "Filename": file.filename,
        "ContentType": file.content_type,
        "Base64Content": in_base64(file),
    }
