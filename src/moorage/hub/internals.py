"""Access to private parts of managers and hubs, for moorage's own code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from moorage.contracts.hub_configuration import HubConfiguration
    from moorage.domain.service.settings import Service
    from moorage.hub.origin import Source
    from moorage.services.calling.steps import CallOperations
    from moorage.services.core.core import Core
    from moorage.services.entries.inbox import InboxFlows
    from moorage.services.environment_guard import EnvironmentGuard
    from moorage.wiring.ports import Ports


def flows_of(manager: Any) -> CallOperations:
    """Return the current call operations of a manager."""
    flows: CallOperations = manager._flows  # noqa: SLF001 - the purpose of this module
    return flows


def inbox_flows_of(inbox: Any) -> InboxFlows:
    """Return the operations of an inbox."""
    flows: InboxFlows = inbox._flows  # noqa: SLF001 - the purpose of this module
    return flows


def ports_of(manager: Any) -> Ports:
    """Return the ports that were passed to a manager."""
    ports: Ports = manager._ports  # noqa: SLF001 - the purpose of this module
    return ports


def core_of(manager: Any) -> Core:
    """Return the core of a manager."""
    return flows_of(manager).core


def guard_calls(manager: Any, environment_guard: EnvironmentGuard) -> None:
    """Make an environment guard check all calls that a manager starts from now on."""
    manager._environment_guard = environment_guard  # noqa: SLF001 - the purpose of this module


def prepared_calling(
    manager: Any,
    services: Iterable[Service],
    *,
    credentials: Any = None,
    places: Mapping[str, str] | None = None,
) -> CallOperations:
    """Check a manager's new services, and return call operations that are not used yet.

    Args:
        manager: the manager.
        services: the services that may be called.
        credentials: provides their credentials; by default the manager's own provider.
        places: the path of each service in the configuration, by the service's name, if any.
    """
    calling: CallOperations = manager._prepared(services, credentials=credentials, places=places)  # noqa: SLF001 - the purpose of this module
    return calling


def use_flows(manager: Any, flows: CallOperations, *, dry_run: bool) -> None:
    """Make a manager use prepared call operations for all calls that begin from now on.

    Args:
        manager: the manager.
        flows: the prepared call operations.
        dry_run: True if they send no request that has an effect.
    """
    manager._use_operations(flows, dry_run=dry_run)  # noqa: SLF001 - the purpose of this module


def close_with(hub: Any, opened: Iterable[Any]) -> None:
    """Make a hub close these stores and clients, which it alone uses, when it closes."""
    hub._own = tuple(opened)  # noqa: SLF001 - the purpose of this module


def keep_origin(hub: Any, source: Source, read: Callable[[Source], HubConfiguration]) -> None:
    """Store the source of a hub's configuration, so that `reload` can read it again.

    Args:
        hub: the hub.
        source: the source of its configuration.
        read: reads it, or another source.
    """
    hub._keep_origin(source, read)  # noqa: SLF001 - the purpose of this module
