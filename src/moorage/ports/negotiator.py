"""The source of tokens for the HTTP authentication scheme Negotiate, such as Kerberos."""

from __future__ import annotations

from typing import Protocol


class Negotiator(Protocol):
    """Makes tokens for the scheme Negotiate (RFC 4559), such as Kerberos tickets.

    `token` returns the first token of a new security context with the HTTP service of a host, or
    raises `CredentialNotFound` if this process has no identity there. No token is sent twice, so
    each call returns another one. All methods are safe from several threads.
    """

    def token(self, host: str, /) -> bytes: ...


class AsyncNegotiator(Protocol):
    """The asynchronous `Negotiator`."""

    async def token(self, host: str, /) -> bytes: ...
