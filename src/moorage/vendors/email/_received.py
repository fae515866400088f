"""Helpers for received mail: files, the vendor's header fields, and results of sender checks."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from html import unescape
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from moorage import vendor_sdk as sdk
from moorage.contracts.email_mime import plain_filename
from moorage.contracts.email_received import CheckResult, ReceivedFile

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from decimal import Decimal


_RESULTS: Final = {
    "pass": CheckResult.PASSED,
    "fail": CheckResult.FAILED,
    "softfail": CheckResult.FAILED,
    "permerror": CheckResult.FAILED,
    "neutral": CheckResult.NONE,
    "none": CheckResult.NONE,
}
_YES_OR_NO: Final = {"yes": True, "no": False}
_SHOWN: Final = re.compile(r"cid:([^\s\"'<>()]{1,998})", re.IGNORECASE)
"""A URL (RFC 2392) by which HTML shows a file of the same message."""


def check_result(word: str | None) -> CheckResult:
    """Return a sender check's result from its word in RFC 8601, which most vendors use."""
    return _RESULTS.get((word or "").strip().lower(), CheckResult.UNKNOWN)


def only_header_value(headers: Iterable[tuple[str, str]], name: str) -> str | None:
    """The value of a header field that the vendor adds; None if there are different values.

    A sender can add a field with the same name, which cannot be distinguished from the vendor's.
    """
    values = {value for key, value in headers if key.lower() == name}
    return values.pop() if len(values) == 1 else None


def yes_or_no(word: str | None) -> bool | None:
    """True for a header's word yes, False for no, None for any other word."""
    return _YES_OR_NO.get((word or "").partition(",")[0].strip().lower())


def spam_score(word: str | None) -> Decimal | None:
    """A spam score; None if it is not a number."""
    return sdk.as_decimal((word or "").strip())


def form_of(body: bytes) -> tuple[dict[str, bytes], dict[str, sdk.FormPart]]:
    """A form's fields and files by name; of several with the same name, only the first."""
    fields: dict[str, bytes] = {}
    files: dict[str, sdk.FormPart] = {}
    for part in sdk.form_parts(body):
        if part.filename is None:
            fields.setdefault(part.name, part.content)
        else:
            files.setdefault(part.name, part)
    return fields, files


def json_in(text: bytes | str | None) -> Any:
    """The JSON value of a form field; None if it is not valid JSON."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None


def content_of(text: object) -> bytes | None:
    """The content of a base64 file; None if it cannot be decoded."""
    try:
        return b64decode(text) if isinstance(text, str) else None
    except ValueError:
        return None


def ids_shown(html: str | None) -> frozenset[str]:
    """The content ids of the files that the HTML of a message shows."""
    return frozenset(
        id_ for word in _SHOWN.findall(unescape(html or "")) for id_ in (word, unquote(word))
    )


def received_file(
    content: bytes | None,
    filename: str | None,
    content_type: str | None,
    content_id: str | None = None,
    shown: Collection[str] = (),
    **fields: Any,
) -> ReceivedFile:
    """A file of a received message; None for a field means its default.

    Args:
        content: bytes of the file.
        filename: name of the file.
        content_type: media type of the file, with its parameters.
        content_id: id by which the HTML may show the file. Gmail gives one to every file, so an id
            alone does not make a file inline.
        shown: content ids of the files that the HTML shows.
        **fields: further fields of the file.
    """
    stated_fields = {name: value for name, value in fields.items() if value is not None}
    bare_id = (content_id or "").strip("<>") or None
    media_type = (content_type or "").partition(";")[0].strip().lower()
    file_fields: dict[str, Any] = {
        "filename": plain_filename(filename),
        "content_type": media_type or "application/octet-stream",
        "content": content,
        "size": None if content is None else len(content),
        "content_id": bare_id,
        "is_inline": bare_id in shown,
        **stated_fields,
    }
    return ReceivedFile(**file_fields)
