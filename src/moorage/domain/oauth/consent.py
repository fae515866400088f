"""Consent in a browser: where a person is sent, and what they bring back.

Laws:

1. Nothing that a person brings back is looked at before its `state` is ours. It was drawn for this
   one consent, and so were the nonce and the verifier.
2. The code is bound to the verifier by S256, always (RFC 7636), and to the key of proofs, if there
   is one (RFC 9449, section 10).
3. Who answers is who was asked (RFC 9207).
4. What is brought back is shown by no error, and refused as a value, so that no frame holds it.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlencode

from moorage.domain.oauth.dpop import thumbprint
from moorage.domain.oauth.pending import PendingConsent
from moorage.domain.oauth.question import failure
from moorage.domain.oauth.server import checked_url
from moorage.domain.oauth.token_answer import Refusal, Refused, refused
from moorage.domain.response import Response
from moorage.domain.secret import Secret
from moorage.errors import (
    AuthorizationRequired,
    ConfigurationError,
    ConnectorError,
    InvalidData,
    UnsupportedByVendor,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime, timedelta

    from moorage.domain.oauth.client import OAuthClient
    from moorage.domain.oauth.grants import Parameters

DRAWS: Final = 6
"""Draws of 52 bits that an unguessable text is made of."""

_LONGEST: Final = 16_384
_MANY: Final = 100
_OPENID: Final = "openid"
_S256: Final = "S256"
_OURS: Final = frozenset(
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
_OF_AN_APP: Final = re.compile(r"[a-z][a-z0-9+\-]*(?:\.[a-z0-9+\-]+)+:/[!-~]*")
_IS_URL: Final = re.compile(r"/|[A-Za-z][A-Za-z0-9+.\-]*:/")


def begin(
    client: OAuthClient,
    redirect_uri: str,
    *,
    now: datetime,
    lifetime: timedelta,
    draw: Callable[[], int],
    scope: Iterable[str] | str | None = None,
    parameters: Mapping[str, str] | None = None,
) -> tuple[str, PendingConsent]:
    """The URL to send a person to, and what to remember until they come back.

    Args:
        client: who asks.
        redirect_uri: where the person is to come back to.
        now: the time.
        lifetime: for how long the person may stay away.
        draw: gives a number of 52 bits that nobody can guess, each time another.
        scope: what is asked for, if not what the client asks for usually.
        parameters: what else the URL says, such as `prompt` or `login_hint`.
    """
    endpoint = client.at("authorization_endpoint")
    _check(client, redirect_uri, parameters or {})
    wanted = client.scope if scope is None else _listed(scope)
    pending = PendingConsent(
        state=_unguessable(draw),
        code_verifier=_unguessable(draw),
        redirect_uri=redirect_uri,
        client_id=client.client_id,
        issuer=client.server.issuer,
        scope=wanted,
        nonce=_unguessable(draw) if _OPENID in wanted else None,
        expires_at=now + lifetime,
    )
    said: dict[str, str] = {
        "response_type": "code",
        "client_id": client.client_id,
        "redirect_uri": redirect_uri,
        "state": pending.state.reveal(),
        "code_challenge": _digest(pending.code_verifier.reveal_bytes()),
        "code_challenge_method": _S256,
    }
    if wanted:
        said["scope"] = " ".join(wanted)
    if pending.nonce is not None:
        said["nonce"] = pending.nonce.reveal()
    if client.dpop_key is not None:
        said["dpop_jkt"] = thumbprint(client.dpop_key)
    said = {**client.parameters, **(parameters or {}), **said}
    joint = "&" if "?" in endpoint else "?"
    return f"{endpoint}{joint}{urlencode(said, quote_via=quote)}", pending


def read_callback(
    callback: str, pending: PendingConsent, client: OAuthClient, now: datetime
) -> Secret | ConnectorError:
    """The code that a person has brought back, or why there is none.

    Args:
        callback: the URL that the person came back to, or its query, or a form that was posted.
        pending: what was remembered of this person.
        client: who asked.
        now: the time.
    """
    told = _told(callback)
    if isinstance(told, ConnectorError):
        return told
    if Secret(told.get("state", "")) != pending.state:
        return _foreign("state", "The state is not that of this person's consent.")
    if (pending.client_id, pending.issuer) != (client.client_id, client.server.issuer):
        return _foreign("pending", "Another client asked for this consent, or of another server.")
    issuer = told.get("iss")
    promised = client.server.authorization_response_iss_parameter_supported
    if (issuer is None and promised) or (
        issuer is not None and pending.issuer not in {issuer, None}
    ):
        return _foreign("iss", "Another authorisation server answers than was asked.")
    if now >= pending.expires_at:
        return AuthorizationRequired("The person was away for too long.", remedy=_AGAIN)
    if "error" in told:
        answer = refused(Response(400), told, now, (pending.state, pending.code_verifier))
        return no_token(answer)[0]
    if not told.get("code"):
        return _foreign("code", "There is no code.")
    return Secret(told["code"])


def no_token(answer: Refused | ConnectorError) -> tuple[ConnectorError, float | None]:
    """What to raise for an answer that is no token, and when to come back."""
    if isinstance(answer, Refused) and answer.why is Refusal.GONE:
        return AuthorizationRequired(
            f"There is no consent ({answer.words}).", remedy=_AGAIN
        ), answer.wait
    return failure(None, answer)


def exchanging(code: Secret, pending: PendingConsent) -> Parameters:
    """What a request says that shows a code."""
    return (
        ("grant_type", "authorization_code"),
        ("code", code.reveal()),
        ("redirect_uri", pending.redirect_uri),
        ("code_verifier", pending.code_verifier.reveal()),
    )


_AGAIN: Final = "Have the person begin again."


def _check(client: OAuthClient, redirect_uri: str, parameters: Mapping[str, str]) -> None:
    ways = client.server.code_challenge_methods_supported
    if ways is not None and _S256 not in ways:
        raise UnsupportedByVendor(
            "The authorisation server does not take a code challenge by S256.",
            remedy="Ask for consent at a server that knows PKCE with S256; without it a code that"
            " is caught can be used.",
        )
    if not (isinstance(redirect_uri, str) and _OF_AN_APP.fullmatch(redirect_uri)):
        checked_url(redirect_uri, "redirect_uri")
    if "#" in redirect_uri:
        raise ConfigurationError(
            "The redirect_uri has a fragment.",
            path="redirect_uri",
            remedy="Give the URL that is registered at the authorisation server.",
        )
    for name in parameters:
        if name in _OURS:
            raise ConfigurationError(
                f"The parameter {name} comes by itself.",
                path=f"parameters.{name}",
                remedy="Give what is meant by it by the argument of its own, or leave it out.",
            )


def _told(callback: object) -> dict[str, str] | InvalidData:
    """What came back, each by its name; or why that is nothing. It raises nothing."""
    if not isinstance(callback, str) or len(callback) > _LONGEST:
        return _foreign("callback", "What came back is no text, or too long.")
    query = callback.removeprefix("?")
    if _IS_URL.match(callback):
        query = callback.partition("?")[2].partition("#")[0]
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MANY)
    except ValueError:
        return _foreign("callback", "What came back is no query.")
    told = dict(pairs)
    if len(told) < len(pairs):
        return _foreign("callback", "A parameter came back twice.")
    return told


def _foreign(field: str, why: str) -> InvalidData:
    return InvalidData(why, field=field, remedy=f"Take it for an attack or a mistake. {_AGAIN}")


def _listed(scope: Iterable[str] | str) -> tuple[str, ...]:
    return tuple(scope.split() if isinstance(scope, str) else scope)


def _unguessable(draw: Callable[[], int]) -> Secret:
    drawn = b"".join(draw().to_bytes(8, "big") for _ in range(DRAWS))
    return Secret(_digest(drawn))


def _digest(content: bytes) -> str:
    return urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()
