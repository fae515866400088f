"""Converts credentials to bytes, which are encrypted before they are stored, and back.

Unpacking gives back equal credentials of the same class. Unpacking any other bytes raises
`InvalidData`. No stack frame of an error raised here holds a secret.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.domain.auth.methods import Credentials, OAuthCredentials
from moorage.domain.http.fingerprint import digest
from moorage.domain.secrets.secret import Secret
from moorage.domain.state.packing import pack_values, unpack_values
from moorage.domain.values.frozen_values import fields_of
from moorage.errors import ConnectorError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.domain.signing.signings import Signing

AnyCredentials: TypeAlias = "Credentials | OAuthCredentials"
"""The credentials of a service, of either class."""

_PLAIN_FORMAT: Final = 1
_OAUTH: Final = 2
_TOKEN_FORMAT: Final = 3
"""The format of OAuth tokens with fields that earlier releases cannot read."""
_HEADER_TOKEN_FORMAT: Final = 4
"""The format of OAuth tokens that a header of the service's own carries."""
_LATE_FIELDS: Final = {_OAUTH: 0, _TOKEN_FORMAT: 2, _HEADER_TOKEN_FORMAT: 3}
"""The number of fields that each format of OAuth tokens has after those of the first one."""


def pack_credentials(credentials: AnyCredentials) -> bytes:
    """Return credentials as bytes, which the caller must encrypt before storing them."""
    if isinstance(credentials, OAuthCredentials):
        late_fields = (
            _time(credentials.issued_at),
            _bytes(credentials.dpop_key),
            credentials.header,
        )
        kind = _TOKEN_FORMAT if any(late_fields) else _OAUTH
        kind = kind if credentials.header is None else _HEADER_TOKEN_FORMAT
        return pack_values(
            (
                kind,
                credentials.access_token.reveal_bytes(),
                _bytes(credentials.refresh_token),
                credentials.token_type,
                _time(credentials.expires_at),
                credentials.scope,
                *late_fields[: _LATE_FIELDS[kind]],
            )
        )
    return pack_values(
        (
            _PLAIN_FORMAT,
            credentials.method.value,
            credentials.username,
            _bytes(credentials.secret),
            credentials.name,
            _time(credentials.expires_at),
            None if credentials.signing is None else _signing_fields(credentials.signing),
        )
    )


def secret_of(credentials: AnyCredentials) -> Secret | None:
    """Return the secret part of credentials: the password, key or access token."""
    return (
        credentials.access_token
        if isinstance(credentials, OAuthCredentials)
        else credentials.secret
    )


def fingerprint_of(credentials: Iterable[AnyCredentials | None]) -> bytes:
    """Return a digest that identifies credentials; renewed credentials have a different digest."""
    return digest(b"" if item is None else pack_credentials(item) for item in credentials)


def unpack_credentials(packed: bytes) -> AnyCredentials:
    """Return the credentials in bytes that `pack_credentials` returned.

    Raises:
        InvalidData: the bytes are not packed credentials.
    """
    credentials = _unpack_credentials(packed)
    if credentials is not None:
        return credentials
    del packed
    raise InvalidData(
        "The stored credential cannot be read. A newer release of moorage may have written it.",
        field="credentials",
        remedy="Upgrade moorage in this process too, or store the credential again.",
    )


def _unpack_credentials(packed: bytes) -> AnyCredentials | None:
    try:
        return _read_credentials(unpack_values(packed))
    except (AttributeError, ConnectorError, LookupError, OverflowError, TypeError, ValueError):
        return None


def _read_credentials(values: tuple[Any, ...]) -> AnyCredentials:
    kind, *fields = values
    if kind in _LATE_FIELDS:
        fields += [None] * (_LATE_FIELDS[_HEADER_TOKEN_FORMAT] - _LATE_FIELDS[kind])
        access, refresh, token_type, expires_at, scope, issued_at, dpop_key, header = fields
        return OAuthCredentials(
            access_token=_text(access),
            refresh_token=None if refresh is None else _text(refresh),
            token_type=token_type,
            expires_at=_moment(expires_at),
            scope=scope,
            issued_at=_moment(issued_at),
            dpop_key=None if dpop_key is None else _text(dpop_key),
            header=header,
        )
    if kind != _PLAIN_FORMAT:
        raise ValueError("The stored credential is of an unknown kind.")
    method, username, secret, name, expires_at, signing = fields
    return Credentials(
        method=method,
        username=username,
        secret=None if secret is None else _text(secret),
        name=name,
        signing=None if signing is None else _make_signing(method, signing),
        expires_at=_moment(expires_at),
    )


def _bytes(secret: Secret | None) -> bytes | None:
    return None if secret is None else secret.reveal_bytes()


def _text(secret: bytes) -> Secret:
    if not isinstance(secret, bytes):
        raise TypeError
    return Secret(secret)


def _signing_fields(signing: Signing) -> dict[str, Any]:
    fields = fields_of(type(signing))
    return {field.name: _value(getattr(signing, field.name)) for field in fields}


def _make_signing(method: str, fields: dict[str, Any]) -> Signing:
    if (lifetime := fields.get("lifetime")) is not None:
        fields = fields | {"lifetime": timedelta(microseconds=lifetime)}
    from moorage.domain.signing.signings import SIGNINGS  # noqa: PLC0415 - few credentials sign

    return SIGNINGS[method](**fields)


def _value(value: object) -> object:
    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1)
    if isinstance(value, Secret):
        return value.reveal_bytes()
    return value.value if isinstance(value, StrEnum) else value


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
