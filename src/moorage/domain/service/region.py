"""The regions of a service, and the order in which attempts try them.

Laws:

1. A call that may have been processed in one region is sent to no other region, unless it is known
   that repeating it there is safe.
2. Lower tiers come first. Within a tier, the chance of a region to come before another is its share
   of both weights.
3. A region that a call has tried comes after those that it has not tried.

The health of a region is not stored here, but in the region's circuit, in the state that all
processes share. An attempt asks the circuits in the order decided here, and goes to the first
region that admits it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from moorage.domain.auth.methods import Credentials, OAuthCredentials
from moorage.domain.http.urls import is_absolute, same_origin, validate_base_url
from moorage.domain.secrets.frames import with_careful_constructor
from moorage.domain.state.keys import checked_name
from moorage.domain.values.durations import is_count
from moorage.domain.values.frozen_values import field, frozen
from moorage.domain.values.text import with_article
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import attrs


def _name_of_region(value: object) -> str:
    return checked_name(value, "region")


def _is_credentials(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and not isinstance(value, (Credentials, OAuthCredentials)):
        # The value is not shown, because it may be a secret.
        raise ConfigurationError(
            f"The value is {with_article(type(value).__name__)}, not Credentials.",
            path=attribute.name,
            remedy="Pass Credentials, for example Credentials.bearer(token).",
        )


@with_careful_constructor
@frozen
class Region:
    """A region of a service: it offers the same API as the other regions under another URL.

    Attributes:
        name: the name of the region in errors, events and `circuit_state`.
        base_url: the base URL of its requests.
        weight: the region's share of the calls, among the regions of its tier.
        tier: a region is tried only when no region of a lower tier admits a call.
        credentials: the credentials for this region, if they differ from the service's: a signature
            may include the name of the region.
    """

    name: str = field(converter=_name_of_region)
    base_url: str = field(converter=validate_base_url)
    weight: int = field(default=1, validator=is_count, kw_only=True)
    tier: int = field(default=1, validator=is_count, kw_only=True)
    credentials: Credentials | OAuthCredentials | None = field(
        default=None, validator=_is_credentials, kw_only=True
    )


def regions_to_try(
    regions: Sequence[Region],
    current_region: str | None,
    *,
    tried_regions: Collection[str] = (),
    may_have_acted: bool = False,
    movable: bool = True,
    draw: float,
) -> tuple[Region, ...]:
    """Return the other regions to try, best first; all regions before the first attempt.

    `may_have_acted` means that the current region may have processed an attempt; `movable` means
    that repeating the attempt in another region is safe; `draw` is a random number in [0, 1).
    """
    if may_have_acted and not movable:
        return ()
    other_regions = [region for region in regions if region.name != current_region]
    new_regions = [region for region in other_regions if region.name not in tried_regions]
    return in_random_order(new_regions or other_regions, draw)


def in_random_order(regions: Sequence[Region], draw: float) -> tuple[Region, ...]:
    """Return the regions by tier; within a tier, in random order that favours high weights."""
    remaining_regions = sorted(regions, key=lambda region: region.tier)
    order: list[Region] = []
    while remaining_regions:
        first_tier = [
            region for region in remaining_regions if region.tier == remaining_regions[0].tier
        ]
        chosen_region, draw = _draw_region(first_tier, draw)
        remaining_regions.remove(chosen_region)
        order.append(chosen_region)
    return tuple(order)


def _draw_region(regions: Sequence[Region], draw: float) -> tuple[Region, float]:
    """Return a region drawn at random by weight, and a new random number."""
    position = draw * sum(region.weight for region in regions)
    for region in regions[:-1]:
        if position < region.weight:
            return region, position / region.weight
        position -= region.weight
    return regions[-1], position / regions[-1].weight


def regions_of_path(regions: Sequence[Region], path: str) -> Sequence[Region]:
    """Return the regions that a request to this path or URL may go to.

    A path may go to all regions; an absolute URL goes to the region that it belongs to.

    Raises:
        InvalidData: the URL belongs to no region.
    """
    if not is_absolute(path):
        return regions
    stored_regions = [region for region in regions if same_origin(region.base_url, path)]
    if not stored_regions:
        raise InvalidData(
            "The URL of the request does not belong to a region of the service.",
            field="path",
            remedy="Pass a path, or declare the other host as a separate service.",
        )
    request_path = urlsplit(path).path
    return [
        region for region in stored_regions if _is_below(region, request_path)
    ] or stored_regions


def _is_below(region: Region, path: str) -> bool:
    base = urlsplit(region.base_url).path.rstrip("/")
    return path == base or path.startswith(f"{base}/")
