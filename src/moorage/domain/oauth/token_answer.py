"""What an authorisation server's answer means: a token, or why there is none.

Servers are careless here: `expires_in` comes as a text or not at all, `token_type` in any case, an
error with status 200, a refresh token that is empty. What is missing is unknown, never "at once"
and never "for ever".
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

import attrs

from moorage.domain.auth import OAuthCredentials
from moorage.domain.classify import is_success
from moorage.domain.frames import careful
from moorage.domain.oauth.dpop import nonce_of
from moorage.domain.redaction import Redaction
from moorage.domain.retry_after import capped, retry_after
from moorage.domain.secret import Secret
from moorage.domain.value_mask import masked_text, value_mask
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from moorage.domain.http import Response
    from moorage.domain.oauth.client import OAuthClient

LARGEST: Final = 1_048_576
"""Bytes that an answer may have; tokens that list the groups of a person are long."""

_LONGEST: Final = 300
_LIFE: Final = 10 * 365 * 86_400.0
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NUMBER: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?")
_GONE: Final = frozenset(
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
_LATER: Final = frozenset({"server_error", "slow_down", "temporarily_unavailable"})
_BUSY: Final = frozenset({408, 425, 429})


class Refusal(Enum):
    """Why there is no token.

    GONE: the grant is over, and a person must be asked again. LATER: the server does not work just
    now. NONCE: a proof must show the nonce that came along. PENDING: the person has not decided
    yet. LOST: there was an answer, and what it granted cannot be read. WRONG: it will not work
    before somebody corrects something.
    """

    GONE = "gone"
    LATER = "later"
    NONCE = "nonce"
    PENDING = "pending"
    LOST = "lost"
    WRONG = "wrong"


@attrs.frozen(kw_only=True)
class Refused:
    """Why there is no token, in the server's own words as far as they may be shown.

    Attributes:
        why: what it means.
        code: OAuth's name of the error, or the HTTP status.
        said: what the server said besides.
        wait: seconds to stay away.
        vendor_wait: seconds that it asked to stay away, which may be absurd.
        nonce: what it wants to see in a proof.
        refresh_token: of an answer without an access token, which may replace the one shown.
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
        """The code and what was said, for a message."""
        return f"{self.code}: {self.said}" if self.said else self.code


@careful
@attrs.frozen(kw_only=True)
class Granted:
    """A token, and what else came along.

    Attributes:
        credentials: the access token and all that belongs to it.
        id_token: who gave consent, as OpenID Connect tells it.
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
    """What an answer of the token endpoint means.

    Args:
        response: the answer.
        client: who asked.
        asked_at: when the request was sent, by our clock: so a token expires early rather than
            late, whatever the server's clock says.
        held: what was held before; its refresh token stays unless another came.
        hidden: what was sent and must not be shown, should the server repeat it.
    """
    told = _members(response)
    if told is None or "error" in told or not is_success(response.status):
        return refused(response, told or {}, asked_at, hidden)
    access = told.get("access_token")
    if isinstance(access, str):
        with suppress(InvalidData):
            return _granted(Secret(access), told, client, asked_at, held)
    return Refused(why=Refusal.LOST, code="unreadable answer", refresh_token=_refresh_token(told))


def read_refusal(
    response: Response, asked_at: datetime, hidden: Iterable[Secret] = ()
) -> Refused | None:
    """Why another endpoint than that of tokens refuses, if it does."""
    told = _members(response) or {}
    if is_success(response.status) and "error" not in told:
        return None
    return refused(response, told, asked_at, hidden)


def _members(response: Response) -> Mapping[str, Any] | None:
    if len(response.body) > LARGEST:
        return None
    kind = (response.header("content-type") or "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl(response.text))
    try:
        told = response.json()
    except InvalidData:
        return None
    return told if isinstance(told, dict) else None  # pyright: ignore[reportUnknownVariableType]


def refused(
    response: Response, told: Mapping[str, Any], asked_at: datetime, hidden: Iterable[Secret]
) -> Refused:
    """What it means that an answer, with these members, is no token."""
    status = response.status
    code, said = _shown(told.get("error"), hidden), _shown(told.get("error_description"), hidden)
    if code is None or _CODE.fullmatch(code) is None:
        code = f"HTTP {status}"
    nonce = nonce_of(response.headers)
    why = Refusal.WRONG
    if code == "use_dpop_nonce" and nonce:
        why = Refusal.NONCE
    elif code in _GONE:
        why = Refusal.GONE
    elif code == "authorization_pending":
        why = Refusal.PENDING
    elif status >= 500 or status in _BUSY or code in _LATER:
        why = Refusal.LATER
    elif is_success(status) and "error" not in told:
        why = Refusal.LOST
    wait = retry_after(response.headers, asked_at)
    return Refused(why=why, code=code, said=said, wait=capped(wait), vendor_wait=wait, nonce=nonce)


def _shown(value: object, hidden: Iterable[Secret]) -> str | None:
    if not isinstance(value, str):
        return None
    text = value.encode(errors="replace").decode()
    mask = value_mask(secret.reveal_bytes() for secret in hidden)
    return Redaction().words(masked_text(text, mask), _LONGEST)


def _granted(
    access: Secret,
    told: Mapping[str, Any],
    client: OAuthClient,
    asked_at: datetime,
    held: OAuthCredentials | None,
) -> Granted:
    kind, id_token = told.get("token_type"), told.get("id_token")
    life = _lifetime(told.get("expires_in"))
    scope = told.get("scope")
    kept = _refresh_token(told)
    if kept is None and held is not None:
        kept = held.refresh_token
    credentials = OAuthCredentials(
        access_token=access,
        refresh_token=kept,
        token_type=kind if isinstance(kind, str) and kind else "Bearer",
        expires_at=None if life is None else asked_at + timedelta(seconds=life),
        issued_at=asked_at,
        scope=scope if isinstance(scope, str) and scope else _before(client, held),
        dpop_key=client.dpop_key if _is_bound(kind) else None,
    )
    return Granted(
        credentials=credentials, id_token=Secret(id_token) if isinstance(id_token, str) else None
    )


def _refresh_token(told: Mapping[str, Any]) -> Secret | None:
    text = told.get("refresh_token")
    return Secret(text) if isinstance(text, str) and text.strip() else None


def _is_bound(kind: object) -> bool:
    return isinstance(kind, str) and kind.lower() == "dpop"


def _before(client: OAuthClient, held: OAuthCredentials | None) -> tuple[str, ...]:
    """The scope, where the server does not repeat what was granted."""
    return held.scope if held is not None and held.scope else client.scope


def _lifetime(value: object) -> float | None:
    """Seconds that a token lives, if the answer tells; zero and less tell nothing."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
        return None
    return float(min(value, _LIFE))
