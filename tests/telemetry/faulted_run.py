"""A simulated run of calls to failing vendors in virtual time, with the true outcomes.

The truth comes from the vendors, which see every request, and from the callers, which see every
answer and the time that passed. Nothing of it comes from moorage's own events.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs

from moorage import (
    AsyncConnectorManager,
    BulkheadConfig,
    CachePolicy,
    CircuitBreakerConfig,
    CircuitBreakerOpen,
    CircuitState,
    ConnectionFailed,
    ConnectorError,
    HedgeConfig,
    Jitter,
    RateLimitConfig,
    Region,
    Request,
    Response,
    RetryBudget,
    RetryBudgetExhausted,
    RetryPolicy,
    Service,
)
from moorage.testing import ScriptedRandomness
from tests.simulation import virtual_loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from moorage import Timeouts

TENANTS: Final = ("acme", "bolt", "cord")
START: Final = datetime(2030, 1, 1, tzinfo=UTC)
_RETRY: Final = RetryPolicy(3, 0.5, jitter=Jitter.NONE)
_CIRCUIT: Final = CircuitBreakerConfig(consecutive_failures=3, open_for=30.0, open_growth=1.0)
_CALLER: Final[ContextVar[CallRecord]] = ContextVar("caller")


class LoopClock:
    """A clock that shows the virtual time of the running event loop."""

    def nanoseconds(self) -> int:
        """Return the loop's time in nanoseconds."""
        return round(asyncio.get_running_loop().time() * 1e9)

    def utc(self) -> datetime:
        """Return the loop's time as a date and time."""
        return START + timedelta(microseconds=self.nanoseconds() // 1000)


class LoopSleeper:
    """A sleeper that waits in the running event loop's virtual time."""

    async def sleep(self, seconds: float, /) -> None:
        """Wait for this many seconds of virtual time."""
        await asyncio.sleep(seconds)


@attrs.define(eq=False)
class CallRecord:
    """One call as seen by its caller and by its vendor.

    Attributes:
        sent: for each request, its idempotency key and what its answer told the client about its
            outcome.
        effects: the number of requests that the vendor carried out.
        busy: the seconds for which the vendor was at work on it.
        duration: the seconds that it took.
    """

    service: str
    tenant: str
    order: str
    sent: list[tuple[str | None, str]] = attrs.field(factory=list)
    effects: int = 0
    busy: float = 0.0
    duration: float = 0.0
    error: Exception | None = None
    body: bytes = b""

    @property
    def outcome(self) -> str:
        """Return the outcome of the call that follows from what its requests really did."""
        outcomes = {outcome for _, outcome in self.sent}
        if self.error is None:
            return "done" if outcomes else "nothing"
        return "unknown" if outcomes & {"unknown", "done"} else "nothing"


@attrs.define(eq=False)
class FaultyVendor:
    """An HTTP client for all vendors of the run, which fails and loses responses at random."""

    dice: Random
    down: set[str] = attrs.field(factory=set)
    processed: set[str] = attrs.field(factory=set)
    server_errors: Counter[str] = attrs.field(factory=Counter)

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Return a response to a request, or raise an error."""
        del timeouts
        host = urlsplit(url).hostname or ""
        record = _CALLER.get()
        key = request.headers.get("Idempotency-Key")
        fault = self._fault(host)
        number = len(record.sent) + 1
        record.sent.append((key, "unknown"))
        outcome = "unknown"
        try:
            duration = 2.0 if host == "quotes.example" and self.dice.random() < 0.3 else 0.05
            record.busy += duration
            await asyncio.sleep(duration)
            if fault == "refused":
                outcome = "nothing"
                raise ConnectionFailed("refused", may_have_been_processed=False)
            if fault == "lost request":
                raise ConnectionFailed("lost", may_have_been_processed=True)
            if fault == "server error":
                self.server_errors[host] += 1
                return Response(500)
            if fault == "busy":
                outcome = "nothing"
                return Response(429, {"Retry-After": "7"})
            if key is None or key not in self.processed:
                record.effects += 1
                self.processed.add(key or f"{id(record)}-{number}")
            if fault == "lost answer":
                raise ConnectionFailed("cut", may_have_been_processed=True)
            outcome = "done"
            return Response(200, {"Cache-Control": "max-age=60"}, f"answer {number}".encode())
        finally:
            record.sent[number - 1] = (key, outcome)

    def _fault(self, host: str) -> str | None:
        if host in self.down:
            return "server error"
        rates = {
            "pay.example": {"lost answer": 0.3, "lost request": 0.15, "refused": 0.05},
            "erp.example": {"lost answer": 0.2, "refused": 0.03},
            "tax.example": {"busy": 0.1},
            "sms.example": {"refused": 0.5},
            "geo-eu.example": {"server error": 0.3},
        }.get(host, {})
        draw = self.dice.random()
        for fault, rate in rates.items():
            draw -= rate
            if draw < 0:
                return fault
        return None

    async def open(self, request: Request, url: str, timeouts: Timeouts, /) -> Any:
        """Refuse to stream, since the run needs none."""
        raise AssertionError(url)

    async def close(self) -> None:
        """Do nothing, since there is nothing to close."""


def _services() -> list[Service]:
    bare_settings: dict[str, Any] = {"circuit": None, "retry": None}
    return [
        Service(
            "pay",
            base_url="https://pay.example",
            circuit=None,
            retry=attrs.evolve(_RETRY, max_attempts=2),
            idempotency_header="Idempotency-Key",
            idempotency_memory=86_400.0,
        ),
        Service("erp", base_url="https://erp.example", circuit=None, retry=_RETRY),
        Service(
            "maps",
            base_url="https://maps.example",
            limits=RateLimitConfig(1, burst=1),
            **bare_settings,
        ),
        Service(
            "tiles",
            base_url="https://tiles.example",
            limits=RateLimitConfig(2, burst=1),
            **bare_settings,
        ),
        Service(
            "tax",
            base_url="https://tax.example",
            limits=RateLimitConfig(1_000),
            circuit=None,
            retry=_RETRY,
        ),
        Service(
            "stock",
            base_url="https://stock.example",
            bulkhead=BulkheadConfig(2, 50),
            **bare_settings,
        ),
        Service("bank", base_url="https://bank.example", retry=None, circuit=_CIRCUIT),
        Service("post", base_url="https://post.example", retry=None, circuit=_CIRCUIT),
        Service("fax", base_url="https://fax.example", retry=None, circuit=_CIRCUIT),
        Service(
            "quotes",
            base_url="https://quotes.example",
            hedge=HedgeConfig(delay=0.5),
            **bare_settings,
        ),
        Service("rates", base_url="https://rates.example", cache=CachePolicy(), **bare_settings),
        Service(
            "sms",
            base_url="https://sms.example",
            circuit=None,
            retry=_RETRY,
            retry_budget=RetryBudget(ratio=0.1, floor=1),
        ),
        Service(
            "geo",
            regions=[
                Region("eu", "https://geo-eu.example"),
                Region("us", "https://geo-us.example"),
            ],
            circuit=None,
            retry=_RETRY,
        ),
    ]


@attrs.define(eq=False)
class FaultedRun:
    """A simulated run of calls, with the true outcomes.

    Attributes:
        number: the number of calls in all.
        records: the calls that were made.
        changes: changes of circuits, as service, new state and the order whose call changed it.
    """

    number: int
    observer: Any
    seed: int = 7
    records: list[CallRecord] = attrs.field(factory=list)
    changes: list[tuple[str, str, str]] = attrs.field(factory=list)
    dice: Random = attrs.field(init=False)
    vendor: FaultyVendor = attrs.field(init=False)
    manager: AsyncConnectorManager = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.dice = Random(self.seed)
        self.vendor = FaultyVendor(Random(self.seed + 1))

    def run(self) -> None:
        """Run the simulation: make all calls."""
        virtual_loop.run(self._main())

    def of(self, *services: str) -> list[CallRecord]:
        """Return the calls to the given services."""
        return [record for record in self.records if record.service in services]

    async def _main(self) -> None:
        self.manager = AsyncConnectorManager(
            _services(),
            http=self.vendor,
            observers=[self.observer],
            clock=LoopClock(),
            sleeper=LoopSleeper(),
            randomness=ScriptedRandomness(),
        )
        lanes = (
            *(self._pay, self._erp, self._maps, self._tiles, self._tax, self._stock, self._quotes),
            *(self._rates, self._sms, self._geo),
        )
        outages = [self._outage("bank", 5), self._outage("post", 60), self._by_hand()]
        each = (self.number - 100) // len(lanes)
        async with self.manager:
            await asyncio.gather(*(lane(each) for lane in lanes), *outages)
            missing_count = self.number - len(self.records)
            for number in range(missing_count):
                await self._call("fax", f"fax-rest-{number}", Request.get("/pages"))

    async def _call(
        self, service: str, order: str, request: Request, *, key: str | None = None
    ) -> CallRecord:
        tenant = self.dice.choices(TENANTS, (5, 3, 2))[0]
        if service in {"bank", "post", "fax", "rates", "sms"}:
            tenant = TENANTS[0]
        record = CallRecord(service, tenant, order)
        self.records.append(record)
        loop = asyncio.get_running_loop()
        start_time = loop.time()

        async def make_call() -> Response:
            _CALLER.set(record)
            return await self.manager.call(
                service, request, tenant=tenant, idempotency_key=key, request_id=order
            )

        try:
            record.body = (await asyncio.create_task(make_call())).body
        except ConnectorError as error:
            record.error = error
        record.duration = loop.time() - start_time
        return record

    async def _make_calls(self, number: int, one_call: Callable[[int], Awaitable[object]]) -> None:
        """Make the given number of calls, at most 20 at the same time."""
        gate = asyncio.Semaphore(20)

        async def run_limited(index: int) -> None:
            async with gate:
                await one_call(index)

        await asyncio.gather(*(run_limited(index) for index in range(number)))

    async def _pay(self, number: int) -> None:
        value = 0
        while value < number:
            order = f"pay-{value}"
            record = await self._call("pay", order, _charge(order), key=order)
            value += 1
            if record.error is not None:
                # One caller in three makes a new key for the second attempt, which is a mistake.
                key = f"{order}-again" if self.dice.random() < 0.33 else order
                await self._call("pay", order, _charge(order), key=key)
                value += 1
            elif self.dice.random() < 0.05:
                await self._call("pay", order, _charge(order), key=order)
                value += 1

    async def _erp(self, number: int) -> None:
        call_count = 0
        while call_count < number:
            order = f"erp-{call_count}"
            request = Request.post("/invoices", json={"order": order})
            record = await self._call("erp", order, request)
            call_count += 1
            if record.error is not None and self.dice.random() < 0.5:
                await self._call("erp", order, request)
                call_count += 1

    async def _reads(self, service: str, number: int) -> None:
        await self._make_calls(
            number,
            lambda index: self._call(service, f"{service}-{index}", Request.get(f"/x/{index}")),
        )

    async def _maps(self, number: int) -> None:
        await self._reads("maps", number)

    async def _tiles(self, number: int) -> None:
        await self._reads("tiles", number)

    async def _tax(self, number: int) -> None:
        """Make calls with three callers, each of which calls every two seconds."""

        async def caller(first: int) -> None:
            for index in range(first, number, 3):
                await self._call("tax", f"tax-{index}", Request.get(f"/x/{index}"))
                await asyncio.sleep(2)

        await asyncio.gather(*(caller(first) for first in range(3)))

    async def _stock(self, number: int) -> None:
        await self._reads("stock", number)

    async def _quotes(self, number: int) -> None:
        await self._reads("quotes", number)

    async def _geo(self, number: int) -> None:
        await self._reads("geo", number)

    async def _sms(self, number: int) -> None:
        await self._reads("sms", number)

    async def _rates(self, number: int) -> None:
        for index in range(number):
            await self._call("rates", f"rates-{index}", Request.get(f"/rates/{index % 7}"))
            await asyncio.sleep(5)

    async def _outage(self, service: str, after: float) -> None:
        """Make one call every five seconds, while the vendor fails for 70 seconds."""
        loop = asyncio.get_running_loop()
        host = f"{service}.example"
        state = "closed"
        for index in range(40):
            now = loop.time()
            if after <= now < after + 70:
                self.vendor.down.add(host)
            else:
                self.vendor.down.discard(host)
            order = f"{service}-{index}"
            record = await self._call(service, order, Request.get("/balance"))
            circuit = await self.manager.circuit_state(service, tenant=record.tenant)
            new_text = circuit.state.value
            if new_text != state:
                self.changes.append((service, new_text, order))
            elif new_text == "open" and record.sent:
                self.changes.append((service, "reopened", order))
            state = new_text
            await asyncio.sleep(5)

    async def _by_hand(self) -> None:
        tenant = TENANTS[0]
        await self._call("fax", "fax-0", Request.get("/pages"))
        await self.manager.set_circuit("fax", CircuitState.FORCED_OPEN, tenant=tenant)
        for index in range(1, 15):
            await self._call("fax", f"fax-{index}", Request.get("/pages"))
            await asyncio.sleep(3)
        await self.manager.set_circuit("fax", CircuitState.CLOSED, tenant=tenant)


def _charge(order: str) -> Request:
    return Request.post("/charges", json={"order": order})


def true_answers(run: FaultedRun) -> dict[str, Any]:
    """Return the true answers to the operator's questions, from vendors and callers."""
    waiting_counts = {name: _held_seconds(run.of(name)) for name in ("maps", "tiles")}
    by_tenant: defaultdict[str, float] = defaultdict(float)
    for record in run.of("maps", "tiles"):
        by_tenant[record.tenant] += record.duration - record.busy
    retries = Counter[str]()
    for record in run.records:
        if record.service != "quotes":
            retries[record.tenant] += max(0, len(record.sent) - 1)
    changes = sorted(run.changes, key=lambda change: (change[0] != "bank", change[0]))
    openings = [change for change in changes if change[1] == "open"]
    hedged_records = [record for record in run.of("quotes") if len(record.sent) > 1]
    refused_records = [r for r in run.records if isinstance(r.error, CircuitBreakerOpen)]
    return {
        "orders that may have been charged twice": _orders_with_two_effects(run.of("pay")),
        "orders that may have been booked twice": _orders_with_two_effects(run.of("erp")),
        "orders without a known outcome": sorted(_undecided_calls(run.of("pay", "erp"))),
        "calls by service and outcome": dict(
            Counter(f"{record.service} {record.outcome}" for record in run.records)
        ),
        "seconds of waiting by limit": waiting_counts,
        "limit that cost the most": max(waiting_counts, key=lambda name: waiting_counts[name]),
        "tenant that waited longest for limits": max(by_tenant, key=lambda name: by_tenant[name]),
        "seconds of the vendor's pauses at tax": _held_seconds(run.of("tax")),
        "seconds of waiting for the bulkhead of stock": _held_seconds(run.of("stock")),
        "circuit that opened first": openings[0][0],
        "orders whose call opened a circuit": sorted(change[2] for change in openings),
        "orders whose probe opened a circuit again": sorted(
            change[2] for change in changes if change[1] == "reopened"
        ),
        "orders whose probe closed a circuit": sorted(
            change[2] for change in changes if change[1] == "closed"
        ),
        "circuits that a person changed": {"fax": ["forced_open", "closed"]},
        "calls refused by circuit": dict(Counter(record.service for record in refused_records)),
        "tenant with the most retries": retries.most_common(1)[0],
        "orders given up for the retry budget": sorted(
            record.order for record in run.records if isinstance(record.error, RetryBudgetExhausted)
        ),
        "hedges sent and won": [
            len(hedged_records),
            sum(record.body != b"answer 1" for record in hedged_records),
        ],
        "orders answered from stored answers": sorted(
            record.order for record in run.of("pay") if not record.sent and record.error is None
        ),
        "calls answered from the cache": sum(not record.sent for record in run.of("rates")),
        "host with the most server errors": run.vendor.server_errors.most_common(1)[0],
    }


def _held_seconds(records: Iterable[CallRecord]) -> float:
    """Return the seconds during which calls waited while no vendor worked on them."""
    return sum(record.duration - record.busy for record in records)


def _orders_with_two_effects(records: Iterable[CallRecord]) -> list[str]:
    """Return orders that may have two effects: under two keys, or by two calls without a key."""
    effects: defaultdict[str, set[object]] = defaultdict(set)
    for record in records:
        for key, outcome in record.sent:
            if outcome != "nothing":
                effects[record.order].add(key or id(record))
    return sorted(order for order, order_effects in effects.items() if len(order_effects) > 1)


def _undecided_calls(records: Iterable[CallRecord]) -> set[str]:
    records = list(records)
    decided_orders = {record.order for record in records if record.error is None}
    return {record.order for record in records if record.outcome == "unknown"} - decided_orders
