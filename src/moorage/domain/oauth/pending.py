"""What is remembered of a person who was sent to give consent, until they come back."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from moorage.domain.frames import careful, refusing
from moorage.domain.json_text import encode_json
from moorage.domain.sealing import about
from moorage.domain.secret import Secret, as_secret
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_ABOUT: Final = about(None, "oauth", "pending consent")


class _Cipher(Protocol):
    """As the port of that name."""

    def seal(self, plain: bytes, about: bytes, /) -> bytes:
        """Hide bytes."""
        ...

    def open(self, sealed: bytes, about: bytes, /) -> bytes:
        """Show them again."""
        ...


def _is_text(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value:
        raise _unusable(attribute.name)


def _scope(value: Iterable[str] | str) -> tuple[str, ...]:
    return tuple(value.split() if isinstance(value, str) else value)


def _are_texts(_: object, attribute: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
    if not all(isinstance(one, str) for one in value):
        raise _unusable(attribute.name)


def _moment(value: datetime | str) -> datetime:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if value.tzinfo is None:
        raise _unusable("expires_at")
    return value.astimezone(UTC)


@careful
@attrs.frozen(kw_only=True)
class PendingConsent:
    """A person was sent to an authorisation server, and has not come back yet.

    Keep it where only that person's session finds it again: as `sealed` gives it, for instance in a
    cookie, or as `table` gives it, in a session that the server keeps.

    Attributes:
        state: what the person must bring back.
        code_verifier: what proves that it was us who asked (PKCE).
        redirect_uri: where the person comes back to.
        client_id: who asked.
        issuer: whom the person was sent to, if it has that name.
        scope: what was asked for.
        nonce: what the id_token must name, where OpenID Connect was asked for one.
        expires_at: until when the person may come back, in UTC.
    """

    state: Secret = attrs.field(converter=as_secret, hash=False)
    code_verifier: Secret = attrs.field(converter=as_secret, hash=False)
    redirect_uri: str = attrs.field(validator=_is_text)
    client_id: str = attrs.field(validator=_is_text)
    issuer: str | None = attrs.field(default=None, validator=attrs.validators.optional(_is_text))
    scope: tuple[str, ...] = attrs.field(default=(), converter=_scope, validator=_are_texts)
    nonce: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_secret), hash=False
    )
    expires_at: datetime = attrs.field(converter=_moment)

    def table(self) -> dict[str, Any]:
        """Everything as plain text, for JSON: the secrets are in it."""
        return {
            field.name: _written(value)
            for field in attrs.fields(type(self))
            if (value := getattr(self, field.name)) is not None
        }

    @classmethod
    @refusing
    def from_table(cls, table: Mapping[str, Any]) -> PendingConsent:
        """What `table` has written.

        Raises:
            InvalidData: it has not.
        """
        try:
            return cls(**table)
        except (TypeError, ValueError, AttributeError):
            pass
        del table
        raise _unusable("table")

    def sealed(self, cipher: _Cipher) -> str:
        """The same as a text that says nothing to anybody else, fit for a cookie."""
        return urlsafe_b64encode(cipher.seal(encode_json(self.table()), _ABOUT)).decode()

    @classmethod
    def unsealed(cls, text: str, cipher: _Cipher) -> PendingConsent:
        """What `sealed` has sealed.

        Raises:
            InvalidData: it has not, or the text was changed.
        """
        try:
            sealed = urlsafe_b64decode(text)
        except (TypeError, ValueError):
            raise _unusable("sealed") from None
        return cls.from_table(json.loads(cipher.open(sealed, _ABOUT)))


def _written(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [*value]  # pyright: ignore[reportUnknownVariableType]
    return value


def _unusable(field: str) -> InvalidData:
    return InvalidData(
        "This is no pending consent.",
        field=field,
        remedy="Give what `begin` returned; or have the person begin again.",
    )
