"""Variables that replace secrets and account identifiers in exports."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import attrs

from moorage.domain.http.media_type import essence, is_json
from moorage.domain.secrets.sensitive import is_sensitive
from moorage.domain.values.json_text import is_list, is_object
from moorage.exporting.described_requests import variable, variable_in_braces
from moorage.testing.fakes.http import as_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.domain.http.requests import Request
    from moorage.exporting.described_requests import Pairs

_FORM: Final = "application/x-www-form-urlencoded"
_MIN_LENGTH: Final = 4
_TOKEN: Final = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")
_BOUNDARY: Final = re.compile(r"boundary=\"?([^\";]+)")
_OMITTED_HEADERS: Final = frozenset({"host", "content-length", "accept-encoding", "connection"})


def texts_of(value: Any, *path: str) -> Iterator[tuple[str, str]]:
    """Yield each string in an account's options, with the name of the variable that replaces it."""
    if isinstance(value, str) and len(value) >= _MIN_LENGTH:
        yield value, variable(*path)
    elif is_object(value):
        for name, item in value.items():
            yield from texts_of(item, *path, name)


@attrs.frozen
class ValueHiding:
    """Replaces values with variables.

    Attributes:
        owner: the account or service that the variables belong to.
        known: variables by the values that they stand for.
        keyed: the names of headers with idempotency keys, in lower case.
        used: the variables that appear in the export.
    """

    owner: str
    known: Mapping[str, str]
    keyed: frozenset[str] = frozenset()
    used: set[str] = attrs.field(factory=set)

    def text(self, text: str) -> str:
        """Return a text in which known values are replaced by the names of their variables."""
        for value, name in sorted(self.known.items(), key=lambda item: -len(item[0])):
            if value in text:
                # The variable's own name may contain another secret's value; the name stays
                # unchanged.
                return self.put(name).join(self.text(part) for part in text.split(value))
        return text

    def put(self, name: str) -> str:
        """Record that a variable is used, and return its placeholder for a text."""
        self.used.add(name)
        return variable_in_braces(name)

    def named(self, name: str, text: str) -> str:
        """Return a field's value, or a variable if the field's name suggests a secret."""
        visible_text = self.text(text)
        is_signed = _TOKEN.fullmatch(text) is not None
        if not is_signed and ("{{" in visible_text or not text or not is_sensitive(name)):
            return visible_text
        return self.put(variable(self.owner, name))

    def headers(self, request: Request) -> Pairs:
        """Return the headers with secrets as variables."""
        return tuple(
            (name, self._header(name, value))
            for name, value in request.headers.pairs
            if name.lower() not in _OMITTED_HEADERS
        )

    def _header(self, name: str, value: str) -> str:
        if name.lower() in self.keyed:
            return self.put(variable(self.owner, "idempotency_key"))
        if name.lower() != "authorization":
            return self.named(name, _BOUNDARY.sub("boundary=boundary", value))
        scheme, _, token = value.partition(" ")
        if scheme.lower() in {"basic", "bearer"}:
            return f"{scheme} {self.named(name, token)}"
        # A signature is valid for one request only.
        return self.put(variable(self.owner, name))

    def pairs(self, pairs: list[tuple[str, str]]) -> Pairs:
        """Return the fields of a query or form, with secrets as variables."""
        return tuple((name, self.named(name, value)) for name, value in pairs)

    def body(self, request: Request) -> tuple[str, Any]:
        """Return the body's media type and content; binary content is replaced by a note."""
        content = as_bytes(request)
        kind = request.headers.get("content-type") or ""
        media = essence(kind) or "application/octet-stream"
        if not content:
            return "", None
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return media, ""
        boundary = _BOUNDARY.search(kind)
        if boundary is not None:
            text = text.replace(boundary[1], "boundary")
        if is_json(media):
            with suppress(ValueError):
                return media, self.value("", json.loads(text))
        if media == _FORM:
            return media, self.pairs(parse_qsl(text, keep_blank_values=True))
        return media, self.text(text)

    def value(self, name: str, value: Any) -> Any:
        """Return a JSON value, with secrets as variables."""
        if is_object(value):
            return {key: self.value(key, item) for key, item in value.items()}
        if is_list(value):
            return [self.value(name, item) for item in value]
        return self.named(name, value) if isinstance(value, str) else value
