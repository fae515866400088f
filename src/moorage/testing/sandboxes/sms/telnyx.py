"""A local sandbox that imitates Telnyx.

Magic numbers: a message to +15005550001 has an invalid number, the owner of +15005550004 has
answered STOP, and a message to +15005550008 exceeds the rate limit; a look-up of +15005550001
finds no number.
"""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from moorage.contracts.sms import is_gsm, segments
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed, words
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.sms.base import OUR_NUMBER, SmsSandbox

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.domain.http.requests import Response

_NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}|[0-9]{4,8}")
_NAME: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 ]{1,11}")
_STOPPED: Final = "+15005550004"
_MAGIC: Final = {
    "+15005550001": (400, "40310", "Invalid 'to' address"),
    _STOPPED: (400, "40300", "Blocked due to STOP message"),
    "+15005550008": (429, "10011", "Too many requests"),
}
FIELDS: Final = {
    "to!": str,
    **typed(str, "from messaging_profile_id subject text webhook_failover_url webhook_url"),
    **typed(bool, "auto_detect use_profile_webhooks"),
    "encoding": words("auto gsm7 ucs2"),
    "media_urls": [str],
    "send_at": str,
    "type": words("SMS MMS"),
}
"""The allowed fields of a message, with their types."""
_SIGNING_KEY: Final = Ed25519PrivateKey.from_private_bytes(b"telnyx-sandbox-key-of-32-bytes!!")
_MOST_PARTS: Final = 10
_MOST_MEDIA: Final = 10
_LONGEST_URL: Final = 2000
_SOONEST, _LATEST = timedelta(minutes=5), timedelta(days=5)
_LAST_CANCELLATION: Final = timedelta(minutes=1)
_STOPS: Final = words("STOP STOPALL UNSUBSCRIBE CANCEL END QUIT")
_UNFINISHED_STATUSES: Final = words("queued sending sent")


class TelnyxSandbox(SmsSandbox):
    """A sandbox of Telnyx: messages, their webhooks, look-ups and the balance.

    Attributes:
        api_key: the key that requests must have.
        public_key: the key that verifies webhooks, as Telnyx's portal shows it.
        balance: the balance of the account in US dollars.
        blocked_numbers: numbers whose owners have answered STOP.
    """

    hosts = ("api.telnyx.com",)

    api_key: str = "telnyx-sandbox-key"
    public_key: str = b64encode(_SIGNING_KEY.public_key().public_bytes_raw()).decode()
    balance: str = "300.00"
    blocked_numbers: set[str] = base.state_field(set)
    send_times: dict[str, datetime] = base.state_field(dict)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /v2/messages": self._send,
            "GET /v2/messages/{id_}": self._fetch,
            "DELETE /v2/messages/{id_}": self._cancel,
            "GET /v2/number_lookup/{number}": self._look_up,
            "GET /v2/balance": self._balance,
        }

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the API key of a request."""
        if request.bearer() != self.api_key:
            raise _error(401, "10009", "Authentication failed")

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - as in the base class
        """Return the response for an unknown path."""
        return _error(404, "10005", "Resource not found").response

    def unreadable(self, problem: str) -> Response:
        """Return the response to a request with a value of a wrong type."""
        return _error(400, "10015", "Bad Request", problem).response

    def _report_fields(self, id_: str, status: str, error_code: str | None, /) -> dict[str, Any]:
        message = self.messages[id_]
        message["to"][0]["status"] = status
        message["errors"] = [{"code": error_code, "title": "Refused"}] if error_code else []
        kind = "message.sent" if status in _UNFINISHED_STATUSES else "message.finalized"
        return {"event_type": "message.read" if status == "read" else kind, "payload": message}

    def _incoming_fields(self, sender: str, text: str, /) -> dict[str, Any]:
        message = self._message("inbound", sender, OUR_NUMBER, "webhook_delivered", text=text)
        if text in _STOPS:
            self.blocked_numbers.add(sender)
            message["autoresponse_type"] = "STOP"
        elif text == "START":
            self.blocked_numbers.discard(sender)
            message["autoresponse_type"] = "START"
        return {"event_type": "message.received", "payload": message}

    def _webhook(self, url: str, fields: dict[str, Any], at: datetime, /) -> base.Notice:
        event = {"record_type": "event", "id": self.uuid(), "occurred_at": at.isoformat()}
        meta = {"attempt": 1, "delivered_to": url}
        body = encode_json({"data": event | fields, "meta": meta})
        stamp = str(int(at.timestamp()))
        signature = _SIGNING_KEY.sign(f"{stamp}|".encode() + body)
        headers = {
            "Content-Type": "application/json",
            "telnyx-signature-ed25519": b64encode(signature).decode(),
            "telnyx-timestamp": stamp,
        }
        return self.notify(url, body, headers)

    def _send(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        problem = next(problems(FIELDS, body), None)
        if problem is not None:
            raise _error(400, "10015", "Bad Request", " ".join(problem))
        to = _STOPPED if body["to"] in self.blocked_numbers else body["to"]
        refusal = _message_problem(body) or _MAGIC.get(to)
        if refusal is not None:
            raise _error(*refusal)
        status = "scheduled" if "send_at" in body else "queued"
        sender = body.get("from", OUR_NUMBER)
        message = self._message("outbound", sender, body["to"], status, **body)
        id_ = message["id"]
        self.messages[id_] = message
        self.callbacks[id_] = body.get("webhook_url", "")
        if "send_at" in body:
            self.send_times[id_] = datetime.fromisoformat(body["send_at"])
        return _data(message)

    def _message(
        self, direction: str, sender: str, to: str, status: str, /, **body: Any
    ) -> dict[str, Any]:
        """Return a message as the API states it."""
        media = [{"url": url, "content_type": None} for url in body.get("media_urls", [])]
        return {
            "record_type": "message",
            "id": self.uuid(),
            "direction": direction,
            "type": "MMS" if media else "SMS",
            "from": {"phone_number": sender, "carrier": "Telnyx", "line_type": "Wireless"},
            "to": [{"phone_number": to, "status": status, "line_type": "Wireless"}],
            "text": body.get("text", ""),
            "media": media,
            "parts": segments(body.get("text", "")),
            "cost": {"amount": "0.0051", "currency": "USD"},
            "messaging_profile_id": body.get("messaging_profile_id", "profile-1"),
            "webhook_url": body.get("webhook_url"),
            "errors": [],
            "received_at": base.moment(None).isoformat(),
        }

    def _existing(self, id_: str) -> dict[str, Any]:
        return base.existing(self.messages, id_, _error(404, "10005", "Resource not found"))

    def _fetch(self, _: base.SandboxRequest, id_: str) -> Response:
        return _data(self._existing(id_))

    def _cancel(self, _: base.SandboxRequest, id_: str) -> Response:
        recipient, now = self._existing(id_)["to"][0], base.moment(None)
        is_late = self.send_times.get(id_, now) <= now + _LAST_CANCELLATION
        if recipient["status"] != "scheduled" or is_late:
            raise _error(403, "10010", "Authorization failed")
        recipient["status"] = "cancelled"
        return base.reply(self.messages[id_])

    def _look_up(self, request: base.SandboxRequest, number: str) -> Response:
        if request.query != (("type", "carrier"),):
            raise _error(422, "10032", "Invalid enumerated value")
        if number in _MAGIC or _NUMBER.fullmatch(number) is None:
            raise _error(422, "10002", "Invalid phone number")
        place = {"country_code": "GB", "national_format": "07700 900000"}
        carrier = {"carrier": {"name": "Sandbox Mobile", "type": "mobile", "error_code": None}}
        return _data({"record_type": "number_lookup", "phone_number": number, **place, **carrier})

    def _balance(self, _: base.SandboxRequest) -> Response:
        amounts = {"balance": self.balance, "credit_limit": "0.00", "available_credit": "300.00"}
        return _data({"record_type": "balance", "currency": "USD", **amounts})


def _message_problem(body: dict[str, Any]) -> tuple[int, str, str] | None:
    """Return the status, code and title for an invalid message; None if it is valid."""
    text, media, sender = body.get("text", ""), body.get("media_urls", []), body.get("from", "")
    is_name = sender and _NUMBER.fullmatch(sender) is None
    needs_profile = is_name or not sender
    problem = base.first_problem(
        {
            ("40310", "Invalid 'to' address"): _NUMBER.fullmatch(body["to"]) is None,
            ("40316", "No content provided for message"): not (text or media),
            ("40305", "Invalid 'from' address"): needs_profile
            and not body.get("messaging_profile_id"),
            ("40325", "Invalid alphanumeric sender ID"): is_name and not _NAME.fullmatch(sender),
            ("40308", "Invalid 'from' address for MMS"): is_name and media,
            ("40302", "Message too large"): segments(text) > _MOST_PARTS,
            ("40317", "Invalid MMS content"): len(media) > _MOST_MEDIA,
            ("10003", "Invalid URL"): len(body.get("webhook_url", "")) > _LONGEST_URL,
            ("10015", "Bad Request"): body.get("encoding") == "gsm7" and not is_gsm(text),
            ("10033", "Value outside of range"): "send_at" in body
            and not _is_in_window(body["send_at"]),
        }
    )
    return None if problem is None else (400, *problem)


def _is_in_window(text: str) -> bool:
    """Return whether a message may be scheduled for this time."""
    send_time, now = datetime.fromisoformat(text), base.moment(None)
    return now + _SOONEST <= send_time <= now + _LATEST


def _data(record: dict[str, Any]) -> Response:
    return base.reply({"data": record})


def _error(status: int, code: str, title: str, detail: str = "") -> base.Refusal:
    error = {"code": code, "title": title, "detail": detail or title}
    return base.refusal({"errors": [error]}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = TelnyxSandbox()
    return SandboxFixture(
        sandbox=sandbox, options={"credentials": sandbox.api_key, "sender": OUR_NUMBER}
    )
