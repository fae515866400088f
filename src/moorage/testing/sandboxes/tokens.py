"""A strict OAuth token endpoint, for client credentials or a refresh token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.testing.sandboxes.base import Refusal, Sandbox, reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import SandboxRequest

_GRANT: Final = "client_credentials"
_REFRESH: Final = "refresh_token"


class TokenEndpoint(Sandbox):
    """The OAuth token endpoint of one client, to be served in a sandbox's `mounts`.

    Args:
        path: path of the endpoint.
        client_id, client_secret: credentials of the client.
        posted: True if the client authenticates in the form instead of HTTP Basic.
        scope: scope that must be requested, if any.
        expires_in: lifetime in seconds that the responses state, as a number or a string of digits;
            the sandbox does not let tokens expire.
        refresh_token: the only refresh token, which stays valid; None for client credentials.
        header: header with the access token; by default `Authorization`, as a bearer token.

    Attributes:
        grants: number of granted tokens.
    """

    def __init__(
        self,
        path: str,
        client_id: str,
        client_secret: str,
        *,
        posted: bool = False,
        scope: str | None = None,
        expires_in: int | str = 3_600,
        refresh_token: str | None = None,
        header: str | None = None,
    ) -> None:
        self.path = path
        self.grants = 0
        self._client = client_id, client_secret
        self._posted = posted
        self._scope = scope
        self._expires_in = expires_in
        self._refresh_token = refresh_token
        self._header = header
        self._good: set[str] = set()
        super().__init__()

    def routes(self) -> Mapping[str, Callable[..., Response]]:
        """The route of the token endpoint."""
        return {f"POST {self.path}": self._grant}

    def allows(self, request: SandboxRequest) -> bool:
        """Return whether a request has a valid access token."""
        header = self._header
        return (request.bearer() if header is None else request.headers.get(header)) in self._good

    def forget(self) -> None:
        """Invalidate all issued tokens."""
        self._good.clear()

    def refuse(self, error: str, status: int = 400) -> Response:
        """Return the response that refuses an access token."""
        return reply({"error": error}, status)

    def _grant(self, request: SandboxRequest) -> Response:
        form = dict(request.form)
        client = request.basic()
        if self._posted:
            client = form.pop("client_id", ""), form.pop("client_secret", "")
        if client != self._client:
            raise Refusal(self.refuse("invalid_client", 401))
        refresh_token = self._refresh_token
        if form.pop("grant_type", None) != (_GRANT if refresh_token is None else _REFRESH):
            raise Refusal(self.refuse("unsupported_grant_type"))
        if form.pop("refresh_token", None) != refresh_token:
            raise Refusal(self.refuse("invalid_grant"))
        if form.pop("scope", None) != self._scope:
            raise Refusal(self.refuse("invalid_scope"))
        if form:
            raise Refusal(self.refuse("invalid_request"))
        self.grants += 1
        token = f"token-{self._client[0]}-{self.grants}"
        self._good.add(token)
        lasting = {} if refresh_token is None else {"refresh_token": refresh_token}
        answer = {"access_token": token, "token_type": "Bearer", "expires_in": self._expires_in}
        return reply({**answer, **lasting})
