"""A local sandbox that imitates Twilio.

Magic numbers, as in Twilio's own test credentials: as a recipient, +15005550001 is invalid,
+15005550002 cannot be routed to, +15005550003 is not permitted, +15005550009 cannot receive, and
+15005550004 has opted out; as a sender, +15005550001 is invalid, +15005550007 is not yours, and
+15005550008 has a full queue.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlencode

from moorage.contracts.calling_codes import country_of
from moorage.contracts.sms import segments
from moorage.domain.values.json_text import is_object
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import words
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.sms.base import OUR_NUMBER, OUR_WHATSAPP_NUMBER, SmsSandbox
from moorage.testing.sandboxes.sms.sent_codes import SentCodes
from moorage.testing.sandboxes.sms.sent_templates import SentTemplate
from moorage.testing.sandboxes.webhook_signatures import base64_hmac

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from moorage.domain.http.requests import Response

_TO_REFUSALS: Final = {
    "+15005550001": (21211, "Invalid 'To' Phone Number"),
    "+15005550002": (21612, "The 'To' number cannot be routed to"),
    "+15005550003": (21408, "Permission to send to this region has not been enabled"),
    "+15005550004": (21610, "Attempt to send to unsubscribed recipient"),
    "+15005550009": (21614, "'To' number is not a valid mobile number"),
}
_FROM_REFUSALS: Final = {
    "+15005550001": (21212, "The 'From' number is not a valid number"),
    "+15005550007": (21606, "The 'From' number is not a message-capable number of yours"),
    "+15005550008": (
        21611,
        "This 'From' number has exceeded the maximum number of queued messages",
    ),
}
_CODE_FIELDS: Final = words("Channel CustomFriendlyName Locale TemplateSid To")
_FULL_QUEUE: Final = 21611
_PLACEHOLDER: Final = re.compile(r"\{\{(\w+)\}\}")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")


class TwilioSandbox(SmsSandbox):
    """A sandbox of Twilio: messages, templates, look-ups, verification codes and the balance.

    Attributes:
        account_sid, auth_token: credentials that requests must have; the token signs webhooks too.
        fields: the fields that a message may have.
        verifications: the verification codes that it has sent.
        templates: the texts of the content templates, by SID.
    """

    hosts = ("api.twilio.com", "lookups.twilio.com", "verify.twilio.com")
    fields: ClassVar[frozenset[str]] = words(
        "AddressRetention ApplicationSid Attempt Body ContentRetention ContentSid ContentVariables"
        " FallbackFrom ForceDelivery From MaxPrice MediaUrl MessagingServiceSid PersistentAction"
        " ProvideFeedback RiskCheck ScheduleType SendAsMms SendAt ShortenUrls SmartEncoded"
        " StatusCallback To TrafficType ValidityPeriod"
    )

    account_sid: str = "AC" + "0" * 32
    auth_token: str = "twilio-sandbox-token"
    verifications: SentCodes = base.state_field(lambda: SentCodes(attempts=5))
    balance: str = "25.5075"
    templates: dict[str, str] = base.state_field(
        lambda: {"HX" + "0" * 32: "Dear {{1}}, your order {{2}} is ready."}
    )
    verify_service: str = base.state_field(lambda: "VA" + "0" * 32)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        account = "/2010-04-01/Accounts/{account}"
        return {
            f"POST {account}/Messages.json": self._create,
            f"GET {account}/Messages/{{sid}}.json": self._fetch,
            f"POST {account}/Messages/{{sid}}.json": self._cancel,
            f"GET {account}/Balance.json": self._balance,
            "GET /v2/PhoneNumbers/{number}": self._look_up,
            "POST /v2/Services/{service}/Verifications": self._send_code,
            "POST /v2/Services/{service}/VerificationCheck": self._check_code,
        }

    def _report_fields(self, id_: str, status: str, error_code: str | None, /) -> dict[str, Any]:
        message = self.messages[id_]
        code = None if error_code is None else int(error_code)
        message |= {"status": status, "error_code": code, "price": "-0.00750"}
        error = {} if error_code is None else {"ErrorCode": error_code}
        numbers = {"From": message["from"], "To": message["to"]}
        return numbers | {"MessageSid": id_, "MessageStatus": status, "SmsStatus": status} | error

    def _incoming_fields(self, sender: str, text: str, /) -> dict[str, Any]:
        sid = self._sid()
        return {
            "Body": text,
            "From": sender,
            "MessageSid": sid,
            "NumMedia": "0",
            "NumSegments": str(segments(text)),
            "SmsMessageSid": sid,
            "SmsStatus": "received",
            "To": OUR_NUMBER,
        }

    def _webhook(self, url: str, fields: dict[str, Any], _at: datetime, /) -> base.Notice:
        account = {"AccountSid": self.account_sid, "ApiVersion": "2010-04-01"}
        form = account | {name: value or "" for name, value in fields.items()}
        form["SmsSid"] = form["MessageSid"]
        content = url + "".join(name + form[name] for name in sorted(form))
        headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
            "I-Twilio-Idempotency-Token": f"sandbox-{self.number()}",
            "X-Twilio-Signature": base64_hmac(self.auth_token.encode(), content.encode(), "sha1"),
        }
        return self.notify(url, urlencode(form).encode(), headers)

    def _sid(self) -> str:
        return f"SM{self.number():032x}"

    def _create(self, request: base.SandboxRequest, **_path: str) -> Response:
        form = dict(request.form)
        problem = self._message_problem(form)
        if problem is not None:
            raise _refusal(429 if problem[0] == _FULL_QUEUE else 400, *problem)
        sid, account = self._sid(), f"/2010-04-01/Accounts/{self.account_sid}"
        text = form.get("Body", "")
        if "ContentSid" in form:
            sent_template = _sent_template(sid, form)
            self.sent_templates.append(sent_template)
            text = _filled_text(self.templates[form["ContentSid"]], sent_template.variables)
        self.messages[sid] = {
            "sid": sid,
            "account_sid": self.account_sid,
            "to": form["To"],
            "from": form.get("From"),
            "messaging_service_sid": form.get("MessagingServiceSid"),
            "body": text or None,
            "status": "scheduled" if "SendAt" in form else "queued",
            "num_segments": str(segments(text)),
            "num_media": str(sum(name == "MediaUrl" for name, _ in request.form)),
            "direction": "outbound-api",
            "api_version": "2010-04-01",
            "price": None,
            "price_unit": "USD",
            "error_code": None,
            "error_message": None,
            "date_created": "Thu, 24 Aug 2023 05:01:45 +0000",
            "uri": f"{account}/Messages/{sid}.json",
        }
        self.callbacks[sid] = form.get("StatusCallback", "")
        return base.reply(self.messages[sid], 201)

    def _message_problem(self, form: dict[str, str]) -> tuple[int, str] | None:
        """Return the error code and text for an invalid message; None if it is valid."""
        unknown_fields, text = sorted(form.keys() - self.fields), form.get("Body", "")
        pool, send_time = form.get("MessagingServiceSid"), form.get("SendAt", "")
        has_content = text or form.get("MediaUrl") or form.get("ContentSid")
        is_scheduled = form.get("ScheduleType") == "fixed"
        misses_pool = bool(send_time) != is_scheduled or (is_scheduled and not pool)
        has_variables, content_sid = "ContentVariables" in form, form.get("ContentSid")
        sender_channel, to_channel = (
            _channel_and_number(form.get(name, ""))[0] for name in ("From", "To")
        )
        problems = {
            (20001, f"Unknown parameters: {unknown_fields}"): unknown_fields,
            (21604, "A 'To' phone number is required."): not form.get("To"),
            (21603, "A 'From' phone number is required."): not form.get("From") and not pool,
            (21602, "Message body is required."): not has_content,
            (21617, "The concatenated message body exceeds 1600 characters."): len(text) > 1600,
            (35118, "MessagingServiceSid is required to schedule a message."): misses_pool,
            (21654, "ContentSid Required"): has_variables and not content_sid,
            (21655, "The ContentSid is Invalid"): content_sid and content_sid not in self.templates,
            (21656, "The ContentVariables Parameter is invalid"): has_variables
            and not _are_variables(form["ContentVariables"]),
            (21910, "Invalid From and To pair. From and To should be of the same channel"): not pool
            and sender_channel != to_channel,
            (35114, "Scheduling does not support this timestamp"): send_time
            and not _TIME.fullmatch(send_time),
        }
        number = _channel_and_number(form.get("To", ""))[1]
        refusal = _TO_REFUSALS.get(number) or _FROM_REFUSALS.get(form.get("From", ""))
        return base.first_problem(problems) or refusal

    def _fetch(self, _: base.SandboxRequest, sid: str, **_path: str) -> Response:
        return base.reply(self._message(sid))

    def _cancel(self, request: base.SandboxRequest, sid: str, **_path: str) -> Response:
        message = self._message(sid)
        if dict(request.form).get("Status") != "canceled" or message["status"] != "scheduled":
            raise _refusal(400, 30409, "The message is not in a state to be canceled.")
        message["status"] = "canceled"
        return base.reply(message)

    def _balance(self, _: base.SandboxRequest, **_path: str) -> Response:
        account = {"account_sid": self.account_sid}
        return base.reply(account | {"balance": self.balance, "currency": "USD"})

    def _look_up(self, request: base.SandboxRequest, number: str) -> Response:
        query = dict(request.query)
        e164, country, is_valid = _number_facts(number, query.get("CountryCode"))
        line = None
        if is_valid and "line_type_intelligence" in query.get("Fields", ""):
            line = {"type": "mobile", "carrier_name": "Sandbox Mobile", "error_code": None}
        return base.reply(
            {
                "valid": is_valid,
                "phone_number": e164,
                "country_code": country if is_valid else None,
                "national_format": number.removeprefix("+") if is_valid else None,
                "validation_errors": [] if is_valid else ["NOT_A_NUMBER"],
                "line_type_intelligence": line,
            }
        )

    def _send_code(self, request: base.SandboxRequest, **_path: str) -> Response:
        form = dict(request.form)
        number, channel = form.get("To", ""), form.get("Channel")
        if number in _TO_REFUSALS:
            raise _refusal(400, 60200, "Invalid parameter `To`")
        if set(form) - _CODE_FIELDS or channel not in {"sms", "call"}:
            raise _refusal(400, 60200, "Invalid parameter")
        sid = f"VE{self.number():032x}"
        self.verifications.send(sid, number)
        return base.reply(self._verification(sid, "pending") | {"channel": channel}, 201)

    def _check_code(self, request: base.SandboxRequest, **_path: str) -> Response:
        form = dict(request.form)
        sid = form.get("VerificationSid", "")
        result = self.verifications.check(sid, form.get("Code", ""))
        if result == "missing":
            raise _refusal(404, 20404, "The requested resource was not found")
        status = {"approved": "approved", "wrong": "pending", "ended": "max_attempts_reached"}
        return base.reply(self._verification(sid, status[result]))

    def _verification(self, sid: str, status: str) -> dict[str, Any]:
        return {
            "sid": sid,
            "service_sid": self.verify_service,
            "account_sid": self.account_sid,
            "to": self.verifications.number_of(sid),
            "status": status,
            "valid": status == "approved",
        }

    def _message(self, sid: str) -> dict[str, Any]:
        missing_refusal = _refusal(404, 20404, f"The requested resource {sid} was not found")
        return base.existing(self.messages, sid, missing_refusal)

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the user, the password and the account in the path."""
        paths = (
            f"/2010-04-01/Accounts/{self.account_sid}/",
            "/v2/PhoneNumbers/",
            f"/v2/Services/{self.verify_service}/",
        )
        user = self.account_sid, self.auth_token
        if request.basic() != user or not request.path.startswith(paths):
            raise _refusal(401, 20003, "Authenticate")


def _channel_and_number(address: str) -> tuple[str, str]:
    """Return the channel of an address, which is empty for SMS, and the address without it."""
    channel, colon, number = address.partition(":")
    return (channel, number) if colon else ("", address)


def _are_variables(text: str) -> bool:
    try:
        variables = json.loads(text)
    except ValueError:
        return False
    return is_object(variables) and all(
        isinstance(value, str) and value for value in variables.values()
    )


def _sent_template(sid: str, form: dict[str, str]) -> SentTemplate:
    channel, number = _channel_and_number(form["To"])
    return SentTemplate(
        id=sid,
        to=number,
        # A messaging service tries RCS first.
        channel=channel or "rcs",
        template=form["ContentSid"],
        language=None,
        variables=json.loads(form.get("ContentVariables", "{}")),
        sender=_channel_and_number(form["From"])[1] if "From" in form else None,
    )


def _filled_text(template: str, variables: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: variables.get(match[1], match[0]), template)


def _number_facts(number: str, country: str | None) -> tuple[str, str | None, bool]:
    """Return a number's E.164 form and country, and whether it is valid."""
    digits = number.removeprefix("+")
    if number.startswith("+"):
        country = "US" if number.startswith("+1") else country_of(number)
        e164 = number
    else:
        codes = (str(code) for code in range(20, 999) if country_of(str(code)) == country)
        e164 = f"+{next(codes, '1') if country else ''}{digits.lstrip('0')}"
    return e164, country, digits.isdigit() and 7 <= len(digits) <= 15 and country is not None


def _refusal(status: int, code: int, message: str) -> base.Refusal:
    page = f"https://www.twilio.com/docs/errors/{code}"
    error = {"code": code, "message": message, "more_info": page, "status": status}
    return base.refusal(error, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = TwilioSandbox()
    account = {"account_sid": sandbox.account_sid, "credentials": sandbox.auth_token}
    return SandboxFixture(
        sandbox=sandbox,
        options={
            **account,
            "sender": OUR_NUMBER,
            "whatsapp_sender": OUR_WHATSAPP_NUMBER,
            "rcs_sender": "acme_agent",
            "verify_service": sandbox.verify_service,
        },
        vendor_values={"sender_pool": "MG" + "0" * 32, "template": "HX" + "0" * 32},
    )
