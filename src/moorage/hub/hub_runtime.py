"""The objects behind a hub: its manager, and the dispatcher of the current configuration.

The manager, its ports and the token refresher live as long as the hub. Each configuration becomes
a dispatcher: flows over its services, the directory of its accounts, and their transports.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakValueDictionary, ref

from moorage.adapters.concurrency.forking import ForkSafeLock
from moorage.contracts.hub_configuration import HubConfiguration, check_modes
from moorage.contracts.routes import Directory
from moorage.domain.values.frozen_values import evolve
from moorage.hub.internals import core_of, guard_calls, prepared_calling
from moorage.services.contracts.dispatcher import Dispatcher
from moorage.services.environment_guard import EnvironmentGuard
from moorage.wiring.accounts import clients_of, service_paths, services_of, transports_of
from moorage.wiring.installed_vendors import names_with_capabilities

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import TypeAlias
    from weakref import ReferenceType

    from moorage.contracts.routes import Account, Route
    from moorage.domain.oauth.client import OAuthClient
    from moorage.hub.manager import AsyncConnectorManager, ConnectorManager
    from moorage.services.calling.attempts import AttemptStep
    from moorage.services.core.core import Core

    _ClientName: TypeAlias = tuple[str, str | None]

_REFRESHER_PORTS: Final = ("http", "observers", "clock", "sleeper", "randomness", "locks")
"""The ports of a hub that its token refresher shares."""
_FEW_CLIENTS: Final = 64
"""The number of OAuth clients from which on those of unused dispatchers are dropped."""


class HubClasses(NamedTuple):
    """The classes and names that differ between synchronous and asynchronous hubs.

    Attributes:
        manager: class of the manager.
        step: makes a step of a call from a function.
        name: prefix of the names of adapters.
        http: keyword of a webhook verifier for its HTTP client.
    """

    manager: type[ConnectorManager | AsyncConnectorManager]
    step: Callable[[Callable[[], Any], Core], AttemptStep]
    name: str
    http: str


class HubRuntime:
    """The manager of a hub, and the code that makes the hub's dispatchers.

    Args:
        classes: classes of a synchronous or an asynchronous hub.
        transports: transports of the application, by account.
        vault: store of the accounts' tokens.
        ports: arguments of the manager.
        environment: environment that must own the store; "" for one without a name, None to skip
            the check.

    Attributes:
        manager: calls every service of the current dispatcher.
        refresher: gets the tokens of accounts; None until an account needs any.
    """

    def __init__(
        self,
        classes: HubClasses,
        *,
        transports: Mapping[str, Any],
        vault: Any,
        ports: dict[str, Any],
        environment: str | None = None,
    ) -> None:
        self._classes = classes
        self._transports = transports
        self._vault = vault
        self._ports = ports
        # OAuth clients live as long as a dispatcher refers to them, for the calls that began there.
        self._clients = _LiveClients()
        # Transports, too, live as long as a dispatcher refers to them.
        self._own_transports: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self.refresher: Any = None
        self._making = ForkSafeLock()
        self.manager: Any = classes.manager((), **ports)
        if environment is not None:
            name = None if environment == "" else environment
            guard_calls(self.manager, EnvironmentGuard(core_of(self.manager), name))

    def dispatcher(
        self, configuration: HubConfiguration, before: Dispatcher | None = None
    ) -> Dispatcher:
        """Check a configuration and create a dispatcher for it, which is not yet in use.

        Args:
            configuration: the configuration.
            before: current dispatcher, whose transports are kept for unchanged accounts.

        Raises:
            ConfigurationError: parts of the configuration contradict each other.
        """
        directory = Directory(configuration.accounts, configuration.routes, names_with_capabilities)
        accounts = directory.accounts.values()
        check_modes(accounts, configuration.safety)
        clients = clients_of(accounts)
        account_services = tuple(services_of(accounts))
        calling = prepared_calling(
            self.manager,
            [*account_services, *configuration.services],
            credentials=self._tokens(clients),
            places=service_paths(accounts, configuration.services),
        )
        calling.of_requests = frozenset(account.name for account in account_services) - {
            account.name for account in accounts if account.vendor.transport is not None
        }
        existing_transports = {
            **_unchanged_transports(directory.accounts, before),
            **self._transports,
        }
        dispatcher = Dispatcher(
            calling=calling,
            directory=directory,
            step=self._classes.step,
            transports=transports_of(accounts, existing_transports, prefix=self._classes.name),
            safety=configuration.safety,
        )
        for name, transport in dispatcher.transports.items():
            if name not in existing_transports and (
                hasattr(transport, "close") or hasattr(transport, "aclose")
            ):
                self._own_transports[id(transport)] = transport
        if clients:
            from moorage.domain.oauth.token_store_names import token_store_name  # noqa: PLC0415 - only for OAuth

            with self._making.current:
                for service, client in clients.items():
                    self._clients.add((service, token_store_name(client)), client)
        return dispatcher

    def own_transports(self) -> tuple[Any, ...]:
        """Return the HTTP transports that the hub created itself and must close."""
        # Not `values()`, whose dictionary another thread may change during the iteration.
        references = self._own_transports.valuerefs()
        return tuple(item for reference in references if (item := reference()) is not None)

    def dispatcher_of_tenant(
        self, base: Dispatcher, tenant: str, accounts: Iterable[Account], routes: Iterable[Route]
    ) -> Dispatcher:
        """Create a tenant's dispatcher, which prefers the tenant's own accounts and routes.

        Args:
            base: the general dispatcher.
            tenant: name of the tenant.
            accounts: accounts of the tenant.
            routes: routes of the tenant.

        Raises:
            ConfigurationError: parts of the configuration contradict each other.
        """
        shared_accounts = {
            name: account
            for name, account in base.directory.accounts.items()
            if account.open_to(tenant)
        }
        tenant_routes = tuple(routes)
        kinds = {route.kind for route in tenant_routes}
        general_routes = (
            route
            for route in base.directory.routes
            if route.tenant is None or (route.tenant == tenant and route.kind not in kinds)
        )
        all_accounts = {**shared_accounts, **{account.name: account for account in accounts}}
        configuration = HubConfiguration(
            accounts=all_accounts.values(),
            routes=[*tenant_routes, *_routes_of(general_routes, all_accounts)],
            safety=base.safety,
        )
        return self.dispatcher(configuration, base)

    def _tokens(self, clients: Mapping[str, OAuthClient]) -> Any:
        """Return the credential provider of accounts that use OAuth; None without such accounts."""
        if not clients:
            return None
        refresher, provider = self._oauth_classes()
        with self._making.current:
            # Threads that make dispatchers of several tenants at once share one token refresher.
            if self.refresher is None:
                ports = {
                    name: self._ports[name] for name in _REFRESHER_PORTS if name in self._ports
                }
                claims = self._ports.get("claims") or self._ports.get("state")
                self.refresher = refresher(self._client, vault=self._vault, storage=claims, **ports)
        return provider(self.refresher, clients, self._ports.get("credentials"))

    def _oauth_classes(self) -> tuple[Any, Any]:
        """Return the classes of token refresher and credential provider for this hub."""
        from moorage.parts import oauth_token_refresher as oauth  # noqa: PLC0415 - slow to load
        from moorage.wiring import account_tokens as tokens  # noqa: PLC0415 - slow to load

        if self._classes.name:
            return oauth.AsyncOAuthTokenRefresher, tokens.AsyncAccountTokens
        return oauth.OAuthTokenRefresher, tokens.AccountTokens

    def _client(self, service: str, store_name: str | None) -> OAuthClient | None:
        return self._clients.find((service, store_name))


class _LiveClients:
    """The OAuth clients of all dispatchers in use, by service and by the name of their tokens.

    The dispatchers of the hub and of tenants may each have a client of their own under one name.
    """

    def __init__(self) -> None:
        self._references: dict[_ClientName, list[ReferenceType[OAuthClient]]] = {}
        self._size, self._largest_size = 0, _FEW_CLIENTS

    def add(self, name: _ClientName, client: OAuthClient) -> None:
        """Add the client of a new dispatcher; one caller at a time may do so."""
        if self._size >= self._largest_size:
            self._drop_unused()
        self._references.setdefault(name, []).append(ref(client))
        self._size += 1

    def find(self, name: _ClientName) -> OAuthClient | None:
        """Return the newest client of this name that a dispatcher still uses, if any."""
        for reference in reversed(self._references.get(name, ())):
            client = reference()
            if client is not None:
                return client
        return None

    def _drop_unused(self) -> None:
        references_in_use = {
            name: [reference for reference in references if reference() is not None]
            for name, references in self._references.items()
        }
        self._references = {
            name: references for name, references in references_in_use.items() if references
        }
        self._size = sum(map(len, self._references.values()))
        self._largest_size = max(_FEW_CLIENTS, 2 * self._size)


def _routes_of(routes: Iterable[Route], accounts: Mapping[str, Account]) -> Iterable[Route]:
    """Yield the routes that use these accounts, without any other account."""
    for route in routes:
        names = tuple(name for name in route.accounts if name in accounts)
        if names:
            yield evolve(route, accounts=names)


def _unchanged_transports(
    accounts: Mapping[str, Account], before: Dispatcher | None
) -> dict[str, Any]:
    """Return the transports of accounts that did not change, which survive a reload."""
    if before is None:
        return {}
    old_accounts = before.directory.accounts
    return {
        name: transport
        for name, transport in before.transports.items()
        if name in accounts
        and name in old_accounts
        and accounts[name].vendor == old_accounts[name].vendor
    }
