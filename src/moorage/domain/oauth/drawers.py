"""Where the tokens of a client are kept that somebody else may take the place of.

They stand where those of tenants do, so that another client under the same name, such as a
configuration that was read anew has, never uses the tokens of the one before.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from moorage.domain.oauth.grants import ClientCredentials, JwtBearer

if TYPE_CHECKING:
    from moorage.domain.oauth.client import OAuthClient

_DRAWER: Final = "client "


def drawer_of(client: OAuthClient) -> str | None:
    """What stands in the place of a tenant for the tokens of this client.

    None where a person has consented, or another token is exchanged: that is found by the name of
    the service alone.
    """
    if not isinstance(client.grant, (ClientCredentials, JwtBearer)):
        return None
    who = (client.server, client.client_id, client.grant, client.scope)
    told = repr((*who, sorted(client.parameters.items())))
    return f"{_DRAWER}{sha256(told.encode()).hexdigest()[:16]}"


def tenant_of(drawer: str | None) -> str | None:
    """The tenant whose tokens are kept there, if it is one's."""
    return None if drawer is not None and drawer.startswith(_DRAWER) else drawer
