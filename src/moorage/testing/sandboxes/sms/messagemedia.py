"""A local sandbox that imitates MessageMedia.

Three recipients are special. MessageMedia refuses +15005550001. The number +15005550004 is on the
blacklist, so a message to it is rejected. A message to +15005550008 exceeds the rate limit.
"""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from moorage.domain.http.dates import write_http_date
from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed, words
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.sms.base import OUR_NUMBER, SmsSandbox

if TYPE_CHECKING:
    from pathlib import Path

_NUMBER: Final = re.compile(r"\+?[1-9][0-9]{7,14}")
_INVALID, _STOPPED, _BUSY = "+15005550001", "+15005550004", "+15005550008"
FIELDS: Final = {
    "messages!": [
        {
            "content!": str,
            "destination_number!": str,
            **typed(str, "callback_url message_expiry_timestamp scheduled source_number subject"),
            "delivery_report": bool,
            "format": words("SMS MMS TTS"),
            "media": [str],
            "metadata": dict,
            "source_number_type": words("INTERNATIONAL ALPHANUMERIC SHORTCODE"),
        }
    ]
}
"""The allowed fields of a request that sends messages, with their types."""
_MOST_MESSAGES: Final = 100
_LONGEST_TEXT: Final = 5_000
_LONGEST_SUBJECT: Final = 64
_MOST_METADATA, _LONGEST_NAME, _LONGEST_VALUE = 10, 100, 256
_STOP_WORDS: Final = words("STOP UNSUBSCRIBE")
_PAGE: Final = 100
_BLACKLIST: Final = "/v1/number_authorisation/mt/blacklist"


@cache
def _signing_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


def _public_key() -> str:
    der = _signing_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b64encode(der).decode()


class MessageMediaSandbox(SmsSandbox):
    """A sandbox of MessageMedia: messages, their webhooks and the blacklist.

    Attributes:
        api_key, api_secret: the credentials that requests must have.
        public_key: the key that verifies webhooks, in base64 as MessageMedia returns it.
        blacklist: numbers whose owners want no messages, in the order of the list.
    """

    hosts = ("au.app.api.sinch.com", "eu.app.api.sinch.com", "api.messagemedia.com")

    api_key: str = "messagemedia-sandbox-key"
    api_secret: str = "messagemedia-sandbox-secret"
    public_key: str = base.state_field(_public_key)
    blacklist: list[str] = base.state_field(lambda: [_STOPPED])

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /v1/messages": self._send,
            "GET /v1/messages/{id_}": self._fetch,
            "PUT /v1/messages/{id_}": self._cancel,
            f"GET {_BLACKLIST}": self._list,
            f"DELETE {_BLACKLIST}/{{number}}": self._unblock,
            "GET /v1/number_authorisation/is_authorised/{numbers}": self._check,
        }

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the key and the secret of a request."""
        if request.basic() != (self.api_key, self.api_secret):
            raise _error(401, "Invalid authentication credentials")

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - as in the base class
        """Return the response for an unknown path."""
        return _error(404, "Resource not found.").response

    def unreadable(self, problem: str) -> Response:
        """Return the response to a request with a value of a wrong type."""
        return _invalid(problem).response

    def _report_fields(self, id_: str, status: str, error_code: str | None, /) -> dict[str, Any]:
        message = self.messages[id_]
        message["status"] = status
        now = _now()
        return {
            "callback_url": message.get("callback_url", ""),
            "delivery_report_id": self.uuid(),
            # The addresses of a report are those of the message in reverse.
            "source_number": message["destination_number"],
            "date_received": now,
            "status": status,
            "delay": 0,
            "billing_units": 1,
            "submitted_date": now,
            "original_text": message["content"],
            "message_id": id_,
            "vendor_account_id": {"vendor_id": "SinchEU", "account_id": "MyAccount"},
            "error_code": error_code or "220",
            "metadata": message.get("metadata", {}),
        }

    def _incoming_fields(self, sender: str, text: str, /) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "account_id": "MyAccount",
            "destination_number": OUR_NUMBER,
            "source_number": sender,
            "date_received": _now(),
            "content": text,
            "metadata": {},
        }
        if text not in _STOP_WORDS:
            return {**fields, "reply_id": self.uuid(), "message_id": self.uuid()}
        self.blacklist.append(sender)
        return {**fields, "notification_id": self.uuid()}

    def _webhook(self, url: str, fields: dict[str, Any], at: datetime, /) -> base.Notice:
        body, date, parts = encode_json(fields), write_http_date(at), urlsplit(url)
        path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        content = f"POST {path} HTTP/1.1{date}".encode() + body
        signature = _signing_key().sign(content, padding.PKCS1v15(), hashes.SHA256())
        headers = {
            "Content-Type": "application/json",
            "Date": date,
            "X-MessageMedia-Signature": b64encode(signature).decode(),
            "X-MessageMedia-Digest-Type": "SHA256",
            "X-MessageMedia-Cipher-Type": "RSA",
            "X-MessageMedia-Key-Id": "7ca628a8-08b0-4e42-aeb8-960b37049c31",
        }
        return self.notify(url, body, headers)

    def _send(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        problem = next(problems(FIELDS, body, at=""), None)
        if problem is not None:
            raise _invalid(" ".join(problem))
        messages: list[dict[str, Any]] = body["messages"]
        if len(messages) not in range(1, _MOST_MESSAGES + 1):
            raise _invalid("/messages: between 1 and 100 messages are required")
        # If one message is invalid, none is sent.
        for number, message in enumerate(messages):
            problem_text = _message_problem(message)
            if problem_text is not None:
                raise _invalid(f"/messages/{number}/{problem_text}")
        if any(message["destination_number"] == _BUSY for message in messages):
            raise _error(429, "Too many requests")
        return base.reply({"messages": [self._accept(message) for message in messages]}, 202)

    def _accept(self, message: dict[str, Any]) -> dict[str, Any]:
        id_ = self.uuid()
        accepted = {"format": "SMS", "delivery_report": False, **message, "message_id": id_}
        status = "rejected" if message["destination_number"] in self.blacklist else "queued"
        self.messages[id_] = {
            **accepted,
            "status": "scheduled" if "scheduled" in message else status,
        }
        self.callbacks[id_] = message.get("callback_url", "")
        return {**accepted, "status": "queued"}

    def _existing(self, id_: str) -> dict[str, Any]:
        return base.existing(self.messages, id_, _error(404, "Resource not found."))

    def _fetch(self, _: base.SandboxRequest, id_: str) -> Response:
        return base.reply(self._existing(id_))

    def _cancel(self, request: base.SandboxRequest, id_: str) -> Response:
        message = self._existing(id_)
        if request.json() != {"status": "cancelled"} or message["status"] != "scheduled":
            raise _invalid("/status: only a scheduled message can be cancelled")
        message["status"] = "cancelled"
        return Response(200)

    def _list(self, request: base.SandboxRequest) -> Response:
        start = int(dict(request.query).get("token", "0"))
        end = start + _PAGE
        body: dict[str, Any] = {"uri": _BLACKLIST, "numbers": self.blacklist[start:end]}
        if end < len(self.blacklist):
            body["pagination"] = {"page": str(end), "next_uri": f"{_BLACKLIST}?token={end}"}
        return base.reply(body)

    def _check(self, _: base.SandboxRequest, numbers: str) -> Response:
        entries = [
            {"number": number, "authorised": number not in self.blacklist}
            for number in numbers.split(",")
        ]
        return base.reply({"uri": "/v1/number_authorisation/is_authorised", "numbers": entries})

    def _unblock(self, _: base.SandboxRequest, number: str) -> Response:
        if number not in self.blacklist:
            raise _error(404, "Not found.")
        self.blacklist.remove(number)
        return Response(200, body=b"The number has been successfully deleted.")


def _message_problem(message: dict[str, Any]) -> str | None:
    """Return the problem of an invalid message; None if it is valid."""
    to, metadata = message["destination_number"], message.get("metadata", {})
    texts = [text for pair in metadata.items() for text in pair]
    is_mms = message.get("format") == "MMS"
    for name in ("scheduled", "message_expiry_timestamp"):
        if name in message and datetime.fromisoformat(message[name]).tzinfo is None:
            return f"{name}: a time in UTC is required"
    return base.first_problem(
        {
            "destination_number: Invalid": to == _INVALID or _NUMBER.fullmatch(to) is None,
            "content: Between 1 and 5000 characters": not 1
            <= len(message["content"])
            <= _LONGEST_TEXT,
            "media: The format must be MMS": "media" in message and not is_mms,
            "subject: At most 64 characters": len(message.get("subject", "")) > _LONGEST_SUBJECT,
            "metadata: At most 10 pairs": len(metadata) > _MOST_METADATA,
            "metadata: Texts are required": not all(isinstance(text, str) for text in texts),
            "metadata: A name is too long": any(len(name) > _LONGEST_NAME for name in metadata),
            "metadata: A value is too long": any(len(text) > _LONGEST_VALUE for text in texts),
            "source_number_type: Without a source_number": "source_number_type" in message
            and "source_number" not in message,
        }
    )


def _now() -> str:
    return base.moment(None).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _error(status: int, message: str) -> base.Refusal:
    return base.refusal({"message": message}, status)


def _invalid(detail: str) -> base.Refusal:
    message = "Request failed to parse correctly. Please ensure input is valid and try again."
    return base.refusal({"message": message, "details": [detail]}, 400)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = MessageMediaSandbox()
    options = {"api_key": sandbox.api_key, "credentials": sandbox.api_secret}
    return SandboxFixture(sandbox=sandbox, options={**options, "sender": OUR_NUMBER})
