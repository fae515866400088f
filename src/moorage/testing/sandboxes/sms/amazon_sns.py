"""A local sandbox that imitates Amazon SNS's text messages and opt-outs.

Magic numbers: +15005550004 has opted out, a message to +15005550008 exceeds the rate limit, and
one to +15005550009 makes SNS fail.
"""

from __future__ import annotations

import re
from html import escape
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Response
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._aws import MISMATCH, STRANGER, UNSIGNED, AwsSandbox
from moorage.testing.sandboxes._fields import words
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NAMESPACE: Final = "http://sns.amazonaws.com/doc/2010-03-31/"
_NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_ENTRY: Final = re.compile(
    r"MessageAttributes\.entry\.([0-9]+)\.(Name|Value\.DataType|Value\.StringValue)"
)
_MAGIC: Final = {
    "+15005550004": (400, "OptedOut", "+15005550004 has opted out."),
    "+15005550008": (400, "Throttling", "Rate exceeded"),
    "+15005550009": (500, "InternalError", "As the number says."),
}
FIELDS: Final = words(
    "Action Message MessageDeduplicationId MessageGroupId MessageStructure PhoneNumber Subject"
    " TargetArn TopicArn Version"
)
"""The allowed fields of a published message, besides its attributes."""
_ATTRIBUTES: Final = {
    "AWS.MM.SMS.EntityId": ("String", r".+"),
    "AWS.MM.SMS.OriginationNumber": ("String", r"\+?[0-9]{5,14}"),
    "AWS.MM.SMS.TemplateId": ("String", r".+"),
    "AWS.SNS.SMS.MaxPrice": ("Number", r"[0-9]+(?:\.[0-9]+)?"),
    "AWS.SNS.SMS.SMSType": ("String", r"Promotional|Transactional"),
    "AWS.SNS.SMS.SenderID": ("String", r"(?=.*[A-Za-z])[A-Za-z0-9-]{1,11}"),
}
_MAX_LENGTH: Final = 1600
_PAGE: Final = 100
_OPT_OUT_FIELDS: Final = {
    "CheckIfPhoneNumberIsOptedOut": "phoneNumber",
    "ListPhoneNumbersOptedOut": "nextToken",
    "OptInPhoneNumber": "phoneNumber",
}
_ACCESS_CODES: Final = {
    UNSIGNED: "MissingAuthenticationToken",
    STRANGER: "InvalidClientTokenId",
    MISMATCH: "SignatureDoesNotMatch",
}


class AmazonSnsSandbox(AwsSandbox):
    """A sandbox of Amazon SNS: text messages to phone numbers.

    Attributes:
        messages: the fields and the attributes of each sent message, by id.
        opted_out: numbers that have opted out.
    """

    service = "sns"
    domains = ("sns",)

    messages: dict[str, dict[str, Any]] = base.state_field(dict)
    opted_out: list[str] = base.state_field(lambda: ["+15005550004"])

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {"POST /": self._run_action}

    def _unauthorized(self, problem: str) -> base.Refusal:
        return _refusal(403, _ACCESS_CODES[problem], problem)

    def _run_action(self, request: base.SandboxRequest) -> Response:
        form = dict(request.form)
        if form.get("Action") in _OPT_OUT_FIELDS:
            return self._act_on_opt_outs(form)
        problem = _message_problem(form)
        if problem is not None:
            raise _refusal(400, *problem)
        if form["PhoneNumber"] in _MAGIC:
            raise _refusal(*_MAGIC[form["PhoneNumber"]])
        id_ = self.uuid()
        attributes = {name: value for name, _, value in _attributes(form)}
        self.messages[id_] = {name: form[name] for name in FIELDS & set(form)} | attributes
        result = f"<PublishResult>{_element('MessageId', id_)}</PublishResult>"
        return _xml("PublishResponse", result, 200)

    def _act_on_opt_outs(self, form: dict[str, str]) -> Response:
        action, number = form["Action"], form.get("phoneNumber", "")
        field = _OPT_OUT_FIELDS[action]
        if set(form) - {"Action", "Version", field}:
            raise _refusal(400, "ValidationError", "There are fields that are not known")
        if field == "phoneNumber" and not _NUMBER.fullmatch(number):
            raise _refusal(400, "InvalidParameter", "Invalid parameter: PhoneNumber")
        result_xml = ""
        if action == "CheckIfPhoneNumberIsOptedOut":
            result_xml = _element("isOptedOut", str(number in self.opted_out).lower())
        elif action == "OptInPhoneNumber":
            self.opted_out = [item for item in self.opted_out if item != number]
        else:
            start = int(form.get("nextToken", "0"))
            page = self.opted_out[start : start + _PAGE]
            result_xml = (
                f"<phoneNumbers>{''.join(_element('member', it) for it in page)}</phoneNumbers>"
            )
            if len(self.opted_out) > start + _PAGE:
                result_xml += _element("nextToken", str(start + _PAGE))
        return _xml(f"{action}Response", f"<{action}Result>{result_xml}</{action}Result>", 200)


def _message_problem(form: dict[str, str]) -> tuple[str, str] | None:
    """Return the error code and text for an invalid message; None if it is valid."""
    number, text = form.get("PhoneNumber", ""), form.get("Message", "")
    action = form.get("Action"), form.get("Version")
    unknown_fields = [name for name in form if name not in FIELDS and not _ENTRY.fullmatch(name)]
    fitting = all(_fits(*attribute) for attribute in _attributes(form))
    return base.first_problem(
        {
            ("InvalidAction", "Could not find operation"): action != ("Publish", "2010-03-31"),
            ("ValidationError", "There are fields that are not known"): unknown_fields,
            ("InvalidParameter", "Invalid parameter: PhoneNumber"): not _NUMBER.fullmatch(number),
            ("InvalidParameter", "Invalid parameter: Empty message"): not text,
            ("InvalidParameter", "Invalid parameter: Message too long"): len(text) > _MAX_LENGTH,
            ("ParameterValueInvalid", "An attribute is wrong"): not fitting,
        }
    )


def _attributes(form: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Return the name, type and value of each message attribute."""
    numbers = sorted({match[1] for name in form if (match := _ENTRY.fullmatch(name))})
    return [_attribute(form, f"MessageAttributes.entry.{number}.") for number in numbers]


def _attribute(form: Mapping[str, str], at: str) -> tuple[str, str, str]:
    name, kind = form.get(f"{at}Name", ""), form.get(f"{at}Value.DataType", "")
    return name, kind, form.get(f"{at}Value.StringValue", "")


def _fits(name: str, kind: str, value: str) -> bool:
    expected, pattern = _ATTRIBUTES.get(name, ("", "(?!)"))
    return kind == expected and re.fullmatch(pattern, value) is not None


def _refusal(status: int, code: str, message: str) -> base.Refusal:
    kind = "Sender" if status < 500 else "Receiver"
    error = _element("Type", kind) + _element("Code", code) + _element("Message", message)
    return base.Refusal(_xml("ErrorResponse", f"<Error>{error}</Error>", status))


def _element(name: str, text: str) -> str:
    return f"<{name}>{escape(text)}</{name}>"


def _xml(name: str, inside: str, status: int) -> Response:
    meta = f"<ResponseMetadata>{_element('RequestId', 'sandbox')}</ResponseMetadata>"
    document = f'<{name} xmlns="{_NAMESPACE}">{inside}{meta}</{name}>'
    return Response(status, {"Content-Type": "text/xml"}, document.encode())


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = AmazonSnsSandbox()
    return SandboxFixture(sandbox=sandbox, options={**sandbox.account, "sender": "ACME"})
