"""Consent in a browser: the URL for the person, and the validation of the callback.

Laws:

1. No other parameter of the callback is read before its `state` has matched. State, nonce and
   verifier are new for each consent.
2. The code is always bound to the verifier by S256 (RFC 7636), and also to the DPoP key if there is
   one (RFC 9449, section 10).
3. The callback must name the issuer that the person was sent to (RFC 9207).
4. No error shows a value of the callback. Refusals are returned, so that no stack frame contains a
   value of the callback.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlencode

from moorage.domain.http.response import Response
from moorage.domain.oauth.pending import PendingConsent
from moorage.domain.oauth.server import checked_url
from moorage.domain.oauth.token_answer import Refusal, Refused, read_refused_answer
from moorage.domain.oauth.token_renewal import renewal_error
from moorage.domain.secrets.secret import Secret
from moorage.domain.signing.dpop import thumbprint
from moorage.domain.values.kinds import checked_kind
from moorage.errors import (
    AuthorizationRequired,
    ConfigurationError,
    ConnectorError,
    InvalidData,
    UnsupportedByVendor,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from moorage.domain.oauth.client import OAuthClient
    from moorage.domain.oauth.grants import Parameters

RANDOM_VALUES: Final = 6
"""The number of random 52-bit values in an unguessable text."""

_MAX_LENGTH: Final = 16_384
_MOST_PARAMETERS: Final = 100
_OPENID: Final = "openid"
_S256: Final = "S256"
_OWN_PARAMETERS: Final = frozenset(
    {
        "client_id",
        "code_challenge",
        "code_challenge_method",
        "dpop_jkt",
        "nonce",
        "redirect_uri",
        "response_type",
        "scope",
        "state",
    }
)
_APP_URL: Final = re.compile(r"[a-z][a-z0-9+\-]*(?:\.[a-z0-9+\-]+)+:/[!-~]*")
_IS_URL: Final = re.compile(r"/|[A-Za-z][A-Za-z0-9+.\-]*:/")


def begin_consent(
    client: OAuthClient,
    redirect_uri: str,
    *,
    now: datetime,
    lifetime: timedelta,
    draw: Callable[[], int],
    scope: Iterable[str] | str | None = None,
    parameters: Mapping[str, str] | None = None,
) -> tuple[str, PendingConsent]:
    """Return the URL for the person's browser, and the state to store until the callback.

    Args:
        client: the client that asks for consent.
        redirect_uri: the URL to which the person is to return.
        now: the time.
        lifetime: the time within which the person must return.
        draw: returns a new, unpredictable random number of 52 bits at each call.
        scope: the scopes to request, if not the client's.
        parameters: additional parameters of the URL, such as `prompt` or `login_hint`.
    """
    if parameters is not None:
        checked_kind(parameters, Mapping, "parameters")
    _check_consent(client, redirect_uri, parameters or {})
    query, pending_consent = consent_query(
        client, redirect_uri, now=now, lifetime=lifetime, draw=draw, scope=scope
    )
    url = consent_url(client, {**client.parameters, **(parameters or {}), **query})
    return url, pending_consent


def consent_query(
    client: OAuthClient,
    redirect_uri: str,
    *,
    now: datetime,
    lifetime: timedelta,
    draw: Callable[[], int],
    scope: Iterable[str] | str | None = None,
    response_type: str = "code",
) -> tuple[dict[str, str], PendingConsent]:
    """Return the parameters of an authorization request, and the state to store until the callback.

    Args:
        client: the client that asks for consent.
        redirect_uri: the URL to which the person is to return.
        now: the time.
        lifetime: the time within which the person must return.
        draw: returns a new, unpredictable random number of 52 bits at each call.
        scope: the scopes to request, if not the client's.
        response_type: the values with which the person is to return.
    """
    scopes = client.scope if scope is None else _scope_names(scope)
    pending_consent = PendingConsent(
        state=_random_token(draw),
        code_verifier=_random_token(draw),
        redirect_uri=redirect_uri,
        client_id=client.client_id,
        issuer=client.server.issuer,
        scope=scopes,
        nonce=_random_token(draw) if _OPENID in scopes else None,
        expires_at=now + lifetime,
    )
    query: dict[str, str] = {
        "response_type": response_type,
        "client_id": client.client_id,
        "redirect_uri": redirect_uri,
        "state": pending_consent.state.reveal(),
        "code_challenge": _digest(pending_consent.code_verifier.reveal_bytes()),
        "code_challenge_method": _S256,
    }
    if scopes:
        query["scope"] = " ".join(scopes)
    if pending_consent.nonce is not None:
        query["nonce"] = pending_consent.nonce.reveal()
    if client.dpop_key is not None:
        query["dpop_jkt"] = thumbprint(client.dpop_key)
    return query, pending_consent


def consent_url(client: OAuthClient, query: Mapping[str, str]) -> str:
    """Return the URL of the authorization endpoint with these parameters."""
    endpoint = client.at("authorization_endpoint")
    separator = "&" if "?" in endpoint else "?"
    return f"{endpoint}{separator}{urlencode(query, quote_via=quote)}"


def read_callback(
    callback: str, pending: PendingConsent, client: OAuthClient, now: datetime
) -> Secret | ConnectorError:
    """Return the authorisation code in the callback, or the error that the callback reports.

    Args:
        callback: the URL to which the person returned, or its query, or a posted form.
        pending: the stored state of this person's consent.
        client: the client that asked for consent.
        now: the time.
    """
    values = _callback_parameters(callback)
    if isinstance(values, ConnectorError):
        return values
    checked_kind(pending, PendingConsent, "pending")
    if Secret(values.get("state", "")) != pending.state:
        return _foreign_field_error("state", "The state does not belong to this person's consent.")
    if (pending.client_id, pending.issuer) != (client.client_id, client.server.issuer):
        return _foreign_field_error(
            "pending", "The consent was started by another client, or for another server."
        )
    issuer = values.get("iss")
    issuer_is_required = client.server.authorization_response_iss_parameter_supported
    if (issuer is None and issuer_is_required) or (
        issuer is not None and pending.issuer not in {issuer, None}
    ):
        return _foreign_field_error(
            "iss",
            "The response comes from another authorisation server than the request was sent to.",
        )
    if now >= pending.expires_at:
        return AuthorizationRequired(
            "The person returned after the consent had expired.", remedy=_BEGIN_AGAIN
        )
    if "error" in values:
        answer = read_refused_answer(
            Response(400), values, now, (pending.state, pending.code_verifier)
        )
        return no_token_error(answer)[0]
    if not values.get("code"):
        return _foreign_field_error("code", "The callback has no code.")
    return Secret(values["code"])


def no_token_error(answer: Refused | ConnectorError) -> tuple[ConnectorError, float | None]:
    """Return the error for a response without a token, and the seconds to wait, if any."""
    if isinstance(answer, Refused) and answer.why is Refusal.GONE:
        return AuthorizationRequired(
            f"The person did not give consent ({answer.words}).", remedy=_BEGIN_AGAIN
        ), answer.wait
    return renewal_error(None, answer)


def exchange_parameters(code: Secret, pending: PendingConsent) -> Parameters:
    """Return the parameters of the request that exchanges a code for a token."""
    return (
        ("grant_type", "authorization_code"),
        ("code", code.reveal()),
        ("redirect_uri", pending.redirect_uri),
        ("code_verifier", pending.code_verifier.reveal()),
    )


_BEGIN_AGAIN: Final = "Ask the person to begin again."


def _check_consent(client: OAuthClient, redirect_uri: str, parameters: Mapping[str, str]) -> None:
    challenge_methods = client.server.code_challenge_methods_supported
    if challenge_methods is not None and _S256 not in challenge_methods:
        raise UnsupportedByVendor(
            "The authorisation server does not support PKCE with S256.",
            remedy="Use a server that supports PKCE with S256. Without PKCE, an intercepted"
            " code can be used by others.",
        )
    if not (isinstance(redirect_uri, str) and _APP_URL.fullmatch(redirect_uri)):
        checked_url(redirect_uri, "redirect_uri")
    if "#" in redirect_uri:
        raise ConfigurationError(
            "The redirect_uri contains a fragment.",
            path="redirect_uri",
            remedy="Pass the URL that is registered at the authorisation server.",
        )
    for name in parameters:
        if name in _OWN_PARAMETERS:
            raise ConfigurationError(
                f"moorage sets the parameter {name} automatically.",
                path=f"parameters.{name}",
                remedy="Use the argument for this purpose, or remove the parameter.",
            )


def _callback_parameters(callback: object) -> dict[str, str] | InvalidData:
    """Return the parameters of the callback by name, or the error for an invalid callback."""
    if not isinstance(callback, str) or len(callback) > _MAX_LENGTH:
        return _foreign_field_error("callback", "The callback is not a string, or it is too long.")
    query = callback.removeprefix("?")
    if _IS_URL.match(callback):
        query = callback.partition("?")[2].partition("#")[0]
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, errors="strict", max_num_fields=_MOST_PARAMETERS
        )
    except ValueError:
        return _foreign_field_error("callback", "The callback is not a valid query.")
    values = dict(pairs)
    if len(values) < len(pairs):
        return _foreign_field_error("callback", "The callback contains a parameter twice.")
    return values


def _foreign_field_error(field: str, why: str) -> InvalidData:
    return InvalidData(
        why, field=field, remedy=f"Take it for an attack or a mistake. {_BEGIN_AGAIN}"
    )


def _scope_names(scope: Iterable[str] | str) -> tuple[str, ...]:
    if isinstance(scope, str):
        return tuple(scope.split())
    return tuple(
        checked_kind(name, str, "scope") for name in checked_kind(scope, Iterable, "scope")
    )


def _random_token(draw: Callable[[], int]) -> Secret:
    drawn_bytes = b"".join(draw().to_bytes(8, "big") for _ in range(RANDOM_VALUES))
    return Secret(_digest(drawn_bytes))


def _digest(content: bytes) -> str:
    return urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()
