"""A local sandbox that imitates SparkPost.

Magic addresses: refused@example.com is refused as a recipient. A message to throttled@example.com
exceeds the rate limit, one to spent@example.com exceeds the daily sending limit, and one to
outage@example.com gets no answer from SparkPost. Senders at unverified.example are refused. The
checks of undeliverable@example.com, risky@example.com and neutral@example.com give the verdicts in
these names, and gmial.example is reported as a typing error. Unlike SparkPost, the sandbox refuses
unknown fields.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json, is_list, is_object
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed, words, wrong_names
from moorage.testing.sandboxes.email.base import (
    EmailSandbox,
    attachment_item,
    days_between,
    email_fixture,
    emails,
    suppressions_after,
)
from moorage.testing.sandboxes.email.mailbox import DeliveredEmail

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moorage.testing.sandboxes.fixture import SandboxFixture

_Types = dict[str, type | tuple[type, ...]]

_TRANSMISSION: Final[_Types] = {
    **typed(str, "campaign_id description return_path tracking_domain"),
    **typed(dict, "options override content metadata substitution_data"),
    "recipients": list,
}
_OPTIONS: Final[_Types] = {
    **typed(str, "start_time ip_pool dkim_key"),
    **typed(
        bool,
        "open_tracking initial_open click_tracking transactional sandbox skip_suppression"
        " inline_css perform_substitutions",
    ),
}
_OVERRIDE: Final[_Types] = {"from": (str, dict), "reply_to": str, "list_id": str}
_RECIPIENT: Final[_Types] = {
    "address": (str, dict),
    "return_path": str,
    "tags": list,
    "metadata": dict,
    "substitution_data": dict,
}
_ADDRESS: Final[_Types] = typed(str, "email name header_to")
_SENDER: Final[_Types] = typed(str, "email name")
_INLINE: Final[_Types] = {
    **typed(str, "subject html text amp_html reply_to"),
    "from": (str, dict),
    "headers": dict,
    **typed(list, "attachments inline_images"),
}
_STORED: Final[_Types] = {"template_id": str, "use_draft_template": bool}
_FILE: Final[_Types] = typed(str, "name type data")
_GENERATED: Final = words("subject from to reply-to content-type content-transfer-encoding")
_MACROS: Final = {
    f"{side}_{number}_curly()": brace * count
    for side, brace in (("opening", "{"), ("closing", "}"))
    for count, number in enumerate(("single", "double", "triple"), 1)
}
_EXPRESSION: Final = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_START: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d")
_MOST_BYTES: Final = 20_000_000
_LONGEST_NAME: Final = 255
_LONGEST_CAMPAIGN: Final = 64
_MOST_METADATA: Final = 10 * 1024
_KINDS: Final = words("transactional non_transactional")
_PERIOD: Final = words("from to precision timezone metrics")
_VERDICTS: Final = {
    "undeliverable@example.com": ("undeliverable", "Invalid Recipient", 0),
    "risky@example.com": ("risky", None, 42),
    "neutral@example.com": ("neutral", None, 51),
}


class SparkPostSandbox(EmailSandbox):
    """A sandbox of SparkPost: transmissions, address checks, metrics and webhooks.

    Attributes:
        api_key: the API key of the account.
        templates: the ids of the stored templates.
    """

    hosts = ("api.sparkpost.com", "api.eu.sparkpost.com")

    api_key: str = "14ac5499cfdd2bb2859e4476d2e5b1d2bad079bf"
    templates: tuple[str, ...] = ("welcome",)
    canceled: list[str] = base.state_field(list)
    days: list[dict[str, Any]] = base.state_field(list)
    password: str = "hook:sandbox"
    token: str = "sparkpost-sandbox-token"

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /api/v1/transmissions": self._transmit,
            "GET /api/v1/recipient-validation/single/{address}": self._validate,
            "GET /api/v1/metrics/deliverability/time-series": self._metrics,
            "GET /api/v1/account": self._account,
            "DELETE /api/v1/transmissions/{id_}": self._cancel,
            "GET /api/v1/suppression-list": self._suppressed,
            "PUT /api/v1/suppression-list": self._suppress,
            "DELETE /api/v1/suppression-list/{address}": self._send_again,
        }

    def _cancel(self, _: base.SandboxRequest, id_: str) -> Response:
        if id_ in self.canceled or all(
            mail.id != id_ or "start_time" not in mail.raw.get("options", {})
            for mail in self.delivered
        ):
            raise _refusal("1600", "resource not found", None, 404)
        self.canceled.append(id_)
        return Response(204)

    def _suppressed(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        cursor, size = query["cursor"].removeprefix("initial"), int(query["per_page"])
        position = b64decode(cursor, altchars=b"-_", validate=True).decode()
        page, next_position = suppressions_after(self.suppressions, position, size)
        entries = [
            {
                "recipient": email,
                "type": "transactional",
                "source": source,
                "description": "As you wish.",
                "created": "2016-01-01T12:00:00+00:00",
                "updated": "2016-01-01T12:00:00+00:00",
            }
            for email, source in page
        ]
        path = f"/api/v1/suppression-list?per_page={size}&cursor="
        links = [{"href": f"{path}initial", "rel": "first"}]
        if next_position is not None:
            next_cursor = urlsafe_b64encode(next_position.encode()).decode()
            links.append({"href": f"{path}{quote(next_cursor)}", "rel": "next"})
        total = len(self.suppressions)
        return base.reply({"results": entries, "links": links, "total_count": total})

    def _suppress(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        if list(problems({"recipients!": [{"recipient!": str, "type!": _KINDS}]}, body)):
            raise _refusal("1300", "invalid data format/type")
        for entry in body["recipients"]:
            self.suppressions[entry["recipient"]] = "Manually Added"
        return base.reply({"results": {"message": "Suppression List successfully updated"}})

    def _send_again(self, _: base.SandboxRequest, address: str) -> Response:
        if self.suppressions.pop(address, None) is None:
            raise _refusal("1600", "resource not found", None, 404)
        return Response(204)

    def event_notice(
        self, url: str, *events: Mapping[str, Any], oauth2: bool = False
    ) -> base.Notice:
        """Return a webhook with a batch of events, each nested under its group's name.

        Args:
            url: the address of the webhook.
            *events: the events, such as `{"message_event": {...}}`; an empty list is a test.
            oauth2: True to send the bearer token in place of the name and the password.
        """
        password = b64encode(self.password.encode()).decode()
        headers = {
            "Authorization": f"Bearer {self.token}" if oauth2 else f"Basic {password}",
            "Content-Type": "application/json",
            "X-MessageSystems-Batch-ID": self.uuid(),
        }
        return self.notify(url, encode_json([{"msys": dict(event)} for event in events]), headers)

    def _transmit(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        _check(body, _TRANSMISSION, "transmission")
        self._check_content(body)
        _check_options(body)
        refusals: list[dict[str, str]] = []
        accepted: list[dict[str, Any]] = []
        for recipient in _recipients(body):
            problem = _problem_of(recipient)
            if problem is None:
                accepted.append(recipient)
            else:
                refusals.append(problem)
        if not accepted:
            raise _refusal("5002", "No valid recipients in list")
        _check_magic({_email_of(recipient) for recipient in accepted})
        id_ = f"1166878748495{self.number():04d}"
        self._deliver(id_, body, accepted)
        results: dict[str, Any] = {
            "total_rejected_recipients": len(refusals),
            "total_accepted_recipients": len(accepted),
            "id": id_,
        }
        answer: dict[str, Any] = {"results": results}
        if refusals:
            results["rcpt_to_errors"] = refusals
            message = "transmission created, but with validation errors"
            answer["errors"] = [{"message": message, "code": "2000"}]
        return base.reply(answer)

    def _check_content(self, body: dict[str, Any]) -> None:
        content = body.get("content")
        if not content:
            raise _refusal(
                "1400", "required field is missing", "content object or template_id required", 422
            )
        if "template_id" not in content:
            _check_inline(content)
            if "override" in body:
                raise _refusal("1301", "Invalid combination of fields", "override", 422)
            return
        if set(content) & {"subject", "html", "text"}:
            raise _refusal("1301", "Both content object and template_id are specified", None, 422)
        _check(content, _STORED, "content")
        override = body.get("override", {})
        _check(override, _OVERRIDE, "override")
        _check_sender(override.get("from", "shop@example.com"))
        if content["template_id"] not in self.templates:
            description = f"template '{content['template_id']}' does not exist"
            raise _refusal("1603", "Subresource not found", description, 422)
        if body.get("options", {}).get("perform_substitutions") is False:
            raise _refusal("1301", "Invalid combination of fields", "perform_substitutions", 422)

    def _deliver(self, id_: str, body: dict[str, Any], accepted: list[dict[str, Any]]) -> None:
        """Group the recipients by their `To` header, and deliver one message to each group."""
        groups: dict[str, list[dict[str, Any]]] = {}
        for recipient in accepted:
            data = {**body.get("substitution_data", {}), **recipient.get("substitution_data", {})}
            groups.setdefault(_fill_template(_header_of(recipient), data), []).append(recipient)
        for header, group in groups.items():
            self.delivered.append(_delivered_email(id_, body, header, group))

    def _validate(self, _: base.SandboxRequest, address: str) -> Response:
        email = address.lower()
        verdict, reason, confidence = _VERDICTS.get(email, ("valid", None, 85))
        results: dict[str, Any] = {}
        if email.endswith("@gmial.example"):
            verdict, reason, confidence = "typo", "Invalid Domain", 0
            results["did_you_mean"] = email.replace("gmial", "gmail")
        if "@" not in email:
            verdict, reason, confidence = "undeliverable", "Invalid Syntax", 0
        results |= {
            "valid": verdict not in {"undeliverable", "typo"},
            "result": verdict,
            "is_role": email.startswith("info@"),
            "is_disposable": False,
            "is_free": False,
            "delivery_confidence": confidence,
        }
        return base.reply({"results": results | ({"reason": reason} if reason else {})})

    def _metrics(self, request: base.SandboxRequest) -> Response:
        query = dict(request.query)
        if set(query) != _PERIOD or query["precision"] != "day" or query["timezone"] != "UTC":
            raise _refusal("1200", "invalid params")
        first_day, last_day = query["from"][:10], query["to"][:10]
        if query["from"] != f"{first_day}T00:00" or query["to"] != f"{last_day}T23:59":
            raise _refusal("1200", "invalid params", "from and to must be the beginnings of days")
        metric_names = query["metrics"].split(",")
        rows = [
            {
                "ts": f"{day['ts']}T00:00:00+00:00",
                **{name: day.get(name, 0) for name in metric_names},
            }
            for day in days_between(self.days, "ts", first_day, last_day)
        ]
        return base.reply({"results": rows})

    def _account(self, _: base.SandboxRequest) -> Response:
        return base.reply({"results": {"company_name": "Shop", "status": "active"}})

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check a request's API key, which is the whole header value."""
        if request.headers.get("authorization") != self.api_key:
            raise base.refusal({"errors": [{"message": "Unauthorized."}]}, 401)
        if not (request.headers.get("x-msys-subaccount") or "0").isdigit():
            raise _refusal("1800", "HTTP header value not acceptable", None, 406)


def _refusal(
    code: str, message: str, description: str | None = None, status: int = 400
) -> base.Refusal:
    error = {"message": message, "code": code}
    return base.refusal(
        {"errors": [error | ({"description": description} if description else {})]}, status
    )


def _check(fields: Any, types: _Types, name: str) -> None:
    if not is_object(fields):
        raise _refusal("1300", "invalid data format/type/length", name, 422)
    for wrong_name in wrong_names(types, fields):
        raise _refusal("1300", "invalid data format/type/length", f"{name}.{wrong_name}", 422)


def _check_options(body: dict[str, Any]) -> None:
    options = body.get("options", {})
    _check(options, _OPTIONS, "options")
    start = options.get("start_time")
    if start is not None and not _is_time(start):
        raise _refusal("1300", "invalid data format/type/length", "options.start_time", 422)
    if len(body.get("campaign_id", "").encode()) > _LONGEST_CAMPAIGN:
        raise _refusal("1300", "invalid data format/type/length", "campaign_id", 422)
    if len(encode_json(body.get("metadata", {}))) > _MOST_METADATA:
        raise _refusal("2007", "Metadata size too large", None, 422)


def _is_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return _START.fullmatch(text) is not None


def _check_inline(content: dict[str, Any]) -> None:
    _check(content, _INLINE, "content")
    for name in ("from", "subject"):
        if name not in content:
            raise _refusal("1400", "required field is missing", f"content.{name}", 422)
    if not content.get("html") and not content.get("text"):
        raise _refusal("1400", "required field is missing", "html or text is required", 422)
    _check_sender(content["from"])
    headers = content.get("headers", {})
    if not all(isinstance(value, str) for value in headers.values()) or _GENERATED.intersection(
        name.lower() for name in headers
    ):
        raise _refusal("3002", "Invalid header", None, 422)
    _check_files(content)
    if len(encode_json(content)) > _MOST_BYTES:
        raise base.refusal({"errors": [{"message": "request entity too large"}]}, 413)


def _check_sender(sender: Any) -> None:
    if is_object(sender):
        _check(sender, _SENDER, "from")
    email = str(sender.get("email", "") if is_object(sender) else sender)
    if "@" not in email or not email.isascii():
        raise _refusal("2008", "No local part specified in sender address")
    if email.endswith("@unverified.example"):
        raise _refusal("7001", "Invalid domain", "Unconfigured or unverified sending domain.")


def _check_files(content: dict[str, Any]) -> None:
    for field in ("attachments", "inline_images"):
        files = content.get(field, [])
        for file in files:
            _check(file, _FILE, field)
            if set(file) != set(_FILE) or not 0 < len(file["name"].encode()) <= _LONGEST_NAME:
                raise _refusal("1400", "required field is missing", field, 422)
            if "\n" in file["data"] or "/" not in file["type"]:
                raise _refusal("3010", "template mime construction error", field, 422)
    image_names = [image["name"] for image in content.get("inline_images", [])]
    if len(set(image_names)) < len(image_names):
        raise _refusal("1300", "invalid data format/type/length", "inline_images", 422)


def _recipients(body: dict[str, Any]) -> list[dict[str, Any]]:
    recipients = body.get("recipients")
    if not is_list(recipients) or not recipients:
        raise _refusal("1400", "required field is missing", "recipients", 422)
    for recipient in recipients:
        _check(recipient, _RECIPIENT, "recipients")
        if is_object(recipient.get("address")):
            _check(recipient["address"], _ADDRESS, "address")
    return recipients


def _email_of(recipient: dict[str, Any]) -> str:
    address = recipient.get("address", "")
    return (address if isinstance(address, str) else address.get("email", "")).lower()


def _problem_of(recipient: dict[str, Any]) -> dict[str, str] | None:
    email = _email_of(recipient)
    if not email:
        return {
            "message": "required field is missing",
            "description": "address.email is required for each recipient",
            "code": "1400",
        }
    if "@" not in email or not email.isascii() or email == "refused@example.com":
        return {"message": "Invalid email address", "description": email, "code": "1300"}
    return None


def _check_magic(people: set[str]) -> None:
    if "throttled@example.com" in people:
        raise base.refusal({"errors": [{"message": "Too many requests"}]}, 429)
    if "spent@example.com" in people:
        raise _refusal("2102", "Exceed Sending Limit (daily)", None, 420)
    if "outage@example.com" in people:
        raise base.refusal({"errors": [{"message": "Service Unavailable"}]}, 503)


def _header_of(recipient: dict[str, Any]) -> str:
    """Return the `To` header of a recipient's message."""
    address = recipient["address"]
    if isinstance(address, str):
        return address
    header_address = address.get("header_to", address["email"])
    return f'"{address["name"]}" <{header_address}>' if "name" in address else header_address


def _fill_template(text: str, data: Mapping[str, Any], *, html: bool = False) -> str:
    """Return a text with its template expressions evaluated."""

    def value(match: re.Match[str]) -> str:
        expression = match[1]
        if expression in _MACROS:
            return _MACROS[expression]
        if _NAME.fullmatch(expression) is None:
            raise _refusal("3000", "template language syntax error", expression, 422)
        word = str(data.get(expression, ""))
        return escape(word) if html else word

    return _EXPRESSION.sub(value, text)


def _delivered_email(
    id_: str, body: dict[str, Any], header: str, group: list[dict[str, Any]]
) -> DeliveredEmail:
    content, override = body["content"], body.get("override", {})
    data = {**body.get("substitution_data", {}), **group[0].get("substitution_data", {})}
    headers = {
        name: _fill_template(value, data) for name, value in content.get("headers", {}).items()
    }
    copies = emails([value for name, value in headers.items() if name.lower() == "cc"])
    header_address = emails([header])
    addresses = [_email_of(recipient) for recipient in group]
    sender = override.get("from") or content.get("from", "template@example.com")
    fields = {"email": sender} if isinstance(sender, str) else sender
    name = fields.get("name")
    substitutes = body.get("options", {}).get("perform_substitutions", True)
    texts = {
        part: _fill_template(text, data, html=part != "text") if substitutes else text
        for part in ("text", "html", "amp_html")
        if (text := content.get(part)) is not None
    }
    return DeliveredEmail(
        id=id_,
        sender=fields["email"],
        sender_name=None if name is None else _fill_template(name, data),
        to=tuple(email for email in header_address if email in addresses),
        cc=tuple(email for email in copies if email in addresses),
        bcc=tuple(email for email in addresses if email not in {*header_address, *copies}),
        subject=_fill_template(content.get("subject", ""), data),
        text=texts.get("text"),
        html=texts.get("html"),
        amp_html=texts.get("amp_html"),
        headers=headers,
        items=tuple(
            attachment_item(file["name"], file["data"], file["type"], None)
            for file in content.get("attachments", [])
        )
        + tuple(
            attachment_item(image["name"], image["data"], image["type"], image["name"])
            for image in content.get("inline_images", [])
        ),
        raw=body,
    )


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = SparkPostSandbox()
    return email_fixture(sandbox, {"credentials": sandbox.api_key})
