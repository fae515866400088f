"""A local sandbox that imitates Postmark.

Magic addresses: refused@example.com is inactive. A message to throttled@example.com exceeds the
rate limit, and during one to outage@example.com Postmark is under maintenance. Senders at
unverified.example are refused.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import encode_json, is_list, is_object
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed, words, wrong_names
from moorage.testing.sandboxes.email.base import (
    EmailSandbox,
    attachment_item,
    days_between,
    email_fixture,
    emails,
    is_base64,
    read_address,
)
from moorage.testing.sandboxes.email.mailbox import DeliveredEmail, decoded_header

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.fixture import SandboxFixture

_MANUAL: Final = "ManualSuppression"
_STREAMS: Final = words("outbound broadcast")
_MESSAGE: Final[dict[str, type]] = {
    **typed(str, "From To Cc Bcc ReplyTo Tag TrackLinks MessageStream"),
    **typed(list, "Headers Attachments"),
    "Metadata": dict,
    "TrackOpens": bool,
}
_PLAIN_FIELDS: Final[dict[str, type]] = typed(str, "Subject TextBody HtmlBody")
_TEMPLATE_FIELDS: Final[dict[str, type]] = {
    "TemplateId": int,
    "TemplateAlias": str,
    "TemplateModel": dict,
    "InlineCss": bool,
}
_HEADERS: Final = [typed(str, "Name! Value!")]
_FILES: Final = [{**typed(str, "Name! Content! ContentType!"), "ContentID": (str, type(None))}]
_FORBIDDEN: Final = re.compile(
    r".*\.(?:vbs|exe|bin|bat|chm|com|cpl|crt|hlp|hta|inf|ins|isp|jse|lnk|mdb|pcd|pif|reg|scr|sct"
    r"|shs|vbe|vba|wsf|wsh|wsl|msc|msi|msp|mst)",
    re.IGNORECASE,
)
_LINKS: Final = words("None HtmlAndText HtmlOnly TextOnly")
_MOST_BYTES: Final = 10 * 1024 * 1024
_DAYS: Final = {
    "sends": ("Sent",),
    "bounces": ("HardBounce", "SMTPApiError", "SoftBounce", "Transient"),
    "spam": ("SpamComplaint",),
    "opens": ("Opens", "Unique"),
    "clicks": ("Clicks", "Unique"),
}


class PostmarkSandbox(EmailSandbox):
    """A sandbox of Postmark: email, statistics, and webhooks with a password.

    Attributes:
        token: credentials that requests must have.
        templates: the aliases and the numbers of the existing templates.
    """

    hosts = ("api.postmarkapp.com",)

    token: str = "postmark-sandbox-token"
    templates: tuple[str, ...] = ("welcome", "7")
    days: list[dict[str, Any]] = base.state_field(list)
    inactive: set[str] = base.state_field(lambda: {"refused@example.com"})
    password: str = "hook:sandbox"

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /email": self._send,
            "POST /email/withTemplate": self._send_template,
            "POST /email/batch": self._batch,
            "POST /email/batchWithTemplates": self._batch_templates,
            "GET /stats/outbound/{report}": self._stats,
            "GET /server": self._server,
            "GET /messages/outbound/{id_}/details": self._details,
            "GET /message-streams/{stream}/suppressions/dump": self._suppressed,
            "POST /message-streams/{stream}/suppressions": self._suppress,
            "POST /message-streams/{stream}/suppressions/delete": self._send_again,
        }

    def _details(self, _: base.SandboxRequest, id_: str) -> Response:
        mail = next((mail for mail in self.delivered if mail.id == id_), None)
        if mail is None:
            raise _refusal(701, "This message was not found.")
        recipients = [*mail.to, *mail.cc, *mail.bcc]
        event_time = "2014-02-14T11:13:10.8054242-05:00"
        events = [
            {"Recipient": email, "Type": "Delivered", "ReceivedAt": event_time}
            for email in recipients
        ]
        message = {"MessageID": id_, "Status": "Sent", "Recipients": recipients}
        return base.reply({**message, "MessageEvents": events})

    def _suppressed(self, _: base.SandboxRequest, stream: str) -> Response:
        self._check_stream(stream)
        entries = [
            {
                "EmailAddress": email,
                "SuppressionReason": reason,
                "Origin": "Customer" if reason == _MANUAL else "Recipient",
                "CreatedAt": "2019-12-17T08:58:33-05:00",
            }
            for email, reason in self.suppressions.items()
        ]
        return base.reply({"Suppressions": entries})

    def _suppress(self, request: base.SandboxRequest, stream: str) -> Response:
        self._check_stream(stream)
        emails = _suppressed_emails(request)
        for email in emails:
            self.suppressions.setdefault(email, _MANUAL)
        return _changes(dict.fromkeys(emails, ("Suppressed", None)))

    def _send_again(self, request: base.SandboxRequest, stream: str) -> Response:
        self._check_stream(stream)
        results: dict[str, tuple[str, str | None]] = {}
        for email in _suppressed_emails(request):
            is_kept = self.suppressions.get(email) == "SpamComplaint"
            words = "You do not have the required authority to change this suppression."
            results[email] = ("Failed", words) if is_kept else ("Deleted", None)
            if not is_kept:
                self.suppressions.pop(email, None)
        return _changes(results)

    def _check_stream(self, stream: str) -> None:
        if stream not in _STREAMS:
            raise _refusal(1226, "The message stream was not found.")

    def event_notice(self, url: str, record: Mapping[str, Any]) -> base.Notice:
        """Return a webhook about an event, with basic authentication."""
        headers = {
            "Authorization": f"Basic {b64encode(self.password.encode()).decode()}",
            "Content-Type": "application/json",
        }
        return self.notify(url, encode_json(dict(record)), headers)

    def _send(self, request: base.SandboxRequest) -> Response:
        return self._answer_alone(request, self._check_plain)

    def _send_template(self, request: base.SandboxRequest) -> Response:
        return self._answer_alone(request, self._check_template)

    def _batch(self, request: base.SandboxRequest) -> Response:
        return self._answer_batch(request.json(), self._check_plain)

    def _batch_templates(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        if not is_object(body) or set(body) != {"Messages"}:
            raise _refusal(403, "Invalid request field(s) - Messages")
        return self._answer_batch(body["Messages"], self._check_template)

    def _answer_alone(self, request: base.SandboxRequest, check: Callable[[Any], None]) -> Response:
        [result] = self._results_of([request.json()], check)
        return base.reply(result, 422 if result["ErrorCode"] else 200)

    def _answer_batch(self, bodies: Any, check: Callable[[Any], None]) -> Response:
        if not is_list(bodies) or not bodies:
            raise _refusal(403, "Invalid request field(s) - Messages")
        if len(bodies) > 500:
            raise _refusal(410, "You may send 500 messages at once.")
        return base.reply(self._results_of(bodies, check))

    def _results_of(
        self, bodies: Sequence[Any], check: Callable[[Any], None]
    ) -> list[dict[str, Any]]:
        """Deliver messages, unless the whole request is refused; return a result for each."""
        accepted: list[DeliveredEmail] = []
        results = [self._result_of(body, check, accepted) for body in bodies]
        self.delivered += accepted
        return results

    def _result_of(
        self, body: Any, check: Callable[[Any], None], accepted: list[DeliveredEmail]
    ) -> dict[str, Any]:
        """Return Postmark's result for one message, and add an accepted one to a list."""
        try:
            check(body)
            recipients = _checked_people(body)
        except _MessageRefused as refusal:
            return {"ErrorCode": refusal.code, "Message": refusal.message}
        _check_magic(recipients)
        inactive_emails = [email for email in recipients if email in self.inactive]
        if len(inactive_emails) == len(recipients):
            return {
                "ErrorCode": 406,
                "Message": "You tried to send to recipient(s) that have been marked as inactive."
                f" Found inactive addresses: {', '.join(inactive_emails)}."
                " Inactive recipients are ones that have generated a hard bounce.",
            }
        id_ = self.uuid()
        accepted.append(_delivery_event(body, id_, self.inactive))
        message = "OK"
        if inactive_emails:
            message = (
                "Message OK, but will not deliver to these inactive addresses:"
                f" {', '.join(inactive_emails)}. Inactive recipients are ones that have bounced."
            )
        return {
            "To": body["To"],
            "SubmittedAt": "2026-03-01T12:00:00.1234567Z",
            "MessageID": id_,
            "ErrorCode": 0,
            "Message": message,
        }

    def _check_plain(self, body: Any) -> None:
        _check_fields(body, _MESSAGE | _PLAIN_FIELDS)
        if not body.get("TextBody") and not body.get("HtmlBody"):
            raise _MessageRefused(300, "Provide either email TextBody or HtmlBody or both.")

    def _check_template(self, body: Any) -> None:
        _check_fields(body, _MESSAGE | _TEMPLATE_FIELDS)
        if "TemplateModel" not in body:
            raise _MessageRefused(403, "Invalid request field(s) - TemplateModel")
        if str(body.get("TemplateId", body.get("TemplateAlias"))) not in self.templates:
            raise _MessageRefused(1101, "The server has no template of this id.")

    def _server(self, _: base.SandboxRequest) -> Response:
        return base.reply({"ID": 1, "Name": "Shop"})

    def _stats(self, request: base.SandboxRequest, report: str) -> Response:
        query = dict(request.query)
        if report not in _DAYS:
            return self.unknown(request)
        if set(query) - {"fromdate", "todate", "tag", "messagestream"}:
            raise _refusal(403, "Invalid request field(s)")
        first_day, last_day = query.get("fromdate", ""), query.get("todate", "")
        stream = query.get("messagestream")
        rows = [
            {"Date": day["Date"], **{name: day[name] for name in _DAYS[report] if name in day}}
            for day in days_between(self.days, "Date", first_day, last_day)
            if stream in {None, day.get("MessageStream")}
        ]
        sums = {name: sum(row.get(name, 0) for row in rows) for name in _DAYS[report]}
        return base.reply({"Days": rows, **sums})

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the server token of a request."""
        if request.headers.get("x-postmark-server-token") != self.token:
            raise _refusal(10, "The Server Token you provided is not valid.", 401)
        if request.headers.get("accept") != "application/json":
            raise _refusal(409, "JSON is required.", 415)


class _MessageRefused(Exception):
    """Raised if one message of a batch is refused while others are sent."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def _suppressed_emails(request: base.SandboxRequest) -> list[str]:
    body = request.json()
    if list(problems({"Suppressions!": [{"EmailAddress!": str}]}, body)):
        raise _refusal(403, "Invalid request field(s)")
    return [entry["EmailAddress"].lower() for entry in body["Suppressions"]]


def _changes(results: Mapping[str, tuple[str, str | None]]) -> Response:
    entries = [
        {"EmailAddress": email, "Status": status, "Message": words}
        for email, (status, words) in results.items()
    ]
    return base.reply({"Suppressions": entries})


def _refusal(code: int, message: str, status: int = 422) -> base.Refusal:
    return base.refusal({"ErrorCode": code, "Message": message}, status)


def _check_fields(body: Any, types: dict[str, type]) -> None:
    if not is_object(body):
        raise _MessageRefused(403, "Invalid request field(s)")
    for name in wrong_names(types, body):
        raise _MessageRefused(403, f"Invalid request field(s) - {name}")
    for name in ("From", "To"):
        if not body.get(name):
            raise _MessageRefused(300, f"Invalid '{name}' address: ''.")
    if body.get("TrackLinks", "None") not in _LINKS:
        raise _MessageRefused(403, "Invalid request field(s) - TrackLinks")
    for name, shape in (("Headers", _HEADERS), ("Attachments", _FILES)):
        if any(problems(shape, body.get(name, []))):
            raise _MessageRefused(403, f"Invalid request field(s) - {name}")
    _check_metadata(body.get("Metadata", {}))
    _check_files(body.get("Attachments", []))
    if len(encode_json(body)) > _MOST_BYTES:
        raise _refusal(300, "The message is too large.", 413)


def _check_metadata(words: dict[str, Any]) -> None:
    if not all(isinstance(word, str) for word in words.values()):
        raise _MessageRefused(403, "Invalid request field(s) - Metadata")
    too_long = any(len(name) > 20 or len(word) > 80 for name, word in words.items())
    if len(words) > 10 or too_long or len({name.lower() for name in words}) < len(words):
        raise _MessageRefused(300, "Invalid metadata content.")


def _check_files(files: list[dict[str, Any]]) -> None:
    for file in files:
        if _FORBIDDEN.fullmatch(file["Name"]):
            raise _MessageRefused(411, "The type of an attachment is forbidden.")
        content_id = file.get("ContentID") or "cid:"
        if "/" not in file["ContentType"] or not content_id.startswith("cid:"):
            raise _MessageRefused(300, "An attachment has no valid type or content id.")
        if not is_base64(file["Content"]):
            raise _MessageRefused(300, "The content of an attachment is not in base64.")


def _emails(body: dict[str, Any], name: str) -> list[str]:
    return [email for email in emails([body.get(name, "")]) if email]


def _checked_people(body: dict[str, Any]) -> list[str]:
    if _emails(body, "From")[0].endswith("@unverified.example"):
        raise _MessageRefused(400, "The 'From' address is not a Sender Signature on your account.")
    recipients = [email for name in ("To", "Cc", "Bcc") for email in _emails(body, name)]
    if len(recipients) > 50:
        raise _MessageRefused(300, "A maximum of 50 recipients is allowed.")
    if any("@" not in email or not email.isascii() for email in recipients):
        raise _MessageRefused(300, "Error parsing 'To': Illegal email address.")
    return recipients


def _check_magic(people: list[str]) -> None:
    if "throttled@example.com" in people:
        raise _refusal(429, "Rate limit exceeded.", 429)
    if "outage@example.com" in people:
        raise _refusal(100, "Postmark is offline for maintenance.", 503)


def _delivery_event(body: dict[str, Any], id_: str, inactive: set[str]) -> DeliveredEmail:
    sender, name = read_address(body["From"])

    def recipients(field: str) -> tuple[str, ...]:
        return tuple(email for email in _emails(body, field) if email not in inactive)

    return DeliveredEmail(
        id=id_,
        sender=sender,
        sender_name=name,
        to=recipients("To"),
        cc=recipients("Cc"),
        bcc=recipients("Bcc"),
        subject=body.get("Subject", ""),
        text=body.get("TextBody"),
        html=body.get("HtmlBody"),
        headers={
            header["Name"]: decoded_header(header["Value"]) for header in body.get("Headers", [])
        },
        items=tuple(
            attachment_item(
                file["Name"],
                file["Content"],
                file["ContentType"],
                file["ContentID"].removeprefix("cid:") if file.get("ContentID") else None,
            )
            for file in body.get("Attachments", [])
        ),
        raw=body,
    )


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = PostmarkSandbox()
    return email_fixture(sandbox, {"credentials": sandbox.token})
