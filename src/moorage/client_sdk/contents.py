"""Functions that make the contents of requests: JSON, forms, files, strings and bytes."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import attrs

from moorage.client_sdk.json_numbers import json_bytes
from moorage.client_sdk.values import write_value
from moorage.domain.http.multipart import FormFile, multipart
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.client_sdk.limits import Limit
    from moorage.domain.http.body import Body

_SEPARATORS: Final = {"comma": ",", "equals": ",", "space": " ", "pipe": "|"}
_JSON: Final = "application/json"


@attrs.frozen
class Content:
    """The content of a request.

    Attributes:
        media_type: the value of its Content-Type.
        body: the bytes, or a stream of them.
    """

    media_type: str
    body: Body = attrs.field(repr=False)


def json_content(
    kind: Any, value: Any, *limits: Limit, media_type: str = "application/json"
) -> Content:
    """Check a value of a type, and return it as JSON content.

    Raises:
        InvalidData: the value is not of the type, or violates its limits.
    """
    return Content(media_type, json_bytes(write_value(kind, value, *limits, name="body")))


def form_content(kind: Any, value: Any, styles: Mapping[str, str] | None = None) -> Content:
    """Check a value of a class, and return it as form content.

    Args:
        kind: the class.
        value: the value.
        styles: the styles of fields that are lists or objects; see `pairs`.

    Raises:
        InvalidData: the value is not of the class, or violates its limits.
    """
    fields = write_value(kind, value, name="body")
    form = [pair for name in fields for pair in pairs(name, fields[name], (styles or {}).get(name))]
    return Content("application/x-www-form-urlencoded", urlencode(form).encode())


def multipart_content(
    kind: Any,
    value: Any,
    files: Mapping[str, FormFile | None] | None = None,
    styles: Mapping[str, str] | None = None,
) -> Content:
    """Check a value of a class, and return it with files as multipart content.

    An object, and each object in a list, is one part in JSON.

    Args:
        kind: the class.
        value: the value.
        files: the files by the names of their parts.
        styles: the styles of fields that are lists or objects; see `pairs`.

    Raises:
        InvalidData: the value is not of the class, or violates its limits.
    """
    fields = write_value(kind, value, name="body")
    form: list[tuple[str, str]] = []
    json_names: set[str] = set()
    for name, content in fields.items():
        style = (styles or {}).get(name)
        items = content if style is None and is_list(content) else [content]
        for item in items:
            is_part = style is None and is_object(item)
            form += pairs(name, item, "json" if is_part else style)
            if is_part or style == "json":
                json_names.add(name)
    parts = {name: file for name, file in (files or {}).items() if file is not None}
    return Content(*multipart(tuple(form), parts, dict.fromkeys(json_names, _JSON)))


def text_content(text: str, *, media_type: str = "text/plain; charset=utf-8") -> Content:
    """Return a string as UTF-8 content.

    Raises:
        InvalidData: the value is not a string, or has characters that UTF-8 cannot encode.
    """
    return Content(media_type, write_value(str, text, name="body").encode())


def binary_content(body: bytes, *, media_type: str = "application/octet-stream") -> Content:
    """Return bytes as the content of a request."""
    return Content(media_type, body)


def pairs(name: str, value: Any, style: str | None) -> list[tuple[str, str]]:
    """Return the name-value pairs of a parameter or field for a JSON value.

    Args:
        name: the name of the parameter or field.
        value: the value; None gives no pair.
        style: `form` repeats the name for each item of a list, and uses the member names of an
            object; `comma`, `space` and `pipe` join the items of a list, or the names and values of
            an object, and `equals` joins parts such as `name=value` with commas; `deep` writes
            names such as `filter[name]` and `items[0]`; `json` writes JSON. By default lists are
            written as in `form`, and objects as in `deep`.
    """
    if value is None:
        return []
    if style == "json":
        return [(name, json_bytes(value).decode())]
    if style in _SEPARATORS and (is_list(value) or is_object(value)):
        return [(name, _SEPARATORS[style].join(joined_parts(value, style)))]
    if is_object(value):
        return [
            pair
            for member in value
            for pair in pairs(
                member if style == "form" else f"{name}[{member}]",
                value[member],
                None if style == "form" else style,
            )
        ]
    if is_list(value):
        return [
            pair
            for position, item in enumerate(value)
            for pair in pairs(f"{name}[{position}]" if style == "deep" else name, item, style)
        ]
    return [(name, plain_text(value))]


def joined_parts(value: Any, style: str, encoded: Callable[[str], str] = str) -> list[str]:
    """Return the parts of a list, object or single value as strings, before they are joined.

    Args:
        value: the JSON value.
        style: `equals` for parts such as `name=value`; otherwise names and values are parts.
        encoded: the function that encodes each name and value.

    Raises:
        InvalidData: a part of the value is itself a list or an object.
    """
    if is_object(value):
        members = [
            (encoded(name), encoded(plain_text(member)))
            for name, member in value.items()
            if member is not None
        ]
        if style == "equals":
            return [f"{name}={text}" for name, text in members]
        return [text for member in members for text in member]
    return [encoded(plain_text(item)) for item in (value if is_list(value) else [value])]


def plain_text(value: Any) -> str:
    """Return a single value as the text of a parameter.

    Raises:
        InvalidData: the value is a list or an object.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (str, int)):
        return str(value)
    raise InvalidData(
        "A list or an object was given instead of a single value.",
        field="parameters",
        remedy="Give single values as the items of this list.",
    )
