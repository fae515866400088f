"""The object through which a vendor's operation sends requests and learns its remaining time."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from moorage import (
    ConfigurationError,
    Credentials,
    DeadlineExceeded,
    DryRun,
    InvalidData,
    Ref,
    Request,
    VendorFailed,
)
from moorage.domain.auth.sent_values import new_recent_credentials
from moorage.domain.values.names import service_name
from moorage.services.calling.attempt_result import AttemptResult
from moorage.services.contracts.vendor_wire import VendorWire
from moorage.testing import VirtualClock
from tests.support.virtual_tasks import run_plain

START = datetime(2030, 1, 1, tzinfo=UTC)
GET, POST = Request.get("/a"), Request.post("/a")

UPPER: Any = str.upper
"""A parser that turns the response into upper case."""


class RecordingPorts:
    """A fake core that records the calls of a vendor's operation."""

    def __init__(self) -> None:
        self.clock = VirtualClock(START)
        self.told: list[tuple[Any, ...]] = []
        self.readers: list[tuple[Any, Any]] = []
        self.contracts: list[Any] = []
        self.ending: tuple[Any, Any] = ("done", None)
        self.own: Credentials | None = None
        self.core: Any = self
        self.nanoseconds = self.clock.nanoseconds
        self.utc = self.clock.utc
        self.observers: tuple[Any, ...] = ()

    @property
    def plans(self) -> Any:
        """Return the account's services, with credentials of their own if the test sets them."""
        service = SimpleNamespace(credentials=self.own)
        return SimpleNamespace(services={"main": service, "main.pen": service})

    def reading(
        self,
        parse: Any,
        recent_credentials: Any,
        _use: Any = None,
        contract: Any = None,
        wrap: Any = None,
    ) -> RecordingPorts:
        """Record the parser and the contract, and return the fake core."""
        self.contracts.append(contract)
        self.readers.append((parse, recent_credentials))
        return self

    async def call(self, *options: Any, **keywords: Any) -> str:
        """Record a call of a service, and return a fixed response."""
        self.told.append(("call", *options, keywords))
        return "answer"

    async def stream(self, *options: Any, **keywords: Any) -> str:
        """Record a streamed call and return a fixed stream."""
        self.told.append(("stream", *options, keywords))
        return "stream"

    async def run(self, *options: Any, **keywords: Any) -> tuple[Any, Any]:
        """Record a call of a function; return the prepared result or error."""
        self.told.append(("run", *options, keywords))
        return self.ending

    async def run_all(self, steps: Any, *, at_once: int) -> list[Any]:
        """Run the steps one after another."""
        self.told.append(("run_all", at_once))
        return [await step() for step in steps]

    async def get_credentials(self, *options: Any) -> str:
        """Record the request for credentials and return them."""
        self.told.append(("credentials", *options))
        return "credentials"

    async def sleep(self, seconds: float) -> None:
        """Record the wait and advance the clock."""
        self.told.append(("sleep", seconds))
        self.clock.advance(seconds)

    def new_id(self) -> str:
        """Return an id."""
        return "id-1"

    def wire(
        self,
        seconds: float | None = None,
        transport: object = None,
        *,
        subject: str | None = None,
        rehearses: str | None = None,
    ) -> VendorWire:
        """Return the object through which one operation sends its requests."""
        account: Any = SimpleNamespace(name="main", vendor=SimpleNamespace(name="pigeon"))
        calling: Any = self

        def step(verb: Any, _core: object) -> Any:
            async def perform(_call: object) -> AttemptResult:
                return AttemptResult(("step", verb()))

            return perform

        return VendorWire(
            calling,
            account,
            "acme",
            seconds=seconds,
            step=step,
            transport=transport,
            subject=subject,
            rehearses=rehearses,
        )


def test_services_have_names() -> None:
    """A vendor's only service is named like its account; several are named account.service."""
    assert ("main", "main.pen") == (service_name("main", ""), service_name("main", "pen"))


def test_request_has_the_operations_options() -> None:
    """A request gets the operation's options and its remaining time."""
    calling = RecordingPorts()
    wire = calling.wire(5.0, subject="ada")
    calling.clock.advance(1)

    assert "ANSWER" == run_plain(wire.send(GET, to="pen", key="k", endpoint="e", parse=UPPER))
    assert "stream" == run_plain(wire.open(GET, to="pen", endpoint="e"))
    common_options: dict[str, Any] = {
        "tenant": "acme",
        "endpoint": "e",
        "timeout": 4.0,
        "subject": "ada",
    }
    assert [
        ("call", "main.pen", GET, {**common_options, "idempotency_key": "k"}),
        ("stream", "main.pen", GET, common_options),
    ] == calling.told
    assert [(UPPER, new_recent_credentials()), (None, new_recent_credentials())] == calling.readers


def test_key_without_a_parser_is_refused() -> None:
    """A request with an idempotency key needs a parser for its response before it is sent."""
    calling = RecordingPorts()

    with pytest.raises(ConfigurationError) as excinfo:
        run_plain(calling.wire().send(GET, key="k"))

    assert "vendors.main" == excinfo.value.path
    assert [] == calling.told


def test_request_goes_to_the_accounts_service_by_default() -> None:
    """By default a request goes to the account's service, with that service's timeout."""
    calling = RecordingPorts()
    wire = calling.wire()
    run_plain(wire.send(GET))
    run_plain(wire.open(GET))

    common_options: dict[str, Any] = {
        "tenant": "acme",
        "endpoint": None,
        "timeout": None,
        "subject": None,
    }
    assert [
        ("call", "main", GET, {**common_options, "idempotency_key": None}),
        ("stream", "main", GET, common_options),
    ] == calling.told
    assert [(None, new_recent_credentials())] * 2 == calling.readers


def test_wire_remembers_effects() -> None:
    """An operation that has written counts as having an effect, even if it only reads later."""
    wire = RecordingPorts().wire()
    assert wire.acted is False
    run_plain(wire.send(GET))
    assert wire.acted is False
    run_plain(wire.send(POST))
    assert wire.acted is True
    run_plain(wire.send(GET))
    assert wire.acted is True


def test_transport_methods_are_steps() -> None:
    """A transport's method counts as an effect of the operation only if it succeeds."""
    calling = RecordingPorts()
    transport = SimpleNamespace(shout=lambda *words: words)
    wire = calling.wire(5.0, transport, subject="ada")
    calling.ending = (None, DeadlineExceeded("late."))
    with pytest.raises(DeadlineExceeded, match="late"):
        run_plain(wire.execute("shout", "a", "b", key="k", payload={"p": 1}))
    assert wire.acted is False
    calling.ending = ("done", None)
    assert "done" == run_plain(wire.execute("shout", "a"))
    assert wire.acted is True
    calling.ending = (None, DeadlineExceeded("late."))
    with pytest.raises(DeadlineExceeded):
        run_plain(wire.execute("shout"))
    assert wire.acted is True

    first, second, _ = calling.told
    context = {"tenant": "acme", "timeout": 5.0, "subject": "ada"}
    assert ("run", "main") == first[:2]
    masked_errors: list[object] = []
    call = SimpleNamespace(mask=masked_errors.append, bound=lambda _: 1.0)
    assert ("step", ("a", "b")) == run_plain(first[2](call)).value
    assert [None] == masked_errors
    assert {**context, "idempotency_key": "k", "payload": {"p": 1}}.items() <= first[3].items()
    assert {**context, "idempotency_key": None, "payload": None}.items() <= second[3].items()


def test_missing_transport_is_refused() -> None:
    """If an operation needs a transport that is missing, the error says where to configure it."""
    with pytest.raises(
        ConfigurationError, match="No transport is configured for pigeon"
    ) as excinfo:
        run_plain(RecordingPorts().wire().execute("shout"))

    assert "vendors.main" == excinfo.value.path
    assert "Pass a transport for this account to the hub." == excinfo.value.remedy


def test_host_provides_missing_credentials() -> None:
    """An operation gets the credentials of its service and tenant from the host."""
    calling = RecordingPorts()
    assert "credentials" == run_plain(calling.wire().credentials("pen"))
    assert "credentials" == run_plain(calling.wire().credentials())
    assert [("credentials", "main.pen", "acme"), ("credentials", "main", "acme")] == calling.told
    calling.own = Credentials.bearer("t0ken")
    assert calling.own == run_plain(calling.wire().credentials("pen"))


def test_steps_run_concurrently() -> None:
    """By default an operation runs up to eight steps at once, and each has its own result."""
    calling = RecordingPorts()

    async def succeed() -> str:
        return "good"

    async def raise_error() -> str:
        raise ValueError

    first, second = run_plain(calling.wire().run_all([succeed, raise_error]))
    run_plain(calling.wire().run_all([], at_once=3))
    assert "good" == first.unwrap()
    assert isinstance(second.error, ValueError)
    assert [("run_all", 8), ("run_all", 3)] == calling.told


def test_steps_share_the_deadline() -> None:
    """An operation may wait until its deadline; longer waits and later requests are refused."""
    calling = RecordingPorts()
    wire = calling.wire(5.0)
    with pytest.raises(DeadlineExceeded, match=r"timeout of 5 s has passed\.") as excinfo:
        run_plain(wire.sleep(5.001))
    assert "main" == excinfo.value.service
    run_plain(wire.sleep(4.5))
    run_plain(wire.send(GET))
    assert 0.5 == calling.told.pop()[-1]["timeout"]
    run_plain(wire.sleep(0.5))
    for late_coroutine in (wire.send(GET), wire.sleep(0.0)):
        with pytest.raises(DeadlineExceeded):
            run_plain(late_coroutine)
    run_plain(calling.wire().sleep(100.0))
    assert [("sleep", 4.5), ("sleep", 0.5), ("sleep", 100.0)] == calling.told


def test_operation_knows_its_account_tenant_and_time() -> None:
    """An operation knows its account, tenant and time, and can make new ids and references."""
    wire = RecordingPorts().wire()

    assert ("main", "acme", START, "id-1") == (wire.account, wire.tenant, wire.now(), wire.new_id())
    assert Ref("pigeon", "main", "1", {"a": "2"}) == wire.ref("1", a="2", b=None)


@pytest.mark.parametrize("id_", ["", ".", "..", "a" * 3_000, "\ud800"])
def test_invalid_id_of_an_answer_is_the_vendors_failure(id_: str) -> None:
    """An invalid id raises InvalidData before a request was sent, and VendorFailed afterwards."""
    wire = RecordingPorts().wire()
    with pytest.raises(InvalidData):
        wire.ref(id_)
    run_plain(wire.send(POST))

    with pytest.raises(VendorFailed, match="an id") as excinfo:
        wire.ref(id_)
    assert not excinfo.value.retryable


@pytest.mark.parametrize(
    "way, action, dry_request",
    [("send", POST, "POST /a"), ("open", POST, "POST /a"), ("execute", "shout", "shout")],
)
def test_rehearsal_raises_dry_run_with_the_request(
    way: str, action: object, dry_request: str
) -> None:
    """In a rehearsal an operation sends nothing, and its DryRun error contains the request."""
    calling = RecordingPorts()
    wire = calling.wire(transport=SimpleNamespace(shout=str), rehearses="fetch")
    with pytest.raises(DryRun) as excinfo:
        run_plain(getattr(wire, way)(action))

    assert ("main", "fetch", dry_request) == (
        excinfo.value.service,
        excinfo.value.operation,
        excinfo.value.request,
    )
    assert [] == calling.told


def test_errors_are_masked_while_others_send() -> None:
    """Masking an error includes credentials that another thread sends at the same time."""
    calling = RecordingPorts()
    wire = calling.wire()
    run_plain(wire.send(GET))
    (_, sent_credentials) = calling.readers[-1]
    masked_errors: list[Exception] = []

    class RacingCredential:
        """A credential that sends another credential while it masks an error."""

        def error(self, error: Exception) -> None:
            """Record the error, and send another credential."""
            masked_errors.append(error)
            if len(masked_errors) == 1:
                sent_credentials.append(self)

    sent_credentials.extend([RacingCredential(), RacingCredential()])
    error = ConfigurationError("No.", path="a", remedy="Mend it.")
    assert error is wire.mask_outcome(error)
    assert [error, error] == masked_errors
