"""A local sandbox that imitates Mailtrap's sending API.

Magic addresses: refused@example.com is refused as invalid, a message to throttled@example.com
exceeds the rate limit, and during one to outage@example.com Mailtrap fails. Senders at
unverified.example are refused.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import encode_json, is_list, is_object
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed, words
from moorage.testing.sandboxes.email.base import (
    EmailSandbox,
    attachment_item,
    email_fixture,
    is_base64,
)
from moorage.testing.sandboxes.email.mailbox import DeliveredEmail, decoded_header
from moorage.testing.sandboxes.webhook_signatures import hex_hmac

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.fixture import SandboxFixture

_PERSON: Final = {"email!": str, "name": str}
_FILE: Final = {
    **typed(str, "content! filename! type"),
    "disposition": words("attachment inline"),
    "content_id": str,
}
_MESSAGE: Final[dict[str, Any]] = {
    "from!": _PERSON,
    **{name: [_PERSON] for name in ("to", "cc", "bcc")},
    "reply_to": _PERSON,
    **typed(str, "subject text html category template_uuid"),
    "attachments": [_FILE],
    **typed(dict, "headers custom_variables template_variables"),
}
_RECIPIENTS: Final = ("to", "cc", "bcc")
_EMAIL: Final = re.compile(r"[!-?A-~]+@[a-zA-Z0-9.-]+")
_MOST_PEOPLE: Final = 1_000
_MOST_MESSAGES: Final = 500
_MOST_BYTES: Final = 50 * 1024 * 1024
_LONGEST_CATEGORY: Final = 255
_Fields = dict[str, Any]


class MailtrapSandbox(EmailSandbox):
    """A sandbox of Mailtrap: email, and signed webhooks.

    Attributes:
        token: credentials that requests must have.
        templates: the ids of the existing templates.
    """

    hosts = ("send.api.mailtrap.io", "bulk.api.mailtrap.io")

    token: str = "mailtrap-sandbox-token"
    templates: tuple[str, ...] = ("b81aabcd-1a1e-41cf-91b6-eca0254b3d96",)
    webhook_secret: str = "8d723895225e7b0f1c4a2e5d6f708192"

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {"POST /api/send": self._send, "POST /api/batch": self._batch}

    def event_notice(self, url: str, *events: Mapping[str, Any]) -> base.Notice:
        """Return a signed webhook about events."""
        body = encode_json({"events": [dict(event) for event in events]})
        signature = hex_hmac(self.webhook_secret, body)
        headers = {"Content-Type": "application/json", "Mailtrap-Signature": signature}
        return self.notify(url, body, headers)

    def _send(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        errors = [*self._errors(body)]
        if errors:
            raise _refusal(*errors)
        return base.reply(self._accept(body, self.delivered))

    def _batch(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        if not is_object(body) or not is_list(body.get("requests")) or set(body) - {"requests"}:
            raise _refusal("'requests' is required")
        messages = body["requests"]
        if not 1 <= len(messages) <= _MOST_MESSAGES or len(request.body) > _MOST_BYTES:
            raise _refusal("the batch is too large")
        accepted: list[DeliveredEmail] = []
        entries = [self._entry(message, accepted) for message in messages]
        # A message may refuse the whole batch.
        self.delivered += accepted
        return base.reply({"success": True, "responses": entries})

    def _entry(self, message: Any, accepted: list[DeliveredEmail]) -> _Fields:
        errors = [*self._errors(message)]
        return {"success": False, "errors": errors} if errors else self._accept(message, accepted)

    def _accept(self, body: _Fields, accepted: list[DeliveredEmail]) -> _Fields:
        ids = [self.uuid() for name in _RECIPIENTS for _ in body.get(name, [])]
        accepted.append(_delivered_message(body, ids[0]))
        return {"success": True, "message_ids": ids}

    def _errors(self, body: Any) -> Iterator[str]:
        if not is_object(body):
            yield "the message is not an object"
            return
        wrong_fields = [f"'{name}' is {kind}" for _, name, kind in problems(_MESSAGE, body)]
        if wrong_fields:
            yield from wrong_fields
            return
        people = [person for name in _RECIPIENTS for person in body.get(name, [])]
        if not people:
            yield "'to', 'cc' or 'bcc' address is required"
        if any(len(body.get(name, [])) > _MOST_PEOPLE for name in _RECIPIENTS):
            yield "too many recipients"
        yield from self._content_errors(body)
        _check_magic({person["email"].lower() for person in people})
        for person in (body["from"], *people, *filter(None, [body.get("reply_to")])):
            email = person["email"]
            if _EMAIL.fullmatch(email) is None or email == "refused@example.com":
                yield f"'{email}' address is invalid"
        if body["from"]["email"].endswith("@unverified.example"):
            raise _refusal("Sending from domain unverified.example is not allowed", status=403)

    def _content_errors(self, body: _Fields) -> Iterator[str]:
        for name in ("custom_variables", "headers"):
            if not all(isinstance(text, str) for text in body.get(name, {}).values()):
                yield f"'{name}' is invalid"
        if not all(is_base64(file["content"]) for file in body.get("attachments", [])):
            yield "'attachments' is invalid"
        if len(body.get("category", "")) > _LONGEST_CATEGORY:
            yield "'category' is too long"
        if "template_uuid" not in body:
            if not body.get("subject"):
                yield "'subject' is required"
            if not body.get("text") and not body.get("html"):
                yield "must specify either text or html body"
            return
        for name in words("subject text html category") & set(body):
            yield f"'{name}' is not allowed with 'template_uuid'"
        if body["template_uuid"] not in self.templates:
            yield "'template_uuid' is invalid"

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the API token of a request."""
        if request.bearer() != self.token:
            raise _refusal("Unauthorized", status=401)


def _refusal(*errors: str, status: int = 400) -> base.Refusal:
    return base.refusal({"success": False, "errors": [*errors]}, status)


def _check_magic(emails: set[str]) -> None:
    if "throttled@example.com" in emails:
        raise _refusal("Rate limit exceeded", status=429)
    if "outage@example.com" in emails:
        raise _refusal("Internal server error", status=500)


def _delivered_message(body: _Fields, id_: str) -> DeliveredEmail:
    recipients, cc, bcc = (
        tuple(person["email"].lower() for person in body.get(name, [])) for name in _RECIPIENTS
    )
    return DeliveredEmail(
        id=id_,
        sender=body["from"]["email"],
        sender_name=body["from"].get("name"),
        to=recipients,
        cc=cc,
        bcc=bcc,
        subject=body.get("subject", ""),
        text=body.get("text"),
        html=body.get("html"),
        headers={name: decoded_header(text) for name, text in body.get("headers", {}).items()},
        items=tuple(
            attachment_item(
                file["filename"],
                file["content"],
                file.get("type", "application/octet-stream"),
                file.get("content_id"),
                file.get("disposition", ""),
            )
            for file in body.get("attachments", [])
        ),
        raw=body,
    )


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = MailtrapSandbox()
    return email_fixture(sandbox, {"credentials": sandbox.token}, template=sandbox.templates[0])
