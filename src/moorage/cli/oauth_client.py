"""The OAuth client and authorisation server, as options of a command."""

from __future__ import annotations

import os
from typing import Any

import attrs
from cyclopts import Parameter

from moorage.domain.oauth.client import OAuthClient
from moorage.domain.oauth.server import AuthorizationServer
from moorage.domain.secrets.secret import Secret
from moorage.errors import ConfigurationError
from moorage.hub.discovery import discover


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class Client:
    """The OAuth client, its authorisation server, and the owner of the tokens.

    Attributes:
        client_id: the client's id at the authorisation server.
        service: the service that the tokens are for.
        credentials: the URL of the token store: sqlite:///file.db, postgresql://…, mariadb://… or
            mysql://….
        issuer: the authorisation server's issuer URL, for discovery of its endpoints.
        token_url: the token endpoint, without --issuer.
        secret_env: the environment variable with the client's secret.
        tenant: the tenant that owns the tokens.
    """

    client_id: str
    service: str
    credentials: str
    issuer: str | None = None
    token_url: str | None = None
    secret_env: str | None = None
    tenant: str | None = None

    @property
    def owner_text(self) -> str:
        """The service and tenant of the tokens, for people."""
        return self.service if self.tenant is None else f"{self.service} of {self.tenant}"

    @property
    def owner(self) -> dict[str, Any]:
        """The service and tenant of the tokens, for programs."""
        return {"service": self.service, "tenant": self.tenant}

    def at(self, endpoints: dict[str, Any], **options: Any) -> OAuthClient:
        """Return the client of the discovered server, or of a server with these endpoints.

        Raises:
            ConfigurationError: the server is given twice or not at all, or the secret is missing.
            ConnectorError: the server's metadata cannot be read.
        """
        return OAuthClient(
            server=self._server(endpoints),
            client_id=self.client_id,
            secret=self._secret(),
            **options,
        )

    def _server(self, endpoints: dict[str, Any]) -> AuthorizationServer:
        if self.issuer is not None and self.token_url is None:
            return discover(self.issuer)
        if self.token_url is None or self.issuer is not None:
            raise ConfigurationError(
                "The options must name exactly one authorisation server.",
                path="--issuer",
                remedy="Pass --issuer, or --token-url and the other endpoints.",
            )
        return AuthorizationServer(token_endpoint=self.token_url, **endpoints)

    def _secret(self) -> Secret | None:
        name = self.secret_env
        if name is None:
            return None
        if not os.environ.get(name):
            raise ConfigurationError(
                f"The environment variable {name} is empty or not set.",
                path="--secret-env",
                remedy="Set the variable to the client's secret, or omit the option for a public"
                " client.",
            )
        return Secret(os.environ[name])
