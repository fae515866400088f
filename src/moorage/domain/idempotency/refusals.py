"""The stored form of a vendor's final error response, for repeated calls with the same key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.domain.state.packing import pack_values, unpack_values
from moorage.errors import ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterator

_OMITTED_FIELDS = ("_acted", "_final", "_signature", "response")


def pack_refusal(error: ConnectorError) -> bytes:
    """Pack an error for the store: its classes' names, its arguments and its fields.

    The vendor's response itself is not stored. Fields of a host's own classes are stored only if
    they hold plain values.
    """
    names = tuple(_name(kind) for kind in type(error).__mro__ if issubclass(kind, ConnectorError))
    args = error.args if _is_plain(error.args) else (error.message,)
    fields = {**vars(error), "_request_id": error.request_id}.items()
    plain_attributes = {
        name: value for name, value in fields if name not in _OMITTED_FIELDS and _is_plain(value)
    }
    return pack_values((names, args, plain_attributes))


def unpack_refusal(packed: bytes) -> ConnectorError:
    """Return the stored error, as the most specific of its classes that this process can import."""
    names, args, fields = unpack_values(packed)
    classes = {_name(kind): kind for kind in _class_and_subclasses(ConnectorError)}
    kind = next(classes[name] for name in names if name in classes)
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


def _is_plain(value: Any) -> bool:
    try:
        pack_values((value,))
    except InvalidData:
        return False
    return True


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _class_and_subclasses(kind: type[ConnectorError]) -> Iterator[type[ConnectorError]]:
    yield kind
    for lower_class in kind.__subclasses__():
        yield from _class_and_subclasses(lower_class)
