"""Credentials of a service, and the ways in which a request carries them."""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import quote

from moorage.domain.http.headers import check_settable
from moorage.domain.http.urls import is_absolute
from moorage.domain.secrets.frames import with_careful_constructor, without_arguments_in_errors
from moorage.domain.secrets.secret import Secret, as_secret, check_sendable
from moorage.domain.values.frozen_values import Factory, field, frozen
from moorage.domain.values.json_text import encode_json
from moorage.domain.values.text import brief_repr
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.domain.auth.digest_use import DigestUse
    from moorage.domain.http.requests import Request
    from moorage.domain.signing.context import SigningContext
    from moorage.domain.signing.signings import Signing

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9._\-]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class AuthMethod(StrEnum):
    """The kind of credential, such as a password or a key, that a request carries."""

    NONE = "none"
    BASIC = "basic"
    DIGEST = "digest"
    BEARER = "bearer"
    API_KEY_HEADER = "api_key_header"
    API_KEY_QUERY = "api_key_query"
    API_KEY_PATH = "api_key_path"
    API_KEY_BODY = "api_key_body"
    OAUTH2 = "oauth2"
    MTLS = "mtls"
    NEGOTIATE = "negotiate"
    AWS_SIGV4 = "aws_sigv4"
    AZURE_SHARED_KEY = "azure_shared_key"
    HMAC = "hmac"
    JWT = "jwt"
    HTTP_SIGNATURE = "http_signature"


_SCHEME_WORDS = ("Bearer", "DPoP", "Basic", "Digest", "Token", "ApiKey", "Negotiate")

_SIGNED_METHODS = frozenset(
    {
        AuthMethod.AWS_SIGV4,
        AuthMethod.AZURE_SHARED_KEY,
        AuthMethod.HMAC,
        AuthMethod.JWT,
        AuthMethod.HTTP_SIGNATURE,
    }
)
_WITHOUT_SECRET = frozenset({AuthMethod.NONE, AuthMethod.MTLS, AuthMethod.NEGOTIATE})
_WITH_USERNAME = frozenset({AuthMethod.BASIC, AuthMethod.DIGEST})
_WITH_STEPS = frozenset(
    {
        AuthMethod.API_KEY_QUERY,
        AuthMethod.API_KEY_PATH,
        AuthMethod.API_KEY_BODY,
        AuthMethod.DIGEST,
        AuthMethod.NEGOTIATE,
    }
)
_WEBHOOK_PREFIX = "whsec_"
_SHORTEST_KEY = 24
_KEY_PLACE = "{key}"
_USUAL_NAMES = {
    AuthMethod.API_KEY_HEADER: "X-API-Key",
    AuthMethod.API_KEY_QUERY: "api_key",
    AuthMethod.API_KEY_PATH: f"/{_KEY_PLACE}",
    AuthMethod.API_KEY_BODY: "api_key",
}
_KEY_SEGMENT = re.compile(r"(?:/[A-Za-z0-9._~\-]*)*/[A-Za-z0-9._~\-]*\{key\}[A-Za-z0-9._~\-]*")


def _secret(value: Secret | str | None) -> Secret | None:
    return None if value is None else as_secret(value)


def _method(value: AuthMethod | str) -> AuthMethod:
    try:
        return AuthMethod(value)
    except ValueError:
        raise InvalidData(
            f"{brief_repr(value)} is not an authentication method.",
            field="method",
            remedy=f"Use one of {', '.join(AuthMethod)}.",
        ) from None


def _usual_name(credentials: Credentials) -> str | None:
    return _USUAL_NAMES.get(credentials.method)


def _webhook_key(secret: Secret) -> bytes:
    """Return the key in a subscriber's secret: Base64, usually after `whsec_`.

    An HMAC pads its key with zeros, so a key of zeros equals an empty key.
    """
    text = secret.reveal().removeprefix(_WEBHOOK_PREFIX)
    try:
        key = a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True)
    except ValueError:
        key = b""
    if len(key) >= _SHORTEST_KEY and key.strip(b"\0"):
        return key
    raise InvalidData(
        "The subscriber's secret is too short, or not in the form whsec_… of Standard Webhooks.",
        field="secret",
        remedy="Create a secret with `generate_webhook_secret`.",
    )


def _convert_to_utc(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise InvalidData(
            "expires_at has no time zone.",
            field="expires_at",
            remedy="Pass an aware datetime, such as datetime.now(UTC) + timedelta(hours=1).",
        )
    return value.astimezone(UTC)


def _scope(value: str | Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(value.split() if isinstance(value, str) else value)))


@with_careful_constructor
@frozen(kw_only=True)
class Credentials:
    """The credentials for a service. The `repr` shows neither secret nor user name.

    User names are hidden too, because some vendors use an API key as the user name.

    Attributes:
        method: the way in which requests carry the credentials.
        username: the user name, for Basic and Digest only.
        secret: the password, token or key; plain text given here becomes a `Secret`.
        name: the header, query parameter or field of the JSON body that carries an API key; or the
            beginning of the path with the key in it, such as "/bot{key}".
        signing: the way to sign requests, where the secret is a key that is not sent.
        expires_at: the time at which the credentials expire, in UTC, if known.
    """

    method: AuthMethod = field(default=AuthMethod.NONE, converter=_method)
    username: str | None = field(default=None, repr=False)
    secret: Secret | None = field(default=None, converter=_secret, hash=False)
    name: str | None = field(default=Factory(_usual_name, takes_self=True))
    signing: Signing | None = None
    expires_at: datetime | None = field(default=None, converter=_convert_to_utc)

    def __attrs_post_init__(self) -> None:
        """Check that the credentials can be sent, before the first call uses them."""
        _check_credentials(self)

    @classmethod
    def none(cls) -> Credentials:
        """Return credentials for a service that needs none."""
        return cls()

    @classmethod
    @without_arguments_in_errors
    def basic(
        cls, username: str, password: Secret | str, *, expires_at: datetime | None = None
    ) -> Credentials:
        """Return credentials that send user name and password, in UTF-8."""
        password = as_secret(password)
        return cls(
            method=AuthMethod.BASIC, username=username, secret=password, expires_at=expires_at
        )

    @classmethod
    @without_arguments_in_errors
    def digest(
        cls, username: str, password: Secret | str, *, expires_at: datetime | None = None
    ) -> Credentials:
        """Return credentials that prove the password in response to the server's challenge.

        The password itself is never sent.

        The first request to a server is sent without credentials, to get its challenge.
        """
        password = as_secret(password)
        return cls(
            method=AuthMethod.DIGEST, username=username, secret=password, expires_at=expires_at
        )

    @classmethod
    @without_arguments_in_errors
    def bearer(cls, token: Secret | str, *, expires_at: datetime | None = None) -> Credentials:
        """Return credentials that send a bearer token."""
        token = as_secret(token)
        return cls(method=AuthMethod.BEARER, secret=token, expires_at=expires_at)

    @classmethod
    @without_arguments_in_errors
    def api_key(
        cls,
        key: Secret | str,
        *,
        header: str | None = None,
        query: str | None = None,
        path: str | None = None,
        body: str | None = None,
        expires_at: datetime | None = None,
    ) -> Credentials:
        """Return credentials that send a key in a header, the query, the path or the body.

        The header is `X-API-Key` unless another is named. `path` is the beginning of each
        request's path, with the key in it, such as "/bot{key}". `body` is a field of each
        request's JSON body.
        """
        key = as_secret(key)
        named_places = {"header": header, "query": query, "path": path, "body": body}
        fields = [field for field, place in named_places.items() if place is not None]
        if len(fields) > 1:
            raise InvalidData(
                "An API key can be sent in a header, in the query, in the path or in the body, but"
                " only in one of these.",
                field=fields[-1],
                remedy="Pass exactly one of header, query, path and body.",
            )
        if body is not None:
            return cls(method=AuthMethod.API_KEY_BODY, secret=key, name=body, expires_at=expires_at)
        if path is not None:
            return cls(method=AuthMethod.API_KEY_PATH, secret=key, name=path, expires_at=expires_at)
        if query is not None:
            return cls(
                method=AuthMethod.API_KEY_QUERY, secret=key, name=query, expires_at=expires_at
            )
        name = _USUAL_NAMES[AuthMethod.API_KEY_HEADER] if header is None else header
        return cls(method=AuthMethod.API_KEY_HEADER, secret=key, name=name, expires_at=expires_at)

    @classmethod
    @without_arguments_in_errors
    def signed(
        cls, signing: Signing, key: Secret | str | bytes, *, expires_at: datetime | None = None
    ) -> Credentials:
        """Return credentials that sign every attempt with a key; the key itself is not sent."""
        key = as_secret(key)
        return cls(method=signing.method, secret=key, signing=signing, expires_at=expires_at)

    @classmethod
    @without_arguments_in_errors
    def webhook(cls, secret: Secret | str) -> Credentials:
        """Return credentials that sign every attempt as a webhook of Standard Webhooks.

        The signature covers the header `webhook-id`, so set the service's `idempotency_header` to
        "webhook-id" and call it with idempotency keys.

        Args:
            secret: the subscriber's shared secret, `whsec_…`.

        Raises:
            InvalidData: the secret is too short, or not in the form of Standard Webhooks.
        """
        from moorage.domain.signing.hmac_signing import HmacSigning  # noqa: PLC0415 - rarely used

        signing = HmacSigning(
            signs="{header:webhook-id}.{timestamp}.{body}",
            headers={"webhook-timestamp": "{timestamp}", "webhook-signature": "v1,{signature}"},
            encoding="base64",
        )
        return cls.signed(signing, _webhook_key(as_secret(secret)))

    @classmethod
    def mtls(cls) -> Credentials:
        """Return credentials for a service that checks the HTTP client's TLS certificate."""
        return cls(method=AuthMethod.MTLS)

    @classmethod
    def negotiate(cls) -> Credentials:
        """Return credentials that use a token of the manager's `negotiator` (Kerberos)."""
        return cls(method=AuthMethod.NEGOTIATE)


@with_careful_constructor
@frozen(kw_only=True)
class OAuthCredentials:
    """The tokens that an authorisation server granted.

    Attributes:
        access_token: the token that requests carry; plain text given here becomes a `Secret`.
        refresh_token: the token that a new access token is requested with, if there is one.
        token_type: the scheme under which the access token is sent.
        expires_at: the time at which the access token expires, in UTC, if known.
        issued_at: the time at which the access token was requested, in UTC, if known.
        scope: the granted scopes, sorted; a space-separated text is accepted too.
        dpop_key: the private key (P-256, in PEM) that the token is bound to, if it is bound to one.
            Requests then carry a proof of possession of this key (RFC 9449).
        header: the name of a header that carries only the access token; by default `Authorization`
            carries it, after the token type.
    """

    access_token: Secret = field(converter=as_secret, hash=False)
    refresh_token: Secret | None = field(default=None, converter=_secret, hash=False)
    token_type: str = "Bearer"  # noqa: S105 - the name of a scheme
    expires_at: datetime | None = field(default=None, converter=_convert_to_utc)
    issued_at: datetime | None = field(default=None, converter=_convert_to_utc)
    scope: tuple[str, ...] = field(default=(), converter=_scope)
    dpop_key: Secret | None = field(default=None, converter=_secret, hash=False)
    header: str | None = None

    def __attrs_post_init__(self) -> None:
        """Check that the tokens can be sent, before the first call uses them."""
        if self.header is not None:
            check_settable(self.header, "header")
        check_sendable(self.access_token, "access_token")
        _check_scheme_word(self.access_token, "access_token")
        if self.dpop_key is not None:
            from moorage.domain.signing.dpop import check_proof_key  # noqa: PLC0415 - loads OpenSSL

            check_proof_key(self.dpop_key)
        if _SCHEME.fullmatch(self.token_type) is None:
            raise InvalidData(
                f"{self.token_type[:80]!r} is not a token type.",
                field="token_type",
                remedy="Pass the type that the authorisation server returned, such as 'Bearer'.",
            )


def authorise(request: Request, credentials: Credentials | OAuthCredentials) -> Request:
    """Return the request with these credentials, which replace any credentials that it had."""
    if isinstance(credentials, OAuthCredentials):
        if credentials.header is not None:
            return request.with_header(credentials.header, credentials.access_token.reveal())
        kind = "DPoP" if credentials.dpop_key is not None else credentials.token_type
        scheme = "Bearer" if kind.lower() == "bearer" else kind
        return _with_authorization(request, scheme, credentials.access_token.reveal())
    secret, name = credentials.secret, credentials.name
    if secret is None or credentials.signing is not None or responds(credentials):
        return request
    if credentials.method is AuthMethod.BASIC:
        pair = f"{credentials.username}:{secret.reveal()}".encode()
        return _with_authorization(request, "Basic", b2a_base64(pair, newline=False).decode())
    if name is None:
        return _with_authorization(request, "Bearer", secret.reveal())
    if credentials.method is AuthMethod.API_KEY_HEADER:
        return request.with_header(name, secret.reveal())
    if credentials.method is AuthMethod.API_KEY_PATH:
        return request.evolve(path=_path_with_key(request.path, name, secret))
    if credentials.method is AuthMethod.API_KEY_BODY:
        return request.evolve(body=_body_with_key(request.body, name, secret))
    other_pairs = [pair for pair in request.query if pair[0] != name]
    return request.evolve(query=[*other_pairs, (name, secret.reveal())])


def signs(credentials: Credentials | OAuthCredentials) -> bool:
    """Return whether credentials sign each request, or add a proof of possession to it."""
    if isinstance(credentials, OAuthCredentials):
        return credentials.dpop_key is not None
    return credentials.signing is not None


def proves_key(credentials: Credentials | OAuthCredentials | None) -> bool:
    """Return whether requests carry a proof that the client has the key its token is bound to."""
    return isinstance(credentials, OAuthCredentials) and credentials.dpop_key is not None


def responds(credentials: Credentials | OAuthCredentials | None) -> bool:
    """Return whether credentials respond to the server's HTTP Digest challenge."""
    return isinstance(credentials, Credentials) and credentials.method is AuthMethod.DIGEST


def negotiates(credentials: Credentials | OAuthCredentials | None) -> bool:
    """Return whether each request carries a new token from the manager's negotiator (Kerberos)."""
    return isinstance(credentials, Credentials) and credentials.method is AuthMethod.NEGOTIATE


def needs_flow(credentials: Credentials | OAuthCredentials) -> bool:
    """Return whether credentials need more than a constant header, for example a signature."""
    return signs(credentials) or (
        isinstance(credentials, Credentials) and credentials.method in _WITH_STEPS
    )


def with_token(request: Request, token: bytes) -> Request:
    """Return the request with the negotiator's token, which replaces any credentials it had."""
    return _with_authorization(request, "Negotiate", b2a_base64(token, newline=False).decode())


def sign(
    request: Request,
    url: str,
    credentials: Credentials | OAuthCredentials,
    context: SigningContext,
    *,
    nonce: str | None = None,
) -> Request:
    """Return the request with the signature or proof of possession that its credentials make.

    This is the last step before a request is sent, repeated for every attempt, because signatures
    expire. It may add to the query. `nonce` is the value that the server demands in a proof.
    """
    if isinstance(credentials, OAuthCredentials):
        proof_key, token = credentials.dpop_key, credentials.access_token
        if proof_key is None:
            return request
        from moorage.domain.signing.dpop import proof  # noqa: PLC0415 - loads OpenSSL

        shown_secret = proof(proof_key, request.method, url, context, token=token, nonce=nonce)
        return request.with_header("DPoP", shown_secret.reveal())
    signing, key = credentials.signing, credentials.secret
    if signing is None or key is None:
        return request
    return signing.sign(request, url, key, context)


def respond(
    request: Request,
    url: str,
    credentials: Credentials | OAuthCredentials,
    use: DigestUse | None,
) -> Request:
    """Return the request with its response to the server's newest Digest challenge.

    Args:
        request: the request, otherwise complete.
        url: the request's URL.
        credentials: a user name and password for Digest.
        use: the values of this response; None if there is no challenge yet, for a request without
            credentials.
    """
    username = credentials.username if isinstance(credentials, Credentials) else None
    password = credentials.secret if isinstance(credentials, Credentials) else None
    if use is None or username is None or password is None:
        return request.with_only_headers(request.headers.without("authorization"))
    from moorage.domain.auth.digest import digest_response  # noqa: PLC0415 - loads OpenSSL

    value = digest_response(
        username,
        password,
        use.challenge,
        request,
        url,
        count=use.number,
        client_nonce=use.client_nonce,
        session_nonce=use.session_nonce,
    )
    return request.with_header("Authorization", value)


def _path_with_key(path: str, beginning: str, key: Secret) -> str:
    """Return a request's path with the prefix in front that contains the API key."""
    if is_absolute(path):
        raise InvalidData(
            "This service expects its key in the path, so a request cannot have an absolute URL.",
            field="path",
            remedy="Pass the path relative to the service's base URL.",
        )
    return f"{beginning.replace(_KEY_PLACE, quote(key.reveal(), safe=':'))}/{path.lstrip('/')}"


def _body_with_key(body: object, name: str, key: Secret) -> bytes:
    """Return a request's JSON object with the API key as its last field."""
    text = body.strip() if isinstance(body, bytes) else b""
    if not (text.startswith(b"{") and text.endswith(b"}")):
        raise InvalidData(
            "This service expects its key in the body, and the body of the request is not a JSON"
            " object.",
            field="body",
            remedy="Pass the fields of the request as json={…}, which may be empty.",
        )
    field, other_fields = encode_json({name: key.reveal()}), text[1:-1].rstrip()
    # Nothing else is parsed, since a body may have large files.
    return b"{" + other_fields + b"," + field[1:] if other_fields.strip() else field


def _with_authorization(request: Request, scheme: str, token: str) -> Request:
    return request.with_header("Authorization", f"{scheme} {token}")


def _check_credentials(credentials: Credentials) -> None:
    method, secret, name = credentials.method, credentials.secret, credentials.name
    if (secret is None) != (method in _WITHOUT_SECRET):
        raise InvalidData(
            f"The method {method} {'needs a' if secret is None else 'takes no'} secret.",
            field="secret",
            remedy="Pass the method that the service requires, and the secret for that method.",
        )
    if (name is None) != (method not in _USUAL_NAMES):
        raise InvalidData(
            f"The method {method} {'needs a' if name is None else 'takes no'} name.",
            field="name",
            remedy="Pass a name only for API keys: the name of the header, query parameter or field"
            " of the body that carries the key.",
        )
    if method is AuthMethod.API_KEY_PATH and _KEY_SEGMENT.fullmatch(name or "") is None:
        raise InvalidData(
            f"{(name or '')[:80]!r} is not the beginning of a path with the placeholder {{key}}.",
            field="name",
            remedy="Pass the beginning of the path with {key} where the key belongs: '/bot{key}'.",
        )
    _check_username(method, credentials.username)
    _check_signing(method, credentials.signing)
    if method is AuthMethod.API_KEY_HEADER:
        check_settable(name or "", "name")
    if secret is None:
        return
    if credentials.signing is not None:
        credentials.signing.check_key(secret)
    else:
        _check_secret(method, secret)


def _check_username(method: AuthMethod, username: str | None) -> None:
    if (username is None) != (method not in _WITH_USERNAME):
        raise InvalidData(
            f"The method {method} {'needs a' if username is None else 'takes no'} user name.",
            field="username",
            remedy="Pass a user name only with the methods basic and digest, which require one.",
        )
    if username is not None and (":" in username or _CONTROL.search(username)):
        raise InvalidData(
            "The user name contains a colon or a control character, and Basic and Digest"
            " cannot send these.",
            field="username",
            remedy="Check that the user name and the password were not passed as one text.",
        )


def _check_signing(method: AuthMethod, signing: Signing | None) -> None:
    required = method if method in _SIGNED_METHODS else None
    if required != (None if signing is None else signing.method):
        raise InvalidData(
            f"The method {method} {'takes no' if required is None else 'needs its own'} signing.",
            field="signing",
            remedy="Use Credentials.signed, which names the method that belongs to the signing.",
        )


def _check_secret(method: AuthMethod, secret: Secret) -> None:
    if method not in _WITH_USERNAME:
        check_sendable(secret, "secret")
        if method in {AuthMethod.BEARER, AuthMethod.OAUTH2}:
            _check_scheme_word(secret, "secret")
    elif _CONTROL.search(secret.reveal()):
        raise InvalidData(
            "The password contains a line break or a control character.",
            field="secret",
            remedy="Remove stray line breaks. They are often read from a file together with"
            " the password.",
        )


def _check_scheme_word(token: Secret, field: str) -> None:
    """Refuse a token that begins with a word such as "Bearer", which moorage adds itself."""
    for word in _SCHEME_WORDS:
        if token.begins_with(f"{word} ", f"{word.lower()} ", f"{word.upper()} "):
            is_added = word in {"Bearer", "DPoP"}
            raise InvalidData(
                f"The token begins with the word {word}, which names an authentication scheme.",
                field=field,
                remedy="Pass the token without this word. moorage adds the word to each request."
                if is_added
                else "Pass the token without this word, and select the method that the"
                " service requires, such as basic.",
            )
