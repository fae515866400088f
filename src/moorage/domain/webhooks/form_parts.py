"""Reading the forms of webhooks, with their files if they are multipart forms (RFC 7578).

Laws:

1. The boundary is the body's own first line. No header decides it, since few signatures cover
   headers.
2. A form that is cut off, nested, or has too many parts or too long heads is refused as a whole.
3. The bytes of a part are returned as they arrived; only its name and file name are decoded.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl

import attrs

from moorage.domain.webhooks.rejection import WebhookReason, rejection_error

MOST_PARTS: Final = 1_000
_LONGEST_HEAD: Final = 8_192
_MOST_PARAMETERS: Final = 10
_FIRST_LINE: Final = re.compile(rb"--([^\r\n]{1,70})\r\n(?=content-)", re.IGNORECASE)
_PARAMETER: Final = re.compile(r";[ \t]*([\w*]{1,20})=(?:\"((?:[^\"\\]|\\.)*)\"|([^;\s\"]*))")
_ESCAPE: Final = re.compile(r'\\([\\"])')
_BROWSER_ESCAPES: Final = {"%22": '"', "%0D": " ", "%0A": " "}
_PLAIN_TYPE: Final = "text/plain"


@attrs.frozen
class FormPart:
    """One field or file of a form.

    Attributes:
        name: name of the field.
        content: bytes of the field or file.
        filename: name of the file; None for a field.
        content_type: media type of the content.
    """

    name: str
    content: bytes = attrs.field(repr=False)
    filename: str | None = attrs.field(default=None, repr=False)
    content_type: str = _PLAIN_TYPE


def is_multipart(body: bytes) -> bool:
    """Return whether a body begins like a multipart form."""
    return _FIRST_LINE.match(body) is not None


def form_parts(body: bytes) -> tuple[FormPart, ...]:
    """Return the fields and files of a form, in their order.

    Raises:
        WebhookRejected: the body is not a complete form.
    """
    first_line = _FIRST_LINE.match(body)
    if first_line is None:
        return _url_parts(body)
    delimiter = b"\r\n--" + first_line[1]
    parts: list[FormPart] = []
    start = first_line.end()
    while True:
        end = body.find(delimiter, start)
        if end < 0 or len(parts) >= MOST_PARTS:
            raise _unreadable_error()
        parts.append(_part(body, start, end))
        start = end + len(delimiter)
        line_ending = body[start : start + 2]
        if line_ending == b"--":
            return tuple(parts)
        if line_ending != b"\r\n":
            # The text begins like the boundary, so a less strict parser would split it here.
            raise _unreadable_error()
        start += 2


def _url_parts(body: bytes) -> tuple[FormPart, ...]:
    try:
        # Python 3.11 interprets escapes of bytes only as ASCII, so each byte is treated as a
        # character.
        text = str(body, "latin-1")
        pairs = parse_qsl(
            text, keep_blank_values=True, max_num_fields=MOST_PARTS, encoding="latin-1"
        )
    except ValueError:
        raise _unreadable_error() from None
    return tuple(
        FormPart(str(name.encode("latin-1"), "utf-8", "replace"), value.encode("latin-1"))
        for name, value in pairs
    )


def _part(body: bytes, start: int, end: int) -> FormPart:
    head_end = body.find(b"\r\n\r\n", start, min(end, start + _LONGEST_HEAD))
    if head_end < 0:
        raise _unreadable_error()
    headers: dict[str, str] = {}
    for line in str(body[start:head_end], "utf-8", "replace").split("\r\n"):
        name, separator, value = line.partition(":")
        if not separator or name.strip().lower() in headers:
            raise _unreadable_error()
        headers[name.strip().lower()] = value.strip()
    kind, parameters = _parameters(headers.get("content-disposition", ""))
    if kind != "form-data" or "name" not in parameters:
        raise _unreadable_error()
    return FormPart(
        parameters["name"],
        body[head_end + 4 : end],
        parameters.get("filename"),
        headers.get("content-type", _PLAIN_TYPE),
    )


def _parameters(value: str) -> tuple[str, dict[str, str]]:
    kind, _, _ = value.partition(";")
    parameters: dict[str, str] = {}
    for number, match in enumerate(_PARAMETER.finditer(value)):
        if number >= _MOST_PARAMETERS:
            raise _unreadable_error()
        name, quoted_part, plain_part = match.groups(default="")
        text = _ESCAPE.sub(r"\1", quoted_part) or plain_part
        for escape, letter in _BROWSER_ESCAPES.items():
            text = text.replace(escape, letter)
        if parameters.setdefault(name.lower(), text) != text:
            raise _unreadable_error()
    return kind.strip().lower(), parameters


def _unreadable_error() -> Exception:
    return rejection_error(WebhookReason.MALFORMED, "The webhook cannot be read as a form.")
