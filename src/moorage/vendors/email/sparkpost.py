"""SparkPost: email, address checks and statistics.

JSON with the bare API key in the `Authorization` header. SparkPost takes no idempotency key, so a
message that may have been sent is not sent again. If one transmission has many recipients, its
response counts the refused recipients without naming them; so each recipient of a bulk message gets
a separate transmission.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import quote

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.email import Attachment, EmailCapability, EmailMessage
from moorage.vendors.email import _sparkpost_suppressions as sparkpost_suppressions
from moorage.vendors.email._common import (
    delete_scheduled,
    filled_fields,
    in_base64,
    sender_of,
    whole_second,
)
from moorage.vendors.email._sparkpost_answers import (
    METRICS,
    classify,
    read_check,
    read_events,
    read_metrics,
    read_receipt,
)
from moorage.vendors.email._vendor import EmailVendor

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_outcomes import (
        AddressCheck,
        EmailReceipt,
        EmailStatistics,
        StatisticsQuery,
    )

_LONGEST_TAG: Final = 64
_REGIONS: Final = {"us": "https://api.sparkpost.com", "eu": "https://api.eu.sparkpost.com"}
_SCHEMES: Final = {"basic": "sparkpost", "oauth2": "sparkpost-oauth2"}
_BRACES: Final = {"{": "{{opening_single_curly()}}", "}": "{{closing_single_curly()}}"}


@attrs.frozen(kw_only=True)
class SparkPost(EmailVendor):
    """A SparkPost account.

    Attributes:
        credentials: API key; by default the credential provider supplies it.
        region: region of the account, "us" or "eu".
        subaccount: number of the subaccount to send for, with a key of the main account.
        sender: sender of messages that name none.
        transactional: True if the mail responds to an action of the recipient, such as an invoice
            for a purchase, so that an unsubscription from newsletters does not stop it.
        webhook_auth: authentication of the webhooks, "basic" or "oauth2".
        base_url: URL of SparkPost; by default that of the region.
    """

    name = "sparkpost"
    api_version = "v1"
    capabilities = frozenset(EmailCapability) - sdk.members_of(
        EmailCapability, "envelope_sender look_up international received unsubscribe"
    )
    limits: ClassVar[Mapping[str, int]] = {"batch": 100, "message_bytes": 20_000_000}
    webhook = "sparkpost"

    urls: ClassVar[Mapping[str, str]] = {"": "_url"}
    auth = sdk.api_key("Authorization")
    refusals = staticmethod(classify)
    ping_path = "/api/v1/account"
    event_reading = staticmethod(read_events)

    region: str = sdk.choice(
        "us", *_REGIONS, problem="SparkPost does not have this region.", remedy="Set 'us' or 'eu'."
    )
    subaccount: str | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(
            sdk.matches(
                "[0-9]{1,10}",
                problem="The value is not the number of a subaccount.",
                remedy="Set the number as a string of digits, or None for the main account.",
            )
        ),
    )
    transactional: bool = True
    webhook_auth: str = sdk.choice(
        "basic",
        *_SCHEMES,
        problem="SparkPost's webhooks do not support this kind of authentication.",
        remedy="Set 'basic' or 'oauth2'.",
    )
    base_url: str | None = None

    @property
    def _url(self) -> str:
        return self.base_url or _REGIONS[self.region]

    def settings(self) -> Mapping[str, Any]:
        """The header with the subaccount, if there is one."""
        number = self.subaccount
        return {"headers": {} if number is None else {"X-MSYS-SUBACCOUNT": number}}

    def webhook_verification(self) -> Mapping[str, Any]:
        """The arguments for the webhook verifier, with the authentication scheme."""
        return {"scheme": _SCHEMES[self.webhook_auth]}

    async def send_transactional(
        self, wire: sdk.Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        """Send one message."""
        request = sdk.Request.post("/api/v1/transmissions", json=mail_body(self, message))
        return await wire.send(request, key=key, parse=partial(read_receipt, wire, message))

    async def cancel(self, wire: sdk.Wire, ref: sdk.Ref, /) -> EmailReceipt:
        """Delete a scheduled transmission."""
        return await delete_scheduled(wire, ref, "/api/v1/transmissions/", ref.id)

    async def validate_address(self, wire: sdk.Wire, address: EmailAddress, /) -> AddressCheck:
        """Check an address."""
        path = f"/api/v1/recipient-validation/single/{quote(address.wire, safe='')}"
        return read_check(address, await wire.send(sdk.Request.get(path)))

    async def get_statistics(self, wire: sdk.Wire, query: StatisticsQuery, /) -> EmailStatistics:
        """Get the statistics of a range of days in UTC."""
        period = {
            "from": f"{query.start.isoformat()}T00:00",
            "to": f"{query.end.isoformat()}T23:59",
            "precision": "day",
            "timezone": "UTC",
            "metrics": ",".join(METRICS.values()),
        }
        request = sdk.Request.get("/api/v1/metrics/deliverability/time-series", query=period)
        return read_metrics(query, await wire.send(request))

    suppressions = staticmethod(sparkpost_suppressions.list_suppressed)
    add_suppression = staticmethod(sparkpost_suppressions.suppress)
    remove_suppression = staticmethod(sparkpost_suppressions.send_again)


def mail_body(vendor: SparkPost, message: EmailMessage) -> dict[str, Any]:
    """A message as a SparkPost transmission.

    Raises:
        InvalidData: the message has more or longer tags than SparkPost accepts, or parts that
            SparkPost leaves out of a stored template.
    """
    if len(message.tags) > 1 or any(len(tag.encode()) > _LONGEST_TAG for tag in message.tags):
        raise sdk.InvalidData(
            f"SparkPost accepts one tag of at most {_LONGEST_TAG} bytes, but the message has"
            " more tags, or a longer one.",
            field="tags",
            remedy="Pass one short tag, and pass the other words as metadata.",
        )
    body = {
        "recipients": _recipients(message),
        "campaign_id": next(iter(message.tags), None),
        "metadata": dict(message.metadata),
        **_contents(vendor, message),
    }
    options = {
        "transactional": vendor.transactional,
        "open_tracking": message.track_opens,
        "click_tracking": message.track_clicks,
        "start_time": None
        if message.send_at is None
        else whole_second(message.send_at).isoformat(),
        # Otherwise SparkPost would replace texts that look like placeholders.
        "perform_substitutions": False if message.template is None else None,
    }
    fields = filled_fields(body) | {"options": filled_fields(options)}
    return sdk.merged(fields, sdk.extra_for("sparkpost", message.extra))


def _recipients(message: EmailMessage) -> list[dict[str, Any]]:
    """All recipients of the message; if there are several, one `To` header lists all of them."""
    if len(message.everybody) == 1:
        return [{"address": _address(message.to[0])}]
    header = in_utf8(message.to)
    return [
        {"address": {"email": address.wire, "header_to": header}} for address in message.everybody
    ]


def _contents(vendor: SparkPost, message: EmailMessage) -> dict[str, Any]:
    reply_to = in_utf8(message.reply_to)
    if message.template is not None:
        return _template_content(vendor, message, reply_to)
    headers = {name: in_braces(value) for name, value in message.headers.items()}
    if message.cc:
        headers["CC"] = in_utf8(message.cc)
    files = [file for file in message.attachments if file.content_id is None]
    images = [file for file in message.attachments if file.content_id is not None]
    content = {
        "reply_to": reply_to,
        # SparkPost refuses a message that has only files.
        "text": message.text or (None if message.html else " "),
        "html": message.html,
        "amp_html": message.amp_html,
        "headers": headers,
        "attachments": [_file(file, file.filename) for file in files],
        "inline_images": [_file(file, file.content_id or "") for file in images],
    }
    subject = {"subject": in_braces(message.subject)}
    sender = {"from": _address(sender_of(message, vendor.sender))}
    return {"content": sender | subject | filled_fields(content)}


def _template_content(vendor: SparkPost, message: EmailMessage, reply_to: str) -> dict[str, Any]:
    parts = {"cc": message.cc, "headers": message.headers, "attachments": message.attachments}
    for name, value in parts.items():
        if value:
            raise sdk.InvalidData(
                f"The message has a template and {name}, but SparkPost would not send the {name}.",
                field=name,
                remedy=f"Put {name} into the template, or send the message without a template.",
            )
    template = message.template
    sender = message.from_ or vendor.sender
    override = {"from": None if sender is None else _address(sender), "reply_to": reply_to}
    return {
        "content": {"template_id": "" if template is None else template.id},
        "override": filled_fields(override),
        "substitution_data": {} if template is None else dict(template.data),
    }


def _address(address: EmailAddress) -> dict[str, str]:
    return filled_fields({"email": address.wire, "name": in_braces(address.name or "")})


def in_utf8(several: Iterable[EmailAddress]) -> str:
    """Addresses as a header value, which SparkPost itself encodes."""
    return ", ".join(
        f"{in_braces(_quoted_name(address.name))} <{address.wire}>"
        if address.name
        else address.wire
        for address in several
    )


def _quoted_name(name: str) -> str:
    escaped_name = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped_name}"'


def in_braces(text: str) -> str:
    """A header text, escaped so that SparkPost finds no placeholder in it."""
    if "{{" not in text and "}}" not in text:
        return text
    return "".join(_BRACES.get(letter, letter) for letter in text)


def _file(file: Attachment, name: str) -> dict[str, str]:
    return {"name": name, "type": file.content_type, "data": in_base64(file)}
