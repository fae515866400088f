"""The regions of a service, and the choice of the region for an attempt."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import (
    ConfigurationError,
    Credentials,
    Endpoint,
    InvalidData,
    Region,
    Request,
    Service,
)
from moorage.domain.service.region import in_random_order, regions_of_path, regions_to_try

EU = Region("eu", "https://eu.example/api")
US = Region("us", "https://us.example/api")

NAMES = ("eu", "us", "ap", "sa", "af")
DRAWS = st.floats(0, 1, exclude_max=True)


@st.composite
def region_lists(draw: st.DrawFn) -> list[Region]:
    """Return a strategy that draws up to five regions of any weights and tiers."""
    return [
        Region(
            name,
            f"https://{name}.example",
            weight=draw(st.integers(1, 100)),
            tier=draw(st.integers(1, 3)),
        )
        for name in NAMES[: draw(st.integers(1, len(NAMES)))]
    ]


@given(regions=region_lists(), draw=DRAWS)
def test_order_has_every_region_by_tier(regions: list[Region], draw: float) -> None:
    """The order of regions has each region once, and earlier tiers first."""
    order = in_random_order(regions, draw)

    assert set(regions) == set(order)
    assert len(regions) == len(order)
    assert sorted(region.tier for region in regions) == [region.tier for region in order]


@given(
    regions=region_lists(),
    draw=DRAWS,
    current_region=st.sampled_from((None, *NAMES)),
    tried=st.frozensets(st.sampled_from(NAMES)),
    acted=st.booleans(),
    movable=st.booleans(),
)
def test_possibly_processed_request_stays_in_its_region(
    *,
    regions: list[Region],
    draw: float,
    current_region: str | None,
    tried: frozenset[str],
    acted: bool,
    movable: bool,
) -> None:
    """A possibly processed request that must not be repeated tries no other region."""
    other_regions = regions_to_try(
        regions,
        current_region,
        tried_regions=tried,
        may_have_acted=acted,
        movable=movable,
        draw=draw,
    )

    if acted and not movable:
        assert () == other_regions
        return
    assert current_region not in {region.name for region in other_regions}
    skipped_regions = (
        {region.name for region in regions}
        - {region.name for region in other_regions}
        - {current_region}
    )
    assert not skipped_regions or (
        skipped_regions <= tried and not {region.name for region in other_regions} & tried
    )
    if {region.name for region in regions} - {current_region}:
        assert other_regions


def test_region_that_call_has_already_tried_is_used_again_only_after_all_others() -> None:
    """A region that a call has already tried is used again only after all others."""
    ap = Region("ap", "https://ap.example")
    regions = (EU, US, ap)

    assert (ap,) == regions_to_try(regions, "us", tried_regions={"eu", "us"}, draw=0.0)
    assert {EU, ap} == set(
        regions_to_try(regions, "us", tried_regions={"eu", "us", "ap"}, draw=0.0)
    )


def test_another_region_may_be_tried_by_default() -> None:
    """By default a failed request is assumed not processed, so another region may be tried."""
    assert (US,) == regions_to_try((EU, US), "eu", movable=False, draw=0.0)
    assert (US,) == regions_to_try((EU, US), "eu", may_have_acted=True, draw=0.0)


def test_number_between_two_shares_selects_the_second_region() -> None:
    """A random number exactly between two regions' shares selects the second region."""
    assert [EU, US, US] == [in_random_order((EU, US), draw)[0] for draw in (0.499, 0.5, 0.999)]


@pytest.mark.untraced
@given(weights=st.lists(st.integers(1, 20), min_size=2, max_size=5), seed=st.integers(0, 2**32))
def test_first_region_follows_the_weights(weights: list[int], seed: int) -> None:
    """Over many calls, each region comes first in proportion to its weight."""
    regions = [
        Region(name, f"https://{name}.example", weight=weight)
        for name, weight in zip(NAMES, weights, strict=False)
    ]
    generator = random.Random(seed)
    draws = 2_000

    first_counts = Counter(
        in_random_order(regions, generator.random())[0].name for _ in range(draws)
    )

    for region in regions:
        share = region.weight / sum(weights)
        # Six standard deviations, which chance exceeds twice in a thousand million runs.
        assert abs(first_counts[region.name] - draws * share) <= 6 * math.sqrt(
            draws * share * (1 - share)
        )


def test_equal_weights_make_every_order_equally_likely() -> None:
    """If regions have equal weights, every order of them is equally likely."""
    regions = [Region(name, f"https://{name}.example") for name in NAMES[:3]]
    generator = random.Random(28)

    orders = Counter(
        tuple(region.name for region in in_random_order(regions, generator.random()))
        for _ in range(6_000)
    )

    assert 6 == len(orders)
    assert all(820 <= count <= 1180 for count in orders.values())


@pytest.mark.parametrize("heavy", [0, 2])
def test_second_region_is_evenly_distributed(heavy: int) -> None:
    """After the region with the highest weight, each other region comes second equally often."""
    names = NAMES[:3]
    regions = [
        Region(name, f"https://{name}.example", weight=8 if index == heavy else 1)
        for index, name in enumerate(names)
    ]
    generator = random.Random(28)
    orders = [
        [region.name for region in in_random_order(regions, generator.random())]
        for _ in range(6_000)
    ]
    seconds = Counter(order[1] for order in orders if order[0] == names[heavy])

    assert {*names} - {names[heavy]} == {*seconds}
    assert max(seconds.values()) < 1.15 * min(seconds.values())


def test_full_url_selects_its_region() -> None:
    """An absolute URL selects the regions of its origin whose base path contains the URL's path."""
    inner_region = Region("inner", "https://eu.example/api/v2")
    marked_region = Region("marked", "https://eu.example/api/X/")

    assert (EU, US) == regions_of_path((EU, US), "/items")
    assert [US] == regions_of_path((EU, US), "HTTPS://us.example:443/api/items")
    assert [EU] == regions_of_path((EU, US), "https://eu.example/api")
    assert [EU] == regions_of_path((EU, US), "https://eu.example/elsewhere?page=2")
    assert [EU, inner_region] == regions_of_path(
        (EU, US, inner_region), "https://eu.example/api/v2/items"
    )
    assert [EU, inner_region] == regions_of_path(
        (EU, US, inner_region), "https://eu.example/api/v2"
    )
    assert [EU] == regions_of_path((EU, US, inner_region), "https://eu.example/api/v22/items")
    assert [EU, marked_region] == regions_of_path(
        (EU, marked_region), "https://eu.example/api/X/items"
    )
    assert [EU] == regions_of_path((EU, marked_region), "https://eu.example/api/items")
    with pytest.raises(InvalidData, match="does not belong to a region of the service"):
        regions_of_path((EU, US), "http://eu.example/api/items")


@pytest.mark.parametrize(
    "changes, path",
    [
        ({"name": ""}, "region"),
        ({"name": 7}, "region"),
        ({"base_url": "ftp://eu.example"}, "base_url"),
        ({"base_url": "https://user@eu.example"}, "base_url"),
        ({"weight": 0}, "weight"),
        ({"weight": True}, "weight"),
        ({"tier": 0}, "tier"),
        ({"credentials": "hunter2"}, "credentials"),
    ],
)
def test_invalid_regions_are_refused(changes: dict[str, Any], path: str) -> None:
    """Invalid settings of a region are refused, and not shown."""
    with pytest.raises((ConfigurationError, InvalidData)) as excinfo:
        attrs.evolve(EU, **changes)

    assert path in (getattr(excinfo.value, "path", None), getattr(excinfo.value, "field", None))
    assert ("The value is a str, not Credentials." in str(excinfo.value)) is (path == "credentials")
    assert "hunter2" not in str(excinfo.value)


def test_region_may_have_its_own_credentials() -> None:
    """A region may have its own credentials, which the repr does not show."""
    region = attrs.evolve(EU, credentials=Credentials.bearer("hunter2"))

    assert region.credentials == Credentials.bearer("hunter2")
    assert "hunter2" not in repr(region)


def test_service_has_a_base_url_or_regions() -> None:
    """Regions have unique names, and a service has either a base URL or regions."""
    assert (EU,) == Service("shop", regions=EU).regions
    with pytest.raises(ConfigurationError, match="both a base_url and regions") as excinfo:
        Service("shop", "https://shop.example", regions=(EU,))
    assert "regions" == excinfo.value.path
    with pytest.raises(ConfigurationError, match="Two regions are named 'eu'") as excinfo:
        Service("shop", regions=(EU, attrs.evolve(US, name="eu")))
    assert "regions" == excinfo.value.path
    with pytest.raises(ConfigurationError, match="not a Region"):
        Service("shop", regions=("https://eu.example",))
    with pytest.raises(ConfigurationError):
        Service("shop", regions=(EU,), idempotency_across_regions=1)  # type: ignore[arg-type]  # what is wrong


def test_the_endpoint_of_a_url_is_found_below_its_region() -> None:
    """An absolute URL selects the endpoint that matches its path below the region's base."""
    service = Service(
        "shop", regions=(EU, US), endpoints=(Endpoint("items", path="/items", timeout=5),)
    )

    result = service.endpoint(None, Request.get("https://us.example/api/items?page=2"))

    assert result is service.endpoints[0]
    assert service.endpoint(None, Request.get("/items")) is service.endpoints[0]
    with pytest.raises(InvalidData):
        service.endpoint(None, Request.get("https://other.example/api/items"))
