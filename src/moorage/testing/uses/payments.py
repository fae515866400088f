"""Example calls to payment vendors."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.payments import Charge, Customer, Money, PaymentsCapability, ThreeDs
from moorage.contracts.ref import Ref

if TYPE_CHECKING:
    from moorage.testing.uses.asking import At, Use


def order(at: At, **fields: Any) -> Charge:
    """Return a charge to pay."""
    usual: dict[str, Any] = {
        "amount": Money("149.90", "EUR"),
        "source": at.trade.token,
        "reference": "INV-1",
        "customer": Customer(id="ada-1"),
    }
    return Charge(**{**usual, **fields})


async def pay(at: At, **fields: Any) -> Any:
    """A payment with a wish."""
    return (await at("charge", order(at, **fields), idempotency_key="1")).ref


async def intent(at: At) -> Any:
    """Return the data with which the buyer's browser continues."""
    return (await at("create_intent", order(at), idempotency_key="1")).ref


async def authorized(at: At) -> Ref:
    """Money that is there to be taken."""
    if not at.able:
        return Ref.parse(f"{at.vendor}:{at.vendor}:1~currency=EUR")
    payment = await at("authorize", order(at), idempotency_key="1")
    if payment.next_action is not None:
        returned = at.trade.buyer(payment)
        payment = await at("complete", payment.ref, returned, idempotency_key="2")
    ref: Ref = payment.ref
    return ref


async def complete(at: At) -> Any:
    """A payment that a buyer had to do something for."""
    if not at.able:
        return await at("complete", await authorized(at), idempotency_key="2")
    asks = at.trade.words.get("asks", at.trade.token)
    charge = order(at, source=asks, return_url="https://erp.example/back")
    payment = await at("authorize", charge, idempotency_key="1")
    returned = at.trade.buyer(payment)
    payment = await at("complete", payment.ref, returned, idempotency_key="2")
    return payment.state.name in {"AUTHORIZED", "CAPTURED"}


async def captures(at: At) -> Any:
    """A part of the money, and then another."""
    ref = await authorized(at)
    for key in ("3", "4"):
        await at("capture", ref, Money("10.00", "EUR"), idempotency_key=key, final=False)
    return True


async def payment(at: At) -> Any:
    """Return the state of a payment."""
    ref = await authorized(at)
    return (await at("get", ref)).ref.id == ref.id


async def refund(at: At) -> Any:
    """Return the state of a refund."""
    ref = await authorized(at)
    if at.able:
        await at("capture", ref, idempotency_key="5")
        ref = await at.ref("refund", ref, Money("5.00", "EUR"), idempotency_key="6")
    return (await at("get_refund", ref)).ref.id == ref.id


async def listed(at: At, operation: str) -> Any:
    """Return a list from the vendor."""
    return (await at(operation)) is not None


async def taken(at: At) -> Any:
    """Money that is set aside, taken, and given back in part."""
    ref = await authorized(at)
    await at("capture", ref, idempotency_key="3")
    return (await at("refund", ref, Money("5.00", "EUR"), idempotency_key="4")).ref


async def voided(at: At) -> Any:
    """Money that is set aside, and let go."""
    return await at("void", await authorized(at), idempotency_key="3")


BASIC: Final[dict[str, Use]] = {"charge": pay, "authorize, capture, refund": taken, "void": voided}

ABLE: Final[dict[str, Use]] = {
    PaymentsCapability.INTENT: intent,
    PaymentsCapability.COMPLETE: complete,
    PaymentsCapability.MULTIPLE_CAPTURES: captures,
    PaymentsCapability.LOOK_UP: payment,
    PaymentsCapability.LOOK_UP_REFUND: refund,
    PaymentsCapability.LIST: partial(listed, operation="payments"),
    PaymentsCapability.DISPUTES: partial(listed, operation="disputes"),
    PaymentsCapability.PAYOUTS: partial(listed, operation="payouts"),
    PaymentsCapability.OFF_SESSION: partial(pay, off_session=True),
    PaymentsCapability.STORE_METHOD: partial(pay, store_method=True),
    PaymentsCapability.STATEMENT_DESCRIPTOR: partial(pay, statement_descriptor="ACME"),
    PaymentsCapability.THREE_DS: partial(pay, three_ds=ThreeDs.ALWAYS),
}
