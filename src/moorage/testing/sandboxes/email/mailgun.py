"""A local sandbox that imitates Mailgun.

Magic addresses: refused@example.com is refused as invalid. A message to throttled@example.com
exceeds the rate limit, and one to outage@example.com makes Mailgun fail. Senders at
unverified.example are refused. An unknown path is answered with a success, as Mailgun does.
"""

from __future__ import annotations

import json
import re
from email.utils import parsedate_to_datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import attrs

from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json, is_object
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import words
from moorage.testing.sandboxes.email.base import EmailSandbox, email_fixture, emails, read_address
from moorage.testing.sandboxes.email.mailbox import DeliveredEmail, Item, decoded_header
from moorage.testing.sandboxes.webhook_signatures import hex_hmac

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from moorage.testing.sandboxes.fixture import SandboxFixture

_SUPPRESSIONS: Final = ("bounces", "complaints", "unsubscribes")
_SINGLE_FIELDS: Final = words(
    "from subject text html amp-html template t:variables t:version t:text o:deliverytime"
    " o:testmode o:tracking o:tracking-clicks o:tracking-opens recipient-variables"
)
_REPEATABLE_FIELDS: Final = words("to cc bcc o:tag")
_NAME: Final = re.compile(r'\bname="([^"]*)"')
_FILENAME: Final = re.compile(r'\bfilename="([^"]*)"')
_TYPE: Final = re.compile(r"^content-type:\s*(.*)$", re.IGNORECASE | re.MULTILINE)
_VARIABLE: Final = re.compile(r"%recipient\.([A-Za-z0-9_.:-]+)%")
_ESCAPED: Final = {"%22": '"', "%5C": "\\", "%0D": "\r", "%0A": "\n"}
_MOST_RECIPIENTS: Final = 1_000
_MOST_OPTIONS: Final = 16 * 1024
_MOST_BYTES: Final = 26 * 1024 * 1024
_METRICS: Final = words(
    "start end resolution duration dimensions metrics filter include_subaccounts"
    " include_aggregates pagination"
)


@attrs.frozen(slots=False)
class Form:
    """A parsed form with its fields and files.

    Attributes:
        fields: the names and values of the fields, in order.
        files: the names of the file fields, and their files.
    """

    fields: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, Item], ...]

    def value(self, name: str, otherwise: str = "") -> str:
        """Return the last value of a form field, or a default."""
        return self.values_by_name.get(name, [otherwise])[-1]

    def all(self, name: str) -> list[str]:
        """Return all values of a form field."""
        return self.values_by_name.get(name, [])

    @cached_property
    def values_by_name(self) -> dict[str, list[str]]:
        """The values of each form field, in order."""
        values: dict[str, list[str]] = {}
        for name, value in self.fields:
            values.setdefault(name, []).append(value)
        return values

    def below(self, prefix: str) -> dict[str, str]:
        """Return the values of fields whose names begin with `prefix`, by the rest of the name."""
        return {
            name.removeprefix(prefix): value
            for name, value in self.fields
            if name.startswith(prefix)
        }


class MailgunSandbox(EmailSandbox):
    """A sandbox of Mailgun: email, address checks, statistics and webhooks.

    Attributes:
        api_key: credentials that requests must have.
        domain: the sending domain.
        templates: the names of the existing templates.
        page: number of rows of statistics that a response may have.
    """

    hosts = ("api.mailgun.net", "api.eu.mailgun.net")

    api_key: str = "key-sandbox"
    domain: str = "mail.example.com"
    templates: tuple[str, ...] = ("welcome",)
    page: int = 100
    days: list[tuple[str, dict[str, int]]] = base.state_field(list)
    signing_key: str = "mailgun-sandbox-signing-key"

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            "POST /v3/{domain}/messages": self._send,
            "GET /v4/address/validate": self._validate,
            "GET /v4/domains/{domain}": self._show,
            "POST /v1/analytics/metrics": self._metrics,
            **{
                f"{method} /v3/{{domain}}/{name}{path_suffix}": partial(handle, name)
                for name in _SUPPRESSIONS
                for method, path_suffix, handle in (
                    ("GET", "", self._suppressed),
                    ("POST", "", self._suppress),
                    ("DELETE", "/{address}", self._send_again),
                )
            },
        }

    def _suppressed(self, name: str, request: base.SandboxRequest, **_path: str) -> Response:
        query = dict(request.query)
        emails = [email for email, list_name in self.suppressions.items() if list_name == name]
        start = emails.index(query["address"]) + 1 if query.get("address") else 0
        page = emails[start : start + int(query.get("limit", "0"))]
        pivot = urlencode({"page": "next", "address": page[-1] if page else "", **_limit(query)})
        url = f"https://api.mailgun.net/v3/{self.domain}/{name}?{pivot}"
        created = {"created_at": "Fri, 21 Oct 2011 11:02:55 UTC"}
        items = [{"address": email, **created} for email in page]
        return base.reply({"items": items, "paging": {"next": url}})

    def _suppress(self, name: str, request: base.SandboxRequest, **_path: str) -> Response:
        form = dict(request.form)
        if not form.get("address"):
            raise _refusal(400, "Address is required")
        self.suppressions[form["address"]] = name
        return base.reply({"message": "Address has been added to the table"})

    def _send_again(
        self, name: str, _: base.SandboxRequest, address: str, **_path: str
    ) -> Response:
        if self.suppressions.get(address) != name:
            raise _refusal(404, "Address not found in the table")
        del self.suppressions[address]
        return base.reply({"message": "The address has been removed", "address": address})

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - to override
        """Return Mailgun's greeting for an unknown path."""
        return Response(200, {"Content-Type": "text/html"}, b"Mailgun Magnificent API")

    def event_notice(self, url: str, event: Mapping[str, Any], at: datetime) -> base.Notice:
        """Return a signed webhook about an event."""
        stamp, token = str(int(at.timestamp())), f"{self.number():050d}"
        mac = hex_hmac(self.signing_key, f"{stamp}{token}".encode())
        signature = {"timestamp": stamp, "token": token, "signature": mac}
        body = encode_json({"signature": signature, "event-data": dict(event)})
        return self.notify(url, body, {"Content-Type": "application/json"})

    def _send(self, request: base.SandboxRequest, domain: str) -> Response:
        if len(request.body) > _MOST_BYTES:
            raise _refusal(413, "request size exceeds limit")
        if domain != self.domain:
            raise _refusal(404, f"Domain not found: {domain}")
        form = read_form(request)
        _check_form(form)
        recipients = _check_people(form)
        self._check_contents(form)
        id_ = f"20260301120000.{self.number():012d}@{domain}"
        if form.value("o:testmode") != "yes":
            self.delivered += _deliveries(form, id_, recipients)
        return base.reply({"id": f"<{id_}>", "message": "Queued. Thank you."})

    def _check_contents(self, form: Form) -> None:
        template = form.value("template")
        if template and form.value("html"):
            raise _refusal(400, "Only one parameters 'html' or 'template' is allowed")
        if template and template not in self.templates:
            raise _refusal(400, f"template '{template}' not found")
        if not (template or form.value("text") or form.value("html")):
            raise _refusal(400, "Need at least one of 'text', 'html' or 'template' parameters")
        if not template and not form.all("subject"):
            raise _refusal(400, "subject parameter is missing")

    def _show(self, _: base.SandboxRequest, domain: str) -> Response:
        return base.reply({"domain": {"name": domain, "state": "active"}})

    def _validate(self, request: base.SandboxRequest) -> Response:
        address = dict(request.query).get("address")
        if not address:
            raise _refusal(400, "address parameter is required")
        local, _, host = address.rpartition("@")
        verdict: dict[str, Any] = {
            "address": address,
            "is_disposable_address": host == "disposable.example",
            "is_role_address": local == "info",
            "reason": [],
            "result": "deliverable",
            "risk": "low",
        }
        if host.endswith(".invalid"):
            verdict |= {"reason": ["no_mx"], "result": "undeliverable", "risk": "high"}
        if host == "gmial.com":
            verdict |= {"result": "unknown", "risk": "unknown"}
            verdict["did_you_mean"] = f"{local}@gmail.com"
        if local == "info":
            reasons = ["mailbox_is_role_address"]
            verdict |= {"reason": reasons, "result": "catch_all", "risk": "medium"}
        return base.reply(verdict)

    def _metrics(self, request: base.SandboxRequest) -> Response:
        body = request.json()
        if set(body) - _METRICS or body.get("dimensions") != ["time"]:
            raise _refusal(400, "reason for bad request")
        values = [
            filter_entry["value"]
            for part in body["filter"]["AND"]
            for filter_entry in part["values"]
        ]
        pagination = body.get("pagination", {})
        skip, limit = pagination.get("skip", 0), min(pagination.get("limit", 10), self.page)
        first_day, last_day = (parsedate_to_datetime(body[name]) for name in ("start", "end"))
        rows = [
            {
                "dimensions": [{"dimension": "time", "value": day, "display_value": day}],
                "metrics": {name: counts.get(name) for name in body["metrics"]},
            }
            for day, counts in self.days
            if values == [self.domain] and first_day <= parsedate_to_datetime(day) <= last_day
        ]
        pages = {"skip": skip, "limit": limit, "total": len(rows)}
        return base.reply({"items": rows[skip : skip + limit], "pagination": pages})

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the credentials of a request."""
        if request.basic() != ("api", self.api_key):
            raise base.Refusal(Response(401, body=b"Forbidden"))


def read_form(request: base.SandboxRequest) -> Form:
    """Return the form and its files; Mailgun accepts no other body."""
    kind = request.headers.get("content-type") or ""
    media_type, _, boundary = kind.partition("; boundary=")
    if media_type != "multipart/form-data":
        raise _refusal(400, "Invalid request content type. Expecting 'multipart/form-data'")
    fields: list[tuple[str, str]] = []
    files: list[tuple[str, Item]] = []
    for part in request.body.split(f"--{boundary}".encode())[1:-1]:
        head, _, content = part[2:-2].partition(b"\r\n\r\n")
        text = head.decode()
        name, filename = _NAME.search(text), _FILENAME.search(text)
        if name is None:
            raise _refusal(400, "malformed multipart/form-data request")
        if filename is None:
            fields.append((_plain_text(name[1]), content.decode()))
        else:
            files.append(
                (_plain_text(name[1]), _item(name[1], _plain_text(filename[1]), text, content))
            )
    return Form(tuple(fields), tuple(files))


def _plain_text(text: str) -> str:
    for escape, character in _ESCAPED.items():
        text = text.replace(escape, character)
    return text


def _item(name: str, filename: str, head: str, content: bytes) -> Item:
    match = _TYPE.search(head)
    kind = "application/octet-stream" if match is None else match[1].strip()
    is_inline = name == "inline"
    return Item(filename, content, kind, name, filename if is_inline else None)


def _limit(query: Mapping[str, str]) -> dict[str, str]:
    return {"limit": query.get("limit", "100")}


def _refusal(status: int, message: str) -> base.Refusal:
    return base.refusal({"message": message}, status)


def _check_form(form: Form) -> None:
    """Refuse unknown fields, and repeated fields that may occur only once."""
    names = [name for name, _ in form.fields]
    options = 0
    for name, value in form.fields:
        if name[:2] in {"h:", "v:", "o:", "t:"}:
            options += len(name) + len(value)
        if name[:2] not in {"h:", "v:"} and name not in _SINGLE_FIELDS | _REPEATABLE_FIELDS:
            raise _refusal(400, f"unknown parameter: {name}")
        if name not in _REPEATABLE_FIELDS and names.count(name) > 1:
            raise _refusal(400, f"{name} parameter occurs more than once")
    if any(name not in {"attachment", "inline"} for name, _ in form.files):
        raise _refusal(400, "unknown file")
    if options > _MOST_OPTIONS:
        raise _refusal(400, "Send options are limited to 16KB total")
    for name in ("o:tracking-opens", "o:tracking-clicks", "o:testmode"):
        if form.value(name, "yes") not in {"yes", "no"}:
            raise _refusal(400, f"{name} is neither yes nor no")
    _check_time(form.value("o:deliverytime", "Sun, 01 Mar 2026 12:00:00 +0000"))
    for name in ("recipient-variables", "t:variables"):
        _check_json(name, form.value(name, "{}"))


def _check_time(text: str) -> None:
    try:
        parsedate_to_datetime(text)
    except ValueError:
        raise _refusal(400, f"{text} is not an RFC-2822 compliant date") from None


def _check_json(name: str, text: str) -> None:
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not is_object(value):
        raise _refusal(400, f"'{name}' parameter is not a valid JSON")


def _check_people(form: Form) -> list[str]:
    """Check the sender and recipients, and return the distinct recipients in `to`."""
    if not form.value("from"):
        raise _refusal(400, "from parameter is missing")
    if emails(form.all("from"))[0].endswith("@unverified.example"):
        raise _refusal(400, "Domain unverified.example is not allowed to send: It is unverified.")
    to = list(dict.fromkeys(emails(form.all("to"))))
    recipients = [*to, *emails(form.all("cc")), *emails(form.all("bcc"))]
    if not to:
        raise _refusal(400, "to parameter is missing")
    if len(recipients) > _MOST_RECIPIENTS:
        raise _refusal(400, "Too many recipients, max is 1000")
    if "refused@example.com" in recipients or not all("@" in address for address in recipients):
        raise _refusal(400, "to parameter is not a valid address. please check documentation")
    if "throttled@example.com" in recipients:
        raise _refusal(
            429,
            "Domain mail.example.com is not allowed to send: request limit exceeded, try again"
            " after 120 seconds",
        )
    if "outage@example.com" in recipients:
        raise _refusal(500, "Internal Server Error")
    return to


def _deliveries(form: Form, id_: str, people: list[str]) -> list[DeliveredEmail]:
    """Return the delivered emails; if the message has variables, one email per recipient."""
    if not form.all("recipient-variables"):
        return [_delivery_event(form, id_, tuple(people), {})]
    variables = json.loads(form.value("recipient-variables"))
    variables_by_email = {email.lower(): words for email, words in variables.items()}
    return [
        _delivery_event(form, id_, (recipient,), variables_by_email.get(recipient, {}))
        for recipient in people
    ]


def _delivery_event(
    form: Form, id_: str, to: tuple[str, ...], variables: Mapping[str, Any]
) -> DeliveredEmail:
    def fill_template(text: str) -> str:
        return _VARIABLE.sub(lambda match: str(variables.get(match[1], match[0])), text)

    sender, name = read_address(form.value("from"))
    kinds = ("text", "html", "amp-html")
    texts = {kind: fill_template(form.value(kind)) or None for kind in kinds}
    return DeliveredEmail(
        id=id_,
        sender=sender,
        sender_name=name,
        to=to,
        cc=emails(form.all("cc")),
        bcc=emails(form.all("bcc")),
        subject=fill_template(form.value("subject")),
        text=texts["text"],
        html=texts["html"],
        amp_html=texts["amp-html"],
        headers={key: decoded_header(value) for key, value in form.below("h:").items()},
        items=tuple(item for _, item in form.files),
        raw={
            "fields": form.values_by_name,
            "user-variables": {
                key: fill_template(value) for key, value in form.below("v:").items()
            },
        },
    )


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = MailgunSandbox()
    return email_fixture(sandbox, {"domain": sandbox.domain, "credentials": sandbox.api_key})
