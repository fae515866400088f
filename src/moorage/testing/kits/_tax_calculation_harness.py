"""A tax calculation vendor under test, and a hub with an account there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.contracts.ref import Ref
from moorage.contracts.tax import TaxCapability
from moorage.contracts.tax_calculation import TaxCalculation, TaxExemption, TaxLine, TaxReversal
from moorage.domain.values.money import Money
from moorage.testing.kits._recorded_harness import RecordedHarness

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from moorage.contracts.tax_calculation import TaxableSale, TaxRecord
    from moorage.contracts.vendor import Vendor
    from moorage.domain.http.requests import Response
    from moorage.errors import ConnectorError
    from moorage.testing.sandboxes.base import Sandbox

ACCOUNT: Final = "taxes"
KEY: Final = "INV-2041/tax"


@attrs.frozen(kw_only=True)
class TaxCalculationSubject:
    """A tax calculation vendor to be checked, with its sandbox.

    Attributes:
        vendor: an account at the sandbox.
        sandbox: the sandbox.
        sale: a sale of today with at least two lines and a shipping, without any optional feature.
        taxes: the tax of each line of the sale by its id, and the tax of the shipping under the id
            "".
        recorded: returns what the sandbox's reports have: the reference of each sale and reversal,
            with the recorded tax, which is negative for a reversal.
        reversed_nets: returns what the reversals in these reports took back without tax, as
            negative amounts by their references; None if the reports do not show this.
        refusals: error responses to a calculation, each with the error that it must raise, and the
            vendor's code that the error must keep.
        others: successful responses to a calculation that are not about the sale, such as ones
            with another amount or currency.
        answers: successful responses about a sale, each with the sale, and the fields of
            `TaxCalculation` that must be read from it.
        requests: sales, each with the names and values that the request must have.
        sent: returns the names and values of a request, flat.
        secret: a text that neither the account's repr nor an error may show.
    """

    vendor: Vendor
    sandbox: Sandbox
    sale: TaxableSale
    taxes: Mapping[str, Money]
    recorded: Callable[[], Mapping[str, Money]]
    reversed_nets: Callable[[], Mapping[str, Money]] | None = None
    refusals: tuple[tuple[Response, type[ConnectorError], str | None], ...] = ()
    others: tuple[Response, ...] = ()
    answers: tuple[tuple[Response, TaxableSale, Mapping[str, Any]], ...] = ()
    requests: tuple[tuple[TaxableSale, Mapping[str, Any]], ...] = ()
    sent: Callable[[Any], Mapping[str, Any]]
    secret: str = attrs.field(repr=False)


class Harness(RecordedHarness[TaxCalculationSubject]):
    """A tax calculation vendor under test, with its hub and sandbox."""

    contract = "tax"
    account_name = ACCOUNT

    @property
    def sale(self) -> TaxableSale:
        """The subject's usual sale."""
        return self.subject.sale

    async def calculate(self, sale: TaxableSale | None = None, **changes: Any) -> TaxCalculation:
        """Calculate the tax of a sale; without one, of the usual sale with these changes."""
        changed_sale = attrs.evolve(sale or self.sale, **changes)
        result: TaxCalculation = await self("calculate", changed_sale)
        return result

    async def record(self, calculation: TaxCalculation, key: str = KEY) -> TaxRecord:
        """Record a sale."""
        result: TaxRecord = await self("record", calculation, idempotency_key=key)
        return result

    async def reverse(self, ref: Ref, reversal: TaxReversal, key: str = "CN-17/tax") -> TaxRecord:
        """Reverse a sale."""
        result: TaxRecord = await self("reverse", ref, reversal, idempotency_key=key)
        return result

    def hidden(self) -> tuple[str, ...]:
        address = self.sale.ship_to
        texts = (self.subject.secret, address.name, address.line1)
        return tuple(text for text in texts if text)


def calls_by_capability(harness: Harness) -> Iterator[tuple[str, Callable[[], Awaitable[Any]]]]:
    """Yield, for each capability, a call that requires it."""
    ref = Ref(harness.subject.vendor.name, ACCOUNT, "1")
    calculation = TaxCalculation(
        ref=ref, sale=harness.sale, lines=(), tax=Money(0, harness.sale.currency)
    )
    reversal = TaxReversal(reference="CN-17", day=harness.sale.day)
    yield TaxCapability.INCLUSIVE_PRICES, lambda: harness.calculate(inclusive=True)
    yield TaxCapability.BUYER_VAT_NUMBERS, lambda: harness.calculate(vat_number="DE136695976")
    yield TaxCapability.EXEMPTIONS, lambda: harness.calculate(exemption=TaxExemption.RESALE)
    yield TaxCapability.REVERSE_CHARGE, lambda: harness.calculate(reverse_charge=True)
    yield TaxCapability.RECORDS, lambda: harness.record(calculation)
    yield TaxCapability.REVERSALS, lambda: harness.reverse(ref, reversal)


def sale_of(harness: Harness, amount: Money) -> TaxableSale:
    """Return a sale of one line with this amount."""
    return attrs.evolve(harness.sale, lines=[TaxLine(id="1", amount=amount)], shipping=None)
