"""A hub from a configuration."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final
from warnings import warn

import attrs

from moorage.config.configured import read_configuration
from moorage.config.problems import near, under
from moorage.config.tenants import read_tenant
from moorage.contracts.offer import Offer
from moorage.domain.frames import refusing
from moorage.errors import ConfigurationError, Problem
from moorage.hub import AsyncHub, Hub
from moorage.opening import aopen_storage, aopen_tenants, open_storage, open_tenants
from moorage.wiring.ports import Ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from moorage.config.configured import Configured
    from moorage.config.loading import Source


_OF_HUBS: Final = ("transports", "tokens", "environment_id", "tenants", "tenants_every")
"""What a hub takes besides the ports of its manager."""


class ConfigurationWarning(UserWarning):
    """A configuration is right, and should be otherwise."""


@refusing
def open(source: Source, *, environment: str | None = None, **ports: Any) -> Hub:  # noqa: A001 - read as moorage.open
    """The hub that a configuration describes.

    Args:
        source: the path of a file of TOML, JSON or YAML, or a mapping.
        environment: which of its environments is meant; what MOORAGE_ENVIRONMENT says unless given.
        ports: what `Hub` takes besides, in place of what the configuration names; and `tenants`,
            which knows the tenants, with `tenants_every`, the seconds for which it is believed.

    Raises:
        ConfigurationError: something in it is wrong; `problems` are all that is, each with its
            path, and nothing has been opened. Or a port has a name that there is not.
    """
    check_ports(ports)
    found, own = _read(source, environment), "state" not in ports
    stays = _what_stays(found, ports)
    if own and found.state is not None:
        ports["state"] = open_storage(found.state)
    if "state" in ports and found.state != "memory:":
        ports.setdefault("environment_id", _name(found, own=own))
    tenants, every = _tenants(found, ports, open_tenants)
    hub = Hub(found.accounts, found.routes, services=found.services, safety=found.safety, **ports)
    if tenants is not None:
        hub.asks(tenants, read_tenant, every=every)
    hub.owns(ports.get("state") if own else None)
    return hub.comes_from(source, partial(_read_again, found, stays, environment))


@refusing
def aopen(source: Source, *, environment: str | None = None, **ports: Any) -> AsyncHub:
    """As `open`, for the awaited face.

    It is plain: it waits for the file, and for the secrets that it refers to.
    """
    check_ports(ports)
    found, own = _read(source, environment), "state" not in ports
    stays = _what_stays(found, ports)
    if own and found.state is not None:
        ports["state"] = aopen_storage(found.state)
    if "state" in ports and found.state != "memory:":
        ports.setdefault("environment_id", _name(found, own=own))
    tenants, every = _tenants(found, ports, aopen_tenants)
    hub = AsyncHub(
        found.accounts, found.routes, services=found.services, safety=found.safety, **ports
    )
    if tenants is not None:
        hub.asks(tenants, read_tenant, every=every)
    hub.owns(ports.get("state") if own else None)
    return hub.comes_from(source, partial(_read_again, found, stays, environment))


def check_ports(names: Iterable[object], path: str = "") -> None:
    """Refuse names that neither `open` nor `aopen` takes.

    Args:
        names: those given.
        path: where they stand, if that is a setting.

    Raises:
        ConfigurationError: one of them is unknown.
    """
    known = [*(field.name for field in attrs.fields(Ports)), *_OF_HUBS]
    for name in names:
        if name not in known:
            nearest = near(str(name), known)
            hint = "" if nearest is None else f"Did you mean {nearest}? "
            raise ConfigurationError(
                f"{str(name)!r} is nothing that `moorage.open` takes.",
                path=under(path, str(name)),
                remedy=f"{hint}Use {', '.join(known)}; all else is said by the configuration.",
            )


def _what_stays(found: Configured, ports: Mapping[str, Any]) -> tuple[str, ...]:
    """The places of what is opened by the configuration, and by none of these ports, for good."""
    own = "state" not in ports
    stays = ["state.url"] if own else []
    told = "environment_id" in ports or found.state == "memory:"
    if not told and not (own and found.state is None):
        stays.append("state.environment_id")
    if "tenants" not in ports:
        stays += ["tenants_from.url", "tenants_from.keys"]
        if "tenants_every" not in ports:
            stays.append("tenants_from.every")
    return tuple(stays)


_REASONS: Final = {
    "state.url": "a hub keeps its store as long as it runs: the keys that were used are there.",
    "state.environment_id": "a hub has one environment as long as it runs: its store was asked.",
}
_OF_TENANTS: Final = "a hub asks in one place for its tenants as long as it runs."
_AS_IT_IS: Final = "Leave {} as it is, or start the program again."


def _read_again(
    opened: Configured, stays: tuple[str, ...], environment: str | None, source: Source
) -> Offer:
    """What a hub is made of from now on; what was opened for it stays."""
    found = read_configuration(source, environment)
    before, now = _opened(opened), _opened(found)
    other = tuple(
        Problem(path, _REASONS.get(path, _OF_TENANTS), _AS_IT_IS.format(path))
        for path in stays
        if before[path] != now[path]
    )
    if other:
        raise ConfigurationError.of(other)
    return Offer(
        accounts=found.accounts,
        routes=found.routes,
        services=found.services,
        safety=found.safety,
    )


def _opened(found: Configured) -> dict[str, Any]:
    """What a configuration says, by its place, of what is opened once."""
    said = found.tenants_from
    return {
        "state.url": found.state,
        "state.environment_id": found.environment_id,
        "tenants_from.url": None if said is None else said.url,
        "tenants_from.keys": None if said is None else said.keys,
        "tenants_from.every": None if said is None else said.every,
    }


def _name(found: Configured, *, own: bool) -> str | None:
    """What its store knows the environment by; "" is one without a name, None does not ask."""
    return (found.environment_id or "") if own else found.environment_id


def _tenants(found: Configured, ports: dict[str, Any], make: Callable[..., Any]) -> Any:
    """Who knows the tenants, if somebody does, and for how long that is believed."""
    said = found.tenants_from
    every = ports.pop("tenants_every", None if said is None else said.every)
    if "tenants" not in ports and said is not None:
        ports["tenants"] = make(said.url.reveal(), said.keys)
    return ports.pop("tenants", None), 5.0 if every is None else every


def _read(source: Source, environment: str | None) -> Configured:
    found = read_configuration(source, environment)
    if found.warnings:
        places = ", ".join(one.path for one in found.warnings)
        first = found.warnings[0]
        # Past this function, the guard of frames and `open` itself.
        warn(f"{found.file}: {places}: {first.found} {first.remedy}", ConfigurationWarning, 4)
    return found
