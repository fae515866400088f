"""Every vendor of a business system behind the contracts: the two faces of a hub."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Self

from mooring._bridge import step_later, step_now
from mooring.contracts.ref import Ref
from mooring.contracts.routes import Account, Directory
from mooring.errors import ConfigurationError
from mooring.faces.email import AsyncEmail, Email
from mooring.faces.payments import AsyncPayments, Payments
from mooring.faces.shipping import AsyncShipping, Shipping
from mooring.faces.sms import AsyncSms, Sms
from mooring.faces.storage import AsyncStorage, Storage
from mooring.manager import AsyncConnectorManager, ConnectorManager
from mooring.parts.oauth_token_refresher import AsyncOAuthTokenRefresher, OAuthTokenRefresher
from mooring.parts.webhook_verifier import WebhookVerifier
from mooring.services.desk import Desk
from mooring.wiring.account_tokens import AccountTokens, AsyncAccountTokens
from mooring.wiring.accounts import clients_of, services_of, transports_of
from mooring.wiring.catalog import able

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

    from mooring.contracts.routes import Route
    from mooring.domain.service import Service
    from mooring.domain.webhooks.events import WebhookEvent
    from mooring.services.attempts import AttemptStep


_OF_TOKENS: Final = ("http", "observers", "clock", "sleeper", "randomness", "locks")
"""The ports of a hub that whoever gets tokens has, too."""


class _Colour(NamedTuple):
    """Which manager calls, how a verb becomes a step, and what the names of adapters begin with.

    `refresher` gets the tokens of accounts, and `tokens` hands them out; `http` is what a verifier
    calls the client of this colour.
    """

    manager: type[ConnectorManager | AsyncConnectorManager]
    step: Callable[[Callable[[], Any]], AttemptStep]
    name: str
    refresher: type[OAuthTokenRefresher | AsyncOAuthTokenRefresher]
    tokens: type[AccountTokens | AsyncAccountTokens]
    http: str


class _Hub:
    """What both colours share: the accounts, and their webhooks."""

    _colour: ClassVar[_Colour]

    def __init__(
        self,
        accounts: Iterable[Account],
        routes: Iterable[Route] = (),
        *,
        services: Iterable[Service] = (),
        transports: Mapping[str, Any] | None = None,
        tokens: Any = None,
        **ports: Any,
    ) -> None:
        self._directory = Directory(accounts, routes, able)
        self._state = ports.get("state")
        self._http = ports.get("http")
        known = self._directory.accounts.values()
        clients = clients_of(known)
        if clients:
            given = {name: ports[name] for name in _OF_TOKENS if name in ports}
            tokens = self._colour.refresher(clients, vault=tokens, storage=self._state, **given)
            ports["credentials"] = self._colour.tokens(tokens, clients, ports.get("credentials"))
        self._tokens: Any = tokens if clients else None
        self.manager: Any = self._colour.manager([*services_of(known), *services], **ports)
        self._desk = Desk(
            calling=self.manager.flows,
            directory=self._directory,
            step=self._colour.step,
            transports=transports_of(known, transports or {}, colour=self._colour.name),
        )

    def account(self, name: str) -> Account:
        """The account of this name."""
        try:
            return self._directory.accounts[name]
        except KeyError:
            known = ", ".join(sorted(self._directory.accounts)) or "none"
            raise ConfigurationError(
                f"No account is named {name!r}.", path="accounts", remedy=f"Use one of: {known}."
            ) from None

    def webhooks(self, account: str, **options: Any) -> WebhookVerifier:
        """A verifier of what this account's vendor sends us.

        Args:
            account: its name.
            options: what `WebhookVerifier` takes; unless given, the secrets are the account's, and
                the storage and the HTTP client that fetches certificates are the hub's.
        """
        found = self.account(account)
        vendor = found.vendor
        if vendor.webhook is None:
            raise ConfigurationError(
                f"{vendor.name} sends no webhooks that could be verified.",
                path=f"vendors.{account}.webhook_secrets",
                remedy="Ask the vendor for the state of things instead.",
            )
        own: dict[str, Any] = {
            "secrets": found.webhook_secrets,
            "storage": self._state,
            self._colour.http: self._http,
            **vendor.verifying(),
        }
        return WebhookVerifier(name=account, **{**own, **options})

    def events(self, account: str, webhook: WebhookEvent) -> tuple[Any, ...]:
        """What a verified webhook means, as events of the contracts."""
        found = self.account(account)
        return found.vendor.events(webhook, partial(_ref, found))


def _ref(account: Account, id: str, /, **related: str | None) -> Ref:
    kept = {name: value for name, value in related.items() if value}
    return Ref(account.vendor.name, account.name, id, kept)


class Hub(_Hub):
    """The contracts over configured accounts.

    Safe to share between threads.

    Args:
        accounts: the accounts of ours at vendors.
        routes: where operations go; a kind without a route goes to the one account that fills it.
        services: anything else that is called, through `manager`.
        transports: by account, what speaks for vendors that do not speak HTTP; the embedded ones
            unless given.
        tokens: where the access tokens of accounts are kept that get them by OAuth: a credential
            provider; the memory of this process by default.
        ports: what `ConnectorManager` takes besides, such as `state` and `http`.

    Attributes:
        manager: calls every service, those of the accounts included.
    """

    _colour = _Colour(ConnectorManager, step_now, "", OAuthTokenRefresher, AccountTokens, "http")
    manager: ConnectorManager

    def email(self, tenant: str | None = None) -> Email:
        """Mail, of this tenant."""
        return Email(self._desk, tenant)

    def payments(self, tenant: str | None = None) -> Payments:
        """Payments, of this tenant."""
        return Payments(self._desk, tenant)

    def sms(self, tenant: str | None = None) -> Sms:
        """Text messages, of this tenant."""
        return Sms(self._desk, tenant)

    def storage(self, tenant: str | None = None) -> Storage:
        """Files, of this tenant."""
        return Storage(self._desk, tenant)

    def shipping(self, tenant: str | None = None) -> Shipping:
        """Shipments, of this tenant."""
        return Shipping(self._desk, tenant)

    def close(self) -> None:
        """Give back the connections that were opened here."""
        self.manager.close()
        if self._tokens is not None:
            self._tokens.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncHub(_Hub):
    """The contracts over configured accounts; awaited, and otherwise as `Hub`.

    Safe to share between tasks.

    Args:
        accounts: the accounts of ours at vendors.
        routes: where operations go; a kind without a route goes to the one account that fills it.
        services: anything else that is called, through `manager`.
        transports: by account, what speaks for vendors that do not speak HTTP; the embedded ones
            unless given.
        tokens: where the access tokens of accounts are kept that get them by OAuth: a credential
            provider; the memory of this process by default.
        ports: what `AsyncConnectorManager` takes besides, such as `state` and `http`.

    Attributes:
        manager: calls every service, those of the accounts included.
    """

    _colour = _Colour(
        AsyncConnectorManager,
        step_later,
        "Async",
        AsyncOAuthTokenRefresher,
        AsyncAccountTokens,
        "async_http",
    )
    manager: AsyncConnectorManager

    def email(self, tenant: str | None = None) -> AsyncEmail:
        """Mail, of this tenant."""
        return AsyncEmail(self._desk, tenant)

    def payments(self, tenant: str | None = None) -> AsyncPayments:
        """Payments, of this tenant."""
        return AsyncPayments(self._desk, tenant)

    def sms(self, tenant: str | None = None) -> AsyncSms:
        """Text messages, of this tenant."""
        return AsyncSms(self._desk, tenant)

    def storage(self, tenant: str | None = None) -> AsyncStorage:
        """Files, of this tenant."""
        return AsyncStorage(self._desk, tenant)

    def shipping(self, tenant: str | None = None) -> AsyncShipping:
        """Shipments, of this tenant."""
        return AsyncShipping(self._desk, tenant)

    async def close(self) -> None:
        """Give back the connections that were opened here."""
        await self.manager.close()
        if self._tokens is not None:
            await self._tokens.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
