"""The Digest authentication challenges of servers; the next requests respond to them."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final

from moorage.domain.values.bounded import BoundedCache
from moorage.domain.values.frozen_values import evolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.domain.auth.digest import DigestChallenge
    from moorage.domain.http.headers import Headers

LAST_COUNT: Final = 0xFFFF_FFFF
"""The largest number of requests that one nonce of a server can count."""

_MAX_ENTRIES: Final = 1_000
_UNAUTHORIZED: Final = 401


class DigestChallenges:
    """The newest Digest challenge of each base URL, and the number of responses to it.

    A server that knows a nonce no longer sends a new challenge, so a forgotten challenge costs only
    one request. Threads may share this object.
    """

    __slots__ = ("_challenges", "_last_count")

    def __init__(self, last_count: int = LAST_COUNT) -> None:
        self._last_count = last_count
        self._challenges: BoundedCache[str, tuple[DigestChallenge, Iterator[int]]] = BoundedCache(
            _MAX_ENTRIES
        )

    def next_use(self, base_url: str) -> tuple[DigestChallenge, int] | None:
        """Return the newest challenge, if any, and the number of this use of its nonce."""
        remembered_pair = self._challenges.get(base_url)
        if remembered_pair is None:
            return None
        challenge, numbers = remembered_pair
        number = next(numbers)
        return (challenge, number) if number <= self._last_count else None

    def remember_challenge(self, base_url: str, status: int, headers: Headers) -> bool | None:
        """Remember the Digest challenge in a response, or the nonce for the next request.

        Returns:
            None if the server did not send a challenge to which moorage can respond; True if it
            did, and another attempt may be accepted; False if it refused an attempt with this
            same nonce.
        """
        from moorage.domain.auth.digest import digest_challenge, next_nonce  # noqa: PLC0415 - loads OpenSSL

        known_challenge = self._challenges.get(base_url)
        if status != _UNAUTHORIZED:
            nonce = next_nonce(headers)
            if (
                known_challenge is not None
                and nonce is not None
                and nonce != known_challenge[0].nonce
            ):
                self._remember(base_url, evolve(known_challenge[0], nonce=nonce))
            return None
        challenge = digest_challenge(headers)
        if challenge is None:
            return None
        is_new = (
            known_challenge is None
            or challenge.stale
            or challenge.nonce != known_challenge[0].nonce
        )
        if is_new:
            self._remember(base_url, challenge)
        return is_new

    def _remember(self, base_url: str, challenge: DigestChallenge) -> None:
        self._challenges.add(base_url, (challenge, count(1)))
