"""A local sandbox that imitates Plivo.

Magic numbers: a message to +15005550001 has an invalid number, one to +15005550003 goes to a
country where the account may not send, and one to +15005550008 exceeds the rate limit; a look-up
of +15005550001 finds no number.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode

from moorage.contracts.sms import segments
from moorage.domain.values.json_text import is_object
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed, words, wrong_names
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.sms.base import OUR_NUMBER, SmsSandbox
from moorage.testing.sandboxes.sms.sent_codes import SentCodes
from moorage.testing.sandboxes.webhook_signatures import base64_hmac

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from moorage.domain.http.requests import Response

_CODE: Final = {
    "recipient!": str,
    "channel": words("sms voice"),
    **typed(str, "app_uuid url method"),
}
_UNROUTABLE: Final = "15005550001"
_MAGIC: Final = {
    _UNROUTABLE: (400, f"{_UNROUTABLE} is not a valid phone number"),
    "15005550003": (403, "destination country barred"),
    "15005550008": (429, "rate_limit_exceeded"),
}
FIELDS: Final[dict[str, type | tuple[type, ...]]] = {
    **typed(str, "dlt_entity_id dlt_template_category dlt_template_id dst method"),
    **typed(str, "powerpack_uuid src text type url"),
    **typed(dict, "interactive location template"),
    **typed(list, "media_ids media_urls"),
    "log": (bool, str),
    "message_expiry": int,
    "trackable": bool,
}
"""The allowed fields of a message, with their types."""
_MAX_LENGTH: Final = 1600
_MOST_MEDIA: Final = 10


class PlivoSandbox(SmsSandbox):
    """A sandbox of Plivo: text messages, look-ups, verification codes and the balance.

    Attributes:
        auth_id, auth_token: credentials that requests must have; the token signs webhooks too.
        verifications: the verification codes that it has sent.
    """

    hosts = ("api.plivo.com", "lookup.plivo.com")

    auth_id: str = "MA" + "0" * 18
    auth_token: str = "plivo-sandbox-token"
    verifications: SentCodes = base.state_field(lambda: SentCodes(attempts=10))
    balance: str = "25.50750"
    sessions: dict[str, str] = base.state_field(dict)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        account = "/v1/Account/{account}"
        return {
            f"POST {account}/Message/": self._create,
            f"GET {account}/Message/{{uuid}}/": self._fetch,
            f"GET {account}/": self._account,
            "GET /v1/Number/{number}": self._look_up,
            f"POST {account}/Verify/Session/": self._send_code,
            f"POST {account}/Verify/Session/{{uuid}}/": self._check_code,
            f"GET {account}/Verify/Session/{{uuid}}/": self._session,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response for an unknown path."""
        return _error(404, f"not found: {request.path}").response

    def _report_fields(self, id_: str, status: str, error_code: str | None, /) -> dict[str, Any]:
        message = self.messages[id_]
        message |= {"message_state": status, "error_code": error_code or "000"}
        return {
            "From": message["from_number"],
            "MessageUUID": id_,
            "ParentMessageUUID": id_,
            "Status": status,
            "To": message["to_number"],
            "TotalAmount": message["total_amount"],
            "TotalRate": message["total_rate"],
            "Type": message["message_type"],
            "Units": str(message["units"]),
            **({} if error_code is None else {"ErrorCode": error_code}),
        }

    def _incoming_fields(self, sender: str, text: str, /) -> dict[str, Any]:
        numbers = {"From": sender.removeprefix("+"), "To": OUR_NUMBER.removeprefix("+")}
        return numbers | {"MessageUUID": self.uuid(), "Text": text, "Type": "sms"}

    def _webhook(self, url: str, fields: dict[str, Any], _at: datetime, /) -> base.Notice:
        nonce = f"{self.number():020d}"
        address, _, query = url.partition("?")
        pairs = sorted(parse_qsl(query, keep_blank_values=True))
        sorted_query = "&".join(f"{name}={value}" for name, value in pairs) + ("." if pairs else "")
        form = "".join(name + fields[name] for name in sorted(fields))
        contents = {"V2": address + nonce, "V3": f"{address}?{sorted_query}{form}.{nonce}"}
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        for version, content in contents.items():
            signature = base64_hmac(self.auth_token.encode(), content.encode())
            headers |= {
                f"X-Plivo-Signature-Ma-{version}": signature,
                f"X-Plivo-Signature-{version}": signature,
                f"X-Plivo-Signature-{version}-Nonce": nonce,
            }
        return self.notify(url, urlencode(fields).encode(), headers)

    def _create(self, request: base.SandboxRequest, **_path: str) -> Response:
        body = request.json()
        problem = _message_problem(body)
        if problem is not None:
            raise _error(400, problem)
        if body["dst"] in _MAGIC:
            raise _error(*_MAGIC[body["dst"]])
        uuid = self.uuid()
        units = segments(body.get("text", ""))
        self.messages[uuid] = {
            "error_code": None,
            "from_number": body.get("src", "15005550006"),
            "message_direction": "outbound",
            "message_state": "queued",
            "message_time": "2031-05-06 07:08:09.123456+00:00",
            "message_type": body.get("type", "sms"),
            "message_uuid": uuid,
            "powerpack_id": body.get("powerpack_uuid"),
            "resource_uri": f"/v1/Account/{self.auth_id}/Message/{uuid}/",
            "to_number": body["dst"],
            "total_amount": str(units * Decimal("0.00550")),
            "total_rate": "0.00550",
            "units": units,
        }
        if "url" in body:
            self.callbacks[uuid] = body["url"]
        return self._reply({"message": "message(s) queued", "message_uuid": [uuid]}, 202)

    def _fetch(self, _: base.SandboxRequest, uuid: str, **_path: str) -> Response:
        return self._reply(base.existing(self.messages, uuid, _error(404, "not found")))

    def _account(self, _: base.SandboxRequest, **_path: str) -> Response:
        return self._reply({"auth_id": self.auth_id, "cash_credits": self.balance})

    def _look_up(self, request: base.SandboxRequest, number: str) -> Response:
        national = number.removeprefix("+")
        if dict(request.query).get("type") != "carrier":
            raise _error(400, "type is required")
        if national == _UNROUTABLE:
            return self._reply({"error_code": 404, "message": "number not found"}, 404)
        return self._reply(
            {
                "phone_number": number,
                "country": {"name": "United Kingdom", "iso2": "GB", "iso3": "GBR"},
                "format": {"e164": number, "national": national, "rfc3966": f"tel:{number}"},
                "carrier": {"name": "Sandbox Mobile", "type": "mobile", "ported": "unknown"},
                "resource_uri": f"/v1/Number/{number}?type=carrier",
            }
        )

    def _send_code(self, request: base.SandboxRequest, **_path: str) -> Response:
        body = request.json()
        if list(problems(_CODE, body)):
            raise _error(400, "the session is invalid")
        uuid = self.uuid()
        self.verifications.send(uuid, f"+{body['recipient'].removeprefix('+')}")
        self.sessions[uuid] = "in-progress"
        return self._reply({"message": "Session initiated", "session_uuid": uuid}, 202)

    def _check_code(self, request: base.SandboxRequest, uuid: str, **_path: str) -> Response:
        base.existing(self.sessions, uuid, _error(404, "not found"))
        result = self.verifications.check(uuid, request.json()["otp"])
        if result == "approved":
            self.sessions[uuid] = "verified"
            return self._reply({"message": "session validated successfully."})
        raise _error(400, "the otp is invalid")

    def _session(self, _: base.SandboxRequest, uuid: str, **_path: str) -> Response:
        status = base.existing(self.sessions, uuid, _error(404, "not found"))
        if status == "in-progress" and self.verifications.is_over(uuid):
            status = "expired"
        recipient = self.verifications.number_of(uuid).removeprefix("+")
        session = {"session_uuid": uuid, "recipient": recipient, "status": status}
        return self._reply(session)

    def _reply(self, body: dict[str, Any], status: int = 200) -> Response:
        return base.reply({"api_id": f"sandbox-{self.number()}", **body}, status)

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the user, the password and the account in the path."""
        paths = (f"/v1/Account/{self.auth_id}/", "/v1/Number/")
        if request.basic() != (self.auth_id, self.auth_token) or not request.path.startswith(paths):
            raise _error(401, "authentication_failed")


def _message_problem(body: Any) -> str | None:
    """Return the problem with a message; None if it is valid."""
    if not is_object(body):
        return "the body is not an object"
    invalid_names = wrong_names(FIELDS, body)
    if invalid_names:
        return f"invalid parameters: {invalid_names}"
    kind, media = body.get("type", "sms"), body.get("media_urls", [])
    lacks_text = not body.get("text") and (kind == "sms" or not media)
    misfit_media = media and (kind == "sms" or len(media) > _MOST_MEDIA)
    return base.first_problem(
        {
            "dst is required": not body.get("dst"),
            "either src or powerpack_uuid is required": ("src" in body)
            == ("powerpack_uuid" in body),
            "src and dst cannot be the same": body.get("src") == body.get("dst"),
            "type is none of sms, mms, whatsapp": kind not in {"sms", "mms", "whatsapp"},
            "text is required": lacks_text,
            "text is too long": len(body.get("text", "")) > _MAX_LENGTH,
            "media_urls need mms, and are at most 10": misfit_media,
            "message_expiry is not a number of seconds": body.get("message_expiry", 1) < 1,
            "method is neither GET nor POST": body.get("method", "POST") not in {"GET", "POST"},
        }
    )


def _error(status: int, message: str) -> base.Refusal:
    return base.refusal({"api_id": "sandbox", "error": message}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = PlivoSandbox()
    account = {"auth_id": sandbox.auth_id, "credentials": sandbox.auth_token}
    return SandboxFixture(sandbox=sandbox, options={**account, "sender": OUR_NUMBER})
