"""Checks for every tax calculation vendor.

The most important ones are about money: the parts of a calculation add up, a sale is recorded once
with the calculated tax, whichever response is lost, and a response about another sale is never
accepted.

Each check takes a function that makes a new `TaxCalculationSubject`: the vendor, its sandbox, and
what the kit cannot know. `CHECKS` go through `Hub`, and `ASYNC_CHECKS` through `AsyncHub`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeAlias

import attrs

from moorage.contracts.tax import TaxCapability
from moorage.contracts.tax_calculation import ReversedAmount, TaxExemption, TaxReversal
from moorage.domain.http.requests import Response
from moorage.domain.values.money import Money
from moorage.errors import (
    ConnectionFailed,
    ConnectorError,
    IdempotencyConflict,
    InvalidData,
    VendorFailed,
    VendorRejected,
)
from moorage.testing.kits._contract_harness import (
    require_unsupported,
    through_async_hub,
    through_hub,
)
from moorage.testing.kits._sent_requests import require_no_repeats
from moorage.testing.kits._tax_calculation_harness import (
    ACCOUNT,
    Harness,
    TaxCalculationSubject,
    calls_by_capability,
    sale_of,
)
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.base import Lost

__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "Check", "Factory", "TaxCalculationSubject"]

_JSON: Final = {"Content-Type": "application/json"}
_MALFORMED: Final = (b"{}", b"[]", b"null", b"", b"<html></html>", b'{"tax": 1, "id": 1}')
_AMOUNTS: Final = tuple(
    Money.from_minor(minor, currency)
    for minor, currency in (
        *((1, "USD"), (99_999_999, "USD"), (123_456_789_012_345_678, "USD")),
        *((1_500, "JPY"), (1_234_560, "KWD"), (1_234_567, "KWD")),
    )
)
_MOST_STEPS: Final = 3
"""The number of requests, at most, of which each may lose its response."""

Factory: TypeAlias = Callable[[], TaxCalculationSubject]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]
Open: TypeAlias = Callable[[], Harness]


async def _has_succeeded(doing: Awaitable[Any]) -> bool:
    try:
        await doing
    except ConnectorError:
        return False
    return True


async def a_calculation_adds_up(make: Open) -> None:
    """Each line has its tax, the parts add up to the totals, and nothing is recorded."""
    async with make() as harness:
        calculation = await harness.calculate()
        parts = [*calculation.lines, *filter(None, [calculation.shipping])]
        taxes = {part.id: part.tax for part in parts}
        require(taxes == dict(harness.subject.taxes), f"The taxes were read as {taxes}.")
        lines = [(line.id, line.amount) for line in harness.sale.lines]
        nets = [(part.id, part.net) for part in calculation.lines]
        require(nets == lines, f"The net amounts were read as {nets}.")
        zero = Money(0, harness.sale.currency)
        require(calculation.rounding == zero, "The lines do not add up to the tax.")
        total = sum((part.gross for part in parts), zero)
        require(calculation.total == total, f"The total is {calculation.total}, not {total}.")
        require(calculation.sale == harness.sale, "The calculation belongs to another sale.")
        require(calculation.raw, "The result lacks the vendor's response.")
        for part in parts:
            tax = sum((item.tax for item in part.jurisdictions), zero)
            require(tax == part.tax, f"The jurisdictions of {part.id!r} have a tax of {tax}.")
            rates = [item.rate for item in part.jurisdictions if item.tax.minor]
            require(None not in rates, "The rate of a tax is lost.")
        require(not harness.subject.recorded(), "A calculation was recorded.")


async def prices_may_contain_the_tax(make: Open) -> None:
    """If prices include tax, the tax does not change the total."""
    async with make() as harness:
        if TaxCapability.INCLUSIVE_PRICES not in harness.capabilities:
            return
        calculation = await harness.calculate(inclusive=True)
        require(calculation.total == harness.sale.amount, f"The total is {calculation.total}.")
        require(calculation.tax.minor > 0, "The prices contain no tax.")
        for part, line in zip(calculation.lines, harness.sale.lines, strict=True):
            require(part.gross == line.amount, "A line has another amount with its tax.")


async def an_exempt_buyer_pays_no_tax(make: Open) -> None:
    """A buyer who is exempt, or pays the tax to the tax office, is charged no tax."""
    async with make() as harness:
        changes: list[dict[str, Any]] = []
        if TaxCapability.EXEMPTIONS in harness.capabilities:
            changes += [{"exemption": exemption} for exemption in TaxExemption]
        if TaxCapability.REVERSE_CHARGE in harness.capabilities:
            changes.append({"reverse_charge": True})
        for change in changes:
            calculation = await harness.calculate(**change)
            require(calculation.tax.minor == 0, f"{change} has a tax of {calculation.tax}.")
            require(calculation.total == harness.sale.amount, f"{change} has another total.")


async def amounts_are_exact(make: Open) -> None:
    """Amounts of any size and currency are calculated exactly, or refused before sending."""
    async with make() as harness:
        for amount in _AMOUNTS:
            count = len(harness.sandbox.requests)
            try:
                calculation = await harness.calculate(sale_of(harness, amount))
            except InvalidData:
                was_sent = len(harness.sandbox.requests) > count
                require(not was_sent, f"{amount} was refused only after it was sent.")
                continue
            require(calculation.net == amount, f"{amount} became {calculation.net}.")
            require(calculation.tax.currency == amount.currency, f"{amount} has another currency.")


async def a_sale_is_recorded_once(make: Open) -> None:
    """Whichever response is lost, a sale is recorded once with its tax; a repeat returns it."""
    for step in range(-1, _MOST_STEPS):
        async with make() as harness:
            if TaxCapability.RECORDS not in harness.capabilities:
                return
            calculation = await harness.calculate()
            harness.sandbox.fail(*([] if step < 0 else [*([None] * step), Lost()]))
            has_succeeded = await _has_succeeded(harness.record(calculation))
            harness.sandbox.forget_faults()
            expected = {harness.sale.reference: calculation.tax}
            is_told_rightly = not has_succeeded or harness.subject.recorded() == expected
            require(is_told_rightly, "A sale is reported as recorded, but is not.")
            record = await harness.record(calculation)
            require(record.tax == calculation.tax, f"The recorded tax is {record.tax}.")
            require(record.reference == harness.sale.reference, "The reference is lost.")
            require(record.reverses is None, "A sale is reported as a reversal.")
            recorded = harness.subject.recorded()
            require(recorded == expected, f"The reports have {recorded}.")


async def an_unsent_record_is_sent_again(make: Open) -> None:
    """If a sale's request never arrived, a repeat with the same idempotency key records it."""
    async with make() as harness:
        if TaxCapability.RECORDS not in harness.capabilities:
            return
        calculation = await harness.calculate()
        harness.sandbox.fail(ConnectionFailed("The vendor is not reached."))
        await _has_succeeded(harness.record(calculation))
        harness.sandbox.forget_faults()
        record = await harness.record(calculation)
        require(record.tax == calculation.tax, f"The recorded tax is {record.tax}.")
        require(len(harness.subject.recorded()) == 1, "The sale is not recorded once.")


async def a_reference_is_recorded_once(make: Open) -> None:
    """A second sale with the same reference is refused, even under another idempotency key."""
    async with make() as harness:
        if TaxCapability.RECORDS not in harness.capabilities:
            return
        calculation = await harness.calculate()
        await harness.record(calculation)
        other_calculation = await harness.calculate(lines=harness.sale.lines[:1])
        await harness.refused(
            VendorRejected | IdempotencyConflict,
            harness.record(other_calculation),
            "A used key with another sale",
        )
        first, second, *other_lines = harness.sale.lines
        dollar = Money(1, harness.sale.currency)
        whole_amount = first.amount + second.amount
        same_total = [
            attrs.evolve(first, amount=whole_amount - dollar),
            attrs.evolve(second, amount=dollar),
            *other_lines,
        ]
        for number, lines in enumerate((harness.sale.lines[:1], same_total)):
            refused_record = harness.record(
                await harness.calculate(lines=lines), f"another key {number}"
            )
            await harness.refused(
                VendorRejected | IdempotencyConflict, refused_record, "A reference in use"
            )
        recorded = harness.subject.recorded()
        require(
            recorded == {harness.sale.reference: calculation.tax}, f"The reports have {recorded}."
        )


async def a_part_is_reversed_once(make: Open) -> None:
    """Whichever response is lost, a part of a sale is reversed once, with negative tax."""
    for step in range(-1, _MOST_STEPS):
        async with make() as harness:
            if TaxCapability.REVERSALS not in harness.capabilities:
                return
            calculation = await harness.calculate()
            record = await harness.record(calculation)
            line, shipping = calculation.lines[-1], calculation.shipping
            reversal = TaxReversal(
                reference="CN-17",
                day=harness.sale.day,
                lines={line.id: ReversedAmount(amount=line.net, tax=line.tax)},
                shipping=None
                if shipping is None
                else ReversedAmount(amount=shipping.net, tax=shipping.tax),
            )
            tax = sum((part.tax for part in reversal.parts), Money(0, harness.sale.currency))
            harness.sandbox.fail(*([] if step < 0 else [*([None] * step), Lost()]))
            has_succeeded = await _has_succeeded(harness.reverse(record.ref, reversal))
            harness.sandbox.forget_faults()
            is_told_rightly = not has_succeeded or "CN-17" in harness.subject.recorded()
            require(is_told_rightly, "A reversal is reported, but is not recorded.")
            reversed_record = await harness.reverse(record.ref, reversal)
            require(reversed_record.tax == -tax, f"The tax is {reversed_record.tax}.")
            require(reversed_record.reverses == record.ref, "The reversal does not name its sale.")
            recorded = dict(harness.subject.recorded())
            expected = {harness.sale.reference: calculation.tax, "CN-17": -tax}
            require(recorded == expected, f"The reports have {recorded}.")


async def a_whole_sale_is_reversed(make: Open) -> None:
    """A reversal that lists no parts of a sale reverses the sale's whole tax."""
    async with make() as harness:
        if TaxCapability.REVERSALS not in harness.capabilities:
            return
        calculation = await harness.calculate()
        record = await harness.record(calculation)
        reversal = TaxReversal(reference="CN-17", day=harness.sale.day)
        reversed_record = await harness.reverse(record.ref, reversal)
        require(reversed_record.tax == -calculation.tax, f"The tax is {reversed_record.tax}.")
        require(reversed_record.reference == "CN-17", "The reference is lost.")
        total = sum(harness.subject.recorded().values(), Money(0, harness.sale.currency))
        require(total.minor == 0, f"The reports have a tax of {total}.")


async def a_part_with_its_tax_is_reversed(make: Open) -> None:
    """If prices include tax, a part of a sale is reversed by its amount with tax."""
    async with make() as harness:
        if not {TaxCapability.REVERSALS, TaxCapability.INCLUSIVE_PRICES} <= harness.capabilities:
            return
        calculation = await harness.calculate(inclusive=True)
        record = await harness.record(calculation)
        require(record.tax == calculation.tax, f"The recorded tax is {record.tax}.")
        line = calculation.lines[-1]
        part = ReversedAmount(amount=line.gross, tax=line.tax)
        reversal = TaxReversal(reference="CN-17", day=harness.sale.day, lines={line.id: part})
        reversed_record = await harness.reverse(record.ref, reversal)
        require(reversed_record.tax == -line.tax, f"The tax is {reversed_record.tax}.")
        if harness.subject.reversed_nets is not None:
            nets = dict(harness.subject.reversed_nets())
            require(nets == {"CN-17": -line.net}, f"The net amounts are {nets}.")
    async with make() as harness:
        calculation = await harness.calculate(inclusive=True)
        record = await harness.record(calculation)
        whole_reversal = TaxReversal(reference="CN-18", day=harness.sale.day)
        reversed_record = await harness.reverse(record.ref, whole_reversal)
        require(reversed_record.tax == -calculation.tax, f"The tax is {reversed_record.tax}.")
        if harness.subject.reversed_nets is not None:
            nets = dict(harness.subject.reversed_nets())
            require(nets == {"CN-18": -calculation.net}, f"The net amounts are {nets}.")


async def a_reversal_fits_its_sale(make: Open) -> None:
    """A reversal of an unknown line or in another currency is refused, and records nothing."""
    async with make() as harness:
        if TaxCapability.REVERSALS not in harness.capabilities:
            return
        record = await harness.record(await harness.calculate())
        currency = "EUR" if harness.sale.currency != "EUR" else "USD"
        for id_, code in (
            ("no such line", harness.sale.currency),
            (harness.sale.lines[0].id, currency),
        ):
            part = ReversedAmount(amount=Money(1, code), tax=Money(0, code))
            reversal = TaxReversal(reference="CN-17", day=harness.sale.day, lines={id_: part})
            error = await harness.refused(InvalidData, harness.reverse(record.ref, reversal), id_)
            require(error.field == "lines", "The error does not name the lines.")
        require(
            list(harness.subject.recorded()) == [harness.sale.reference],
            "A refused reversal reversed a sale.",
        )


async def a_malformed_answer_is_no_tax(make: Open) -> None:
    """A response without content, or about another sale, is an error and never a tax of zero."""
    for body in _MALFORMED:
        async with make() as harness:
            harness.sandbox.fail(Response(200, _JSON, body))
            await harness.refused(VendorFailed, harness.calculate(), f"{body!r}")
    async with make() as harness:
        other_answers = harness.subject.others
    for count, answer in enumerate(other_answers):
        async with make() as harness:
            harness.sandbox.fail(answer)
            await harness.refused(
                VendorFailed, harness.calculate(), f"Answer {count} about another sale"
            )


async def an_outage_is_no_tax(make: Open) -> None:
    """A failing vendor raises a retryable error."""
    for status in (500, 503):
        async with make() as harness:
            harness.sandbox.fail(Response(status, body=b"<html>Nothing is here.</html>"))
            error = await harness.refused(VendorFailed, harness.calculate(), f"HTTP {status}")
            require(error.retryable, "An outage must be retryable.")
            require(error.service == ACCOUNT, "An outage names no account.")


async def unsupported_features_are_refused(make: Open) -> None:
    """An unsupported feature is refused before sending."""
    async with make() as harness:
        await require_unsupported(harness, calls_by_capability(harness))


async def a_refusal_has_its_type(make: Open) -> None:
    """Each error response raises the right error, with the vendor's code and response."""
    async with make() as harness:
        for count, (answer, kind, code) in enumerate(harness.subject.refusals):
            harness.sandbox.fail(answer)
            error = await harness.refused(kind, harness.calculate(), f"Refusal {count}")
            kept_answer = getattr(error, "response", None)
            is_kept = kept_answer is not None and kept_answer.body == answer.body
            require(is_kept, "The answer is lost.")
            kept_code = getattr(error, "vendor_code", None)
            require(kept_code == code, f"Refusal {count} has the code {kept_code!r}.")


async def each_request_is_sent_once(make: Open) -> None:
    """No operation repeats a request itself, because the hub decides on retries."""
    async with make() as harness:
        calculation = await harness.calculate()
        if TaxCapability.RECORDS in harness.capabilities:
            await harness.record(calculation)
        require_no_repeats("record", harness.sandbox.requests)


async def a_request_is_in_the_vendors_words(make: Open) -> None:
    """Each field of a sale is sent under the vendor's name for it."""
    async with make() as harness:
        for sale, expected in harness.subject.requests:
            await harness.calculate(sale)
            sent_names = harness.subject.sent(harness.sandbox.requests[-1])
            for name, value in expected.items():
                require(
                    sent_names.get(name) == value, f"{name} was sent as {sent_names.get(name)!r}."
                )


async def an_answer_is_read_in_full(make: Open) -> None:
    """Each field of a vendor's response is parsed, and its codes become the contract's values."""
    async with make() as harness:
        for answer, sale, expected_fields in harness.subject.answers:
            harness.sandbox.fail(answer)
            calculation = await harness.calculate(sale)
            for name, expected in expected_fields.items():
                value = getattr(calculation, name)
                require(value == expected, f"The answer was read with {value!r} as {name}.")


async def nothing_shows_the_buyer(make: Open) -> None:
    """No repr of a calculation or account shows the buyer or a secret."""
    async with make() as harness:
        calculation = await harness.calculate()
        harness.check_hides(f"{calculation!r}{harness.hub.account(ACCOUNT)!r}", "A repr")
        await harness.require_hidden([], [harness.subject.secret])


_ALL_CHECKS: Final = (
    a_calculation_adds_up,
    prices_may_contain_the_tax,
    an_exempt_buyer_pays_no_tax,
    amounts_are_exact,
    a_sale_is_recorded_once,
    an_unsent_record_is_sent_again,
    a_reference_is_recorded_once,
    a_part_is_reversed_once,
    a_whole_sale_is_reversed,
    a_part_with_its_tax_is_reversed,
    a_reversal_fits_its_sale,
    a_malformed_answer_is_no_tax,
    an_outage_is_no_tax,
    unsupported_features_are_refused,
    a_refusal_has_its_type,
    each_request_is_sent_once,
    a_request_is_in_the_vendors_words,
    an_answer_is_read_in_full,
    nothing_shows_the_buyer,
)


CHECKS: Final[tuple[Check, ...]] = through_hub(_ALL_CHECKS, Harness.with_sync_hub)
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = through_async_hub(_ALL_CHECKS, Harness.with_async_hub)
