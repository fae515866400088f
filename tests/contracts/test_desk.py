"""The choice of the account for an operation, and of the next one: never two of them act."""

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
from tests.contracts.caller import MODES, Lofts, given
from tests.contracts.pigeon import Loft

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.testing.sandboxes.base import SandboxRequest

pytestmark = pytest.mark.anyio

MESSAGE = SmsMessage(to="+4915112345678", text="Your parcel is on its way.")
DOWN = ConnectionFailed("Nobody is there.", may_have_been_processed=False)
CUT = ConnectionFailed("The line was cut.")


@pytest.fixture
def anyio_backend() -> str:
    """The loop of the standard library."""
    return "asyncio"


def shared(kind: type[Any], lofts: Lofts) -> Any:
    """A store that several hubs share."""
    return (MemoryStorage if kind is Hub else AsyncMemoryStorage)(clock=lofts.clock)


async def send(hub: Any, **options: Any) -> str:
    """Send the message, and tell at which account."""
    receipt = await given(hub.sms().send(MESSAGE, **options))
    account: str = receipt.ref.account
    return account


@MODES
@pytest.mark.parametrize("key", [None, "k1"], ids=["no key", "key"])
async def test_the_first_does_it(hub_class: type[Any], key: str | None) -> None:
    """While the first account works the second is left alone."""
    lofts = Lofts()

    assert "one" == await send(lofts.hub(hub_class), idempotency_key=key)
    assert (1, 0) == (len(lofts.one.letters), len(lofts.two.letters))


@MODES
@pytest.mark.parametrize("key", [None, "k1"], ids=["no key", "key"])
@pytest.mark.parametrize("why", [DOWN, Response(429)], ids=["unreachable", "throttled"])
async def test_next_account_takes_over_if_nothing_was_done(
    hub_class: type[Any], key: str | None, why: Any
) -> None:
    """After an error that proves no effect the next account is used."""
    lofts = Lofts()
    lofts.one.fail(why)

    assert "two" == await send(lofts.hub(hub_class), idempotency_key=key)
    assert (0, 1) == (len(lofts.one.letters), len(lofts.two.letters))
    [moved] = [event for event in lofts.told.events if isinstance(event, FailedOver)]
    assert ("one", "two") == (moved.service, moved.to)


@MODES
@pytest.mark.parametrize("key", [None, "k1"], ids=["no key", "key"])
@pytest.mark.parametrize(
    "why, raised",
    [(CUT, ConnectionFailed), (Response(503), VendorFailed), (Response(400), VendorRejected)],
    ids=["cut off", "outage", "refused"],
)
async def test_possible_effects_stay_with_their_account(
    hub_class: type[Any], key: str | None, why: Any, raised: type[Exception]
) -> None:
    """After a possible effect no other account is used."""
    lofts = Lofts()
    lofts.one.fail(why)
    hub = lofts.hub(hub_class)

    with pytest.raises(raised):
        await send(hub, idempotency_key=key)

    assert 0 == len(lofts.two.asked)


def test_failover_without_observers() -> None:
    """Failover works without observers."""
    lofts = Lofts()
    lofts.one.fail(DOWN)
    routes = [Route("sms", ["one", "two"])]
    hub = Hub(lofts.accounts, routes, http=SandboxHttpClient(lofts.one, lofts.two))

    assert "two" == hub.sms().send(MESSAGE).ref.account


@MODES
async def test_the_last_account_speaks_for_all(hub_class: type[Any]) -> None:
    """When nobody can, the last one's error is raised, with its name."""
    lofts = Lofts()
    lofts.one.fail(DOWN)
    lofts.two.fail(Response(429))

    with pytest.raises(RateLimitExceeded) as caught:
        await send(lofts.hub(hub_class), idempotency_key="k1")

    assert ("two", "send") == (caught.value.service, caught.value.operation)


@MODES
async def test_an_open_circuit_sends_to_the_next(hub_class: type[Any]) -> None:
    """While a circuit is open the next account does everything."""
    lofts = Lofts()
    hub = lofts.hub(hub_class)
    await given(hub.manager.set_circuit("one", CircuitState.FORCED_OPEN))

    assert "two" == await send(hub)
    with pytest.raises(CircuitBreakerOpen):
        await given(hub.sms().get("pigeon:one:L1"))


@MODES
async def test_a_repeat_goes_where_the_first_went(hub_class: type[Any]) -> None:
    """A key that moved on stays there, though the first account works again."""
    lofts = Lofts()
    hub = lofts.hub(hub_class)
    lofts.one.fail(DOWN)

    assert ["two", "two"] == [await send(hub, idempotency_key="k1") for _ in range(2)]
    assert (0, 1) == (len(lofts.one.letters), len(lofts.two.letters))
    assert "one" == await send(hub, idempotency_key="k2")


@MODES
async def test_lost_answer_is_repeated_at_its_account(hub_class: type[Any]) -> None:
    """A key whose answer was lost is repeated at the same account."""
    lofts = Lofts()
    hub = lofts.hub(hub_class)
    lofts.one.fail(Lost())
    with pytest.raises(ConnectionFailed):
        await send(hub, idempotency_key="k1")
    lofts.one.fail(DOWN)
    with pytest.raises(ConnectionFailed):
        await send(hub, idempotency_key="k1")

    assert "one" == await send(hub, idempotency_key="k1")
    assert (1, 0) == (len(lofts.one.letters), len(lofts.two.asked))


@MODES
async def test_harmless_retry_does_not_clear_an_earlier_attempt(hub_class: type[Any]) -> None:
    """A harmless last attempt proves nothing about an earlier one."""
    lofts = Lofts()
    settings = {"retry": RetryPolicy(2, base_delay=0.1)}
    accounts = [attrs.evolve(account, settings=settings) for account in lofts.accounts]
    lofts.one.fail(Lost(), DOWN)

    with pytest.raises(ConnectionFailed):
        await send(lofts.hub(hub_class, accounts=accounts), idempotency_key="k1")

    assert (1, 0) == (len(lofts.one.letters), len(lofts.two.asked))


@MODES
async def test_a_vendor_without_keys_is_not_asked_again(hub_class: type[Any]) -> None:
    """At a vendor without keys a lost answer has an unknown outcome."""
    lofts = Lofts(keys=False)
    hub = lofts.hub(hub_class)
    lofts.one.fail(Lost())
    for _ in range(2):
        with pytest.raises(OutcomeUnknown):
            await send(hub, idempotency_key="k1")

    assert (1, 0) == (len(lofts.one.asked), len(lofts.two.asked))


@MODES
@pytest.mark.parametrize("route", [("two",), ("two", "one")], ids=["swapped", "turned round"])
async def test_a_key_outlives_the_configuration(
    hub_class: type[Any], route: tuple[str, ...]
) -> None:
    """A key stays with its account, whatever the routes say later."""
    lofts = Lofts()
    state = shared(hub_class, lofts)

    assert "one" == await send(
        lofts.hub(hub_class, route=("one",), state=state), idempotency_key="k1"
    )
    later = lofts.hub(hub_class, route=route, state=state)
    assert "one" == await send(later, idempotency_key="k1")
    assert "two" == await send(later, idempotency_key="k2")
    assert (1, 1) == (len(lofts.one.letters), len(lofts.two.letters))


@MODES
async def test_a_key_of_an_account_that_is_gone(hub_class: type[Any]) -> None:
    """A key whose account is not configured any more is nobody else's to use."""
    lofts = Lofts()
    state = shared(hub_class, lofts)
    await send(lofts.hub(hub_class, route=("one",), state=state), idempotency_key="k1")
    later = lofts.hub(hub_class, route=("two",), state=state, accounts=lofts.accounts[1:])

    with pytest.raises(ConfigurationError, match="'one', which is no longer configured"):
        await send(later, idempotency_key="k1")

    assert 0 == len(lofts.two.asked)


@MODES
async def test_a_key_that_moved_is_followed_by_everybody(hub_class: type[Any]) -> None:
    """A process with other routes follows a key that moved."""
    lofts = Lofts()
    state = shared(hub_class, lofts)
    lofts.one.fail(DOWN)
    assert "two" == await send(lofts.hub(hub_class, state=state), idempotency_key="k1")

    swapped = lofts.hub(hub_class, route=("one",), state=state)
    assert "two" == await send(swapped, idempotency_key="k1")


@MODES
async def test_a_key_has_one_payload(hub_class: type[Any]) -> None:
    """The same key with another message is a conflict."""
    hub = Lofts().hub(hub_class)
    await send(hub, idempotency_key="k1")

    with pytest.raises(IdempotencyConflict):
        await given(hub.sms().send(SmsMessage(to="+4915112345679", text="x"), idempotency_key="k1"))


@MODES
async def test_keys_of_tenants_are_apart(hub_class: type[Any]) -> None:
    """Two tenants may use the same key."""
    lofts = Lofts(keys=False)
    hub = lofts.hub(hub_class)
    for tenant in ("acme", "other", "acme"):
        await given(hub.sms(tenant).send(MESSAGE, idempotency_key="k1"))

    assert 2 == len(lofts.one.letters)


@MODES
@pytest.mark.parametrize("key", ["", " x", "ü", "x" * 256])
async def test_invalid_keys_are_refused(hub_class: type[Any], key: str) -> None:
    """An invalid key is refused before anything is sent."""
    lofts = Lofts()

    with pytest.raises(InvalidData):
        await send(lofts.hub(hub_class), idempotency_key=key)

    assert not lofts.one.asked


class Busy(Loft):
    """A vendor where another caller uses the same key meanwhile."""

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.meanwhile: Callable[[], object] = int

    def answer(self, request: SandboxRequest) -> Response:
        """Let the other caller try first."""
        meanwhile, self.meanwhile = self.meanwhile, int
        meanwhile()
        return super().answer(request)


def test_concurrent_callers_of_a_key_wait() -> None:
    """A caller waits while another may be moving the key, up to its timeout."""
    lofts = Lofts()
    lofts.one = busy = Busy("one.example")
    state = shared(Hub, lofts)
    hub, other = (lofts.hub(Hub, state=state) for _ in range(2))
    began = lofts.clock.nanoseconds()

    def meanwhile() -> None:
        with pytest.raises(IdempotencyInProgress) as caught:
            other.sms().send(MESSAGE, idempotency_key="k1", timeout=2.0)
        assert caught.value.retry_at

    busy.meanwhile = meanwhile

    assert "one" == hub.sms().send(MESSAGE, idempotency_key="k1").ref.account
    assert 1 == len(busy.letters)
    # Two accounts, two seconds each.
    assert 3 < (lofts.clock.nanoseconds() - began) / 1e9 <= 4
    assert "one" == other.sms().send(MESSAGE, idempotency_key="k1").ref.account


@MODES
async def test_a_batch_without_a_key(hub_class: type[Any]) -> None:
    """Each message of a batch has its own result, and without a key each is sent again."""
    lofts = Lofts()
    hub = lofts.hub(hub_class)
    for _ in range(2):
        lofts.one.fail(Response(400))
        results = await given(hub.sms().send_bulk([MESSAGE, MESSAGE], at_once=1))
        assert [False, True] == [result.ok for result in results]

    assert 2 == len(lofts.one.letters)
