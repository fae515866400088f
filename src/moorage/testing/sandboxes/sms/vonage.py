"""Vonage on this machine.

Magic numbers: a message to +4477009000NN is refused with the status NN, so +447700900001 is
throttled and +447700900005 an internal error; of one to +4477009001NN the first part is taken, and
every other refused with that status. A look-up of +4477009000NN answers with the status NN.
"""

from __future__ import annotations

import hmac
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from moorage.contracts.sms import is_gsm, segments
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes.base import Refusal, Sandbox, SandboxRequest, reply
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import Notice

_MAGIC: Final = re.compile(r"447700900([01])([0-9]{2})")
_TEXTS: Final = {
    "1": "Throughput Rate Exceeded - please wait and retry",
    "2": "Missing to param",
    "3": "Invalid from param",
    "4": "Bad Credentials",
    "5": "Internal Error",
    "6": "Unroutable message - rejected",
    "7": "Number barred",
    "9": "Quota Exceeded - rejected",
    "15": "Illegal Sender Address - rejected",
    "23": "Invalid Callback Url",
    "29": "Non White-listed Destination - rejected",
}
_FIELDS: Final = {
    "account-ref",
    "body",
    "callback",
    "client-ref",
    "content-id",
    "entity-id",
    "from",
    "message-class",
    "protocol-id",
    "status-report-req",
    "text",
    "to",
    "ttl",
    "type",
    "udh",
}
_SHORTEST, _LONGEST = 20_000, 604_800_000
_LONGEST_TEXT: Final = 100


class VonageSandbox(Sandbox):
    """Simulates Vonage's messages, look-ups and balance.

    Args:
        api_key, api_secret: who may come in.
        signature_secret: signs webhooks, as an HMAC with SHA-256.

    Attributes:
        messages: by the id of each part, what was sent.
    """

    hosts = ("rest.nexmo.com", "api.nexmo.com")

    def __init__(
        self,
        api_key: str = "abcd1234",
        api_secret: str = "vonage-sandbox-secret",
        signature_secret: str = "vonage-sandbox-signature-secret",
    ) -> None:
        super().__init__()
        self.api_key = api_key
        self.api_secret = api_secret
        self.signature_secret = signature_secret
        self.messages: dict[str, dict[str, Any]] = {}
        self.balance = 15.5359

    def routes(self) -> Mapping[str, Callable[..., Response]]:
        """The sandbox's routes, by method and path."""
        return {
            "POST /sms/json": self._send,
            "GET /ni/standard/json": self._look_up,
            "GET /account/get-balance": self._balance,
        }

    def report(
        self,
        part: str,
        status: str,
        *,
        error_code: str = "0",
        url: str | None = None,
        sent_as: str = "json",
        at: datetime | None = None,
    ) -> Notice:
        """Report the delivery of a message part by a delivery receipt.

        Args:
            part: its id.
            status: in Vonage's word.
            error_code: why it failed.
            url: where to say it, if not at the message's own `callback`.
            sent_as: "json", "form" or "query", as an account at Vonage has it set.
            at: when it is sent; now unless given.
        """
        message = self.messages[part]
        fields = {
            "client-ref": message.get("client-ref"),
            "err-code": error_code,
            "messageId": part,
            "msisdn": message["to"],
            "network-code": "23410",
            "price": "0.03330000",
            "scts": "2001011400",
            "status": status,
            "to": message["from"],
        }
        return self._signed(url or message.get("callback", ""), fields, sent_as, at)

    def receive(
        self,
        sender: str,
        text: str,
        *,
        url: str,
        sent_as: str = "json",
        at: datetime | None = None,
    ) -> Notice:
        """Send an incoming message as a webhook.

        Args:
            sender: whose number it comes from.
            text: what it says.
            url: where the application takes such messages.
            sent_as: "json", "form" or "query", as an account at Vonage has it set.
            at: when it is sent; now unless given.
        """
        fields = {
            "keyword": text.partition(" ")[0].upper(),
            "messageId": self._id(),
            "msisdn": sender.removeprefix("+"),
            "text": text,
            "to": "447700900000",
            "type": "text" if is_gsm(text) else "unicode",
        }
        return self._signed(url, fields, sent_as, at)

    def _signed(
        self, url: str, fields: Mapping[str, str | None], sent_as: str, at: datetime | None
    ) -> Notice:
        moment = (at or datetime.now(UTC)).astimezone(UTC)
        signed_fields = {name: value for name, value in fields.items() if value is not None} | {
            "api-key": self.api_key,
            "message-timestamp": f"{moment:%Y-%m-%d %H:%M:%S}",
            "nonce": f"sandbox-{self.number()}",
            "timestamp": str(int(moment.timestamp())),
        }
        content = "".join(
            f"&{name}={signed_fields[name].translate({ord('&'): '_', ord('='): '_'})}"
            for name in sorted(signed_fields)
        )
        secret = self.signature_secret.encode()
        signed_fields["sig"] = hmac.digest(secret, content.encode(), "sha256").hex().upper()
        if sent_as == "query":
            return self.notify(f"{url}?{urlencode(signed_fields)}", b"", {}, method="GET")
        if sent_as == "form":
            kind = "application/x-www-form-urlencoded"
            return self.notify(url, urlencode(signed_fields).encode(), {"Content-Type": kind})
        return self.notify(url, encode_json(signed_fields), {"Content-Type": "application/json"})

    def _send(self, request: SandboxRequest) -> Response:
        if request.basic() != (self.api_key, self.api_secret):
            raise _refusal("4")
        form = dict(request.form)
        problem = _message_problem(form)
        if problem is not None:
            raise _refusal(problem)
        magic = _MAGIC.fullmatch(form["to"])
        status = "0" if magic is None else str(int(magic[2]))
        if magic is not None and magic[1] == "0" and status != "0":
            raise _refusal(status)
        other_range = range(segments(form["text"]) - 1)
        parts = [self._part(form)]
        parts += [self._part(form) if status == "0" else _refusal_body(status) for _ in other_range]
        return reply({"message-count": str(len(parts)), "messages": parts})

    def _part(self, form: dict[str, str]) -> dict[str, str]:
        part = self._id()
        self.messages[part] = form
        return {
            "to": form["to"],
            "message-id": part,
            "status": "0",
            "remaining-balance": f"{self.balance:.8f}",
            "message-price": "0.03330000",
            "network": "23410",
            **({"client-ref": form["client-ref"]} if "client-ref" in form else {}),
        }

    def _id(self) -> str:
        return f"0A0000000{self.number():07X}"

    def _look_up(self, request: SandboxRequest) -> Response:
        if request.basic() != (self.api_key, self.api_secret):
            return reply({"status": 4, "status_message": "Invalid credentials"})
        query = dict(request.query)
        number, country = query.get("number", ""), query.get("country")
        magic = _MAGIC.fullmatch(number)
        status = 0 if magic is None or magic[1] == "1" else int(magic[2])
        if not (number.isdigit() and 7 <= len(number) <= 15) or (not country and number[0] == "0"):
            status = 3
        if status not in {0, 43, 44, 45}:
            return reply({"status": status, "status_message": f"Refused :: {number}"})
        carrier = {"name": "Sandbox Mobile", "network_code": "23410", "network_type": "mobile"}
        return reply(
            {
                "status": status,
                "status_message": "Success",
                "request_id": f"sandbox-{self.number()}",
                "international_format_number": f"44{number[1:]}" if number[0] == "0" else number,
                "national_format_number": number,
                "country_code": country or "GB",
                "current_carrier": carrier if status == 0 else None,
            }
        )

    def _balance(self, request: SandboxRequest) -> Response:
        if request.basic() != (self.api_key, self.api_secret):
            return reply({"error-code": "401", "error-code-label": "authentication failed"}, 401)
        return reply({"value": self.balance, "autoReload": False})


def _message_problem(form: Mapping[str, str]) -> str | None:
    """The error status of an invalid message; None if it is valid."""
    if not (form.get("to") and form.get("from") and form.get("text")):
        return "2"
    ttl = form.get("ttl", str(_LONGEST))
    if (
        set(form) - _FIELDS
        or re.fullmatch(r"[0-9]{7,15}", form["to"]) is None
        or not (ttl.isdigit() and _SHORTEST <= int(ttl) <= _LONGEST)
        or len(form.get("client-ref", "")) > _LONGEST_TEXT
    ):
        return "3"
    if form.get("type", "text") == "text" and not is_gsm(form["text"]):
        return "6"
    return "23" if len(form.get("callback", "")) > _LONGEST_TEXT else None


def _refusal_body(status: str) -> dict[str, str]:
    return {"status": status, "error-text": _TEXTS.get(status, "Refused")}


def _refusal(status: str) -> Refusal:
    return Refusal(reply({"message-count": "1", "messages": [_refusal_body(status)]}))


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = VonageSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "api_key": sandbox.api_key,
            "credentials": sandbox.api_secret,
            "sender": "ACME",
        },
    )
