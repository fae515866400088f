"""A webhook as it arrived: read no further than somebody asks, and exactly once.

Laws:

1. The body is bytes, as they came. What is parsed of them is only looked at.
2. Of headers, only those are looked at that the scheme names, in whatever form they are given.
3. No header decides how the body is read, for few signatures cover one.
4. A value that stands there twice, and differently, is refused, whichever comes first.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast
from urllib.parse import parse_qsl

from moorage.domain.json_text import refuse_constant
from moorage.domain.webhooks.rejection import WebhookReason, rejected
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HeaderFields: TypeAlias = "Mapping[str, Any] | Iterable[tuple[Any, Any]]"

MOST_FIELDS: Final = 1_000
_READ: Final = json.JSONDecoder(parse_constant=refuse_constant).decode


class Delivery:
    """One request: its body, the headers a scheme asks for, and where it was sent."""

    __slots__ = ("_form", "_headers", "_json", "_query", "body", "claims", "method", "url")

    def __init__(
        self,
        headers: HeaderFields,
        body: bytes,
        *,
        wanted: frozenset[str | bytes],
        url: str | None = None,
        method: str = "POST",
    ) -> None:
        self.body = body if type(body) is bytes else _bytes(body)
        self.url = url
        self.method = method.upper()
        self.claims: dict[str, Any] = {}
        self._headers = _found(headers, wanted)
        self._json: Any = _UNREAD
        self._form: dict[str, list[str]] | None = None
        self._query: dict[str, list[str]] | None = None

    def lines(self, name: str) -> list[str]:
        """Every value of a header, each once."""
        return self._headers.get(name, [])

    def header(self, name: str) -> str | None:
        """The one value of a header; None if it is not there."""
        return _only(self._headers.get(name), name)

    def json(self) -> Any:
        """The body as JSON."""
        if self._json is _UNREAD:
            self._json = json_of(self.body)
        return self._json

    def form(self) -> dict[str, list[str]]:
        """The body as the fields of a form."""
        if self._form is None:
            with suppress(ValueError):
                self._form = _fields(str(self.body, "utf-8"))
        if self._form is None:
            raise _unreadable("a form")
        return self._form

    def query(self) -> dict[str, list[str]]:
        """The parameters of the URL."""
        if self._query is None:
            with suppress(ValueError):
                self._query = _fields(self.address().partition("?")[2].partition("#")[0])
        if self._query is None:
            raise _unreadable("a query")
        return self._query

    def field(self, name: str) -> str | None:
        """The one value of a field of the form; None if it is not there."""
        return _only(self.form().get(name), name)

    def parameter(self, name: str) -> str | None:
        """The one value of a parameter of the URL; None if it is not there."""
        return _only(self.query().get(name), name)

    def is_form(self) -> bool:
        """Whether the body is a form rather than JSON, by its own first letter.

        What a header says of it is not signed: whoever sends it again could have it read otherwise.
        """
        return bool(self.body) and self.body[:64].lstrip()[:1] not in (b"{", b"[")

    def address(self) -> str:
        """The URL it was sent to."""
        if isinstance(self.url, str):
            return self.url
        raise InvalidData(
            "This scheme signs the URL, and none was given.",
            field="url",
            remedy="Give url=, as the vendor was told it: with scheme, host, path and query.",
        )


_UNREAD: Final = object()


def json_of(body: bytes) -> Any:
    """These bytes as JSON.

    Raises:
        WebhookRejected: they are none.
    """
    # The reader's own error carries the whole document, so it must not be the context.
    with suppress(ValueError, RecursionError):
        return _READ(str(body, "utf-8"))
    raise _unreadable("JSON")


def _bytes(body: object) -> bytes:
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)  # pyright: ignore[reportUnknownArgumentType]  # of anything
    raise InvalidData(
        f"The body is of type {type(body).__name__}, not bytes.",
        field="body",
        remedy="Give the raw body as it was received, before anything parsed it.",
    )


def _found(headers: HeaderFields, wanted: frozenset[str | bytes]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    # Whatever its type says, this is what a framework gave.
    given = cast("Any", headers)
    pairs = given.items() if hasattr(given, "items") else given
    try:
        for name, value in pairs:
            # In small letters, of which there are texts and bytes among the wanted.
            folded = name.lower()
            if folded in wanted:
                known = folded if isinstance(folded, str) else folded.decode()
                kept = found.setdefault(known, [])
                for one in _several(value):
                    text = (one if isinstance(one, str) else str(one, "latin-1")).strip(" \t")
                    if text not in kept:
                        kept.append(text)
    except (AttributeError, TypeError, ValueError):
        raise InvalidData(
            f"Headers cannot be read from this {type(headers).__name__}.",
            field="headers",
            remedy="Give a mapping of names to values, or pairs of them.",
        ) from None
    return found


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownVariableType]  # of anything


def _only(values: list[str] | None, name: str) -> str | None:
    if not values:
        return None
    first = values[0]
    if len(values) > 1 and any(value != first for value in values):
        raise rejected(WebhookReason.DUPLICATED, f"{name} is there more than once, and differs.")
    return first


def _fields(text: str) -> dict[str, list[str]]:
    fields: dict[str, list[str]] = {}
    pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def _unreadable(kind: str) -> Exception:
    return rejected(WebhookReason.MALFORMED, f"The webhook cannot be read as {kind}.")
