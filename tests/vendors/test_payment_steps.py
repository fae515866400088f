"""An operation that a payment's state forbids raises the same error at every vendor."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING, Any

import pytest

import moorage
from moorage import InvalidData, Money, Ref, VendorRejected
from moorage.contracts.payments import Charge, Customer, MoveState
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient, reply

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from moorage.testing.sandboxes.fixture import SandboxFixture

# Repeats lines that other tests cover individually.
pytestmark = pytest.mark.untraced

VENDORS = ["stripe", "adyen", "paypal", "square", "mollie"]
MODES = pytest.mark.parametrize("mode", ["sync", "async"])
PART = Money("50.00", "EUR")
MUCH = Money("500.00", "EUR")


class SandboxHub:
    """A hub with a vendor's sandbox that completes payments at once, in sync or async mode."""

    def __init__(self, vendor: str, mode: str, folder: Path) -> None:
        self.fixture: SandboxFixture = fixture_of(vendor, folder)
        sandbox: Any = self.fixture.sandbox
        self.sandbox = sandbox
        configuration = {"vendors": {vendor: self.fixture.options}, "payments": {"vendor": vendor}}
        hub: Any = (
            moorage.open(configuration, http=SandboxHttpClient(sandbox))
            if mode == "sync"
            else moorage.aopen(configuration, http=AsyncSandboxHttpClient(sandbox))
        )
        self._face = hub.payments()
        self._number = 0

    async def __call__(self, verb: str, *options: Any, **keywords: Any) -> Any:
        """Run a payment operation, by default with a new key."""
        self._number += 1
        key = keywords.pop("idempotency_key", f"k-{self._number}")
        done = getattr(self._face, verb)(*options, idempotency_key=key, **keywords)
        done = await done if inspect.isawaitable(done) else done
        if hasattr(self.sandbox, "settle"):
            self.sandbox.settle()
        return done

    async def authorized(self) -> Ref:
        """Make an authorised payment."""
        charge = Charge(
            Money("149.90", "EUR"),
            self.fixture.token,
            reference="INV-1",
            customer=Customer(id="ada-1"),
        )
        payment = await self("authorize", charge)
        if payment.next_action is not None:
            payment = await self("complete", payment.ref, self.fixture.buyer(payment))
        ref: Ref = payment.ref
        return ref

    async def captured(self) -> Ref:
        """Make a captured payment."""
        ref = await self.authorized()
        await self("capture", ref)
        return ref

    async def voided(self) -> Ref:
        """Make a voided payment."""
        ref = await self.authorized()
        await self("void", ref)
        return ref

    async def refunded(self) -> Ref:
        """Make a refunded payment."""
        ref = await self.captured()
        await self("refund", ref)
        return ref


Step = tuple[str, str, tuple[Any, ...]]
STEPS: list[Step] = [
    ("captured", "capture", ()),
    ("captured", "capture", (Money("149.90", "EUR"),)),
    ("captured", "void", ()),
    ("captured", "refund", (MUCH,)),
    ("authorized", "refund", ()),
    ("authorized", "refund", (PART,)),
    ("authorized", "capture", (MUCH,)),
    ("voided", "capture", ()),
    ("voided", "refund", ()),
    ("refunded", "refund", ()),
    ("refunded", "refund", (PART,)),
    ("refunded", "void", ()),
]


def run(check: Callable[[], Awaitable[None]]) -> None:
    """Run an asynchronous check in an event loop."""
    asyncio.run(check())  # type: ignore[arg-type]  # what is awaited here is a coroutine


@MODES
@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_step_in_the_wrong_state_is_rejected(
    vendor: str, step: Step, mode: str, tmp_path: Path
) -> None:
    """An operation in a wrong state raises VendorRejected, or is pending at Adyen."""

    async def check() -> None:
        state, verb, value = step
        shop = SandboxHub(vendor, mode, tmp_path)
        ref = await getattr(shop, state)()
        if vendor == "adyen" and (value or step[:2] != ("refunded", "refund")):
            assert MoveState.PENDING is (await shop(verb, ref, *value)).state
            return
        with pytest.raises(moorage.ConnectorError) as excinfo:
            await shop(verb, ref, *value)
        error = excinfo.value
        assert (VendorRejected, vendor, f"payments.{verb}") == (
            *(type(error), error.service, error.operation),
        )

    run(check)


@MODES
@pytest.mark.parametrize("vendor", VENDORS)
def test_voiding_payment_again_changes_nothing(vendor: str, mode: str, tmp_path: Path) -> None:
    """Voiding a payment again changes nothing."""

    async def check() -> None:
        shop = SandboxHub(vendor, mode, tmp_path)
        repeated_move = await shop("void", await shop.voided())
        assert repeated_move.state in {MoveState.SUCCEEDED, MoveState.PENDING}

    run(check)


@MODES
@pytest.mark.parametrize("vendor", VENDORS)
def test_refund_without_an_amount_is_of_the_rest(vendor: str, mode: str, tmp_path: Path) -> None:
    """After a partial refund, a refund without an amount refunds the rest."""

    async def check() -> None:
        shop = SandboxHub(vendor, mode, tmp_path)
        ref = await shop.captured()
        await shop("refund", ref, PART, idempotency_key="part")
        if vendor == "adyen":
            count = len(shop.sandbox.requests)
            with pytest.raises(VendorRejected) as excinfo:
                await shop("refund", ref)
            assert ("Give the amount.", count) == (excinfo.value.remedy, len(shop.sandbox.requests))
            remaining_refund = await shop("refund", ref, Money("99.90", "EUR"))
        else:
            remaining_refund = await shop("refund", ref)
        assert Money("99.90", "EUR") == remaining_refund.amount
        repeated_refund = await shop("refund", ref, PART, idempotency_key="part")
        assert PART == repeated_refund.amount

    run(check)


@MODES
@pytest.mark.parametrize("vendor", VENDORS)
def test_whole_refund_is_repeated_under_its_key(vendor: str, mode: str, tmp_path: Path) -> None:
    """Repeating a full refund returns the same refund at each vendor."""

    async def check() -> None:
        shop = SandboxHub(vendor, mode, tmp_path)
        ref = await shop.captured()
        refund = await shop("refund", ref, idempotency_key="all")
        assert refund == await shop("refund", ref, idempotency_key="all")
        assert Money("149.90", "EUR") == refund.amount

    run(check)


@MODES
@pytest.mark.parametrize("vendor", VENDORS)
def test_reason_may_be_a_text(vendor: str, mode: str, tmp_path: Path) -> None:
    """A refund's reason may be a plain string, but not an empty one, at each vendor."""

    async def check() -> None:
        shop = SandboxHub(vendor, mode, tmp_path)
        ref = await shop.captured()
        count = len(shop.sandbox.requests)
        with pytest.raises(InvalidData) as excinfo:
            await shop("refund", ref, PART, reason="nonsense")
        assert ("reason", count) == (excinfo.value.field, len(shop.sandbox.requests))
        assert PART == (await shop("refund", ref, PART, reason="duplicate")).amount

    run(check)


@pytest.mark.parametrize("code", ["resource_missing", "payment_intent_unexpected_state"])
def test_other_refusals_to_void_are_errors(code: str, tmp_path: Path) -> None:
    """If Stripe refuses a void for another reason, an error is raised."""

    async def check() -> None:
        shop = SandboxHub("stripe", "sync", tmp_path)
        ref = await shop.authorized()
        error = {"type": "invalid_request_error", "code": code, "message": "No."}
        shop.sandbox.fail(reply({"error": error}, 400))
        with pytest.raises(VendorRejected) as excinfo:
            await shop("void", ref)
        assert code == excinfo.value.vendor_code

    run(check)
