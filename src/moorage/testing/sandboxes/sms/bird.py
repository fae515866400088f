"""Bird on this machine.

Magic numbers: a message to +15005550001 cannot be routed, to +15005550002 there is no money left,
to +15005550008 there have been too many; a look-up of +15005550001 finds no number. Errors whose
code Bird does not describe have the code E99999 here.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from moorage.contracts.sms import is_gsm, segments
from moorage.domain.values.json_text import encode_json, is_object
from moorage.testing.sandboxes.base import Refusal, Replays, Sandbox, SandboxRequest, reply
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import Notice

_NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_NOBODY: Final = "+15005550001"
_MAGIC: Final = {
    _NOBODY: (422, "validation_error", "The recipient cannot be routed."),
    "+15005550002": (402, "billing_error", "There is no money left."),
    "+15005550008": (429, "rate_limit_error", "Too many requests."),
}
_FIELDS: Final[dict[str, type]] = {
    "category": str,
    "from": str,
    "metadata": dict,
    "options": dict,
    "tags": list,
    "template": dict,
    "text": str,
    "to": str,
}
_CATEGORIES: Final = {"transactional", "marketing", "authentication", "service"}
_MOST_SEGMENTS: Final = 12
_LONGEST_KEY: Final = 255


class BirdSandbox(Sandbox):
    """Simulates Bird's messages and look-ups.

    Args:
        api_key: who may come in.
        webhook_secret: signs webhooks.
        webhook_url: the endpoint that is set up for them.
        region: where it is.

    Attributes:
        fields: what a message may be sent with.
        messages: by id, as the API tells of them.
    """

    fields: ClassVar[frozenset[str]] = frozenset(_FIELDS)

    def __init__(
        self,
        api_key: str = "bk_eu1_bird-sandbox-key",
        webhook_secret: str = "whsec_" + b64encode(b"bird-sandbox-webhook-key").decode(),
        webhook_url: str = "https://shop.example/texts",
        region: str = "eu1",
    ) -> None:
        self.hosts = (f"{region}.platform.bird.com",)
        super().__init__()
        self.api_key = api_key
        self.webhook_secret = webhook_secret
        self.webhook_url = webhook_url
        self.region = region
        self.messages: dict[str, dict[str, Any]] = {}
        self._replays = Replays(
            lambda: _error(409, "conflict_error", "The key was used before.", "E01005"),
            headers={"Idempotency-Replay": "true"},
            refusals=lambda _: True,
        )

    def routes(self) -> Mapping[str, Callable[..., Response]]:
        """The sandbox's routes, by method and path."""
        return {
            "POST /v1/sms/messages": self._create,
            "GET /v1/sms/messages/{sms}": self._fetch,
            "POST /v1/lookup/phone-number": self._look_up,
        }

    def report(
        self, sms: str, status: str, *, error_code: str | None = None, at: datetime | None = None
    ) -> Notice:
        """Report the delivery of a message by a webhook to the endpoint.

        Args:
            sms: the id of the message.
            status: in Bird's word.
            error_code: why it failed.
            at: when it is sent; now unless given.
        """
        message = self.messages[sms]
        moment = (at or datetime.now(UTC)).astimezone(UTC)
        error = None
        if error_code is not None:
            error = {
                "code": error_code,
                "description": "As you wish.",
                "occurred_at": moment.isoformat(),
            }
        message |= {"status": status, "last_error": error}
        data = {**self._envelope(sms, message), **({} if error is None else {"error": error})}
        return self._signed(f"sms.{status}", data, moment)

    def receive(self, sender: str, text: str, *, at: datetime | None = None) -> Notice:
        """Send an incoming message as a webhook to the endpoint.

        Args:
            sender: whose number it comes from.
            text: what it says.
            at: when it is sent; now unless given.
        """
        moment = (at or datetime.now(UTC)).astimezone(UTC)
        message = {"from": sender, "to": "+15005550006"}
        data = {
            **self._envelope(self._id("sms"), message),
            "text": text,
            "segments": _shortened_answer(text),
        }
        return self._signed("sms.received", data, moment)

    def _envelope(self, sms: str, message: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "sms_id": sms,
            "workspace_id": f"ws_{1:026d}",
            "to": message["to"],
            "from": message["from"],
            "tags": message.get("tags"),
            "metadata": message.get("metadata"),
        }

    def _signed(self, kind: str, data: dict[str, Any], moment: datetime) -> Notice:
        body = encode_json({"type": kind, "timestamp": moment.isoformat(), "data": data})
        id_, stamp = self._id("evt"), str(int(moment.timestamp()))
        key = b64decode(self.webhook_secret.removeprefix("whsec_"))
        signature = hmac.digest(key, f"{id_}.{stamp}.".encode() + body, "sha256")
        headers = {
            "Content-Type": "application/json",
            "webhook-id": id_,
            "webhook-timestamp": stamp,
            "webhook-signature": f"v1,{b64encode(signature).decode()}",
        }
        return self.notify(self.webhook_url, body, headers)

    def _create(self, request: SandboxRequest) -> Response:
        key = request.headers.get("idempotency-key")
        if key is None:
            return self._send(request)
        if not 0 < len(key) <= _LONGEST_KEY:
            raise _error(400, "bad_request_error", "The key is empty or too long.", "E01002")
        return self._replays.respond(key, (request.path, request.body), lambda: self._send(request))

    def _send(self, request: SandboxRequest) -> Response:
        body = request.json()
        problems = _message_problems(body)
        if problems:
            raise _invalid_request(problems)
        if body["to"] in _MAGIC:
            raise _error(*_MAGIC[body["to"]])
        sms, text = self._id("sms"), body.get("text", "(a template)")
        self.messages[sms] = {
            "id": sms,
            "direction": "outbound",
            "status": "accepted",
            "to": body["to"],
            "from": body.get("from", "Bird"),
            "text": text,
            "category": body.get("category", "authentication"),
            "segments": _shortened_answer(text),
            "cost": None,
            "tags": body.get("tags"),
            "metadata": body.get("metadata"),
            "created_at": "2031-05-06T07:08:09Z",
        }
        return reply(self.messages[sms], 202)

    def _fetch(self, _: SandboxRequest, sms: str) -> Response:
        if sms not in self.messages:
            raise _error(404, "not_found_error", "There is no such message.")
        price = {"transaction_amount": "0.00790", "passthrough_amount": "0.00200"}
        cost = {"amount": "0.00990", "currency_code": "USD", **price}
        return reply({**self.messages[sms], "cost": cost})

    def _look_up(self, request: SandboxRequest) -> Response:
        body = request.json()
        number = body.get("phone_number") if is_object(body) else None
        if not isinstance(number, str) or not _NUMBER.fullmatch(number) or number == _NOBODY:
            raise _invalid_request({"phone_number": "is not a phone number"})
        network = {"carrier_name": "Sandbox Mobile", "mcc": "234", "mnc": "10"}
        return reply(
            {
                "phone_number": number,
                "country_code": "GB",
                "network_info": network,
                "original_network_info": network,
                "flags": [],
                "line_type": "mobile",
            }
        )

    def _id(self, kind: str) -> str:
        return f"{kind}_{self.number():026d}"

    def check_access(self, request: SandboxRequest) -> None:
        """Check the credentials."""
        if request.bearer() != self.api_key:
            raise _error(401, "auth_error", "The key is unknown.")


def _shortened_answer(text: str) -> dict[str, Any]:
    encoding = "GSM_7BIT" if is_gsm(text) else "UCS2"
    return {"count": segments(text), "encoding": encoding, "characters": len(text)}


def _message_problems(body: Any) -> dict[str, str]:
    """Return the problems of a message, by field."""
    if not is_object(body):
        return {".": "must be an object"}
    problems = {
        name: "is not known, or of another type"
        for name, value in body.items()
        if not isinstance(value, _FIELDS.get(name, ()))
    }
    if problems:
        return problems
    if not _NUMBER.fullmatch(body.get("to", "")):
        problems["to"] = "is not a phone number"
    if "template" in body:
        return problems | {
            name: "is not accepted with a template"
            for name in ("text", "from", "category")
            if name in body
        }
    if not body.get("from"):
        problems["from"] = "is required"
    if body.get("category") not in _CATEGORIES:
        problems["category"] = "is required"
    if not body.get("text") or segments(body["text"]) > _MOST_SEGMENTS:
        problems["text"] = "is empty, or has more than 12 segments"
    return problems


def _invalid_request(wrong: dict[str, str]) -> Refusal:
    details = [{"param": name, "message": words} for name, words in wrong.items()]
    return _error(422, "validation_error", "Request validation failed.", "E01001", details)


def _error(
    status: int,
    kind: str,
    words: str,
    code: str = "E99999",
    details: list[dict[str, str]] | None = None,
) -> Refusal:
    error = {
        "type": kind,
        "code": code,
        "name": "Sandbox",
        "message": words,
        "doc_url": f"https://docs.bird.com/errors/{code}",
        "request_id": "req_sandbox",
        **({} if details is None else {"details": details}),
    }
    return Refusal(reply({"error": error}, status))


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = BirdSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        options={
            "region": sandbox.region,
            "credentials": sandbox.api_key,
            "sender": "ACME",
        },
    )
