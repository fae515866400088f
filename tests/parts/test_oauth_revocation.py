"""Revocation of OAuth tokens, at the server and for all processes that use them."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AsyncOAuthTokenRefresher,
    AuthorizationRequired,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
    Consent,
    CredentialNotFound,
    CredentialRefreshFailed,
    Credentials,
    OAuthCredentials,
    OAuthTokenRefresher,
    RetryPolicy,
    UnsupportedByVendor,
    VendorFailed,
)
from moorage.adapters.credentials.memory import (
    AsyncMemoryCredentialProvider,
    MemoryCredentialProvider,
)
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.adapters.http.stdlib.client_async import AsyncStdlibHttpClient
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.domain.idempotency.claims import Claim, MarkSent, abandon_claim
from moorage.domain.oauth.token_renewal import GRANT, claim_key
from tests.parts.ways_of_use import AsyncSleeper, Clock
from tests.support.authorization_faults import failing_answer, lost_answer, succeeding_with_error
from tests.support.authorization_server import AuthorizationServer
from tests.support.oauth_people import IN_BOTH, client_of, endpoints
from tests.support.timed_store import TimedStorage

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage import OAuthClient
    from moorage.domain.state.commands import Command

CRM = "crm"


class RecordingStorage(MemoryStorage):
    """A store that records its commands."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.commands: list[Any] = []

    def execute(self, command: Command[Any], /, timeout: float | None = None) -> Any:
        """Record the command and execute it."""
        self.commands.append(command)
        return super().execute(command, timeout)


class Hub:
    """A factory of token refreshers, one for each use, over a shared vault, store and clock."""

    def __init__(
        self,
        mode: str,
        server: AuthorizationServer,
        client: OAuthClient | None = None,
        *,
        patience: float = 3.0,
    ) -> None:
        self.is_async = mode == "async"
        self.server = server
        self.client = client or client_of(server, grant=Consent())
        self.clock = Clock()
        self.patience = patience
        self.fence = 0
        self.memory = memory = RecordingStorage(self.clock)
        self.storage: Any = AsyncMemoryStorage(memory) if self.is_async else memory
        vault = AsyncMemoryCredentialProvider if self.is_async else MemoryCredentialProvider
        self.vault: Any = vault()

    def run(self, step: Callable[[Any], Any]) -> Any:
        """Run an operation with a new refresher, as in a process that has just started."""
        common_options: dict[str, Any] = {
            "vault": self.vault,
            "storage": self.storage,
            "clock": self.clock,
            "retry": RetryPolicy(max_attempts=2, base_delay=0.001),
            "patience": self.patience,
            "request_timeout": 4.0,
        }
        if not self.is_async:
            plain_client = StdlibHttpClient()
            try:
                return step(
                    OAuthTokenRefresher(
                        {CRM: self.client}, http=plain_client, sleeper=self.clock, **common_options
                    )
                )
            finally:
                plain_client.close()

        async def run_async() -> Any:
            http = AsyncStdlibHttpClient()
            try:
                return await step(
                    AsyncOAuthTokenRefresher(
                        {CRM: self.client},
                        http=http,
                        sleeper=AsyncSleeper(self.clock),
                        **common_options,
                    )
                )
            finally:
                await http.close()

        return asyncio.run(run_async())

    def get(self) -> OAuthCredentials:
        """Get the token with a new refresher, like another process."""
        return self.run(lambda tokens: tokens.get(CRM, None))  # type: ignore[no-any-return]  # `run` returns what the function does

    def revoke(self) -> None:
        """Revoke the token with a new refresher, like another process."""
        self.run(lambda tokens: tokens.revoke(CRM))

    def keep(self, *, stale: bool = False) -> OAuthCredentials:
        """Store the tokens of a consent, which have nearly expired if `stale` is set."""
        access, refresh = self.server.seed()
        end_time = self.clock.utc() if stale else None
        new_credentials = OAuthCredentials(
            access_token=access, refresh_token=refresh, expires_at=end_time
        )
        self.run(lambda tokens: tokens.rotate(CRM, None, new_credentials))
        return new_credentials


@IN_BOTH
def test_a_grant_ends_everywhere(mode: str) -> None:
    """After revocation a token is valid nowhere, and no process renews it."""
    with AuthorizationServer() as server:
        hub = Hub(mode, server)
        hub.keep()
        hub.revoke()

        assert 0 == server.live_families
        for _ in range(2):
            with pytest.raises(AuthorizationRequired):
                hub.get()
        assert () == server.requests


@IN_BOTH
def test_revoking_forgets_the_token(mode: str) -> None:
    """A refresher that has revoked a token also removes the token from its memory."""
    with AuthorizationServer() as server:
        hub = Hub(mode, server)
        hub.keep()

        def revoke_synchronously(tokens: Any) -> None:
            tokens.get(CRM, None)
            tokens.revoke(CRM)
            tokens.get(CRM, None)

        async def revoke_between_calls(tokens: Any) -> None:
            await tokens.get(CRM, None)
            await tokens.revoke(CRM)
            await tokens.get(CRM, None)

        with pytest.raises(AuthorizationRequired, match="authorisation has ended"):
            hub.run(revoke_between_calls if hub.is_async else revoke_synchronously)
        assert () == server.requests


@IN_BOTH
def test_a_new_consent_is_a_new_grant(mode: str) -> None:
    """After a revocation, the tokens of a new consent work and can be renewed."""
    with AuthorizationServer() as server:
        hub = Hub(mode, server)
        hub.keep()
        hub.revoke()
        new_credentials = hub.keep(stale=True)

        assert hub.get().access_token != new_credentials.access_token
        assert 1 == server.live_families


@IN_BOTH
def test_revoked_grant_is_not_revoked_again(mode: str) -> None:
    """A grant that was revoked already is not sent to the server again."""
    with AuthorizationServer() as server:
        hub = Hub(mode, server)
        hub.keep()
        hub.revoke()
        server.order(failing_answer(500), failing_answer(500), path="/revoke")
        hub.revoke()


@IN_BOTH
def test_client_credentials_get_a_new_token_after_revocation(mode: str) -> None:
    """After revocation, a client without a person (client credentials) gets a new token."""
    with AuthorizationServer() as server:
        hub = Hub(mode, server, client_of(server))
        first = hub.get()
        hub.revoke()

        assert first.access_token != hub.get().access_token
        assert 2 == len(server.requests)


@IN_BOTH
def test_revocation_sends_access_token_without_refresh_token(mode: str) -> None:
    """Without a refresh token, revocation sends the access token."""
    with AuthorizationServer() as server:
        hub = Hub(mode, server)
        access, _ = server.seed()
        new_credentials = OAuthCredentials(access_token=access)
        hub.run(lambda tokens: tokens.rotate(CRM, None, new_credentials))
        hub.revoke()

        for _ in range(2):
            with pytest.raises(AuthorizationRequired, match="no refresh token"):
                hub.get()
        assert [] == hub.clock.slept, "who comes second waits for nobody"
        assert 1 == server.live_families


@IN_BOTH
@pytest.mark.parametrize(
    "faults, kind",
    [
        ([failing_answer(503), lost_answer()], ConnectionFailed),
        ([failing_answer(503, 3000)], VendorFailed),
        ([succeeding_with_error("unsupported_token_type")], UnsupportedByVendor),
    ],
)
def test_failed_revocation_keeps_the_token(
    mode: str, faults: list[Any], kind: type[ConnectorError]
) -> None:
    """If revocation fails, the token is still used and renewed."""
    with AuthorizationServer() as server:
        hub = Hub(mode, server)
        hub.keep(stale=True)
        server.order(*faults, path="/revoke")
        with pytest.raises(kind) as excinfo:
            hub.revoke()

        assert CRM == excinfo.value.service
        # If the response was lost, the token was revoked although no process knows that.
        with suppress(AuthorizationRequired):
            hub.get()
        assert [400 if kind is ConnectionFailed else 200] == [
            request.status for request in server.requests
        ]


@IN_BOTH
def test_lost_renewal_is_revoked(mode: str) -> None:
    """If the response to a renewal was lost, revoking the old token ends the whole grant."""
    with AuthorizationServer() as server:
        hub = Hub(mode, server)
        hub.keep(stale=True)
        server.order(lost_answer(), lost_answer())
        with pytest.raises(CredentialRefreshFailed, match="lost"):
            hub.get()
        request_count = len(server.requests)
        # Another process may send the old token until then.
        hub.clock.advance(30)
        hub.revoke()

        with pytest.raises(AuthorizationRequired):
            hub.get()
        assert request_count == len(server.requests)
        assert 0 == server.live_families


@IN_BOTH
def test_revocation_waits_for_a_renewal(mode: str) -> None:
    """Revocation waits for another process's renewal, at most until its own timeout."""
    with AuthorizationServer() as server:
        hub = Hub(mode, server)
        hub.clock.advance(100)
        stored_credentials = hub.keep()
        _hold_claim(hub, stored_credentials, 30.0)
        with pytest.raises(
            CredentialRefreshFailed, match="longer than this call can wait"
        ) as excinfo:
            hub.revoke()
        assert 1 == server.live_families
        assert [0.02, 0.04, 0.08, 0.16, *[0.25] * 10] == hub.clock.slept
        assert CRM == excinfo.value.service

        hub.clock.advance(30)
        hub.revoke()
        assert 0 == server.live_families


@IN_BOTH
def test_revocation_wait_is_bounded(mode: str) -> None:
    """Revocation waits until another process's claim ends, but no longer than its own timeout."""
    with AuthorizationServer() as server:
        hub = Hub(mode, server, patience=0.02)
        _hold_claim(hub, hub.keep(), 0.01)
        hub.revoke()
        assert [0.01] == hub.clock.slept

        hub.clock.slept.clear()
        _hold_claim(hub, hub.keep(), 30.0)
        with pytest.raises(CredentialRefreshFailed):
            hub.revoke()
        assert [0.02] == hub.clock.slept


@IN_BOTH
def test_revocation_waits_for_a_repeated_renewal(mode: str) -> None:
    """Revocation also waits for the repeat of a renewal whose response was lost."""
    with AuthorizationServer() as server:
        hub = Hub(mode, server)
        stored_credentials = hub.keep()
        first = _hold_claim(hub, stored_credentials, 30.0)
        hub.memory.execute(MarkSent(first.keys[0], hub.fence, first.target))
        hub.memory.execute(abandon_claim(first.keys[0], fence=hub.fence, ttl=10**12))
        _hold_claim(hub, stored_credentials, 30.0, again=True)
        with pytest.raises(CredentialRefreshFailed, match="longer than this call can wait"):
            hub.revoke()
        assert 1 == server.live_families

        hub.clock.advance(30)
        hub.revoke()
        assert 0 == server.live_families


@IN_BOTH
def test_claim_covers_the_revocation(mode: str) -> None:
    """A claim for a revocation lasts as long as the revocation may, and has a single owner."""
    with AuthorizationServer() as server:
        hub = Hub(mode, server)
        for _ in range(2):
            hub.keep()
            hub.revoke()
        claims = [command for command in hub.memory.commands if isinstance(command, Claim)]

        assert 2 == len({claim.owner for claim in claims})
        assert [(9_000_000, server.token_url, 0)] * 2 == [
            (claim.lease, claim.target, claim.remembered) for claim in claims
        ]


def _hold_claim(
    office: Hub, stored: OAuthCredentials, lease: float, *, again: bool = False
) -> Claim:
    """Claim the renewal in the role of another process, for a number of seconds."""
    command = Claim(
        claim_key((CRM, None), office.client, stored, use="again" if again else "first"),
        fingerprint=GRANT,
        owner=7,
        lease=int(lease * 10**6),
        ttl=10**9,
        target=office.client.at("token_endpoint"),
        remembered=0,
    )
    office.fence = office.memory.execute(command).fence
    return command


@IN_BOTH
def test_impossible_revocations_are_refused(mode: str) -> None:
    """Revoking missing or unsuitable credentials raises an error, as does a missing endpoint."""
    with AuthorizationServer() as server:
        hub = Hub(mode, server)
        with pytest.raises(CredentialNotFound):
            hub.revoke()
        with pytest.raises(ConfigurationError, match="'erp'") as excinfo:
            hub.run(lambda tokens: tokens.revoke("erp"))
        assert "clients" == excinfo.value.path
        assert "Pass the name of a service that has an OAuth client" in excinfo.value.remedy

        key = Credentials.bearer("k3y")
        hub.run(lambda tokens: tokens.rotate(CRM, None, key))
        with pytest.raises(ConfigurationError, match="'crm'"):
            hub.revoke()

        result = endpoints(server, revocation_endpoint=None)
        with pytest.raises(ConfigurationError, match="revocation_endpoint"):
            Hub(mode, server, client_of(server, server=result)).revoke()
        assert 0 == server.connections


@IN_BOTH
def test_store_commands_of_a_revocation_have_timeouts(mode: str) -> None:
    """A revocation claims the token with its own timeout, and settles it with the renewal's."""
    with AuthorizationServer() as server:
        hub = Hub(mode, server)
        hub.keep()
        storage = TimedStorage(hub.clock)
        hub.storage = AsyncMemoryStorage(storage) if hub.is_async else storage
        hub.revoke()
        assert ["Claim", "Settle"] == [name for name, _ in storage.timeouts]
        assert [3.0, 8.0] == [timeout for _, timeout in storage.timeouts]
