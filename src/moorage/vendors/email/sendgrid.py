"""SendGrid: email, address checks and statistics.

Version 3 of the API, JSON with a bearer key. SendGrid takes no idempotency key, so a message that
may have been sent is not sent again. A bulk message is one request with a personalization for each
recipient; all of them share one message id.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage.contracts.email import EmailCapability
from moorage.contracts.email_address import EmailAddress, as_address
from moorage.contracts.email_bulk import PLACE, BulkMessage, BulkRecipient
from moorage.contracts.email_outcomes import (
    AddressCheck,
    EmailCounts,
    EmailEvent,
    EmailReceipt,
    EmailStatistics,
    EmailStatus,
    RejectReason,
    Verdict,
)
from moorage.vendor_sdk import (
    AuthenticationFailed,
    Credentials,
    InvalidData,
    InvalidRequest,
    Mode,
    RateLimitExceeded,
    Request,
    Result,
    Secret,
    Service,
    Vendor,
    VendorRejected,
    as_answer,
    as_secret,
    choices,
    error_answer,
    extra_for,
    is_success,
    malformed,
    masked_words,
    merged,
    one_of,
    read_answer,
    read_answers,
    refusal,
    required,
)
from moorage.vendors.email._common import (
    bare,
    id_of_ours,
    in_ascii,
    in_base64,
    name_at,
    name_here,
    outcomes,
    sender_of,
    status_of,
    without_nothing,
)
from moorage.vendors.email._sendgrid_suppressions import list_suppressed, send_again, suppress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.email import EmailMessage
    from moorage.contracts.email_outcomes import StatisticsQuery
    from moorage.contracts.email_received import ReceivedEmail
    from moorage.contracts.email_suppressions import SuppressionPage
    from moorage.vendor_sdk import (
        Answer,
        ConnectorError,
        MakeRef,
        Ref,
        Response,
        WebhookEvent,
        Wire,
    )

_VALIDATIONS: Final = "validations"
_PAGE: Final = 500
_MOST_TAGS: Final = 10
_DRY: Final = "sandbox"
_EVENTS: Final = {
    "processed": EmailStatus.QUEUED,
    "delivered": EmailStatus.DELIVERED,
    "deferred": EmailStatus.DEFERRED,
    "bounce": EmailStatus.BOUNCED,
    "dropped": EmailStatus.REJECTED,
    "open": EmailStatus.OPENED,
    "click": EmailStatus.CLICKED,
    "spamreport": EmailStatus.COMPLAINED,
    "unsubscribe": EmailStatus.UNSUBSCRIBED,
    "group_unsubscribe": EmailStatus.UNSUBSCRIBED,
    "group_resubscribe": EmailStatus.SUBSCRIBED,
}
_CAUSES: Final = {
    "invalid": RejectReason.INVALID,
    "bounced address": RejectReason.BOUNCED,
    "spam reporting address": RejectReason.SPAM,
    "spam content": RejectReason.SPAM,
    "unsubscribed address": RejectReason.UNSUBSCRIBED,
    "recipient list over package quota": RejectReason.BLOCKED,
}
"""Causes of dropped messages, by SendGrid's reasons."""
_VERDICTS: Final = {
    "Valid": Verdict.DELIVERABLE,
    "Risky": Verdict.RISKY,
    "Invalid": Verdict.UNDELIVERABLE,
}
_REACTIONS: Final = {
    "spamreport": RejectReason.SPAM,
    "unsubscribe": RejectReason.UNSUBSCRIBED,
    "group_unsubscribe": RejectReason.UNSUBSCRIBED,
}
_COUNTS: Final = {
    "requested": "requests",
    "processed": "processed",
    "delivered": "delivered",
    "deferred": "deferred",
    "bounced": "bounces",
    "blocked": "blocks",
    "dropped": "bounce_drops",
    "opened": "opens",
    "unique_opened": "unique_opens",
    "clicked": "clicks",
    "unique_clicked": "unique_clicks",
    "complained": "spam_reports",
    "unsubscribed": "unsubscribes",
}
_SCHEMES: Final = {
    "events": "sendgrid",
    "received": "sendgrid-inbound",
    "received_basic": "sendgrid-inbound-basic",
}
_OWN_FIELDS: Final = frozenset(
    {
        "asm_group_id",
        "attempt",
        "bounce_classification",
        "category",
        "email",
        "event",
        "ip",
        "marketing_campaign_id",
        "marketing_campaign_name",
        "pool",
        "reason",
        "response",
        "send_at",
        "sg_content_type",
        "sg_event_id",
        "sg_machine_open",
        "sg_message_id",
        "sg_template_id",
        "sg_template_name",
        "smtp-id",
        "status",
        "timestamp",
        "tls",
        "type",
        "url",
        "url_offset",
        "useragent",
    }
)
_STATION: Final = re.compile(r"(?:^|\.)(?:filter|recvd)")
_SMTP_ID: Final = re.compile(r"<([^<>@]+)@[^<>@]*ismtpd[^<>@]*>")
_ACCEPTED: Final = 202
_CHECKED: Final = 200
_UNNAMED: Final = (
    "SendGrid accepted the message without an id: its events cannot be matched to this reference."
)
_CODES: Final = {401: AuthenticationFailed, 403: AuthenticationFailed, 429: RateLimitExceeded}


@attrs.frozen(kw_only=True)
class SendGrid(Vendor):
    """An account at SendGrid.

    Attributes:
        credentials: API key; by default the credential provider supplies it.
        validation_credentials: separate API key for address checks.
        sender: sender of messages without one of their own.
        sandbox: True to have messages checked and not sent.
        webhook_content: what the webhooks of this account contain: "events", or the messages that
            Inbound Parse hands on, "received" with a signature or "received_basic" with a name and
            a password in the URL. For both, configure two accounts.
        base_url: URL of SendGrid; the EU has a URL of its own.
    """

    name: ClassVar[str] = "sendgrid"
    kinds: ClassVar[tuple[str, ...]] = ("email",)
    api_version: ClassVar[str | None] = "v3"
    capabilities: ClassVar[frozenset[str]] = frozenset(EmailCapability) - {
        EmailCapability.ENVELOPE_SENDER,
        EmailCapability.CANCEL,
        EmailCapability.LOOK_UP,
        EmailCapability.INTERNATIONAL,
        EmailCapability.RECEIVED,
    }
    limits: ClassVar[Mapping[str, int]] = {
        "batch": 1_000,
        "recipients": 1_000,
        "message_bytes": 30 * 1024 * 1024,
    }
    webhook: ClassVar[str | None] = "sendgrid"

    credentials: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret)
    )
    validation_credentials: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret)
    )
    sender: EmailAddress | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_address)
    )
    sandbox: bool = False
    webhook_content: str = attrs.field(
        default="events",
        metadata=choices(*_SCHEMES),
        validator=one_of(
            *_SCHEMES,
            problem="SendGrid's webhooks have no such content.",
            remedy="Give 'events', 'received' if Inbound Parse signs, or 'received_basic' for a"
            " name and a password in the URL.",
        ),
    )
    base_url: str = "https://api.sendgrid.com"

    def mode(self) -> Mode | None:
        """Live or test mode, by the options; None if unknown."""
        return Mode.TEST if self.sandbox else None

    def ping(self) -> Request:
        """Request the permissions of the key."""
        return Request.get("/v3/scopes")

    def services(self) -> Mapping[str, Service]:
        """The API, and the same with the key for address checks."""
        keys = {"": self.credentials, _VALIDATIONS: self.validation_credentials or self.credentials}
        return {
            destination: Service(
                "sendgrid",
                self.base_url,
                credentials=None if key is None else Credentials.bearer(key),
                needs_credentials=key is None,
                classify=classify,
            )
            for destination, key in keys.items()
        }

    async def send_transactional(
        self, wire: Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        """Send one message."""
        recipient = BulkRecipient(to=message.to, cc=message.cc, bcc=message.bcc)
        body = mail_body(self, message, [personalization(recipient)])
        request = Request.post("/v3/mail/send", json=body)

        def parse(response: Response) -> EmailReceipt:
            return read_taken(wire, body, response, key).receipt(recipient, status_of(message))

        return await wire.send(request, key=key, parse=parse)

    async def send_bulk(
        self, wire: Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[Result[EmailReceipt]]:
        """Send a message to each recipient, in one request."""
        body = bulk_body(self, bulk)
        request = Request.post("/v3/mail/send", json=body)
        status = status_of(bulk.base)

        def parse(response: Response) -> list[Result[EmailReceipt]]:
            acceptance = read_taken(wire, body, response, key)
            return [Result(acceptance.receipt(recipient, status)) for recipient in bulk.recipients]

        return await wire.send(request, key=key, parse=parse)

    async def validate_address(self, wire: Wire, address: EmailAddress, /) -> AddressCheck:
        """Check an address."""
        request = Request.post("/v3/validations/email", json={"email": address.wire})
        response = await wire.send(request.evolve(idempotent=True), to=_VALIDATIONS)
        return read_check(address, response)

    async def get_statistics(self, wire: Wire, query: StatisticsQuery, /) -> EmailStatistics:
        """Get the statistics of a range of days."""
        rows: list[Answer] = []
        while True:
            days = {"start_date": query.start.isoformat(), "end_date": query.end.isoformat()}
            page = {"aggregated_by": "day", "limit": str(_PAGE), "offset": str(len(rows))}
            response = await wire.send(Request.get("/v3/stats", query={**days, **page}))
            page_rows = read_answers(response)
            rows += page_rows
            if len(page_rows) < _PAGE:
                return read_statistics(query, rows, response)

    async def suppressions(self, wire: Wire, after: Ref | None, /) -> SuppressionPage:
        """Get a page of the suppressed addresses, list by list."""
        return await list_suppressed(wire, after)

    async def add_suppression(self, wire: Wire, address: EmailAddress, /) -> None:
        """Add an address to the global unsubscribes."""
        await suppress(wire, address)

    async def remove_suppression(self, wire: Wire, address: EmailAddress, /) -> None:
        """Remove an address from all lists."""
        await send_again(wire, address)

    def verifying(self) -> Mapping[str, Any]:
        """The scheme of the webhooks: of events, or of received mail."""
        return {"scheme": _SCHEMES[self.webhook_content]}

    def events(
        self, event: WebhookEvent, ref: MakeRef
    ) -> tuple[EmailEvent, ...] | tuple[ReceivedEmail, ...]:
        """Convert a webhook to events, or to a received message."""
        if event.vendor in {_SCHEMES["received"], _SCHEMES["received_basic"]}:
            from moorage.vendors.email._sendgrid_received import read_received  # noqa: PLC0415 - few accounts receive mail

            return read_received(event, ref)
        fields = as_answer(event.payload)
        full_id, kind = fields.text("sg_message_id"), fields.text("event")
        id_ = message_id(full_id or "", fields.text("smtp-id") or "")
        if not id_:
            return ()
        category = fields.value("category")
        is_blocked = kind == "bounce" and fields.text("type") == "blocked"
        return (
            EmailEvent(
                id=event.id,
                ref=ref(id_, message=full_id),
                status=_EVENTS.get(kind or "", EmailStatus.UNKNOWN),
                vendor_status=kind,
                at=fields.time("timestamp"),
                email=bare(fields.text("email")),
                code=fields.text("status"),
                reason=fields.text("reason") or fields.text("response"),
                cause=_cause(fields),
                permanent={"bounce": not is_blocked, "deferred": False}.get(kind or ""),
                url=fields.text("url"),
                user_agent=fields.text("useragent"),
                tags=(category,) if isinstance(category, str) else fields.texts("category"),
                metadata={
                    name_here(name, _is_vendor_field): value
                    for name, value in fields.raw.items()
                    if name not in _OWN_FIELDS and isinstance(value, str)
                },
                raw=fields.raw,
            ),
        )


def _cause(fields: Answer) -> RejectReason | None:
    kind = fields.text("event")
    if kind == "bounce":
        is_blocked = fields.text("type") == "blocked"
        return RejectReason.BLOCKED if is_blocked else RejectReason.BOUNCED
    if kind == "dropped":
        return _CAUSES.get((fields.text("reason") or "").lower(), RejectReason.OTHER)
    return _REACTIONS.get(kind or "")


def message_id(id_: str, smtp_id: str = "") -> str:
    """The id of a message, extracted from the ids in an event.

    Args:
        id_: id in the event, followed by names of servers. A message that was dropped early has
            only server names, which many messages share.
        smtp_id: id that SendGrid's receiving server gave the message, which begins with its id.
    """
    station = _STATION.search(id_)
    if station is None:
        return id_.partition(".")[0]
    named_match = _SMTP_ID.fullmatch(smtp_id)
    return id_[: station.start()] or (id_ if named_match is None else named_match[1])


def _is_vendor_field(name: str) -> bool:
    return name in _OWN_FIELDS


def _arguments(metadata: Mapping[str, str]) -> dict[str, str]:
    # SendGrid's events have these beside fields of their own.
    return {name_at(name, _is_vendor_field): value for name, value in metadata.items()}


def _recipient_fields(address: EmailAddress) -> dict[str, str]:
    return {"email": address.wire} | ({"name": address.name} if address.name else {})


def _recipient_list(several: tuple[EmailAddress, ...]) -> list[dict[str, str]]:
    return [_recipient_fields(item) for item in several]


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    # SendGrid writes header values without encoding them.
    return {name: in_ascii(value) for name, value in headers.items()}


def personalization(recipient: BulkRecipient) -> dict[str, Any]:
    """The personalization of one recipient."""
    return without_nothing(
        {
            "to": _recipient_list(recipient.to),
            "cc": _recipient_list(recipient.cc),
            "bcc": _recipient_list(recipient.bcc),
            "custom_args": _arguments(recipient.metadata),
        }
    )


def bulk_body(vendor: SendGrid, bulk: BulkMessage) -> dict[str, Any]:
    """The body that sends a message to each recipient."""
    base = bulk.base
    personalizations = [personalization(recipient) for recipient in bulk.recipients]
    for fields, recipient in zip(personalizations, bulk.recipients, strict=True):
        # A table in the personalization replaces the one of the whole message.
        if own_headers := bulk.own_headers(recipient):
            fields["headers"] = _headers(own_headers)
        if base.template is not None:
            fields["dynamic_template_data"] = {**base.template.data, **recipient.data}
        elif bulk.places:
            fields["substitutions"] = _substitutions(recipient, bulk.places)
    if bulk.places:
        base = attrs.evolve(
            base,
            subject=PLACE.sub(r"{{\1}}", base.subject),
            text=None if base.text is None else PLACE.sub(r"{{\1}}", base.text),
            html=None if base.html is None else PLACE.sub(r"{{html:\1}}", base.html),
        )
    return mail_body(vendor, base, personalizations)


def _substitutions(recipient: BulkRecipient, places: frozenset[str]) -> dict[str, str]:
    words = {name: str(recipient.data[name]) for name in sorted(places)}
    plain_substitutions = {f"{{{{{name}}}}}": word for name, word in words.items()}
    return plain_substitutions | {
        f"{{{{html:{name}}}}}": escape(word) for name, word in words.items()
    }


def mail_body(
    vendor: SendGrid, message: EmailMessage, personalizations: list[dict[str, Any]]
) -> dict[str, Any]:
    """The body that sends a message."""
    sender = sender_of(message, vendor.sender)
    if len(message.tags) > _MOST_TAGS:
        raise InvalidData(
            f"The message has {len(message.tags)} tags, but SendGrid accepts {_MOST_TAGS}.",
            field="tags",
            remedy="Give fewer tags.",
        )
    template = message.template
    if template is not None:
        personalizations = [
            {"dynamic_template_data": dict(template.data), **item} for item in personalizations
        ]
    is_several = len(message.reply_to) > 1
    tracking = {
        "open_tracking": message.track_opens,
        "click_tracking": message.track_clicks,
    }
    body = {
        "personalizations": personalizations,
        "from": _recipient_fields(sender),
        "reply_to": _recipient_fields(message.reply_to[0]) if len(message.reply_to) == 1 else None,
        "reply_to_list": _recipient_list(message.reply_to) if is_several else None,
        "subject": message.subject,
        "content": _contents(message),
        "attachments": [_file(file) for file in message.attachments],
        "template_id": None if template is None else template.id,
        "headers": _headers(message.all_headers),
        "categories": list(message.tags),
        "custom_args": _arguments(message.metadata),
        "send_at": None if message.send_at is None else int(message.send_at.timestamp()),
        "tracking_settings": {
            name: {"enable": value} for name, value in tracking.items() if value is not None
        },
        "mail_settings": {"sandbox_mode": {"enable": True}} if vendor.sandbox else None,
    }
    return merged(without_nothing(body), extra_for("sendgrid", message.extra))


def _contents(message: EmailMessage) -> list[dict[str, str]]:
    if message.template is not None:
        return []
    # SendGrid requires the plain text first, and refuses a message of files alone.
    text = message.text or (None if message.html else " ")
    parts = {"text/plain": text, "text/html": message.html}
    return [{"type": kind, "value": value} for kind, value in parts.items() if value]


def _file(file: Any) -> dict[str, str]:
    fields = {
        "content": in_base64(file),
        "type": file.content_type,
        "filename": file.filename,
        "disposition": file.disposition.value,
    }
    return fields | ({"content_id": file.content_id} if file.content_id else {})


@attrs.frozen
class Taken:
    """The result of one request that was accepted.

    Attributes:
        ref: reference of the messages.
        dry: True if they were checked and not sent.
        warnings: warnings about the request.
        raw: the vendor's complete answer.
    """

    ref: Ref
    dry: bool
    warnings: tuple[str, ...]
    raw: Any

    def receipt(self, recipient: BulkRecipient, status: EmailStatus) -> EmailReceipt:
        """The receipt of one recipient's message."""
        return EmailReceipt(
            ref=self.ref,
            status=status,
            vendor_status="checked" if self.dry else "accepted",
            recipients=outcomes(recipient.everybody, status),
            warnings=self.warnings,
            raw=self.raw,
        )


def read_taken(wire: Wire, body: Mapping[str, Any], response: Response, key: str | None) -> Taken:
    """Parse the result of an accepted request; status 200 is one only in the sandbox mode."""
    id_ = response.headers.get("x-message-id")
    raw_answer = {"status": response.status, "headers": dict(response.headers.pairs)}
    is_dry = as_answer(body).value("mail_settings.sandbox_mode.enable") is True
    if is_dry and response.status == _CHECKED:
        warning = "SendGrid's sandbox mode is on: nothing is sent."
        return Taken(wire.ref(id_ or _DRY), dry=True, warnings=(warning,), raw=raw_answer)
    if response.status != _ACCEPTED:
        raise malformed(response)
    if id_:
        return Taken(wire.ref(id_), dry=False, warnings=(), raw=raw_answer)
    own_reference = wire.ref(id_of_ours(wire, key), unnamed="1")
    return Taken(own_reference, dry=False, warnings=(_UNNAMED,), raw=raw_answer)


def read_check(address: EmailAddress, response: Response) -> AddressCheck:
    """Parse the check of an address."""
    body = read_answer(response)
    result = body.object("result")
    verdict = required(result.text("verdict"), response, "result.verdict")
    domain, additional = result.object("checks.domain"), result.object("checks.additional")
    suggested_domain = result.text("suggestion")
    local = address.email.rpartition("@")[0]
    reasons = [name for name, value in additional.raw.items() if value is True]
    reasons += [
        name
        for name in ("has_valid_address_syntax", "has_mx_or_a_record")
        if domain.flag(name) is False
    ]
    return AddressCheck(
        email=address.email,
        verdict=_VERDICTS.get(verdict, Verdict.UNKNOWN),
        vendor_verdict=verdict,
        score=result.decimal("score"),
        reasons=tuple(reasons),
        did_you_mean=None if suggested_domain is None else f"{local}@{suggested_domain}",
        disposable=domain.flag("is_suspected_disposable_address"),
        role=result.flag("checks.local_part.is_suspected_role_address"),
        mx=domain.flag("has_mx_or_a_record"),
        raw=body.raw,
    )


def read_statistics(
    query: StatisticsQuery, rows: list[Answer], response: Response
) -> EmailStatistics:
    """Parse statistics."""
    counted_pairs: list[tuple[Any, EmailCounts]] = []
    for row in rows:
        day = required(row.time("date"), response, "date")
        for stats in row.objects("stats"):
            numbers = stats.object("metrics")
            counts = {
                field_name: numbers.integer(metric_name)
                for field_name, metric_name in _COUNTS.items()
            }
            counted_pairs.append((day.date(), EmailCounts(**counts)))
    return EmailStatistics.of(query, counted_pairs, [row.raw for row in rows])


def classify(_: Request, response: Response) -> ConnectorError | None:
    """The error for the errors in an answer, which are more specific than its status."""
    status = response.status
    if is_success(status) or status >= 500:
        return None
    body = error_answer(response)
    first_error = next(body.objects("errors"), None)
    if first_error is None:
        return None
    words = masked_words(first_error.text("message"))
    code = first_error.text("error_id") or first_error.text("field") or body.text("id")
    kind = _CODES.get(status, InvalidRequest if status in {400, 413} else VendorRejected)
    return refusal(kind, "SendGrid", response, code, words, otherwise=status)
