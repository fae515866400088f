"""Parsing of SendGrid's responses: accepted messages, address checks, statistics and errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email_outcomes import (
    AddressCheck,
    EmailCounts,
    EmailReceipt,
    EmailStatistics,
    Verdict,
)
from moorage.vendors.email._common import derived_message_id, outcomes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_bulk import BulkRecipient
    from moorage.contracts.email_outcomes import EmailStatus, StatisticsQuery

_VERDICTS: Final = {
    "Valid": Verdict.DELIVERABLE,
    "Risky": Verdict.RISKY,
    "Invalid": Verdict.UNDELIVERABLE,
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
_SANDBOX_STATUS: Final = "sandbox"
_ACCEPTED_STATUS: Final = 202
_CHECKED_STATUS: Final = 200
_UNNAMED: Final = (
    "SendGrid accepted the message, but returned no message id. moorage cannot match the"
    " message's events to this reference."
)
_CODES: Final = {
    401: sdk.AuthenticationFailed,
    403: sdk.AuthenticationFailed,
    429: sdk.RateLimitExceeded,
}


@sdk.frozen
class AcceptedRequest:
    """The result of one accepted request.

    Attributes:
        ref: reference of the messages.
        dry: True if the messages were checked and not sent.
        warnings: warnings about the request.
        raw: the vendor's complete response.
    """

    ref: sdk.Ref
    dry: bool
    warnings: tuple[str, ...]
    raw: Any

    def receipt(self, recipient: BulkRecipient, status: EmailStatus) -> EmailReceipt:
        """The receipt for one recipient's message."""
        return EmailReceipt(
            ref=self.ref,
            status=status,
            vendor_status="checked" if self.dry else "accepted",
            recipients=outcomes(recipient.everybody, status),
            warnings=self.warnings,
            raw=self.raw,
        )


def read_taken(
    wire: sdk.Wire, body: Mapping[str, Any], response: sdk.Response, key: str | None
) -> AcceptedRequest:
    """Parse the result of an accepted request; status 200 is valid in sandbox mode only."""
    id_ = response.headers.get("x-message-id")
    raw_answer = {"status": response.status, "headers": dict(response.headers.pairs)}
    is_dry = sdk.as_answer(body).value("mail_settings.sandbox_mode.enable") is True
    if is_dry and response.status == _CHECKED_STATUS:
        warning = "SendGrid's sandbox mode is on, so nothing is sent."
        return AcceptedRequest(
            wire.ref(id_ or _SANDBOX_STATUS), dry=True, warnings=(warning,), raw=raw_answer
        )
    if response.status != _ACCEPTED_STATUS:
        raise sdk.malformed(response)
    if id_:
        return AcceptedRequest(wire.ref(id_), dry=False, warnings=(), raw=raw_answer)
    own_reference = wire.ref(derived_message_id(wire, key), unnamed="1")
    return AcceptedRequest(own_reference, dry=False, warnings=(_UNNAMED,), raw=raw_answer)


def read_check(address: EmailAddress, response: sdk.Response) -> AddressCheck:
    """Parse the response to an address check."""
    body = sdk.read_answer(response)
    result = body.object("result")
    verdict = sdk.required(result.text("verdict"), response, "result.verdict")
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
    query: StatisticsQuery, rows: list[sdk.Answer], response: sdk.Response
) -> EmailStatistics:
    """Parse the email statistics in a response."""
    counted_pairs: list[tuple[Any, EmailCounts]] = []
    for row in rows:
        day = sdk.required(row.time("date"), response, "date")
        for stats in row.objects("stats"):
            numbers = stats.object("metrics")
            counts = {
                field_name: numbers.integer(metric_name)
                for field_name, metric_name in _COUNTS.items()
            }
            counted_pairs.append((day.date(), EmailCounts(**counts)))
    return EmailStatistics.of(query, counted_pairs, [row.raw for row in rows])


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for the errors in a response, which are more specific than the status."""
    status = response.status
    if sdk.is_success(status) or status >= 500:
        return None
    body = sdk.error_answer(response)
    first_error = next(body.objects("errors"), None)
    if first_error is None:
        return None
    words = sdk.masked_words(first_error.text("message"))
    code = first_error.text("error_id") or first_error.text("field") or body.text("id")
    kind = _CODES.get(status, sdk.InvalidRequest if status in {400, 413} else sdk.VendorRejected)
    return sdk.refusal(kind, "SendGrid", response, code, words, otherwise=status)
