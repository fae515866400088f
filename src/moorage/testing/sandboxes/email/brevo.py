"""A local sandbox that imitates Brevo.

Magic addresses: refused@example.com is refused as invalid. A message to throttled@example.com
exceeds the rate limit, and during one to outage@example.com Brevo cannot be reached. Senders at
unverified.example are refused.
"""

from __future__ import annotations

import re
from base64 import b64encode
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json, is_object
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed, words
from moorage.testing.sandboxes.email.base import (
    EmailSandbox,
    attachment_item,
    content_type_of,
    days_between,
    email_fixture,
)
from moorage.testing.sandboxes.email.mailbox import DeliveredEmail, decoded_header

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moorage.testing.sandboxes.fixture import SandboxFixture

_LARGEST_PAGE: Final = 100
_PERSON: Final = {"email!": str, "name": str}
_VERSION: Final[dict[str, Any]] = {
    "to!": [_PERSON],
    "cc": [_PERSON],
    "bcc": [_PERSON],
    "replyTo": _PERSON,
    **typed(dict, "headers params"),
    **typed(str, "subject htmlContent textContent"),
}
_MESSAGE: Final[dict[str, Any]] = {
    **{name.rstrip("!"): shape for name, shape in _VERSION.items()},
    "sender": {"email": str, "name": str, "id": int},
    "attachment": [{"url": str, "content": str, "name": str}],
    "templateId": int,
    "tags": [str],
    **typed(str, "scheduledAt batchId preheader"),
    "messageVersions": [_VERSION],
}
_FILES: Final = words(
    "xlsx xls ods docx docm doc csv pdf txt gif jpg jpeg png tif tiff rtf bmp cgm css shtml html"
    " htm zip xml ppt pptx tar ez ics mobi msg pub eps odt mp3 m4a m4v wma ogg flac wav aif aifc"
    " aiff mp4 mov avi mkv mpeg mpg wmv pkpass xlsm"
)
_DATE_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(?:Z|[+-]\d\d:\d\d)")
_EMAIL: Final = re.compile(r"[!-?A-~]+@[a-zA-Z0-9.-]+")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_REPORTS: Final = words("limit offset startDate endDate days tag sort")
_MOST_BYTES: Final = 15 * 1024 * 1024
_TEXTS: Final = ("subject", "htmlContent", "textContent")
_LONGEST_NAME: Final = 70
_Fields = dict[str, Any]


class BrevoSandbox(EmailSandbox):
    """A sandbox of Brevo: email, statistics, and webhooks with a token.

    Attributes:
        api_key: credentials that requests must have.
        templates: the numbers of the existing templates.
    """

    hosts = ("api.brevo.com",)

    api_key: str = "xkeysib-sandbox-key"
    templates: tuple[int, ...] = (7,)
    canceled: list[str] = base.state_field(list)
    days: list[_Fields] = base.state_field(list)
    webhook_token: str = "brevo-sandbox-webhook-token"
    password: str = "hook:sandbox"

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /v3/smtp/email": self._send,
            "GET /v3/smtp/statistics/reports": self._reports,
            "GET /v3/account": self._account,
            "DELETE /v3/smtp/email/{id_}": self._cancel,
            "GET /v3/smtp/blockedContacts": self._suppressed,
            "DELETE /v3/smtp/blockedContacts/{address}": self._send_again,
        }

    def _cancel(self, _: base.SandboxRequest, id_: str) -> Response:
        scheduled_ids = {f"<{mail.id}>" for mail in self.delivered if "scheduledAt" in mail.raw}
        if id_ not in scheduled_ids.difference(self.canceled):
            raise _refusal("document_not_found", "No scheduled email was found", 404)
        self.canceled.append(id_)
        return Response(204)

    def _suppressed(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        start, size = int(query.get("offset", "0")), int(query.get("limit", "0"))
        if not 1 <= size <= _LARGEST_PAGE:
            raise _refusal("out_of_range", "limit is out of range")
        contacts = [
            {
                "email": email,
                "senderEmail": "",
                "reason": {"code": code, "message": "As you wish."},
                "blockedAt": "2017-05-01T12:30:00Z",
            }
            for email, code in [*self.suppressions.items()][start : start + size]
        ]
        return base.reply({"count": len(self.suppressions), "contacts": contacts})

    def _send_again(self, _: base.SandboxRequest, address: str) -> Response:
        if self.suppressions.pop(address, None) is None:
            raise _refusal("document_not_found", "Contact does not exist", 404)
        return Response(204)

    def event_notice(self, url: str, event: Mapping[str, Any]) -> base.Notice:
        """Return a webhook about an event, with the webhook's token."""
        return self._notice(url, event, f"Bearer {self.webhook_token}")

    def event_notice_with_password(self, url: str, event: Mapping[str, Any]) -> base.Notice:
        """Return a webhook for a URL that contains a user name and a password."""
        return self._notice(url, event, f"Basic {b64encode(self.password.encode()).decode()}")

    def _notice(self, url: str, event: Mapping[str, Any], authorization: str) -> base.Notice:
        headers = {"Authorization": authorization, "Content-Type": "application/json"}
        return self.notify(url, encode_json(dict(event)), headers)

    def _send(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        if not is_object(body):
            raise _refusal("bad_request", "The body is not an object.")
        _check_shape(body)
        self._check_contents(body)
        versions = _versions_of(body)
        for version in versions:
            _check_people(version)
        _check_sender(body["sender"])
        _check_magic(
            [person["email"] for version in versions for person in _all_recipients(version)]
        )
        ids = [self._deliver(body, version) for version in versions]
        answer: _Fields = (
            {"messageIds": ids} if "messageVersions" in body else {"messageId": ids[0]}
        )
        if "scheduledAt" not in body:
            return base.reply(answer, 201)
        return base.reply({**answer, "batchId": body.get("batchId", self.uuid())}, 202)

    def _check_contents(self, body: _Fields) -> None:
        if "templateId" in body:
            if body["templateId"] not in self.templates:
                raise _refusal("document_not_found", "Template does not exist", 404)
        else:
            if "sender" not in body:
                raise _refusal("missing_parameter", "sender is missing")
            if not body.get("subject"):
                raise _refusal("missing_parameter", "subject is missing")
            if not body.get("htmlContent") and not body.get("textContent"):
                raise _refusal(
                    "missing_parameter", "Either of htmlContent or textContent is required"
                )
        if not {"email", "id"} & set(body.get("sender", {})):
            raise _refusal("missing_parameter", "One of sender email or sender ID is mandatory")
        if _DATE_TIME.fullmatch(body.get("scheduledAt", "2026-01-01T00:00:00.000Z")) is None:
            raise _refusal("invalid_parameter", "scheduledAt is not valid")

    def _deliver(self, body: _Fields, version: _Fields) -> str:
        id_ = f"<202603011200.{self.number():011d}@smtp-relay.mailin.fr>"
        self.delivered.append(_delivered_message(body, version, id_.strip("<>")))
        return id_

    def _account(self, _: base.SandboxRequest) -> Response:
        return base.reply({"email": "owner@acme.example", "companyName": "Acme", "plan": []})

    def _reports(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        first_day, last_day = query.get("startDate", ""), query.get("endDate", "")
        if set(query) - _REPORTS or query.get("sort", "desc") not in {"asc", "desc"}:
            raise _refusal("invalid_parameter", "The request has an unknown parameter.")
        if _DAY.fullmatch(first_day) is None or _DAY.fullmatch(last_day) is None:
            raise _refusal("invalid_parameter", "startDate and endDate must be days.")
        numbers = (query.get("limit", "10"), query.get("offset", "0"))
        if not all(number.isdigit() for number in numbers):
            raise _refusal("invalid_parameter", "limit and offset must be numbers.")
        limit, offset = map(int, numbers)
        if limit > 30:
            raise _refusal("out_of_range", "limit is out of range")
        rows = list(days_between(self.days, "date", first_day, last_day))
        if query.get("sort") != "asc":
            rows.reverse()
        return base.reply({"reports": rows[offset : offset + limit]})

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the API key of a request."""
        key = request.headers.get("api-key")
        if key is None:
            raise _refusal("unauthorized", "authentication not found in headers", 401)
        if key != self.api_key:
            raise _refusal("unauthorized", "Key not found", 401)


def _refusal(code: str, message: str, status: int = 400) -> base.Refusal:
    return base.refusal({"code": code, "message": message}, status)


def _check_shape(body: _Fields) -> None:
    for path, name, kind in problems(_MESSAGE, body):
        code = "missing_parameter" if kind == "missing" else "invalid_parameter"
        raise _refusal(code, f"{name} is {kind} in {path}")
    if _size_of(body) > _MOST_BYTES:
        raise _refusal("invalid_parameter", "The email is too large.")
    for file in body.get("attachment", []):
        _check_file(file)
    for headers in (part.get("headers", {}) for part in (body, *body.get("messageVersions", []))):
        if not all(isinstance(value, str) and value for value in headers.values()):
            raise _refusal("invalid_parameter", "headers must be texts")


def _size_of(body: _Fields) -> int:
    """Return the size in bytes of a message's largest version, with its files."""
    common_fields = {
        name: value for name, value in body.items() if name not in {*_TEXTS, "messageVersions"}
    }
    texts = {name: body.get(name) for name in _TEXTS}
    versions = (
        {name: version.get(name, text) for name, text in texts.items()}
        for version in body.get("messageVersions", [{}])
    )
    sizes = (len(encode_json(version)) for version in versions)
    return len(encode_json(common_fields)) + max(sizes, default=0)


def _check_file(file: _Fields) -> None:
    if "url" in file:
        return
    if "content" not in file or not file.get("name"):
        raise _refusal("missing_parameter", "attachment name is missing")
    _, dot, ending = file["name"].lower().rpartition(".")
    if not dot or ending not in _FILES:
        raise _refusal("invalid_parameter", "Unsupported file format")


def _versions_of(body: _Fields) -> list[_Fields]:
    """Return the message for each recipient, including the common fields."""
    if "messageVersions" not in body:
        if not body.get("to"):
            raise _refusal("missing_parameter", "to is missing")
        return [body]
    versions = body["messageVersions"]
    if "to" in body:
        raise _refusal("invalid_parameter", "to is not allowed beside messageVersions")
    if not 1 <= len(versions) <= 1_000:
        raise _refusal("invalid_parameter", "The request must have 1 to 1000 messageVersions.")
    if sum(len(list(_all_recipients(version))) for version in versions) > 2_000:
        raise _refusal("invalid_parameter", "The request has more than 2000 recipients.")
    common_fields = {name: value for name, value in body.items() if name != "messageVersions"}
    merged_headers = [
        {**common_fields.get("headers", {}), **version.get("headers", {})} for version in versions
    ]
    return [
        {**common_fields, **version, "headers": headers}
        for version, headers in zip(versions, merged_headers, strict=True)
    ]


def _all_recipients(version: _Fields) -> chain[_Fields]:
    return chain.from_iterable(version.get(name, []) for name in ("to", "cc", "bcc"))


def _check_people(version: _Fields) -> None:
    if not version["to"]:
        raise _refusal("missing_parameter", "to is missing")
    recipients = list(_all_recipients(version))
    if len(recipients) > 99:
        raise _refusal("invalid_parameter", "There are more than 99 recipients in a version.")
    replies = [version["replyTo"]] if "replyTo" in version else []
    for person in (*recipients, *replies):
        is_valid = _EMAIL.fullmatch(person["email"]) is not None
        if not is_valid or person["email"] == "refused@example.com":
            raise _refusal("invalid_parameter", "email is not valid in to")
        if len(person.get("name", "")) > _LONGEST_NAME:
            raise _refusal("invalid_parameter", "name is too long in to")


def _check_sender(sender: _Fields) -> None:
    if "email" in sender and _EMAIL.fullmatch(sender["email"]) is None:
        raise _refusal("invalid_parameter", "valid sender email required")
    if sender.get("email", "").endswith("@unverified.example"):
        raise _refusal("invalid_parameter", "Sender is not valid. Validate your sender.")


def _check_magic(emails: list[str]) -> None:
    if "throttled@example.com" in emails:
        fields = {"x_sib_ratelimit_limit": "1000", "x_sib_ratelimit_remaining": "0"}
        error = {"message": "Too many requests."}
        raise base.refusal(error, 429, **fields, x_sib_ratelimit_reset="1")
    if "outage@example.com" in emails:
        raise base.Refusal(Response(503, body=b"Service Unavailable"))


def _delivered_message(body: _Fields, version: _Fields, id_: str) -> DeliveredEmail:
    sender = body["sender"]

    def recipients(field: str) -> tuple[str, ...]:
        return tuple(person["email"].lower() for person in version.get(field, []))

    return DeliveredEmail(
        id=id_,
        sender=sender.get("email", ""),
        sender_name=decoded_header(sender["name"]) if "name" in sender else None,
        to=recipients("to"),
        cc=recipients("cc"),
        bcc=recipients("bcc"),
        subject=version.get("subject", ""),
        text=version.get("textContent"),
        html=version.get("htmlContent"),
        headers={name: decoded_header(value) for name, value in version.get("headers", {}).items()},
        items=tuple(
            attachment_item(file["name"], file["content"], content_type_of(file["name"]), None)
            for file in body.get("attachment", [])
            if "content" in file
        ),
        raw=version,
    )


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = BrevoSandbox()
    return email_fixture(sandbox, {"credentials": sandbox.api_key}, template="7")
