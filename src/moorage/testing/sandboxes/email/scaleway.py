"""A local sandbox that imitates Scaleway Transactional Email.

Magic addresses: refused@example.com is refused as invalid, a message to throttled@example.com
exceeds the rate limit, and during one to outage@example.com Scaleway fails. Senders at
unverified.example are refused. Short subjects, which Scaleway refuses, are accepted.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed, words
from moorage.testing.sandboxes.email.base import (
    EmailSandbox,
    attachment_item,
    email_fixture,
    is_base64,
)
from moorage.testing.sandboxes.email.mailbox import DeliveredEmail, decoded_header

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.testing.sandboxes.fixture import SandboxFixture

_PATH: Final = "/transactional-email/v1alpha1/regions/fr-par"
_PERSON: Final = {"email!": str, "name": str}
_MESSAGE: Final[dict[str, Any]] = {
    "project_id!": str,
    "from!": _PERSON,
    **{name: [_PERSON] for name in ("to", "cc", "bcc")},
    **typed(str, "subject! text! html! send_before"),
    "attachments": [typed(str, "name! type! content!")],
    "additional_headers": [typed(str, "key! value!")],
}
_BLOCKLIST: Final[dict[str, Any]] = {
    "domain_id!": str,
    "emails!": [str],
    "type": words("mailbox_full mailbox_not_found"),
    "reason": str,
}
_RECIPIENTS: Final = ("to", "cc", "bcc")
_EMAIL: Final = re.compile(r"[!-?A-~]+@[a-zA-Z0-9.-]+")
_FILE_TYPES: Final = words(
    "application/pdf application/xml application/zip image/gif image/jpeg image/png image/svg+xml"
    " text/calendar text/csv text/html text/plain text/xml"
)
_MOST_RECIPIENTS: Final = 10
_MOST_FILES: Final = 10
_MOST_BYTES: Final = 2_000_000
_LARGEST_PAGE: Final = 100
_TIME: Final = "2026-03-01T12:00:00.123456789Z"
_Fields = dict[str, Any]


class ScalewaySandbox(EmailSandbox):
    """A sandbox of Scaleway Transactional Email.

    Attributes:
        secret_key: credentials that requests must have.
        project_id, domain_id: ids of the project, and of its domain.
        states: fields of sent emails that change their answers, by the address of the recipient.
    """

    hosts = ("api.scaleway.com",)

    secret_key: str = "11111111-2222-4333-8444-555555555555"
    project_id: str = "8f512135-9f5f-42b3-a900-9fdf0195b563"
    domain_id: str = "1e1ad2a5-3b5c-4a3d-9f9e-3b6f1e0c7d11"
    states: dict[str, _Fields] = base.state_field(dict)
    emails: dict[str, _Fields] = base.state_field(dict)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            f"POST {_PATH}/emails": self._send,
            f"GET {_PATH}/emails/{{id_}}": self._get,
            f"GET {_PATH}/domains": self._domains,
            f"GET {_PATH}/blocklists": self._blocklists,
            f"POST {_PATH}/blocklists": self._block,
            f"DELETE {_PATH}/blocklists/{{id_}}": self._unblock,
        }

    def _send(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        _check(_MESSAGE, body)
        people = [
            (kind, person["email"].lower()) for kind in _RECIPIENTS for person in body.get(kind, [])
        ]
        self._check_message(body, [email for _, email in people], len(request.body))
        emails = [self._email(body, kind, email) for kind, email in people]
        self.emails |= {email["id"]: email for email in emails}
        self.delivered.append(_delivered_message(body, emails[0]["id"]))
        return base.reply({"emails": emails})

    def _email(self, body: _Fields, kind: str, email: str) -> _Fields:
        return {
            "id": self.uuid(),
            "message_id": self.uuid(),
            "project_id": self.project_id,
            "mail_from": body["from"]["email"],
            "mail_rcpt": email,
            "rcpt_to": email,
            "rcpt_type": kind,
            "subject": body["subject"],
            "created_at": _TIME,
            "updated_at": _TIME,
            "status": "new",
            "status_details": "not yet processed",
            "try_count": 0,
            "last_tries": [],
            "flags": [],
        }

    def _check_message(self, body: _Fields, people: list[str], size: int) -> None:
        if body["project_id"] != self.project_id:
            raise _refusal(403, "permissions_denied", "insufficient permissions")
        if not people:
            raise _invalid("to", "required")
        if not body["text"] and not body["html"]:
            raise _invalid("text", "required")
        _check_magic(people)
        for email in (body["from"]["email"], *people):
            if _EMAIL.fullmatch(email) is None or email == "refused@example.com":
                raise _invalid("to", "format")
        if body["from"]["email"].endswith("@unverified.example"):
            raise _invalid("from.email", "constraint")
        files = body.get("attachments", [])
        if any(file["type"].partition(";")[0] not in _FILE_TYPES for file in files):
            raise _invalid("attachments.type", "constraint")
        if not all(is_base64(file["content"]) for file in files):
            raise _invalid("attachments.content", "format")
        if len(people) > _MOST_RECIPIENTS or len(files) > _MOST_FILES or size > _MOST_BYTES:
            raise _refusal(403, "quotas_exceeded", "quota(s) exceeded for this resource")

    def _get(self, _: base.SandboxRequest, id_: str) -> Response:
        email = self.emails.get(id_)
        if email is None:
            raise _not_found("email", id_)
        return base.reply(email | self.states.get(email["mail_rcpt"], {}))

    def _domains(self, _: base.SandboxRequest) -> Response:
        domain = {"id": self.domain_id, "project_id": self.project_id, "name": "example.com"}
        return base.reply({"total_count": 1, "domains": [domain]})

    def _blocklists(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        if query.get("domain_id") != self.domain_id:
            raise _not_found("domain", query.get("domain_id", ""))
        size = int(query.get("page_size", "20"))
        if not 1 <= size <= _LARGEST_PAGE:
            raise _invalid("page_size", "constraint")
        start = (int(query.get("page", "1")) - 1) * size
        entries = [
            self._entry(email, word)
            for email, word in self.suppressions.items()
            if query.get("email", email) == email
        ]
        page = entries[start : start + size]
        return base.reply({"total_count": len(entries), "blocklists": page})

    def _entry(self, email: str, word: str) -> _Fields:
        return {
            "id": f"id-of-{email}",
            "domain_id": self.domain_id,
            "email": email,
            "created_at": _TIME,
            "updated_at": _TIME,
            "ends_at": None,
            "type": word.removeprefix("custom "),
            "reason": "",
            "custom": word.startswith("custom "),
        }

    def _block(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        _check(_BLOCKLIST, body)
        if body["domain_id"] != self.domain_id:
            raise _not_found("domain", body["domain_id"])
        for email in body["emails"]:
            self.suppressions.setdefault(email.lower(), f"custom {body.get('type')}")
        entries = [self._entry(email, self.suppressions[email]) for email in body["emails"]]
        return base.reply({"blocklists": entries})

    def _unblock(self, _: base.SandboxRequest, id_: str) -> Response:
        if self.suppressions.pop(id_.removeprefix("id-of-"), None) is None:
            raise _not_found("blocklist", id_)
        return Response(204)

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the secret key of a request."""
        if request.headers.get("x-auth-token") != self.secret_key:
            raise _refusal(401, "denied_authentication", "authentication is denied")


def _check(shape: _Fields, body: Any) -> None:
    for path, name, kind in problems(shape, body):
        argument = f"{path.removeprefix('#').strip('/')}.{name}".lstrip(".")
        raise _invalid(argument, "required" if kind == "missing" else "format")
    if len(encode_json(body)) > _MOST_BYTES:
        raise _refusal(403, "quotas_exceeded", "quota(s) exceeded for this resource")


def _refusal(status: int, code: str, message: str, **fields: Any) -> base.Refusal:
    return base.refusal({"type": code, "message": message, **fields}, status)


def _invalid(argument: str, reason: str) -> base.Refusal:
    details = [{"argument_name": argument, "reason": reason, "help_message": ""}]
    return _refusal(400, "invalid_arguments", "invalid argument(s)", details=details)


def _not_found(resource: str, id_: str) -> base.Refusal:
    return _refusal(404, "not_found", "resource is not found", resource=resource, resource_id=id_)


def _check_magic(emails: list[str]) -> None:
    if "throttled@example.com" in emails:
        raise _refusal(429, "too_many_requests", "too many requests")
    if "outage@example.com" in emails:
        raise _refusal(500, "internal_error", "internal error")


def _delivered_message(body: _Fields, id_: str) -> DeliveredEmail:
    recipients, cc, bcc = (
        tuple(person["email"].lower() for person in body.get(name, [])) for name in _RECIPIENTS
    )
    headers = {header["key"]: header["value"] for header in body.get("additional_headers", [])}
    return DeliveredEmail(
        id=id_,
        sender=body["from"]["email"],
        sender_name=body["from"].get("name"),
        to=recipients,
        cc=cc,
        bcc=bcc,
        subject=body["subject"],
        text=body["text"] or None,
        html=body["html"] or None,
        headers={name: decoded_header(value) for name, value in headers.items()},
        items=tuple(
            attachment_item(file["name"], file["content"], file["type"], None)
            for file in body.get("attachments", [])
        ),
        raw={**body, "additional_headers": headers},
    )


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = ScalewaySandbox()
    options = {
        "credentials": sandbox.secret_key,
        "project_id": sandbox.project_id,
        "domain_id": sandbox.domain_id,
    }
    return email_fixture(sandbox, options)
