"""A test environment for most contracts' kits: a vendor behind a hub with an integration log."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

import attrs

from moorage.adapters.credentials.memory import (
    AsyncMemoryCredentialProvider,
    MemoryCredentialProvider,
)
from moorage.adapters.logs.memory import AsyncMemoryIntegrationLogger, MemoryIntegrationLogger
from moorage.contracts.routes import Account
from moorage.domain.http.log_content import LogContent, LoggedCalls
from moorage.domain.observation.integration_log import LogPage, LogQuery
from moorage.hub.hub import AsyncHub, Hub
from moorage.testing.fakes.observer import RecordingObserver
from moorage.testing.kits._contract_harness import AnySubject, ContractHarness
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from moorage.domain.observation.integration_log import IntegrationLog


class RecordedHarness(ContractHarness[AnySubject]):
    """A vendor under test, with its hub, integration log and observer.

    Attributes:
        account_name: the name of the account in the hub.
        logs_content: True if the log has the content of requests and responses.
        log: the log.
        observer: the observer of the hub.
    """

    account_name: ClassVar[str]
    logs_content: ClassVar[bool] = False

    def __init__(
        self,
        subject: AnySubject,
        hub: Hub | AsyncHub,
        log: MemoryIntegrationLogger | AsyncMemoryIntegrationLogger,
        observer: RecordingObserver,
    ) -> None:
        super().__init__(subject, hub)
        self.log = log
        self.observer = observer

    async def entries(self) -> Sequence[IntegrationLog]:
        """Return the entries of the integration log."""
        page = self.log.find(LogQuery())
        return page.items if isinstance(page, LogPage) else (await page).items

    async def require_hidden(self, texts: Iterable[str], secrets: Iterable[str]) -> None:
        """Check that no secret is in these texts, in an event or in the integration log."""
        events = map(repr, self.observer.events)
        entries = [repr(attrs.asdict(entry)) for entry in await self.entries()]
        shown_text = "\n".join([*texts, *events, *entries])
        for number, secret in enumerate(secrets):
            require(secret not in shown_text, f"A secret is shown (number {number}).")

    @classmethod
    def configured_accounts(cls, subject: AnySubject) -> list[Account]:
        """Return the account under test, configured without retries and without a circuit."""
        return [Account(cls.account_name, subject.vendor, settings=cls._settings())]

    @classmethod
    def _settings(cls) -> dict[str, Any]:
        content = {"log_content": LogContent(calls=LoggedCalls.ALL)} if cls.logs_content else {}
        return {"retry": None, "circuit": None, **content}

    @classmethod
    def with_sync_hub(cls, factory: Callable[[], AnySubject]) -> Self:
        """Return a test environment with a synchronous hub."""
        subject, log, observer = factory(), MemoryIntegrationLogger(), RecordingObserver()
        http = SandboxHttpClient(subject.sandbox)
        hub = Hub(
            cls.configured_accounts(subject),
            http=http,
            log=log,
            observers=[observer],
            credentials=MemoryCredentialProvider(),
        )
        return cls(subject, hub, log, observer)

    @classmethod
    def with_async_hub(cls, factory: Callable[[], AnySubject]) -> Self:
        """Return a test environment with an asynchronous hub."""
        subject, log, observer = factory(), AsyncMemoryIntegrationLogger(), RecordingObserver()
        http = AsyncSandboxHttpClient(subject.sandbox)
        hub = AsyncHub(
            cls.configured_accounts(subject),
            http=http,
            log=log,
            observers=[observer],
            credentials=AsyncMemoryCredentialProvider(),
        )
        return cls(subject, hub, log, observer)
