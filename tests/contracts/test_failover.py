"""The choice of an account, and failover in which two accounts never both act."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    CircuitBreakerOpen,
    CircuitState,
    ConfigurationError,
    ConnectionFailed,
    FailedOver,
    IdempotencyConflict,
    IdempotencyInProgress,
    InvalidData,
    OutcomeUnknown,
    RateLimitExceeded,
    Response,
    RetryPolicy,
    Route,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.state.memory import AsyncMemoryStorage, MemoryStorage
from moorage.contracts.sms import SmsMessage
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient
from tests.contracts.caller import MODES, PigeonHubs, result_of
from tests.contracts.external_sms_vendor import PigeonServer

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.testing.sandboxes.base import SandboxRequest

pytestmark = pytest.mark.anyio

MESSAGE = SmsMessage(to="+4915112345678", text="Your parcel is on its way.")


def no_connection() -> ConnectionFailed:
    """Return a new error for a connection that was refused."""
    return ConnectionFailed("Nobody is there.", may_have_been_processed=False)


CUT_LINE = ConnectionFailed("The line was cut.")


@pytest.fixture
def anyio_backend() -> str:
    """Run the asynchronous tests in an asyncio event loop."""
    return "asyncio"


def shared_store(kind: type[Any], lofts: PigeonHubs) -> Any:
    """Return a state store that several hubs share."""
    return (MemoryStorage if kind is Hub else AsyncMemoryStorage)(clock=lofts.clock)


async def send(hub: Any, **options: Any) -> str:
    """Send the message, and return the name of the account that sent it."""
    receipt = await result_of(hub.sms().send(MESSAGE, **options))
    account: str = receipt.ref.account
    return account


@MODES
@pytest.mark.parametrize("key", [None, "k1"], ids=["no key", "key"])
async def test_second_account_is_unused_while_the_first_works(
    hub_class: type[Any], key: str | None
) -> None:
    """While the first account works, the second is not used."""
    hubs = PigeonHubs()

    assert "one" == await send(hubs.hub(hub_class), idempotency_key=key)
    assert (1, 0) == (len(hubs.one.letters), len(hubs.two.letters))


@MODES
@pytest.mark.parametrize("key", [None, "k1"], ids=["no key", "key"])
@pytest.mark.parametrize(
    "error", [no_connection(), Response(429)], ids=["unreachable", "throttled"]
)
async def test_next_account_is_used_if_error_proves_that_operation_had_no_effect(
    hub_class: type[Any], key: str | None, error: Any
) -> None:
    """If an error proves that the operation had no effect, the next account is used."""
    hubs = PigeonHubs()
    hubs.one.fail(error)

    assert "two" == await send(hubs.hub(hub_class), idempotency_key=key)
    assert (0, 1) == (len(hubs.one.letters), len(hubs.two.letters))
    [failover] = [event for event in hubs.told.events if isinstance(event, FailedOver)]
    assert ("one", "two") == (failover.service, failover.to)


@MODES
@pytest.mark.parametrize("key", [None, "k1"], ids=["no key", "key"])
@pytest.mark.parametrize(
    "error, raised",
    [(CUT_LINE, ConnectionFailed), (Response(503), VendorFailed), (Response(400), VendorRejected)],
    ids=["cut off", "outage", "refused"],
)
async def test_possible_effects_stay_with_their_account(
    hub_class: type[Any], key: str | None, error: Any, raised: type[Exception]
) -> None:
    """If an operation that failed may have had an effect, no other account is used."""
    hubs = PigeonHubs()
    hubs.one.fail(error)
    hub = hubs.hub(hub_class)

    with pytest.raises(raised):
        await send(hub, idempotency_key=key)

    assert 0 == len(hubs.two.requests)


def test_failover_without_observers() -> None:
    """Failover also works for a hub without observers."""
    hubs = PigeonHubs()
    hubs.one.fail(no_connection())
    routes = [Route("sms", ["one", "two"])]
    hub = Hub(hubs.accounts, routes, http=SandboxHttpClient(hubs.one, hubs.two))

    assert "two" == hub.sms().send(MESSAGE).ref.account


@MODES
async def test_last_accounts_error_is_raised(hub_class: type[Any]) -> None:
    """If all accounts fail, the error of the last one is raised, with its name."""
    hubs = PigeonHubs()
    hubs.one.fail(no_connection())
    hubs.two.fail(Response(429))

    with pytest.raises(RateLimitExceeded) as excinfo:
        await send(hubs.hub(hub_class), idempotency_key="k1")

    assert ("two", "sms.send") == (excinfo.value.service, excinfo.value.operation)


@MODES
async def test_open_circuit_moves_to_the_next_account(hub_class: type[Any]) -> None:
    """While the circuit of an account is open, the next account is used."""
    hubs = PigeonHubs()
    hub = hubs.hub(hub_class)
    await result_of(hub.manager.set_circuit("one", CircuitState.FORCED_OPEN))

    assert "two" == await send(hub)
    with pytest.raises(CircuitBreakerOpen):
        await result_of(hub.sms().get("pigeon:one:L1"))


@MODES
async def test_repeat_uses_the_same_account(hub_class: type[Any]) -> None:
    """A key that has moved to the second account stays there, even when the first works again."""
    hubs = PigeonHubs()
    hub = hubs.hub(hub_class)
    hubs.one.fail(no_connection())

    assert ["two", "two"] == [await send(hub, idempotency_key="k1") for _ in range(2)]
    assert (0, 1) == (len(hubs.one.letters), len(hubs.two.letters))
    assert "one" == await send(hub, idempotency_key="k2")


@MODES
async def test_lost_answer_is_repeated_at_its_account(hub_class: type[Any]) -> None:
    """If the response to an operation with a key is lost, it is repeated at the same account."""
    hubs = PigeonHubs()
    hub = hubs.hub(hub_class)
    hubs.one.fail(Lost())
    with pytest.raises(ConnectionFailed):
        await send(hub, idempotency_key="k1")
    hubs.one.fail(no_connection())
    with pytest.raises(ConnectionFailed):
        await send(hub, idempotency_key="k1")

    assert "one" == await send(hub, idempotency_key="k1")
    assert (1, 0) == (len(hubs.one.letters), len(hubs.two.requests))


@MODES
async def test_harmless_retry_does_not_clear_an_earlier_attempt(hub_class: type[Any]) -> None:
    """If a retry was not sent, the first attempt may still have had an effect."""
    hubs = PigeonHubs()
    settings = {"retry": RetryPolicy(2, base_delay=0.1)}
    accounts = [attrs.evolve(account, settings=settings) for account in hubs.accounts]
    hubs.one.fail(Lost(), no_connection())

    with pytest.raises(ConnectionFailed):
        await send(hubs.hub(hub_class, accounts=accounts), idempotency_key="k1")

    assert (1, 0) == (len(hubs.one.letters), len(hubs.two.requests))


@MODES
async def test_vendor_without_keys_gets_no_repeat(hub_class: type[Any]) -> None:
    """If a vendor accepts no idempotency keys, a lost response leaves the outcome unknown."""
    hubs = PigeonHubs(keys=False)
    hub = hubs.hub(hub_class)
    hubs.one.fail(Lost())
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await send(hub, idempotency_key="k1")

    assert (1, 0) == (len(hubs.one.requests), len(hubs.two.requests))


@MODES
@pytest.mark.parametrize("route", [("two",), ("two", "one")], ids=["swapped", "turned round"])
async def test_key_survives_a_change_of_routes(
    hub_class: type[Any], route: tuple[str, ...]
) -> None:
    """An idempotency key stays with its account when the routes are changed."""
    hubs = PigeonHubs()
    state = shared_store(hub_class, hubs)

    assert "one" == await send(
        hubs.hub(hub_class, route=("one",), state=state), idempotency_key="k1"
    )
    later_hub = hubs.hub(hub_class, route=route, state=state)
    assert "one" == await send(later_hub, idempotency_key="k1")
    assert "two" == await send(later_hub, idempotency_key="k2")
    assert (1, 1) == (len(hubs.one.letters), len(hubs.two.letters))


@MODES
async def test_key_of_a_removed_account(hub_class: type[Any]) -> None:
    """If the account of an idempotency key was removed, no other account is used for the key."""
    hubs = PigeonHubs()
    state = shared_store(hub_class, hubs)
    await send(hubs.hub(hub_class, route=("one",), state=state), idempotency_key="k1")
    later_hub = hubs.hub(hub_class, route=("two",), state=state, accounts=hubs.accounts[1:])

    with pytest.raises(ConfigurationError, match="'one', which is no longer configured"):
        await send(later_hub, idempotency_key="k1")

    assert 0 == len(hubs.two.requests)


@MODES
async def test_moved_key_is_followed_by_other_processes(hub_class: type[Any]) -> None:
    """If a key has moved to an account, processes with other routes use that account, too."""
    hubs = PigeonHubs()
    state = shared_store(hub_class, hubs)
    hubs.one.fail(no_connection())
    assert "two" == await send(hubs.hub(hub_class, state=state), idempotency_key="k1")

    swapped_hub = hubs.hub(hub_class, route=("one",), state=state)
    assert "two" == await send(swapped_hub, idempotency_key="k1")


@MODES
async def test_key_repeated_with_another_text_is_a_conflict(hub_class: type[Any]) -> None:
    """Using an idempotency key again for a text message with another text is a conflict."""
    hub = PigeonHubs().hub(hub_class)
    await send(hub, idempotency_key="k1")

    with pytest.raises(IdempotencyConflict):
        await result_of(
            hub.sms().send(SmsMessage(to="+4915112345679", text="x"), idempotency_key="k1")
        )


@MODES
async def test_tenants_have_separate_keys(hub_class: type[Any]) -> None:
    """Two tenants may use the same idempotency key for different messages."""
    hubs = PigeonHubs(keys=False)
    hub = hubs.hub(hub_class)
    for tenant in ("acme", "other", "acme"):
        await result_of(hub.sms(tenant).send(MESSAGE, idempotency_key="k1"))

    assert 2 == len(hubs.one.letters)


@MODES
@pytest.mark.parametrize("key", ["", " x", "ü", "x" * 256])
async def test_invalid_keys_are_refused(hub_class: type[Any], key: str) -> None:
    """An invalid idempotency key is refused before anything is sent."""
    hubs = PigeonHubs()

    with pytest.raises(InvalidData):
        await send(hubs.hub(hub_class), idempotency_key=key)

    assert not hubs.one.requests


class BusyVendor(PigeonServer):
    """A vendor that runs another caller with the same idempotency key before it responds."""

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.meanwhile: Callable[[], object] = int

    def answer(self, request: SandboxRequest) -> Response:
        """Run the other caller first, and then respond to the request."""
        concurrent_step, self.meanwhile = self.meanwhile, int
        concurrent_step()
        return super().answer(request)


def test_concurrent_callers_of_a_key_wait() -> None:
    """While another caller may be moving a key, a caller waits, at most until its timeout."""
    hubs = PigeonHubs()
    hubs.one = busy_vendor = BusyVendor("one.example")
    state = shared_store(Hub, hubs)
    hub, other_hub = (hubs.hub(Hub, state=state) for _ in range(2))
    start_time = hubs.clock.nanoseconds()

    def run_beside() -> None:
        with pytest.raises(IdempotencyInProgress) as excinfo:
            other_hub.sms().send(MESSAGE, idempotency_key="k1", timeout=2.0)
        assert excinfo.value.retry_at

    busy_vendor.meanwhile = run_beside

    assert "one" == hub.sms().send(MESSAGE, idempotency_key="k1").ref.account
    assert 1 == len(busy_vendor.letters)
    # Two accounts with two seconds each.
    assert 3 < (hubs.clock.nanoseconds() - start_time) / 1e9 <= 4
    assert "one" == other_hub.sms().send(MESSAGE, idempotency_key="k1").ref.account


@MODES
async def test_each_message_of_a_batch_has_its_own_result(hub_class: type[Any]) -> None:
    """Each message of a batch has its own result.

    Without an idempotency key, a repeat sends the message again.
    """
    hubs = PigeonHubs()
    hub = hubs.hub(hub_class)
    for _ in range(2):
        hubs.one.fail(Response(400))
        results = await result_of(hub.sms().send_bulk([MESSAGE, MESSAGE], at_once=1))
        assert [False, True] == [result.ok for result in results]

    assert 2 == len(hubs.one.letters)
