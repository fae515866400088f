"""One renewal: what is granted is stored before it is used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    ClientCredentials,
    Secret,
    StorageUnavailable,
)
from tests.oauth.others import PAST, refused
from tests.oauth.world import OWNER, Stage, Vault, client, grants, token
from tests.support.modes import World, sync_and_async

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@sync_and_async
async def test_storing_is_tried_again(world: World) -> None:
    """A vault that is away for a moment is waited for, at first shortly and then longer."""
    stage = Stage(world, PAST)
    stage.vault.failures.extend([StorageUnavailable("It is away.")] * 6)
    stage.vendor.answers(grants(2))

    result = await stage.refresher().get(*OWNER)

    assert result == stage.kept
    assert ["rt-1"] == stage.shown()
    assert [0.02, 0.04, 0.08, 0.16, 0.25, 0.25] == world.sleeper.slept


@sync_and_async
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


@sync_and_async
async def test_storing_is_tried_while_the_claim_lasts(world: World) -> None:
    """It is tried up to the moment until which the claim is good, and not beyond."""
    stage = Stage(world, PAST)
    stage.vendor.answers(world.after(0.2, grants(2)))
    stage.vault.failures.extend([StorageUnavailable("It is away.")] * 1000)

    await refused(stage.refresher(request_timeout=10).get(*OWNER))

    assert 20.0 == world.clock.now


@sync_and_async
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


@sync_and_async
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
@sync_and_async
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


@sync_and_async
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
