"""One renewal: who may ask, what becomes of answers that are lost, and what is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from mooring import (
    AttemptTimeout,
    AuthorizationRequired,
    Backoff,
    ClientCredentials,
    ConnectionFailed,
    CredentialRefreshFailed,
    Credentials,
    JwtBearer,
    JwtSigning,
    OAuthCredentials,
    RetryPolicy,
    Secret,
    StorageUnavailable,
    TokenRenewed,
    VendorFailed,
)
from mooring.domain.idempotency import Claim, MarkSent, Resolve
from mooring.domain.oauth.question import claim_key
from tests.domain.oauth.test_client import P256
from tests.oauth.world import OWNER, TOKENS, Stage, Vault, answers, client, grants, token
from tests.support.colours import AWAITED, World, in_both_colours

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.support.colours import Face

PAST = token(1, ago=7200)
CUT_OFF = ConnectionFailed("It was cut off.", may_have_been_processed=True)
UNSENT = ConnectionFailed("Nobody is there.", may_have_been_processed=False)


class Other:
    """Another process, which dies wherever a test wants it to."""

    def __init__(
        self, world: World, stale: OAuthCredentials = PAST, *, again: bool = False
    ) -> None:
        self._store = world.store.memory
        self._key = claim_key(OWNER, client(), stale, again=again)
        claim = Claim(
            self._key,
            fingerprint=b"oauth",
            owner=777,
            lease=21_000_000,
            ttl=10**12,
            target=TOKENS,
            remembered=0,
        )
        self._fence = self._store.execute(claim).fence

    def asks(self) -> None:
        """It is about to send its request."""
        assert self._store.execute(MarkSent(self._key, self._fence, TOKENS))


async def refused(pending: Any, kind: type[Exception] = CredentialRefreshFailed) -> Any:
    """The error that something ends with."""
    with pytest.raises(kind) as caught:
        await pending
    assert type(caught.value) is kind
    return caught.value


# --- what the server's own trouble prevents --------------------------------------------------


@pytest.mark.parametrize(
    "trouble",
    [
        answers({}, 500),
        answers({"error": "temporarily_unavailable"}, 400),
        answers({}, 429, Retry_After="2"),
        UNSENT,
    ],
    ids=["500", "unavailable", "429", "unreachable"],
)
@in_both_colours
async def test_trouble_is_waited_out(world: World, trouble: Any) -> None:
    """The same refresh token is shown until the server works again, at the policy's pace."""
    stage = Stage(world, PAST)
    stage.vendor.answers(trouble, trouble, grants(2))

    found = await stage.refresher().get(*OWNER)

    assert Secret("at-2") == found.access_token
    assert ["rt-1"] * 3 == stage.shown()
    (told,) = world.events
    assert isinstance(told, TokenRenewed)
    assert (3, ["crm", "acme"]) == (told.attempts, [told.service, told.tenant])
    assert world.clock.utc() == told.at
    slept = [2.0, 2.0] if getattr(trouble, "status", 0) == 429 else [1.0, 2.0]
    assert slept == world.sleeper.slept
    assert sum(slept) == pytest.approx(told.duration, abs=0.01)


@in_both_colours
async def test_trouble_is_waited_out_longer_and_longer(world: World) -> None:
    """Where each delay follows from the one before, so it does here."""
    stage = Stage(world, PAST)
    stage.vendor.answers(503, 503, grants(2))
    policy = RetryPolicy(3, 0.5, backoff=Backoff.DECORRELATED)

    await stage.refresher(retry=policy).get(*OWNER)

    # With draws of a half: half way from half a second to thrice the delay before.
    assert [1.0, 1.75] == world.sleeper.slept


@pytest.mark.parametrize("trouble", [answers({}, 500), UNSENT], ids=["500", "unreachable"])
@in_both_colours
async def test_trouble_discards_nothing(world: World, trouble: Any) -> None:
    """When attempts run out the refresh token is kept, and works later."""
    stage = Stage(world, PAST)
    refresher = stage.refresher()
    stage.vendor.answers(*[trouble] * 3)

    error = await refused(refresher.get(*OWNER))

    assert error.retryable
    assert "crm" == error.service
    assert PAST == stage.kept
    stage.vendor.answers(grants(2))
    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token
    assert ["rt-1"] * 4 == stage.shown()


@in_both_colours
async def test_a_wrong_client_is_not_tried_again(world: World) -> None:
    """What somebody has to correct is said at once, and the refresh token is kept."""
    stage = Stage(world, PAST)
    refresher = stage.refresher()
    stage.vendor.answers(answers({"error": "invalid_client"}, 401))

    error = await refused(refresher.get(*OWNER))

    assert not error.retryable
    assert "Correct the client's id" in error.remedy
    assert 1 == len(stage.asked())
    stage.vendor.answers(grants(2))
    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token


@in_both_colours
async def test_no_request_outlasts_the_claim(world: World) -> None:
    """Each request has its full time, and none begins for which the claim has not enough left."""
    stage = Stage(world, PAST)
    refresher = stage.refresher(request_timeout=9)
    stage.vendor.otherwise = world.after(7, answers({}, 500))

    await refused(refresher.get(*OWNER))

    assert [9.0, 9.0] == [sent.timeouts.total for sent in stage.vendor.requests]


@in_both_colours
async def test_a_nonce_that_comes_too_late_is_not_shown(world: World) -> None:
    """A nonce is shown in time, or not at all."""
    stage = Stage(world, PAST)
    refresher = stage.refresher(request_timeout=30)
    wanted = answers({"error": "use_dpop_nonce"}, 400, DPoP_Nonce="n")
    stage.vendor.answers(world.after(28, answers({}, 500)), world.after(9, wanted))

    error = await refused(refresher.get(*OWNER))

    assert "use_dpop_nonce" in str(error)
    assert 2 == len(stage.asked())


@in_both_colours
async def test_a_nonce_is_shown_while_there_is_time(world: World) -> None:
    """Half of the claim's time is enough for the request that shows it."""
    stage = Stage(world, PAST)
    refresher = stage.refresher(request_timeout=9)
    wanted = answers({"error": "use_dpop_nonce"}, 400, DPoP_Nonce="n")
    stage.vendor.answers(world.after(9, wanted), grants(2))

    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token


@in_both_colours
async def test_a_claim_tells_where_its_request_goes(world: World) -> None:
    """Whoever looks into the store sees which server was asked."""
    stage = Stage(world, PAST)
    stage.vendor.answers(grants(2))

    await stage.refresher().get(*OWNER)

    seen = world.colour != AWAITED  # where nothing happens on the way to the store
    asked = world.store.commands
    assert [TOKENS] * seen == [one.target for one in asked if isinstance(one, MarkSent)]
    assert [(TOKENS, 0)] * seen == [
        (one.target, one.remembered) for one in asked if isinstance(one, Claim)
    ]


# --- answers that are lost ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "lost",
    [
        CUT_OFF,
        AttemptTimeout("It took too long.", may_have_been_processed=True),
        VendorFailed("The answer is too long."),
        answers({"odd": 1}),
        answers("text"),
    ],
    ids=["cut off", "too late", "too long", "no token", "text"],
)
@in_both_colours
async def test_a_lost_answer_is_asked_for_once_more(world: World, lost: Any) -> None:
    """What may have been granted is asked for once more, with the same refresh token."""
    stage = Stage(world, PAST)
    stage.vendor.answers(lost, grants(2))

    found = await stage.refresher().get(*OWNER)

    assert found == stage.kept
    assert ["rt-1", "rt-1"] == stage.shown()


@in_both_colours
async def test_an_answer_that_is_lost_twice_ends_it(world: World) -> None:
    """After the second time nobody shows the refresh token again: a person must be asked."""
    stage = Stage(world, PAST)
    refresher, other = stage.refresher(), stage.refresher()
    stage.vendor.answers(CUT_OFF, CUT_OFF)

    for one in (refresher, refresher, other):
        error = await refused(one.get(*OWNER), AuthorizationRequired)
        assert "lost" in str(error)
        assert "crm" == error.service

    assert ["rt-1", "rt-1"] == stage.shown()
    assert "ConsentNeeded" in world.told()


@in_both_colours
async def test_a_server_that_takes_it_for_stolen_ends_it(world: World) -> None:
    """Where the second showing counts as theft, the grant is over, and nobody asks again."""
    stage = Stage(world, PAST)
    refresher = stage.refresher()
    stage.vendor.answers(CUT_OFF, answers({"error": "invalid_grant"}, 400))

    for _ in range(2):
        await refused(refresher.get(*OWNER), AuthorizationRequired)

    assert ["rt-1", "rt-1"] == stage.shown()


@pytest.mark.parametrize("life", [60, 3600], ids=["a minute", "an hour"])
@in_both_colours
async def test_what_does_not_rotate_may_be_lost_again(world: World, life: int) -> None:
    """Where the refresh token stays, one lost answer does not count against the next renewal."""
    stage = Stage(world, PAST)
    refresher = stage.refresher()
    for number in (2, 3):
        stage.vendor.answers(CUT_OFF, grants(number, refresh_token=None, expires_in=life))
        assert Secret(f"at-{number}") == (await refresher.get(*OWNER)).access_token
        world.clock.advance(2 * life)

    assert ["rt-1"] * 4 == stage.shown()


@pytest.mark.parametrize("lost", [False, True], ids=["answered", "lost once"])
@pytest.mark.parametrize("stays", [False, True], ids=["rotates", "stays"])
@in_both_colours
async def test_a_first_showing_is_settled_where_it_was_lost_and_nothing_changed(
    world: World, stays: bool, lost: bool
) -> None:
    """What became of the first request matters unless the same refresh token was shown again."""
    stage = Stage(world, PAST)
    refresh_token = None if stays else "rt-2"
    stage.vendor.answers(*[CUT_OFF] * lost, grants(2, refresh_token=refresh_token))

    assert Secret("at-2") == (await stage.refresher().get(*OWNER)).access_token

    first = claim_key(OWNER, client(), PAST, again=False)
    seen = world.colour != AWAITED  # where nothing happens on the way to the store
    assert (seen and stays and lost) == any(
        isinstance(one, Resolve) and one.keys == (first,) for one in world.store.commands
    )


@in_both_colours
async def test_what_needs_nobody_is_never_lost(world: World) -> None:
    """A grant that can be asked for again is, however its answers are lost."""
    stage = Stage(world)
    refresher = stage.refresher({"crm": client(grant=ClientCredentials())})
    stage.vendor.answers(CUT_OFF, answers({"odd": 1}), grants(1))

    assert Secret("at-1") == (await refresher.get(*OWNER)).access_token
    world.clock.advance(7200)
    stage.vendor.answers(*[CUT_OFF] * 3)
    error = await refused(refresher.get(*OWNER))
    assert error.retryable
    stage.vendor.answers(answers({"error": "invalid_grant"}, 400))
    error = await refused(refresher.get(*OWNER))
    assert "invalid_grant" in str(error)
    stage.vendor.answers(grants(2))
    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token


# --- the server's word that it is over -------------------------------------------------------


@in_both_colours
async def test_a_grant_that_is_over_is_left_alone(world: World) -> None:
    """After `invalid_grant` no process asks again, until there is another refresh token."""
    stage = Stage(world, PAST)
    refresher, other = stage.refresher(), stage.refresher()
    stage.vendor.answers(answers({"error": "invalid_grant", "error_description": "spent"}, 400))

    first = await refused(refresher.get(*OWNER), AuthorizationRequired)
    await refused(refresher.get(*OWNER), AuthorizationRequired)
    await refused(other.get(*OWNER), AuthorizationRequired)
    world.clock.advance(20 * 86_400)
    await refused(stage.refresher().get(*OWNER), AuthorizationRequired)

    assert "invalid_grant: spent" in str(first)
    assert not first.retryable
    assert 1 == len(stage.asked())
    stage.vault.kept[OWNER] = token(5, ago=7200)
    stage.vendor.answers(grants(6))
    assert Secret("at-6") == (await other.get(*OWNER)).access_token


@in_both_colours
async def test_without_a_refresh_token_a_person_is_needed(world: World) -> None:
    """What has expired and cannot be renewed is said to need consent."""
    stage = Stage(world, OAuthCredentials(access_token="at-1", expires_at=PAST.expires_at))

    error = await refused(stage.refresher().get(*OWNER), AuthorizationRequired)

    assert "no refresh token" in str(error)
    assert [] == stage.asked()
    assert ["ConsentNeeded", "TokenNotRenewed"] == world.told()


# --- other processes ---------------------------------------------------------------------------


@in_both_colours
async def test_another_process_is_waited_for(world: World) -> None:
    """Who finds another at it waits, and takes what that has stored."""
    stage = Stage(world, PAST)
    Other(world).asks()

    async def stores() -> None:
        stage.vault.kept[OWNER] = token(2)

    async def nothing() -> None:
        """Not yet."""

    world.sleeper.meanwhile.extend([nothing, nothing, stores])
    assert token(2) == await stage.refresher().get(*OWNER)
    assert [] == stage.asked()
    assert [0.02, 0.04, 0.08] == world.sleeper.slept


@in_both_colours
async def test_what_another_stored_may_be_of_another_kind(world: World) -> None:
    """Who finds a credential there that is no OAuth's asks all the same."""
    stage = Stage(world, PAST)
    Other(world)

    async def stores() -> None:
        stage.vault.kept[OWNER] = Credentials.bearer("plain")

    world.sleeper.meanwhile.append(stores)
    stage.vendor.answers(grants(2))
    assert Secret("at-2") == (await stage.refresher().get(*OWNER)).access_token


@in_both_colours
async def test_two_processes_ask_once(world: World) -> None:
    """Two refreshers that share vault and storage renew once between them."""
    stage = Stage(world, PAST)
    gate = world.gate()
    stage.vendor.answers(gate.answering(grants(2)))
    first = stage.refresher()
    second = stage.refresher(locks=world.of_colour(type(world.locks)(world)))

    asking = world.start(lambda: first.get(*OWNER))
    await gate.reached()

    async def opens() -> None:
        gate.open()
        await asking.over()

    world.sleeper.meanwhile.append(opens)
    found = await second.get(*OWNER)

    assert found == await asking.result() == stage.kept
    assert ["rt-1"] == stage.shown()


@in_both_colours
async def test_what_works_is_used_while_another_process_renews(world: World) -> None:
    """A token that is due is used as it is while another process renews it."""
    kept = token(1, ago=3560)
    stage = Stage(world, kept)
    Other(world, kept).asks()

    assert kept == await stage.refresher().get(*OWNER)
    assert [] == stage.asked()
    assert [] == world.sleeper.slept


@in_both_colours
async def test_who_died_before_it_asked_is_followed(world: World) -> None:
    """When its claim has lapsed another asks, as if nobody had been there."""
    stage = Stage(world, PAST)
    Other(world)
    stage.vendor.answers(grants(2))

    found = await stage.refresher().get(*OWNER)

    assert Secret("at-2") == found.access_token
    assert ["rt-1"] == stage.shown()
    assert 21 <= sum(world.sleeper.slept) < 21.001
    assert pytest.approx([0.25, 0.2]) == world.sleeper.slept[-2:]


@in_both_colours
async def test_who_died_after_it_asked_is_followed_once(world: World) -> None:
    """The refresh token that it may have shown is shown once more."""
    stage = Stage(world, PAST)
    Other(world).asks()
    stage.vendor.answers(grants(2))

    assert Secret("at-2") == (await stage.refresher().get(*OWNER)).access_token
    assert ["rt-1"] == stage.shown()


@in_both_colours
async def test_who_died_asking_again_is_the_last(world: World) -> None:
    """What two holders may have shown is shown by nobody else."""
    stage = Stage(world, PAST)
    Other(world).asks()
    Other(world, again=True).asks()
    world.clock.advance(30)

    await refused(stage.refresher().get(*OWNER), AuthorizationRequired)
    assert [] == stage.asked()


@in_both_colours
async def test_who_died_after_it_stored_is_not_missed(world: World) -> None:
    """What it has stored is taken, though it never let go of its claim."""
    stage = Stage(world, PAST)
    refresher = stage.refresher()
    await stage.refresher({}).get(*OWNER)
    Other(world).asks()

    async def stored() -> None:
        stage.vault.kept[OWNER] = token(2)

    world.sleeper.meanwhile.append(stored)
    assert token(2) == await refresher.get(*OWNER)
    assert [] == stage.asked()


@in_both_colours
async def test_patience_ends(world: World) -> None:
    """Who cannot wait until another's claim lapses says so in time."""
    stage = Stage(world, PAST)
    Other(world).asks()

    error = await refused(stage.refresher(patience=5).get(*OWNER))

    assert "longer than we can wait" in str(error)
    assert error.retryable
    assert "crm" == error.service
    assert 4.7 < sum(world.sleeper.slept) <= 5
    assert [] == stage.asked()


@in_both_colours
async def test_patience_is_used_up(world: World) -> None:
    """Who may wait just as long as the next pause takes does."""
    stage = Stage(world, PAST)
    Other(world).asks()

    await refused(stage.refresher(patience=0.3).get(*OWNER))

    assert [0.02, 0.04, 0.08, 0.16] == world.sleeper.slept


@in_both_colours
async def test_who_comes_too_late_looks_first(world: World) -> None:
    """Who gets a claim after another has stored a new token takes that one."""
    stage = Stage(world, PAST)
    refresher = stage.refresher()
    Other(world)

    async def stores_late(command: object) -> None:
        if isinstance(command, Claim) and world.clock.now > 20.99:
            stage.vault.kept[OWNER] = token(2)

    world.store.meanwhile = stores_late
    if world.colour == AWAITED:  # where nothing happens on the way to the store
        stage.vendor.answers(grants(2))
    found = await refresher.get(*OWNER)

    assert Secret("at-2") == found.access_token


class Failing(Vault):
    """A vault that is away at every second reading."""

    async def get(self, service: str, tenant: str | None, /) -> Any:
        """What is there, if it is not away."""
        found = await super().get(service, tenant)
        if self.reads % 2 == 0:
            raise StorageUnavailable("It is away.")
        return found


@in_both_colours
async def test_who_cannot_ask_lets_others(world: World) -> None:
    """Who fails under its claim before it has shown anything leaves nobody waiting for it."""
    stage = Stage(world)
    stage.vault = Failing(world)
    stage.vault.kept[OWNER] = PAST
    await refused(stage.refresher().get(*OWNER), StorageUnavailable)
    stage.vault = Vault(world)
    stage.vault.kept[OWNER] = PAST
    stage.vendor.answers(grants(2))

    assert Secret("at-2") == (await stage.refresher().get(*OWNER)).access_token
    assert [] == world.sleeper.slept


class Overtaken(Vault):
    """A vault in which another stores a new token as soon as the old one was read."""

    async def get(self, service: str, tenant: str | None, /) -> Any:
        """What was there until now."""
        found = await super().get(service, tenant)
        self.kept[OWNER] = token(2)
        return found


@in_both_colours
async def test_who_finds_a_new_token_needs_nothing_to_ask_with(world: World) -> None:
    """Who looks once more under its claim takes what is there, though it could not ask itself."""
    stage = Stage(world)
    stage.vault = Overtaken(world)
    stage.vault.kept[OWNER] = attrs.evolve(PAST, refresh_token=None)

    assert token(2) == await stage.refresher().get(*OWNER)
    assert [] == stage.asked()


@in_both_colours
async def test_who_finds_a_new_token_lets_others(world: World) -> None:
    """Who takes under its claim what is there leaves nobody waiting for it."""
    stage = Stage(world)
    stage.vault = Overtaken(world)
    stage.vault.kept[OWNER] = PAST
    assert token(2) == await stage.refresher().get(*OWNER)
    stage.vault = Vault(world)
    stage.vault.kept[OWNER] = PAST
    stage.vendor.answers(grants(3))

    assert Secret("at-3") == (await stage.refresher().get(*OWNER)).access_token
    assert [] == world.sleeper.slept


@in_both_colours
async def test_a_claim_that_was_lost_is_not_used(world: World) -> None:
    """Who finds its claim gone before it asks does not ask."""
    stage = Stage(world, PAST)
    refresher = stage.refresher()

    class Slow:
        """A vault that takes longer than a claim lasts."""

        def __getattr__(self, name: str) -> Any:
            return getattr(stage.vault, name)

        async def get(self, service: str, tenant: str | None, /) -> Any:
            world.clock.advance(22)
            return await stage.vault.get(service, tenant)

        async def has(self, service: str, tenant: str | None, /) -> bool:
            return await stage.vault.has(service, tenant)

        async def refresh(self, service: str, tenant: str | None, stale: Any, /) -> Any:
            return await stage.vault.refresh(service, tenant, stale)

        async def rotate(self, service: str, tenant: str | None, new: Any, /) -> None:
            await stage.vault.rotate(service, tenant, new)

    refresher = stage.refresher(vault=world.of_colour(Slow()))
    error = await refused(refresher.get(*OWNER))
    assert "crm" == error.service
    assert [] == stage.asked()


# --- what is granted is stored first -----------------------------------------------------------


@in_both_colours
async def test_storing_is_tried_again(world: World) -> None:
    """A vault that is away for a moment is waited for, at first shortly and then longer."""
    stage = Stage(world, PAST)
    stage.vault.failures.extend([StorageUnavailable("It is away.")] * 6)
    stage.vendor.answers(grants(2))

    found = await stage.refresher().get(*OWNER)

    assert found == stage.kept
    assert ["rt-1"] == stage.shown()
    assert [0.02, 0.04, 0.08, 0.16, 0.25, 0.25] == world.sleeper.slept


@in_both_colours
async def test_what_cannot_be_stored_is_not_used(world: World) -> None:
    """It is kept until it can be stored; then it is used, and nobody has asked again."""
    stage = Stage(world, PAST)
    refresher = stage.refresher()
    stage.vendor.answers(grants(2))
    stage.vault.failures.extend([StorageUnavailable("It is away.")] * 1000)

    error = await refused(refresher.get(*OWNER))

    assert "cannot be stored" in str(error)
    assert error.remedy.startswith("Check the store of credentials")
    assert ("crm", True) == (error.service, error.retryable)
    assert isinstance(error.__cause__, StorageUnavailable)
    assert PAST == stage.kept
    stage.vault.failures.clear()
    reads = stage.vault.reads
    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token
    assert reads + 1 == stage.vault.reads
    assert Secret("at-2") == stage.kept.access_token
    assert ["rt-1"] == stage.shown()


@in_both_colours
async def test_storing_is_tried_while_the_claim_lasts(world: World) -> None:
    """It is tried up to the moment until which the claim is good, and not beyond."""
    stage = Stage(world, PAST)
    stage.vendor.answers(world.after(0.2, grants(2)))
    stage.vault.failures.extend([StorageUnavailable("It is away.")] * 1000)

    await refused(stage.refresher(request_timeout=10).get(*OWNER))

    assert 20.0 == world.clock.now


@in_both_colours
async def test_what_was_stored_at_last_is_stored_once(world: World) -> None:
    """It is not held against what the vault has later, should that be the token before."""
    stage = Stage(world, PAST)
    refresher = stage.refresher()
    stage.vendor.answers(grants(2))
    stage.vault.failures.extend([StorageUnavailable("It is away.")] * 1000)
    await refused(refresher.get(*OWNER))
    stage.vault.failures.clear()
    await refresher.get(*OWNER)
    stage.vault.kept[OWNER] = PAST
    world.clock.advance(100)
    stage.vendor.answers(grants(3))

    assert Secret("at-3") == (await refresher.get(*OWNER)).access_token


class Crowded(Vault):
    """A vault to which another comes while one is about to write."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.meanwhile: list[Callable[[], Awaitable[object]]] = []

    async def rotate(self, service: str, tenant: str | None, new: Any, /) -> None:
        """Let the other go first."""
        if self.meanwhile:
            await self.meanwhile.pop()()
        await super().rotate(service, tenant, new)


@in_both_colours
async def test_two_may_store_what_waited(world: World) -> None:
    """Who comes while another stores what could not be stored finds it all the same."""
    stage = Stage(world)
    stage.vault = vault = Crowded(world)
    vault.kept[OWNER] = PAST
    refresher = stage.refresher()
    stage.vendor.answers(grants(2))
    vault.failures.extend([StorageUnavailable("It is away.")] * 1000)
    await refused(refresher.get(*OWNER))
    vault.failures.clear()
    vault.meanwhile.append(lambda: refresher.get(*OWNER))

    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token == stage.kept.access_token
    assert [] == vault.meanwhile
    assert ["rt-1"] == stage.shown()


@pytest.mark.parametrize("by_consent", [False, True])
@in_both_colours
async def test_what_could_not_be_stored_gives_way(world: World, by_consent: bool) -> None:
    """If there is something newer by then, that is used; and a person's consent always is."""
    stage = Stage(world, PAST)
    refresher = stage.refresher()
    stage.vendor.answers(grants(2))
    stage.vault.failures.extend([StorageUnavailable("It is away.")] * 1000)
    await refused(refresher.get(*OWNER))
    stage.vault.failures.clear()
    newer = token(7)
    if by_consent:
        await refresher.rotate(*OWNER, newer)
        # What could not be stored would replace this.
        stage.vault.kept[OWNER] = PAST
        world.clock.advance(100)
        stage.vendor.answers(grants(7))
        assert Secret("at-7") == (await refresher.get(*OWNER)).access_token
        return
    stage.vault.kept[OWNER] = newer

    assert newer == await refresher.get(*OWNER) == stage.kept
    world.clock.advance(100)
    assert newer == await refresher.get(*OWNER)


@in_both_colours
async def test_a_first_token_that_cannot_be_stored_is_lost(world: World) -> None:
    """Where nobody is needed nothing is kept back: the next call asks anew."""
    stage = Stage(world)
    refresher = stage.refresher({"crm": client(grant=ClientCredentials())})
    stage.vendor.answers(grants(1), grants(2))
    stage.vault.failures.extend([StorageUnavailable("It is away.")] * 1000)
    await refused(refresher.get(*OWNER))
    stage.vault.failures.clear()
    world.clock.advance(30)

    assert Secret("at-2") == (await refresher.get(*OWNER)).access_token


# --- what a request says -----------------------------------------------------------------------


@in_both_colours
async def test_each_request_vouches_anew(world: World) -> None:
    """Assertions of client and grant are made for each request, retries included."""
    stage = Stage(world)
    grant = JwtBearer(JwtSigning(algorithm="HS256", issuer="erp"), "k" * 32)
    mine = client(secret="s" * 32, authentication="client_secret_jwt", grant=grant)
    stage.vendor.answers(500, 500, grants(1))

    await stage.refresher({"crm": mine}).get(*OWNER)

    for name in ("assertion", "client_assertion"):
        assert 3 == len({told[name] for told in stage.asked()})


@in_both_colours
async def test_a_nonce_is_shown_once_it_is_wanted(world: World) -> None:
    """A server that wants a nonce gets it at once; who wants another every time is refused."""
    stage = Stage(world, PAST)
    bound: Face = stage.refresher({"crm": client(dpop_key=P256)})
    nonce = answers({"error": "use_dpop_nonce"}, 400, DPoP_Nonce="n-1")
    stage.vendor.answers(nonce, grants(2, token_type="DPoP"))

    found = await bound.get(*OWNER)
    assert Secret(P256) == found.dpop_key
    assert [] == world.sleeper.slept
    world.clock.advance(7200)
    stage.vendor.otherwise = nonce
    error = await refused(bound.get(*OWNER))
    assert "use_dpop_nonce" in str(error)
    assert 4 == len(stage.asked())
    proofs = {sent.header("DPoP") for sent in stage.vendor.requests}
    assert 4 == len(proofs)
