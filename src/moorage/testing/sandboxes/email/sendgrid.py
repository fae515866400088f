"""A local sandbox that imitates SendGrid.

Magic addresses: a request with a message to refused@example.com is refused as a whole, one to
throttled@example.com exceeds the rate limit, and one to outage@example.com makes SendGrid fail.
Senders at unverified.example are refused.
"""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from moorage.domain.http.requests import Response
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed, words
from moorage.testing.sandboxes.email.base import (
    EmailSandbox,
    attachment_item,
    days_between,
    email_fixture,
    is_base64,
)
from moorage.testing.sandboxes.email.mailbox import DeliveredEmail, decoded_header

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from moorage.testing.sandboxes.fixture import SandboxFixture

_UNSUBSCRIBED: Final = "unsubscribes"
_SUPPRESSIONS: Final = words("bounces blocks invalid_emails spam_reports unsubscribes")
_LARGEST_PAGE: Final = 500
_PERSON: Final = {"email!": str, "name": str}
_MAIL: Final[dict[str, Any]] = {
    "personalizations!": [
        {
            "to!": [_PERSON],
            **typed([_PERSON], "cc bcc"),
            "from": _PERSON,
            "subject": str,
            **typed(dict, "headers substitutions dynamic_template_data custom_args"),
            "send_at": int,
        }
    ],
    **typed(_PERSON, "from! reply_to"),
    "reply_to_list": [_PERSON],
    **typed(str, "subject template_id batch_id ip_pool_name"),
    "content": [typed(str, "type! value!")],
    "attachments": [
        {
            **typed(str, "content! filename! type content_id"),
            "disposition": words("inline attachment"),
        }
    ],
    "headers": dict,
    "categories": [str],
    # SendGrid describes a string, and its events have the fields of an object.
    "custom_args": (str, dict),
    "send_at": int,
    "asm": {"group_id!": int, "groups_to_display": [int]},
    "mail_settings": {
        **typed(
            {"enable": bool},
            "bypass_bounce_management bypass_list_management bypass_spam_management"
            " bypass_unsubscribe_management sandbox_mode",
        ),
        "footer": {"enable": bool, "html": str, "text": str},
    },
    "tracking_settings": {
        "click_tracking": typed(bool, "enable enable_text"),
        "open_tracking": {"enable": bool, "substitution_tag": str},
        "subscription_tracking": {"enable": bool, **typed(str, "html substitution_tag text")},
        "ganalytics": {
            "enable": bool,
            **typed(str, "utm_campaign utm_content utm_medium utm_source utm_term"),
        },
    },
}
_LONGEST_CATEGORY: Final = 255
_CONTENTS: Final = {"text/plain": 0, "text/x-amp-html": 1, "text/html": 2}
"""Positions of the kinds of content in a message; any other kind is last."""
_MAGIC: Final = {
    "refused@example.com": (400, "The recipient is refused.", "personalizations.0.to"),
    "throttled@example.com": (429, "too many requests", None),
    "outage@example.com": (503, "service unavailable", None),
}


class SendGridSandbox(EmailSandbox):
    """A sandbox of SendGrid: email, address checks, statistics and signed webhooks.

    Attributes:
        api_key: credentials that requests must have.
        templates: the ids of the existing templates.
    """

    hosts = ("api.sendgrid.com", "api.eu.sendgrid.com")

    api_key: str = "SG.sandbox"
    templates: tuple[str, ...] = ("d-welcome",)
    days: list[dict[str, Any]] = base.state_field(list)
    _key: ec.EllipticCurvePrivateKey = base.state_field(
        lambda: ec.generate_private_key(ec.SECP256R1())
    )

    @property
    def public_key(self) -> str:
        """The public key that verifies webhooks, in SendGrid's format."""
        key = self._key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return b64encode(key).decode()

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /v3/mail/send": self._send,
            "POST /v3/validations/email": self._validate,
            "GET /v3/stats": self._stats,
            "GET /v3/scopes": self._scopes,
            "GET /v3/suppression/{name}": self._suppressed,
            "DELETE /v3/suppression/{name}/{address}": self._send_again,
            "POST /v3/asm/suppressions/global": self._suppress,
            "DELETE /v3/asm/suppressions/global/{address}": self._subscribe,
        }

    def _suppressed(self, request: base.SandboxRequest, name: str) -> Response:
        query = dict(request.query)
        start, size = int(query.get("offset", "0")), int(query.get("limit", "0"))
        if name not in _SUPPRESSIONS or not 1 <= size <= _LARGEST_PAGE:
            raise _refusal(400, "The suppression list or the page limit is invalid.", None)
        emails = [email for email, list_name in self.suppressions.items() if list_name == name]
        page = emails[start : start + size]
        return base.reply([{"email": email, "created": 1_443_651_125} for email in page])

    def _suppress(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        _check_shape({"recipient_emails!": [str]}, body)
        emails: list[str] = body["recipient_emails"]
        for email in emails:
            self.suppressions[email] = _UNSUBSCRIBED
        return base.reply({"recipient_emails": emails}, 201)

    def _subscribe(self, request: base.SandboxRequest, address: str) -> Response:
        return self._send_again(request, _UNSUBSCRIBED, address)

    def _send_again(self, _: base.SandboxRequest, name: str, address: str) -> Response:
        if name not in _SUPPRESSIONS or self.suppressions.get(address) != name:
            raise _refusal(404, "The address is not in this list.", None)
        del self.suppressions[address]
        return Response(204)

    def webhook(self, events: list[dict[str, Any]], at: datetime) -> tuple[dict[str, str], bytes]:
        """Return the headers and body of a signed webhook about these events."""
        body = json.dumps(events).encode()
        stamp = str(int(at.timestamp()))
        signature = self._key.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        headers = {
            "X-Twilio-Email-Event-Webhook-Signature": b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": stamp,
        }
        return headers, body

    def _send(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        _check_shape(_MAIL, body)
        personalizations: list[dict[str, Any]] = body["personalizations"]
        _check(body, personalizations, self.templates)
        sandboxed = body.get("mail_settings", {}).get("sandbox_mode", {}).get("enable", False)
        if sandboxed is True:
            return Response(200)
        id_ = f"sandbox{self.number():012d}"
        for personalization in personalizations:
            self.delivered.append(_delivery_event(body, personalization, id_))
        return Response(202, {"X-Message-Id": id_})

    def _validate(self, request: base.SandboxRequest) -> Response:
        email = request.json().get("email")
        if not email:
            raise _refusal(400, "email is required", "email")
        local, _, host = email.rpartition("@")
        is_invalid = host.endswith(".invalid")
        checks = {
            "domain": {
                "has_valid_address_syntax": bool(local),
                "has_mx_or_a_record": not is_invalid,
                "is_suspected_disposable_address": host == "disposable.example",
            },
            "local_part": {"is_suspected_role_address": local == "info"},
            "additional": {"has_known_bounces": is_invalid, "has_suspected_bounces": is_invalid},
        }
        verdict = "Invalid" if is_invalid else "Risky" if local == "info" else "Valid"
        score = 0.1 if is_invalid else 0.9
        result = {"email": email, "verdict": verdict, "score": score, "checks": checks}
        if host == "gmial.com":
            result["suggestion"] = "gmail.com"
        return base.reply({"result": {**result, "local": local, "host": host, "ip_address": "::1"}})

    def _stats(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        if "start_date" not in query:
            raise _refusal(400, "start_date is required", "start_date")
        days = days_between(self.days, "date", query["start_date"], query.get("end_date", ""))
        offset = int(query.get("offset", "0"))
        return base.reply(days[offset : offset + int(query.get("limit", "500"))])

    def _scopes(self, _: base.SandboxRequest) -> Response:
        return base.reply({"scopes": ["mail.send"]})

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the credentials of a request."""
        if request.bearer() != self.api_key:
            raise _refusal(401, "The provided authorization grant is invalid", None)


def _check(
    body: dict[str, Any], personalizations: list[dict[str, Any]], templates: tuple[str, ...]
) -> None:
    """Check a message, and refuse it if SendGrid would refuse it."""
    if not 1 <= len(personalizations) <= 1_000:
        raise _refusal(400, "1 to 1000 personalizations are allowed", "personalizations")
    recipient_count = 0
    for number, personalization in enumerate(personalizations):
        emails = [
            email.lower()
            for name in ("to", "cc", "bcc")
            for email in _emails(personalization, name)
        ]
        recipient_count += len(emails)
        if not personalization["to"] or len(set(emails)) < len(emails):
            raise _refusal(
                400,
                "Each personalization needs a `to`, and no address may occur in it twice",
                f"personalizations.{number}",
            )
        for email in emails:
            if email in _MAGIC:
                raise _refusal(*_MAGIC[email])
    if recipient_count > 1_000:
        raise _refusal(400, "There is a limit of 1000 total recipients", "personalizations")
    if body["from"]["email"].endswith("@unverified.example"):
        raise _refusal(403, "The from address does not match a verified Sender Identity", "from")
    _check_contents(body, personalizations, templates)


def _check_shape(shape: Any, body: object) -> None:
    for location, name, problem in problems(shape, body):
        steps = [step for step in location.removeprefix("#").split("/") if step]
        field = ".".join([*steps, *([name] if problem != "type" else [])]) or None
        raise _refusal(400, f"The field {name} is {problem}", field)


def _check_contents(
    body: dict[str, Any], personalizations: list[dict[str, Any]], templates: tuple[str, ...]
) -> None:
    template = body.get("template_id")
    has_subject = body.get("subject") or all(item.get("subject") for item in personalizations)
    if template is None and not (has_subject and body.get("content")):
        raise _refusal(400, "The subject and the content are required", "content")
    if template is not None and template not in templates:
        raise _refusal(400, "The template_id must be a valid template", "template_id")
    kinds = [part["type"] for part in body.get("content", [])]
    if kinds != sorted(kinds, key=lambda kind: _CONTENTS.get(kind, len(_CONTENTS))):
        raise _refusal(400, f"The order of content must be {', '.join(_CONTENTS)}", "content")
    if any(not part["value"] for part in body.get("content", [])):
        raise _refusal(400, "The content value must be at least one character", "content")
    if "reply_to" in body and "reply_to_list" in body:
        raise _refusal(400, "reply_to and reply_to_list exclude each other", "reply_to")
    categories = body.get("categories", [])
    if len(categories) > 10 or any(len(name) > _LONGEST_CATEGORY for name in categories):
        raise _refusal(400, "There is a limit of 10 categories of 255 characters", "categories")
    if not all(is_base64(file["content"]) for file in body.get("attachments", [])):
        raise _refusal(400, "The attachment content must be base64 encoded", "attachments")


def _delivery_event(
    body: dict[str, Any], personalization: dict[str, Any], id_: str
) -> DeliveredEmail:
    words = personalization.get("substitutions", {})

    def fill_template(text: str | None) -> str | None:
        for name, word in words.items():
            text = None if text is None else text.replace(name, word)
        return text

    parts = {part["type"]: part["value"] for part in body.get("content", [])}
    headers = {**body.get("headers", {}), **personalization.get("headers", {})}
    return DeliveredEmail(
        id=id_,
        sender=body["from"]["email"],
        sender_name=body["from"].get("name"),
        to=_emails(personalization, "to"),
        cc=_emails(personalization, "cc"),
        bcc=_emails(personalization, "bcc"),
        subject=fill_template(personalization.get("subject") or body.get("subject")) or "",
        text=fill_template(parts.get("text/plain")),
        html=fill_template(parts.get("text/html")),
        amp_html=parts.get("text/x-amp-html"),
        headers={name: decoded_header(value) for name, value in headers.items()},
        items=tuple(
            attachment_item(
                file["filename"],
                file["content"],
                file.get("type", ""),
                file.get("content_id"),
                file.get("disposition", "attachment"),
            )
            for file in body.get("attachments", [])
        ),
        raw={**body, "personalizations": [personalization]},
    )


def _emails(personalization: dict[str, Any], name: str) -> tuple[str, ...]:
    return tuple(person["email"] for person in personalization.get(name, []))


def _refusal(status: int, message: str, field: str | None) -> base.Refusal:
    return base.refusal({"errors": [{"message": message, "field": field, "help": None}]}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = SendGridSandbox()
    return email_fixture(sandbox, {"credentials": sandbox.api_key}, template="d-welcome")
