"""Situations in token renewal: an expired token, lost responses, and a second process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    ConnectionFailed,
    CredentialRefreshFailed,
    OAuthCredentials,
)
from moorage.domain.idempotency.claims import Claim, MarkSent
from moorage.domain.oauth.token_renewal import claim_key
from tests.oauth.refresher_harness import OWNER, TOKENS, client, token

if TYPE_CHECKING:
    from tests.support.modes import Harness

PAST = token(1, ago=7200)
CUT_OFF = ConnectionFailed("It was cut off.", may_have_been_processed=True)
UNSENT = ConnectionFailed("Nobody is there.", may_have_been_processed=False)


class OtherProcess:
    """Another process that claims the token renewal, and crashes at a given point."""

    def __init__(
        self,
        harness: Harness,
        stale: OAuthCredentials = PAST,
        *,
        again: bool = False,
        lease: int = 21_000_000,
    ) -> None:
        self._store = harness.store.memory
        self._key = claim_key(OWNER, client(), stale, use="again" if again else "first")
        claim = Claim(
            self._key,
            fingerprint=b"oauth",
            owner=777,
            lease=lease,
            term=21_000_000,
            ttl=10**12,
            target=TOKENS,
            remembered=0,
        )
        self._fence = self._store.execute(claim).fence

    def asks(self) -> None:
        """Record in the store that the other process has sent its token request."""
        assert self._store.execute(MarkSent(self._key, self._fence, TOKENS))


async def error_of(pending: Any, kind: type[Exception] = CredentialRefreshFailed) -> Any:
    """Return the error that is raised when this awaitable is awaited."""
    with pytest.raises(kind) as excinfo:
        await pending
    assert type(excinfo.value) is kind
    return excinfo.value
