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
from tests.support.modes import Harness, sync_and_async
from tests.support.virtual_ports import PiecewiseBody


@sync_and_async
async def test_absolute_url_chooses_its_region(harness: Harness) -> None:
    """A request with an absolute URL goes only to the region to which the URL belongs."""
    answers(harness, us=[503, 503, 503])
    manager = harness.manager(shop())

    with pytest.raises(VendorFailed):
        await manager.call("shop", Request.get("https://us.example/v1/items?page=2"))

    assert ["https://us.example/v1/items?page=2"] * 3 == [
        requests.url for requests in harness.vendor.requests
    ]
    with pytest.raises(InvalidData, match="not belong to a region of the service"):
        await manager.call("shop", Request.get("https://other.example/v1/items"))


@sync_and_async
async def test_region_credentials_are_used_only_in_that_region(harness: Harness) -> None:
    """A region's own credentials are used only there; other regions use those of the service."""
    answers(harness, eu=[REFUSED_CONNECTION])
    us = Region("us", US.base_url, tier=2, credentials=Credentials.bearer("for us"))
    manager = harness.manager(shop(EU, us, credentials=Credentials.bearer("for all")))

    await manager.call("shop", GET)

    assert ["Bearer for all", "Bearer for us"] == [
        requests.header("Authorization") for requests in harness.vendor.requests
    ]


@sync_and_async
async def test_region_credentials_precede_the_provider(harness: Harness) -> None:
    """A region's own credentials take precedence over the credential provider's."""

    class Provider:
        async def get(self, *_: object) -> Credentials:
            return Credentials.bearer("for all")

    answers(harness, eu=[REFUSED_CONNECTION])
    us = Region("us", US.base_url, tier=2, credentials=Credentials.bearer("for us"))
    service = shop(EU, us, needs_credentials=True)
    manager = harness.manager(service, credentials=harness.of_mode(Provider()))

    await manager.call("shop", GET)

    assert ["Bearer for all", "Bearer for us"] == [
        requests.header("Authorization") for requests in harness.vendor.requests
    ]


@sync_and_async
async def test_error_of_another_service_gets_no_region(harness: Harness) -> None:
    """An error that names another service does not get the called service's region."""

    def asks(_: Request) -> Request:
        raise ConnectionFailed("refused.", service="other")

    manager = harness.manager(shop(request_transforms=asks, retry=None))

    with pytest.raises(ConnectionFailed) as excinfo:
        await manager.call("shop", POST)

    assert ("other", None) == (excinfo.value.service, excinfo.value.region)


@sync_and_async
async def test_renewal_stays_in_its_region(harness: Harness) -> None:
    """After a 401 the renewed credential is sent to the same region, within the same attempt."""

    class Provider:
        async def get(self, *_: object) -> Credentials:
            return Credentials.bearer("old")

        async def refresh(self, *_: object) -> Credentials:
            return Credentials.bearer("new")

    answers(harness, eu=[401])
    service = shop(needs_credentials=True, retry=None)
    manager = harness.manager(service, credentials=harness.of_mode(Provider()))

    await manager.call("shop", POST)

    assert ["eu", "eu"] == regions_used(harness)
    assert ["Bearer old", "Bearer new"] == [
        requests.header("Authorization") for requests in harness.vendor.requests
    ]


@sync_and_async
async def test_transforms_run_before_the_region_is_chosen(harness: Harness) -> None:
    """The transformed request is joined to the base URL of each attempt's region."""
    answers(harness, eu=[REFUSED_CONNECTION])
    manager = harness.manager(
        shop(request_transforms=lambda request: request.evolve(path="/changed"))
    )

    await manager.call("shop", GET)

    assert ["https://eu.example/v1/changed", "https://us.example/v1/changed"] == [
        requests.url for requests in harness.vendor.requests
    ]


@sync_and_async
async def test_stream_fails_over(harness: Harness) -> None:
    """A stream that cannot be opened in one region is opened in the next."""
    answers(harness, eu=[REFUSED_CONNECTION], us=[Response(200, body=b"all of it")])
    manager = harness.manager(shop(circuit=OPENS_AT_ONCE))

    async with await manager.stream("shop", GET) as stream:
        assert [b"all of it"] == await stream.all()

    assert ["eu", "us"] == regions_used(harness)
    states = [await manager.circuit_state("shop", region=name) for name in ("eu", "us")]
    assert [CircuitState.OPEN, CircuitState.CLOSED] == [state.state for state in states]


@sync_and_async
async def test_broken_stream_counts_for_its_region(harness: Harness) -> None:
    """If a stream breaks off, its region's circuit counts a failure."""
    answers(harness, eu=[PiecewiseBody(200, (), b"half", CUT_OFF)])
    manager = harness.manager(shop(circuit=OPENS_AT_ONCE))

    with pytest.raises(ConnectionFailed) as excinfo:
        async with await manager.stream("shop", GET) as stream:
            await stream.all()

    assert "eu" == excinfo.value.region
    state = await manager.circuit_state("shop", region="eu")
    assert CircuitState.OPEN is state.state


@sync_and_async
async def test_hedge_uses_another_region(harness: Harness) -> None:
    """The second request of a hedged read goes to another region, and counts in its circuit."""
    gate = harness.gate()
    answers(harness, eu=[gate.answering(200)])
    manager = harness.manager(shop(hedge=HedgeConfig(0.1), retry=None))

    running_call = harness.start(lambda: manager.call("shop", GET))
    await gate.reached()
    harness.gather.too_long.set()
    await running_call.result()
    gate.open()

    assert ["eu", "us"] == regions_used(harness)


@sync_and_async
async def test_response_has_its_region(harness: Harness) -> None:
    """If a read is hedged across regions, the response names its region."""
    first, second = harness.gate(), harness.gate()
    answers(harness, eu=[first.answering(200)], us=[second.answering(503)])
    hedged_shop = shop(
        hedge=HedgeConfig(0.1), retry=None, credentials=Credentials.api_key("k3y", query="key")
    )
    manager = harness.manager(hedged_shop)

    running_call = harness.start(lambda: manager.call("shop", GET))
    await first.reached()
    harness.gather.too_long.set()
    await second.reached()
    first.open()
    response = await running_call.result()
    second.open()

    assert "https://eu.example/v1/items" == response.url


@sync_and_async
async def test_hedges_start_in_different_regions(harness: Harness) -> None:
    """Each hedge goes to another region, or to the first region if no other admits it."""
    ap = Region("ap", "https://ap.example", tier=3)
    answers(harness, eu=[503], us=[503, 503], ap=[503])
    manager = harness.manager(shop(EU, US, ap, hedge=HedgeConfig(0.1, 3), retry=None))

    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)

    assert ["eu", "us", "ap", "us"] == regions_used(harness)


@sync_and_async
async def test_hedge_stays_if_other_regions_are_closed(harness: Harness) -> None:
    """If no other region is available, a hedge goes to the same region."""
    answers(harness, eu=[503, 200, 503])
    hedged_shop = shop(
        hedge=HedgeConfig(0.1),
        retry=None,
        endpoints=Endpoint("never", path="/orders", idempotent=False),
        idempotency_across_regions=True,
    )
    manager = harness.watched(hedged_shop)

    await manager.call("shop", POST.evolve(idempotent=True))
    assert ["eu", "eu"] == regions_used(harness)

    await open_circuits(manager, "us")
    await manager.call("shop", GET)
    assert ["eu"] * 4 == regions_used(harness)
    assert "CallRefused" not in harness.event_names()


@sync_and_async
async def test_concurrent_hedges_use_different_regions(harness: Harness) -> None:
    """Hedges that are in flight together are in different regions."""
    ap = Region("ap", "https://ap.example", tier=3)
    first, second = harness.gate(), harness.gate()
    answers(harness, eu=[first.answering(200)], us=[second.answering(200)])
    manager = harness.manager(shop(EU, US, ap, hedge=HedgeConfig(0.1, 2), retry=None))

    running_call = harness.start(lambda: manager.call("shop", GET))
    for gate in (first, second):
        await gate.reached()
        harness.gather.too_long.set()
    await running_call.result()
    for gate in (first, second):
        gate.open()

    assert ["eu", "us", "ap"] == regions_used(harness)


@sync_and_async
async def test_hedge_does_not_wait_for_a_limit(harness: Harness) -> None:
    """A hedge that would have to wait for a limit is not sent in any region."""
    answers(harness, eu=[503])
    limits = RateLimitConfig(1, per=1)
    manager = harness.manager(shop(hedge=HedgeConfig(0.1), retry=None, limits=limits))

    with pytest.raises(VendorFailed):
        await manager.call("shop", GET)

    assert ["eu"] == regions_used(harness)


@sync_and_async
async def test_functions_need_a_service_without_regions(harness: Harness) -> None:
    """Calls of functions are refused for a service with several regions."""
    manager = harness.watched(shop())

    with pytest.raises(ConfigurationError, match="A function cannot run in a region") as excinfo:
        await manager.run("shop", harness.do_nothing)

    assert "regions" == excinfo.value.path
    assert "Protect the function with another service, or" in excinfo.value.remedy
    assert ["CallStarted", "CallFinished"] == harness.event_names()
