"""A hub from a configuration."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar
from warnings import warn

import attrs

from moorage.config.assembly import assemble, check_parts
from moorage.config.configured import read_parts
from moorage.config.problems import near, under
from moorage.config.tenants import read_tenant
from moorage.contracts.offer import Offer
from moorage.domain.secrets.frames import refusing
from moorage.errors import ConfigurationError, Problem
from moorage.hub.hub import AsyncHub, Hub
from moorage.wiring.ports import Ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from moorage.config.configured import Configured, Parts
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
    return opened(source, environment, ports, Hub, awaited=False)[0]


@refusing
def aopen(source: Source, *, environment: str | None = None, **ports: Any) -> AsyncHub:
    """As `open`, for the awaited face.

    It is plain: it waits for the file, and for the secrets that it refers to.
    """
    return opened(source, environment, ports, AsyncHub, awaited=True)[0]


H = TypeVar("H", Hub, AsyncHub)


def opened(
    source: Source,
    environment: str | None,
    given: Mapping[str, Any],
    kind: type[H],
    *,
    awaited: bool,
    complete: bool = True,
) -> tuple[H, Configured]:
    """The hub that a configuration describes, and the configuration as it was read.

    Args:
        source: the path of a file, or a mapping.
        environment: which of its environments is meant.
        given: the ports that the program gives.
        kind: the class of the hub.
        awaited: whether it is asynchronous.
        complete: whether a service is refused whose credentials nobody knows.

    Raises:
        ConfigurationError: something is wrong; `problems` are all that is.
    """
    check_ports(given)
    parts = read_parts(source, environment)
    found = parts.configured
    stays = _what_stays(found, given)
    assembled = assemble(parts, given, awaited=awaited, complete=complete)
    parts.report.refuse()
    _warn(found)
    ports = assembled.ports
    if "state" in ports and found.state != "memory:":
        ports.setdefault("environment_id", _name(found, own="state" not in given))
    tenants = ports.pop("tenants", None)
    every = ports.pop("tenants_every", None)
    if every is None and found.tenants_from is not None:
        every = found.tenants_from.every
    hub = kind(found.accounts, found.routes, services=found.services, safety=found.safety, **ports)
    if tenants is not None:
        hub.asks(tenants, read_tenant, every=5.0 if every is None else every)
    hub.owns(*assembled.owned)
    check = partial(check_parts, ports=dict(ports), complete=complete)
    read_again = partial(_read_again, found, stays, environment, check)
    return hub.comes_from(source, read_again), found


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
    if not told and not (own and found.store is None):
        stays.append("state.environment_id")
    if "tenants" not in ports:
        stays += ["tenants_from.url", "tenants_from.keys"]
        if "tenants_every" not in ports:
            stays.append("tenants_from.every")
    if "credentials" not in ports:
        stays += ["credentials_from.url", "credentials_from.keys"]
    if "log" not in ports:
        stays.append("log.url")
    if "http" not in ports:
        stays.append("http")
    return tuple(stays)


_OF_TENANTS: Final = "a hub asks in one place for its tenants as long as it runs."
_OF_CREDENTIALS: Final = "a hub has one store of credentials as long as it runs."
_REASONS: Final = {
    "state.url": "a hub keeps its store as long as it runs: the keys that were used are there.",
    "credentials_from.url": _OF_CREDENTIALS,
    "credentials_from.keys": _OF_CREDENTIALS,
    "log.url": "a hub has one integration log as long as it runs.",
    "http": "a hub keeps its HTTP client, and the connections of it, as long as it runs.",
    "state.environment_id": "a hub has one environment as long as it runs: its store was asked.",
}
_AS_IT_IS: Final = "Leave {} as it is, or start the program again."


def _read_again(
    opened: Configured,
    stays: tuple[str, ...],
    environment: str | None,
    check: Callable[[Parts], None],
    source: Source,
) -> Offer:
    """What a hub is made of from now on; what was opened for it stays."""
    parts = read_parts(source, environment)
    found = parts.configured
    check(parts)
    parts.report.refuse()
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
    said, store = found.tenants_from, found.credentials_from
    return {
        "credentials_from.url": None if store is None else store.url,
        "credentials_from.keys": None if store is None else store.keys,
        "http": found.http,
        "log.url": found.log,
        "state.url": found.store,
        "state.environment_id": found.environment_id,
        "tenants_from.url": None if said is None else said.url,
        "tenants_from.keys": None if said is None else said.keys,
        "tenants_from.every": None if said is None else said.every,
    }


def _name(found: Configured, *, own: bool) -> str | None:
    """What its store knows the environment by; "" is one without a name, None does not ask."""
    return (found.environment_id or "") if own else found.environment_id


def _warn(found: Configured) -> None:
    if found.warnings:
        places = ", ".join(one.path for one in found.warnings)
        first = found.warnings[0]
        # Past this function, the one that opens, the guard of frames, and `open` itself.
        warn(f"{found.file}: {places}: {first.found} {first.remedy}", ConfigurationWarning, 5)
