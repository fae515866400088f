"""A received webhook request, each part of which is parsed at most once.

Laws:

1. The body stays the bytes that arrived; parsed values are only read.
2. Only the headers that the scheme names are read, in whatever form headers are passed.
3. No header decides how the body is parsed, since few signatures cover headers.
4. A value that occurs twice with different contents is refused, whichever comes first.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast
from urllib.parse import parse_qsl

from moorage.domain.values.json_text import refuse_constant
from moorage.domain.values.kinds import checked_kind
from moorage.domain.values.text import with_article
from moorage.domain.values.trace_context import TraceContext
from moorage.domain.webhooks.form_parts import form_parts, is_multipart
from moorage.domain.webhooks.rejection import WebhookReason, rejection_error
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HeaderFields: TypeAlias = "Mapping[str, Any] | Iterable[tuple[Any, Any]]"

MOST_FIELDS: Final = 1_000
_DECODE: Final = json.JSONDecoder(parse_constant=refuse_constant).decode


class Delivery:
    """One webhook request: its body, the headers that a scheme needs, and its URL."""

    __slots__ = ("_form", "_headers", "_json", "_query", "body", "claims", "method", "url")

    def __init__(
        self,
        headers: HeaderFields,
        body: bytes,
        *,
        names: frozenset[str],
        url: str | None = None,
        method: str = "POST",
    ) -> None:
        self.body = body if type(body) is bytes else _bytes(body)
        self.url = url
        self.method = checked_kind(method, str, "method").upper()
        self.claims: dict[str, Any] = {}
        self._headers = _signature_headers(headers, names)
        self._json: Any = _UNREAD
        self._form: dict[str, list[str]] | None = None
        self._query: dict[str, list[str]] | None = None

    def lines(self, name: str) -> list[str]:
        """Return all values of a header, one for each occurrence of the header."""
        return self._headers.get(name, [])

    def header(self, name: str) -> str | None:
        """Return a header's only value; None if it is missing."""
        return _single_header(self._headers.get(name), name)

    def json(self) -> Any:
        """Return the body parsed as JSON."""
        if self._json is _UNREAD:
            self._json = json_of(self.body)
        return self._json

    def form(self) -> dict[str, list[str]]:
        """Return the body parsed as the fields of a form; files are left out."""
        if self._form is None and is_multipart(self.body):
            self._form = _part_fields(self.body)
        if self._form is None:
            with suppress(ValueError):
                self._form = _fields(str(self.body, "utf-8"))
        if self._form is None:
            raise _unreadable_error("a form")
        return self._form

    def query(self) -> dict[str, list[str]]:
        """Return the parameters in the query of the URL."""
        if self._query is None:
            with suppress(ValueError):
                self._query = _fields(self.address().partition("?")[2].partition("#")[0])
        if self._query is None:
            raise _unreadable_error("a query")
        return self._query

    def field(self, name: str) -> str | None:
        """Return the only value of a form field; None if it is missing."""
        return _single_header(self.form().get(name), name)

    def parameter(self, name: str) -> str | None:
        """Return the only value of a URL parameter; None if it is missing."""
        return _single_header(self.query().get(name), name)

    def is_form(self) -> bool:
        """Return whether the body is a form and not JSON, judged by its first character.

        The Content-Type does not decide, because it is not signed: an attacker who sends the body
        again could have it parsed in another way.
        """
        return bool(self.body) and self.body[:64].lstrip()[:1] not in (b"{", b"[")

    def address(self) -> str:
        """Return the URL to which the webhook was sent."""
        if isinstance(self.url, str):
            return self.url
        raise InvalidData(
            "This scheme signs the URL, but no URL was passed.",
            field="url",
            remedy="Pass url= exactly as the vendor knows it: with scheme, host, path and query.",
        )


_UNREAD: Final = object()
_TRACE: Final = frozenset({"traceparent", "tracestate"})


def trace_of(headers: HeaderFields) -> TraceContext | None:
    """Return the trace context in a webhook's headers; None if there is none or several."""
    lines = _signature_headers(headers, _TRACE)
    if len(lines.get("traceparent", ())) != 1:
        return None
    return TraceContext.of(
        {
            "traceparent": lines["traceparent"][0],
            "tracestate": ",".join(lines.get("tracestate", ())),
        }
    )


def json_of(body: bytes) -> Any:
    """Parse the bytes of a webhook's body as JSON.

    Raises:
        WebhookRejected: the bytes are not JSON.
    """
    # The parser's error contains the whole document, so it must not become the context.
    with suppress(ValueError, RecursionError):
        return _DECODE(str(body, "utf-8"))
    raise _unreadable_error("JSON")


def _bytes(body: object) -> bytes:
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)  # pyright: ignore[reportUnknownArgumentType]  # of anything
    raise InvalidData(
        f"The body is of type {type(body).__name__}, not bytes.",
        field="body",
        remedy="Pass the raw body as it was received, before any code parses it.",
    )


def _signature_headers(headers: HeaderFields, names: frozenset[str]) -> dict[str, list[str]]:
    lines: dict[str, list[str]] = {}
    # The type annotation does not bind frameworks: the value may be anything.
    untyped = cast("Any", headers)
    pairs = untyped.items() if hasattr(untyped, "items") else untyped
    try:
        for name, value in pairs:
            text_name = name if isinstance(name, str) else name.decode("latin-1")
            lower_name = text_name.lower()
            if lower_name in names:
                values = lines.setdefault(lower_name, [])
                for parsed_item in _parsed_items(value):
                    text = (
                        parsed_item if isinstance(parsed_item, str) else str(parsed_item, "latin-1")
                    ).strip(" \t")
                    if text not in values:
                        values.append(text)
    except (AttributeError, TypeError, ValueError):
        raise InvalidData(
            f"Headers cannot be read from {with_article(type(headers).__name__)}.",
            field="headers",
            remedy="Pass a mapping of names to values, or pairs of a name and a value.",
        ) from None
    return lines


def _parsed_items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType]  # of anything


def _single_header(values: list[str] | None, name: str) -> str | None:
    if not values:
        return None
    first_value = values[0]
    if len(values) > 1 and any(value != first_value for value in values):
        raise rejection_error(
            WebhookReason.DUPLICATED, f"{name} occurs more than once, with different values."
        )
    return first_value


def _fields(text: str) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def _part_fields(body: bytes) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    for part in form_parts(body):
        if part.filename is None:
            fields.setdefault(part.name, []).append(str(part.content, "utf-8", "replace"))
    return fields


def _unreadable_error(kind: str) -> Exception:
    return rejection_error(WebhookReason.MALFORMED, f"The webhook cannot be read as {kind}.")
