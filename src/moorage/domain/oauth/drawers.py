"""Storage names for tokens of OAuth clients that may be replaced by a new configuration.

The name takes the place of a tenant, so that another client under the same service name, for
instance after the configuration was reloaded, never uses the tokens of the earlier client.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from moorage.domain.oauth.grants import ClientCredentials, JwtBearer

if TYPE_CHECKING:
    from moorage.domain.oauth.client import OAuthClient

_DRAWER: Final = "client "


def drawer_of(client: OAuthClient) -> str | None:
    """The name, in place of a tenant, under which the tokens of this client are stored.

    None if a person has given consent or another token is exchanged: such tokens are stored under
    the name of the service alone.
    """
    if not isinstance(client.grant, (ClientCredentials, JwtBearer)):
        return None
    who = (client.server, client.client_id, client.grant, client.scope)
    identity = repr((*who, sorted(client.parameters.items())))
    return f"{_DRAWER}{sha256(identity.encode()).hexdigest()[:16]}"


def tenant_of(drawer: str | None) -> str | None:
    """The tenant whose tokens are stored under this name, if it is a tenant's."""
    return None if drawer is not None and drawer.startswith(_DRAWER) else drawer
