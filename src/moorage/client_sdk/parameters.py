"""Functions that make the path segments, parameters and requests of operations."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from moorage.client_sdk.contents import joined_parts, pairs
from moorage.client_sdk.values import write_value
from moorage.domain.http.headers import Headers
from moorage.domain.http.requests import HttpMethod, Request
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from moorage.client_sdk.contents import Content
    from moorage.client_sdk.limits import Limit

_PLACEHOLDER: Final = re.compile(r"\{([^{}/]+)\}")


def segment(name: str, kind: Any, value: Any, *limits: Limit, style: str = "comma") -> str:
    """Return a value as a segment of a path, with every special character encoded.

    Args:
        name: the name of the parameter.
        kind: the type of the value.
        value: the value.
        limits: the limits of the value.
        style: the notation of an object, `comma` or `equals`; see `contents.pairs`.

    Raises:
        InvalidData: the value is not of its type, is empty, or consists of dots.
    """
    value_on_wire = write_value(kind, value, *limits, name=name)
    is_single = not is_list(value_on_wire) and not is_object(value_on_wire)
    encoded = partial(quote, safe="," if is_single else "")
    text = ",".join(joined_parts(value_on_wire, style, encoded))
    if text in {"", ".", ".."}:
        raise InvalidData(
            f"{name} is empty or consists of dots, which is not a valid segment of a path.",
            field=name,
            remedy="Give the identifier of the object that the operation is about.",
        )
    return text


def parameter(
    name: str, kind: Any, value: Any, *limits: Limit, style: str = "form"
) -> list[tuple[str, str]]:
    """Return the pairs of a parameter in a query or a header; none if the value is None.

    Args:
        name: the name of the parameter.
        kind: the type of the value.
        value: the value.
        limits: the limits of the value.
        style: the notation of a list or an object; see `contents.pairs`.

    Raises:
        InvalidData: the value is not of its type, or violates its limits.
    """
    if value is None:
        return []
    return pairs(name, write_value(kind, value, *limits, name=name), style)


def make_request(
    method: str,
    path: str,
    segments: Mapping[str, str] | None = None,
    *,
    query: Iterable[tuple[str, str]] = (),
    headers: Iterable[tuple[str, str]] = (),
    accept: str | None = None,
    content: Content | None = None,
) -> Request:
    """Return the request of an operation.

    Args:
        method: the HTTP method.
        path: the path below the base URL of the service, with names of segments in braces.
        segments: the encoded segments of the path, by these names.
        query: the parameters in the query.
        headers: the parameters in headers.
        accept: the media type of the answer.
        content: the content; None for a request without content.
    """
    fields = Headers([*headers])
    filled_path = _PLACEHOLDER.sub(lambda match: (segments or {})[match[1]], path)
    if accept is not None:
        fields = fields.with_default("Accept", accept)
    if content is None:
        return Request(HttpMethod(method), filled_path, query=[*query], headers=fields)
    fields = fields.with_header("Content-Type", content.media_type)
    return Request(
        HttpMethod(method), filled_path, query=[*query], headers=fields, body=content.body
    )
