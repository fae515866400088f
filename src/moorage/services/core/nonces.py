"""Nonces that servers require in proofs of possession."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.http.urls import origin_of
from moorage.domain.signing.dpop import nonce_of
from moorage.domain.values.bounded import Bounded

if TYPE_CHECKING:
    from moorage.domain.http.headers import Headers
    from moorage.domain.http.urls import Origin

_MANY: Final = 1_000


class Nonces:
    """The newest nonce of each origin.

    A server that refuses a proof for a missing or old nonce sends a new one, so a forgotten nonce
    costs only one request.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: Bounded[Origin | None, str] = Bounded(_MANY)

    def known(self, url: str) -> str | None:
        """The nonce that the server of a URL requires, if known."""
        return self._known.get(origin_of(url)) if self._known else None

    def learn(self, url: str, headers: Headers) -> bool:
        """Store the nonce of an answer; return True if the answer has one."""
        told = nonce_of(headers)
        if told is None:
            return False
        self._known.add(origin_of(url), told)
        return True
