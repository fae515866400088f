"""Parses the authorisation server's response to a token request: a token, or an error.

Responses of servers vary: `expires_in` is a string or missing, `token_type` has any case, an error
has status 200, or a refresh token is empty. A missing lifetime means that the lifetime is unknown,
neither zero nor infinite.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import attrs

from moorage.domain.auth.methods import OAuthCredentials
from moorage.domain.http.redaction import Redaction
from moorage.domain.resilience.classify import is_success
from moorage.domain.resilience.vendor_hints import cap_wait, retry_after
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.secrets.secret import Secret
from moorage.domain.secrets.value_mask import masked_text, value_mask
from moorage.domain.signing.proof_refusals import nonce_of
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from moorage.domain.http.requests import Response
    from moorage.domain.oauth.client import OAuthClient

LARGEST: Final = 1_048_576
"""The maximum size of a token response in bytes; tokens with a person's groups are long."""

_MAX_LENGTH: Final = 300
_LIFE: Final = 10 * 365 * 86_400.0
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NUMBER: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?")
_GONE_ERRORS: Final = frozenset(
    {
        "access_denied",
        "account_selection_required",
        "consent_required",
        "expired_token",
        "interaction_required",
        "invalid_grant",
        "login_required",
    }
)
_RETRYABLE_ERRORS: Final = frozenset({"server_error", "slow_down", "temporarily_unavailable"})
_BUSY_STATUSES: Final = frozenset({408, 425, 429})


class Refusal(Enum):
    """The kinds of failure of a token request.

    GONE: the grant has ended, and a person must give consent again. LATER: the server does not work
    at the moment. NONCE: the DPoP proof must contain the nonce that the server sent. PENDING: the
    person has not decided yet. LOST: there was a response, but the token in it cannot be read.
    WRONG: the request cannot succeed until the configuration is corrected.
    """

    GONE = "gone"
    LATER = "later"
    NONCE = "nonce"
    PENDING = "pending"
    LOST = "lost"
    WRONG = "wrong"


@attrs.frozen(kw_only=True)
class Refused:
    """The error response to a token request, with the server's description if it may be shown.

    Attributes:
        why: the kind of reason.
        code: OAuth's name of the error, or the HTTP status.
        said: the server's description of the error.
        wait: the seconds to wait before another request.
        vendor_wait: the seconds that the server asked for, which may be unreasonable.
        nonce: the nonce that the next DPoP proof must contain.
        refresh_token: the refresh token of a response without an access token; it may replace the
            one that was sent.
    """

    why: Refusal
    code: str
    said: str | None = None
    wait: float | None = None
    vendor_wait: float | None = None
    nonce: str | None = attrs.field(default=None, repr=False)
    refresh_token: Secret | None = attrs.field(default=None, repr=False)

    @property
    def words(self) -> str:
        """The error's code and description, as part of a message."""
        return f"{self.code}: {self.said}" if self.said else self.code


@with_careful_constructor
@attrs.frozen(kw_only=True)
class Granted:
    """A granted token, with the other values in the same response.

    Attributes:
        credentials: the access token, the refresh token and their expiry.
        id_token: the ID token of OpenID Connect, which names the person who gave consent.
    """

    credentials: OAuthCredentials
    id_token: Secret | None = None


def read_token(
    response: Response,
    client: OAuthClient,
    asked_at: datetime,
    *,
    held: OAuthCredentials | None = None,
    hidden: Iterable[Secret] = (),
) -> Granted | Refused:
    """Return the token in a response of the token endpoint, or the error.

    Args:
        response: the response.
        client: the client that sent the request.
        asked_at: the time at which the request was sent, by the local clock; so a token expires
            early rather than late, whatever the server's clock says.
        held: the credentials so far; their refresh token stays in use unless the response
            contains another.
        hidden: secrets of the request that must not be shown, even if the server repeats them.
    """
    members = _members(response)
    if members is None or "error" in members or not is_success(response.status):
        return read_refused_answer(response, members or {}, asked_at, hidden)
    own_names = client.server.own_names
    members = {**members, **{name: members.get(own_name) for name, own_name in own_names.items()}}
    access, problem = members.get("access_token"), "unreadable answer"
    if members.get("expires_in") == inf:
        problem = "expires_in is not a finite number"
    elif isinstance(access, str):
        with suppress(InvalidData):
            return _read_grant(Secret(access), members, client, asked_at, held)
    return Refused(why=Refusal.LOST, code=problem, refresh_token=_refresh_token(members))


def read_refusal(
    response: Response, asked_at: datetime, hidden: Iterable[Secret] = ()
) -> Refused | None:
    """Return the error in a response of an endpoint other than the token endpoint, if any."""
    members = _members(response) or {}
    if is_success(response.status) and "error" not in members:
        return None
    return read_refused_answer(response, members, asked_at, hidden)


def _members(response: Response) -> Mapping[str, Any] | None:
    if len(response.body) > LARGEST:
        return None
    kind = (response.header("content-type") or "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl(response.text))
    try:
        document = response.json()
    except InvalidData:
        return None
    return document if isinstance(document, dict) else None  # pyright: ignore[reportUnknownVariableType]  # parsed JSON


def read_refused_answer(
    response: Response, members: Mapping[str, Any], asked_at: datetime, hidden: Iterable[Secret]
) -> Refused:
    """Return the error in a response with these JSON fields and no token."""
    status = response.status
    code, description = (
        _printable_text(members.get("error"), hidden),
        _printable_text(members.get("error_description"), hidden),
    )
    if code is None or _CODE.fullmatch(code) is None:
        code = f"HTTP {status}"
    nonce = nonce_of(response.headers)
    refusal = Refusal.WRONG
    if code == "use_dpop_nonce" and nonce:
        refusal = Refusal.NONCE
    elif code in _GONE_ERRORS:
        refusal = Refusal.GONE
    elif code == "authorization_pending":
        refusal = Refusal.PENDING
    elif status >= 500 or status in _BUSY_STATUSES or code in _RETRYABLE_ERRORS:
        refusal = Refusal.LATER
    elif is_success(status) and "error" not in members:
        refusal, code = Refusal.LOST, f"HTTP {status} without a readable JSON object"
    wait = retry_after(response.headers, asked_at)
    return Refused(
        why=refusal, code=code, said=description, wait=cap_wait(wait), vendor_wait=wait, nonce=nonce
    )


def _printable_text(value: object, hidden: Iterable[Secret]) -> str | None:
    if not isinstance(value, str):
        return None
    text = value.encode(errors="replace").decode()
    mask = value_mask(secret.reveal_bytes() for secret in hidden)
    return Redaction().words(masked_text(text, mask), _MAX_LENGTH)


def _read_grant(
    access: Secret,
    members: Mapping[str, Any],
    client: OAuthClient,
    asked_at: datetime,
    held: OAuthCredentials | None,
) -> Granted:
    kind, id_token = members.get("token_type"), members.get("id_token")
    lifetime = _lifetime(members.get("expires_in"))
    scope = members.get("scope")
    refresh_token = _refresh_token(members)
    if refresh_token is None and held is not None:
        refresh_token = held.refresh_token
    credentials = OAuthCredentials(
        access_token=access,
        refresh_token=refresh_token,
        token_type=kind if isinstance(kind, str) and kind else "Bearer",
        expires_at=None if lifetime is None else asked_at + timedelta(seconds=lifetime),
        issued_at=asked_at,
        scope=scope if isinstance(scope, str) and scope else _requested_scope(client, held),
        dpop_key=client.dpop_key if _is_bound(kind) else None,
        header=client.token_header,
    )
    return Granted(
        credentials=credentials, id_token=Secret(id_token) if isinstance(id_token, str) else None
    )


def _refresh_token(members: Mapping[str, Any]) -> Secret | None:
    text = members.get("refresh_token")
    return Secret(text) if isinstance(text, str) and text.strip() else None


def _is_bound(kind: object) -> bool:
    return isinstance(kind, str) and kind.lower() == "dpop"


def _requested_scope(client: OAuthClient, held: OAuthCredentials | None) -> tuple[str, ...]:
    """Return the requested scope, which is granted unless the server names another."""
    return held.scope if held is not None and held.scope else client.scope


def _lifetime(value: object) -> float | None:
    """Return a token's lifetime in seconds; None if it is missing or not positive."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        return None
    return float(min(value, _LIFE))
