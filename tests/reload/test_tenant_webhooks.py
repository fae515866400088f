"""Webhooks for tenants' accounts in processes that have not yet called these accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import (
    AsyncWebhookInbox,
    ConfigurationError,
    StorageUnavailable,
    WebhookInbox,
    WebhookRejected,
)
from moorage.adapters.entries.memory import AsyncMemoryInbox, MemoryInbox
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from tests.reload.harness import result_of
from tests.reload.test_tenants import EACH_MODE, TenantHarness

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Run the asynchronous tests in an asyncio event loop."""
    return "asyncio"


class Processes(TenantHarness):
    """Processes that share tenants, an inbox, and a vendor at which a tenant has an account.

    Attributes:
        handled: the events that a handler was given, in any process.
    """

    def __init__(self, *, is_async: bool) -> None:
        super().__init__(is_async=is_async)
        self.is_async = is_async
        self.stripe = StripeSandbox(now=lambda: self.clock.utc().timestamp())
        self.received = MemoryInbox(self.clock)
        self.handled: list[Any] = []
        self.tenants.put("acme", self.tables())

    def tables(self, **changes: Any) -> Mapping[str, Any]:
        """Return the configuration of the tenant."""
        account = {
            "credentials": self.stripe.api_key,
            "webhook_secrets": [self.stripe.webhook_secret],
            "volatile_keys": True,
            **changes,
        }
        return {"vendors": {"stripe": account}, "payments": {"vendor": "stripe"}}

    def start(self, source: Any = None) -> tuple[Any, Any]:
        """Start a process: return its hub and its inbox."""
        port, client = _ports(is_async=self.is_async)
        make: Any = moorage.aopen if self.is_async else moorage.open
        hub = make(
            source or {"vendors": {"twilio": self.a_twilio()}},
            http=client(self.stripe, self.twilio),
            clock=self.clock,
            tenants=port(self),
            tenants_every=10.0,
        )
        inbox: Any = (
            AsyncWebhookInbox(hub, AsyncMemoryInbox(self.received))
            if self.is_async
            else WebhookInbox(hub, self.received)
        )
        inbox.on("webhook")(lambda event, _: self.handled.append(event))
        return hub, inbox

    def delivery(self) -> dict[str, Any]:
        """Return a webhook for the tenant's account."""
        self.stripe.emit_event(
            "payment_intent.succeeded", {"id": "pi_1", "object": "payment_intent"}
        )
        return self.stripe.sent[-1].arguments()


def _ports(*, is_async: bool) -> tuple[Any, Any]:
    from tests.reload import test_tenants as ports  # noqa: PLC0415 - its ports are its own

    if is_async:
        return ports._AsyncPort, AsyncSandboxHttpClient  # noqa: SLF001 - a landlord's port
    return ports._SyncPort, SandboxHttpClient  # noqa: SLF001 - a landlord's port


@EACH_MODE
async def test_new_processes_accept_and_handle_a_webhook(is_async: bool) -> None:
    """A new process stores a tenant's webhook, and another new process handles it."""
    local_processes = Processes(is_async=is_async)
    _, inbox = local_processes.start()
    entry = await result_of(inbox.receive("acme.stripe", **local_processes.delivery()))
    _, worker = local_processes.start()
    handled_count = await result_of(worker.handle())

    assert ("acme.stripe", "acme") == (entry.account, entry.tenant)
    assert (1, ["payment.captured"]) == (
        handled_count.done,
        [event.type for event in local_processes.handled],
    )


@EACH_MODE
async def test_replaced_webhook_secret_is_used(is_async: bool) -> None:
    """A replaced webhook secret is in use within seconds, even if only webhooks arrive."""
    local_processes = Processes(is_async=is_async)
    _, inbox = local_processes.start()
    await result_of(inbox.receive("acme.stripe", **local_processes.delivery()))
    local_processes.tenants.put("acme", local_processes.tables(webhook_secrets=["whsec_another"]))
    local_processes.clock.advance(10.0)

    with pytest.raises(WebhookRejected):
        await result_of(inbox.receive("acme.stripe", **local_processes.delivery()))


@EACH_MODE
async def test_webhook_of_an_unknown_account_is_not_found(is_async: bool) -> None:
    """A webhook for an unknown tenant or account is not found, and that result is not cached."""
    local_processes = Processes(is_async=is_async)
    hub, _ = local_processes.start()
    for name in ("nobody", "stranger.stripe", "acme.paypal", "a\nb.stripe", "x" * 600 + ".stripe"):
        assert await result_of(hub.find_account(name)) is None
    result = await result_of(hub.find_account("twilio"))

    assert ("twilio", None) == (result.name, result.tenants)
    assert hub._live.tenants.cached_dispatcher("stranger") is None  # noqa: SLF001 - nothing else tells


@EACH_MODE
async def test_invalid_tenant_is_not_a_missing_account(is_async: bool) -> None:
    """A webhook for an invalid tenant gets the response 500, so that the vendor repeats it."""
    local_processes = Processes(is_async=is_async)
    local_processes.tenants.put("acme", {"vendors": {"stripe": {"speed": 5}}})
    hub, inbox = local_processes.start()

    for _ in range(2):
        with pytest.raises(ConfigurationError, match="speed"):
            await result_of(hub.find_account("acme.stripe"))
    assert (
        500 == (await result_of(inbox.answer("acme.stripe", **local_processes.delivery()))).status
    )


@EACH_MODE
async def test_webhook_is_requested_again_during_an_outage_of_the_tenant_source(
    is_async: bool,
) -> None:
    """While the tenants' source is unavailable, a vendor is asked to repeat its webhook."""
    local_processes = Processes(is_async=is_async)
    hub, inbox = local_processes.start()
    local_processes.broken = OSError("away")
    with pytest.raises(StorageUnavailable):
        await result_of(hub.find_account("acme.stripe"))
    assert (
        503 == (await result_of(inbox.answer("acme.stripe", **local_processes.delivery()))).status
    )

    local_processes.broken = None
    assert (
        200 == (await result_of(inbox.answer("acme.stripe", **local_processes.delivery()))).status
    )


@EACH_MODE
async def test_tenants_account_overrides_the_configuration(is_async: bool) -> None:
    """A tenant's own account overrides its account in the configuration."""
    local_processes = Processes(is_async=is_async)
    source = {"tenants": {"acme": local_processes.tables(timeout=3.0)}}
    hub, _ = local_processes.start(source)
    local_processes.tenants.put("acme", local_processes.tables(timeout=7.0))
    assert 7.0 == (await result_of(hub.find_account("acme.stripe"))).settings["timeout"]
    assert 7.0 == hub.account("acme.stripe").settings["timeout"]

    local_processes.tenants.remove("acme")
    local_processes.clock.advance(10.0)
    assert 3.0 == (await result_of(hub.find_account("acme.stripe"))).settings["timeout"]


@EACH_MODE
async def test_hub_without_a_tenant_source_knows_only_configured_accounts(is_async: bool) -> None:
    """A hub without a source of tenants only knows the accounts of its configuration."""
    make: Any = moorage.aopen if is_async else moorage.open
    local_processes = Processes(is_async=is_async)
    hub = make({"tenants": {"acme": local_processes.tables()}})

    assert "acme.stripe" == (await result_of(hub.find_account("acme.stripe"))).name
    assert await result_of(hub.find_account("other.stripe")) is None


def test_synchronous_hub_looks_up_an_unknown_account() -> None:
    """A synchronous hub loads an unknown account when the account's verifier is first used."""
    local_processes = Processes(is_async=False)
    hub, _ = local_processes.start()

    (event,) = hub.webhooks("acme.stripe", replay_guard=False).verify(**local_processes.delivery())
    assert "payment.captured" == event.type


async def test_asynchronous_hub_must_find_the_account_first() -> None:
    """An asynchronous hub returns an account's webhook verifier only after `find_account`."""
    local_processes = Processes(is_async=True)
    hub, _ = local_processes.start()
    with pytest.raises(ConfigurationError, match="No account is named") as excinfo:
        hub.webhooks("acme.stripe")
    assert "find_account" in excinfo.value.remedy

    await hub.find_account("acme.stripe")
    assert "acme.stripe" == hub.account("acme.stripe").name
