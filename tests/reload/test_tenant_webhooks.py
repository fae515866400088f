"""Webhooks of accounts that tenants keep elsewhere, in processes that have not called them."""

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
from tests.reload.test_tenants import EITHER, Landlord
from tests.reload.world import given

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The loop of the standard library."""
    return "asyncio"


class Processes(Landlord):
    """Processes that share tenants, an inbox and a vendor whose account is a tenant's.

    Attributes:
        handled: the events that a handler was given, in any process.
    """

    def __init__(self, *, awaited: bool) -> None:
        super().__init__(awaited=awaited)
        self.awaited = awaited
        self.stripe = StripeSandbox(now=lambda: self.clock.utc().timestamp())
        self.received = MemoryInbox(self.clock)
        self.handled: list[Any] = []
        self.tenants.put("acme", self.tables())

    def tables(self, **changes: Any) -> Mapping[str, Any]:
        """What the tenant has."""
        account = {
            "credentials": self.stripe.api_key,
            "webhook_secrets": [self.stripe.webhook_secret],
            "volatile_keys": True,
            **changes,
        }
        return {"vendors": {"stripe": account}, "payments": {"vendor": "stripe"}}

    def start(self, source: Any = None) -> tuple[Any, Any]:
        """The hub and the inbox of a process that has just begun."""
        port, client = _ports(awaited=self.awaited)
        make: Any = moorage.aopen if self.awaited else moorage.open
        hub = make(
            source or {"vendors": {"twilio": self.a_twilio()}},
            http=client(self.stripe, self.twilio),
            clock=self.clock,
            tenants=port(self),
            tenants_every=10.0,
        )
        inbox: Any = (
            AsyncWebhookInbox(hub, AsyncMemoryInbox(self.received))
            if self.awaited
            else WebhookInbox(hub, self.received)
        )
        inbox.on("webhook")(lambda event, _: self.handled.append(event))
        return hub, inbox

    def delivery(self) -> dict[str, Any]:
        """A webhook of the tenant's account."""
        self.stripe.tell("payment_intent.succeeded", {"id": "pi_1", "object": "payment_intent"})
        return self.stripe.sent[-1].given()


def _ports(*, awaited: bool) -> tuple[Any, Any]:
    from tests.reload import test_tenants as ports  # noqa: PLC0415 - its ports are its own

    if awaited:
        return ports._Later, AsyncSandboxHttpClient  # noqa: SLF001 - a landlord's port
    return ports._Now, SandboxHttpClient  # noqa: SLF001 - a landlord's port


@EITHER
async def test_a_fresh_process_accepts_and_handles_a_webhook(awaited: bool) -> None:
    """One process writes it down and another handles it, and neither has called the tenant."""
    here = Processes(awaited=awaited)
    _, inbox = here.start()
    entry = await given(inbox.receive("acme.stripe", **here.delivery()))
    _, worker = here.start()
    done = await given(worker.handle())

    assert ("acme.stripe", "acme") == (entry.account, entry.tenant)
    assert (1, ["payment.captured"]) == (done.done, [event.type for event in here.handled])


@EITHER
async def test_an_account_is_found_as_it_is_now(awaited: bool) -> None:
    """A secret that the tenant has replaced is in use within seconds, where only webhooks come."""
    here = Processes(awaited=awaited)
    _, inbox = here.start()
    await given(inbox.receive("acme.stripe", **here.delivery()))
    here.tenants.put("acme", here.tables(webhook_secrets=["whsec_another"]))
    here.clock.advance(10.0)

    with pytest.raises(WebhookRejected):
        await given(inbox.receive("acme.stripe", **here.delivery()))


@EITHER
async def test_a_name_that_nobody_has(awaited: bool) -> None:
    """No account is found by the name of no tenant or of no account, and neither is remembered."""
    here = Processes(awaited=awaited)
    hub, _ = here.start()
    for name in ("nobody", "stranger.stripe", "acme.paypal", "a\nb.stripe", "x" * 600 + ".stripe"):
        assert await given(hub.find_account(name)) is None
    result = await given(hub.find_account("twilio"))

    assert ("twilio", None) == (result.name, result.tenants)
    assert hub._live.tenants.cached("stranger") is None  # noqa: SLF001 - nothing else tells


@EITHER
async def test_tables_that_are_wrong_are_no_missing_account(awaited: bool) -> None:
    """Whoever asks for the account is told what is wrong, so that the vendor sends again."""
    here = Processes(awaited=awaited)
    here.tenants.put("acme", {"vendors": {"stripe": {"speed": 5}}})
    hub, inbox = here.start()

    for _ in range(2):
        with pytest.raises(ConfigurationError, match="speed"):
            await given(hub.find_account("acme.stripe"))
    assert 500 == (await given(inbox.answer("acme.stripe", **here.delivery()))).status


@EITHER
async def test_a_webhook_while_tenants_cannot_be_looked_up(awaited: bool) -> None:
    """The vendor is told to come again, and then its webhook is taken."""
    here = Processes(awaited=awaited)
    hub, inbox = here.start()
    here.broken = OSError("away")
    with pytest.raises(StorageUnavailable):
        await given(hub.find_account("acme.stripe"))
    assert 503 == (await given(inbox.answer("acme.stripe", **here.delivery()))).status

    here.broken = None
    assert 200 == (await given(inbox.answer("acme.stripe", **here.delivery()))).status


@EITHER
async def test_an_account_that_stands_in_both(awaited: bool) -> None:
    """What a tenant has of its own comes before what the configuration has for it."""
    here = Processes(awaited=awaited)
    source = {"tenants": {"acme": here.tables(timeout=3.0)}}
    hub, _ = here.start(source)
    here.tenants.put("acme", here.tables(timeout=7.0))
    assert 7.0 == (await given(hub.find_account("acme.stripe"))).settings["timeout"]
    assert 7.0 == hub.account("acme.stripe").settings["timeout"]

    here.tenants.remove("acme")
    here.clock.advance(10.0)
    assert 3.0 == (await given(hub.find_account("acme.stripe"))).settings["timeout"]


@EITHER
async def test_without_tenants_to_look_up(awaited: bool) -> None:
    """A hub whose accounts all stand in its configuration finds those and no others."""
    make: Any = moorage.aopen if awaited else moorage.open
    here = Processes(awaited=awaited)
    hub = make({"tenants": {"acme": here.tables()}})

    assert "acme.stripe" == (await given(hub.find_account("acme.stripe"))).name
    assert await given(hub.find_account("other.stripe")) is None


def test_a_synchronous_hub_looks_up_an_unknown_account() -> None:
    """Its verifier of webhooks can be had at once in a process that has called nobody."""
    here = Processes(awaited=False)
    hub, _ = here.start()

    (event,) = hub.webhooks("acme.stripe", replay_guard=False).verify(**here.delivery())
    assert "payment.captured" == event.type


async def test_an_asynchronous_hub_is_to_find_an_account_first() -> None:
    """What cannot wait knows an account once it was found."""
    here = Processes(awaited=True)
    hub, _ = here.start()
    with pytest.raises(ConfigurationError, match="No account is named") as caught:
        hub.webhooks("acme.stripe")
    assert "find_account" in caught.value.remedy

    await hub.find_account("acme.stripe")
    assert "acme.stripe" == hub.account("acme.stripe").name
