"""A search for the secrets in a value, such as an account's options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from moorage.domain.secrets.secret import Secret
from moorage.domain.values.frozen_values import fields_of, has_fields

if TYPE_CHECKING:
    from collections.abc import Iterator

    import attrs

_WITHOUT_PARTS: Final = frozenset({str, bytes, bool, int, float, type(None)})


def secrets_in(value: object) -> Iterator[Secret]:
    """Yield the secrets in a value: itself, its items, and the fields of an attrs object.

    A value that contains itself would be searched without end; configurations never contain
    themselves.
    """
    if type(value) in _WITHOUT_PARTS:
        return
    if isinstance(value, Secret):
        yield value
    elif has_fields(type(value)):
        for field in fields_of(cast("type[attrs.AttrsInstance]", type(value))):
            yield from secrets_in(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for item in cast("Mapping[Any, object]", value).values():
            yield from secrets_in(item)
    elif isinstance(value, (tuple, list, set, frozenset)):
        for item in cast("Iterable[object]", value):
            yield from secrets_in(item)
