"""`moorage oauth revoke`: the end of a person's consent."""

from __future__ import annotations

from contextlib import ExitStack

from moorage.adapters.stdlib_http import StdlibHttpClient
from moorage.cli.answer import Answer
from moorage.cli.desk import Desk
from moorage.cli.oauth_client import Client
from moorage.cli.vaults import open_vault
from moorage.domain.oauth.grants import Consent
from moorage.opening import open_storage
from moorage.parts.oauth_token_refresher import OAuthTokenRefresher


def revoke(
    *,
    client: Client,
    revoke_url: str | None = None,
    state: str | None = None,
    migrate: bool = False,
    desk: Desk,
) -> Answer:
    """Give stored tokens back to the server, so that nobody can use them any more.

    Args:
        client: who we are, and where.
        revoke_url: where tokens are given back, without --issuer.
        state: the URL of the store where those who renew agree, such as redis://….
        migrate: bring the schema of the store of credentials up to date first.
        desk: what all commands share.
    """
    vault = open_vault(client.credentials, migrate=migrate)
    known = client.at({"revocation_endpoint": revoke_url}, grant=Consent())
    with ExitStack() as closing:
        http = closing.enter_context(StdlibHttpClient())
        storage = None if state is None else closing.enter_context(open_storage(state))
        tokens = OAuthTokenRefresher(
            {(client.service, client.tenant): known}, vault=vault, storage=storage, http=http
        )
        tokens.revoke(client.service, client.tenant)
    return Answer(client.found, [f"tokens revoked for {client.named}"])
