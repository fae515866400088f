"""A local sandbox that imitates Unisender Go.

Magic addresses: refused@example.com is permanently unavailable. A message to
throttled@example.com exceeds the rate limit, and during one to outage@example.com Unisender Go
fails. Senders at unverified.example are refused.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from hashlib import md5
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed, words
from moorage.testing.sandboxes.email.base import (
    EmailSandbox,
    attachment_item,
    email_fixture,
    emails,
    suppressions_after,
)
from moorage.testing.sandboxes.email.mailbox import DeliveredEmail, decoded_header

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.fixture import SandboxFixture

_PATH: Final = "/ru/transactional/api/v1"
_FILE: Final = typed(str, "type! name! content!")
_TEXTS: Final = typed(str, "html plaintext amp")
_MESSAGE: Final[dict[str, Any]] = {
    "recipients!": [{"email!": str, "substitutions": dict, "metadata": dict}],
    **typed(str, "subject from_email from_name reply_to reply_to_name template_id"),
    "body": _TEXTS,
    **typed(dict, "headers global_substitutions global_metadata"),
    **typed([_FILE], "attachments inline_attachments"),
    "tags": [str],
    **typed(int, "track_links track_read skip_unsubscribe"),
    "template_engine": words("simple velocity liquid none"),
    "options": typed(str, "send_at unsubscribe_url"),
}
_CAUSES: Final = words("unsubscribed temporary_unavailable permanent_unavailable complained")
_EMAIL: Final = re.compile(r"[!-?A-~]+@[a-zA-Z0-9.-]+\.[a-zA-Z]+")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_SUBSTITUTION: Final = re.compile(r"\{\{(.*?)(?:\}\}|$)", re.DOTALL)
_NAME: Final = re.compile(r"[A-Za-z]\w*", re.ASCII)
_MOST: Final = 10
_PAGE: Final = 2
_CREATED: Final = "2026-03-01 12:00:00"
_AUTH: Final = "0" * 32
_Fields = dict[str, Any]


class UnisenderGoSandbox(EmailSandbox):
    """A sandbox of Unisender Go: email, suppressed addresses, and signed webhooks.

    Attributes:
        api_key: credentials that requests must have, which sign webhooks too.
        templates: the ids of the existing templates.
        kept: the suppressed addresses that cannot be removed.
    """

    hosts = ("go1.unisender.ru", "go2.unisender.ru")

    api_key: str = "6unisender5sandbox8key1"
    templates: tuple[str, ...] = ("7d2f1c3a-5b6e-11ef-9a3c-0242ac120002",)
    kept: set[str] = base.state_field(set)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            f"POST {_PATH}/email/send.json": self._send,
            f"POST {_PATH}/suppression/list.json": self._list,
            f"POST {_PATH}/suppression/set.json": self._suppress,
            f"POST {_PATH}/suppression/delete.json": self._allow,
        }

    def event_notice(self, url: str, *events: Mapping[str, Any]) -> base.Notice:
        """Return a signed webhook about events."""
        user = {"user_id": 456, "events": [dict(event) for event in events]}
        body = self.signed({"auth": _AUTH, "events_by_user": [user]})
        return self.notify(url, body, {"Content-Type": "application/json"})

    def signed(self, payload: Mapping[str, Any]) -> bytes:
        """Return a webhook's body with its signature in place of the 32 zeros of `auth`."""
        body = encode_json(dict(payload))
        keyed_body = body.replace(_AUTH.encode(), self.api_key.encode(), 1)
        signature = md5(keyed_body, usedforsecurity=False).hexdigest()
        return body.replace(_AUTH.encode(), signature.encode(), 1)

    def _send(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        _check({"message!": _MESSAGE}, body)
        message = body["message"]
        people = [person["email"].lower() for person in message["recipients"]]
        if "throttled@example.com" in people:
            raise base.refusal({"status": "error", "message": "Too many requests"}, 429)
        if "outage@example.com" in people:
            raise base.refusal({"status": "error", "message": "Internal error"}, 500)
        self._check_message(message)
        failed = {email: word for email in people if (word := _failure(email))}
        accepted = [email for email in people if email not in failed]
        job = f"1sn15Z-{self.number():06d}-GtVN"
        if accepted:
            self.delivered.append(_delivered_message(message, job, set(accepted)))
        answer = {"status": "success", "job_id": job, "emails": accepted}
        return base.reply({**answer, "failed_emails": failed} if failed else answer)

    def _check_message(self, message: _Fields) -> None:
        template = message.get("template_id")
        if template is not None and template not in self.templates:
            raise _invalid("template_id")
        if template is None and not (
            message.get("subject") and message.get("from_email") and _has_text(message)
        ):
            raise _invalid("body")
        if message.get("from_email", "").endswith("@unverified.example"):
            raise _invalid("from_email")
        if len(message["recipients"]) > _MOST * 3 or not message["recipients"]:
            raise _invalid("recipients")
        tags = message.get("tags", [])
        if len(tags) > 4 or len(set(tags)) < len(tags):
            raise _invalid("tags")
        if _TIME.fullmatch(message.get("options", {}).get("send_at", _CREATED)) is None:
            raise _invalid("options")
        _check_headers(message)
        names = [file["name"] for file in message.get("attachments", [])]
        if len(set(names)) < len(names) or any("/" in name for name in names):
            raise _invalid("attachments")

    def _list(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        _check(typed(str, "start_time cursor cause source"), body)
        cursor = b64decode(body.get("cursor", ""), validate=True).decode()
        page, _ = suppressions_after(self.suppressions, cursor, _PAGE)
        items = [
            {
                "email": email,
                "cause": cause,
                "source": "user",
                "is_deletable": email not in self.kept,
                "created": _CREATED,
            }
            for email, cause in page
        ]
        # The cursor of the last page leads to an empty one.
        cursor = page[-1][0] if page else cursor
        return base.reply({"status": "success", "suppressions": items, "cursor": _encoded(cursor)})

    def _suppress(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        _check({"email!": str, "cause!": _CAUSES, "created": str}, body)
        self.suppressions.setdefault(body["email"].lower(), body["cause"])
        return base.reply({"status": "success"})

    def _allow(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        _check({"email!": str}, body)
        email = body["email"].lower()
        if email not in self.suppressions:
            raise _refusal(400, 3003, "The email is not suppressed")
        if email in self.kept:
            raise _refusal(400, 3004, "The suppression cannot be deleted")
        del self.suppressions[email]
        return base.reply({"status": "success"})

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the API key of a request."""
        if request.headers.get("x-api-key") != self.api_key:
            raise _refusal(401, 114, "User with id '456' not found.")


def _encoded(cursor: str) -> str:
    return b64encode(cursor.encode()).decode()


def _check(shape: _Fields, body: Any) -> None:
    for path, name, _ in problems(shape, body):
        raise _invalid(f"{path.removeprefix('#')}/{name}")


def _check_headers(message: _Fields) -> None:
    headers = {name.lower(): value for name, value in message.get("headers", {}).items()}
    if any(name not in {"to", "cc"} and not name.startswith("x-") for name in headers):
        # Unisender Go leaves out such a header, which a test should notice.
        raise _invalid("headers")
    for name in ("to", "cc"):
        people = emails([headers.get(name, "")])
        if len(people) > _MOST or not all(headers.get(name, "").isascii() for name in headers):
            raise _invalid(name)


def _failure(email: str) -> str | None:
    if email == "refused@example.com":
        return "permanent_unavailable"
    return None if _EMAIL.fullmatch(email) else "invalid"


def _has_text(message: _Fields) -> bool:
    body = message.get("body", {})
    return bool(body.get("html") or body.get("plaintext"))


def _refusal(status: int, code: int, text: str) -> base.Refusal:
    return base.refusal({"status": "error", "message": f"Error ID:1. {text}", "code": code}, status)


def _invalid(field: str) -> base.Refusal:
    return _refusal(400, 999, f"The field {field} is invalid.")


def _delivered_message(message: _Fields, job: str, accepted: set[str]) -> DeliveredEmail:
    headers = {name.lower(): value for name, value in message.get("headers", {}).items()}
    to, cc = (emails([headers[name]]) if headers.get(name) else () for name in ("to", "cc"))
    people = [person["email"].lower() for person in message["recipients"]]
    values = message.get("global_substitutions", {})
    texts = {name: _filled_text(text, values) for name, text in message.get("body", {}).items()}
    extra_headers = {
        name: decoded_header(value) for name, value in headers.items() if name.startswith("x-")
    }
    send_at = message.get("options", {}).get("send_at")
    return DeliveredEmail(
        id=job,
        sender=message.get("from_email", "template@example.com"),
        sender_name=message.get("from_name"),
        to=tuple(email for email in to if email in accepted),
        cc=tuple(email for email in cc if email in accepted),
        bcc=tuple(email for email in people if email not in {*to, *cc} and email in accepted),
        subject=_filled_text(message.get("subject", ""), values),
        text=texts.get("plaintext"),
        html=texts.get("html"),
        amp_html=texts.get("amp"),
        headers=extra_headers,
        items=(
            *(
                attachment_item(file["name"], file["content"], file["type"], None)
                for file in message.get("attachments", [])
            ),
            *(
                attachment_item(file["name"], file["content"], file["type"], file["name"])
                for file in message.get("inline_attachments", [])
            ),
        ),
        raw=message if send_at is None else {**message, "send_at": f"{send_at}+00:00"},
    )


def _filled_text(text: str, values: Mapping[str, Any]) -> str:
    def value_of(match: re.Match[str]) -> str:
        name = match[1]
        if _NAME.fullmatch(name) is None:
            raise _invalid("substitutions")
        return str(values.get(name, ""))

    return _SUBSTITUTION.sub(value_of, text)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = UnisenderGoSandbox()
    [template] = sandbox.templates
    return email_fixture(sandbox, {"credentials": sandbox.api_key}, template=template)
