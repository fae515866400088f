"""The Digest authentication challenges of servers; the next requests respond to them."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple

from moorage.domain.auth.digest_use import DigestUse
from moorage.domain.values.bounded import BoundedCache
from moorage.domain.values.frozen_values import evolve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moorage.domain.auth.digest import DigestChallenge
    from moorage.domain.http.headers import Headers

LAST_COUNT: Final = 0xFFFF_FFFF
"""The largest number of requests that one nonce of a server can count."""

_FIRST: Final = "first"
_MAX_ENTRIES: Final = 1_000
_UNAUTHORIZED: Final = 401


class _Session(NamedTuple):
    """A challenge, the numbers of its uses, the session's first nonce, and its client nonce.

    The client nonce is missing until the first request.
    """

    challenge: DigestChallenge
    numbers: Iterator[int]
    nonce: str
    client_nonces: dict[str, str]


class DigestChallenges:
    """The newest Digest challenge of each base URL, and the number of responses to it.

    A server that knows a nonce no longer sends a new challenge, so a forgotten challenge costs only
    one request. Threads may share this object.
    """

    __slots__ = ("_challenges", "_last_count")

    def __init__(self, last_count: int = LAST_COUNT) -> None:
        self._last_count = last_count
        self._challenges: BoundedCache[str, _Session] = BoundedCache(_MAX_ENTRIES)

    def next_use(self, base_url: str, client_nonce: str) -> DigestUse | None:
        """Return the values for the next response to the newest challenge; None without one.

        A `-sess` algorithm hashes the password once, with the nonces of the first request (RFC
        7616, section 3.4.2), so later requests of the session repeat its client nonce.
        """
        session = self._challenges.get(base_url)
        if session is None:
            return None
        number = next(session.numbers)
        if number > self._last_count:
            return None
        if session.challenge.is_session:
            client_nonce = session.client_nonces.setdefault(_FIRST, client_nonce)
        return DigestUse(session.challenge, number, client_nonce, session.nonce)

    def remember_challenge(self, base_url: str, status: int, headers: Headers) -> bool | None:
        """Remember the Digest challenge in a response, or the nonce for the next request.

        Returns:
            None if the server did not send a challenge to which moorage can respond; True if it
            did, and another attempt may be accepted; False if it refused an attempt with this
            same nonce.
        """
        from moorage.domain.auth.digest import digest_challenge, next_nonce  # noqa: PLC0415 - loads OpenSSL

        session = self._challenges.get(base_url)
        if status != _UNAUTHORIZED:
            nonce = next_nonce(headers)
            if session is not None and nonce is not None and nonce != session.challenge.nonce:
                next_challenge = evolve(session.challenge, nonce=nonce)
                self._challenges.add(
                    base_url, session._replace(challenge=next_challenge, numbers=count(1))
                )
            return None
        challenge = digest_challenge(headers)
        if challenge is None:
            return None
        is_new = session is None or challenge.stale or challenge.nonce != session.challenge.nonce
        if is_new:
            self._challenges.add(base_url, _Session(challenge, count(1), challenge.nonce, {}))
        return is_new
