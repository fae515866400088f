"""A local sandbox that imitates Infobip.

Magic numbers: a message to +15005550001 has an invalid number, one to +15005550002 is rejected
because the account has no money left, and one to +15005550008 exceeds the rate limit.
"""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.sms import segments
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import Shape, problems, typed, words
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.sms.base import OUR_NUMBER, OUR_WHATSAPP_NUMBER, SmsSandbox
from moorage.testing.sandboxes.sms.sent_codes import SentCodes
from moorage.testing.sandboxes.sms.sent_templates import SentTemplate

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.domain.http.requests import Response

_NUMBER: Final = re.compile(r"[1-9][0-9]{6,14}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:?\d\d")
_UNROUTABLE: Final = "15005550001"
_NO_MONEY: Final = "15005550002"
_TOO_MANY: Final = "15005550008"
_PLATFORM: Final = {"applicationId": str, "entityId": str}
MESSAGE: Final[dict[str, Shape]] = {
    "content!": {"language": dict, "text!": str, "transliteration": str},
    "destinations!": [{"messageId": str, "networkId": int, "to!": str}],
    "options": {
        "campaignReferenceId": str,
        "deliveryTimeWindow": dict,
        "flash": bool,
        "platform": _PLATFORM,
        "regional": dict,
        "validityPeriod": {"amount!": int, "timeUnit": words("SECONDS MINUTES HOURS")},
    },
    "sender": str,
    "webhooks": {
        "callbackData": str,
        "contentType": words("application/json application/xml"),
        "delivery": {"intermediateReport": bool, "notify": bool, "url": str},
    },
}
"""The allowed fields of a message, with their types."""
_REQUEST: Final[dict[str, Shape]] = {
    "messages!": [MESSAGE],
    "options": {
        "conversionTracking": dict,
        "includeSmsCountInResponse": bool,
        "schedule": {"bulkId": str, "sendAt": str, "sendingSpeedLimit": dict},
        "tracking": dict,
    },
}
_TEXT_BODY: Final[dict[str, Shape]] = {"type!": words("TEXT"), "text!": str}
_TEMPLATE_REQUEST: Final[dict[str, Shape]] = {
    "messages!": [
        {
            "channel!": words("APPLE_MB RCS VIBER_BM WHATSAPP"),
            "content": {"body": dict, "buttons": list, "expirationTime": str, "header": dict},
            "destinations!": [
                {"byChannel": [{"channel!": str, "to!": str}], "messageId": str, "to": str}
            ],
            "failover": [{"channel!": str, "content": {"body!": _TEXT_BODY}, "sender!": str}],
            "options": {"campaignReferenceId": str, "platform": _PLATFORM, "validityPeriod": dict},
            "sender!": str,
            "template!": {"language": str, "referenceId": str, "templateName!": str},
            "webhooks": {
                "callbackData": str,
                "contentType": words("application/json application/xml"),
                "delivery": {"intermediateReport": bool, "url": str},
                "seen": {"url": str},
            },
        }
    ],
}
"""The allowed fields of a message from a template, with their types."""
_SEEN: Final = "SEEN"
"""The word with which `report` makes the webhook about a message that its recipient has read."""
_BULK_STATUSES: Final = words("PENDING PAUSED PROCESSING CANCELED FINISHED FAILED")
_OPEN_BULKS: Final = words("PENDING PAUSED")
_GROUPS: Final = ("ACCEPTED", "PENDING", "UNDELIVERABLE", "DELIVERED", "EXPIRED", "REJECTED")
_CODE: Final = {
    **typed(str, "applicationId! messageId! to! from"),
    "placeholders": dict,
}
_LONGEST_DATA: Final = 4000
_MOMENT: Final = "2031-05-06T07:08:09.123+0000"
_PART_PRICE: Final = 0.0071


class InfobipSandbox(SmsSandbox):
    """A sandbox of Infobip: messages, templates, logs, scheduled bulks, codes and the balance.

    Attributes:
        api_key: credentials that requests must have.
        webhook_password: user and password of webhooks, joined by a colon.
        verifications: the verification codes that it has sent.
        bulks: the statuses of scheduled bulks, by id.
        balance: the balance in euros.
    """

    hosts = ("sandbox.api.infobip.com",)

    api_key: str = "infobip-sandbox-key"
    webhook_password: str = "hook:infobip-sandbox"
    verifications: SentCodes = base.state_field(lambda: SentCodes(attempts=3))
    bulks: dict[str, str] = base.state_field(dict)
    _callback_data: dict[str, str | None] = base.state_field(dict)
    balance: float = 47.79134

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /sms/3/messages": self._create,
            "POST /messages-api/1/messages": self._create_from_template,
            "GET /sms/3/logs": self._logs,
            "GET /sms/1/bulks/status": self._bulk,
            "PUT /sms/1/bulks/status": self._change_bulk,
            "GET /account/1/balance": self._balance,
            "POST /2fa/2/pin": self._send_code,
            "POST /2fa/2/pin/voice": self._send_code,
            "POST /2fa/2/pin/{pin}/verify": self._check_code,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response for an unknown path."""
        return _legacy_error(404, "NOT_FOUND", f"There is no {request.path}.").response

    def _report_fields(self, id_: str, status: str, error_code: str | None, /) -> dict[str, Any]:
        message = self.messages[id_]
        if "channel" in message and status == _SEEN:
            unread_fields = {"messageCount", "price", "status", "error", "doneAt"}
            fields = {name: value for name, value in message.items() if name not in unread_fields}
            return fields | {"event": _SEEN, "seenAt": _MOMENT}
        message |= {
            "status": _status(status),
            "error": _error_fields(error_code),
            "doneAt": _MOMENT,
        }
        report = dict(message)
        if "channel" in message:
            report["event"] = "DELIVERY"
        else:
            report["to"] = report.pop("destination")
            del report["content"]
        data = self._callback_data.get(id_)
        return report if data is None else report | {"callbackData": data}

    def _incoming_fields(self, sender: str, text: str, /) -> dict[str, Any]:
        return {
            "messageId": self._id(),
            "from": sender.removeprefix("+"),
            "to": OUR_NUMBER.removeprefix("+"),
            "text": text,
            "cleanText": text,
            "keyword": "",
            "receivedAt": _MOMENT,
            "smsCount": segments(text),
            "price": {"pricePerMessage": 0.0, "currency": "EUR"},
        }

    def _webhook(self, url: str, fields: dict[str, Any], _at: datetime, /) -> base.Notice:
        counts = {"messageCount": 1, "pendingMessageCount": 0} if "receivedAt" in fields else {}
        password = b64encode(self.webhook_password.encode()).decode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {password}"}
        return self.notify(url, encode_json({"results": [fields], **counts}), headers)

    def _create(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        violations = _violations(body)
        if violations:
            raise _error(400, "E400", "The request is invalid.", violations)
        message = body["messages"][0]
        destination = message["destinations"][0]
        if destination["to"] == _TOO_MANY:
            raise _error(429, "E429", "There are too many requests.")
        schedule = body.get("options", {}).get("schedule", {})
        bulk_id, id_ = schedule.get("bulkId", self._id()), destination.get("messageId", self._id())
        count = segments(message["content"]["text"])
        name = "PENDING_ACCEPTED"
        if destination["to"] == _NO_MONEY:
            name = "REJECTED_NOT_ENOUGH_CREDITS"
        else:
            if "sendAt" in schedule:
                self.bulks[bulk_id] = "PENDING"
            webhooks = message.get("webhooks", {})
            self.messages[id_] = {
                "sender": message.get("sender", "InfoSMS"),
                "destination": destination["to"],
                "bulkId": bulk_id,
                "messageId": id_,
                "sentAt": _MOMENT,
                "messageCount": count,
                "price": {"pricePerMessage": _PART_PRICE, "currency": "EUR"},
                "status": _status(name),
                "error": _error_fields(None),
                "content": message["content"],
            }
            self._callback_data[id_] = webhooks.get("callbackData")
            url = webhooks.get("delivery", {}).get("url")
            if url is not None:
                self.callbacks[id_] = url
        receipt = {
            "messageId": id_,
            "status": _status(name),
            "destination": destination["to"],
            "details": {"messageCount": count},
        }
        return base.reply({"bulkId": bulk_id, "messages": [receipt]})

    def _create_from_template(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        violations = _template_violations(body)
        if violations:
            raise _error(400, "E400", "The request is invalid.", violations)
        message = body["messages"][0]
        destination = message["destinations"][0]
        number = _numbers_by_channel(message, destination)[message["channel"]]
        if number == _TOO_MANY:
            raise _error(429, "E429", "There are too many requests.")
        id_ = destination.get("messageId", self._id())
        name = "REJECTED_NOT_ENOUGH_CREDITS" if number == _NO_MONEY else "PENDING_ACCEPTED"
        if number != _NO_MONEY:
            self.messages[id_] = {
                "channel": message["channel"],
                "sender": message["sender"],
                "destination": number,
                "bulkId": self._id(),
                "messageId": id_,
                "sentAt": _MOMENT,
                "messageCount": 1,
                "status": _status(name),
                "error": _error_fields(None),
            }
            self.sent_templates.append(_sent_template(id_, number, message))
            webhooks = message.get("webhooks", {})
            self._callback_data[id_] = webhooks.get("callbackData")
            if "delivery" in webhooks:
                self.callbacks[id_] = webhooks["delivery"]["url"]
        receipt = {"messageId": id_, "status": _status(name), "destination": number}
        return base.reply({"bulkId": self._id(), "messages": [receipt]})

    def _logs(self, request: base.SandboxRequest) -> Response:
        id_ = dict(request.query).get("messageId")
        if id_ is None:
            raise _error(400, "E400", "The sandbox has logs of single messages only.")
        message = self.messages.get(id_)
        is_waiting = message is not None and message["bulkId"] in self.bulks
        is_sms = message is not None and "channel" not in message
        entries = [message] if is_sms and not is_waiting else []
        return base.reply({"results": entries})

    def _bulk(self, request: base.SandboxRequest) -> Response:
        bulk_id = dict(request.query).get("bulkId", "")
        missing_error = _legacy_error(404, "NOT_FOUND", "There is no such bulk.")
        status = base.existing(self.bulks, bulk_id, missing_error)
        return base.reply({"bulkId": bulk_id, "status": status})

    def _change_bulk(self, request: base.SandboxRequest) -> Response:
        response, body = self._bulk(request), request.json()
        if list(problems({"status!": _BULK_STATUSES}, body)):
            raise _legacy_error(400, "BAD_REQUEST", "status is required, and no word of its own.")
        bulk_id = dict(request.query)["bulkId"]
        if self.bulks[bulk_id] not in _OPEN_BULKS:
            raise _legacy_error(
                400, "BAD_REQUEST", "The status of this bulk cannot change any more."
            )
        self.bulks[bulk_id] = body["status"]
        return response.evolve(body=encode_json({"bulkId": bulk_id, "status": body["status"]}))

    def _balance(self, _: base.SandboxRequest) -> Response:
        return base.reply({"balance": self.balance, "currency": "EUR"})

    def _send_code(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        if list(problems(_CODE, body)):
            raise _legacy_error(400, "BAD_REQUEST", "The request is invalid.")
        pin = f"{self.number():032X}"
        self.verifications.send(pin, f"+{body['to']}")
        is_call = request.path.endswith("/voice")
        status = {"callStatus": "PENDING_ACCEPTED"} if is_call else {"smsStatus": "MESSAGE_SENT"}
        return base.reply({"pinId": pin, "to": body["to"], **status})

    def _check_code(self, request: base.SandboxRequest, pin: str) -> Response:
        result = self.verifications.check(pin, request.json()["pin"])
        if result == "missing":
            raise _legacy_error(404, "NOT_FOUND", "There is no such PIN.")
        errors = {"wrong": "WRONG_PIN", "ended": "NO_MORE_PIN_ATTEMPTS"}
        return base.reply(
            {
                "pinId": pin,
                "msisdn": self.verifications.number_of(pin).removeprefix("+"),
                "verified": result == "approved",
                "attemptsRemaining": self.verifications.attempts_left(pin),
                **({"pinError": errors[result]} if result in errors else {}),
            }
        )

    def _id(self) -> str:
        return f"sandbox-{self.number():011d}"

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the API key of a request."""
        if request.headers.get("authorization") != f"App {self.api_key}":
            if request.path.startswith(("/sms/3/", "/messages-api/")):
                raise _error(401, "E401", "The API key is invalid.")
            raise _legacy_error(401, "UNAUTHORIZED", "Invalid login details")


def _status(name: str) -> dict[str, Any]:
    group = name.partition("_")[0]
    group_id = _GROUPS.index(group) if group in _GROUPS else 9
    group_name = group if group in _GROUPS else name
    return {
        "groupId": group_id,
        "groupName": group_name,
        "id": 26,
        "name": name,
        "description": "As you wish.",
    }


def _error_fields(code: str | None) -> dict[str, Any]:
    if code is None:
        no_error = {"groupId": 0, "groupName": "OK", "id": 0, "name": "NO_ERROR"}
        return {**no_error, "description": "No Error", "permanent": False}
    error = {"groupId": 1, "groupName": "HANDSET_ERRORS", "id": 1, "name": code}
    return {**error, "description": "As you wish.", "permanent": True}


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return _TIME.fullmatch(text) is not None


def _violations(body: Any) -> list[dict[str, str]]:
    """Return the violations in a request; empty if it is valid."""
    violations = [
        {"property": f"{location}/{name}", "violation": kind}
        for location, name, kind in problems(_REQUEST, body)
    ]
    if violations:
        return violations
    messages, schedule = body["messages"], body.get("options", {}).get("schedule", {})
    destinations = [item for message in messages for item in message["destinations"]]
    if len(messages) != 1 or len(destinations) != 1:
        return [{"property": "messages", "violation": "the sandbox takes exactly one message"}]
    webhooks = messages[0].get("webhooks", {})
    validity = messages[0].get("options", {}).get("validityPeriod", {})
    invalid_properties = {
        "to": not _NUMBER.fullmatch(destinations[0]["to"]) or destinations[0]["to"] == _UNROUTABLE,
        "text": not messages[0]["content"]["text"],
        "sendAt": "sendAt" in schedule and not _is_time(schedule["sendAt"]),
        "callbackData": len(webhooks.get("callbackData", "")) > _LONGEST_DATA,
        "amount": validity.get("amount", 1) < 1,
    }
    return [
        {"property": name, "violation": "is invalid"}
        for name, is_invalid in invalid_properties.items()
        if is_invalid
    ]


def _numbers_by_channel(message: Any, destination: Any) -> dict[str, str]:
    """Return the numbers that a message from a template goes to, by their channels."""
    if "byChannel" in destination:
        return {item["channel"]: item["to"] for item in destination["byChannel"]}
    return {message["channel"]: destination.get("to", "")}


def _template_violations(body: Any) -> list[dict[str, str]]:
    """Return the violations in a request with a template; empty if it is valid."""
    violations = [
        {"property": f"{location}/{name}", "violation": kind}
        for location, name, kind in problems(_TEMPLATE_REQUEST, body)
    ]
    if violations:
        return violations
    messages = body["messages"]
    if len(messages) != 1 or len(messages[0]["destinations"]) != 1:
        return [{"property": "messages", "violation": "the sandbox takes exactly one message"}]
    [message] = messages
    numbers = _numbers_by_channel(message, message["destinations"][0])
    steps = [step["channel"] for step in message.get("failover", [])]
    variables = message.get("content", {}).get("body", {"type": "TEXT"})
    invalid_properties = {
        "to": not all(_NUMBER.fullmatch(number) for number in numbers.values())
        or _UNROUTABLE in numbers.values(),
        "byChannel": set(numbers) != {message["channel"], *steps},
        "failover": len(set(steps)) < len(steps) or message["channel"] in steps,
        "body": variables.get("type") != "TEXT"
        or not all(isinstance(value, str) for value in variables.values()),
    }
    return [
        {"property": name, "violation": "is invalid"}
        for name, is_invalid in invalid_properties.items()
        if is_invalid
    ]


def _sent_template(id_: str, number: str, message: Any) -> SentTemplate:
    variables = message.get("content", {}).get("body", {})
    texts = [step["content"]["body"]["text"] for step in message.get("failover", [])]
    return SentTemplate(
        id=id_,
        to=f"+{number}",
        channel=message["channel"].lower(),
        template=message["template"]["templateName"],
        language=message["template"].get("language"),
        variables={name: value for name, value in variables.items() if name != "type"},
        sender=message["sender"],
        sms_fallback=texts[0] if texts else None,
    )


def _error(
    status: int, code: str, description: str, violations: list[dict[str, str]] | None = None
) -> base.Refusal:
    advice = {"action": "See the documentation.", "violations": violations or [], "resources": []}
    return base.refusal({"errorCode": code, "description": description, **advice}, status)


def _legacy_error(status: int, code: str, text: str) -> base.Refusal:
    exception = {"messageId": code, "text": text}
    return base.refusal({"requestError": {"serviceException": exception}}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = InfobipSandbox()
    account = {"base_url": f"https://{sandbox.hosts[0]}", "credentials": sandbox.api_key}
    return SandboxFixture(
        sandbox=sandbox,
        options={
            **account,
            "sender": OUR_NUMBER,
            "whatsapp_sender": OUR_WHATSAPP_NUMBER,
            "rcs_sender": "AcmeAgent",
            "pin_application": "2FA1",
            "pin_message": "M1",
        },
    )
