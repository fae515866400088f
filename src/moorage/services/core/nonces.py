"""The nonces that servers demand in proofs of key possession (DPoP)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.http.urls import origin_of
from moorage.domain.signing.proof_refusals import nonce_of
from moorage.domain.values.bounded import BoundedCache

if TYPE_CHECKING:
    from moorage.domain.http.headers import Headers
    from moorage.domain.http.urls import Origin

_MAX_ENTRIES: Final = 1_000


class Nonces:
    """The newest nonce that each server demands.

    A server that refuses a proof for a missing or old nonce sends a new one, so a forgotten nonce
    costs only one request.
    """

    __slots__ = ("_nonces",)

    def __init__(self) -> None:
        self._nonces: BoundedCache[Origin | None, str] = BoundedCache(_MAX_ENTRIES)

    def nonce_for(self, url: str) -> str | None:
        """Return the nonce that the server of a URL demands; None if it is unknown."""
        return self._nonces.get(origin_of(url)) if self._nonces else None

    def remember_nonce(self, url: str, headers: Headers) -> bool:
        """Remember the nonce in a response; return whether it had one."""
        nonce = nonce_of(headers)
        if nonce is None:
            return False
        self._nonces.add(origin_of(url), nonce)
        return True
