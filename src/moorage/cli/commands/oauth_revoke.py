"""`moorage oauth revoke`: revoke the tokens of a person's consent."""

from __future__ import annotations

from contextlib import ExitStack

from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.cli.answer import CommandResult
from moorage.cli.context import Context
from moorage.cli.oauth_client import Client
from moorage.cli.vaults import open_vault
from moorage.domain.oauth.grants import Consent
from moorage.parts.oauth_token_refresher import OAuthTokenRefresher
from moorage.wiring.store_urls import open_storage


def revoke(
    *,
    client: Client,
    revoke_url: str | None = None,
    state: str | None = None,
    migrate: bool = False,
    context: Context,
) -> CommandResult:
    """Revoke stored tokens at the server, so that nobody can use them.

    Args:
        client: the OAuth client and its authorisation server.
        revoke_url: the revocation endpoint, without --issuer.
        state: the URL of the store that coordinates token renewals, such as redis://….
        migrate: update the schema of the credential store first.
        context: the options that all commands share.
    """
    vault = open_vault(client.credentials, migrate=migrate)
    oauth_client = client.at({"revocation_endpoint": revoke_url}, grant=Consent())
    with ExitStack() as cleanup:
        http = cleanup.enter_context(StdlibHttpClient())
        storage = None if state is None else cleanup.enter_context(open_storage(state))
        tokens = OAuthTokenRefresher(
            {(client.service, client.tenant): oauth_client}, vault=vault, storage=storage, http=http
        )
        tokens.revoke(client.service, client.tenant)
    return CommandResult(client.owner, [f"tokens revoked for {client.owner_text}"])
