"""A local sandbox that imitates Mailchimp Transactional (Mandrill).

Magic addresses: refused@example.com is rejected, because it has bounced before. A message to
throttled@example.com exceeds the rate limit, and during one to outage@example.com Mandrill fails.
Senders at unverified.example are not signed, so that their messages are rejected.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from moorage.domain.values.json_text import encode_json, is_object
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed, words
from moorage.testing.sandboxes.email.base import (
    EmailSandbox,
    attachment_item,
    email_fixture,
    is_base64,
)
from moorage.testing.sandboxes.email.mailbox import DeliveredEmail, decoded_header
from moorage.testing.sandboxes.webhook_signatures import base64_hmac

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.fixture import SandboxFixture

_PATH: Final = "/api/1.0"
_FILE: Final = typed(str, "type! name! content!")
_MESSAGE: Final[dict[str, Any]] = {
    **typed(str, "html text subject from_email from_name subaccount"),
    "to!": [{"email!": str, "name": str, "type": words("to cc bcc")}],
    **typed(dict, "headers metadata"),
    **typed(bool, "track_opens track_clicks preserve_recipients merge"),
    "merge_language": words("mailchimp handlebars"),
    "global_merge_vars": [{"name!": str, "content!": object}],
    "tags": [str],
    "attachments": [_FILE],
    "images": [_FILE],
}
_SEND: Final[dict[str, Any]] = {
    "key!": str,
    "message!": _MESSAGE,
    "async": bool,
    "send_at": str,
    "template_name": str,
    "template_content": [{"name!": str, "content!": str}],
}
_EMAIL: Final = re.compile(r"[!-?A-~]+@[a-zA-Z0-9.-]+\.[a-zA-Z]+")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_LONGEST_TAG: Final = 50
_LONGEST_SUBJECT: Final = 998
_MOST_ENTRIES: Final = 1_000
_CREATED: Final = "2026-03-01 12:00:00"
_Fields = dict[str, Any]


class MandrillSandbox(EmailSandbox):
    """A sandbox of Mailchimp Transactional: email, the denylist, and signed webhooks.

    Attributes:
        api_key: credentials that requests must have.
        templates: the slugs of the existing templates.
        subaccounts: the ids of the existing subaccounts.
        sending_status: status of accepted recipients, "queued" or "sent".
        states: fields of sent messages that change their answers, by the address of the recipient.
        allowed: the addresses on the allowlist.
    """

    hosts = ("mandrillapp.com",)

    api_key: str = "md-sandbox-key-7f3a9c"
    templates: tuple[str, ...] = ("welcome",)
    subaccounts: tuple[str, ...] = ("shop-7",)
    sending_status: str = "queued"
    states: dict[str, _Fields] = base.state_field(dict)
    messages: dict[str, _Fields] = base.state_field(dict)
    allowed: set[str] = base.state_field(set)
    webhook_key: str = "mandrill-sandbox-webhook-key"

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            f"POST {_PATH}/messages/send": self._send,
            f"POST {_PATH}/messages/send-template": self._send_template,
            f"POST {_PATH}/messages/info": self._info,
            f"POST {_PATH}/messages/cancel-scheduled": self._cancel,
            f"POST {_PATH}/rejects/list": self._rejects,
            f"POST {_PATH}/rejects/add": self._reject,
            f"POST {_PATH}/rejects/delete": self._allow,
        }

    def event_notice(self, url: str, *events: Mapping[str, Any]) -> base.Notice:
        """Return a signed webhook about events."""
        text = encode_json([dict(event) for event in events]).decode()
        signed_text = f"{url}mandrill_events{text}".encode()
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Mandrill-Signature": base64_hmac(self.webhook_key.encode(), signed_text, "sha1"),
        }
        return self.notify(url, urlencode({"mandrill_events": text}).encode(), headers)

    def _send(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        _check(_SEND, body)
        if {"template_name", "template_content"} & set(body):
            raise _invalid("template_name")
        if not body["message"].get("from_email"):
            raise _invalid("from_email")
        return self._accept(body)

    def _send_template(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        _check({**_SEND, "template_name!": str, "template_content!": list}, body)
        if body["template_name"] not in self.templates:
            raise _refusal(
                404, 5, "Unknown_Template", f'No such template "{body["template_name"]}"'
            )
        return self._accept(body)

    def _accept(self, body: _Fields) -> Response:
        message = body["message"]
        self._check_message(body, message)
        results = [self._result(body, person["email"].lower()) for person in message["to"]]
        accepted = [result for result in results if result["status"] not in {"rejected", "invalid"}]
        if accepted:
            emails = {result["email"] for result in accepted}
            self.delivered.append(_delivered_message(body, accepted[0]["_id"], emails))
        return base.reply(results)

    def _check_message(self, body: _Fields, message: _Fields) -> None:
        if len(message.get("subject", "")) > _LONGEST_SUBJECT:
            raise _invalid("subject")
        if not message["to"]:
            raise _invalid("to")
        if any(len(tag) > _LONGEST_TAG or tag.startswith("_") for tag in message.get("tags", [])):
            raise _invalid("tags")
        _check_parts(message)
        if _TIME.fullmatch(body.get("send_at", _CREATED)) is None:
            raise _invalid("send_at")
        self._check_subaccount(message)
        people = {person["email"].lower() for person in message["to"]}
        if "throttled@example.com" in people:
            raise _refusal(429, 429, "RequestLimitExceeded", "Too Many Requests attempted recently")
        if "outage@example.com" in people:
            raise _refusal(500, -1, "GeneralError", "An unknown error occurred.")

    def _check_subaccount(self, fields: _Fields) -> None:
        subaccount = fields.get("subaccount")
        if subaccount is not None and subaccount not in self.subaccounts:
            text = f"No subaccount exists with the id {subaccount}"
            raise _refusal(404, 12, "Unknown_Subaccount", text)

    def _result(self, body: _Fields, email: str) -> _Fields:
        status, reason = "scheduled" if "send_at" in body else self.sending_status, None
        if body["message"].get("from_email", "").endswith("@unverified.example"):
            status, reason = "rejected", "unsigned"
        elif email == "refused@example.com":
            status, reason = "rejected", "hard-bounce"
        elif _EMAIL.fullmatch(email) is None:
            status = "invalid"
        id_ = self.uuid().replace("-", "")
        if reason is None and status != "invalid":
            self.messages[id_] = {
                "ts": 1772366400,
                "_id": id_,
                "sender": body["message"].get("from_email", ""),
                "template": body.get("template_name"),
                "subject": body["message"].get("subject", ""),
                "email": email,
                "tags": body["message"].get("tags", []),
                "opens": 0,
                "opens_detail": [],
                "clicks": 0,
                "clicks_detail": [],
                "state": "sent" if status == "queued" else status,
                "metadata": body["message"].get("metadata", {}),
                "smtp_events": [],
                "diag": None,
                "subaccount": body["message"].get("subaccount"),
                "resends": [],
                "reject": None,
            }
        result = {"email": email, "status": status, "_id": id_}
        return result if reason is None else {**result, "reject_reason": reason}

    def _info(self, request: base.SandboxRequest) -> Response:
        message = self._message(request)
        return base.reply(message | self.states.get(message["email"], {}))

    def _cancel(self, request: base.SandboxRequest) -> Response:
        message = self._message(request)
        if message["state"] != "scheduled":
            raise _unknown_message(message["_id"])
        message["state"] = "canceled"
        fields = {"created_at": _CREATED, "send_at": _CREATED, "from_email": message["sender"]}
        subject = {"to": message["email"], "subject": message["subject"]}
        return base.reply({"_id": message["_id"], **fields, **subject})

    def _message(self, request: base.SandboxRequest) -> _Fields:
        body = request.json()
        _check({"key!": str, "id!": str}, body)
        message = self.messages.get(body["id"])
        if message is None:
            raise _unknown_message(body["id"])
        return message

    def _rejects(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        _check({"key!": str, **typed(str, "email subaccount"), "include_expired": bool}, body)
        self._check_subaccount(body)
        entries = [
            {
                "email": email,
                "reason": reason,
                "detail": "",
                "created_at": _CREATED,
                "last_event_at": _CREATED,
                "expires_at": None,
                "expired": False,
                "sender": None,
                "subaccount": body.get("subaccount"),
            }
            for email, reason in self.suppressions.items()
            if body.get("email", email).lower() == email
        ]
        return base.reply(entries[:_MOST_ENTRIES])

    def _reject(self, request: base.SandboxRequest) -> Response:
        email = self._address(request)
        is_added = email not in self.allowed and email not in self.suppressions
        if is_added:
            self.suppressions[email] = "custom"
        return base.reply({"email": email, "added": is_added})

    def _allow(self, request: base.SandboxRequest) -> Response:
        email = self._address(request)
        if self.suppressions.pop(email, None) is None:
            text = "Email address is not in the rejection list and is not invalid"
            raise _refusal(404, 4, "Invalid_Reject", text)
        subaccount = request.json().get("subaccount", "")
        return base.reply({"email": email, "deleted": True, "subaccount": subaccount})

    def _address(self, request: base.SandboxRequest) -> str:
        body = request.json()
        _check({"key!": str, "email!": str, **typed(str, "comment subaccount")}, body)
        self._check_subaccount(body)
        return str(body["email"]).lower()

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the API key in the body of a request."""
        body = request.json()
        if not is_object(body) or body.get("key") != self.api_key:
            raise _refusal(401, 401, "Invalid_Key", "Invalid API key")


def _check(shape: _Fields, body: Any) -> None:
    for _, name, _ in problems(shape, body):
        raise _invalid(name)


def _check_parts(message: _Fields) -> None:
    """Refuse a message with a file or a header that cannot be read."""
    if any(not image["type"].startswith("image/") for image in message.get("images", [])):
        raise _invalid("images")
    for name in ("attachments", "images"):
        if not all(is_base64(file["content"]) for file in message.get(name, [])):
            raise _invalid(name)
    if not all(isinstance(text, str) for text in message.get("headers", {}).values()):
        raise _invalid("headers")


def _refusal(status: int, code: int, name: str, message: str) -> base.Refusal:
    fields = {"status": "error", "code": code, "name": name, "message": message}
    return base.refusal(fields, status)


def _invalid(field: str) -> base.Refusal:
    return _refusal(422, -2, "ValidationError", f'Validation error: {{"{field}":"Not valid"}}')


def _unknown_message(id_: str) -> base.Refusal:
    return _refusal(404, 11, "Unknown_Message", f"No message exists with the id {id_}")


def _delivered_message(body: _Fields, id_: str, accepted: set[str]) -> DeliveredEmail:
    message = body["message"]
    recipients, cc, bcc = (
        tuple(
            person["email"].lower()
            for person in message["to"]
            if person.get("type", "to") == kind and person["email"].lower() in accepted
        )
        for kind in ("to", "cc", "bcc")
    )
    files = [
        attachment_item(file["name"], file["content"], file["type"], None)
        for file in message.get("attachments", [])
    ]
    images = [
        attachment_item(image["name"], image["content"], image["type"], image["name"])
        for image in message.get("images", [])
    ]
    # Mandrill's times are in UTC, without saying so.
    times = {"send_at": f"{body['send_at']}+00:00"} if "send_at" in body else {}
    return DeliveredEmail(
        id=id_,
        sender=message.get("from_email", ""),
        sender_name=message.get("from_name"),
        to=recipients,
        cc=cc,
        bcc=bcc,
        subject=message.get("subject", ""),
        text=message.get("text"),
        html=message.get("html"),
        headers={name: decoded_header(text) for name, text in message.get("headers", {}).items()},
        items=(*files, *images),
        raw={name: value for name, value in body.items() if name != "key"} | times,
    )


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = MandrillSandbox()
    return email_fixture(sandbox, {"credentials": sandbox.api_key}, template=sandbox.templates[0])
