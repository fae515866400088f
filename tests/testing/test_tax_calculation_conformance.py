"""The conformance kit of tax-calculation vendors finds faulty vendors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage.contracts.tax import TaxCapability
from moorage.contracts.tax_calculation import TaxCalculation
from moorage.domain.values.money import Money
from moorage.errors import InvalidRequest, VendorRejected
from moorage.testing import name_of
from moorage.testing import tax_calculation_conformance as kit
from moorage.vendors.tax.avalara import Avalara
from moorage.vendors.tax.stripe_tax import StripeTax
from moorage.vendors.tax.taxjar import TaxJar
from tests.vendors import tax_calculation_subjects as subjects

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.contracts.ref import Ref
    from moorage.contracts.tax_calculation import TaxableSale, TaxRecord, TaxReversal
    from moorage.contracts.wire import Wire


def as_stripe(kind: Callable[..., StripeTax]) -> kit.Factory:
    """Return a function that makes a test subject of Stripe Tax with another vendor class."""

    def new_subject() -> kit.TaxCalculationSubject:
        subject = subjects.stripe_tax()
        return attrs.evolve(subject, vendor=kind(credentials=subject.secret))

    return new_subject


def as_avalara(kind: Callable[..., Avalara]) -> kit.Factory:
    """Return a function that makes a test subject of Avalara with another vendor class."""

    def new_subject() -> kit.TaxCalculationSubject:
        subject = subjects.avalara()
        vendor = kind(account="2000123456", company="HARBOUR", credentials=subject.secret)
        return attrs.evolve(subject, vendor=vendor)

    return new_subject


def as_taxjar(kind: Callable[..., TaxJar]) -> kit.Factory:
    """Return a function that makes a test subject whose vendor class replaces TaxJar's."""

    def new_subject() -> kit.TaxCalculationSubject:
        subject = subjects.taxjar()
        return attrs.evolve(subject, vendor=kind(credentials=subject.secret))

    return new_subject


@attrs.frozen(kw_only=True)
class LesserVendor(TaxJar):
    """A correct vendor that can only calculate taxes."""

    capabilities = frozenset({TaxCapability.CALCULATION})


def minimal_subject() -> kit.TaxCalculationSubject:
    """Return a test subject whose vendor has few capabilities."""
    return attrs.evolve(as_taxjar(LesserVendor)(), requests=(), answers=())


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_vendor_with_few_capabilities_passes_all_checks(check: kit.Check) -> None:
    """A vendor with few capabilities passes all checks."""
    check(minimal_subject)


class _ChangedCalculationVendor(StripeTax):
    """A base class for faulty vendors that change each calculation."""

    def changed(self, calculation: TaxCalculation) -> TaxCalculation:
        return calculation

    async def calculate(self, wire: Wire, sale: TaxableSale, /) -> TaxCalculation:
        return self.changed(await super().calculate(wire, sale))


class _TaxlessVendor(_ChangedCalculationVendor):
    """A faulty vendor that calculates no tax for a sale's lines."""

    def changed(self, calculation: TaxCalculation) -> TaxCalculation:
        lines = [attrs.evolve(line, tax=line.tax * 0) for line in calculation.lines]
        return attrs.evolve(calculation, lines=tuple(lines))


class _GrossPricesAsNetVendor(_ChangedCalculationVendor):
    """A faulty vendor that reports tax-inclusive prices as net prices."""

    def changed(self, calculation: TaxCalculation) -> TaxCalculation:
        lines = zip(calculation.lines, calculation.sale.lines, strict=True)
        net_lines = [attrs.evolve(line, net=sold.amount) for line, sold in lines]
        return attrs.evolve(calculation, lines=tuple(net_lines))


class _DropsResponseVendor(_ChangedCalculationVendor):
    """A faulty vendor that drops the vendor's response from a calculation."""

    def changed(self, calculation: TaxCalculation) -> TaxCalculation:
        return attrs.evolve(calculation, raw=None)


class _AnyResponseIsZeroTaxVendor(StripeTax):
    """A faulty vendor that reads any response as a tax of zero."""

    async def calculate(self, wire: Wire, sale: TaxableSale, /) -> TaxCalculation:
        try:
            return await super().calculate(wire, sale)
        except Exception:  # noqa: BLE001 - this fault swallows all of them
            return TaxCalculation(
                ref=wire.ref("tax"), sale=sale, lines=(), tax=Money(0, sale.currency)
            )


class _KeylessVendor(StripeTax):
    """A faulty vendor that uses a new key and a new reference for each request."""

    async def record(self, wire: Wire, calculation: TaxCalculation, /, *, key: str) -> TaxRecord:
        mark = wire.new_id()
        sale = attrs.evolve(calculation.sale, reference=f"INV-{mark}")
        new_calculation = attrs.evolve(calculation, sale=sale)
        return await super().record(wire, new_calculation, key=f"{key}{mark}")


class _RecalculatingVendor(StripeTax):
    """A faulty vendor that reports a tax different from the one that it recorded."""

    async def record(self, wire: Wire, calculation: TaxCalculation, /, *, key: str) -> TaxRecord:
        record = await super().record(wire, calculation, key=key)
        return attrs.evolve(record, tax=record.tax * 2)


class _PositiveVendor(StripeTax):
    """A faulty vendor whose reversals have a positive tax."""

    async def reverse(
        self, wire: Wire, ref: Ref, reversal: TaxReversal, /, *, key: str
    ) -> TaxRecord:
        record = await super().reverse(wire, ref, reversal, key=key)
        return attrs.evolve(record, tax=-record.tax)


class _GrossVendor(Avalara):
    """A faulty vendor whose reversals treat amounts with tax as amounts without tax."""

    async def reverse(
        self, wire: Wire, ref: Ref, reversal: TaxReversal, /, *, key: str
    ) -> TaxRecord:
        return await super().reverse(wire, wire.ref(ref.id, currency="USD"), reversal, key=key)


class _ErrorsShowAddressVendor(TaxJar):
    """A faulty vendor whose errors show the buyer's address."""

    async def record(self, wire: Wire, calculation: TaxCalculation, /, *, key: str) -> TaxRecord:
        try:
            return await super().record(wire, calculation, key=key)
        except VendorRejected:
            raise InvalidRequest(str(calculation.sale.ship_to.line1)) from None


class _ShowsAccountNumberVendor(StripeTax):
    """A faulty vendor whose repr shows its account number."""

    def __repr__(self) -> str:
        assert self.credentials is not None
        return self.credentials.reveal()


WRONG: list[tuple[str, kit.Factory, str]] = [
    ("a_calculation_adds_up", as_stripe(_TaxlessVendor), "The taxes were read"),
    (
        "a_calculation_adds_up",
        as_stripe(_DropsResponseVendor),
        "The result lacks the vendor's response",
    ),
    ("prices_may_contain_the_tax", as_stripe(_GrossPricesAsNetVendor), "another amount"),
    ("a_malformed_answer_is_no_tax", as_stripe(_AnyResponseIsZeroTaxVendor), "was no error"),
    ("an_outage_is_no_tax", as_stripe(_AnyResponseIsZeroTaxVendor), "was no error"),
    ("a_refusal_has_its_type", as_stripe(_AnyResponseIsZeroTaxVendor), "was no error"),
    ("a_sale_is_recorded_once", as_stripe(_KeylessVendor), "not|reports have|lost"),
    ("a_sale_is_recorded_once", as_stripe(_RecalculatingVendor), "recorded tax is"),
    ("a_part_is_reversed_once", as_stripe(_PositiveVendor), "The tax is"),
    ("a_whole_sale_is_reversed", as_stripe(_PositiveVendor), "The tax is"),
    ("a_part_with_its_tax_is_reversed", as_stripe(_PositiveVendor), "The tax is"),
    ("a_part_with_its_tax_is_reversed", as_avalara(_GrossVendor), "The net amounts are"),
    ("a_reference_is_recorded_once", as_taxjar(_ErrorsShowAddressVendor), "shows personal data"),
    ("nothing_shows_the_buyer", as_stripe(_ShowsAccountNumberVendor), "or a secret"),
]
PLAIN: dict[str, Any] = {name_of(check): check for check in kit.CHECKS}


@pytest.mark.parametrize("check, wrong, sentence", WRONG)
def test_check_fails_for_a_faulty_vendor(check: str, wrong: kit.Factory, sentence: str) -> None:
    """A tax-calculation vendor with one fault fails the check that looks for this fault."""
    with pytest.raises(AssertionError, match=sentence):
        PLAIN[check](wrong)
