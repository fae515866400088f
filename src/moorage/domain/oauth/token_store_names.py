"""The names under which a client's OAuth tokens are stored; a changed client gets a new name.

The name is used in place of a tenant. So a client never uses the tokens of an earlier client with
the same service name, for example after the configuration was reloaded.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from moorage.domain.http.fingerprint import digest
from moorage.domain.oauth.grants import ClientCredentials, JwtBearer, RefreshToken

if TYPE_CHECKING:
    from moorage.domain.oauth.client import OAuthClient

_PREFIX: Final = "client "


def token_store_name(client: OAuthClient) -> str | None:
    """Return the name under which this client's tokens are stored, used like a tenant's.

    Return None if the grant is a person's consent or a token exchange. Such tokens are stored under
    the service's name alone.
    """
    grant = client.grant
    if not isinstance(grant, (ClientCredentials, JwtBearer, RefreshToken)):
        return None
    identity_fields = (client.server, client.client_id, grant, client.scope)
    identity = repr((*identity_fields, sorted(client.parameters.items())))
    if isinstance(grant, RefreshToken):
        identity += digest([grant.token.reveal_bytes()]).hex()
    return f"{_PREFIX}{sha256(identity.encode()).hexdigest()[:16]}"


def tenant_of(store_name: str | None) -> str | None:
    """Return the tenant to whom a stored token's name belongs; None for a client's own tokens."""
    return None if store_name is not None and store_name.startswith(_PREFIX) else store_name
