"""Who we say we are to a service, and how a request says so."""

from __future__ import annotations

import re
from binascii import b2a_base64
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

import attrs

from mooring.domain.headers import Headers
from mooring.domain.secret import Secret
from mooring.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mooring.domain.http import Request

_SENDABLE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9._\-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class AuthMethod(StrEnum):
    """How a request proves who sends it."""

    NONE = "none"
    BASIC = "basic"
    BEARER = "bearer"
    API_KEY_HEADER = "api_key_header"
    API_KEY_QUERY = "api_key_query"
    OAUTH2 = "oauth2"


_USUAL_NAMES = {AuthMethod.API_KEY_HEADER: "X-API-Key", AuthMethod.API_KEY_QUERY: "api_key"}


def _secret(value: Secret | str | None) -> Secret | None:
    return value if value is None or isinstance(value, Secret) else Secret(value)


def _needed_secret(value: Secret | str) -> Secret:
    return value if isinstance(value, Secret) else Secret(value)


def _method(value: AuthMethod | str) -> AuthMethod:
    try:
        return AuthMethod(value)
    except ValueError:
        raise InvalidData(
            f"{value!r} is not a way to authenticate.",
            field="method",
            remedy=f"Use one of {', '.join(AuthMethod)}.",
        ) from None


def _usual_name(credentials: Credentials) -> str | None:
    return _USUAL_NAMES.get(credentials.method)


def _in_utc(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise InvalidData(
            "The time of expiry has no time zone.",
            field="expires_at",
            remedy="Give an aware datetime, such as datetime.now(UTC) + timedelta(hours=1).",
        )
    return value.astimezone(UTC)


def _scope(value: str | Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(value.split() if isinstance(value, str) else value)))


@attrs.frozen(kw_only=True)
class Credentials:
    """What a service knows us by. Its `repr` shows neither secret nor user name.

    User names stay out because some vendors take an API key for one.

    Attributes:
        method: how it is sent.
        username: for Basic.
        secret: the password, token or key; plain text given here becomes a `Secret`.
        name: the header or query parameter that carries an API key.
        expires_at: when it stops working, in UTC, if that is known.
    """

    method: AuthMethod = attrs.field(default=AuthMethod.NONE, converter=_method)
    username: str | None = attrs.field(default=None, repr=False)
    secret: Secret | None = attrs.field(default=None, converter=_secret, hash=False)
    name: str | None = attrs.field(default=attrs.Factory(_usual_name, takes_self=True))
    expires_at: datetime | None = attrs.field(default=None, converter=_in_utc)

    def __attrs_post_init__(self) -> None:
        """Refuse what could not be sent, while there is someone to tell."""
        _check(self)

    @classmethod
    def none(cls) -> Credentials:
        """Say nothing about who we are."""
        return cls()

    @classmethod
    def basic(
        cls, username: str, password: Secret | str, *, expires_at: datetime | None = None
    ) -> Credentials:
        """Send user name and password, in UTF-8."""
        # Here and below: no frame of ours that may raise holds the plain text.
        password = _needed_secret(password)
        return cls(
            method=AuthMethod.BASIC, username=username, secret=password, expires_at=expires_at
        )

    @classmethod
    def bearer(cls, token: Secret | str, *, expires_at: datetime | None = None) -> Credentials:
        """Send a token."""
        token = _needed_secret(token)
        return cls(method=AuthMethod.BEARER, secret=token, expires_at=expires_at)

    @classmethod
    def api_key(
        cls,
        key: Secret | str,
        *,
        header: str | None = None,
        query: str | None = None,
        expires_at: datetime | None = None,
    ) -> Credentials:
        """Send a key in a header, `X-API-Key` unless named, or in a query parameter."""
        key = _needed_secret(key)
        if header is not None and query is not None:
            raise InvalidData(
                "An API key goes into a header or the query, not both.",
                field="query",
                remedy="Give one of header and query.",
            )
        if query is not None:
            return cls(
                method=AuthMethod.API_KEY_QUERY, secret=key, name=query, expires_at=expires_at
            )
        name = _USUAL_NAMES[AuthMethod.API_KEY_HEADER] if header is None else header
        return cls(method=AuthMethod.API_KEY_HEADER, secret=key, name=name, expires_at=expires_at)


@attrs.frozen(kw_only=True)
class OAuthCredentials:
    """What an authorisation server granted.

    Attributes:
        access_token: what requests carry; plain text given here becomes a `Secret`.
        refresh_token: what a new access token is asked for with, if there is one.
        token_type: the scheme that the access token is sent under.
        expires_at: when the access token stops working, in UTC, if that is known.
        scope: what was granted, sorted; also read from OAuth's own notation.
    """

    access_token: Secret = attrs.field(converter=_needed_secret, hash=False)
    refresh_token: Secret | None = attrs.field(default=None, converter=_secret, hash=False)
    token_type: str = "Bearer"  # noqa: S105 - the name of a scheme
    expires_at: datetime | None = attrs.field(default=None, converter=_in_utc)
    scope: tuple[str, ...] = attrs.field(default=(), converter=_scope)

    def __attrs_post_init__(self) -> None:
        """Refuse what could not be sent, while there is someone to tell."""
        _check_sendable(self.access_token, "access_token")
        if _SCHEME.fullmatch(self.token_type) is None:
            raise InvalidData(
                f"{self.token_type[:80]!r} is not a token type.",
                field="token_type",
                remedy="Give the type that the authorisation server named, such as 'Bearer'.",
            )


def authorise(request: Request, credentials: Credentials | OAuthCredentials) -> Request:
    """Return the request with the credentials in their place, instead of any it had there."""
    if isinstance(credentials, OAuthCredentials):
        kind = credentials.token_type
        scheme = "Bearer" if kind.lower() == "bearer" else kind
        return _with_authorization(request, scheme, credentials.access_token.reveal())
    secret, name = credentials.secret, credentials.name
    if secret is None:
        return request
    if credentials.method is AuthMethod.BASIC:
        pair = f"{credentials.username}:{secret.reveal()}".encode()
        return _with_authorization(request, "Basic", b2a_base64(pair, newline=False).decode())
    if name is None:
        return _with_authorization(request, "Bearer", secret.reveal())
    if credentials.method is AuthMethod.API_KEY_HEADER:
        return request.with_header(name, secret.reveal())
    others = [pair for pair in request.query if pair[0] != name]
    return request.evolve(query=[*others, (name, secret.reveal())])


def _with_authorization(request: Request, scheme: str, token: str) -> Request:
    return request.with_header("Authorization", f"{scheme} {token}")


def _check(credentials: Credentials) -> None:
    method, secret, name = credentials.method, credentials.secret, credentials.name
    if (secret is None) != (method is AuthMethod.NONE):
        raise InvalidData(
            f"The method {method} {'needs a' if secret is None else 'takes no'} secret.",
            field="secret",
            remedy="Name the method that the service asks for, and give the secret it needs.",
        )
    if (name is None) != (method not in _USUAL_NAMES):
        raise InvalidData(
            f"The method {method} {'needs a' if name is None else 'takes no'} name.",
            field="name",
            remedy="A name is that of the header or query parameter which carries an API key.",
        )
    _check_username(method, credentials.username)
    if method is AuthMethod.API_KEY_HEADER:
        Headers({name or "": ""})
    if secret is not None:
        _check_secret(method, secret)


def _check_username(method: AuthMethod, username: str | None) -> None:
    if (username is None) != (method is not AuthMethod.BASIC):
        raise InvalidData(
            f"The method {method} {'needs a' if username is None else 'takes no'} user name.",
            field="username",
            remedy="A user name belongs to the method basic, and to no other.",
        )
    if username is not None and (":" in username or _CONTROL.search(username)):
        raise InvalidData(
            "The user name has a colon or a control character in it, which Basic cannot send.",
            field="username",
            remedy="Check that user name and password were not given as one.",
        )


def _check_secret(method: AuthMethod, secret: Secret) -> None:
    if method is not AuthMethod.BASIC:
        _check_sendable(secret, "secret")
    elif _CONTROL.search(secret.reveal()):
        raise InvalidData(
            "The password has a line break or a control character in it.",
            field="secret",
            remedy="Strip stray newlines; they are often read along with a password from a file.",
        )


def _check_sendable(secret: Secret, field: str) -> None:
    if _SENDABLE.fullmatch(secret.reveal()) is None:
        raise InvalidData(
            "The secret is empty, begins or ends with white space, or has a line break or a"
            " character outside ASCII in it.",
            field=field,
            remedy="Strip stray newlines; they are often read along with a key from a file.",
        )
