"""HTTP header fields, as an immutable, case-insensitive mapping that keeps repeated fields."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias, TypeVar, cast, overload

from moorage.domain.secrets.frames import without_frames
from moorage.domain.secrets.sensitive import MASK, is_sensitive
from moorage.domain.values.frozen_values import refuse_change
from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData

HeadersInput: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]
_Default = TypeVar("_Default")

_TOKEN = late_pattern(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_UNSENDABLE_CHARACTER = late_pattern(r"[^\t\x20-\x7e\x80-\xff]")


OF_TRANSPORT: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that the HTTP client sets for each request and connection, in lower case."""


def check_settable(name: str, field: str) -> None:
    """Raise an error for a header that users must not set, because the HTTP client does.

    Args:
        name: the name of the header.
        field: the setting that names it.

    Raises:
        InvalidData: the name is not a valid header name, or the client sets this header.
    """
    if _lower_name(name) in OF_TRANSPORT:
        remedy = (
            "Remove the header. The HTTP client sends the host of the URL."
            if name.lower() == "host"
            else "Remove it."
        )
        raise InvalidData(
            f"The HTTP client sets the header {name} for each request, so settings must not"
            " contain it.",
            field=field,
            remedy=remedy,
        )


@lru_cache(maxsize=1024)
def _lower_name(name: str) -> str:
    """Return a header's name in lower case, after checking that it is valid."""
    if _TOKEN.fullmatch(name) is None:
        raise InvalidData(
            f"{name[:80]!r} is not a header name.",
            field="headers",
            remedy="Use letters, digits and hyphens only: no spaces, colons or line breaks.",
        )
    return name.lower()


def _value(name: str, value: object) -> str:
    if isinstance(value, str):
        if (value.isascii() and value.isprintable()) or _UNSENDABLE_CHARACTER.search(value) is None:
            return value.strip(" \t")
        raise InvalidData(
            f"The value of the header {name!r} contains a line break, a control character, or"
            " a character outside Latin-1.",
            field=f"headers.{name}",
            remedy="Remove stray line breaks (often read from a file together with a key),"
            " and percent-encode other text.",
        )
    raise InvalidData(
        f"The value of the header {name!r} is of type {type(value).__name__}, not str.",
        field=f"headers.{name}",
        remedy="Convert the value to str.",
    )


class Headers(Mapping[str, str]):
    """A mapping of header names to first values; `get_all` and `pairs` return all values.

    Lookups ignore case; the order and the case of names are preserved. Two objects are equal if
    each name has the same values in the same order; the order of different names does not count.
    White space around a value is dropped. The `repr` masks credentials. Headers whose names suggest
    a secret cannot be pickled; a copy is the same object.
    """

    # Not attrs fields, because `attrs.asdict` and pretty-printers would show the header values.
    __slots__ = ("_first", "pairs")

    pairs: tuple[tuple[str, str], ...]
    _first: dict[str, str]

    def __init__(self, fields: HeadersInput = ()) -> None:
        try:
            pairs, first_values = _read_pairs(fields)
        except InvalidData as error:
            refusal = error
        except (TypeError, ValueError):
            refusal = _not_fields_error(fields)
        else:
            object.__setattr__(self, "pairs", pairs)
            object.__setattr__(self, "_first", first_values)
            return
        del self, fields
        raise without_frames(refusal)

    def __setattr__(self, _: str, __: Any, /) -> None:
        refuse_change()

    def __delattr__(self, _: str, /) -> None:
        refuse_change()

    def __reduce__(self) -> tuple[type[Headers], tuple[tuple[tuple[str, str], ...]]]:
        sensitive_name = next((name for name in self if is_sensitive(name)), None)
        if sensitive_name is None:
            return type(self), (self.pairs,)
        raise InvalidData(
            f"The header {sensitive_name} probably contains a secret, so these headers cannot be"
            " pickled.",
            field="headers",
            remedy=f"Pickle headers.without({sensitive_name!r}), and let the service's"
            " credentials set headers that contain secrets.",
        )

    def __copy__(self) -> Headers:
        return self

    def __deepcopy__(self, _: object) -> Headers:
        return self

    def __getitem__(self, name: str) -> str:
        return self._first[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._first

    def __iter__(self) -> Iterator[str]:
        yielded_names: set[str] = set()
        for name, _ in self.pairs:
            if (lower_name := name.lower()) not in yielded_names:
                yielded_names.add(lower_name)
                yield name

    def __len__(self) -> int:
        return len(self._first)

    @overload
    def get(self, name: str, /) -> str | None: ...
    @overload
    def get(self, name: str, /, default: str | _Default) -> str | _Default: ...
    def get(self, name: str, /, default: object = None) -> object:
        """Return the first value of the header of this name."""
        return self._first.get(name.lower(), default)

    def get_all(self, name: str) -> tuple[str, ...]:
        """Return every value of the header of this name, in order."""
        lower_name = name.lower()
        if lower_name not in self._first:
            return ()
        if len(self._first) == len(self.pairs):
            return (self._first[lower_name],)
        return tuple(value for field, value in self.pairs if field.lower() == lower_name)

    def has_any(self, names: frozenset[str]) -> bool:
        """Return whether any of these lower-case names is among the headers."""
        return not self._first.keys().isdisjoint(names)

    def has_name_with(self, text: str) -> bool:
        """Return whether the name of any header contains this lower-case text."""
        return text in "\n".join(self._first)

    def with_header(self, name: str, value: str) -> Headers:
        """Return headers in which the header of this name has only this value."""
        lower_name, checked_value = _lower_name(name), _value(name, value)
        remaining_headers = self.without(name) if lower_name in self._first else self
        first_values = {**remaining_headers._first, lower_name: checked_value}  # noqa: SLF001 - one of us
        return _checked_headers((*remaining_headers.pairs, (name, checked_value)), first_values)

    def with_default(self, name: str, value: str) -> Headers:
        """Return headers in which this header has this value, unless it has a value already."""
        return self if name in self else self.with_header(name, value)

    def joined(self, others: Headers) -> Headers | None:
        """Return these headers followed by others; None if a name occurs in both."""
        if not self._first:
            return others
        if not self._first.keys().isdisjoint(others._first):
            return None
        return _checked_headers(self.pairs + others.pairs, self._first | others._first)

    def without(self, *names: str) -> Headers:
        """Return these headers without the headers of the given names."""
        dropped_names = {
            lower_name for name in names if (lower_name := name.lower()) in self._first
        }
        if not dropped_names:
            return self
        pairs = tuple(pair for pair in self.pairs if pair[0].lower() not in dropped_names)
        first_values = {
            name: value for name, value in self._first.items() if name not in dropped_names
        }
        return _checked_headers(pairs, first_values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Headers):
            return NotImplemented
        return self.pairs == other.pairs or self._values_by_name() == other._values_by_name()

    def __hash__(self) -> int:
        return hash(frozenset(self._first.items()))

    def __repr__(self) -> str:
        header_list = ", ".join(
            f"{name}: {MASK if is_sensitive(name) else value}" for name, value in self.pairs
        )
        return f"<Headers {header_list}>" if header_list else "<Headers>"

    def _values_by_name(self) -> dict[str, tuple[str, ...]]:
        return {name: self.get_all(name) for name in self._first}


def _checked_headers(pairs: tuple[tuple[str, str], ...], first: dict[str, str]) -> Headers:
    """Return headers made of fields that were already checked, without checking them again."""
    headers: Any = _new(_NewHeaders)
    headers.pairs = pairs
    headers._first = first  # noqa: SLF001 - one of us
    headers.__class__ = Headers
    return headers  # type: ignore[no-any-return]  # its class was just set


class _NewHeaders(Headers):
    """Mutable headers, which become `Headers` once both of their fields are set."""

    __slots__ = ()
    # Python sets an attribute without calling a function only if neither method is overridden.
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


_new: Final = object.__new__

first_values_of: Final[Callable[[Headers], Mapping[str, str]]] = vars(Headers)["_first"].__get__
"""Returns the first value of each header by its name in lower case."""


def validated_headers(fields: Iterable[tuple[str, str]]) -> Headers:
    """Return headers made of lower-case fields that an HTTP parser has validated."""
    pairs = tuple([(name, value.strip(" \t")) for name, value in fields])
    first_values = {name: value for name, value in pairs}  # noqa: C416 - `dict` takes twice as long
    if len(first_values) != len(pairs):
        first_values = dict(reversed(pairs))
    return _checked_headers(pairs, first_values)


def as_headers(fields: HeadersInput | None) -> Headers:
    """Return header fields as `Headers`; for None, headers without fields."""
    if isinstance(fields, Headers):
        return fields
    return Headers(fields) if fields else _NO_HEADERS


def _read_pairs(fields: HeadersInput) -> tuple[tuple[tuple[str, str], ...], dict[str, str]]:
    """Return the header fields as pairs, and the first value of each lower-case name."""
    unchecked: Iterable[tuple[str, str]]
    if isinstance(fields, Headers):
        unchecked = fields.pairs
    elif not isinstance(fields, list) and isinstance(fields, Mapping):  # a list is quick to tell
        unchecked = cast("Mapping[str, str]", fields).items()
    else:
        unchecked = fields
    pairs: list[tuple[str, str]] = []
    first_values: dict[str, str] = {}
    for name, value in unchecked:
        lower_name = _lower_name(name)
        stripped = _value(name, value)
        pairs.append((name, stripped))
        first_values.setdefault(lower_name, stripped)
    return tuple(pairs), first_values


def _not_fields_error(fields: object) -> InvalidData:
    return InvalidData(
        f"A value of type {type(fields).__name__} cannot be converted to headers.",
        field="headers",
        remedy="Pass a mapping of str to str, or pairs of str.",
    )


_NO_HEADERS = Headers()
