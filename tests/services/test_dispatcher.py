"""The dispatcher, which chooses the account for an operation and fails over to the next one."""

from __future__ import annotations

from types import MappingProxyType, SimpleNamespace
from typing import Any

import attrs
import pytest

from moorage import ConfigurationError, ConnectionFailed, ConnectorError, FailedOver, Request
from moorage.adapters.state.memory import MemoryStorage
from moorage.domain.idempotency.claims import AS_USUAL, Claim
from moorage.services.calling.attempt_result import AttemptResult
from moorage.services.contracts.dispatcher import Dispatcher, is_certainly_undone
from moorage.services.core.renewal import NoRenewals
from tests.services.test_vendor_wire import START, RecordingPorts
from tests.support.virtual_tasks import run_plain

ASKED_OPERATION: Any = SimpleNamespace(
    kind="sms",
    tenant="acme",
    operation="send",
    full_name="sms.send",
    use=AS_USUAL,
    timeout=None,
)
GET = Request.get("/a")
TTL = {"one": 3600, "two": 7200}


def account(name: str) -> Any:
    """Return a fake account that has a vendor of its own."""
    vendor = SimpleNamespace(name=f"{name}'s", transport=None, unknown_outcomes={})
    return SimpleNamespace(name=name, vendor=vendor)


class Hub(RecordingPorts):
    """A fake hub: accounts, and a dispatcher that runs operations on them."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.memory = MemoryStorage(self.clock)
        self.claims: list[Any] = []
        self.events: list[Any] = []
        self.observers = (self,)
        self.accounts = {name: account(name) for name in names}
        self.fails: dict[str, ConnectorError] = {}
        self.asked: list[str] = []
        self.renewals = NoRenewals()
        self.tenant_records = None
        self._tokens = 0
        directory: Any = SimpleNamespace(
            choose=self.choose,
            find=self.find,
            accounts=self.accounts,
        )
        calling: Any = self
        step: Any = None
        self.desk = Dispatcher(
            calling=calling, directory=directory, step=step, transports=MappingProxyType({})
        )

    def choose(self, request: Any) -> tuple[Any, ...]:
        """Return all accounts, in their order."""
        assert ASKED_OPERATION is request
        return tuple(self.accounts.values())

    def find(self, ref: Any, request: Any) -> tuple[Any, Any]:
        """Return account "two" as the owner of the resource."""
        assert ASKED_OPERATION is request
        return self.accounts["two"], ref

    @property
    def plans(self) -> Any:
        """Return a fake service, with a timeout and a lifetime for keys, for each account."""
        services = {
            name: SimpleNamespace(timeout=30.0, idempotency_ttl=TTL[name]) for name in self.accounts
        }
        return SimpleNamespace(services=services)

    async def execute(self, command: Any, /, timeout: float | None = None) -> Any:
        """Record the command if it claims a key, and execute it in the memory store."""
        if isinstance(command, Claim):
            self.claims.append(command)
        return self.memory.execute(command, timeout)

    def post(self, command: Any) -> None:
        """Post the command to the memory store."""
        self.memory.post(command)

    def token(self) -> int:
        """Return an increasing number as a unique token."""
        self._tokens += 1
        return self._tokens

    def fraction(self) -> float:
        """Return a fixed number instead of a random one."""
        return 0.5

    def notify(self, event: Any) -> None:
        """Record the event."""
        self.events.append(event)

    async def perform_and_record(self, vendor: Any, wire: Any, *results: Any) -> tuple[Any, ...]:
        """Send a request and record its account; raise the account's configured error, if any."""
        await wire.send(GET)
        self.asked.append(wire.account)
        if wire.account in self.fails:
            raise self.fails[wire.account]
        return (vendor.name, *results)

    def ask(self, **options: Any) -> Any:
        """Run the fake operation through the dispatcher."""
        return run_plain(self.desk.execute(ASKED_OPERATION, self.perform_and_record, **options))

    def bounds(self) -> list[tuple[Any, Any]]:
        """Return the tenant and the timeout of each request that was sent."""
        return [(result[-1]["tenant"], result[-1]["timeout"]) for result in self.told]


def harmless_error() -> ConnectorError:
    """Return an error that proves that nothing was done."""
    error = ConnectionFailed("It is away.", may_have_been_processed=False)
    vars(error).update(_acted=False)
    return error


def test_only_harmless_errors_move_on() -> None:
    """The dispatcher fails over only after an error that proves that nothing was done."""
    wire: Any = SimpleNamespace(acted=False)
    assert is_certainly_undone(harmless_error(), wire)
    assert not is_certainly_undone(ConnectionFailed("It is away."), wire)
    assert not is_certainly_undone(harmless_error(), SimpleNamespace(acted=True))  # type: ignore[arg-type]  # only `acted` is read


@pytest.mark.parametrize("key", [None, "k"])
def test_no_other_account_is_tried_after_a_request_with_an_effect(key: str | None) -> None:
    """After a request with an effect the dispatcher tries no other account."""
    hub = Hub("one", "two")

    async def order(_: Any, wire: Any) -> None:
        await wire.send(Request.post("/a"))
        raise harmless_error()

    with pytest.raises(ConnectionFailed) as excinfo:
        run_plain(hub.desk.execute(ASKED_OPERATION, order, key=key))
    assert vars(excinfo.value)["_acted"] is True
    assert ["one"] == [result[1] for result in hub.told]


@pytest.mark.parametrize("timeout, sent", [(None, None), (7.0, 7.0)])
def test_next_account_is_tried_after_a_harmless_error(
    timeout: float | None, sent: float | None
) -> None:
    """After a harmless error the next account gets the same timeout, and observers get an event."""
    hub = Hub("one", "two")
    error = harmless_error()
    error.request_id = "r-1"
    hub.fails["one"] = error

    assert ("two's",) == hub.ask(timeout=timeout)
    assert ["one", "two"] == hub.asked
    assert [("acme", sent)] * 2 == hub.bounds()
    assert [
        FailedOver(
            at=START,
            service="one",
            operation="sms.send",
            vendor="one's",
            account="one",
            tenant="acme",
            request_id="r-1",
            to="two",
            error="ConnectionFailed",
        )
    ] == hub.events
    hub.fails.clear()
    assert ("one's",) == hub.ask(timeout=timeout)


def test_transport_is_that_of_its_account() -> None:
    """An operation can call a method of the transport of its own account."""
    hub = Hub("one")
    transport = SimpleNamespace(shout=lambda: "shouted")

    def step(verb: Any, _: Any) -> Any:
        async def run_transport(_: Any) -> AttemptResult:
            return AttemptResult(("step", verb()))

        return run_transport

    dispatcher = attrs.evolve(hub.desk, transports={"one": transport}, step=step)

    async def shout(_: Any, wire: Any) -> Any:
        return await wire.execute("shout")

    assert "done" == run_plain(dispatcher.execute(ASKED_OPERATION, shout))
    verb, name, performed, *_ = hub.told[0]
    call: Any = SimpleNamespace(mask=lambda _: None, bound=lambda _: 1.0)
    assert ("run", "one", ("step", "shouted")) == (verb, name, run_plain(performed(call)).value)


def test_errors_name_their_account() -> None:
    """The dispatcher adds account and operation to an error, unless the error has them already."""
    hub = Hub("one", "two")
    hub.fails["one"] = ConnectionFailed("It is away.")
    with pytest.raises(ConnectionFailed) as excinfo:
        hub.ask()
    assert ("one", "sms.send") == (excinfo.value.service, excinfo.value.operation)
    assert ["one"] == hub.asked

    hub.fails["one"] = ConnectionFailed("It is away.", service="one.pen", operation="write")
    with pytest.raises(ConnectionFailed) as excinfo:
        hub.ask()
    assert ("one.pen", "write") == (excinfo.value.service, excinfo.value.operation)

    hub.fails = {"one": harmless_error(), "two": harmless_error()}
    with pytest.raises(ConnectionFailed) as excinfo:
        hub.ask()
    assert "two" == excinfo.value.service


@pytest.mark.parametrize("timeout, sent", [(None, 30.0), (7.0, 7.0)])
def test_key_stays_where_its_effect_is(timeout: float | None, sent: float) -> None:
    """An idempotency key moves to another account only as long as it has had no effect."""
    hub = Hub("one", "two")
    hub.fails["one"] = harmless_error()
    assert ("two's",) == hub.ask(key="k", timeout=timeout)
    assert 1 == len(hub.events)
    hub.fails.clear()
    assert ("two's",) == hub.ask(key="k", timeout=timeout)
    assert ("one's",) == hub.ask(key="other", timeout=timeout)

    assert ["one", "two", "two", "one"] == hub.asked
    assert [("acme", sent)] * 4 == hub.bounds()
    lease_length = int((2 * sent + 5) * 10**6)
    assert {(lease_length, 7_200_000_000)} == {(claim.lease, claim.ttl) for claim in hub.claims}


def test_key_that_may_have_done_something_stays() -> None:
    """A repeat of an idempotency key uses the same account if a request may have had an effect."""
    hub = Hub("one", "two")
    hub.fails["one"] = ConnectionFailed("It is away.")
    for _ in range(2):
        with pytest.raises(ConnectionFailed):
            hub.ask(key="k")

    assert ["one", "one"] == hub.asked
    assert [] == hub.events


def test_account_that_is_gone_is_not_replaced() -> None:
    """An idempotency key of an account that was removed is not used at any other account."""
    hub = Hub("one")
    hub.ask(key="k")
    hub.accounts = hub.desk.directory.accounts = {"two": account("two")}
    with pytest.raises(ConfigurationError, match="used at the account 'one'") as excinfo:
        hub.ask(key="k")

    assert "sms.vendor" == excinfo.value.path
    assert "Configure the account again" in excinfo.value.remedy
    assert vars(excinfo.value)["_acted"] is True


@pytest.mark.parametrize(
    "options, sent", [({}, None), ({"timeout": 7.0}, 7.0), ({"key": "k"}, 30.0)]
)
def test_operation_on_a_resource_uses_its_account(options: Any, sent: float | None) -> None:
    """An operation on a resource uses the resource's account; an error contains that account."""
    hub = Hub("one", "two")
    assert ("two's", "ref") == run_plain(
        hub.desk.execute_at("ref", ASKED_OPERATION, hub.perform_and_record, **options)
    )
    assert [("acme", sent)] == hub.bounds()

    hub.fails["two"] = harmless_error()
    with pytest.raises(ConnectionFailed) as excinfo:
        run_plain(hub.desk.execute_at("ref", ASKED_OPERATION, hub.perform_and_record, **options))
    assert ("two", "sms.send") == (excinfo.value.service, excinfo.value.operation)


def test_key_of_the_only_account_never_moves() -> None:
    """An idempotency key used with a single account stays there after more accounts are added."""
    hub = Hub("one")
    hub.ask(key="k")
    assert 1 == len(hub.claims)
    hub.accounts["two"] = account("two")
    hub.fails["one"] = harmless_error()
    with pytest.raises(ConnectionFailed) as excinfo:
        hub.ask(key="k")
    assert ["one", "one"] == hub.asked
    assert ("one", "sms.send") == (excinfo.value.service, excinfo.value.operation)
    assert "acme" in hub.claims[0].keys[0]


def test_key_never_moves_back() -> None:
    """An idempotency key stays at the account where it was tried last, in later calls too."""
    hub = Hub("one", "two")
    hub.fails = {"one": harmless_error(), "two": harmless_error()}
    for _ in range(2):
        with pytest.raises(ConnectionFailed) as excinfo:
            hub.ask(key="k")
        assert ("two", "sms.send") == (excinfo.value.service, excinfo.value.operation)
        hub.fails = {"one": harmless_error(), "two": harmless_error()}

    assert ["one", "two", "two"] == hub.asked
