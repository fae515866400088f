"""A local sandbox that imitates MailerSend.

Magic addresses: refused@example.com is refused as invalid, and suppressed@example.com is
suppressed. A message to throttled@example.com exceeds the rate limit, and during one to
outage@example.com MailerSend is being maintained. Senders at unverified.example are refused.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
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
from moorage.testing.sandboxes.webhook_signatures import hex_hmac

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moorage.testing.sandboxes.fixture import SandboxFixture

_PERSON: Final = {"email!": str, "name": str}
_FILE: Final = {
    "content!": str,
    "filename!": str,
    "disposition": words("attachment inline"),
    "id": str,
}
_MESSAGE: Final[dict[str, Any]] = {
    "from!": _PERSON,
    "to!": [_PERSON],
    "cc": [_PERSON],
    "bcc": [_PERSON],
    "reply_to": _PERSON,
    **typed(str, "subject text html template_id in_reply_to list_unsubscribe"),
    "attachments": [_FILE],
    "tags": [str],
    "references": [str],
    "personalization": [{"email!": str, "data!": dict}],
    "precedence_bulk": bool,
    "send_at": int,
    "settings": typed(bool, "track_clicks track_opens track_content"),
    "headers": [{"name!": str, "value!": str}],
}
_EVENTS: Final = words(
    "queued sent delivered soft_bounced hard_bounced deferred opened clicked unsubscribed"
    " spam_complaints survey_opened survey_submitted opened_unique clicked_unique"
)
_ANALYTICS: Final = words("domain_id date_from date_to group_by tags[] event[]")
_LIMITS: Final = {"to": 50, "cc": 10, "bcc": 10, "tags": 5}
_EMAIL: Final = re.compile(r"[!-?A-~]+@[a-zA-Z0-9.-]+")
_MOST_BYTES: Final = 25 * 1024 * 1024
_Fields = dict[str, Any]


class MailerSendSandbox(EmailSandbox):
    """A sandbox of MailerSend: email, statistics, and signed webhooks.

    Attributes:
        token: credentials that requests must have.
        templates: the ids of the existing templates.
    """

    hosts = ("api.mailersend.com",)

    token: str = "mlsn.sandbox-token"
    templates: tuple[str, ...] = ("welcome",)
    days: list[_Fields] = base.state_field(list)
    canceled: list[str] = base.state_field(list)
    suppressed: set[str] = base.state_field(lambda: {"suppressed@example.com"})
    webhook_secret: str = "mailersend-sandbox-signing-secret"

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "DELETE /v1/message-schedules/{id_}": self._cancel,
            "POST /v1/email": self._send,
            "GET /v1/analytics/date": self._analytics,
            "GET /v1/api-quota": self._quota,
        }

    def event_notice(self, url: str, event: Mapping[str, Any]) -> base.Notice:
        """Return a signed webhook about an event."""
        body = encode_json(dict(event))
        signature = hex_hmac(self.webhook_secret, body)
        headers = {"Content-Type": "application/json", "Signature": signature}
        return self.notify(url, body, headers)

    def _cancel(self, _: base.SandboxRequest, id_: str) -> Response:
        scheduled_ids = {mail.id for mail in self.delivered if "send_at" in mail.raw}
        if id_ not in scheduled_ids.difference(self.canceled):
            raise base.refusal({"message": "Resource not found."}, 404)
        self.canceled.append(id_)
        return Response(204)

    def _send(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        _check_shape(body)
        if "template_id" in body:
            if body["template_id"] not in self.templates:
                raise _field_refusal("template_id", "The selected template id is invalid.")
        else:
            if not body.get("subject"):
                raise _field_refusal("subject", "The subject field is required.")
            if not body.get("text") and not body.get("html"):
                raise _field_refusal("text", "The text field is required when html is not present.")
        _check_people(body)
        people = _all_addresses(body)
        _check_magic(people)
        suppressed_people = [email for email in people if email in self.suppressed]
        if len(suppressed_people) == len(people):
            return base.reply(_warning("ALL", suppressed_people), 202)
        id_ = f"{self.number():024x}"
        self.delivered.append(_delivered_message(body, id_, self.suppressed))
        if suppressed_people:
            return base.reply(_warning("SOME", suppressed_people), 202, x_message_id=id_)
        return Response(202, {"Content-Type": "text/html; charset=UTF-8", "x-message-id": id_})

    def _quota(self, _: base.SandboxRequest) -> Response:
        return base.reply({"quota": 100_000, "remaining": 99_999, "reset": "2026-03-02T00:00:00Z"})

    def _analytics(self, request: base.SandboxRequest) -> Response:
        names = {name for name, _ in request.query}
        query = dict(request.query)
        events = [value for name, value in request.query if name == "event[]"]
        if names - _ANALYTICS or not {"date_from", "date_to"} <= names:
            raise _field_refusal("date_from", "A parameter is missing or unknown.")
        if not set(events) <= _EVENTS or query.get("group_by", "days") != "days":
            raise _field_refusal("event.0", "The selected event is invalid.")
        first, last = int(query["date_from"]), int(query["date_to"])
        if first >= last:
            raise _field_refusal("date_to", "The date to must be higher than date from.")
        first_day, last_day = (
            datetime.fromtimestamp(timestamp, UTC) for timestamp in (first, last)
        )
        rows = [
            {"date": day["date"], **{name: day.get(name, 0) for name in events}}
            for day in days_between(
                self.days, "date", first_day.date().isoformat(), last_day.date().isoformat()
            )
        ]
        return base.reply({"data": {"group_by": "days", "stats": rows}})

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the API token of a request."""
        if request.bearer() != self.token:
            raise base.refusal({"message": "Unauthenticated."}, 401)


def _field_refusal(field: str, sentence: str) -> base.Refusal:
    return base.refusal({"message": sentence, "errors": {field: [sentence]}}, 422)


def _warning(word: str, emails: list[str]) -> _Fields:
    recipients = [{"email": email, "name": None, "reasons": ["hard_bounced"]} for email in emails]
    return {
        "message": "There are some warnings for your request.",
        "warnings": [
            {
                "type": f"{word}_SUPPRESSED",
                "message": f"{word.title()} of the recipients provided have been suppressed.",
                "recipients": recipients,
            }
        ],
    }


def _check_shape(body: Any) -> None:
    if not is_object(body):
        raise _field_refusal("from", "The from field is required.")
    for path, name, kind in problems(_MESSAGE, body):
        field = f"{path.removeprefix('#/').replace('/', '.')}.{name}" if "/" in path else name
        raise _field_refusal(field, f"The {name} field is {kind}.")
    for field, maximum in _LIMITS.items():
        if len(body.get(field, [])) > maximum:
            raise _field_refusal(field, f"The {field} may not have more than {maximum} items.")
    if len(encode_json(body)) > _MOST_BYTES:
        raise _field_refusal("attachments", "The attachments are too large.")
    if not body["to"]:
        raise _field_refusal("to", "The to field is required.")


def _all_recipients(body: _Fields) -> list[tuple[str, _Fields]]:
    single_fields = [(name, body[name]) for name in ("from", "reply_to") if name in body]
    address_lists = [
        (f"{name}.{number}", person)
        for name in ("to", "cc", "bcc")
        for number, person in enumerate(body.get(name, []))
    ]
    return single_fields + address_lists


def _check_people(body: _Fields) -> None:
    for field, person in _all_recipients(body):
        is_valid = _EMAIL.fullmatch(person["email"]) is not None
        if not is_valid or person["email"] == "refused@example.com":
            raise _field_refusal(
                f"{field}.email", f"The {field}.email must be a valid email address."
            )
        if set(",;") & set(person.get("name", "")):
            raise _field_refusal(f"{field}.name", f"The {field}.name format is invalid.")
    if body["from"]["email"].endswith("@unverified.example"):
        raise _field_refusal("from.email", "The from.email domain must be verified. #MS42207")
    emails = set(_all_addresses(body))
    if not {item["email"].lower() for item in body.get("personalization", [])} <= emails:
        raise _field_refusal("personalization.0.email", "The email is not among the recipients.")


def _all_addresses(body: _Fields) -> list[str]:
    return [
        person["email"].lower() for name in ("to", "cc", "bcc") for person in body.get(name, [])
    ]


def _check_magic(emails: list[str]) -> None:
    if "throttled@example.com" in emails:
        raise base.refusal({"message": "Too Many Attempts."}, 429, retry_after="1")
    if "outage@example.com" in emails:
        raise base.refusal({"message": "Service Unavailable"}, 503)


def _unsubscribe_headers(url: str | None) -> dict[str, str]:
    if url is None:
        return {}
    # MailerSend itself adds the header for one-click unsubscription.
    one_click = {"List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}
    return {"List-Unsubscribe": f"<{url}>"} | one_click


def _delivered_message(body: _Fields, id_: str, suppressed: set[str]) -> DeliveredEmail:
    def recipients(field: str) -> tuple[str, ...]:
        emails = (person["email"].lower() for person in body.get(field, []))
        return tuple(email for email in emails if email not in suppressed)

    return DeliveredEmail(
        id=id_,
        sender=body["from"]["email"],
        sender_name=body["from"].get("name"),
        to=recipients("to"),
        cc=recipients("cc"),
        bcc=recipients("bcc"),
        subject=body.get("subject", ""),
        text=body.get("text"),
        html=body.get("html"),
        headers={item["name"]: decoded_header(item["value"]) for item in body.get("headers", [])}
        | _unsubscribe_headers(body.get("list_unsubscribe")),
        items=tuple(
            attachment_item(
                file["filename"],
                file["content"],
                content_type_of(file["filename"]),
                file.get("id"),
                file.get("disposition", ""),
            )
            for file in body.get("attachments", [])
        ),
        raw=body,
    )


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = MailerSendSandbox()
    return email_fixture(sandbox, {"credentials": sandbox.token})
