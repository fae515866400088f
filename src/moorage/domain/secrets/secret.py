"""The type `Secret`, for values that must not be shown.

Everything that prints values shows a mask: logs, tracebacks with local variables, debuggers, crash
reporters, templates, `vars`, `attrs.asdict`. The value itself is in a closure, which none of these
opens; only `reveal` returns it. A person with a debugger and intent can still get at it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NoReturn, final

from moorage.domain.secrets.sensitive import MASK
from moorage.domain.values.frozen_values import refuse_change
from moorage.domain.values.text import is_encodable
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MAX_CACHED = 16
_SENDABLE_TEXT = re.compile(r"[!-~](?:[ -~]*[!-~])?")


@final
class Secret:
    """A password, key or token that hides its value in its `repr`.

    Two secrets are compared in constant time; a secret never equals another type. It cannot be
    hashed, pickled or written as JSON, and a copy of it is the same object. Its truth value is True
    unless it is empty.
    """

    __slots__ = ("__weakref__", "_derived", "_open")

    def __init__(self, value: str | bytes) -> None:
        problem = _problem(value)
        if problem is None:
            object.__setattr__(self, "_open", _sealed_reader(value))
            object.__setattr__(self, "_derived", {})
            return
        # Crash reporters show the local variables of the frame that raises an error.
        del value
        raise InvalidData(
            problem, field="secret", remedy="Pass the secret as str, or as bytes if it is binary."
        )

    def reveal(self) -> str:
        """Return the value of the secret as text.

        Call this only where the secret is sent, and do not store the text in a variable.
        """
        value = self._value()
        if isinstance(value, str):
            return value
        text = value.decode("utf-8", "surrogateescape")
        del value
        if is_encodable(text):
            return text
        del text
        raise InvalidData(
            "The secret is binary, so it has no text.",
            field="secret",
            remedy="Use `reveal_bytes`, or store the secret as text.",
        )

    def reveal_bytes(self) -> bytes:
        """Return the value of the secret as bytes; call this only where it is used."""
        value = self._value()
        return value.encode() if isinstance(value, str) else value

    def begins_with(self, *beginnings: str) -> bool:
        """Return whether the secret begins with any of these prefixes."""
        return self.reveal_bytes().startswith(tuple(item.encode() for item in beginnings))

    def derive(self, label: str, make: Callable[[bytes], bytes]) -> Secret:
        """Return a key that `make` derives from the secret, cached under the label.

        So a key that is valid for a day is derived once a day. The latest keys are cached.
        """
        cache: dict[str, Secret] = object.__getattribute__(self, "_derived")
        derived_secret = cache.get(label)
        if derived_secret is None:
            derived_secret = Secret(make(self.reveal_bytes()))
            if len(cache) >= _MAX_CACHED:
                cache.clear()
            cache[label] = derived_secret
        return derived_secret

    def _value(self) -> str | bytes:
        value: str | bytes = object.__getattribute__(self, "_open")()
        return value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        from hmac import compare_digest  # noqa: PLC0415 - loads OpenSSL

        return compare_digest(self.reveal_bytes(), other.reveal_bytes())

    __hash__ = None  # type: ignore[assignment]  # the documented way to refuse hashing

    def __bool__(self) -> bool:
        return bool(self._value())

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, _: str) -> str:
        return MASK

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _: object) -> Secret:
        return self

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise InvalidData(
            "A secret cannot be pickled.",
            field="secret",
            remedy="Pass a reference to the secret, and look up the secret where it is used.",
        )

    def __setattr__(self, name: str, value: object) -> NoReturn:
        refuse_change()

    def __delattr__(self, name: str) -> NoReturn:
        refuse_change()


def _sealed_reader(value: str | bytes) -> Callable[[], str | bytes]:
    return lambda: value


def _problem(value: object) -> str | None:
    if isinstance(value, str):
        return None if is_encodable(value) else "The text of the secret is not valid Unicode."
    return None if isinstance(value, bytes) else "A secret must be str or bytes."


def as_secret(value: Secret | str | bytes) -> Secret:
    """Return a value from a user as a secret."""
    return value if isinstance(value, Secret) else Secret(value)


def as_secrets(values: Secret | str | Iterable[Secret | str]) -> tuple[Secret, ...]:
    """Return one or several secrets as a tuple of `Secret`."""
    several_secrets = (values,) if isinstance(values, (str, Secret)) else values
    return tuple(as_secret(item) for item in several_secrets)


def check_sendable(secret: Secret, field: str) -> None:
    """Raise an error if the secret has characters that no HTTP header can carry."""
    if _SENDABLE_TEXT.fullmatch(secret.reveal()) is None:
        raise InvalidData(
            "The secret is empty, begins or ends with white space, or contains a line break"
            " or a character outside ASCII.",
            field=field,
            remedy="Remove stray line breaks. They are often read from a file together with a key.",
        )
