"""Services with several regions, with credentials, streams and hedges."""

from __future__ import annotations

import pytest

from moorage import (
    CircuitState,
    ConfigurationError,
    ConnectionFailed,
    Credentials,
    Endpoint,
    HedgeConfig,
    InvalidData,
    RateLimitConfig,
    Region,
    Request,
    Response,
    VendorFailed,
)
from tests.services.two_regions import (
    CUT_OFF,
    EU,
    GET,
    POST,
    REFUSED_CONNECTION,
    US,
    answers,
    open_circuits,
    regions_used,
    shop,
)
from tests.services.vat import OPENS_AT_ONCE
from tests.support.modes import World, sync_and_async
from tests.support.virtual_ports import PiecewiseBody


@sync_and_async
async def test_absolute_url_chooses_its_region(world: World) -> None:
    """A request with an absolute URL goes only to the region to which the URL belongs."""
    answers(world, us=[503, 503, 503])
    manager = world.manager(shop())

    with pytest.raises(VendorFailed):
        await manager.call("shop", Request.get("https://us.example/v1/items?page=2"))

    assert ["https://us.example/v1/items?page=2"] * 3 == [
        requests.url for requests in world.vendor.requests
    ]
    with pytest.raises(InvalidData, match="not belong to a region of the service"):
        await manager.call("shop", Request.get("https://other.example/v1/items"))


@sync_and_async
async def test_region_credentials_are_used_only_in_that_region(world: World) -> None:
    """A region's own credentials are used only there; other regions use those of the service."""
    answers(world, eu=[REFUSED_CONNECTION])
    us = Region("us", US.base_url, tier=2, credentials=Credentials.bearer("for us"))
    manager = world.manager(shop(EU, us, credentials=Credentials.bearer("for all")))

    await manager.call("shop", GET)

    assert ["Bearer for all", "Bearer for us"] == [
        requests.header("Authorization") for requests in world.vendor.requests
    ]


@sync_and_async
async def test_region_credentials_precede_the_provider(world: World) -> None:
    """A region's own credentials take precedence over the credential provider's."""

    class Provider:
        async def get(self, *_: object) -> Credentials:
            return Credentials.bearer("for all")

    answers(world, eu=[REFUSED_CONNECTION])
    us = Region("us", US.base_url, tier=2, credentials=Credentials.bearer("for us"))
    service = shop(EU, us, needs_credentials=True)
    manager = world.manager(service, credentials=world.of_mode(Provider()))

    await manager.call("shop", GET)

    assert ["Bearer for all", "Bearer for us"] == [
        requests.header("Authorization") for requests in world.vendor.requests
    ]


@sync_and_async
async def test_error_of_another_service_gets_no_region(world: World) -> None:
    """An error that names another service does not get the called service's region."""

    def asks(_: Request) -> Request:
        raise ConnectionFailed("refused.", service="other")

    manager = world.manager(shop(request_transforms=asks, retry=None))

    with pytest.raises(ConnectionFailed) as excinfo:
        await manager.call("shop", POST)

    assert ("other", None) == (excinfo.value.service, excinfo.value.region)


@sync_and_async
async def test_renewal_stays_in_its_region(world: World) -> None:
    """After a 401 the renewed credential is sent to the same region, within the same attempt."""

    class Provider:
        async def get(self, *_: object) -> Credentials:
            return Credentials.bearer("old")

        async def refresh(self, *_: object) -> Credentials:
            return Credentials.bearer("new")

    answers(world, eu=[401])
    service = shop(needs_credentials=True, retry=None)
    manager = world.manager(service, credentials=world.of_mode(Provider()))

    await manager.call("shop", POST)

    assert ["eu", "eu"] == regions_used(world)
    assert ["Bearer old", "Bearer new"] == [
        requests.header("Authorization") for requests in world.vendor.requests
    ]


@sync_and_async
async def test_transforms_run_before_the_region_is_chosen(world: World) -> None:
    """The transformed request is joined to the base URL of each attempt's region."""
    answers(world, eu=[REFUSED_CONNECTION])
    manager = world.manager(
        shop(request_transforms=lambda request: request.evolve(path="/changed"))
    )

    await manager.call("shop", GET)

    assert ["https://eu.example/v1/changed", "https://us.example/v1/changed"] == [
        requests.url for requests in world.vendor.requests
    ]


@sync_and_async
async def test_stream_fails_over(world: World) -> None:
    """A stream that cannot be opened in one region is opened in the next."""
    answers(world, eu=[REFUSED_CONNECTION], us=[Response(200, body=b"all of it")])
    manager = world.manager(shop(circuit=OPENS_AT_ONCE))

    async with await manager.stream("shop", GET) as stream:
        assert [b"all of it"] == await stream.all()

    assert ["eu", "us"] == regions_used(world)
    states = [await manager.circuit_state("shop", region=name) for name in ("eu", "us")]
    assert [CircuitState.OPEN, CircuitState.CLOSED] == [state.state for state in states]


@sync_and_async
async def test_broken_stream_counts_for_its_region(world: World) -> None:
    """If a stream breaks off, its region's circuit counts a failure."""
    answers(world, eu=[PiecewiseBody(200, (), b"half", CUT_OFF)])
    manager = world.manager(shop(circuit=OPENS_AT_ONCE))

    with pytest.raises(ConnectionFailed) as excinfo:
        async with await manager.stream("shop", GET) as stream:
            await stream.all()

    assert "eu" == excinfo.value.region
    state = await manager.circuit_state("shop", region="eu")
    assert CircuitState.OPEN is state.state


@sync_and_async
async def test_hedge_uses_another_region(world: World) -> None:
    """The second request of a hedged read goes to another region, and counts in its circuit."""
    gate = world.gate()
    answers(world, eu=[gate.answering(200)])
    manager = world.manager(shop(hedge=HedgeConfig(0.1), retry=None))

    running_call = world.start(lambda: manager.call("shop", GET))
    await gate.reached()
    world.gather.too_long.set()
    await running_call.result()
    gate.open()

    assert ["eu", "us"] == regions_used(world)


@sync_and_async
async def test_response_has_its_region(world: World) -> None:
    """If a read is hedged across regions, the response names its region."""
    first, second = world.gate(), world.gate()
    answers(world, eu=[first.answering(200)], us=[second.answering(503)])
    hedged_shop = shop(
        hedge=HedgeConfig(0.1), retry=None, credentials=Credentials.api_key("k3y", query="key")
    )
    manager = world.manager(hedged_shop)

    running_call = world.start(lambda: manager.call("shop", GET))
    await first.reached()
    world.gather.too_long.set()
    await second.reached()
    first.open()
    response = await running_call.result()
    second.open()

    assert "https://eu.example/v1/items" == response.url


@sync_and_async
async def test_hedges_start_in_different_regions(world: World) -> None:
    """Each hedge goes to another region, or to the first region if no other admits it."""
    ap = Region("ap", "https://ap.example", tier=3)
    answers(world, eu=[503], us=[503, 503], ap=[503])
    manager = world.manager(shop(EU, US, ap, hedge=HedgeConfig(0.1, 3), retry=None))

    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)

    assert ["eu", "us", "ap", "us"] == regions_used(world)


@sync_and_async
async def test_hedge_stays_if_other_regions_are_closed(world: World) -> None:
    """If no other region is available, a hedge goes to the same region."""
    answers(world, eu=[503, 200, 503])
    hedged_shop = shop(
        hedge=HedgeConfig(0.1),
        retry=None,
        endpoints=Endpoint("never", path="/orders", idempotent=False),
        idempotency_across_regions=True,
    )
    manager = world.watched(hedged_shop)

    await manager.call("shop", POST.evolve(idempotent=True))
    assert ["eu", "eu"] == regions_used(world)

    await open_circuits(manager, "us")
    await manager.call("shop", GET)
    assert ["eu"] * 4 == regions_used(world)
    assert "CallRefused" not in world.event_names()


@sync_and_async
async def test_concurrent_hedges_use_different_regions(world: World) -> None:
    """Hedges that are in flight together are in different regions."""
    ap = Region("ap", "https://ap.example", tier=3)
    first, second = world.gate(), world.gate()
    answers(world, eu=[first.answering(200)], us=[second.answering(200)])
    manager = world.manager(shop(EU, US, ap, hedge=HedgeConfig(0.1, 2), retry=None))

    running_call = world.start(lambda: manager.call("shop", GET))
    for gate in (first, second):
        await gate.reached()
        world.gather.too_long.set()
    await running_call.result()
    for gate in (first, second):
        gate.open()

    assert ["eu", "us", "ap"] == regions_used(world)


@sync_and_async
async def test_hedge_does_not_wait_for_a_limit(world: World) -> None:
    """A hedge that would have to wait for a limit is not sent in any region."""
    answers(world, eu=[503])
    limits = RateLimitConfig(1, per=1)
    manager = world.manager(shop(hedge=HedgeConfig(0.1), retry=None, limits=limits))

    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)

    assert ["eu"] == regions_used(world)


@sync_and_async
async def test_functions_need_a_service_without_regions(world: World) -> None:
    """Calls of functions are refused for a service with several regions."""
    manager = world.watched(shop())

    with pytest.raises(ConfigurationError, match="A function cannot run in a region") as excinfo:
        await manager.run("shop", world.do_nothing)

    assert "regions" == excinfo.value.path
    assert "Protect the function with another service, or" in excinfo.value.remedy
    assert ["CallStarted", "CallFinished"] == world.event_names()
