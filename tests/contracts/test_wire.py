"""The `Wire`, through which a vendor's operation sends requests."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    ConfigurationError,
    CredentialNotFound,
    Credentials,
    DeadlineExceeded,
    Ref,
    Request,
    Service,
    WebhookEvent,
    WebhookRejected,
    WebhookSigner,
)
from moorage.adapters.state.memory import MemoryStorage
from moorage.contracts.routes import Account
from moorage.contracts.vendor import Vendor
from moorage.hub.hub import AsyncHub, Hub
from moorage.runtime.flows import run_now
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient
from tests.contracts.caller import MODES, PigeonHubs, result_of
from tests.contracts.external_sms_vendor import PigeonServer, TextMessageVendor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """Run the asynchronous tests in an asyncio event loop."""
    return "asyncio"


class MessageTransport:
    """A synchronous transport other than HTTP."""

    def __init__(self, vendor: object = None) -> None:
        self.vendor = vendor
        self.shouted: list[str] = []

    def shout(self, word: str) -> str:
        """Record a text and return it with an exclamation mark."""
        self.shouted.append(word)
        return f"{word}!"


class AsyncMessageTransport(MessageTransport):
    """An asynchronous transport other than HTTP."""

    async def shout(self, word: str) -> str:  # type: ignore[override]  # the asynchronous twin
        """Record a text and return it with an exclamation mark."""
        return super().shout(word)


class MessageVendor(Vendor):
    """A fictional vendor with a transport instead of HTTP."""

    name = "market"
    kinds = ("sms",)

    def services(self) -> dict[str, Service]:
        """Return a service without a URL."""
        return {"": Service("market", retry=None)}


async def run_on_wire(
    hub: Any, account: str, act: Callable[[Any], Awaitable[Any]], **options: Any
) -> Any:
    """Run a function with the wire of an operation at this account."""
    dispatcher = hub._live.dispatcher  # noqa: SLF001 - an operation of any kind
    result = hub.account(account)
    flow = act(
        dispatcher.wire(result, "acme", options.get("timeout"), keyed=options.get("keyed", False))
    )
    return run_now(flow) if isinstance(hub, Hub) else await flow  # type: ignore[arg-type]  # any awaitable of the test


@MODES
async def test_wire_exposes_account_tenant_and_time(hub_class: type[Any]) -> None:
    """A wire exposes the account, the tenant and the time, and makes new ids and references."""
    hubs = PigeonHubs()

    async def use_wire(wire: Any) -> tuple[Any, ...]:
        return wire.account, wire.tenant, wire.now(), wire.ref("1", other="2", none=None)

    account, tenant, now, ref = await run_on_wire(hubs.hub(hub_class), "one", use_wire)
    assert ("one", "acme") == (account, tenant)
    assert hubs.clock.utc() == now
    assert Ref("pigeon", "one", "1", {"other": "2"}) == ref

    async def name(wire: Any) -> str:
        return str(wire.new_id())

    hub = hubs.hub(hub_class)
    assert await run_on_wire(hub, "one", name) != await run_on_wire(hub, "one", name)


@MODES
async def test_wire_sends_requests_to_the_services_of_the_vendor(hub_class: type[Any]) -> None:
    """A wire sends requests to the vendor's services by name, and can stream bodies."""
    hubs = PigeonHubs()

    async def use_wire(wire: Any) -> tuple[int, bytes]:
        await wire.send(Request.post("/letters", form={"to": "x"}), to="pen")
        arriving_response = await wire.open(Request.get("/letters/L2"), to="pen")
        return (
            arriving_response.status,
            await arriving_response.read() + await arriving_response.read(),
        )

    assert (200, b'{"id":"L2"}') == await run_on_wire(hubs.hub(hub_class), "one", use_wire)


@MODES
async def test_concurrent_steps_return_their_results_in_step_order(hub_class: type[Any]) -> None:
    """Steps that a wire runs concurrently return their results in the order of the steps."""
    hubs = PigeonHubs()

    async def use_wire(wire: Any) -> Any:
        async def step() -> str:
            return "done"

        async def fail_step() -> str:
            raise ValueError

        return await wire.run_all([step, fail_step], at_once=2)

    good_result, bad_result = await run_on_wire(hubs.hub(hub_class), "one", use_wire)
    assert "done" == good_result.unwrap()
    assert isinstance(bad_result.error, ValueError)


@MODES
async def test_operation_timeout_limits_all_its_waits_and_requests_together(
    hub_class: type[Any],
) -> None:
    """An operation's timeout limits all its waits and requests together."""
    hubs = PigeonHubs()

    async def sleep_twice(wire: Any) -> None:
        await wire.sleep(3.0)
        await wire.sleep(3.0)

    async def send_late(wire: Any) -> None:
        hubs.clock.advance(6.0)
        await wire.send(Request.get("/letters/L1"))

    for step in (sleep_twice, send_late):
        with pytest.raises(DeadlineExceeded) as excinfo:
            await run_on_wire(hubs.hub(hub_class), "one", step, timeout=5.0)
        assert "one" == excinfo.value.service
    assert not hubs.one.requests


@MODES
async def test_operation_without_a_timeout_uses_that_of_its_service(hub_class: type[Any]) -> None:
    """With an idempotency key but without a timeout, an operation uses its service's timeout."""
    hubs = PigeonHubs()

    async def use_wire(wire: Any) -> None:
        await wire.sleep(31.0)

    hub = hubs.hub(hub_class)
    with pytest.raises(DeadlineExceeded):
        await run_on_wire(hub, "one", use_wire, keyed=True)
    assert await run_on_wire(hub, "one", use_wire) is None


@MODES
async def test_operation_can_sign_with_the_credentials_of_the_account(hub_class: type[Any]) -> None:
    """An operation can sign with the account's credentials."""
    hubs = PigeonHubs()

    async def use_wire(wire: Any) -> Any:
        return await wire.credentials()

    with pytest.raises(CredentialNotFound):
        await run_on_wire(hubs.hub(hub_class), "one", use_wire)
    credentials = Credentials.bearer("token")
    account = Account(
        "one", TextMessageVendor(loft="one.example"), settings={"credentials": credentials}
    )
    hub = hubs.hub(hub_class, accounts=[account, *hubs.accounts[1:]])
    assert credentials == await run_on_wire(hub, "one", use_wire)


@MODES
async def test_custom_transport_is_used(hub_class: type[Any]) -> None:
    """A vendor without HTTP is called through its transport, once per idempotency key."""
    transport = MessageTransport() if hub_class is Hub else AsyncMessageTransport()
    hub = hub_class([Account("square", MessageVendor())], transports={"square": transport})

    async def use_wire(wire: Any) -> Any:
        return await wire.execute("shout", "fish", key="k1", payload="fish")

    assert ["fish!", "fish!"] == [await run_on_wire(hub, "square", use_wire) for _ in range(2)]
    assert ["fish"] == transport.shouted
    with pytest.raises(ConfigurationError, match="No transport is configured for market"):
        await run_on_wire(hub_class([Account("square", MessageVendor())]), "square", use_wire)


@MODES
async def test_closing_hub_closes_connections_that_it_opened_itself(hub_class: type[Any]) -> None:
    """Closing a hub closes the connections that it opened itself, not the host's."""
    loft = PigeonServer()
    client = SandboxHttpClient(loft) if hub_class is Hub else AsyncSandboxHttpClient(loft)
    hub = hub_class([Account("pigeon", TextMessageVendor())], http=client)
    if isinstance(hub, AsyncHub):
        async with hub as entered_hub:
            assert entered_hub is hub
    else:
        with hub as entered_hub:
            assert entered_hub is hub
    await result_of(hub.close())
    await result_of(client.close())


def test_unknown_account_is_refused() -> None:
    """An unknown account is refused, and the error lists the configured accounts."""
    with pytest.raises(ConfigurationError, match=r"No account is named 'x'\..*Use one of: pigeon"):
        Hub([Account("pigeon", TextMessageVendor())]).account("x")
    with pytest.raises(ConfigurationError, match="Use one of: none"):
        Hub([]).account("x")


def test_verified_webhook_becomes_events() -> None:
    """A verified webhook becomes events; a vendor without webhooks raises an error.

    Deliveries are remembered in the store of idempotency keys, or in the memory of the hub.
    """
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    account = Account("pigeon", TextMessageVendor(), webhook_secrets=secret)
    hub = Hub([account, Account("square", MessageVendor())])
    verifier = hub.webhooks("pigeon")
    assert secret not in repr(account)
    event = WebhookEvent(
        vendor="pigeon",
        id="e1",
        type="x",
        vendor_type="x",
        time=datetime(2031, 5, 6, tzinfo=UTC),
        data={"id": "L1"},
    )

    with pytest.raises(WebhookRejected):
        verifier.verify(headers={}, body=b"{}")
    signed_headers = WebhookSigner(secret).sign(b"{}", id="m1", at=datetime.now(UTC)).pairs
    for state in (MemoryStorage(), None):
        shared_hub = Hub([account], state=state)
        assert shared_hub.webhooks("pigeon").verify(headers=signed_headers, body=b"{}")
        with pytest.raises(WebhookRejected):
            shared_hub.webhooks("pigeon").verify(headers=signed_headers, body=b"{}")
    keys = MemoryStorage()
    for process in (1, 2):
        verifier = Hub([account], claims=keys, state=MemoryStorage()).webhooks("pigeon")
        with nullcontext() if process == 1 else pytest.raises(WebhookRejected):
            verifier.verify(headers=signed_headers, body=b"{}")
    assert (Ref("pigeon", "pigeon", "L1"),) == hub.events("pigeon", event)
    with pytest.raises(ConfigurationError, match="market sends no webhooks"):
        hub.webhooks("square")


def test_verifier_of_an_account_may_have_its_own_name() -> None:
    """A verifier with its own name accepts a webhook that the account's verifier has accepted."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    hub = Hub([Account("pigeon", TextMessageVendor(), webhook_secrets=secret)])
    signed_headers = WebhookSigner(secret).sign(b"{}", id="m1", at=datetime.now(UTC)).pairs

    assert hub.webhooks("pigeon").verify(headers=signed_headers, body=b"{}")
    verifier = hub.webhooks("pigeon", name="second-endpoint")
    assert verifier.verify(headers=signed_headers, body=b"{}")
