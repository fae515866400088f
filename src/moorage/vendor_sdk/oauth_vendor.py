"""The base class for vendors with an HTTP API and OAuth client credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from moorage.domain.oauth.client import ClientAuthentication, OAuthClient
from moorage.domain.secrets.secret import Secret, as_secret
from moorage.domain.values.frozen_values import field, frozen, optional
from moorage.errors import ConfigurationError
from moorage.vendor_sdk.api_vendor import HttpVendor

if TYPE_CHECKING:
    from collections.abc import Mapping


@frozen(kw_only=True)
class OAuthVendor(HttpVendor):
    """A vendor whose HTTP API is for applications with a client id and secret.

    Without both, the credential provider supplies the token.

    Attributes:
        client_id: client id of the application.
        client_secret: client secret of the application.
        oauth_path: path of the token endpoint, below the URL of the main service.
        oauth_scope: scope of the tokens; empty for none.
        oauth_authentication: the way in which the client authenticates at the token endpoint.
        oauth_options: the options that an account gives together or not at all.
    """

    oauth_path: ClassVar[str] = ""
    oauth_scope: ClassVar[str] = ""
    oauth_authentication: ClassVar[ClientAuthentication] = ClientAuthentication.BASIC
    oauth_options: ClassVar[tuple[str, ...]] = ("client_id", "client_secret")

    client_id: str | None = field(default=None, repr=False)
    client_secret: Secret | None = field(default=None, converter=optional(as_secret))

    def __attrs_post_init__(self) -> None:
        """Refuse options that belong together if some of them are missing."""
        missing_names = [name for name in self.oauth_options if getattr(self, name) is None]
        if missing_names and len(missing_names) < len(self.oauth_options):
            raise ConfigurationError(
                f"{self.name} needs {' and '.join(self.oauth_options)} together, and"
                f" {missing_names[0]} is missing.",
                path=missing_names[0],
                remedy="Give all of them, or none and a credential provider.",
            )

    def oauth_settings(self) -> Mapping[str, Any]:
        """Return the `OAuthClient` arguments other than the client's id and secret."""
        main_url: str = getattr(self, self.urls[""])
        return {
            "server": main_url.rstrip("/") + self.oauth_path,
            "scope": self.oauth_scope,
            "authentication": self.oauth_authentication,
        }

    def clients(self) -> Mapping[str, OAuthClient]:
        """Return the OAuth client of the application, for the main service."""
        if self.client_id is None or self.client_secret is None:
            return {}
        secret = self.client_secret
        return {"": OAuthClient(client_id=self.client_id, secret=secret, **self.oauth_settings())}
