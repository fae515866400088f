"""Who we are to an authorisation server, as the options of a command say it."""

from __future__ import annotations

import os
from typing import Any

import attrs
from cyclopts import Parameter

from moorage.discovery import discover
from moorage.domain.oauth.client import OAuthClient
from moorage.domain.oauth.server import AuthorizationServer
from moorage.domain.secret import Secret
from moorage.errors import ConfigurationError


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Client:
    """Who we are to which authorisation server, and whose tokens are meant.

    Attributes:
        client_id: who we are there.
        service: the service that the tokens are for.
        credentials: where tokens are kept: sqlite:///file.db, postgresql://…, mariadb://… or
            mysql://….
        issuer: of the authorisation server, which describes itself.
        token_url: its token endpoint, without --issuer.
        secret_env: the environment variable with the client's secret.
        tenant: whose tokens they are.
    """

    client_id: str
    service: str
    credentials: str
    issuer: str | None = None
    token_url: str | None = None
    secret_env: str | None = None
    tenant: str | None = None

    @property
    def named(self) -> str:
        """Whose tokens these are."""
        return self.service if self.tenant is None else f"{self.service} of {self.tenant}"

    @property
    def found(self) -> dict[str, Any]:
        """The same for programs."""
        return {"service": self.service, "tenant": self.tenant}

    def at(self, endpoints: dict[str, Any], **how: Any) -> OAuthClient:
        """The client, at a server with these endpoints if it does not describe itself.

        Raises:
            ConfigurationError: the server is named twice or not at all, or there is no secret.
            ConnectorError: it does not describe itself.
        """
        return OAuthClient(
            server=self._server(endpoints), client_id=self.client_id, secret=self._secret(), **how
        )

    def _server(self, endpoints: dict[str, Any]) -> AuthorizationServer:
        if self.issuer is not None and self.token_url is None:
            return discover(self.issuer)
        if self.token_url is None or self.issuer is not None:
            raise ConfigurationError(
                "the authorisation server must be named once.",
                path="--issuer",
                remedy="Give --issuer; or --token-url and the other endpoints that are needed.",
            )
        return AuthorizationServer(token_endpoint=self.token_url, **endpoints)

    def _secret(self) -> Secret | None:
        name = self.secret_env
        if name is None:
            return None
        if not os.environ.get(name):
            raise ConfigurationError(
                f"the environment variable {name} is empty or not set.",
                path="--secret-env",
                remedy="Put the client's secret into it; or leave the option out for a public"
                " client.",
            )
        return Secret(os.environ[name])
