"""A local sandbox that imitates an installation of Postal with one mail server.

Magic addresses: a message to refused@example.com is refused as that of a server that is suspended;
in front of Postal, a proxy refuses one to throttled@example.com, and during one to
outage@example.com Postal fails. Senders at unverified.example are refused. Unknown fields of a
request, which Postal ignores, are refused.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed
from moorage.testing.sandboxes.email.base import (
    EmailSandbox,
    attachment_item,
    email_fixture,
    emails,
    read_address,
)
from moorage.testing.sandboxes.email.mailbox import DeliveredEmail, decoded_header

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moorage.testing.sandboxes.fixture import SandboxFixture

_URL: Final = "https://postal.example.com"
_MESSAGE: Final[dict[str, Any]] = {
    **typed([str], "to cc bcc"),
    **typed(str, "from sender reply_to subject plain_body html_body tag"),
    "bounce": bool,
    "headers": dict,
    "attachments": [typed(str, "name content_type data")],
}
_QUESTION: Final[dict[str, Any]] = {"id": int, "_expansions": [str]}
_MOST_IN_FIELD: Final = 50
_ANY_TYPE: Final = "application/octet-stream"
_TIME: Final = 1772366400.25
_TOO_MANY: Final = {
    "to": "TooManyToAddresses",
    "cc": "TooManyCCAddresses",
    "bcc": "TooManyBCCAddresses",
}
_SENTENCES: Final = {
    "NoRecipients": "There are no recipients defined to receive this message",
    "NoContent": "There is no content defined for this e-mail",
    "FromAddressMissing": "The From address is missing and is required",
    "UnauthenticatedFromAddress": "The From address is not authorised to send mail from this"
    " server",
    "AttachmentMissingName": "An attachment is missing a name",
    "AttachmentMissingData": "An attachment is missing data",
}
_EXAMPLE: Final = (
    b"From: Ada <ada@example.com>\r\nTo: orders@shop.example\r\nSubject: Hello\r\n"
    b"Message-ID: <m1@example.com>\r\n\r\nTwo, please.\r\n"
)
_Fields = dict[str, Any]


@cache
def _signer() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class PostalSandbox(EmailSandbox):
    """A sandbox of Postal: email, received mail, and signed webhooks.

    Attributes:
        base_url: URL of the installation.
        api_key: credentials that requests must have.
        is_suspended: True if the mail server is suspended.
        states: status of sent messages, by the address of the recipient; by default "Pending".
        deliveries: the attempts at delivery, by the address of the recipient.
        messages: the fields of the stored messages, by id.
    """

    hosts = ("postal.example.com",)

    base_url: str = _URL
    api_key: str = "sandboxKeyOfPostal4711"
    is_suspended: bool = False
    states: dict[str, str] = base.state_field(dict)
    deliveries: dict[str, list[_Fields]] = base.state_field(dict)
    messages: dict[int, _Fields] = base.state_field(dict)

    @property
    def public_key(self) -> str:
        """The key with which webhooks are verified, as in the domain record of Postal."""
        key = _signer().public_key()
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return b64encode(key.public_bytes(serialization.Encoding.DER, form)).decode()

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /api/v1/send/message": self._send,
            "POST /api/v1/messages/message": self._get,
            "POST /api/v1/messages/deliveries": self._deliveries,
        }

    def event_notice(self, url: str, fields: Mapping[str, Any]) -> base.Notice:
        """Return a signed webhook about an event, or a request about a received message."""
        body = encode_json(dict(fields))
        headers = {
            "Content-Type": "application/json",
            "X-Postal-Signature-KID": "f" * 64,
            "X-Postal-Signature": _signature(body, hashes.SHA1()),  # noqa: S303 - Postal's older signature
            "X-Postal-Signature-256": _signature(body, hashes.SHA256()),
        }
        return self.notify(url, body, headers)

    def receive(self, content: bytes, recipient: str, sender: str) -> _Fields:
        """Store a received message; return the fields of the request about it."""
        id_ = self._store(recipient, sender, content)["id"]
        return {
            "id": id_,
            "rcpt_to": recipient,
            "mail_from": sender,
            "message": _lines_in_base64(content),
            "base64": True,
            "size": len(content),
        }

    def _send(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        _check(_MESSAGE, body)
        people = [*body.get("to", []), *body.get("cc", []), *body.get("bcc", [])]
        addresses = emails(people)
        if "throttled@example.com" in addresses:
            raise base.Refusal(Response(429, {"Content-Type": "text/html"}, b"<h1>Slow down</h1>"))
        if "outage@example.com" in addresses:
            raise base.Refusal(Response(500, {"Content-Type": "text/html"}, b"<h1>Error</h1>"))
        if "refused@example.com" in addresses:
            raise _refusal("ServerSuspended")
        _check_message(body, people)
        message_id = f"{self.uuid()}@rp.postal.example.com"
        delivered_message = _delivered_message(body, message_id)
        sender, _ = read_address(body["from"])
        stored_messages = [
            self._store(read_address(text)[0], sender, b"", message_id) for text in people
        ]
        self.delivered.append(delivered_message)
        messages = {
            message["rcpt_to"]: {"id": message["id"], "token": message["token"]}
            for message in stored_messages
        }
        return _success({"message_id": message_id, "messages": messages})

    def _store(self, recipient: str, sender: str, content: bytes, message_id: str = "") -> _Fields:
        id_ = self.number()
        message = {
            "id": id_,
            "token": f"token{id_}",
            "rcpt_to": recipient,
            "mail_from": sender,
            "message_id": message_id,
            "content": content,
        }
        self.messages[id_] = message
        return message

    def _get(self, request: base.SandboxRequest) -> Response:
        message, expansions = self._message(request), request.json().get("_expansions", [])
        answer: _Fields = {"id": message["id"], "token": message["token"]}
        if "status" in expansions:
            answer["status"] = {
                "status": self.states.get(message["rcpt_to"], "Pending"),
                "last_delivery_attempt": None,
                "held": False,
                "hold_expiry": None,
            }
        if "details" in expansions:
            answer["details"] = {
                **{name: message[name] for name in ("rcpt_to", "mail_from", "message_id")},
                "timestamp": _TIME,
                "bounce": False,
                "tag": None,
            }
        if "raw_message" in expansions:
            answer["raw_message"] = _lines_in_base64(message["content"])
        return _success(answer)

    def _deliveries(self, request: base.SandboxRequest) -> Response:
        return _success(self.deliveries.get(self._message(request)["rcpt_to"], []))

    def _message(self, request: base.SandboxRequest) -> _Fields:
        body = request.json()
        _check(_QUESTION, body)
        if "id" not in body:
            raise _parameter_error("`id` parameter is required but is missing")
        message = self.messages.get(body["id"])
        if message is None:
            text = "No message found matching provided ID"
            raise _refusal("MessageNotFound", message=text, id=body["id"])
        return message

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the API key of a request."""
        key = request.headers.get("x-server-api-key", "")
        if not key:
            raise _refusal("AccessDenied", message="Must be authenticated as a server.")
        if key != self.api_key:
            # Postal repeats the key that it refuses.
            text = "The API token provided in X-Server-API-Key was not valid."
            raise _refusal("InvalidServerAPIKey", message=text, token=key)
        if self.is_suspended:
            raise _refusal("ServerSuspended")


def _signature(body: bytes, algorithm: hashes.HashAlgorithm) -> str:
    return b64encode(_signer().sign(body, padding.PKCS1v15(), algorithm)).decode()


def _lines_in_base64(content: bytes) -> str:
    text = b64encode(content).decode()
    return "".join(f"{text[start : start + 60]}\n" for start in range(0, len(text), 60))


def _check(shape: _Fields, body: Any) -> None:
    for path, name, _ in problems(shape, body):
        raise _parameter_error(f"`{path.removeprefix('#')}/{name}` parameter is invalid")


def _check_message(body: _Fields, people: list[str]) -> None:
    if not people:
        raise _invalid("NoRecipients")
    for name, code in _TOO_MANY.items():
        if len(body.get(name, [])) > _MOST_IN_FIELD:
            raise _refusal(code, message=f"The maximum number of {name} addresses was reached")
    if not (body.get("plain_body", "").strip() or body.get("html_body", "").strip()):
        raise _invalid("NoContent")
    if not body.get("from", "").strip():
        raise _invalid("FromAddressMissing")
    if read_address(body["from"])[0].endswith("@unverified.example"):
        raise _invalid("UnauthenticatedFromAddress")
    for file in body.get("attachments", []):
        if not file.get("name", "").strip():
            raise _invalid("AttachmentMissingName")
        if not b64decode(file.get("data", "")).strip():
            raise _invalid("AttachmentMissingData")


def _answer(status: str, data: object) -> Response:
    return base.reply({"status": status, "time": 0.021, "flags": {}, "data": data})


def _success(data: object) -> Response:
    return _answer("success", data)


def _refusal(code: str, **fields: Any) -> base.Refusal:
    return base.Refusal(_answer("error", {**fields, "code": code}))


def _invalid(code: str) -> base.Refusal:
    return _refusal(code, message=_SENTENCES[code])


def _parameter_error(text: str) -> base.Refusal:
    return base.Refusal(_answer("parameter-error", {"message": text}))


def _delivered_message(body: _Fields, id_: str) -> DeliveredEmail:
    sender, sender_name = read_address(body["from"])
    headers = body.get("headers", {})
    return DeliveredEmail(
        id=id_,
        sender=sender,
        sender_name=sender_name,
        to=emails(body.get("to", [])),
        cc=emails(body.get("cc", [])),
        bcc=emails(body.get("bcc", [])),
        subject=body.get("subject", ""),
        text=body.get("plain_body"),
        html=body.get("html_body"),
        headers={name: decoded_header(str(value)) for name, value in headers.items()},
        items=tuple(
            attachment_item(file["name"], file["data"], file.get("content_type", _ANY_TYPE), None)
            for file in body.get("attachments", [])
        ),
        raw=body,
    )


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = PostalSandbox()
    options = {"credentials": sandbox.api_key, "base_url": sandbox.base_url}
    fields = sandbox.receive(_EXAMPLE, "orders@shop.example", "ada@example.com")
    return email_fixture(sandbox, options, received=str(fields["id"]))
