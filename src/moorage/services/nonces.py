"""What servers want to see in proofs of possession."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.bounded import Bounded
from moorage.domain.oauth.dpop import nonce_of
from moorage.domain.urls import origin_of

if TYPE_CHECKING:
    from moorage.domain.headers import Headers
    from moorage.domain.urls import Origin

_MANY: Final = 1_000


class Nonces:
    """The newest nonce of each origin.

    A server takes a proof without it, or with an old one, for a reason to tell it anew; so what is
    forgotten costs a request.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: Bounded[Origin | None, str] = Bounded(_MANY)

    def known(self, url: str) -> str | None:
        """What the server behind a URL wants to see."""
        return self._known.get(origin_of(url)) if self._known else None

    def learn(self, url: str, headers: Headers) -> bool:
        """Remember what an answer says of the next proof; whether it says anything."""
        told = nonce_of(headers)
        if told is None:
            return False
        self._known.add(origin_of(url), told)
        return True
