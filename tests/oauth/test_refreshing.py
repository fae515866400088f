"""Who gets which token, and when it is renewed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

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
    Secret,
    StorageUnavailable,
    TokenExchange,
    TokenNotRenewed,
    VendorFailed,
)
from moorage.domain.oauth.freshness import Freshness, Span
from moorage.services.oauth.token_refresher import Held
from tests.oauth.world import OWNER, TOKENS, Stage, answers, client, form, grants, token
from tests.support.modes import World, sync_and_async

SERVER = AuthorizationServer(token_endpoint=TOKENS, revocation_endpoint=f"{TOKENS}/revoke")
GIVING_BACK = client(server=SERVER)
ALONE = {"crm": client(grant=ClientCredentials(), scope="read")}


@sync_and_async
async def test_a_first_token_is_obtained(world: World) -> None:
    """Where nobody is needed, the first call gets a token, and the next ones have it."""
    stage = Stage(world)
    refresher = stage.refresher(ALONE)
    stage.vendor.answers(grants(1))

    first = await refresher.get(*OWNER)
    reads = stage.vault.reads
    second = await refresher.get(*OWNER)

    assert first == second == stage.kept
    assert Secret("at-1") == first.access_token
    assert reads == stage.vault.reads
    assert [{"grant_type": "client_credentials", "scope": "read"}] == stage.asked()
    assert ["TokenRenewed"] == world.told()


@sync_and_async
async def test_a_token_that_works_is_used(world: World) -> None:
    """What is kept and fresh is asked for at nobody."""
    stage = Stage(world, token(1))
    refresher = stage.refresher()

    assert token(1) == await refresher.get(*OWNER)
    assert [] == stage.asked()


@sync_and_async
async def test_what_has_expired_is_renewed(world: World) -> None:
    """The refresh token is shown once, and what is granted is stored before it is used."""
    stage = Stage(world, token(1, ago=7200))
    stage.vendor.answers(grants(2))

    result = await stage.refresher().get(*OWNER)

    assert Secret("at-2") == result.access_token
    assert result == stage.kept
    assert [{"grant_type": "refresh_token", "refresh_token": "rt-1"}] == stage.asked()
    assert world.clock.utc() == result.issued_at


@sync_and_async
async def test_a_token_is_renewed_ahead_by_one(world: World) -> None:
    """While one renews what still works, the others go on with it."""
    stored = token(1, ago=3560)
    stage = Stage(world, stored)
    refresher = stage.refresher()
    gate = world.gate()
    stage.vendor.answers(gate.answering(grants(2)))

    renewing = world.start(lambda: refresher.get(*OWNER))
    await gate.reached()
    assert stored == await refresher.get(*OWNER)
    stage.vault.kept["crm", "beta"] = token(5, ago=3560)
    stage.vendor.answers(grants(6))
    assert Secret("at-6") == (await refresher.get("crm", "beta")).access_token
    gate.open()

    assert Secret("at-2") == (await renewing.result()).access_token
    reads = stage.vault.reads
    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token
    assert reads == stage.vault.reads
    assert ["rt-1", "rt-5"] == stage.shown()


@sync_and_async
async def test_who_is_refused_meanwhile_waits(world: World) -> None:
    """Whoever must have another token waits here for who renews it ahead of time."""
    stage = Stage(world, token(1, ago=3560))
    refresher = stage.refresher()
    gate = world.gate()
    stage.vendor.answers(gate.answering(grants(2)))
    ahead = world.start(lambda: refresher.get(*OWNER))
    await gate.reached()
    refused = world.start(lambda: refresher.refresh(*OWNER, token(1, ago=3560)))
    await world.wait(world.locks.arrived)
    gate.open()

    assert await ahead.result() == await refused.result()
    assert ["rt-1"] == stage.shown()


@sync_and_async
async def test_a_renewal_ahead_may_fail(world: World) -> None:
    """What still works is used on, and the server is left alone for a while."""
    stored = token(1, ago=3550)
    stage = Stage(world, stored)
    refresher = stage.refresher(retry=None)
    stage.vendor.otherwise = 503

    assert stored == await refresher.get(*OWNER)
    count = len(stage.asked())
    assert stored == await refresher.get(*OWNER)
    assert count == len(stage.asked()) == 3
    assert ["TokenNotRenewed"] == world.told()
    assert [
        TokenNotRenewed(
            at=world.clock.utc(),
            service="crm",
            tenant="acme",
            error="CredentialRefreshFailed",
            still_works=True,
        )
    ] == world.events

    world.clock.advance(6)
    stage.vendor.otherwise = grants(2)
    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token


@sync_and_async
async def test_a_renewal_ahead_comes_back_when_it_is_told(world: World) -> None:
    """Where the server says when to come back, nobody comes earlier while the token works."""
    stored = token(1, ago=3530)
    stage = Stage(world, stored)
    refresher = stage.refresher()
    stage.vendor.otherwise = answers({}, 429, Retry_After="61")

    for _ in range(3):
        assert stored == await refresher.get(*OWNER)
        world.clock.advance(6)
    assert 1 == len(stage.asked())


@sync_and_async
async def test_what_was_put_off_stays_so_for_who_reads_the_vault(world: World) -> None:
    """Who was reading the vault while another was told to come back later asks no earlier."""
    stored = token(1, ago=3530)
    stage = Stage(world, stored)
    others = [OWNER]
    read = stage.vault.get

    async def slowly(service: str, tenant: str | None, /) -> Any:
        if others:
            await refresher.get(*others.pop())
        return await read(service, tenant)

    stage.vault.get = slowly  # type: ignore[method-assign]  # as if another thread were quicker
    refresher = stage.refresher()
    stage.vendor.otherwise = answers({}, 429, Retry_After="61")

    assert stored == await refresher.get(*OWNER)
    assert 1 == len(stage.asked())


def test_what_is_put_off_counts_as_fresh_until_it_is_past() -> None:
    """Only what is due can be put off, and only for so long."""
    held = Held(token(1), Span(10.0, 20.0), now=0, believed=5.0)
    seconds = 10**9
    held.put_off(15 * seconds)
    reports = [held.freshness(now * seconds) for now in (9, 12, 16)]
    held.put_off(30 * seconds)

    assert [Freshness.FRESH, Freshness.FRESH, Freshness.DUE] == reports
    assert Freshness.PAST is held.freshness(25 * seconds)


@sync_and_async
async def test_what_is_refused_is_renewed_once(world: World) -> None:
    """A 401 renews whatever the clock says; who comes with the same token later takes the new."""
    stage = Stage(world, token(1))
    refresher, other = stage.refresher(), stage.refresher()
    stage.vendor.answers(grants(2))
    stale = await refresher.get(*OWNER)
    assert stale == await other.get(*OWNER)

    new = await refresher.refresh(*OWNER, stale)
    assert new == await refresher.refresh(*OWNER, stale)
    assert new == await other.refresh(*OWNER, stale)

    assert Secret("at-2") == new.access_token
    assert ["rt-1"] == stage.shown()


@sync_and_async
async def test_what_was_refused_is_forgotten(world: World) -> None:
    """A token that was refused is not used again, though nothing else can be had."""
    stage = Stage(world, token(1))
    refresher = stage.refresher()
    stale = await refresher.get(*OWNER)
    stage.vault.is_away = StorageUnavailable("It is away.")

    for refused in (refresher.refresh(*OWNER, stale), refresher.get(*OWNER)):
        with pytest.raises(StorageUnavailable):
            await refused


@sync_and_async
async def test_what_was_replaced_is_taken_at_once(world: World) -> None:
    """Who finds a newer token waits for nobody, and has it from then on."""
    stage = Stage(world, token(1, ago=7200))
    refresher = stage.refresher()
    gate = world.gate()
    stage.vendor.answers(gate.answering(grants(2)))
    renewing = world.start(lambda: refresher.get(*OWNER))
    await gate.reached()
    stage.vault.kept[OWNER] = token(5)
    world.impatient = True

    assert token(5) == await refresher.refresh(*OWNER, token(1, ago=7200))
    reads = stage.vault.reads
    assert token(5) == await refresher.get(*OWNER)
    assert reads == stage.vault.reads
    gate.open()
    await renewing.result()


@sync_and_async
async def test_what_is_kept_is_renewed(world: World) -> None:
    """It is the refresh token of the vault that is shown, not that of whoever was refused."""
    stored = attrs.evolve(token(1), refresh_token="rt-9")
    stage = Stage(world, stored)
    stage.vendor.answers(grants(2))
    await stage.refresher().refresh(*OWNER, token(1))

    assert ["rt-9"] == stage.shown()


@sync_and_async
async def test_what_the_vault_lost_is_got_anew(world: World) -> None:
    """Where nobody is needed, an empty vault is no trouble; what was held before goes on."""
    stage = Stage(world)
    stage.vendor.answers(grants(2, refresh_token=None))
    new = await stage.refresher(ALONE).refresh(*OWNER, token(1))

    assert (Secret("at-2"), Secret("rt-1")) == (new.access_token, new.refresh_token)
    stage.vault.kept.clear()
    with pytest.raises(CredentialNotFound):
        await stage.refresher().refresh(*OWNER, token(1))


@sync_and_async
async def test_many_who_need_it_ask_once(world: World) -> None:
    """However many need a token that does not work any more, the server is asked once."""
    stage = Stage(world, token(1, ago=7200))
    refresher = stage.refresher()
    stage.vendor.answers(grants(2))

    results = await world.together(*[lambda: refresher.get(*OWNER)] * 7)

    assert [Secret("at-2")] * 7 == [one.access_token for one in results]
    assert ["rt-1"] == stage.shown()


@sync_and_async
async def test_who_waited_fails_alike(world: World) -> None:
    """While a renewal fails, whoever waits for it has failed with it and asks no more."""
    stage = Stage(world, token(1, ago=7200))
    refresher = stage.refresher()
    for times in (1, 2):
        gate = world.gate()
        stage.vendor.answers(gate.answering(answers({"error": "invalid_client"}, 401)))
        first = world.start(lambda: refresher.get(*OWNER))
        await gate.reached()
        world.locks.arrived.clear()
        second = world.start(lambda: refresher.get(*OWNER))
        await world.wait(world.locks.arrived)
        gate.open()

        raised = [await _raised(one.result()) for one in (first, second)]

        assert times == len(stage.asked())
        assert [True, True] == ["invalid_client" in str(error) for error in raised]
    reports = ("CredentialRefreshFailed", False)
    assert [reports, reports] == [(one.error, one.still_works) for one in world.events]  # type: ignore[attr-defined]  # of this kind
    assert raised[0] is not raised[1]
    assert ["TokenNotRenewed"] * 2 == world.told()
    stage.vendor.answers(grants(2))
    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token


async def _raised(pending: Any) -> CredentialRefreshFailed:
    with pytest.raises(CredentialRefreshFailed) as caught:
        await pending
    return caught.value


@sync_and_async
async def test_nobody_comes_before_the_time(world: World) -> None:
    """A server that said when to come back is not asked before, and then it is."""
    stage = Stage(world, token(1, ago=7200))
    refresher = stage.refresher()
    stage.vendor.answers(answers({}, 503, Retry_After="120"))

    first = await _raised(refresher.get(*OWNER))
    second = await _raised(refresher.get(*OWNER))

    assert 1 == len(stage.asked())
    assert world.clock.utc() + timedelta(seconds=120) == first.retry_at == second.retry_at
    assert first.retryable
    world.clock.advance(120)
    stage.vendor.answers(grants(2))
    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token


@sync_and_async
async def test_a_failure_that_was_made_good_does_not_come_back(world: World) -> None:
    """After a renewal the moment that was named before means nothing, should clocks go back."""
    stage = Stage(world, token(1, ago=7200))
    refresher = stage.refresher()
    stage.vendor.answers(answers({}, 503, Retry_After="120"), grants(2), grants(3))
    await _raised(refresher.get(*OWNER))
    world.clock.advance(120)
    second = await refresher.get(*OWNER)
    world.clock.advance(-60)

    assert Secret("at-3") == (await refresher.refresh(*OWNER, second)).access_token


@sync_and_async
async def test_a_short_life_is_lived(world: World) -> None:
    """A token of half a minute is not renewed at every call."""
    stage = Stage(world, token(1, ago=7200))
    refresher = stage.refresher()
    stage.vendor.answers(grants(2, expires_in=30), grants(3, expires_in="30"))

    for _ in range(19):
        await refresher.get(*OWNER)
        world.clock.advance(1)
    assert 1 == len(stage.asked())
    for _ in range(4):
        world.clock.advance(1)
        await refresher.get(*OWNER)
    assert ["rt-1", "rt-2"] == stage.shown()


@sync_and_async
async def test_a_life_of_unknown_length_ends_with_a_refusal(world: World) -> None:
    """A token without an end is used until the service refuses it."""
    stage = Stage(world, token(1, life=None))
    refresher = stage.refresher()
    stage.vendor.answers(grants(2, expires_in=None))

    world.clock.advance(10**7)
    stale = await refresher.get(*OWNER)
    assert token(1, life=None) == stale
    await refresher.refresh(*OWNER, stale)
    world.clock.advance(10**7)

    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token
    assert 1 == len(stage.asked())


@sync_and_async
async def test_what_another_process_renewed_is_found(world: World) -> None:
    """What is kept is looked at again after a minute, so that nobody lives on what is old."""
    stage = Stage(world, token(1))
    refresher = stage.refresher()
    await refresher.get(*OWNER)
    stage.vault.kept[OWNER] = token(2)

    assert token(1) == await refresher.get(*OWNER)
    world.clock.advance(61)
    assert token(2) == await refresher.get(*OWNER)
    assert [] == stage.asked()


@sync_and_async
async def test_a_vault_that_is_away_is_done_without(world: World) -> None:
    """While the vault is away a token that works is used; what has expired cannot be had."""
    stage = Stage(world, token(1))
    refresher = stage.refresher()
    await refresher.get(*OWNER)
    stage.vault.is_away = StorageUnavailable("It is away.")
    world.clock.advance(61)

    reads = stage.vault.reads
    assert token(1) == await refresher.get(*OWNER)
    assert token(1) == await refresher.get(*OWNER)
    assert reads + 1 == stage.vault.reads
    world.clock.advance(6)
    assert token(1) == await refresher.get(*OWNER)
    assert reads + 2 == stage.vault.reads
    world.clock.advance(3600)
    with pytest.raises(StorageUnavailable):
        await refresher.get(*OWNER)
    with pytest.raises(StorageUnavailable):
        await stage.refresher().get(*OWNER)


@sync_and_async
async def test_where_consent_is_missing_there_is_nothing(world: World) -> None:
    """Nobody can be asked for consent here, so that what is missing is missing."""
    stage = Stage(world)
    refresher = stage.refresher()

    with pytest.raises(CredentialNotFound):
        await refresher.get(*OWNER)
    assert not await refresher.has(*OWNER)
    assert await stage.refresher(ALONE).has(*OWNER)


@sync_and_async
async def test_new_consent_is_used_at_once(world: World) -> None:
    """What a person's consent brought is kept, and nothing of the failure before it."""
    stage = Stage(world, token(1, ago=7200))
    refresher = stage.refresher()
    stage.vendor.answers(answers({"error": "invalid_grant"}, 400))
    with pytest.raises(AuthorizationRequired):
        await refresher.get(*OWNER)

    await refresher.rotate(*OWNER, token(5))

    assert await refresher.has(*OWNER)
    assert token(5) == await refresher.get(*OWNER) == stage.kept
    assert 1 == len(stage.asked())


@sync_and_async
async def test_new_consent_is_renewed_at_once(world: World) -> None:
    """Though the server said to come back later: that was about the grant before."""
    stage = Stage(world, token(1, ago=7200))
    refresher = stage.refresher()
    stage.vendor.answers(answers({}, 503, Retry_After="120"), grants(6))
    await _raised(refresher.get(*OWNER))

    await refresher.rotate(*OWNER, token(5, ago=7200))

    assert Secret("at-6") == (await refresher.get(*OWNER)).access_token


@sync_and_async
async def test_a_token_is_given_back(world: World) -> None:
    """The server is told which token of what kind, and then it is good no more."""
    stage = Stage(world, token(1, ago=7200))
    refresher = stage.refresher({OWNER: GIVING_BACK})
    stage.vendor.answers(answers({}, 503, Retry_After="120"), answers({}))
    await _raised(refresher.get(*OWNER))
    stage.vendor.requests.clear()

    await refresher.revoke(*OWNER)

    assert [{"token": "rt-1", "token_type_hint": "refresh_token"}] == stage.asked()
    with pytest.raises(AuthorizationRequired, match="A person must authorise 'crm' again"):
        await refresher.get(*OWNER)
    result = world.events[-2]
    assert isinstance(result, ConsentNeeded)
    assert "its grant is over" == result.reason
    with pytest.raises(ConfigurationError):
        await refresher.revoke("crm", None)


@sync_and_async
async def test_a_token_is_given_back_later(world: World) -> None:
    """A server that names a moment is to be asked again at that moment."""
    stage = Stage(world, token(1))
    refresher = stage.refresher({OWNER: GIVING_BACK})
    stage.vendor.answers(answers({}, 503, Retry_After="Thu, 01 Jan 2026 00:02:00 GMT"))

    with pytest.raises(VendorFailed) as caught:
        await refresher.revoke(*OWNER)

    assert "crm" == caught.value.service
    assert world.clock.utc() + timedelta(seconds=120) == caught.value.retry_at


@sync_and_async
async def test_other_credentials_pass_by(world: World) -> None:
    """What is no OAuth, by its service or by its kind, is the vault's matter alone."""
    stage = Stage(world)
    key = Credentials.api_key("k")
    stage.vault.kept |= {OWNER: key, ("vat", None): token(9, ago=7200)}
    refresher = stage.refresher()

    assert key == await refresher.get(*OWNER)
    assert token(9, ago=7200) == await refresher.get("vat", None)
    assert ("refreshed", "vat", None, token(9)) == await refresher.refresh("vat", None, token(9))
    assert ("refreshed", *OWNER, key) == await refresher.refresh(*OWNER, key)
    assert await refresher.has("vat", None)
    assert [] == stage.asked()


@sync_and_async
async def test_clients_may_differ_by_tenant(world: World) -> None:
    """A client is found by service and tenant, else by service; or by a function of both."""
    stage = Stage(world)
    mine, theirs = (client(grant=ClientCredentials(), client_id=name) for name in "ab")
    for clients in (
        {"crm": theirs, OWNER: mine},
        lambda service, tenant: mine if (service, tenant) == OWNER else theirs,
    ):
        stage.vault.kept.clear()
        stage.vendor.requests.clear()
        stage.vendor.answers(grants(1), grants(2))
        refresher = stage.refresher(clients)
        await refresher.get(*OWNER)
        await refresher.get("crm", None)

        names = [sent.header("Authorization") for sent in stage.vendor.requests]
        assert ["Basic YTpodXNo", "Basic YjpodXNo"] == names


@sync_and_async
async def test_every_verb_finds_the_tenants_client(world: World) -> None:
    """Who is refused, and who asks whether there is anything, have the tenant's own client."""
    stage = Stage(world)
    stage.vendor.answers(grants(2))
    refresher = stage.refresher({OWNER: client(grant=ClientCredentials())})

    assert await refresher.has(*OWNER)
    assert not await refresher.has("crm", None)
    assert Secret("at-2") == (await refresher.refresh(*OWNER, token(1))).access_token


def test_a_client_is_a_client() -> None:
    """What is no client is refused, when it is given or when it is found."""
    with pytest.raises(ConfigurationError) as caught:
        OAuthTokenRefresher({"crm": "https://login.example"})  # type: ignore[dict-item]  # refused
    assert "clients['crm']" == caught.value.path
    refresher = OAuthTokenRefresher(lambda service, _: service)  # type: ignore[arg-type,return-value]  # the same
    with pytest.raises(ConfigurationError):
        refresher.get("crm", None)


@sync_and_async
async def test_a_token_is_exchanged(world: World) -> None:
    """A token exchange shows what another service has just now, renewed if it must be."""
    stage = Stage(world)
    stage.vault.kept["idp", "acme"] = token(1, ago=7200)
    stage.vendor.answers(grants(2), grants(7))
    refresher = stage.refresher(
        {
            "idp": client(client_id="idp"),
            "crm": client(grant=TokenExchange(subject="idp"), authentication="client_secret_post"),
        }
    )

    assert Secret("at-7") == (await refresher.get(*OWNER)).access_token
    assert ["rt-1", None] == stage.shown()
    assert "at-2" == stage.asked()[1]["subject_token"]


@sync_and_async
async def test_a_plain_token_is_exchanged_too(world: World) -> None:
    """What is exchanged may be a bearer token that nobody renews."""
    stage = Stage(world)
    stage.vault.kept["idp", "acme"] = Credentials.bearer("plain")
    stage.vendor.answers(grants(7))

    await stage.refresher({"crm": client(grant=TokenExchange(subject="idp"))}).get(*OWNER)

    assert "plain" == stage.asked()[0]["subject_token"]


@sync_and_async
async def test_errors_and_events_show_no_secret(world: World) -> None:
    """Whatever goes wrong, no token or secret is shown, even if the server repeats it."""
    stage = Stage(world, token(1, ago=7200))
    stage.vendor.answers(
        ConnectionFailed("It was cut off.", may_have_been_processed=False),
        answers({"error": "invalid_grant", "error_description": "rt-1 of erp:hush"}, 400),
    )

    error = await _raised(stage.refresher().get(*OWNER))

    for shown in (str(error), repr(error), repr(world.events), repr(error.__cause__)):
        assert "rt-1" not in shown
        assert "hush" not in shown
    assert isinstance(error, AuthorizationRequired)


@sync_and_async
async def test_where_it_says_nothing_it_is_careful(world: World) -> None:
    """A refresher's repr shows nothing, and it may do without observers."""
    stage = Stage(world, token(1, ago=7200))
    refresher = stage.refresher(observers=None, vault=None)
    stage.vendor.otherwise = 503

    assert "hush" not in repr(refresher.manager)
    assert repr(refresher.manager).startswith("<")
    with pytest.raises(CredentialNotFound):
        await refresher.get(*OWNER)
    await refresher.rotate(*OWNER, token(1, ago=3530))
    assert token(1, ago=3530) == await refresher.get(*OWNER)
    await refresher.rotate(*OWNER, token(1, ago=7200))
    with pytest.raises(CredentialRefreshFailed):
        await refresher.get(*OWNER)
    stage.vendor.otherwise = answers({"error": "invalid_grant"}, 400)
    with pytest.raises(AuthorizationRequired):
        await refresher.get(*OWNER)
    assert form(stage.vendor.requests[-1].request.body)


@sync_and_async
async def test_nobody_waits_for_ever(world: World) -> None:
    """Who cannot get in within its patience says so."""
    stage = Stage(world, token(1, ago=7200))
    refresher = stage.refresher(patience=3)
    gate = world.gate()
    stage.vendor.answers(gate.answering(grants(2)))
    first = world.start(lambda: refresher.get(*OWNER))
    await gate.reached()
    world.impatient = True

    error = await _raised(refresher.get(*OWNER))

    assert "longer than this call can wait" in str(error)
    assert error.retryable
    assert "crm" == error.service
    gate.open()
    assert isinstance(await first.result(), OAuthCredentials)
