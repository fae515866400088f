"""Twilio on this machine.

Magic numbers, as in Twilio's own test credentials: to +15005550001 is invalid, +15005550002 cannot
be routed to, +15005550003 is not permitted, +15005550009 cannot receive, +15005550004 has opted
out; from +15005550001 is invalid, +15005550007 not yours, +15005550008 has a full queue.
"""

from __future__ import annotations

import hmac
import re
from base64 import b64encode
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlencode

from moorage.contracts.calling_codes import country_of
from moorage.contracts.sms import segments
from moorage.testing.sandboxes.base import Refusal, Sandbox, SandboxRequest, reply
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import Notice

_TO: Final = {
    "+15005550001": (21211, "Invalid 'To' Phone Number"),
    "+15005550002": (21612, "The 'To' number cannot be routed to"),
    "+15005550003": (21408, "Permission to send to this region has not been enabled"),
    "+15005550004": (21610, "Attempt to send to unsubscribed recipient"),
    "+15005550009": (21614, "'To' number is not a valid mobile number"),
}
_FROM: Final = {
    "+15005550001": (21212, "The 'From' number is not a valid number"),
    "+15005550007": (21606, "The 'From' number is not a message-capable number of yours"),
    "+15005550008": (
        21611,
        "This 'From' number has exceeded the maximum number of queued messages",
    ),
}
_BUSY: Final = "+15005550008"
_MOMENT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_FIELDS: Final = {
    "AddressRetention",
    "ApplicationSid",
    "Attempt",
    "Body",
    "ContentRetention",
    "ContentSid",
    "ContentVariables",
    "FallbackFrom",
    "ForceDelivery",
    "From",
    "MaxPrice",
    "MediaUrl",
    "MessagingServiceSid",
    "PersistentAction",
    "ProvideFeedback",
    "RiskCheck",
    "ScheduleType",
    "SendAsMms",
    "SendAt",
    "ShortenUrls",
    "SmartEncoded",
    "StatusCallback",
    "To",
    "TrafficType",
    "ValidityPeriod",
}


class TwilioSandbox(Sandbox):
    """Simulates Twilio's messages, look-ups and balance.

    Args:
        account_sid, auth_token: who may come in; the token signs webhooks too.

    Attributes:
        fields: what a message may be sent with.
        messages: by SID, as the API tells of them.
    """

    hosts = ("api.twilio.com", "lookups.twilio.com")
    fields: ClassVar[frozenset[str]] = frozenset(_FIELDS)

    def __init__(
        self,
        account_sid: str = "AC" + "0" * 32,
        auth_token: str = "twilio-sandbox-token",
    ) -> None:
        super().__init__()
        self.account_sid = account_sid
        self.auth_token = auth_token
        self.messages: dict[str, dict[str, Any]] = {}
        self._callbacks: dict[str, str | None] = {}
        self.balance = "25.5075"

    def routes(self) -> Mapping[str, Callable[..., Response]]:
        """The sandbox's routes, by method and path."""
        base = "/2010-04-01/Accounts/{account}"
        return {
            f"POST {base}/Messages.json": self._create,
            f"GET {base}/Messages/{{sid}}.json": self._fetch,
            f"POST {base}/Messages/{{sid}}.json": self._update,
            f"GET {base}/Balance.json": self._balance,
            "GET /v2/PhoneNumbers/{number}": self._look_up,
        }

    def report(
        self, sid: str, status: str, *, error_code: str | None = None, url: str | None = None
    ) -> Notice:
        """Report the delivery of a message by a webhook to its callback URL.

        Args:
            sid: of the message.
            status: in Twilio's word.
            error_code: why it failed.
            url: where to say it, if not at the message's own `StatusCallback`.
        """
        message = self.messages[sid]
        code = None if error_code is None else int(error_code)
        message |= {"status": status, "error_code": code, "price": "-0.00750"}
        fields = {
            "AccountSid": self.account_sid,
            "ApiVersion": "2010-04-01",
            "From": message["from"],
            "MessageSid": sid,
            "MessageStatus": status,
            "SmsSid": sid,
            "SmsStatus": status,
            "To": message["to"],
        }
        if error_code is not None:
            fields["ErrorCode"] = error_code
        return self._signed(url or self._callbacks[sid] or "", fields)

    def receive(self, sender: str, text: str, *, url: str) -> Notice:
        """Send an incoming message as a webhook.

        Args:
            sender: whose number it comes from.
            text: what it says.
            url: where the application takes such messages.
        """
        sid = f"SM{self.number():032x}"
        return self._signed(
            url,
            {
                "AccountSid": self.account_sid,
                "ApiVersion": "2010-04-01",
                "Body": text,
                "From": sender,
                "MessageSid": sid,
                "NumMedia": "0",
                "NumSegments": str(segments(text)),
                "SmsMessageSid": sid,
                "SmsSid": sid,
                "SmsStatus": "received",
                "To": "+15005550006",
            },
        )

    def _signed(self, url: str, fields: dict[str, Any]) -> Notice:
        form = {name: value or "" for name, value in fields.items()}
        content = url + "".join(name + form[name] for name in sorted(form))
        signature = hmac.digest(self.auth_token.encode(), content.encode(), "sha1")
        headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
            "I-Twilio-Idempotency-Token": f"sandbox-{self.number()}",
            "X-Twilio-Signature": b64encode(signature).decode(),
        }
        return self.notify(url, urlencode(form).encode(), headers)

    def _create(self, request: SandboxRequest, **_path: str) -> Response:
        form = dict(request.form)
        unknown_fields = set(form) - self.fields
        if unknown_fields:
            raise _refusal(400, 20001, f"Unknown parameters: {sorted(unknown_fields)}")
        to, sender = form.get("To", ""), form.get("From")
        if not to:
            raise _refusal(400, 21604, "A 'To' phone number is required.")
        if not sender and not form.get("MessagingServiceSid"):
            raise _refusal(400, 21603, "A 'From' phone number is required.")
        if not (form.get("Body") or form.get("MediaUrl") or form.get("ContentSid")):
            raise _refusal(400, 21602, "Message body is required.")
        if len(form.get("Body", "")) > 1600:
            raise _refusal(400, 21617, "The concatenated message body exceeds 1600 characters.")
        is_scheduled = form.get("ScheduleType") == "fixed"
        if bool(form.get("SendAt")) != is_scheduled or (
            is_scheduled and not form.get("MessagingServiceSid")
        ):
            raise _refusal(400, 35118, "MessagingServiceSid is required to schedule a message.")
        if is_scheduled and _MOMENT.fullmatch(form["SendAt"]) is None:
            raise _refusal(400, 35114, "Scheduling does not support this timestamp")
        for number, table in ((to, _TO), (sender, _FROM)):
            if number in table:
                raise _refusal(429 if number == _BUSY else 400, *table[number])
        sid = f"SM{self.number():032x}"
        self.messages[sid] = {
            "sid": sid,
            "account_sid": self.account_sid,
            "to": to,
            "from": sender,
            "messaging_service_sid": form.get("MessagingServiceSid"),
            "body": form.get("Body"),
            "status": "scheduled" if is_scheduled else "queued",
            "num_segments": str(segments(form.get("Body", ""))),
            "num_media": str(sum(name == "MediaUrl" for name, _ in request.form)),
            "direction": "outbound-api",
            "api_version": "2010-04-01",
            "price": None,
            "price_unit": "USD",
            "error_code": None,
            "error_message": None,
            "date_created": "Thu, 24 Aug 2023 05:01:45 +0000",
            "uri": f"/2010-04-01/Accounts/{self.account_sid}/Messages/{sid}.json",
        }
        self._callbacks[sid] = form.get("StatusCallback")
        return reply(self.messages[sid], 201)

    def _fetch(self, _: SandboxRequest, sid: str, **_path: str) -> Response:
        return reply(self._message(sid))

    def _update(self, request: SandboxRequest, sid: str, **_path: str) -> Response:
        message = self._message(sid)
        if dict(request.form).get("Status") != "canceled" or message["status"] != "scheduled":
            raise _refusal(400, 30409, "The message is not in a state to be canceled.")
        message["status"] = "canceled"
        return reply(message)

    def _balance(self, _: SandboxRequest, **_path: str) -> Response:
        return reply({"account_sid": self.account_sid, "balance": self.balance, "currency": "USD"})

    def _look_up(self, request: SandboxRequest, number: str) -> Response:
        digits = number.removeprefix("+")
        international = number[0] == "+"
        country = _country(number) if international else dict(request.query).get("CountryCode")
        is_valid = digits.isdigit() and 7 <= len(digits) <= 15 and country is not None
        line = {"type": "mobile", "carrier_name": "Sandbox Mobile", "error_code": None}
        return reply(
            {
                "valid": is_valid,
                "phone_number": number
                if international
                else f"+{_code(country)}{digits.lstrip('0')}",
                "country_code": country if is_valid else None,
                "national_format": digits if is_valid else None,
                "validation_errors": [] if is_valid else ["NOT_A_NUMBER"],
                "line_type_intelligence": line
                if is_valid and "line_type_intelligence" in dict(request.query).get("Fields", "")
                else None,
            }
        )

    def _message(self, sid: str) -> dict[str, Any]:
        message = self.messages.get(sid)
        if message is None:
            raise _refusal(404, 20404, f"The requested resource {sid} was not found")
        return message

    def check_access(self, request: SandboxRequest) -> None:
        """Check user, password and the account in the path."""
        paths = (f"/2010-04-01/Accounts/{self.account_sid}/", "/v2/PhoneNumbers/")
        user = self.account_sid, self.auth_token
        if request.basic() != user or not request.path.startswith(paths):
            raise _refusal(401, 20003, "Authenticate")


def _country(number: str) -> str | None:
    return "US" if number.startswith("+1") else country_of(number)


def _code(country: str | None) -> str:
    """Return the shortest calling code of a country; nothing without a country."""
    if country is None:
        return ""
    return next((code for code in map(str, range(20, 999)) if country_of(code) == country), "1")


def _refusal(status: int, code: int, message: str) -> Refusal:
    documentation_url = f"https://www.twilio.com/docs/errors/{code}"
    return Refusal(
        reply(
            {"code": code, "message": message, "more_info": documentation_url, "status": status},
            status,
        )
    )


def fixture(_: Path) -> SandboxFixture:
    """Return an account that every scenario can use."""
    sandbox = TwilioSandbox()
    return SandboxFixture(
        sandbox=sandbox,
        vendor_values={"sender_pool": "MG" + "0" * 32},
        options={
            "account_sid": sandbox.account_sid,
            "credentials": sandbox.auth_token,
            "sender": "+15005550006",
        },
    )
