"""A local sandbox that imitates Sinch's SMS REST API.

Magic numbers: a message to +15005550001 has an invalid number, one to +15005550003 has a campaign
that does not belong to the sender, and one to +15005550008 exceeds the rate limit.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

from moorage.domain.values.json_text import encode_json, is_object
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import typed, words, wrong_names
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.sms.base import OUR_NUMBER, SmsSandbox
from moorage.testing.sandboxes.webhook_signatures import base64_hmac

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.domain.http.requests import Response

_NUMBER: Final = re.compile(r"\+?[1-9][0-9]{6,14}")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
_MAGIC: Final = {
    "+15005550001": (400, "syntax_invalid_parameter_format", "15005550001 is not a MSISDN."),
    "+15005550003": (403, "unknown_campaign", "The campaign does not match the originator."),
    "+15005550008": (429, "too_many_requests", "There are too many outstanding requests."),
}
_COMMON: Final[dict[str, type | tuple[type, ...]]] = {
    **typed(str, "callback_url client_reference delivery_report expire_at from send_at type"),
    "feedback_enabled": bool,
    "parameters": dict,
    "to": list,
}
FIELDS: Final[dict[str, dict[str, type | tuple[type, ...]]]] = {
    "mt_text": {
        **_COMMON,
        **typed(bool, "flash_message truncate_concat"),
        **typed(int, "from_npi from_ton max_number_of_message_parts"),
        "body": str,
    },
    "mt_media": {**_COMMON, "body": dict, "strict_validation": bool},
}
"""The allowed fields of a batch of each type, with their types."""
_MEDIUM: Final[dict[str, type | tuple[type, ...]]] = typed(str, "message subject url")
_REPORTS: Final = words("none summary full per_recipient per_recipient_final")
_CODES: Final = {
    "Queued": 400,
    "Dispatched": 401,
    "Delivered": 0,
    "Aborted": 403,
    "Expired": 406,
    "Cancelled": 407,
}
_MAX_LENGTH: Final = 2000
_LONGEST_PAGE: Final = 100
_DEFAULT_VALIDITY: Final = timedelta(days=3)


class SinchSandbox(SmsSandbox):
    """A sandbox of Sinch: batches with one recipient, their delivery reports and webhooks.

    Attributes:
        service_plan_id, api_token: the service plan that has access.
        webhook_secret: secret with which webhooks are signed.
        region: the region of the service plan.
        reports: the states of messages by id, as delivery reports state them.
    """

    fields: ClassVar[frozenset[str]] = frozenset(FIELDS["mt_text"])

    service_plan_id: str = "5a0db0c9e5e64a9d8a0db0c9e5e64a9d"
    api_token: str = "sinch-sandbox-token"
    webhook_secret: str = "sinch-sandbox-webhook-secret"
    region: str = "us"
    reports: dict[str, dict[str, Any]] = base.state_field(dict)

    def __attrs_post_init__(self) -> None:
        self.hosts = (f"{self.region}.sms.api.sinch.com",)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        batches = "/xms/v1/{plan}/batches"
        return {
            f"POST {batches}": self._create,
            f"GET {batches}": self._list,
            f"GET {batches}/{{batch}}": self._fetch,
            f"DELETE {batches}/{{batch}}": self._cancel,
            f"GET {batches}/{{batch}}/delivery_report": self._report,
        }

    def unknown(self, request: base.SandboxRequest) -> Response:
        """Return the response for an unknown path."""
        return _error(404, "not_found", f"There is no {request.path}.").response

    def _report_fields(self, id_: str, status: str, error_code: str | None, /) -> dict[str, Any]:
        message = self.messages[id_]
        code = int(error_code) if error_code is not None else _CODES.get(status, 69)
        self.reports[id_] = {"code": code, "status": status, "count": 1}
        reference = message.get("client_reference")
        return {
            "type": f"recipient_{_report_type(message)}",
            "batch_id": id_,
            "recipient": message["to"][0],
            "code": code,
            "status": status,
            "at": "2031-05-06T07:08:11.123Z",
            "operator_status_at": "2031-05-06T07:08:10Z",
            **({} if reference is None else {"client_reference": reference}),
        }

    def _incoming_fields(self, sender: str, text: str, /) -> dict[str, Any]:
        return {
            "type": "mo_text",
            "id": self._id(),
            "from": sender.removeprefix("+"),
            "to": OUR_NUMBER.removeprefix("+"),
            "body": text,
            "operator_id": "311071",
            "received_at": "2031-05-06T07:08:11.123Z",
        }

    def _webhook(self, url: str, fields: dict[str, Any], at: datetime, /) -> base.Notice:
        body = encode_json(fields)
        nonce, stamp = f"{self.number():026d}", str(int(at.timestamp()))
        content = body + f".{nonce}.{stamp}".encode()
        name = "x-sinch-webhook-signature"
        return self.notify(
            url,
            body,
            {
                "Content-Type": "application/json",
                name: base64_hmac(self.webhook_secret.encode(), content),
                f"{name}-algorithm": "HmacSHA256",
                f"{name}-nonce": nonce,
                f"{name}-timestamp": stamp,
            },
        )

    def _create(self, request: base.SandboxRequest, **_path: str) -> Response:
        body = request.json()
        problem = _batch_problem(body)
        if problem is not None:
            raise _error(400, "syntax_constraint_violation", problem)
        if body.get("delivery_report", "none") != "none" and "callback_url" not in body:
            raise _error(403, "missing_callback_url", "A callback needs a URL.")
        recipient = body["to"][0]
        if recipient in _MAGIC:
            raise _error(*_MAGIC[recipient])
        batch, now = self._id(), base.moment(None)
        sent_at = _time(body["send_at"]) if "send_at" in body else None
        self.messages[batch] = {
            "delivery_report": "none",
            "type": "mt_text",
            "from": OUR_NUMBER.removeprefix("+"),
            **body,
            "id": batch,
            "to": [number.removeprefix("+") for number in body["to"]],
            "canceled": False,
            "created_at": now.isoformat(),
            "modified_at": now.isoformat(),
            "expire_at": body.get("expire_at", ((sent_at or now) + _DEFAULT_VALIDITY).isoformat()),
        }
        if "callback_url" in body:
            self.callbacks[batch] = body["callback_url"]
        if sent_at is None or sent_at <= now:
            self.reports[batch] = {"code": _CODES["Queued"], "status": "Queued", "count": 1}
        return base.reply(self.messages[batch], 201)

    def _list(self, request: base.SandboxRequest, **_path: str) -> Response:
        size = dict(request.query).get("page_size", "30")
        if not size.isdigit() or not 0 < int(size) <= _LONGEST_PAGE:
            raise _error(400, "syntax_constraint_violation", "page_size is not from 1 to 100.")
        batches = list(self.messages.values())[::-1]
        page = batches[: int(size)]
        numbers = {"page": 0, "page_size": len(page), "count": len(batches)}
        return base.reply({**numbers, "batches": page})

    def _fetch(self, _: base.SandboxRequest, batch: str, **_path: str) -> Response:
        return base.reply(self._existing(batch))

    def _cancel(self, _: base.SandboxRequest, batch: str, **_path: str) -> Response:
        message = self._existing(batch)
        message["canceled"] = True
        return base.reply(message)

    def _report(self, request: base.SandboxRequest, batch: str, **_path: str) -> Response:
        message = self._existing(batch)
        if dict(request.query).get("type", "summary") != "summary":
            raise _error(404, "not_found", "The sandbox has no report of this type.")
        reference = message.get("client_reference")
        return base.reply(
            {
                "type": _report_type(message),
                "batch_id": batch,
                "total_message_count": 1,
                "statuses": [self.reports[batch]] if batch in self.reports else [],
                **({} if reference is None else {"client_reference": reference}),
            }
        )

    def _existing(self, batch: str) -> dict[str, Any]:
        missing_error = _error(404, "not_found", "There is no such batch.")
        return base.existing(self.messages, batch, missing_error)

    def _id(self) -> str:
        return f"01SINCH{self.number():019d}"

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the token, and the service plan in the path."""
        is_inside = request.path.startswith(f"/xms/v1/{self.service_plan_id}/")
        if request.bearer() != self.api_token or not is_inside:
            raise _error(401, "unauthorized", "The token is invalid for this service plan.")


def _report_type(message: dict[str, Any]) -> str:
    return f"delivery_report_{'mms' if message['type'] == 'mt_media' else 'sms'}"


def _time(text: str) -> datetime | None:
    """Return the time in a text like 2031-05-06T07:08:09.123Z; None for other texts."""
    try:
        return datetime.fromisoformat(text) if _TIME.fullmatch(text) else None
    except ValueError:
        return None


def _batch_problem(body: Any) -> str | None:
    """Return the problem with a batch; None if it is valid."""
    if not is_object(body):
        return "The body is not an object."
    kind = body.get("type", "mt_text")
    if not isinstance(kind, str) or kind not in FIELDS:
        return "type is neither mt_text nor mt_media."
    invalid_names = wrong_names(FIELDS[kind], body)
    if invalid_names:
        return f"Unknown, or of another type: {invalid_names}."
    sent_at, expired_at = (
        _time(body[name]) if name in body else None for name in ("send_at", "expire_at")
    )
    content, numbers = body.get("body"), [str(number) for number in body.get("to", [])]
    is_early = sent_at is not None and expired_at is not None and expired_at <= sent_at
    return base.first_problem(
        {
            "to has not exactly one number, which is all that the sandbox takes.": (
                numbers != body.get("to") or len(numbers) != 1 or not _NUMBER.fullmatch(numbers[0])
            ),
            "body is required.": not content,
            "body is too long.": isinstance(content, str) and len(content) > _MAX_LENGTH,
            "body needs the field url, and takes only message and subject with it.": is_object(
                content
            )
            and ("url" not in content or wrong_names(_MEDIUM, content)),
            "delivery_report is unknown.": body.get("delivery_report", "none") not in _REPORTS,
            "send_at is not a time.": "send_at" in body and sent_at is None,
            "expire_at is not a time.": "expire_at" in body and expired_at is None,
            "expire_at is not after send_at.": is_early,
        }
    )


def _error(status: int, code: str, text: str) -> base.Refusal:
    return base.refusal({"code": code, "text": text}, status)


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with a service plan that works for all example calls."""
    sandbox = SinchSandbox()
    account = {"service_plan_id": sandbox.service_plan_id, "credentials": sandbox.api_token}
    return SandboxFixture(sandbox=sandbox, options={**account, "sender": OUR_NUMBER})
