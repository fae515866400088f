"""A local sandbox that imitates Vonage.

Magic numbers: a message to +4477009000NN is refused with the status NN, so +447700900001 is
throttled and +447700900005 an internal error; of a message to +4477009001NN, the first part is
accepted, and all other parts are refused with the status NN. A look-up of +4477009000NN returns the
status NN.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from moorage.contracts.sms import is_gsm, segments
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, words
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.sms.base import SmsSandbox
from moorage.testing.sandboxes.sms.sent_codes import SentCodes
from moorage.testing.sandboxes.webhook_signatures import hex_hmac

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from moorage.domain.http.requests import Response

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
_FIELDS: Final = words(
    "account-ref body callback client-ref content-id entity-id from message-class protocol-id"
    " status-report-req text to ttl type udh"
)
_SHORTEST, _LONGEST = 20_000, 604_800_000
_LONGEST_TEXT: Final = 100
_LONGEST_BRAND: Final = 16
_CODE: Final = {
    "brand!": str,
    "workflow!": [{"channel!": words("sms voice"), "to!": str}],
    "locale": str,
    "code_length": int,
    "channel_timeout": int,
}


class VonageSandbox(SmsSandbox):
    """A sandbox of Vonage: text messages, look-ups, verification codes and the balance.

    Attributes:
        api_key, api_secret: credentials that requests must have.
        signature_secret: secret with which webhooks are signed, by an HMAC with SHA-256.
        verifications: the verification codes that it has sent.
        sent_as: form of the webhooks, as the account has it set: "json", "form" or "query".
    """

    hosts = ("rest.nexmo.com", "api.nexmo.com")

    api_key: str = "abcd1234"
    api_secret: str = "vonage-sandbox-secret"
    signature_secret: str = "vonage-sandbox-signature-secret"
    verifications: SentCodes = base.state_field(lambda: SentCodes(attempts=3))
    balance: float = 15.5359
    sent_as: str = "json"

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /sms/json": self._send,
            "GET /ni/standard/json": self._look_up,
            "GET /account/get-balance": self._balance,
            "POST /v2/verify": self._send_code,
            "POST /v2/verify/{id_}": self._check_code,
        }

    def _report_fields(self, id_: str, status: str, error_code: str | None, /) -> dict[str, Any]:
        message = self.messages[id_]
        reference = {"client-ref": message["client-ref"]} if "client-ref" in message else {}
        return reference | {
            "err-code": error_code or "0",
            "messageId": id_,
            "msisdn": message["to"],
            "network-code": "23410",
            "price": "0.03330000",
            "scts": "2001011400",
            "status": status,
            "to": message["from"],
        }

    def _incoming_fields(self, sender: str, text: str, /) -> dict[str, Any]:
        return {
            "keyword": text.partition(" ")[0].upper(),
            "messageId": self._id(),
            "msisdn": sender.removeprefix("+"),
            "text": text,
            "to": "447700900000",
            "type": "text" if is_gsm(text) else "unicode",
        }

    def _webhook(self, url: str, fields: dict[str, Any], at: datetime, /) -> base.Notice:
        signed_fields = fields | {
            "api-key": self.api_key,
            "message-timestamp": f"{at:%Y-%m-%d %H:%M:%S}",
            "nonce": f"sandbox-{self.number()}",
            "timestamp": str(int(at.timestamp())),
        }
        content = "".join(
            f"&{name}={signed_fields[name].translate({ord('&'): '_', ord('='): '_'})}"
            for name in sorted(signed_fields)
        )
        signed_fields["sig"] = hex_hmac(self.signature_secret, content.encode()).upper()
        if self.sent_as == "query":
            return self.notify(f"{url}?{urlencode(signed_fields)}", b"", {}, method="GET")
        if self.sent_as == "form":
            kind = "application/x-www-form-urlencoded"
            return self.notify(url, urlencode(signed_fields).encode(), {"Content-Type": kind})
        return self.notify(url, encode_json(signed_fields), {"Content-Type": "application/json"})

    def _send(self, request: base.SandboxRequest) -> Response:
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
        return base.reply({"message-count": str(len(parts)), "messages": parts})

    def _part(self, form: dict[str, str]) -> dict[str, str]:
        part = self._id()
        self.messages[part] = form
        self.callbacks[part] = form.get("callback", "")
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

    def _look_up(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        number, country = query.get("number", ""), query.get("country")
        magic = _MAGIC.fullmatch(number)
        status = 0 if magic is None or magic[1] == "1" else int(magic[2])
        if not (number.isdigit() and 7 <= len(number) <= 15) or (not country and number[0] == "0"):
            status = 3
        if status not in {0, 43, 44, 45}:
            return base.reply({"status": status, "status_message": f"Refused :: {number}"})
        carrier = {"name": "Sandbox Mobile", "network_code": "23410", "network_type": "mobile"}
        return base.reply(
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

    def _balance(self, _: base.SandboxRequest) -> Response:
        return base.reply({"value": self.balance, "autoReload": False})

    def _send_code(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        problem = next(problems(_CODE, body), None)
        if problem or len(body["workflow"]) != 1 or not 1 <= len(body["brand"]) <= _LONGEST_BRAND:
            raise _problem(422, "Invalid params", "The value of one or more parameters is invalid.")
        id_ = self.uuid()
        self.verifications.send(id_, f"+{body['workflow'][0]['to']}")
        return base.reply({"request_id": id_}, 202)

    def _check_code(self, request: base.SandboxRequest, id_: str) -> Response:
        result = self.verifications.check(id_, request.json()["code"])
        if result == "missing":
            raise _problem(404, "Not Found", f"Request '{id_}' was not found.")
        if result == "ended":
            words = "An incorrect code has been provided too many times. Workflow terminated."
            raise _problem(410, "Invalid Code", words)
        if result == "wrong":
            words = "The code you provided does not match the expected value."
            raise _problem(400, "Invalid Code", words)
        return base.reply({"request_id": id_, "status": "completed"})

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the API key and secret; each API has its own format of error responses."""
        if request.basic() == (self.api_key, self.api_secret):
            return
        if request.path == "/sms/json":
            raise _refusal("4")
        if request.path.startswith("/v2/verify"):
            raise _problem(401, "Unauthorized", "You did not provide correct credentials.")
        if request.path.startswith("/ni/"):
            raise base.refusal({"status": 4, "status_message": "Invalid credentials"}, 200)
        error = {"error-code": "401", "error-code-label": "authentication failed"}
        raise base.refusal(error, 401)


def _message_problem(form: Mapping[str, str]) -> str | None:
    """Return the error status for an invalid message; None if it is valid."""
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


def _problem(status: int, title: str, detail: str) -> base.Refusal:
    return base.refusal({"title": title, "detail": detail, "instance": "sandbox"}, status)


def _refusal(status: str) -> base.Refusal:
    return base.refusal({"message-count": "1", "messages": [_refusal_body(status)]}, 200)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = VonageSandbox()
    account = {"api_key": sandbox.api_key, "credentials": sandbox.api_secret}
    return SandboxFixture(sandbox=sandbox, options={**account, "sender": "ACME", "brand": "ACME"})
