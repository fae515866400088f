"""Checks of the times in the results of a payment vendor."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.contracts.payments import Money, PaymentsCapability
from moorage.testing.kits._payments_harness import FIRST, Harness
from moorage.testing.kits._sent_requests import nested_values
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from moorage.contracts.payments import Refund

Open: TypeAlias = Callable[[], Harness]

_LARGEST_OFFSET: Final = timedelta(hours=14)
_MILLISECONDS: Final = 10**11
"""A number from which on a timestamp of this century is in milliseconds."""


async def times_are_those_of_the_vendor(make: Open) -> None:
    """Each time in a result has a zone, and is a time that the vendor's response states."""
    async with make() as harness:
        payment = await harness.taken("k-1")
        part = Money("50.00", "EUR")
        refund: Refund = await harness("refund", payment.ref, part, idempotency_key="r-1")
        harness.subject.happen()
        charged_payment = await harness("charge", harness.order(), idempotency_key="k-2")
        results: list[Any] = [charged_payment, refund]
        # Without a look-up, the fields of a settled payment come from several responses.
        if PaymentsCapability.LOOK_UP in harness.capabilities:
            results.append(payment)
        if PaymentsCapability.LOOK_UP_REFUND in harness.capabilities:
            results.append(await harness("get_refund", refund.ref))
        if harness.subject.dispute is not None:
            harness.subject.dispute(payment.ref.id)
        if harness.subject.pay_out is not None:
            harness.subject.pay_out()
        for capability, operation in (
            (PaymentsCapability.LIST, "payments"),
            (PaymentsCapability.DISPUTES, "disputes"),
            (PaymentsCapability.PAYOUTS, "payouts"),
        ):
            if capability in harness.capabilities:
                results += (await harness(operation, account=FIRST)).items
        for result in results:
            check_times(result)


def check_times(result: Any) -> None:
    """Check the times of a result against the vendor's response.

    The time at which a state was current may come from the headers of the response.
    """
    result_class: type[Any] = type(result)  # pyright: ignore[reportUnknownVariableType]  # a result of any class
    kind = result_class.__name__.lower()
    stated = list(_times_in(result.raw))
    for field in attrs.fields(result_class):
        time = getattr(result, field.name)
        if isinstance(time, datetime):
            require(time.tzinfo is not None, f"The {field.name} of a {kind} has no zone.")
            is_stated = field.name == "as_of" or any(_is_same(time, other) for other in stated)
            require(is_stated, f"The vendor does not state the {field.name} of a {kind}: {time}.")


def _is_same(time: datetime, stated: datetime) -> bool:
    """Return whether a time may be the stated one, whose zone only the vendor's manual may name."""
    if stated.tzinfo is not None:
        return abs(time - stated) < timedelta(seconds=1)
    return abs(time - stated.replace(tzinfo=UTC)) <= _LARGEST_OFFSET


def _times_in(raw: Any) -> Iterable[datetime]:
    """Yield the times in a response: ISO 8601 texts and Unix timestamps."""
    for _, value in nested_values("", raw):
        if isinstance(value, str) and not value.isdigit():
            try:
                yield datetime.fromisoformat(value)
            except ValueError:
                continue
        elif not isinstance(value, bool) and isinstance(value, (int, float, str)):
            number = float(value)
            seconds = number / 1000 if number >= _MILLISECONDS else number
            if 0 < seconds < _MILLISECONDS:
                yield datetime.fromtimestamp(seconds, UTC)


TIMES: Final = (times_are_those_of_the_vendor,)
