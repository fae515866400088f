"""MailerSend: email and statistics.

JSON with a bearer token. MailerSend takes no idempotency key, so a message that may have been sent
is not sent again. Each message of a bulk is sent in its own request, because the endpoint for bulk
messages responds before it checks the messages, and returns neither their ids nor the refused
recipients.
"""

from __future__ import annotations

from datetime import UTC, datetime, time
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email import Attachment, EmailCapability, EmailMessage
from moorage.vendors.email._common import (
    ascii_header,
    check_type,
    delete_scheduled,
    filled_fields,
    in_base64,
    masked,
    sender_of,
    whole_second,
)
from moorage.vendors.email._mailersend_answers import (
    COUNTS,
    read_analytics,
    read_event,
    read_receipt,
    read_refusal,
)
from moorage.vendors.email._vendor import EmailVendor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_outcomes import (
        EmailReceipt,
        EmailStatistics,
        StatisticsQuery,
    )

_LAST_MOMENT: Final = time(23, 59, 59)
_MAX_COUNTS: Final = {"cc": 10, "bcc": 10, "reply_to": 1, "tags": 5}
"""The most entries in each field of a message."""


@sdk.frozen(kw_only=True)
class MailerSend(EmailVendor):
    """An account at MailerSend.

    Attributes:
        credentials: API token; by default the credential provider supplies it.
        sender: sender of messages that name none.
        domain_id: id of the domain whose statistics are counted; by default all domains.
        base_url: URL of MailerSend.
    """

    name = "mailersend"
    api_version = "v1"
    capabilities = frozenset(EmailCapability) - sdk.members_of(
        EmailCapability,
        "add_suppression amp_html envelope_sender look_up international metadata received"
        " suppressions validate_address",
    )
    limits: ClassVar[Mapping[str, int]] = {
        "batch": 50,
        "recipients": 50,
        "message_bytes": 25 * 1024 * 1024,
    }
    webhook = "mailersend"

    headers: ClassVar[Mapping[str, str]] = {"Accept": "application/json"}
    ping_path = "/v1/api-quota"
    refusals = sdk.Refusals(
        vendor="MailerSend",
        statuses=sdk.error_statuses("400 405 413 422", login="401 403") | {421: sdk.VendorFailed},
        read=read_refusal,
        mask=masked,
    )
    event_reading = staticmethod(read_event)

    domain_id: str | None = None
    base_url: str = "https://api.mailersend.com"

    async def send_transactional(
        self, wire: sdk.Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        """Send one message."""
        request = sdk.Request.post("/v1/email", json=mail_body(self, message))
        return await wire.send(request, key=key, parse=partial(read_receipt, wire, message))

    async def cancel(self, wire: sdk.Wire, ref: sdk.Ref, /) -> EmailReceipt:
        """Delete a scheduled message."""
        return await delete_scheduled(wire, ref, "/v1/message-schedules/", ref.id)

    async def get_statistics(self, wire: sdk.Wire, query: StatisticsQuery, /) -> EmailStatistics:
        """Get the statistics of a range of days."""
        last_moment = datetime.combine(query.end, _LAST_MOMENT, UTC)
        period: dict[str, str | int | list[str] | None] = {
            "date_from": int(datetime.combine(query.start, time(), UTC).timestamp()),
            "date_to": int(last_moment.timestamp()),
            "group_by": "days",
            "event[]": [name for names in COUNTS.values() for name in names],
            "domain_id": self.domain_id,
        }
        response = await wire.send(sdk.Request.get("/v1/analytics/date", query=period))
        return read_analytics(query, response)


def mail_body(vendor: MailerSend, message: EmailMessage) -> dict[str, Any]:
    """The body of a request with one message.

    Raises:
        InvalidData: the message has more addresses or tags than MailerSend accepts, or a name, a
            file or an unsubscribe method that MailerSend does not accept.
    """
    for field, max_count in _MAX_COUNTS.items():
        count = len(getattr(message, field))
        if count > max_count:
            raise sdk.InvalidData(
                f"The message has {count} entries in {field}, but MailerSend accepts {max_count}.",
                field=field,
                remedy="Give fewer.",
            )
    body = {
        "from": _person(sender_of(message, vendor.sender), "from_"),
        **{
            field: [_person(address, field) for address in getattr(message, field)]
            for field in ("to", "cc", "bcc")
        },
        "reply_to": next((_person(address, "reply_to") for address in message.reply_to), None),
        "headers": [
            {"name": name, "value": ascii_header(value)} for name, value in message.headers.items()
        ],
        "list_unsubscribe": _unsubscribe_url(message),
        "attachments": [_file(file) for file in message.attachments],
        "tags": list(message.tags),
        "send_at": None
        if message.send_at is None
        else int(whole_second(message.send_at).timestamp()),
        "settings": _settings(message),
        **_contents(message),
    }
    return sdk.merged(filled_fields(body), sdk.extra_for("mailersend", message.extra))


def _settings(message: EmailMessage) -> dict[str, bool]:
    tracking_options = {"track_clicks": message.track_clicks, "track_opens": message.track_opens}
    return {name: value for name, value in tracking_options.items() if value is not None}


def _unsubscribe_url(message: EmailMessage) -> str | None:
    unsubscribe = message.unsubscribe
    if unsubscribe is None:
        return None
    if unsubscribe.url is None or unsubscribe.email is not None or not unsubscribe.one_click:
        raise sdk.InvalidData(
            "MailerSend supports only one way to unsubscribe: a URL with one-click.",
            field="unsubscribe",
            remedy="Pass only `url` and one_click=True, without `email`.",
        )
    return unsubscribe.url


def _contents(message: EmailMessage) -> dict[str, Any]:
    template = message.template
    if template is None:
        # MailerSend refuses a message that has only files.
        text = message.text or (None if message.html else " ")
        return {"subject": message.subject, "text": text, "html": message.html}
    # A template has its own texts; its values are given for each recipient.
    people = message.everybody if template.data else ()
    values = [{"email": address.wire, "data": dict(template.data)} for address in people]
    return {"subject": message.subject, "template_id": template.id, "personalization": values}


def _person(address: EmailAddress, field: str) -> dict[str, str]:
    name = address.name
    if name is not None and ("," in name or ";" in name):
        raise sdk.InvalidData(
            "A person's name contains a comma or a semicolon, which MailerSend does not accept.",
            field=field,
            remedy="Write the name in another way, such as 'Ada Lovelace'.",
        )
    return {"email": address.wire, "name": name} if name else {"email": address.wire}


def _file(file: Attachment) -> dict[str, str]:
    check_type(file, "MailerSend")
    fields = {
        "filename": file.filename,
        "content": in_base64(file),
        "disposition": file.disposition.value,
    }
    return fields | ({"id": file.content_id} if file.content_id else {})
