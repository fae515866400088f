"""A fake dispatcher and a fake vendor that record the arguments of an operation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from moorage import Ref
from moorage.contracts.address import Address
from moorage.contracts.payments import Charge, Money, PaymentQuery
from moorage.contracts.shipping.parcels import Parcel
from moorage.contracts.shipping.rates import RateRequest
from moorage.contracts.storage import PutOptions, Upload
from moorage.runtime.flows import run_now

TIME = 7.5
REF = Ref("some", "main", "thing", {})
MONEY = Money("10", "EUR")
CHARGE = Charge(amount=MONEY, source="tok", reference="INV-1")
HOME = Address(name="Ada", line1="1 Road", city="Ulm", postal_code="89073", country="DE")
RATES = RateRequest(sender=HOME, recipient=HOME, parcels=[Parcel(weight="1")])
START = datetime(2026, 1, 1, tzinfo=UTC)
PAYMENTS_SINCE = PaymentQuery(since=START)
TAGGED = PutOptions(tags={"a": "b"})
STARTED_UPLOAD = Upload(ref=Ref("some", "main", "a", {"upload": "u1"}), key="a", id="u1")

OperationCall = Callable[[Any], Awaitable[Any]]


class VendorReached(Exception):
    """The exception by which the fake vendor shows that it was called."""


async def _return_later(value: Any) -> Any:
    return value


async def _record_command(command: Any, _: float | None) -> Any:
    return command.apply((None,) * len(command.keys), 0)[1]


@attrs.define
class RecordingDispatcher:
    """A dispatcher that records each operation, and runs it with a recording vendor."""

    operation: str = ""
    tenant: str | None = None
    needs: frozenset[str] = frozenset()
    effect: bool | None = None
    country: str | None = None
    currency: str | None = None
    key: str | None = None
    timeout: float | None = None
    ref: Any = None
    at_once: int | None = None
    told: tuple[Any, ...] = ()
    rehearsed: list[str] = attrs.field(factory=list)
    wire: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Create the fake wire, which records the requests that a rehearsal would not send."""
        self.wire = SimpleNamespace(
            stop_if_dry_run=self.rehearsed.append,
            for_cleanup=lambda: self.wire,
            has_open_key=False,
        )

    @property
    def directory(self) -> Any:
        """Return a fake directory with one account."""
        account = SimpleNamespace(vendor=self._vendor)
        return SimpleNamespace(
            accounts={"main": account},
            choose=lambda _: [account],
            find=lambda ref, _: (account, Ref.parse(ref)),
        )

    @property
    def calling(self) -> Any:
        """Return fake tools for a call, which run steps one after another."""
        core = SimpleNamespace(
            run_all=self._run_each, settle=_return_later, execute=_record_command, cipher=None
        )
        return SimpleNamespace(core=core)

    def rehearses(self, _: Any) -> bool:
        """Report that every operation is a rehearsal."""
        return True

    async def _run_each(
        self, steps: list[Callable[[], Awaitable[Any]]], *, at_once: int
    ) -> list[Any]:
        self.at_once = at_once
        return [await step() for step in steps]

    def refusal(self, operation: str, recipients: Any) -> None:
        """Return None, so that no recipient is refused."""

    async def execute(
        self, request: Any, perform: Any, *, key: Any = None, timeout: Any = None
    ) -> Any:
        """Record an operation, and run it with the recording vendor."""
        self._write(request, key, timeout)
        return await perform(self._vendor, self.wire)

    async def execute_at(
        self, ref: Any, request: Any, perform: Any, *, key: Any = None, timeout: Any = None
    ) -> Any:
        """Record an operation's request and reference, and run it at the reference's account."""
        self._write(request, key, timeout)
        self.ref = ref
        return await perform(self._vendor, self.wire, Ref.parse(ref))

    def _write(self, request: Any, key: Any, timeout: Any) -> None:
        self.operation, self.tenant, self.needs = request.operation, request.tenant, request.needs
        self.effect, self.key, self.timeout = request.effect, key, timeout
        self.country, self.currency = request.country, request.currency

    @property
    def _vendor(self) -> Any:
        dispatcher = self

        class Vendor:
            name = "some"

            def __getattr__(self, name: str) -> Any:
                if name in {"limits", "capabilities"}:
                    return {}

                async def verb(wire: Any, *args: Any, **named: Any) -> Any:
                    assert dispatcher.wire is wire
                    dispatcher.told = (name, *args, named)
                    raise VendorReached

                return verb

        return Vendor()


def record_operation(flows: Any, use: OperationCall) -> RecordingDispatcher:
    """Run an operation once, and return the dispatcher that recorded it."""
    dispatcher = RecordingDispatcher()

    async def use_flows_of() -> None:
        result = await use(flows(dispatcher, "acme"))
        if isinstance(result, list):  # each of the many vendors ends differently
            (operation,) = result
            raise operation.error

    with pytest.raises(VendorReached):
        run_now(use_flows_of())
    assert ("acme", TIME) == (dispatcher.tenant, dispatcher.timeout)
    return dispatcher


@attrs.define
class AnsweringDispatcher(RecordingDispatcher):
    """A recording dispatcher whose vendor returns the value that the test sets."""

    vendor: Any = None

    @property
    def _vendor(self) -> Any:
        return self.vendor


def dispatcher_answering(verb: str, answer: Any) -> Any:
    """Return a dispatcher whose vendor always returns this value from the method with this name."""

    async def give_answer(*_: Any, **__: Any) -> Any:
        return answer

    return AnsweringDispatcher(vendor=SimpleNamespace(**{verb: give_answer}))
