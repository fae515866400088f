"""The values of one response to a server's Digest challenge."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from moorage.domain.auth.digest import DigestChallenge


class DigestUse(NamedTuple):
    """The values of one response to a Digest challenge.

    Attributes:
        challenge: the newest challenge.
        number: the number of this use of the challenge's nonce.
        client_nonce: the client's nonce; all requests of a `-sess` session have the same.
        session_nonce: the server's nonce with which the session began.
    """

    challenge: DigestChallenge
    number: int
    client_nonce: str
    session_nonce: str
