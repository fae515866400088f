"""A local sandbox that imitates Amazon SES.

Magic addresses: a message to refused@example.com is rejected, one to throttled@example.com exceeds
the rate limit, and one to outage@example.com makes SES fail. Senders at unverified.example are
rejected. In a bulk request, only the entry to such an address fails.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from email.utils import parseaddr
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import attrs
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from moorage.domain.http.requests import Response
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._aws import MISMATCH, STRANGER, UNSIGNED, AwsSandbox
from moorage.testing.sandboxes._fields import words
from moorage.testing.sandboxes.email.base import (
    attachment_item,
    email_fixture,
    read_address,
    suppressions_after,
)
from moorage.testing.sandboxes.email.mailbox import DeliveredEmail, decoded_header
from moorage.testing.sandboxes.email.smtp import read_message

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.testing.sandboxes.fixture import SandboxFixture

_REASONS: Final = words("BOUNCE COMPLAINT")
_LARGEST_PAGE: Final = 1_000
_MAIL: Final = words(
    "FromEmailAddress Destination ReplyToAddresses Content EmailTags ConfigurationSetName"
    " ListManagementOptions FeedbackForwardingEmailAddress EndpointId TenantName"
)
_BULK: Final = words(
    "FromEmailAddress ReplyToAddresses DefaultContent DefaultEmailTags BulkEmailEntries"
    " ConfigurationSetName EndpointId TenantName"
)
_MAGIC: Final = {
    "refused@example.com": (400, "MessageRejected", "MESSAGE_REJECTED"),
    "throttled@example.com": (429, "TooManyRequestsException", "ACCOUNT_THROTTLED"),
    "outage@example.com": (503, "ServiceUnavailable", "TRANSIENT_FAILURE"),
}
_PLACEHOLDER: Final = re.compile(r"\{\{(\w+)\}\}")
_ACCESS_CODES: Final = {
    UNSIGNED: "MissingAuthenticationTokenException",
    STRANGER: "UnrecognizedClientException",
    MISMATCH: "InvalidSignatureException",
}


@cache
def _signer() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


class AmazonSesSandbox(AwsSandbox):
    """A sandbox of Amazon SES: mail, address checks, statistics and signed SNS messages.

    Attributes:
        templates: the names of the existing templates.
    """

    service = "ses"
    domains = ("email", "sns")
    open_routes = frozenset({"GET /SimpleNotificationService-{name}.pem"})

    templates: tuple[str, ...] = ("welcome",)
    delivered: list[DeliveredEmail] = base.state_field(list)
    suppressions: dict[str, str] = base.state_field(dict)
    metrics: dict[str, list[tuple[datetime, int]]] = base.state_field(dict)
    broken_metrics: str | None = None

    @property
    def topic_arn(self) -> str:
        """The ARN of the topic with the account's webhooks."""
        return f"arn:aws:sns:{self.region}:123456789012:mail"

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /v2/email/outbound-emails": self._send,
            "POST /v2/email/outbound-bulk-emails": self._send_bulk,
            "POST /v2/email/email-address-insights/": self._insights,
            "POST /v2/email/metrics/batch": self._metrics,
            "GET /v2/email/suppression/addresses": self._suppressed,
            "PUT /v2/email/suppression/addresses": self._suppress,
            "DELETE /v2/email/suppression/addresses/{address}": self._send_again,
            "GET /SimpleNotificationService-{name}.pem": self._certificate,
        }

    def _suppressed(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        size = int(query.get("PageSize", _LARGEST_PAGE))
        if not 1 <= size <= _LARGEST_PAGE:
            raise _refusal(400, "BadRequestException", "PageSize is out of range.")
        cursor = b64decode(query.get("NextToken", ""), validate=True).decode()
        page, next_cursor = suppressions_after(self.suppressions, cursor, size)
        entries = [
            {"EmailAddress": email, "Reason": reason, "LastUpdateTime": 1_577_836_800.5}
            for email, reason in page
        ]
        token = {"NextToken": b64encode(next_cursor.encode()).decode()} if next_cursor else {}
        return base.reply({"SuppressedDestinationSummaries": entries, **token})

    def _suppress(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        if set(body) != {"EmailAddress", "Reason"} or body["Reason"] not in _REASONS:
            raise _refusal(400, "BadRequestException", "Reason must be BOUNCE or COMPLAINT.")
        self.suppressions[body["EmailAddress"]] = body["Reason"]
        return base.reply({})

    def _send_again(self, _: base.SandboxRequest, address: str) -> Response:
        if self.suppressions.pop(address, None) is None:
            raise _refusal(404, "NotFoundException", "The address is not suppressed.")
        return base.reply({})

    def notice(self, event: dict[str, Any], at: datetime) -> bytes:
        """Return the body of a signed SNS message about an SES event."""
        fields = {
            "Message": json.dumps(event),
            "MessageId": self.uuid(),
            "Timestamp": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "TopicArn": self.topic_arn,
            "Type": "Notification",
        }
        text = "".join(f"{name}\n{fields[name]}\n" for name in sorted(fields))
        signature = _signer().sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        host = f"https://sns.{self.region}.amazonaws.com"
        url = f"{host}/SimpleNotificationService-{'0' * 32}.pem"
        signature_fields = {"SignatureVersion": "2", "SigningCertURL": url}
        return json.dumps(
            {**fields, **signature_fields, "Signature": b64encode(signature).decode()}
        ).encode()

    def _certificate(self, _: base.SandboxRequest, name: str) -> Response:  # noqa: ARG002 - any is there
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        valid_from = datetime(2020, 1, 1, tzinfo=UTC)
        built = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(_signer().public_key())
            .serial_number(1)
            .not_valid_before(valid_from)
            .not_valid_after(valid_from + timedelta(days=36_500))
            .sign(_signer(), hashes.SHA256())
        )
        pem = built.public_bytes(serialization.Encoding.PEM)
        return Response(200, {"Content-Type": "application/x-pem-file"}, pem)

    def _send(self, request: base.SandboxRequest) -> Response:
        body = _check_fields(request.json(), _MAIL)
        content, destination = body.get("Content", {}), body.get("Destination", {})
        _check_people(body, [destination])
        for email in _all_recipients(destination):
            if email in _MAGIC:
                status, name, _ = _MAGIC[email]
                raise _refusal(status, name, "As the address says.")
        if len(content) != 1:
            raise _refusal(
                400, "BadRequestException", "An email needs exactly one kind of content."
            )
        data: dict[str, Any] = {}
        if "Template" in content:
            data = json.loads(content["Template"].get("TemplateData", "{}"))
            self._check_template(content["Template"])
        id_ = self._id()
        self.delivered.append(_delivery_event(body, content, data, id_))
        return base.reply({"MessageId": id_})

    def _send_bulk(self, request: base.SandboxRequest) -> Response:
        body = _check_fields(request.json(), _BULK)
        entries = body.get("BulkEmailEntries", [])
        if not 1 <= len(entries) <= 50:
            raise _refusal(400, "BadRequestException", "1 to 50 entries are allowed.")
        _check_people(body, [entry["Destination"] for entry in entries])
        template = body["DefaultContent"]["Template"]
        self._check_template(template)
        return base.reply(
            {"BulkEmailEntryResults": [self._entry(body, template, entry) for entry in entries]}
        )

    def _entry(
        self, body: dict[str, Any], template: dict[str, Any], entry: dict[str, Any]
    ) -> dict[str, Any]:
        magic = [
            _MAGIC[email] for email in _all_recipients(entry["Destination"]) if email in _MAGIC
        ]
        if magic:
            return {"Status": magic[0][2], "Error": "As the address says."}
        replacement = entry.get("ReplacementEmailContent", {}).get("ReplacementTemplate", {})
        data = json.loads(template.get("TemplateData", "{}"))
        data |= json.loads(replacement.get("ReplacementTemplateData", "{}"))
        id_ = self._id()
        self.delivered.append(_delivery_event({**body, **entry}, {"Template": template}, data, id_))
        return {"Status": "SUCCESS", "MessageId": id_}

    def _check_template(self, template: dict[str, Any]) -> None:
        name = template.get("TemplateName") or template.get("TemplateArn", "").rpartition("/")[2]
        if "TemplateContent" not in template and name not in self.templates:
            raise _refusal(404, "NotFoundException", "The account has no template of this name.")

    def _insights(self, request: base.SandboxRequest) -> Response:
        local, _, host = request.json()["EmailAddress"].rpartition("@")
        is_invalid = host.endswith(".invalid")

        def as_verdict(yes: bool) -> dict[str, str]:  # noqa: FBT001 - of a test's own
            return {"ConfidenceVerdict": "HIGH" if yes else "LOW"}

        confidence = "LOW" if is_invalid else "MEDIUM" if local == "info" else "HIGH"
        return base.reply(
            {
                "MailboxValidation": {
                    "IsValid": {"ConfidenceVerdict": confidence},
                    "Evaluations": {
                        "HasValidSyntax": as_verdict(True),
                        "HasValidDnsRecords": as_verdict(not is_invalid),
                        "MailboxExists": as_verdict(not is_invalid),
                        "IsRoleAddress": as_verdict(local == "info"),
                        "IsDisposable": as_verdict(host == "disposable.example"),
                        "IsRandomInput": {"ConfidenceVerdict": "MEDIUM"},
                    },
                }
            }
        )

    def _metrics(self, request: base.SandboxRequest) -> Response:
        queries = request.json()["Queries"]
        if not 1 <= len(queries) <= 10:
            raise _refusal(400, "BadRequestException", "1 to 10 queries are allowed.")
        if self.broken_metrics is not None:
            errors = [{"Id": queries[0]["Id"], "Code": self.broken_metrics, "Message": "No."}]
            return base.reply({"Results": [], "Errors": errors})
        results: list[dict[str, Any]] = []
        for query in queries:
            counted_numbers = [
                (int(day_start.timestamp()), value)
                for day_start, value in self.metrics.get(query["Metric"], [])
                if query["StartDate"] <= day_start.timestamp() <= query["EndDate"]
            ]
            moments = [day_start for day_start, _ in counted_numbers]
            values = [value for _, value in counted_numbers]
            results.append({"Id": query["Id"], "Timestamps": moments, "Values": values})
        return base.reply({"Results": results, "Errors": []})

    def _id(self) -> str:
        return f"0107-sandbox-{self.number():08d}-000000"

    def _unauthorized(self, problem: str) -> base.Refusal:
        return _refusal(403, _ACCESS_CODES[problem], problem)


def _check_fields(body: dict[str, Any], fields: frozenset[str]) -> dict[str, Any]:
    unknown_fields = sorted(set(body) - fields)
    if unknown_fields:
        raise _refusal(400, "SerializationException", f"Unknown fields: {unknown_fields}")
    return body


def _all_recipients(destination: dict[str, Any]) -> list[str]:
    kinds = ("ToAddresses", "CcAddresses", "BccAddresses")
    return [parseaddr(address)[1] for kind in kinds for address in destination.get(kind, [])]


def _check_people(body: dict[str, Any], destinations: list[dict[str, Any]]) -> None:
    if parseaddr(body.get("FromEmailAddress", ""))[1].endswith("@unverified.example"):
        raise _refusal(400, "MessageRejected", "Email address is not verified.")
    for destination in destinations:
        recipients = _all_recipients(destination)
        if not 1 <= len(recipients) <= 50 or not all(address.isascii() for address in recipients):
            raise _refusal(400, "BadRequestException", "Recipients are missing or too many.")


def _delivery_event(
    body: dict[str, Any], content: dict[str, Any], data: dict[str, Any], id_: str
) -> DeliveredEmail:
    destination = body["Destination"]
    kind, message = next(iter(content.items()))
    if kind == "Raw":
        recipients = tuple(_all_recipients(destination))
        delivered = read_message(b64decode(message["Data"], validate=True), recipients)
        return attrs.evolve(delivered, id=id_, raw=body)
    if kind == "Simple":
        subject = message["Subject"]["Data"]
        text = message["Body"].get("Text", {}).get("Data")
        html = message["Body"].get("Html", {}).get("Data")
    else:
        parts = message.get("TemplateContent", {})
        subject = _fill_template(parts.get("Subject"), data)
        text, html = (_fill_template(parts.get(kind), data) for kind in ("Text", "Html"))
    sender, name = read_address(body["FromEmailAddress"])
    headers = [*message.get("Headers", []), *body.get("ReplacementHeaders", [])]
    headers_by_name = {address["Name"]: address["Value"] for address in headers}
    return DeliveredEmail(
        id=id_,
        sender=sender,
        sender_name=name,
        to=tuple(parseaddr(address)[1] for address in destination.get("ToAddresses", [])),
        cc=tuple(parseaddr(address)[1] for address in destination.get("CcAddresses", [])),
        bcc=tuple(parseaddr(address)[1] for address in destination.get("BccAddresses", [])),
        subject=subject or "",
        text=text,
        html=html,
        headers={key: decoded_header(value) for key, value in headers_by_name.items()},
        items=tuple(
            attachment_item(
                file["FileName"],
                file["RawContent"],
                file.get("ContentType", ""),
                file.get("ContentId"),
                file.get("ContentDisposition", "ATTACHMENT").lower(),
            )
            for file in message.get("Attachments", [])
        ),
        raw=body,
    )


def _fill_template(text: str | None, data: dict[str, Any]) -> str | None:
    return None if text is None else _PLACEHOLDER.sub(lambda match: str(data[match[1]]), text)


def _refusal(status: int, name: str, message: str) -> base.Refusal:
    # The name is written as AWS writes it, including its surroundings.
    header = f"{name}:http://internal.amazon.com/coral/com.amazon.sesv2/"
    return base.refusal({"message": message}, status, x_amzn_ErrorType=header)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = AmazonSesSandbox()
    return email_fixture(sandbox, sandbox.account)
