"""Calls with OAuth tokens to a server that echoes requests, for the search for leaked secrets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from moorage import (
    AsyncOAuthTokenRefresher,
    Consent,
    JwtBearer,
    JwtSigning,
    OAuthClient,
    OAuthCredentials,
    OAuthTokenRefresher,
    Request,
    RetryPolicy,
    Service,
    TokenExchange,
)
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.credentials.sqlite import (
    AsyncSqliteCredentialProvider,
    SqliteCredentialProvider,
)
from moorage.adapters.state.sqlite import AsyncSqliteStorage, SqliteStorage
from moorage.testing.fakes.http_server import Behaviour, VendorServer
from tests.security.shared import await_if_needed

if TYPE_CHECKING:
    from moorage.testing.fakes.http_server import ReceivedRequest
    from tests.security.day import Observations

_ENDINGS = ("granted", "grant", "client", "odd", "reset", "late", "busy", "nonce")
_REFUSED = ("grant", "client", "nonce")


def _answer(received: ReceivedRequest) -> Behaviour:
    """Return the response that the request's path asks for, repeating all that was sent."""
    path_end = received.target.rpartition("/")[2]
    sent_form = received.body.decode()
    result = {"error_description": f"{sent_form} {received.headers.get('Authorization')}"}
    if path_end == "reset":
        return Behaviour(raw=b"", then="reset")
    if path_end == "late":
        return Behaviour(200, (), b"late", delay=2.0)
    if path_end == "odd":
        return Behaviour.of_json({"note": result})
    if path_end == "busy":
        return Behaviour.of_json(result, status=503)
    if path_end == "granted":
        return Behaviour.of_json(
            {"access_token": "at-canary-granted-7531", "refresh_token": "rt-canary-granted-7532"}
        )
    errors = {"grant": "invalid_grant", "client": "invalid_client", "nonce": "use_dpop_nonce"}
    fields = {"DPoP-Nonce": "n-1"}
    return Behaviour.of_json({"error": errors[path_end], **result}, status=400, headers=fields)


async def renewed_tokens(day: Observations, _: VendorServer) -> None:
    """Obtain tokens of every grant type, some refused or lost, and store them in files."""
    add_secret = day.plant
    add_secret("granted-access", "at-canary-granted-7531")
    add_secret("granted-refresh", "rt-canary-granted-7532")
    grants: dict[str, Any] = {
        "consent": Consent(),
        "bearer": JwtBearer(JwtSigning(algorithm="HS256"), add_secret("bearer-key")),
        "exchange": TokenExchange(subject="consented", actor=add_secret("exchange-actor")),
    }
    ways = ("client_secret_basic", "client_secret_post", "client_secret_jwt")
    with VendorServer() as server:
        server.always(_answer)
        for (name, grant), way in zip(grants.items(), ways, strict=True):
            for ending in _ENDINGS if name == "consent" else _REFUSED:
                client = OAuthClient(
                    server=f"{server.url}/{ending}",
                    client_id="erp",
                    secret=add_secret(f"oauth-{name}-{ending}-secret"),
                    authentication=way,
                    grant=grant,
                )
                await _renew_tokens(day, server, f"{name}-{ending}", client)


async def _renew_tokens(
    day: Observations, server: VendorServer, name: str, client: OAuthClient
) -> None:
    add_secret, folder = day.plant, day.folder
    held_credentials = OAuthCredentials(
        access_token=add_secret(f"oauth-{name}-access"),
        refresh_token=add_secret(f"oauth-{name}-refresh"),
        expires_at=datetime.now(UTC) - timedelta(hours=1),
    )
    cipher = AesGcmCipher(generate_keys())
    vault = day.pick(SqliteCredentialProvider, AsyncSqliteCredentialProvider)(
        folder / f"{name}.db", cipher
    )
    storage = day.pick(SqliteStorage, AsyncSqliteStorage)(folder / "renewals.db")
    day.closing.append(storage)
    await await_if_needed(vault.rotate("consented", None, held_credentials))
    await await_if_needed(vault.rotate("crm", None, held_credentials))
    refresher = day.pick(OAuthTokenRefresher, AsyncOAuthTokenRefresher)(
        {"crm": client},
        vault=vault,
        storage=storage,
        retry=RetryPolicy(2, 0),
        request_timeout=0.3,
        observers=[day.events.append],
    )
    day.closing.append(refresher)
    day.keep(f"oauth client {name}", client)
    day.keep(f"oauth refresher {name}", repr(refresher))
    service = Service("crm", base_url=server.url, needs_credentials=True, circuit=None)
    manager = day.manager(service, credentials=refresher)
    for number in range(2):
        await day.call(f"oauth {name} {number}", manager, "crm", Request.get("/busy"), timeout=2)
    await day.attempt(f"oauth get {name}", refresher.get, "crm", None)
    await day.attempt(f"oauth refresh {name}", refresher.refresh, "crm", None, held_credentials)
