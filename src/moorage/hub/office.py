"""What stands behind a hub: its manager, and the desk that is made anew with its configuration.

The manager, its ports and whoever gets tokens are there as long as the hub. What a configuration
says becomes a desk: flows over its services, the directory of its accounts, and their transports.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from weakref import WeakValueDictionary

import attrs

from moorage.adapters.concurrency.forking import in_child
from moorage.contracts.offer import Offer, check_modes
from moorage.contracts.routes import Directory
from moorage.domain.oauth.drawers import drawer_of
from moorage.services.contracts.dispatcher import Desk
from moorage.services.fence import Fence
from moorage.wiring.accounts import clients_of, places_of, services_of, transports_of
from moorage.wiring.catalog import able

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from moorage.contracts.routes import Account, Route
    from moorage.domain.oauth.client import OAuthClient
    from moorage.hub.manager import AsyncConnectorManager, ConnectorManager
    from moorage.parts.oauth_token_refresher import AsyncOAuthTokenRefresher, OAuthTokenRefresher
    from moorage.services.calling.attempts import AttemptStep
    from moorage.services.core.core import Core
    from moorage.wiring.account_tokens import AccountTokens, AsyncAccountTokens

_OF_TOKENS: Final = ("http", "observers", "clock", "sleeper", "randomness", "locks")
"""The ports of a hub that whoever gets tokens has, too."""


class Colour(NamedTuple):
    """Which manager calls, how a verb becomes a step, and what the names of adapters begin with.

    `refresher` gets the tokens of accounts, and `tokens` hands them out; `http` is what a verifier
    calls the client of this colour.
    """

    manager: type[ConnectorManager | AsyncConnectorManager]
    step: Callable[[Callable[[], Any], Core], AttemptStep]
    name: str
    refresher: type[OAuthTokenRefresher | AsyncOAuthTokenRefresher]
    tokens: type[AccountTokens | AsyncAccountTokens]
    http: str


class Office:
    """Makes the desks of a hub.

    Args:
        colour: which adapters are used.
        transports: the host's own, by account.
        vault: where the tokens of accounts are kept.
        ports: what the manager is given.
        environment: whom the store must belong to; "" is one without a name, and None asks nobody.

    Attributes:
        manager: calls every service of the desk that is in use.
        refresher: gets the tokens of accounts, once there are accounts that need any.
    """

    def __init__(
        self,
        colour: Colour,
        *,
        transports: Mapping[str, Any],
        vault: Any,
        ports: dict[str, Any],
        environment: str | None = None,
    ) -> None:
        self._colour = colour
        self._transports = transports
        self._vault = vault
        self._ports = ports
        # As long as a desk knows them: calls that began at an earlier one end there.
        self._clients: WeakValueDictionary[tuple[str, str | None], OAuthClient]
        self._clients = WeakValueDictionary()
        # As long as a desk has them, too.
        self._made: WeakValueDictionary[int, Any] = WeakValueDictionary()
        self.refresher: Any = None
        self._unlocked()
        in_child(self, Office._unlocked)
        self.manager: Any = colour.manager((), **ports)
        if environment is not None:
            self.manager.use_fence(Fence(self.manager.flows.core, environment or None))

    def _unlocked(self) -> None:
        self._making = threading.Lock()

    def desk(self, offer: Offer, before: Desk | None = None) -> Desk:
        """A desk for what a hub is made of now, checked and not in use yet.

        Args:
            offer: what that is.
            before: the desk in use, whose transports serve accounts that stay as they are.

        Raises:
            ConfigurationError: something does not fit together.
        """
        directory = Directory(offer.accounts, offer.routes, able)
        known = directory.accounts.values()
        check_modes(known, offer.safety)
        clients = clients_of(known)
        own = tuple(services_of(known))
        calling = self.manager.prepared(
            [*own, *offer.services],
            credentials=self._tokens(clients),
            places=places_of(known, offer.services),
        )
        calling.of_requests = frozenset(one.name for one in own) - {
            one.name for one in known if one.vendor.transport is not None
        }
        kept = {**_kept(directory.accounts, before), **self._transports}
        desk = Desk(
            calling=calling,
            directory=directory,
            step=self._colour.step,
            transports=transports_of(known, kept, colour=self._colour.name),
            safety=offer.safety,
        )
        for name, transport in desk.transports.items():
            if name not in kept and (hasattr(transport, "close") or hasattr(transport, "aclose")):
                self._made[id(transport)] = transport
        for service, client in clients.items():
            self._clients[service, drawer_of(client)] = client
        return desk

    def made(self) -> tuple[Any, ...]:
        """The transports that were made here and can be closed; those of the host are its own."""
        return tuple(self._made.values())

    def desk_of(
        self, base: Desk, tenant: str, accounts: Iterable[Account], routes: Iterable[Route]
    ) -> Desk:
        """A tenant's desk: everybody's, with its own accounts and routes in place of theirs.

        Args:
            base: everybody's.
            tenant: whose it is.
            accounts: its own.
            routes: its own.

        Raises:
            ConfigurationError: something does not fit together.
        """
        shared = {name: one for name, one in base.directory.accounts.items() if one.open_to(tenant)}
        own = tuple(routes)
        kinds = {route.kind for route in own}
        others = (
            route
            for route in base.directory.routes
            if route.tenant is None or (route.tenant == tenant and route.kind not in kinds)
        )
        known = {**shared, **{one.name: one for one in accounts}}
        offer = Offer(
            accounts=known.values(), routes=[*own, *_led(others, known)], safety=base.safety
        )
        return self.desk(offer, base)

    def _tokens(self, clients: Mapping[str, OAuthClient]) -> Any:
        """Who knows the credentials of accounts; None where nobody gets tokens."""
        if not clients:
            return None
        with self._making:
            # Threads that make the desks of several tenants at once share one.
            if self.refresher is None:
                given = {name: self._ports[name] for name in _OF_TOKENS if name in self._ports}
                self.refresher = self._colour.refresher(
                    self._client, vault=self._vault, storage=self._ports.get("state"), **given
                )
        kind: Any = self._colour.tokens
        return kind(self.refresher, clients, self._ports.get("credentials"))

    def _client(self, service: str, drawer: str | None) -> OAuthClient | None:
        return self._clients.get((service, drawer))


def _led(routes: Iterable[Route], accounts: Mapping[str, Account]) -> Iterable[Route]:
    """The routes of others, as far as they lead to these accounts."""
    for route in routes:
        names = tuple(name for name in route.accounts if name in accounts)
        if names:
            yield attrs.evolve(route, accounts=names)


def _kept(accounts: Mapping[str, Account], before: Desk | None) -> dict[str, Any]:
    """The transports that accounts go on with, as they are at the same vendor as before."""
    if before is None:
        return {}
    known = before.directory.accounts
    return {
        name: transport
        for name, transport in before.transports.items()
        if name in accounts and name in known and accounts[name].vendor == known[name].vendor
    }
