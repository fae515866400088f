"""A local sandbox that imitates Resend.

Magic addresses: a message to refused@example.com is refused as invalid, one to
throttled@example.com exceeds the rate limit, and during one to outage@example.com Resend cannot be
reached. Senders at unverified.example are refused. A message with a file whose name does not match
its type is accepted but never delivered.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json, is_list, is_object
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import typed, words, wrong_names
from moorage.testing.sandboxes.email.base import (
    EmailSandbox,
    attachment_item,
    days_between,
    email_fixture,
    emails,
    read_address,
)
from moorage.testing.sandboxes.email.mailbox import DeliveredEmail, decoded_header
from moorage.testing.sandboxes.webhook_signatures import standard_headers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from moorage.testing.sandboxes.fixture import SandboxFixture

_FIELDS: Final[dict[str, type | tuple[type, ...]]] = {
    **typed(str, "from subject html text scheduled_at topic_id"),
    **typed((str, list), "to cc bcc reply_to"),
    **typed(dict, "template headers"),
    **typed(list, "attachments tags"),
}
_FILE: Final = words("content filename path content_type content_id")
_TAG: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")
_TYPES: Final = {"pdf": "application/pdf", "png": "image/png", "txt": "text/plain"}
_METRICS: Final = words("start_date end_date granularity dimensions metrics timezone")
_LARGEST_PAGE: Final = 100
_MOST_BYTES: Final = 40 * 1024 * 1024


class ResendSandbox(EmailSandbox):
    """A sandbox of Resend: email, statistics, and webhooks signed like Svix's.

    Attributes:
        api_key: credentials that requests must have.
        templates: the variables of the existing templates, by template id.
        canceled: the scheduled messages that were canceled, and are not delivered, by id.
    """

    hosts = ("api.resend.com",)

    api_key: str = "re_sandbox_key"
    templates: Mapping[str, tuple[str, ...]] = attrs.field(factory=lambda: {"welcome": ("name",)})
    days: list[dict[str, Any]] = base.state_field(list)
    canceled: dict[str, DeliveredEmail] = base.state_field(dict)
    last_events: dict[str, str] = base.state_field(dict)
    received: dict[str, dict[str, Any]] = base.state_field(dict)
    webhook_secret: str = f"whsec_{b64encode(b'resend-sandbox-webhooks!').decode()}"
    _replays: base.Replays = base.state_field(
        lambda: base.Replays(
            lambda: _refusal(409, "invalid_idempotent_request", "The body is another."),
            by_path=True,
            longest=256,
            invalid=lambda: _refusal(
                400, "invalid_idempotency_key", "The key has 1 to 256 characters."
            ),
        )
    )

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /emails": self._replays.once(self._send),
            "POST /emails/batch": self._replays.once(self._batch),
            "GET /emails/metrics": self._metrics,
            "GET /emails/receiving/{id_}": self._received,
            "GET /emails/receiving/{id_}/attachments": self._received_files,
            "GET /domains": self._domains,
            "GET /emails/{id_}": self._email,
            "POST /emails/{id_}/cancel": self._cancel,
            "GET /suppressions": self._suppressed,
            "POST /suppressions": self._suppress,
            "DELETE /suppressions/{address}": self._send_again,
        }

    def _email(self, _: base.SandboxRequest, id_: str) -> Response:
        mail = next((mail for mail in self.delivered if mail.id == id_), self.canceled.get(id_))
        if mail is None:
            raise _refusal(404, "not_found", "Email not found")
        usual_event = "scheduled" if "scheduled_at" in mail.raw else "delivered"
        last_event = self.last_events.get(id_, usual_event)
        recipients = list(mail.to)
        return base.reply(
            {"object": "email", "id": id_, "to": recipients, "last_event": last_event}
        )

    def _cancel(self, request: base.SandboxRequest, id_: str) -> Response:
        if self._email(request, id_).json()["last_event"] != "scheduled":
            raise _refusal(422, "validation_error", "The email is not scheduled.")
        self.last_events[id_] = "canceled"
        self.canceled[id_] = next(mail for mail in self.delivered if mail.id == id_)
        self.delivered.remove(self.canceled[id_])
        return base.reply({"object": "email", "id": id_})

    def _suppressed(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        emails, size = [*self.suppressions], int(query.get("limit", "20"))
        if not 1 <= size <= _LARGEST_PAGE:
            raise _refusal(422, "validation_error", "The limit is out of range.")
        start = int(query["after"].removeprefix("sup-")) + 1 if "after" in query else 0
        entries = [
            {
                "object": "suppression",
                "id": f"sup-{number}",
                "email": emails[number],
                "origin": self.suppressions[emails[number]],
                "source_id": None,
                "created_at": "2026-10-06T23:47:56.678Z",
            }
            for number in range(start, min(start + size, len(emails)))
        ]
        has_more = start + size < len(emails)
        return base.reply({"object": "list", "has_more": has_more, "data": entries})

    def _suppress(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        if not is_object(body) or set(body) != {"email"}:
            raise _refusal(422, "missing_required_field", "Missing `email` field.")
        self.suppressions.setdefault(body["email"].lower(), "manual")
        return base.reply({"object": "suppression", "id": self.uuid()}, 201)

    def _send_again(self, _: base.SandboxRequest, address: str) -> Response:
        if self.suppressions.pop(address, None) is None:
            raise _refusal(404, "not_found", "Suppression not found")
        return base.reply({"object": "suppression", "id": self.uuid(), "deleted": True})

    def event_notice(self, url: str, event: Mapping[str, Any], at: datetime) -> base.Notice:
        """Return a signed webhook about an event."""
        body = encode_json(dict(event))
        id_ = f"msg_{self.number():012d}"
        headers = standard_headers(self.webhook_secret, id_, at, body, prefix="svix")
        return self.notify(url, body, headers)

    def receive(self, message: Mapping[str, Any]) -> str:
        """Receive an email; return its id."""
        id_ = self.uuid()
        self.received[id_] = {"object": "email", "id": id_, **message}
        return id_

    def _received(self, request: base.SandboxRequest, id_: str) -> Response:
        if set(dict(request.query)) - {"html_format"} or id_ not in self.received:
            raise _refusal(404, "not_found", "The account has no email with this id.")
        return base.reply(self.received[id_])

    def _received_files(self, request: base.SandboxRequest, id_: str) -> Response:
        if set(dict(request.query)) - {"limit", "after", "before"} or id_ not in self.received:
            raise _refusal(404, "not_found", "The account has no email with this id.")
        files = [
            {**file, "download_url": f"https://inbound-cdn.resend.com/{id_}/{file['id']}"}
            for file in self.received[id_].get("attachments", [])
        ]
        return base.reply({"object": "list", "has_more": False, "data": files})

    def _send(self, request: base.SandboxRequest) -> Response:
        try:
            return base.reply(self._take_message(request.json(), batch=False))
        except _MessageRefused as refusal:
            raise _refusal(refusal.status, refusal.name, str(refusal)) from None

    def _batch(self, request: base.SandboxRequest) -> Response:
        bodies = request.json()
        if not is_list(bodies) or not 1 <= len(bodies) <= 100:
            raise _refusal(422, "validation_error", "A batch must be a list of 1 to 100 emails.")
        mode = request.headers.get("x-batch-validation", "strict")
        refusals = {
            number: error
            for number, message in enumerate(bodies)
            if (error := self._refusal_of(message))
        }
        if refusals and mode != "permissive":
            first_error = next(iter(refusals.values()))
            raise _refusal(first_error.status, first_error.name, str(first_error))
        accepted_messages = [
            self._take_message(message, batch=True)
            for number, message in enumerate(bodies)
            if number not in refusals
        ]
        errors = [{"index": number, "message": str(error)} for number, error in refusals.items()]
        return base.reply(
            {"data": accepted_messages} | ({"errors": errors} if mode == "permissive" else {})
        )

    def _refusal_of(self, body: Any) -> _MessageRefused | None:
        try:
            self._check_message(body, batch=True)
        except _MessageRefused as refusal:
            return refusal
        return None

    def _take_message(self, body: Any, *, batch: bool) -> dict[str, str]:
        self._check_message(body, batch=batch)
        id_ = self.uuid()
        if not any(map(_has_wrong_type, body.get("attachments", []))):
            self.delivered.append(_delivery_event(body, id_))
        return {"id": id_}

    def _check_message(self, body: Any, *, batch: bool) -> None:
        _check_fields(body)
        if batch and "attachments" in body:
            raise _MessageRefused(
                422, "validation_error", "An email of a batch cannot have attachments."
            )
        template = body.get("template")
        if template is None:
            if "subject" not in body:
                raise _MessageRefused(422, "missing_required_field", "Missing `subject` field.")
            if not body.get("html") and not body.get("text"):
                raise _MessageRefused(422, "validation_error", "Missing `html` or `text` field.")
        else:
            self._check_template(body, template)
        _check_people(body)

    def _check_template(self, body: dict[str, Any], template: dict[str, Any]) -> None:
        if "html" in body or "text" in body:
            raise _MessageRefused(
                422, "validation_error", "An email with a template cannot have `html` or `text`."
            )
        if set(template) - {"id", "variables"} or template.get("id") not in self.templates:
            raise _MessageRefused(404, "not_found", "Template not found")
        variables = template.get("variables", {})
        if set(self.templates[template["id"]]) - set(variables):
            raise _MessageRefused(422, "validation_error", "A variable of the template is missing.")
        if any(type(value) not in {str, int, float} for value in variables.values()):
            raise _MessageRefused(422, "validation_error", "A variable is neither text nor number.")

    def _domains(self, _: base.SandboxRequest) -> Response:
        return base.reply({"object": "list", "has_more": False, "data": []})

    def _metrics(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        if set(query) - _METRICS or query.get("dimensions") != "period":
            raise _refusal(422, "invalid_parameter", "The request has an unknown parameter.")
        first_day, last_day = query.get("start_date", ""), query.get("end_date", "")
        metric_names = query.get("metrics", "").split(",")
        rows = [
            {"period": day["period"], **{name: day.get(name, 0) for name in metric_names}}
            for day in days_between(self.days, "period", first_day, last_day)
        ]
        return base.reply({"object": "metrics", "granularity": "daily", "totals": {}, "data": rows})

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the credentials of a request."""
        if not request.headers.get("user-agent"):
            raise base.Refusal(Response(403, body=b"error code: 1010"))
        key = request.bearer()
        if key is None:
            raise _refusal(401, "missing_api_key", "Missing API key in the authorization header")
        if key != self.api_key:
            raise _refusal(403, "invalid_api_key", "API key is invalid")


class _MessageRefused(Exception):
    """Raised if one message of a permissive batch is refused while others are sent."""

    def __init__(self, status: int, name: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.name = name


def _refusal(status: int, name: str, message: str, **headers: str) -> base.Refusal:
    error = {"statusCode": status, "name": name, "message": message}
    return base.refusal(error, status, **headers)


def _check_fields(body: Any) -> None:
    if not is_object(body):
        raise _MessageRefused(422, "validation_error", "An email must be an object.")
    for name in wrong_names(_FIELDS, body):
        raise _MessageRefused(422, "validation_error", f"Invalid `{name}` field.")
    for name in ("from", "to"):
        if not body.get(name):
            raise _MessageRefused(422, "missing_required_field", f"Missing `{name}` field.")
    tags = body.get("tags", [])
    if len(tags) > 75 or not all(map(_is_tag, tags)):
        raise _MessageRefused(
            422, "validation_error", "Tags may contain only ASCII letters, numbers, _ and -."
        )
    for file in body.get("attachments", []):
        if set(file) - _FILE or not ("content" in file or "path" in file):
            raise _MessageRefused(
                422, "invalid_attachment", "An attachment must have a `content` or a `path`."
            )
    if len(encode_json(body)) > _MOST_BYTES:
        raise _MessageRefused(422, "validation_error", "The email is too large.")


def _is_tag(tag: dict[str, Any]) -> bool:
    return set(tag) == {"name", "value"} and None not in map(_TAG.fullmatch, tag.values())


def _type_of_file(file: dict[str, Any]) -> str | None:
    return _TYPES.get(file["filename"].rpartition(".")[2].lower())


def _has_wrong_type(file: dict[str, Any]) -> bool:
    expected, stated_type = _type_of_file(file), file.get("content_type", "").partition(";")[0]
    return expected is not None and stated_type not in {"", expected}


def _emails(body: dict[str, Any], name: str) -> tuple[str, ...]:
    addresses = body.get(name, [])
    return emails([addresses] if isinstance(addresses, str) else addresses)


def _check_people(body: dict[str, Any]) -> None:
    if _emails(body, "from")[0].endswith("@unverified.example"):
        raise _MessageRefused(
            403, "validation_error", "The unverified.example domain is not verified."
        )
    recipients = [email for name in ("to", "cc", "bcc") for email in _emails(body, name)]
    if len(_emails(body, "to")) > 50 or not all(
        "@" in address and address.isascii() for address in recipients
    ):
        raise _MessageRefused(422, "validation_error", "Invalid `to` field.")
    if "refused@example.com" in recipients:
        raise _MessageRefused(422, "validation_error", "Invalid `to` field: refused@example.com")
    if "throttled@example.com" in recipients:
        headers = {"ratelimit_limit": "10", "ratelimit_remaining": "0", "ratelimit_reset": "1"}
        raise _refusal(429, "rate_limit_exceeded", "Too many requests.", retry_after="1", **headers)
    if "outage@example.com" in recipients:
        raise _refusal(503, "service_unavailable", "API is temporarily unavailable")


def _delivery_event(body: dict[str, Any], id_: str) -> DeliveredEmail:
    sender, name = read_address(body["from"])
    html = body.get("html")
    # A missing text is derived from the HTML; an empty text means no text.
    text = body.get("text", html and re.sub(r"<[^>]*>", "", html))
    return DeliveredEmail(
        id=id_,
        sender=sender,
        sender_name=name,
        to=_emails(body, "to"),
        cc=_emails(body, "cc"),
        bcc=_emails(body, "bcc"),
        subject=body.get("subject", ""),
        text=text or None,
        html=html,
        headers={key: decoded_header(value) for key, value in body.get("headers", {}).items()},
        items=tuple(
            attachment_item(
                file["filename"],
                file["content"],
                file.get("content_type") or _type_of_file(file) or "application/octet-stream",
                file.get("content_id"),
            )
            for file in body.get("attachments", [])
        ),
        raw=body,
    )


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = ResendSandbox()
    id_ = sandbox.receive({"from": "ada@example.com", "to": [], "subject": "Hello", "text": "Hi."})
    return email_fixture(sandbox, {"credentials": sandbox.api_key}, received=id_)
