"""A local sandbox that imitates Mailjet.

Magic addresses: refused@example.com is refused as malformed. A message to throttled@example.com
exceeds the rate limit, and one to outage@example.com makes Mailjet fail. Senders at
unverified.example are refused. If one of several messages is wrong, the others are sent
nevertheless, and the response has the status of the error.
"""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import encode_json, is_list, is_object
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import typed, words, wrong_names
from moorage.testing.sandboxes.email.base import (
    EmailSandbox,
    attachment_item,
    days_between,
    email_fixture,
    is_base64,
)
from moorage.testing.sandboxes.email.mailbox import DeliveredEmail, decoded_header

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.fixture import SandboxFixture

_MESSAGE: Final[dict[str, type]] = {
    **typed(dict, "From Sender ReplyTo TemplateErrorReporting Headers Variables"),
    **typed(list, "To Cc Bcc Attachments InlinedAttachments"),
    **typed(
        str,
        "Subject TextPart HTMLPart CustomCampaign TrackOpens TrackClicks CustomID EventPayload"
        " MonitoringCategory URLTags",
    ),
    **typed(bool, "TemplateLanguage TemplateErrorDeliver DeduplicateCampaign"),
    **typed(int, "TemplateID Priority"),
}
_PERSON: Final[dict[str, type]] = typed(str, "Email Name")
_FILE: Final[dict[str, type]] = typed(str, "Filename ContentType Base64Content")
_TRACKING: Final = words("account_default enabled disabled")
_FORBIDDEN: Final = words(
    "from sender subject to cc bcc return-path delivered-to dkim-signature domainkey-status"
    " received-spf authentication-results received x-mailjet-prio x-mailjet-debug user-agent"
    " x-mailer x-mj-customid x-mj-eventpayload x-mj-vars x-mj-templateerrordeliver"
    " x-mj-templateerrorreporting x-mj-templatelanguage x-mailjet-trackopen x-mailjet-trackclick"
    " x-mj-templateid x-mj-workflowid x-feedback-id x-mailjet-segmentation list-id x-mj-mid"
    " x-mj-errormessage date x-csa-complaints message-id x-mailjet-campaign"
    " x-mj-statisticscontactslistid"
)
_COUNTERS: Final = words(
    "CounterSource CounterTiming CounterResolution FromTS ToTS Limit Offset SourceID"
)
_MOST_MESSAGES: Final = 50
_MOST_PEOPLE: Final = 50
_LONGEST_SUBJECT: Final = 255
_LONGEST_TAGS: Final = 256
_MOST_BYTES: Final = 15_000_000


class MailjetSandbox(EmailSandbox):
    """A sandbox of Mailjet: email by API 3.1, counters, and webhooks with a password.

    Attributes:
        api_key: the public part of the credentials.
        secret_key: the secret part.
        templates: the numbers of the templates.
    """

    hosts = ("api.mailjet.com",)

    api_key: str = "5f1c0000000000000000000000000001"
    secret_key: str = "mailjet-sandbox-secret-key"
    templates: tuple[int, ...] = (7,)
    days: list[dict[str, Any]] = base.state_field(list)
    password: str = "hook:sandbox"

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /v3.1/send": self._send,
            "GET /v3/REST/statcounters": self._statistics,
            "GET /v3/REST/sender": self._senders,
        }

    def event_notice(
        self, url: str, *events: Mapping[str, Any], grouped: bool = True
    ) -> base.Notice:
        """Return a webhook with these events, protected by basic authentication.

        Args:
            url: the address of the webhook.
            *events: the events, in Mailjet's own fields.
            grouped: False to send a single event without a list around it.
        """
        headers = {
            "Authorization": f"Basic {b64encode(self.password.encode()).decode()}",
            "Content-Type": "application/json",
        }
        items = [dict(event) for event in events]
        return self.notify(url, encode_json(items if grouped else items[0]), headers)

    def _send(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        if not is_object(body) or set(body) - {"Messages", "SandboxMode"}:
            raise self._refusal("mj-0002", "Malformed JSON, please review the syntax.")
        messages = body.get("Messages")
        if not is_list(messages):
            raise self._refusal("mj-0003", '"Messages" is mandatory')
        if not messages:
            raise self._refusal("mj-0007", '"Messages" cannot be empty')
        if len(messages) > _MOST_MESSAGES:
            raise self._refusal("mj-0008", 'Too many elements in "Messages"')
        if len(encode_json(body)) > 2 * _MOST_BYTES:
            raise self._refusal("mj-0011", "The payload is too large.")
        accepted: list[DeliveredEmail] = []
        results = [self._result_of(message, accepted) for message in messages]
        # A message may refuse the whole request.
        self.delivered += accepted
        statuses = [error["StatusCode"] for result in results for error in result.get("Errors", ())]
        return base.reply({"Messages": results}, statuses[0] if statuses else 200)

    def _result_of(self, message: Any, accepted: list[DeliveredEmail]) -> dict[str, Any]:
        try:
            self._check(message)
        except _MessageRefused as refusal:
            error = {
                "ErrorIdentifier": self.uuid(),
                "ErrorCode": refusal.code,
                "StatusCode": refusal.status,
                "ErrorMessage": str(refusal),
                "ErrorRelatedTo": [refusal.related],
            }
            return {"Status": "error", "Errors": [error]}
        self._check_magic(message)
        result: dict[str, Any] = {"Status": "success", "CustomID": message.get("CustomID", "")}
        for field in ("To", "Cc", "Bcc"):
            result[field] = [self._accepted_result(person) for person in message.get(field, [])]
        accepted.append(_delivered_email(str(result["To"][0]["MessageID"]), message))
        return result

    def _accepted_result(self, person: dict[str, str]) -> dict[str, Any]:
        number = 576460765503090000 + self.number()
        return {
            "Email": person["Email"],
            "MessageUUID": self.uuid(),
            "MessageID": number,
            "MessageHref": f"https://api.mailjet.com/v3/REST/message/{number}",
        }

    def _check(self, message: Any) -> None:
        if not is_object(message):
            raise _MessageRefused("mj-0004", "Messages", "Type mismatch.")
        for name in wrong_names(_MESSAGE, message):
            raise _MessageRefused("mj-0004", name, "Type mismatch or unknown property.")
        _check_people(message)
        self._check_content(message)
        _check_settings(message)
        _check_files(message)

    def _check_content(self, message: dict[str, Any]) -> None:
        number = message.get("TemplateID")
        if number is None:
            if not message.get("TextPart") and not message.get("HTMLPart"):
                raise _MessageRefused(
                    "send-0003",
                    "HTMLPart",
                    'At least "HTMLPart", "TextPart" or "TemplateID" must be provided.',
                )
            return
        if message.get("HTMLPart") or message.get("TextPart"):
            raise _MessageRefused(
                "send-0004", "TemplateID", "The request has both a template and its own content."
            )
        if number not in self.templates:
            raise _MessageRefused("send-0010", "TemplateID", "Template is not accessible.")

    def _check_magic(self, message: dict[str, Any]) -> None:
        people = {
            person["Email"].lower()
            for field in ("To", "Cc", "Bcc")
            for person in message.get(field, [])
        }
        if "throttled@example.com" in people:
            raise self._refusal(None, "Too many requests.", 429)
        if "outage@example.com" in people:
            raise self._refusal(None, "Internal Server Error.", 500)

    def _refusal(self, code: str | None, message: str, status: int = 400) -> base.Refusal:
        error: dict[str, Any] = {
            "ErrorIdentifier": self.uuid(),
            "ErrorMessage": message,
            "StatusCode": status,
        }
        return base.refusal(error | ({} if code is None else {"ErrorCode": code}), status)

    def _statistics(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        is_of_days = (
            query.get("CounterSource") == "APIKey"
            and query.get("CounterResolution") == "Day"
            and query.get("CounterTiming") in {"Message", "Event"}
        )
        if set(query) - _COUNTERS or not is_of_days:
            raise self._refusal(None, "Invalid filter.")
        first_day, last_day = (_day_of(query[name]) for name in ("FromTS", "ToTS"))
        days = days_between(self.days, "day", first_day, last_day)
        offset, limit = int(query.get("Offset", "0")), int(query.get("Limit", "10"))
        if not 0 < limit <= 1_000:
            raise self._refusal(None, "Invalid limit.")
        rows = [
            {"Timeslice": f"{row['day']}T00:00:00Z", **{n: v for n, v in row.items() if n != "day"}}
            for row in days[offset : offset + limit]
        ]
        return base.reply({"Count": len(rows), "Data": rows, "Total": len(days)})

    def _senders(self, _: base.SandboxRequest) -> Response:
        return base.reply({"Count": 0, "Data": [], "Total": 0})

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's API key and its secret."""
        if request.basic() != (self.api_key, self.secret_key):
            raise self._refusal(None, "API key authentication/authorization failure.", 401)


class _MessageRefused(Exception):
    """Raised if one message of a request is refused while others are sent."""

    def __init__(self, code: str, related: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.related = related
        self.status = status


def _day_of(seconds: str) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).date().isoformat()


def _check_person(person: Any, field: str) -> None:
    if not is_object(person) or wrong_names(_PERSON, person):
        raise _MessageRefused("mj-0004", field, "Type mismatch.")
    email = person.get("Email")
    if not email:
        raise _MessageRefused("mj-0012", field, "An empty value is not allowed.")
    if "@" not in email or not email.isascii() or email.lower() == "refused@example.com":
        raise _MessageRefused("mj-0013", field, f'"{email}" is an invalid email address.')


def _check_people(message: dict[str, Any]) -> None:
    if "From" not in message and "TemplateID" not in message:
        raise _MessageRefused("mj-0003", "From", '"From" is mandatory')
    if not message.get("To"):
        raise _MessageRefused("mj-0003", "To", '"To" is mandatory')
    people = [person for field in ("To", "Cc", "Bcc") for person in message.get(field, [])]
    for person in people:
        _check_person(person, "To")
    for field in ("From", "ReplyTo"):
        if field in message:
            _check_person(message[field], field)
    if len(people) > _MOST_PEOPLE:
        raise _MessageRefused("send-0015", "To", "There are too many recipients.")
    if message.get("From", {}).get("Email", "").endswith("@unverified.example"):
        raise _MessageRefused("send-0008", "From", "The sender is not authorized.", 403)
    if "Sender" in message:
        raise _MessageRefused("send-0006", "Sender", "The API key may not use this field.", 403)


def _check_settings(message: dict[str, Any]) -> None:
    if len(message.get("Subject", "")) > _LONGEST_SUBJECT:
        raise _MessageRefused("mj-0006", "Subject", "The value is too long.")
    if len(message.get("URLTags", "")) > _LONGEST_TAGS:
        raise _MessageRefused("mj-0006", "URLTags", "The value is too long.")
    for field in ("TrackOpens", "TrackClicks"):
        if message.get(field, "enabled") not in _TRACKING:
            raise _MessageRefused("mj-0005", field, "The value is not allowed.")
        if field in message and not message.get("HTMLPart") and "TemplateID" not in message:
            raise _MessageRefused("mj-0005", field, "The message has no HTML part.")
    headers = message.get("Headers", {})
    if not all(isinstance(value, str) for value in headers.values()):
        raise _MessageRefused("mj-0004", "Headers", "Type mismatch.")
    if _FORBIDDEN.intersection(name.lower() for name in headers):
        raise _MessageRefused("send-0011", "Headers", "A header cannot be customized.")
    if message.get("DeduplicateCampaign") and "CustomCampaign" not in message:
        raise _MessageRefused("send-0012", "CustomCampaign", "The request names no campaign.")
    is_reported = "TemplateErrorReporting" in message or "TemplateErrorDeliver" in message
    if is_reported and "TemplateLanguage" not in message:
        raise _MessageRefused("send-0016", "TemplateLanguage", "It is missing.")


def _check_files(message: dict[str, Any]) -> None:
    size = 0
    for field in ("Attachments", "InlinedAttachments"):
        types = _FILE | ({"ContentID": str} if field == "InlinedAttachments" else {})
        for file in message.get(field, []):
            if not is_object(file) or wrong_names(types, file):
                raise _MessageRefused("mj-0004", field, "Type mismatch.")
            if not all(file.get(name) for name in _FILE):
                raise _MessageRefused("mj-0012", field, "An empty value is not allowed.")
            size += len(file["Base64Content"])
    if size > _MOST_BYTES:
        raise _MessageRefused("mj-0011", "Attachments", "The files are too large.")
    for field in ("Attachments", "InlinedAttachments"):
        if not all(is_base64(file["Base64Content"]) for file in message.get(field, [])):
            raise _MessageRefused("mj-0004", field, "Type mismatch.")


def _emails(message: dict[str, Any], field: str) -> tuple[str, ...]:
    return tuple(person["Email"].lower() for person in message.get(field, []))


def _delivered_email(id_: str, message: dict[str, Any]) -> DeliveredEmail:
    sender = message.get("From", {"Email": "template@example.com"})
    return DeliveredEmail(
        id=id_,
        sender=sender["Email"],
        sender_name=sender.get("Name"),
        to=_emails(message, "To"),
        cc=_emails(message, "Cc"),
        bcc=_emails(message, "Bcc"),
        subject=message.get("Subject", ""),
        text=message.get("TextPart"),
        html=message.get("HTMLPart"),
        headers={name: decoded_header(value) for name, value in message.get("Headers", {}).items()},
        items=tuple(
            attachment_item(
                file["Filename"], file["Base64Content"], file["ContentType"], content_id
            )
            for field in ("Attachments", "InlinedAttachments")
            for file in message.get(field, [])
            for content_id in [
                file.get("ContentID", file["Filename"]) if field == "InlinedAttachments" else None
            ]
        ),
        raw=message,
    )


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = MailjetSandbox()
    options = {"api_key": sandbox.api_key, "credentials": sandbox.secret_key}
    return email_fixture(sandbox, options, template=str(sandbox.templates[0]))
