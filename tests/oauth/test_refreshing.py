"""The token that a refresher returns to a caller, and the time when it renews the token."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    AuthorizationRequired,
    AuthorizationServer,
    ClientCredentials,
    ConfigurationError,
    ConnectionFailed,
    ConsentNeeded,
    CredentialNotFound,
    CredentialRefreshFailed,
    Credentials,
    OAuthCredentials,
    OAuthTokenRefresher,
    Response,
    Secret,
    StorageUnavailable,
    TokenExchange,
    TokenNotRenewed,
    VendorFailed,
)
from moorage.domain.oauth.freshness import Freshness, Span
from moorage.services.oauth.token_refresher import CachedToken
from tests.oauth.refresher_harness import (
    OWNER,
    TOKENS,
    OAuthHarness,
    Vault,
    client,
    form_fields,
    json_response,
    token,
    token_response,
)
from tests.support.modes import Harness, sync_and_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage import OAuthClient

SERVER = AuthorizationServer(token_endpoint=TOKENS, revocation_endpoint=f"{TOKENS}/revoke")
GIVING_BACK = client(server=SERVER)
CLIENTS_WITHOUT_CONSENT = {"crm": client(grant=ClientCredentials(), scope="read")}


@sync_and_async
async def test_a_first_token_is_obtained(harness: Harness) -> None:
    """If no user consent is needed, the first call obtains a token, and later calls reuse it."""
    oauth_harness = OAuthHarness(harness)
    refresher = oauth_harness.refresher(CLIENTS_WITHOUT_CONSENT)
    oauth_harness.vendor.answers(token_response(1))

    first = await refresher.get(*OWNER)
    reads = oauth_harness.vault.reads
    second = await refresher.get(*OWNER)

    assert first == second == oauth_harness.kept
    assert Secret("at-1") == first.access_token
    assert reads == oauth_harness.vault.reads
    assert [{"grant_type": "client_credentials", "scope": "read"}] == oauth_harness.token_requests()
    assert ["TokenRenewed"] == harness.event_names()


@sync_and_async
async def test_fresh_token_is_used(harness: Harness) -> None:
    """A stored token that is still fresh is used without a token request."""
    oauth_harness = OAuthHarness(harness, token(1))
    refresher = oauth_harness.refresher()

    assert token(1) == await refresher.get(*OWNER)
    assert [] == oauth_harness.token_requests()


@sync_and_async
async def test_expired_token_is_renewed(harness: Harness) -> None:
    """An expired token is renewed by one request, and the new token is stored before it is used."""
    oauth_harness = OAuthHarness(harness, token(1, ago=7200))
    oauth_harness.vendor.answers(token_response(2))

    result = await oauth_harness.refresher().get(*OWNER)

    assert Secret("at-2") == result.access_token
    assert result == oauth_harness.kept
    assert [
        {"grant_type": "refresh_token", "refresh_token": "rt-1"}
    ] == oauth_harness.token_requests()
    assert harness.clock.utc() == result.issued_at


@sync_and_async
async def test_one_caller_renews_an_expiring_token_while_others_use_it(harness: Harness) -> None:
    """If a token expires soon, one caller renews it while others still use the old token."""
    stored_credentials = token(1, ago=3560)
    oauth_harness = OAuthHarness(harness, stored_credentials)
    refresher = oauth_harness.refresher()
    gate = harness.gate()
    oauth_harness.vendor.answers(gate.answering(token_response(2)))

    renewing = harness.start(lambda: refresher.get(*OWNER))
    await gate.reached()
    assert stored_credentials == await refresher.get(*OWNER)
    oauth_harness.vault.kept["crm", "beta"] = token(5, ago=3560)
    oauth_harness.vendor.answers(token_response(6))
    assert Secret("at-6") == (await refresher.get("crm", "beta")).access_token
    gate.open()

    assert Secret("at-2") == (await renewing.result()).access_token
    reads = oauth_harness.vault.reads
    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token
    assert reads == oauth_harness.vault.reads
    assert ["rt-1", "rt-5"] == oauth_harness.shown_refresh_tokens()


@sync_and_async
async def test_refused_caller_waits_for_an_early_renewal(harness: Harness) -> None:
    """A caller whose token the service refused waits for a renewal that is already running."""
    oauth_harness = OAuthHarness(harness, token(1, ago=3560))
    refresher = oauth_harness.refresher()
    gate = harness.gate()
    oauth_harness.vendor.answers(gate.answering(token_response(2)))
    ahead = harness.start(lambda: refresher.get(*OWNER))
    await gate.reached()
    refused_caller = harness.start(lambda: refresher.refresh(*OWNER, token(1, ago=3560)))
    await harness.wait(harness.locks.arrived)
    gate.open()

    assert await ahead.result() == await refused_caller.result()
    assert ["rt-1"] == oauth_harness.shown_refresh_tokens()


@sync_and_async
async def test_early_renewal_may_fail(harness: Harness) -> None:
    """If an early renewal fails, the valid token is used, and the next call does not try again."""
    stored_credentials = token(1, ago=3550)
    oauth_harness = OAuthHarness(harness, stored_credentials)
    refresher = oauth_harness.refresher(retry=None)
    oauth_harness.vendor.otherwise = 503

    assert stored_credentials == await refresher.get(*OWNER)
    count = len(oauth_harness.token_requests())
    assert stored_credentials == await refresher.get(*OWNER)
    assert count == len(oauth_harness.token_requests()) == 3
    assert ["TokenNotRenewed"] == harness.event_names()
    assert [
        TokenNotRenewed(
            at=harness.clock.utc(),
            service="crm",
            tenant="acme",
            error="CredentialRefreshFailed",
            still_works=True,
        )
    ] == harness.events

    harness.clock.advance(6)
    oauth_harness.vendor.otherwise = token_response(2)
    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token


@sync_and_async
async def test_early_renewal_respects_retry_after(harness: Harness) -> None:
    """While the token is still valid, early renewal waits for the server's `Retry-After`."""
    stored_credentials = token(1, ago=3530)
    oauth_harness = OAuthHarness(harness, stored_credentials)
    refresher = oauth_harness.refresher()
    oauth_harness.vendor.otherwise = json_response({}, 429, Retry_After="61")

    for _ in range(3):
        assert stored_credentials == await refresher.get(*OWNER)
        harness.clock.advance(6)
    assert 1 == len(oauth_harness.token_requests())


@sync_and_async
async def test_postponed_renewal_holds_for_concurrent_readers(harness: Harness) -> None:
    """If an early renewal is postponed, a caller that is just reading the store obeys that too."""
    stored_credentials = token(1, ago=3530)
    oauth_harness = OAuthHarness(harness, stored_credentials)
    pending_owners = [OWNER]
    read = oauth_harness.vault.get

    async def read_slowly(service: str, tenant: str | None, /) -> Any:
        if pending_owners:
            await refresher.get(*pending_owners.pop())
        return await read(service, tenant)

    oauth_harness.vault.get = read_slowly  # type: ignore[method-assign]  # as if another thread were quicker
    refresher = oauth_harness.refresher()
    oauth_harness.vendor.otherwise = json_response({}, 429, Retry_After="61")

    assert stored_credentials == await refresher.get(*OWNER)
    assert 1 == len(oauth_harness.token_requests())


def test_postponed_token_is_fresh_until_it_is_past() -> None:
    """A token whose renewal is postponed is used until that time, or until it expires."""
    held_token = CachedToken(token(1), Span(10.0, 20.0), now=0, trusted_seconds=5.0)
    seconds = 10**9
    held_token.postpone_renewal(15 * seconds)
    reports = [held_token.freshness(now * seconds) for now in (9, 12, 16)]
    held_token.postpone_renewal(30 * seconds)

    assert [Freshness.FRESH, Freshness.FRESH, Freshness.DUE] == reports
    assert Freshness.PAST is held_token.freshness(25 * seconds)


@sync_and_async
async def test_refused_token_is_renewed_once(harness: Harness) -> None:
    """A 401 response renews a token regardless of its expiry; later callers get the new token."""
    oauth_harness = OAuthHarness(harness, token(1))
    refresher, other_refresher = oauth_harness.refresher(), oauth_harness.refresher()
    oauth_harness.vendor.answers(token_response(2))
    stale_token = await refresher.get(*OWNER)
    assert stale_token == await other_refresher.get(*OWNER)

    new_value = await refresher.refresh(*OWNER, stale_token)
    assert new_value == await refresher.refresh(*OWNER, stale_token)
    assert new_value == await other_refresher.refresh(*OWNER, stale_token)

    assert Secret("at-2") == new_value.access_token
    assert ["rt-1"] == oauth_harness.shown_refresh_tokens()


@sync_and_async
async def test_refused_token_is_not_used_again(harness: Harness) -> None:
    """A token that the service refused is not used again, even if no new one is available."""
    oauth_harness = OAuthHarness(harness, token(1))
    refresher = oauth_harness.refresher()
    stale_token = await refresher.get(*OWNER)
    oauth_harness.vault.is_away = StorageUnavailable("It is away.")

    for token_request in (refresher.refresh(*OWNER, stale_token), refresher.get(*OWNER)):
        with pytest.raises(StorageUnavailable):
            await token_request


@sync_and_async
async def test_newer_stored_token_is_used_at_once(harness: Harness) -> None:
    """If the store already has a newer token, a caller uses it without waiting for a renewal."""
    oauth_harness = OAuthHarness(harness, token(1, ago=7200))
    refresher = oauth_harness.refresher()
    gate = harness.gate()
    oauth_harness.vendor.answers(gate.answering(token_response(2)))
    renewing = harness.start(lambda: refresher.get(*OWNER))
    await gate.reached()
    oauth_harness.vault.kept[OWNER] = token(5)
    harness.impatient = True

    assert token(5) == await refresher.refresh(*OWNER, token(1, ago=7200))
    reads = oauth_harness.vault.reads
    assert token(5) == await refresher.get(*OWNER)
    assert reads == oauth_harness.vault.reads
    gate.open()
    await renewing.result()


@sync_and_async
async def test_stored_refresh_token_is_used(harness: Harness) -> None:
    """A renewal sends the stored refresh token, not that of the caller's refused credentials."""
    stored_credentials = attrs.evolve(token(1), refresh_token="rt-9")
    oauth_harness = OAuthHarness(harness, stored_credentials)
    oauth_harness.vendor.answers(token_response(2))
    await oauth_harness.refresher().refresh(*OWNER, token(1))

    assert ["rt-9"] == oauth_harness.shown_refresh_tokens()


@sync_and_async
async def test_client_without_consent_gets_a_token_although_the_store_is_empty(
    harness: Harness,
) -> None:
    """A client that needs no user consent gets a new token if the credential store is empty."""
    oauth_harness = OAuthHarness(harness)
    oauth_harness.vendor.answers(token_response(2, refresh_token=None))
    new_value = await oauth_harness.refresher(CLIENTS_WITHOUT_CONSENT).refresh(*OWNER, token(1))

    assert (Secret("at-2"), Secret("rt-1")) == (new_value.access_token, new_value.refresh_token)
    oauth_harness.vault.kept.clear()
    with pytest.raises(CredentialNotFound):
        await oauth_harness.refresher().refresh(*OWNER, token(1))


@sync_and_async
async def test_concurrent_callers_send_one_refresh_request(harness: Harness) -> None:
    """Concurrent callers with an expired token cause one refresh request."""
    oauth_harness = OAuthHarness(harness, token(1, ago=7200))
    refresher = oauth_harness.refresher()
    oauth_harness.vendor.answers(token_response(2))

    results = await harness.run_together(*[lambda: refresher.get(*OWNER)] * 7)

    assert [Secret("at-2")] * 7 == [result.access_token for result in results]
    assert ["rt-1"] == oauth_harness.shown_refresh_tokens()


@sync_and_async
async def test_waiting_callers_share_the_failure(harness: Harness) -> None:
    """Callers that wait for a token renewal get its error, without another request."""
    oauth_harness = OAuthHarness(harness, token(1, ago=7200))
    refresher = oauth_harness.refresher()
    for times in (1, 2):
        gate = harness.gate()
        oauth_harness.vendor.answers(
            gate.answering(json_response({"error": "invalid_client"}, 401))
        )
        first = harness.start(lambda: refresher.get(*OWNER))
        await gate.reached()
        harness.locks.arrived.clear()
        second = harness.start(lambda: refresher.get(*OWNER))
        await harness.wait(harness.locks.arrived)
        gate.open()

        raised_errors = [await _raised_error(item.result()) for item in (first, second)]

        assert times == len(oauth_harness.token_requests())
        assert [True, True] == ["invalid_client" in str(error) for error in raised_errors]
    reports = ("CredentialRefreshFailed", False)
    assert [reports, reports] == [(event.error, event.still_works) for event in harness.events]
    assert raised_errors[0] is not raised_errors[1]
    assert ["TokenNotRenewed"] * 2 == harness.event_names()
    oauth_harness.vendor.answers(token_response(2))
    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token


async def _raised_error(pending: Any) -> CredentialRefreshFailed:
    with pytest.raises(CredentialRefreshFailed) as excinfo:
        await pending
    return excinfo.value


@sync_and_async
async def test_retry_after_holds_for_every_caller(harness: Harness) -> None:
    """Until a `Retry-After` has passed, every caller gets the error, without a token request."""
    oauth_harness = OAuthHarness(harness, token(1, ago=7200))
    refresher = oauth_harness.refresher()
    oauth_harness.vendor.answers(json_response({}, 503, Retry_After="120"))

    first = await _raised_error(refresher.get(*OWNER))
    second = await _raised_error(refresher.get(*OWNER))

    assert 1 == len(oauth_harness.token_requests())
    assert harness.clock.utc() + timedelta(seconds=120) == first.retry_at == second.retry_at
    assert first.retryable
    harness.clock.advance(120)
    oauth_harness.vendor.answers(token_response(2))
    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token


@sync_and_async
async def test_success_clears_an_earlier_retry_after(harness: Harness) -> None:
    """A successful renewal clears an earlier `Retry-After`, even if the clock steps back."""
    oauth_harness = OAuthHarness(harness, token(1, ago=7200))
    refresher = oauth_harness.refresher()
    oauth_harness.vendor.answers(
        json_response({}, 503, Retry_After="120"), token_response(2), token_response(3)
    )
    await _raised_error(refresher.get(*OWNER))
    harness.clock.advance(120)
    second = await refresher.get(*OWNER)
    harness.clock.advance(-60)

    assert Secret("at-3") == (await refresher.refresh(*OWNER, second)).access_token


@sync_and_async
async def test_token_of_30_seconds_is_not_renewed_at_every_call(harness: Harness) -> None:
    """A token with a lifetime of 30 seconds is not renewed at every call."""
    oauth_harness = OAuthHarness(harness, token(1, ago=7200))
    refresher = oauth_harness.refresher()
    oauth_harness.vendor.answers(
        token_response(2, expires_in=30), token_response(3, expires_in="30")
    )

    for _ in range(19):
        await refresher.get(*OWNER)
        harness.clock.advance(1)
    assert 1 == len(oauth_harness.token_requests())
    for _ in range(4):
        harness.clock.advance(1)
        await refresher.get(*OWNER)
    assert ["rt-1", "rt-2"] == oauth_harness.shown_refresh_tokens()


@sync_and_async
async def test_token_without_a_lifetime_is_used_until_refused(harness: Harness) -> None:
    """A token without a stated lifetime is used until the service refuses it."""
    oauth_harness = OAuthHarness(harness, token(1, life=None))
    refresher = oauth_harness.refresher()
    oauth_harness.vendor.answers(token_response(2, expires_in=None))

    harness.clock.advance(10**7)
    stale_token = await refresher.get(*OWNER)
    assert token(1, life=None) == stale_token
    await refresher.refresh(*OWNER, stale_token)
    harness.clock.advance(10**7)

    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token
    assert 1 == len(oauth_harness.token_requests())


@sync_and_async
async def test_token_renewed_by_another_process_is_found(harness: Harness) -> None:
    """The credential store is read again after a minute, and returns another process's token."""
    oauth_harness = OAuthHarness(harness, token(1))
    refresher = oauth_harness.refresher()
    await refresher.get(*OWNER)
    oauth_harness.vault.kept[OWNER] = token(2)

    assert token(1) == await refresher.get(*OWNER)
    harness.clock.advance(61)
    assert token(2) == await refresher.get(*OWNER)
    assert [] == oauth_harness.token_requests()


@sync_and_async
async def test_valid_token_survives_a_store_outage(harness: Harness) -> None:
    """If the credential store is unavailable, a valid token is used; an expired one is not."""
    oauth_harness = OAuthHarness(harness, token(1))
    refresher = oauth_harness.refresher()
    await refresher.get(*OWNER)
    oauth_harness.vault.is_away = StorageUnavailable("It is away.")
    harness.clock.advance(61)

    reads = oauth_harness.vault.reads
    assert token(1) == await refresher.get(*OWNER)
    assert token(1) == await refresher.get(*OWNER)
    assert reads + 1 == oauth_harness.vault.reads
    harness.clock.advance(6)
    assert token(1) == await refresher.get(*OWNER)
    assert reads + 2 == oauth_harness.vault.reads
    harness.clock.advance(3600)
    with pytest.raises(StorageUnavailable):
        await refresher.get(*OWNER)
    with pytest.raises(StorageUnavailable):
        await oauth_harness.refresher().get(*OWNER)


@sync_and_async
async def test_missing_consent_is_credential_not_found(harness: Harness) -> None:
    """A call without the user's consent raises CredentialNotFound."""
    oauth_harness = OAuthHarness(harness)
    refresher = oauth_harness.refresher()

    with pytest.raises(CredentialNotFound):
        await refresher.get(*OWNER)
    assert not await refresher.has(*OWNER)
    assert await oauth_harness.refresher(CLIENTS_WITHOUT_CONSENT).has(*OWNER)


@sync_and_async
async def test_new_consent_is_used_at_once(harness: Harness) -> None:
    """After the user consents again, the new tokens are used, and an earlier failure is cleared."""
    oauth_harness = OAuthHarness(harness, token(1, ago=7200))
    refresher = oauth_harness.refresher()
    oauth_harness.vendor.answers(json_response({"error": "invalid_grant"}, 400))
    with pytest.raises(AuthorizationRequired):
        await refresher.get(*OWNER)

    await refresher.rotate(*OWNER, token(5))

    assert await refresher.has(*OWNER)
    assert token(5) == await refresher.get(*OWNER) == oauth_harness.kept
    assert 1 == len(oauth_harness.token_requests())


@sync_and_async
async def test_new_consent_is_renewed_at_once(harness: Harness) -> None:
    """After a new consent, a token is renewed at once, despite the old grant's `Retry-After`."""
    oauth_harness = OAuthHarness(harness, token(1, ago=7200))
    refresher = oauth_harness.refresher()
    oauth_harness.vendor.answers(json_response({}, 503, Retry_After="120"), token_response(6))
    await _raised_error(refresher.get(*OWNER))

    await refresher.rotate(*OWNER, token(5, ago=7200))

    assert Secret("at-6") == (await refresher.get(*OWNER)).access_token


@sync_and_async
async def test_revocation_sends_token_and_type(harness: Harness) -> None:
    """Revoking a token sends the token and its type to the server, and ends its use."""
    oauth_harness = OAuthHarness(harness, token(1, ago=7200))
    refresher = oauth_harness.refresher({OWNER: GIVING_BACK})
    oauth_harness.vendor.answers(json_response({}, 503, Retry_After="120"), json_response({}))
    await _raised_error(refresher.get(*OWNER))
    oauth_harness.vendor.requests.clear()

    await refresher.revoke(*OWNER)

    assert [{"token": "rt-1", "token_type_hint": "refresh_token"}] == oauth_harness.token_requests()
    with pytest.raises(AuthorizationRequired, match="A person must authorise 'crm' again"):
        await refresher.get(*OWNER)
    result = harness.events[-2]
    assert isinstance(result, ConsentNeeded)
    assert "the authorisation has ended" == result.reason
    with pytest.raises(ConfigurationError):
        await refresher.revoke("crm", None)


@sync_and_async
async def test_revocation_waits_for_a_later_use_of_the_token(harness: Harness) -> None:
    """After two lost token responses, a token is only revoked once no renewal may send it."""
    oauth_harness = OAuthHarness(harness, token(1, ago=7200))
    refresher = oauth_harness.refresher({OWNER: GIVING_BACK}, patience=5.0)
    cut_off = ConnectionFailed("reset", may_have_been_processed=True)
    oauth_harness.vendor.answers(cut_off, cut_off, json_response({}))
    await _raised_error(refresher.get(*OWNER))
    oauth_harness.vendor.requests.clear()

    with pytest.raises(CredentialRefreshFailed, match="Another process is renewing the token"):
        await refresher.revoke(*OWNER)
    assert [] == oauth_harness.token_requests()
    harness.clock.advance(22)
    await refresher.revoke(*OWNER)

    assert [{"token": "rt-1", "token_type_hint": "refresh_token"}] == oauth_harness.token_requests()
    with pytest.raises(AuthorizationRequired, match="A person must authorise 'crm' again"):
        await refresher.get(*OWNER)


class ChangingVault(Vault):
    """A credential store that changes after its first read."""

    def __init__(self, harness: Harness, change: Callable[[Vault], None]) -> None:
        super().__init__(harness)
        self.kept[OWNER] = token(1)
        self._change = change

    async def get(self, service: str, tenant: str | None, /) -> Any:
        """Return the stored token; after the first read, change the store."""
        stored_credentials = await super().get(service, tenant)
        if self.reads == 1:
            self._change(self)
        return stored_credentials


@pytest.mark.parametrize("stored_meanwhile", [token(5), None], ids=["consent", "nothing"])
@sync_and_async
async def test_consent_during_a_revocation_stays(
    harness: Harness, stored_meanwhile: OAuthCredentials | None
) -> None:
    """The token of a consent that ends during a revocation is not replaced by an expired one."""
    oauth_harness = OAuthHarness(harness, token(1))
    gate = harness.gate()
    oauth_harness.vendor.answers(gate.answering(Response(200, {}, b"")))
    revoking = harness.start(lambda: oauth_harness.refresher({OWNER: GIVING_BACK}).revoke(*OWNER))
    await gate.reached()
    if stored_meanwhile is None:
        del oauth_harness.vault.kept[OWNER]
    else:
        oauth_harness.vault.kept[OWNER] = stored_meanwhile
    gate.open()
    await revoking.result()

    assert stored_meanwhile == oauth_harness.vault.kept.get(OWNER)
    assert ["rt-1"] == [request["token"] for request in oauth_harness.token_requests()]


@sync_and_async
async def test_token_renewed_just_before_revocation_is_revoked(harness: Harness) -> None:
    """If another process renews a token just before it is revoked, the new token is revoked."""
    oauth_harness = OAuthHarness(harness)
    oauth_harness.vault = ChangingVault(harness, lambda vault: vault.kept.update({OWNER: token(2)}))
    oauth_harness.vendor.otherwise = 200

    await oauth_harness.refresher({OWNER: GIVING_BACK}).revoke(*OWNER)

    assert ["rt-2"] == [request["token"] for request in oauth_harness.token_requests()]
    assert Secret("rt-2") == oauth_harness.kept.refresh_token
    assert oauth_harness.kept.expires_at < harness.clock.utc()


@sync_and_async
async def test_revocation_succeeds_after_the_store_recovers(harness: Harness) -> None:
    """If the store fails after a token was claimed, the token can be revoked once it works again.

    Nothing was sent, so no caller waits until the claim expires.
    """
    oauth_harness = OAuthHarness(harness)
    failure = StorageUnavailable("The store is away.")
    oauth_harness.vault = ChangingVault(harness, lambda vault: setattr(vault, "is_away", failure))
    refresher = oauth_harness.refresher({OWNER: GIVING_BACK})
    oauth_harness.vendor.otherwise = 200
    with pytest.raises(StorageUnavailable):
        await refresher.revoke(*OWNER)
    assert [] == oauth_harness.token_requests()
    oauth_harness.vault.is_away = None

    await refresher.revoke(*OWNER)

    assert ["rt-1"] == [request["token"] for request in oauth_harness.token_requests()]
    assert [] == harness.sleeper.slept


@sync_and_async
async def test_refused_revocation_reports_retry_after(harness: Harness) -> None:
    """If the server refuses a revocation with a `Retry-After`, the error has that time."""
    oauth_harness = OAuthHarness(harness, token(1))
    refresher = oauth_harness.refresher({OWNER: GIVING_BACK})
    oauth_harness.vendor.answers(
        json_response({}, 503, Retry_After="Thu, 01 Jan 2026 00:02:00 GMT")
    )

    with pytest.raises(VendorFailed) as excinfo:
        await refresher.revoke(*OWNER)

    assert "crm" == excinfo.value.service
    assert harness.clock.utc() + timedelta(seconds=120) == excinfo.value.retry_at


@sync_and_async
async def test_other_credentials_come_from_the_vault(harness: Harness) -> None:
    """Credentials of other kinds, or of services without an OAuth client, are not changed."""
    oauth_harness = OAuthHarness(harness)
    key = Credentials.api_key("k")
    oauth_harness.vault.kept |= {OWNER: key, ("vat", None): token(9, ago=7200)}
    refresher = oauth_harness.refresher()

    assert key == await refresher.get(*OWNER)
    assert token(9, ago=7200) == await refresher.get("vat", None)
    assert ("refreshed", "vat", None, token(9)) == await refresher.refresh("vat", None, token(9))
    assert ("refreshed", *OWNER, key) == await refresher.refresh(*OWNER, key)
    assert await refresher.has("vat", None)
    assert [] == oauth_harness.token_requests()


@pytest.mark.parametrize(
    "clients", [{"crm": client()}, CLIENTS_WITHOUT_CONSENT], ids=["consent", "alone"]
)
@sync_and_async
async def test_refused_token_was_replaced_by_a_key(
    harness: Harness, clients: dict[str, OAuthClient]
) -> None:
    """If an operator stored an API key after a token was read, it replaces the refused token."""
    oauth_harness = OAuthHarness(harness, token(1))
    refresher = oauth_harness.refresher(clients)
    stale_token = await refresher.get(*OWNER)
    key = Credentials.api_key("k")
    oauth_harness.vault.kept[OWNER] = key

    assert key == await refresher.refresh(*OWNER, stale_token)
    assert key == await refresher.get(*OWNER)
    assert [] == oauth_harness.token_requests()


@sync_and_async
async def test_clients_may_differ_by_tenant(harness: Harness) -> None:
    """An OAuth client is found by service and tenant, or else by service, or by a function."""
    oauth_harness = OAuthHarness(harness)
    own_client, foreign_client = (
        client(grant=ClientCredentials(), client_id=name) for name in "ab"
    )
    for clients in (
        {"crm": foreign_client, OWNER: own_client},
        lambda service, tenant: own_client if (service, tenant) == OWNER else foreign_client,
    ):
        oauth_harness.vault.kept.clear()
        oauth_harness.vendor.requests.clear()
        oauth_harness.vendor.answers(token_response(1), token_response(2))
        refresher = oauth_harness.refresher(clients)
        await refresher.get(*OWNER)
        await refresher.get("crm", None)

        names = [
            sent_request.header("Authorization") for sent_request in oauth_harness.vendor.requests
        ]
        assert ["Basic YTpodXNo", "Basic YjpodXNo"] == names


@sync_and_async
async def test_all_operations_use_the_tenants_oauth_client(harness: Harness) -> None:
    """Refreshing a token, and checking that one exists, use the tenant's own OAuth client."""
    oauth_harness = OAuthHarness(harness)
    oauth_harness.vendor.answers(token_response(2))
    refresher = oauth_harness.refresher({OWNER: client(grant=ClientCredentials())})

    assert await refresher.has(*OWNER)
    assert not await refresher.has("crm", None)
    assert Secret("at-2") == (await refresher.refresh(*OWNER, token(1))).access_token


def test_clients_must_be_oauth_clients() -> None:
    """A configured or looked-up client that is not an OAuthClient is refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        OAuthTokenRefresher({"crm": "https://login.example"})  # type: ignore[dict-item]  # refused
    assert "clients['crm']" == excinfo.value.path
    refresher = OAuthTokenRefresher(lambda service, _: service)  # type: ignore[arg-type,return-value]  # refused
    with pytest.raises(ConfigurationError):
        refresher.get("crm", None)


@sync_and_async
async def test_a_token_is_exchanged(harness: Harness) -> None:
    """A token exchange sends another service's current OAuth token, renewed if needed."""
    oauth_harness = OAuthHarness(harness)
    oauth_harness.vault.kept["idp", "acme"] = token(1, ago=7200)
    oauth_harness.vendor.answers(token_response(2), token_response(7))
    refresher = oauth_harness.refresher(
        {
            "idp": client(client_id="idp"),
            "crm": client(grant=TokenExchange(subject="idp"), authentication="client_secret_post"),
        }
    )

    assert Secret("at-7") == (await refresher.get(*OWNER)).access_token
    assert ["rt-1", None] == oauth_harness.shown_refresh_tokens()
    assert "at-2" == oauth_harness.token_requests()[1]["subject_token"]


@sync_and_async
async def test_bearer_token_can_be_exchanged(harness: Harness) -> None:
    """A plain bearer token can be the subject token of a token exchange."""
    oauth_harness = OAuthHarness(harness)
    oauth_harness.vault.kept["idp", "acme"] = Credentials.bearer("plain")
    oauth_harness.vendor.answers(token_response(7))

    await oauth_harness.refresher({"crm": client(grant=TokenExchange(subject="idp"))}).get(*OWNER)

    assert "plain" == oauth_harness.token_requests()[0]["subject_token"]


@sync_and_async
async def test_errors_and_events_show_no_secret(harness: Harness) -> None:
    """No error or event of a token refresher shows a token or secret that the server repeats."""
    oauth_harness = OAuthHarness(harness, token(1, ago=7200))
    oauth_harness.vendor.answers(
        ConnectionFailed("It was cut off.", may_have_been_processed=False),
        json_response({"error": "invalid_grant", "error_description": "rt-1 of erp:hush"}, 400),
    )

    error = await _raised_error(oauth_harness.refresher().get(*OWNER))

    for shown_error in (str(error), repr(error), repr(harness.events), repr(error.__cause__)):
        assert "rt-1" not in shown_error
        assert "hush" not in shown_error
    assert isinstance(error, AuthorizationRequired)


@sync_and_async
async def test_refresher_hides_secrets_and_needs_no_observers(harness: Harness) -> None:
    """A token refresher's repr shows no secret, and its observers are optional."""
    oauth_harness = OAuthHarness(harness, token(1, ago=7200))
    refresher = oauth_harness.refresher(observers=None, vault=None)
    oauth_harness.vendor.otherwise = 503

    assert "hush" not in repr(refresher.manager)
    assert repr(refresher.manager).startswith("<")
    with pytest.raises(CredentialNotFound):
        await refresher.get(*OWNER)
    await refresher.rotate(*OWNER, token(1, ago=3530))
    assert token(1, ago=3530) == await refresher.get(*OWNER)
    await refresher.rotate(*OWNER, token(1, ago=7200))
    with pytest.raises(CredentialRefreshFailed):
        await refresher.get(*OWNER)
    oauth_harness.vendor.otherwise = json_response({"error": "invalid_grant"}, 400)
    with pytest.raises(AuthorizationRequired):
        await refresher.get(*OWNER)
    assert form_fields(oauth_harness.vendor.requests[-1].request.body)


@sync_and_async
async def test_wait_for_a_renewal_is_bounded(harness: Harness) -> None:
    """A caller that cannot wait for a running token renewal gets a retryable error in time."""
    oauth_harness = OAuthHarness(harness, token(1, ago=7200))
    refresher = oauth_harness.refresher(patience=3)
    gate = harness.gate()
    oauth_harness.vendor.answers(gate.answering(token_response(2)))
    first = harness.start(lambda: refresher.get(*OWNER))
    await gate.reached()
    harness.impatient = True

    error = await _raised_error(refresher.get(*OWNER))

    assert "longer than this call can wait" in str(error)
    assert error.retryable
    assert "crm" == error.service
    gate.open()
    assert isinstance(await first.result(), OAuthCredentials)
