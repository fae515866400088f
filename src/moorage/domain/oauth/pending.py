"""The state of a person's consent, stored until the return from the authorisation server."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

import attrs

from moorage.domain.secrets.frames import with_careful_constructor, without_arguments_in_errors
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.state.sealing import sealing_context
from moorage.domain.values.json_text import encode_json
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_BINDING: Final = sealing_context(None, "oauth", "pending consent")


class _Cipher(Protocol):
    """The methods of the `Cipher` port that this module uses."""

    def seal(self, plain: bytes, about: bytes, /) -> bytes:
        """Encrypt bytes, bound to the context in `about`."""
        ...

    def open(self, sealed: bytes, about: bytes, /) -> bytes:
        """Decrypt bytes that were encrypted with the same context."""
        ...


def _is_text(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, str) or not value:
        raise _unusable_error(attribute.name)


def _scope(value: Iterable[str] | str) -> tuple[str, ...]:
    return tuple(value.split() if isinstance(value, str) else value)


def _are_texts(_: object, attribute: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
    if not all(isinstance(item, str) for item in value):
        raise _unusable_error(attribute.name)


def _moment(value: datetime | str) -> datetime:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if value.tzinfo is None:
        raise _unusable_error("expires_at")
    return value.astimezone(UTC)


@with_careful_constructor
@attrs.frozen(kw_only=True)
class PendingConsent:
    """The data of a consent, stored while the person is at the authorisation server.

    Store it where only the person's session can read it: for example the text of `sealed` in a
    cookie, or the values of `table` in a session on the server.

    Attributes:
        state: the value that the callback must contain.
        code_verifier: the secret that proves that this program began the consent (PKCE).
        redirect_uri: the URL to which the person returns.
        client_id: the id of the client.
        issuer: the issuer name of the authorisation server, if it has one.
        scope: the requested scopes.
        nonce: the value that the ID token must contain, if OpenID Connect is used.
        expires_at: the time until which the person may return, in UTC.
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
        """Return the pending consent as JSON values, including its secrets in plain text."""
        return {
            field.name: _stored_value(value)
            for field in attrs.fields(type(self))
            if (value := getattr(self, field.name)) is not None
        }

    @classmethod
    @without_arguments_in_errors
    def from_table(cls, table: Mapping[str, Any]) -> PendingConsent:
        """Return the pending consent in the values that `table` returned.

        Raises:
            InvalidData: the values are not from `table`.
        """
        try:
            return cls(**table)
        except (TypeError, ValueError, AttributeError):
            pass
        del table
        raise _unusable_error("table")

    def sealed(self, cipher: _Cipher) -> str:
        """Return the pending consent as an encrypted string, fit for a cookie."""
        return urlsafe_b64encode(cipher.seal(encode_json(self.table()), _BINDING)).decode()

    @classmethod
    def unsealed(cls, text: str, cipher: _Cipher) -> PendingConsent:
        """Return the pending consent in the text that `sealed` returned.

        Raises:
            InvalidData: the text is not from `sealed`, or was changed.
        """
        try:
            sealed_bytes = urlsafe_b64decode(text)
        except (TypeError, ValueError):
            raise _unusable_error("sealed") from None
        return cls.from_table(json.loads(cipher.open(sealed_bytes, _BINDING)))


def _stored_value(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [*value]  # pyright: ignore[reportUnknownVariableType]  # a tuple of anything
    return value


def _unusable_error(field: str) -> InvalidData:
    return InvalidData(
        "The value is not a pending consent.",
        field=field,
        remedy="Pass the second result of `begin`, or ask the person to begin again.",
    )
