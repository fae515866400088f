"""A local sandbox that imitates Bird.

Magic numbers: a message to +15005550001 cannot be routed, for one to +15005550002 the account has
no money left, and one to +15005550008 exceeds the rate limit; a look-up of +15005550001 finds no
number. Errors for which Bird documents no code have the code E99999 here.
"""

from __future__ import annotations

import re
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any, ClassVar, Final

from moorage.contracts.sms import is_gsm, segments
from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json, is_object
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed, words, wrong_names
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.sms.base import OUR_NUMBER, SmsSandbox
from moorage.testing.sandboxes.sms.sent_codes import SentCodes
from moorage.testing.sandboxes.webhook_signatures import standard_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path


_NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_UNROUTABLE: Final = "+15005550001"
_MAGIC: Final = {
    _UNROUTABLE: (422, "validation_error", "The recipient cannot be routed."),
    "+15005550002": (402, "billing_error", "There is no money left."),
    "+15005550008": (429, "rate_limit_error", "Too many requests."),
}
_FIELDS: Final[dict[str, type]] = {
    **typed(str, "category from text to"),
    **typed(dict, "metadata options template"),
    "tags": list,
}
_CATEGORIES: Final = words("transactional marketing authentication service")
_CODE: Final = {
    "to!": {"phone_number!": str},
    "options": {"channels": [str], "code_length": int},
    "metadata": dict,
}
_CODE_RESULTS: Final = {
    "approved": ("verified", None),
    "wrong": ("pending", "incorrect_code"),
    "ended": ("failed", "attempts_exhausted"),
}
_MOST_SEGMENTS: Final = 12
_KEY_MEMORY: Final = 7_200.0


class BirdSandbox(SmsSandbox):
    """A sandbox of Bird: text messages, number look-ups, and verification codes.

    Attributes:
        api_key: credentials that requests must have.
        webhook_secret: secret with which webhooks are signed.
        webhook_url: URL that webhooks are sent to.
        region: region of the sandbox.
        now: returns the time, in seconds since 1970, by which idempotency keys are forgotten.
        fields: the fields that a message may have.
        verifications: the verification codes that it has sent.
        opt_outs: the reasons of opt-outs, by number and sender, the latest first.
    """

    fields: ClassVar[frozenset[str]] = frozenset(_FIELDS)

    api_key: str = "bk_eu1_bird-sandbox-key"
    webhook_secret: str = "whsec_" + b64encode(b"bird-sandbox-webhook-key").decode()
    webhook_url: str = "https://shop.example/texts"
    region: str = "eu1"
    now: Callable[[], float] = time.time
    verifications: SentCodes = base.state_field(lambda: SentCodes(attempts=5))
    opt_outs: dict[tuple[str, str], str] = base.state_field(dict)

    def __attrs_post_init__(self) -> None:
        self.hosts = (f"{self.region}.platform.bird.com",)
        self._replays = base.Replays(
            lambda: _error(409, "conflict_error", "The key was used before.", "E01005"),
            headers={"Idempotency-Replay": "true"},
            refusals=lambda _: True,
            invalid=lambda: _error(400, "bad_request_error", "The key is too long.", "E01002"),
            memory=_KEY_MEMORY,
            now=self.now,
        )

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /v1/sms/messages": self._replays.once(self._create),
            "GET /v1/sms/messages/{sms}": self._fetch,
            "POST /v1/lookup/phone-number": self._look_up,
            "GET /v1/sms/suppressions": self._suppressions,
            "DELETE /v1/sms/suppressions/{id_}": self._remove_suppression,
            "POST /v1/verify/verifications": self._replays.once(self._send_code),
            "POST /v1/verify/verifications/check": self._check_code,
        }

    def _report_fields(self, id_: str, status: str, error_code: str | None, /) -> dict[str, Any]:
        message, data = self.messages[id_], self._webhook_data(id_, self.messages[id_])
        message |= {"status": status, "last_error": None}
        if error_code is not None:
            data["error"] = message["last_error"] = {
                "code": error_code,
                "description": "As you wish.",
                "occurred_at": base.moment(None).isoformat(),
            }
        return {"type": f"sms.{status}", "data": data}

    def _incoming_fields(self, sender: str, text: str, /) -> dict[str, Any]:
        numbers = {"from": sender, "to": OUR_NUMBER}
        data = self._webhook_data(self._id("sms"), numbers)
        data |= {"text": text, "segments": _segments_of(text)}
        return {"type": "sms.received", "data": data}

    def _webhook_data(self, id_: str, message: Mapping[str, Any]) -> dict[str, Any]:
        data = {name: message.get(name) for name in ("to", "from", "tags", "metadata")}
        return {"sms_id": id_, "workspace_id": f"ws_{1:026d}", **data}

    def _webhook(self, url: str, fields: dict[str, Any], at: datetime, /) -> base.Notice:
        body = encode_json({"timestamp": at.isoformat(), **fields})
        headers = standard_headers(self.webhook_secret, self._id("evt"), at, body)
        return self.notify(url or self.webhook_url, body, headers)

    def _create(self, request: base.SandboxRequest) -> Response:
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
            "segments": _segments_of(text),
            "cost": None,
            "tags": body.get("tags"),
            "metadata": body.get("metadata"),
            "created_at": "2031-05-06T07:08:09Z",
        }
        self.callbacks[sms] = self.webhook_url
        return base.reply(self.messages[sms], 202)

    def _fetch(self, _: base.SandboxRequest, sms: str) -> Response:
        missing_error = _error(404, "not_found_error", "There is no such message.")
        message = base.existing(self.messages, sms, missing_error)
        price = {"transaction_amount": "0.00790", "passthrough_amount": "0.00200"}
        cost = {"amount": "0.00990", "currency_code": "USD", **price}
        return base.reply({**message, "cost": cost})

    def _look_up(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        number = body.get("phone_number") if is_object(body) else None
        if not isinstance(number, str) or not _NUMBER.fullmatch(number) or number == _UNROUTABLE:
            raise _invalid_request({"phone_number": "is not a phone number"})
        network = {"carrier_name": "Sandbox Mobile", "mcc": "234", "mnc": "10"}
        return base.reply(
            {
                "phone_number": number,
                "country_code": "GB",
                "network_info": network,
                "original_network_info": network,
                "flags": [],
                "line_type": "mobile",
            }
        )

    def _suppressions(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        entries = [
            {
                "id": f"ssu_{number[1:]}_{sender[1:]}",
                "destination": number,
                "originator": sender,
                "reason": reason,
                "effective_at": "2031-05-06T07:08:09Z",
            }
            for (number, sender), reason in self.opt_outs.items()
            if query.get("destination", number) == number
        ]
        ids = [entry["id"] for entry in entries]
        start = ids.index(query["starting_after"]) + 1 if "starting_after" in query else 0
        return base.reply({"data": entries[start : start + int(query["limit"])]})

    def _remove_suppression(self, _: base.SandboxRequest, id_: str) -> Response:
        number, __, sender = id_.removeprefix("ssu_").partition("_")
        pair = f"+{number}", f"+{sender}"
        if pair not in self.opt_outs:
            raise _error(404, "not_found_error", "There is no such suppression.")
        if self.opt_outs[pair] != "manual":
            raise _error(409, "conflict_error", "Only the subscriber can opt in again.")
        del self.opt_outs[pair]
        return Response(204)

    def _send_code(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        wrong_fields = {name: kind for _, name, kind in problems(_CODE, body)}
        if wrong_fields or not _NUMBER.fullmatch(body["to"]["phone_number"]):
            raise _invalid_request(wrong_fields or {"to": "is not a phone number"})
        id_, number = self._id("vrf"), body["to"]["phone_number"]
        self.verifications.send(id_, number)
        return base.reply(_verification(id_, number, "pending"), 202)

    def _check_code(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        number = body["to"]["phone_number"]
        id_ = self.verifications.latest_id(number)
        result = "missing" if id_ is None else self.verifications.check(id_, body["code"])
        if id_ is None or result == "missing":
            raise _error(404, "not_found_error", "There is no such verification.")
        status, reason = _CODE_RESULTS[result]
        attempts_left = self.verifications.attempts_left(id_) if status == "pending" else None
        return base.reply(
            {
                "success": status == "verified",
                "reason": reason,
                "attempts_remaining": attempts_left,
                "verification": _verification(id_, number, status),
            }
        )

    def _id(self, kind: str) -> str:
        return f"{kind}_{self.number():026d}"

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the credentials of a request."""
        if request.bearer() != self.api_key:
            raise _error(401, "auth_error", "The key is unknown.")


def _verification(id_: str, to: str, status: str) -> dict[str, Any]:
    return {
        "id": id_,
        "status": status,
        "to": {"phone_number": to},
        "channels": [{"channel": "sms"}],
        "last_channel": "sms",
        "expires_at": "2031-05-06T07:18:09Z",
        "created_at": "2031-05-06T07:08:09Z",
        "updated_at": "2031-05-06T07:08:09Z",
    }


def _segments_of(text: str) -> dict[str, Any]:
    encoding = "GSM_7BIT" if is_gsm(text) else "UCS2"
    return {"count": segments(text), "encoding": encoding, "characters": len(text)}


def _message_problems(body: Any) -> dict[str, str]:
    """Return a message's problems by field."""
    if not is_object(body):
        return {".": "must be an object"}
    problems = dict.fromkeys(wrong_names(_FIELDS, body), "is not known, or of another type")
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


def _invalid_request(wrong: dict[str, str]) -> base.Refusal:
    details = [{"param": name, "message": problem} for name, problem in wrong.items()]
    return _error(422, "validation_error", "Request validation failed.", "E01001", details=details)


def _error(
    status: int, kind: str, message: str, code: str = "E99999", **details: Any
) -> base.Refusal:
    page = f"https://docs.bird.com/errors/{code}"
    request = {"name": "Sandbox", "doc_url": page, "request_id": "req_sandbox"}
    error = {"type": kind, "code": code, "message": message, **request, **details}
    return base.refusal({"error": error}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = BirdSandbox()
    account = {"region": sandbox.region, "credentials": sandbox.api_key}
    return SandboxFixture(sandbox=sandbox, options={**account, "sender": "ACME"})
