"""Amazon SES: email, address checks and statistics.

Version 2 of the API, with JSON signed by AWS SigV4. SES takes no idempotency key, so a message
that may have been sent is not sent again. It builds the MIME message itself, except for a message
with AMP content, which is sent in MIME format. A bulk message is one request with an inline
template, or one request for each recipient if it has AMP content. Events arrive by an SNS topic.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from moorage import vendor_sdk as sdk
from moorage.contracts.email import EmailCapability, EmailMessage
from moorage.contracts.email_outcomes import (
    AddressCheck,
    EmailCounts,
    EmailReceipt,
    EmailStatistics,
    EmailStatus,
    StatisticsQuery,
    Verdict,
)
from moorage.vendors.email import _ses_suppressions as ses_suppressions
from moorage.vendors.email._common import derived_message_id, one_by_one, outcomes
from moorage.vendors.email._ses_content import bulk_body, mail_body, raw_body
from moorage.vendors.email._ses_events import read_events
from moorage.vendors.email._vendor import EmailVendor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from moorage.contracts.email_address import EmailAddress
    from moorage.contracts.email_bulk import BulkMessage

_WRONG: Final = frozenset({"BadRequestException", "ValidationException", "SerializationException"})
_ENTRY_LATER: Final = frozenset({"ACCOUNT_THROTTLED", "ACCOUNT_DAILY_QUOTA_EXCEEDED"})
_ENTRY_FAILED: Final = frozenset({"TRANSIENT_FAILURE", "FAILED"})
_ENTRY_WRONG: Final = sdk.word_set(
    "CONFIGURATION_SET_DOES_NOT_EXIST CONFIGURATION_SET_NOT_FOUND INVALID_PARAMETER"
    " INVALID_PARAMETER_VALUE INVALID_SENDING_POOL_NAME TEMPLATE_DOES_NOT_EXIST TEMPLATE_NOT_FOUND"
)
_VERDICTS: Final = {
    "HIGH": Verdict.DELIVERABLE,
    "MEDIUM": Verdict.RISKY,
    "LOW": Verdict.UNDELIVERABLE,
}
_CONFIDENT_VERDICTS: Final = {"HIGH": True, "LOW": False}
_DAY: Final = timedelta(days=1)
_METRICS: Final = {
    "SEND": "requested",
    "DELIVERY": "delivered",
    "PERMANENT_BOUNCE": "bounced",
    "TRANSIENT_BOUNCE": "deferred",
    "COMPLAINT": "complained",
    "OPEN": "opened",
    "CLICK": "clicked",
}


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """Return the error for the error name in a response, which is more specific than the status."""
    if sdk.is_success(response.status) or response.status >= 500:
        return None
    code = error_code(response)
    if code is None:
        return None
    default_error = sdk.InvalidRequest if code in _WRONG else sdk.VendorRejected
    words = sdk.vendor_code_and_message(response)[1]
    return sdk.refusal(sdk.aws_refusal(code) or default_error, "Amazon SES", response, code, words)


@sdk.frozen(kw_only=True)
class AmazonSes(EmailVendor):
    """An Amazon SES account in one region.

    Attributes:
        region: AWS region, such as `eu-central-1`.
        access_key_id: id of the access key.
        credentials: secret access key; by default the credential provider supplies `Credentials`,
            signed by `AwsSigV4` for the service `ses`.
        session_token: session token of temporary credentials.
        sender: sender of messages that name none.
        configuration_set: configuration set for messages, which determines the reported events.
        base_url: URL of SES; by default that of the region.
    """

    name = "amazon_ses"
    api_version = "v2"
    capabilities = frozenset(EmailCapability) - sdk.members_of(
        EmailCapability, "cancel look_up international received scheduled track_clicks track_opens"
    )
    limits: ClassVar[Mapping[str, int]] = {
        "batch": 50,
        "recipients": 50,
        "message_bytes": 40 * 1024 * 1024,
    }
    webhook = "aws-sns"

    urls: ClassVar[Mapping[str, str]] = {"": "_url"}
    refusals = staticmethod(classify)
    event_reading = staticmethod(read_events)

    region: str
    access_key_id: str | None = sdk.field(default=None, repr=False)
    session_token: sdk.Secret | None = sdk.field(
        default=None, converter=sdk.optional(sdk.as_secret)
    )
    configuration_set: str | None = None
    base_url: str | None = None

    @property
    def _url(self) -> str:
        return self.base_url or f"https://email.{self.region}.amazonaws.com"

    def static_credentials(self) -> sdk.Credentials | None:
        """The access key that signs requests."""
        return sdk.aws_credentials(
            "ses", self.region, self.access_key_id, self.credentials, self.session_token
        )

    async def send_transactional(
        self, wire: sdk.Wire, message: EmailMessage, /, *, key: str | None
    ) -> EmailReceipt:
        """Send one message."""
        if message.amp_html:
            message_id = f"<{derived_message_id(wire, key)}@amazonses.com>"
            body = raw_body(message, self.sender, self.configuration_set, message_id)
        else:
            body = mail_body(message, self.sender, self.configuration_set)
        request = sdk.Request.post("/v2/email/outbound-emails", json=body)
        id_, fields = await wire.send(request, key=key, parse=read_sent)
        return _receipt(wire, id_, message.everybody, None, fields)

    async def send_bulk(
        self, wire: sdk.Wire, bulk: BulkMessage, /, *, key: str | None
    ) -> list[sdk.Result[EmailReceipt]]:
        """Send a message to each recipient, in one request if it has no AMP content."""
        if bulk.base.amp_html:
            return await one_by_one(wire, bulk, self.send_transactional, key)
        body = bulk_body(bulk, self.sender, self.configuration_set)
        request = sdk.Request.post("/v2/email/outbound-bulk-emails", json=body)
        return await wire.send(request, key=key, parse=partial(read_entries, wire, bulk))

    async def validate_address(self, wire: sdk.Wire, address: EmailAddress, /) -> AddressCheck:
        """Check an address."""
        request = sdk.Request.post(
            "/v2/email/email-address-insights/", json={"EmailAddress": address.wire}
        )
        return read_check(address, await wire.send(request.evolve(idempotent=True)))

    async def get_statistics(self, wire: sdk.Wire, query: StatisticsQuery, /) -> EmailStatistics:
        """Get the statistics of a range of days from SES's deliverability manager."""
        request = sdk.Request.post("/v2/email/metrics/batch", json=metrics_body(query))
        return read_metrics(query, await wire.send(request.evolve(idempotent=True)))

    suppressions = staticmethod(ses_suppressions.list_suppressed)
    add_suppression = staticmethod(ses_suppressions.suppress)
    remove_suppression = staticmethod(ses_suppressions.send_again)


def read_sent(response: sdk.Response) -> tuple[str, sdk.Answer]:
    """The id of an accepted message, with the complete response."""
    fields = sdk.read_answer(response)
    id_ = sdk.required(fields.text("MessageId"), response, "MessageId")
    return id_, fields


def read_entries(
    wire: sdk.Wire, bulk: BulkMessage, response: sdk.Response
) -> list[sdk.Result[EmailReceipt]]:
    """Parse the results of a bulk message."""
    entries = list(sdk.read_answer(response).objects("BulkEmailEntryResults"))
    if len(entries) != len(bulk.recipients):
        raise sdk.malformed(response, "result for each recipient")
    if not any(entry.text("Status") for entry in entries):
        raise sdk.malformed(response, "status of any recipient")
    return [
        read_entry(wire, entry, recipient.everybody)
        for entry, recipient in zip(entries, bulk.recipients, strict=True)
    ]


def _receipt(
    wire: sdk.Wire,
    id_: str,
    people: tuple[EmailAddress, ...],
    vendor_status: str | None,
    fields: sdk.Answer,
) -> EmailReceipt:
    status = EmailStatus.QUEUED
    return EmailReceipt(
        ref=wire.ref(id_),
        status=status,
        vendor_status=vendor_status,
        recipients=outcomes(people, status),
        raw=fields.raw,
    )


def read_entry(
    wire: sdk.Wire, entry: sdk.Answer, people: tuple[EmailAddress, ...]
) -> sdk.Result[EmailReceipt]:
    """Parse the result of one recipient of a bulk message."""
    status, id_ = entry.text("Status"), entry.text("MessageId")
    if status == "SUCCESS" and id_ is not None:
        return sdk.Result(_receipt(wire, id_, people, status, entry))
    kind: type[Any] = sdk.VendorRejected
    if status in _ENTRY_LATER:
        kind = sdk.RateLimitExceeded
    elif status in _ENTRY_FAILED or status in {None, "SUCCESS"}:
        kind = sdk.VendorFailed
    elif status in _ENTRY_WRONG:
        kind = sdk.InvalidRequest
    fields = {"by_vendor": True} if kind is sdk.RateLimitExceeded else {}
    return sdk.Result(
        error=kind(
            f"Amazon SES refused the message to one recipient: {status}",
            service=wire.account,
            vendor_code=status,
            vendor_message=entry.text("Error"),
            **fields,
        )
    )


def read_check(address: EmailAddress, response: sdk.Response) -> AddressCheck:
    """Parse the response to an address check."""
    body = sdk.read_answer(response)
    validation = body.object("MailboxValidation")
    verdict = sdk.required(
        validation.text("IsValid.ConfidenceVerdict"), response, "MailboxValidation.IsValid"
    )

    def is_confident(name: str) -> bool | None:
        return _CONFIDENT_VERDICTS.get(
            validation.text(f"Evaluations.{name}.ConfidenceVerdict") or ""
        )

    against = {
        "HasValidSyntax": False,
        "HasValidDnsRecords": False,
        "MailboxExists": False,
        "IsRandomInput": True,
    }
    return AddressCheck(
        email=address.email,
        verdict=_VERDICTS.get(verdict, Verdict.UNKNOWN),
        vendor_verdict=verdict,
        reasons=tuple(name for name, is_bad in against.items() if is_confident(name) is is_bad),
        disposable=is_confident("IsDisposable"),
        role=is_confident("IsRoleAddress"),
        mx=is_confident("HasValidDnsRecords"),
        raw=body.raw,
    )


def metrics_body(query: StatisticsQuery) -> dict[str, Any]:
    """The body that requests statistics."""
    return {
        "Queries": [
            {
                "Id": metric,
                "Namespace": "VDM",
                "Metric": metric,
                "StartDate": _epoch(query.start),
                "EndDate": _epoch(query.end + _DAY),
            }
            for metric in _METRICS
        ]
    }


def _epoch(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())


def read_metrics(query: StatisticsQuery, response: sdk.Response) -> EmailStatistics:
    """Parse the email statistics in a response."""
    body = sdk.read_answer(response)
    error_entry = next(body.objects("Errors"), None)
    if error_entry is not None:
        code = error_entry.text("Code")
        kind = sdk.AuthenticationFailed if code == "ACCESS_DENIED" else sdk.VendorFailed
        raise kind(
            f"Amazon SES could not return the statistics: {code}",
            status=response.status,
            vendor_code=code,
            vendor_message=error_entry.text("Message"),
            response=response,
        )
    counted_pairs: list[tuple[date, EmailCounts]] = []
    for result in body.objects("Results"):
        name = _METRICS.get(result.text("Id") or "")
        moments: Any = result.value("Timestamps")
        for number, moment in enumerate(moments if sdk.is_list(moments) else []):
            window_start, value = sdk.as_time(moment), result.integer(f"Values.{number}")
            if (
                name is None
                or window_start is None
                or not query.start <= window_start.date() <= query.end
            ):
                continue
            counted_pairs.append((window_start.date(), EmailCounts(**{name: value})))
    return EmailStatistics.of(query, counted_pairs, body.raw)


def error_code(response: sdk.Response) -> str | None:
    """An error's name without namespace, from a header or the body."""
    code = response.headers.get("x-amzn-errortype")
    if code is None:
        try:
            code = json.loads(response.body).get("__type")
        except (AttributeError, ValueError):
            return None
    if not isinstance(code, str):
        return None
    return code.partition(":")[0].rpartition("#")[2] or None
