"""The conformance kit of exchange-rate vendors passes correct ones, and finds faulty ones."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest

from moorage.contracts.currencies import ExchangeRate, ExchangeRates
from moorage.domain.values.money import EXPONENTS, Money
from moorage.errors import AuthenticationFailed, ConnectorError, InvalidData
from moorage.testing import currencies_conformance as kit
from moorage.testing import name_of
from moorage.vendors.currencies.ecb import Ecb
from moorage.vendors.currencies.nbp import Nbp
from moorage.vendors.currencies.norges_bank import NorgesBank
from tests.vendors import currencies_subjects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.vendor_sdk import Request, Response, Service, Wire


@attrs.frozen(kw_only=True)
class LesserVendor(Ecb):
    """A correct vendor that offers only the latest rates."""

    capabilities = frozenset()


def as_ecb(kind: type[Ecb]) -> kit.Factory:
    """Return a function that makes a test subject of the ECB, but with the given vendor class."""
    return lambda: currencies_subjects.ecb(kind)


def as_nbp(kind: type[Nbp]) -> kit.Factory:
    """Return a function that makes a test subject of NBP, but with the given vendor class."""
    return lambda: currencies_subjects.nbp(kind)


def as_norges_bank(kind: type[NorgesBank]) -> kit.Factory:
    """Return a maker of test subjects of Norges Bank, but with the given vendor class."""
    return lambda: currencies_subjects.norges_bank(kind)


def minimal_subject() -> kit.CurrenciesSubject:
    """Return a test subject whose vendor has no historical rates."""
    return attrs.evolve(currencies_subjects.ecb(LesserVendor), answers=())


@pytest.mark.parametrize("check", kit.CHECKS, ids=name_of)
def test_vendor_that_has_only_latest_rates_passes_all_checks(check: kit.Check) -> None:
    """A vendor that has only the latest rates passes all checks."""
    check(minimal_subject)


@pytest.mark.parametrize("check", kit.ASYNC_CHECKS, ids=name_of)
def test_vendor_that_has_only_latest_rates_passes_all_checks_asynchronously(
    check: kit.AsyncCheck,
) -> None:
    """A vendor that has only the latest rates passes all checks asynchronously, too."""
    asyncio.run(check(minimal_subject))


def with_quotations(
    table: ExchangeRates, change: Callable[[ExchangeRate], ExchangeRate]
) -> ExchangeRates:
    """Return a copy of a table of rates, with each quotation changed by a function."""
    return attrs.evolve(table, quotations=[change(item) for item in table.quotations])


class _InvertedVendor(Ecb):
    """A faulty vendor that reads its prices in the wrong direction."""

    def read_tables(self, response: Response) -> Any:
        for table in super().read_tables(response):
            yield with_quotations(
                table,
                lambda item: attrs.evolve(
                    item, currency=item.price_currency, price_currency=item.currency
                ),
            )


class _IgnoresUnitsVendor(NorgesBank):
    """A faulty vendor that ignores that some prices are for several units of a currency."""

    def read_tables(self, response: Response) -> Any:
        for table in super().read_tables(response):
            yield with_quotations(table, lambda item: attrs.evolve(item, units=1))


class _DividesAsFloatsVendor(NorgesBank):
    """A faulty vendor that divides prices as floats."""

    def read_tables(self, response: Response) -> Any:
        for table in super().read_tables(response):
            yield with_quotations(
                table,
                lambda item: attrs.evolve(
                    item, units=1, price=Decimal(float(item.price) / item.units)
                ),
            )


class _InvertsAndRoundsVendor(Ecb):
    """A faulty vendor that inverts its prices and rounds the result."""

    def read_tables(self, response: Response) -> Any:
        for table in super().read_tables(response):
            yield with_quotations(
                table,
                lambda item: ExchangeRate(
                    currency=item.price_currency,
                    price=1 / item.price,
                    price_currency=item.currency,
                ),
            )


class _RoundedVendor(Nbp):
    """A faulty vendor that rounds rates to four decimals."""

    def read_tables(self, response: Response) -> Any:
        for table in super().read_tables(response):
            yield with_quotations(
                table,
                lambda item: attrs.evolve(item, price=max(round(item.price, 4), Decimal("0.0001"))),
            )


class _RequestedDayAsLabelVendor(Ecb):
    """A faulty vendor that labels its rates with the requested day."""

    async def rates(self, wire: Wire, day: date | None, /) -> ExchangeRates:
        result = await super().rates(wire, day)
        return result if day is None else attrs.evolve(result, day=day)


class _LatestRatesVendor(Ecb):
    """A faulty vendor that always returns the latest rates."""

    async def rates(self, wire: Wire, day: date | None, /) -> ExchangeRates:
        return await super().rates(wire, None)


class _LatestRatesRelabelledVendor(Ecb):
    """A faulty vendor that returns the latest rates labelled with the requested day."""

    async def rates(self, wire: Wire, day: date | None, /) -> ExchangeRates:
        result = await super().rates(wire, None)
        return result if day is None else attrs.evolve(result, day=day)


class _OldestVendor(Ecb):
    """A faulty vendor that returns a response's first table of rates instead of the last one."""

    def read_tables(self, response: Response) -> Any:
        tables = sorted(super().read_tables(response), key=lambda table: table.day)
        return tables[:1]


class _SearchesTooFarBackVendor(Ecb):
    """A faulty vendor that looks for earlier rates too far back, by months."""

    async def rates(self, wire: Wire, day: date | None, /) -> ExchangeRates:
        for weeks in range(12):
            try:
                earlier_day = None if day is None else day - timedelta(weeks=weeks)
                return await super().rates(wire, earlier_day)
            except InvalidData:
                raise
            except ConnectorError:
                if day is None:
                    raise
        raise AssertionError(day)


class _SearchesTooBrieflyVendor(Ecb):
    """A faulty vendor that looks for earlier rates less than ten days back."""

    def read_tables(self, response: Response) -> Any:
        tables = list(super().read_tables(response))
        return [table for table in tables if table.day != date(2019, 3, 19)]


class _AnswersFutureDayVendor(Ecb):
    """A faulty vendor that returns the latest rates for a future day."""

    async def rates(self, wire: Wire, day: date | None, /) -> ExchangeRates:
        is_future = day is not None and day > wire.now().date()
        return await super().rates(wire, None if is_future else day)


class _AsksBeforeFirstRatesVendor(Ecb):
    """A faulty vendor that sends requests for days before its first published rates."""

    first_day = date(1990, 1, 1)


class _EmptyVendor(Ecb):
    """A faulty vendor that returns an empty table without rates."""

    async def rates(self, wire: Wire, day: date | None, /) -> ExchangeRates:
        try:
            return await super().rates(wire, day)
        except InvalidData:
            raise
        except ConnectorError:
            return ExchangeRates(
                base="EUR", day=day or wire.now().date(), quotations=[], source="EXR", raw="x"
            )


class _OnlyOneRateVendor(Ecb):
    """A faulty vendor that returns only one rate."""

    def read_tables(self, response: Response) -> Any:
        for table in super().read_tables(response):
            yield attrs.evolve(table, quotations=table.quotations[:1])


class _DropsResponseVendor(Ecb):
    """A faulty vendor that drops the original entries of the vendor's response."""

    async def rates(self, wire: Wire, day: date | None, /) -> ExchangeRates:
        return attrs.evolve(await super().rates(wire, day), raw=None)


class _DropsTableNumberVendor(Nbp):
    """A faulty vendor that does not keep the number of a table of rates."""

    def read_tables(self, response: Response) -> Any:
        for table in super().read_tables(response):
            yield attrs.evolve(table, source="")


class _WrongTableNumberVendor(Nbp):
    """A faulty vendor that returns a wrong number for a table of rates."""

    def read_tables(self, response: Response) -> Any:
        for table in super().read_tables(response):
            yield attrs.evolve(table, source="A")


class _WrongBaseCurrencyVendor(Ecb):
    """A faulty vendor that states a wrong base currency."""

    async def rates(self, wire: Wire, day: date | None, /) -> ExchangeRates:
        rate = ExchangeRate(currency="USD", price=Decimal(1), price_currency="PLN")
        return ExchangeRates(
            base="USD", day=day or wire.now().date(), quotations=[rate], source="EXR", raw="x"
        )


class _ClassifyingVendor(Ecb):
    """A faulty vendor that classifies error responses by its own method, not the standard one."""

    def error_of(self, request: Request, response: Response) -> ConnectorError | None:
        raise NotImplementedError

    def services(self) -> Mapping[str, Service]:
        return {
            name: attrs.evolve(service, classify=self.error_of)
            for name, service in super().services().items()
        }


class _BlamesCredentialsVendor(_ClassifyingVendor):
    """A faulty vendor whose errors blame credentials, which the vendor does not use."""

    def error_of(self, request: Request, response: Response) -> ConnectorError | None:
        is_refused = 400 <= response.status < 500
        return AuthenticationFailed("No.", response=response) if is_refused else None


class _ErrorsWithoutResponseVendor(_ClassifyingVendor):
    """A faulty vendor whose errors do not contain the response."""

    def error_of(self, request: Request, response: Response) -> ConnectorError | None:
        judge = Ecb.services(self)[""].classify
        error = None if judge is None else judge(request, response)
        return None if error is None else type(error)("Refused.")


class _MisreadsThousandsVendor(NorgesBank):
    """A faulty vendor that reads a thousands separator as a decimal point."""

    def read_tables(self, response: Response) -> Any:
        body = response.body.replace(b"1,174.17", b"1.17417").replace(b"1,200", b"1.200")
        return super().read_tables(response.evolve(body=body))


class _UnstorableVendor(Ecb):
    """A faulty vendor whose result cannot be serialised for storage."""

    async def rates(self, wire: Wire, day: date | None, /) -> ExchangeRates:
        return attrs.evolve(await super().rates(wire, day), raw=object())


@attrs.frozen(kw_only=True)
class _RoundedRates(ExchangeRates):
    """Faulty rates that are rounded before an amount is multiplied by them."""

    def convert(self, money: Money, into: str, *, rounding: str) -> Money:
        rate = self.decimal(money.currency, into, decimals=4, rounding=rounding)
        minor = Fraction(money.amount) * Fraction(rate) * 10 ** EXPONENTS[into]
        return Money.from_minor(round(minor), into)


class _RoundsTwiceVendor(Ecb):
    """A faulty vendor whose rates are rounded twice."""

    async def rates(self, wire: Wire, day: date | None, /) -> ExchangeRates:
        table = await super().rates(wire, day)
        return _RoundedRates(
            base=table.base,
            day=table.day,
            quotations=table.quotations,
            source=table.source,
            raw=table.raw,
        )


EXACT: Final = "a_day_has_exactly_its_rates"
WRONG: Final = [
    (EXACT, as_ecb(_InvertedVendor), "not exactly the published"),
    (EXACT, as_norges_bank(_IgnoresUnitsVendor), "not exactly the published"),
    (EXACT, as_norges_bank(_DividesAsFloatsVendor), "not exactly the published"),
    (EXACT, as_ecb(_InvertsAndRoundsVendor), "not exactly the published"),
    (EXACT, as_nbp(_RoundedVendor), "not exactly the published"),
    (EXACT, as_ecb(_LatestRatesVendor), "said to be of"),
    (EXACT, as_ecb(_LatestRatesRelabelledVendor), "not exactly the published"),
    (EXACT, as_ecb(_OldestVendor), "said to be of"),
    (EXACT, as_ecb(_OnlyOneRateVendor), "Rates are missing"),
    (EXACT, as_ecb(_WrongBaseCurrencyVendor), "another base"),
    (EXACT, as_ecb(_DropsResponseVendor), "The result lacks the vendor's entries"),
    (
        EXACT,
        as_nbp(_DropsTableNumberVendor),
        "The result lacks the vendor's name or the number of the table",
    ),
    ("the_latest_rates_are_the_default", as_ecb(_OldestVendor), "said to be of"),
    ("a_holiday_has_the_rates_before", as_ecb(_RequestedDayAsLabelVendor), "said to be of"),
    ("a_holiday_has_the_rates_before", as_ecb(_LatestRatesVendor), "said to be of"),
    ("rates_are_searched_ten_days_back", as_ecb(_SearchesTooFarBackVendor), "was no error"),
    ("rates_are_searched_ten_days_back", as_ecb(_SearchesTooBrieflyVendor), "has no rates"),
    ("a_future_day_is_refused", as_ecb(_AnswersFutureDayVendor), "was no error"),
    (
        "a_day_before_the_first_is_refused",
        as_ecb(_AsksBeforeFirstRatesVendor),
        "A day before the first",
    ),
    ("no_rates_are_an_error", as_ecb(_EmptyVendor), "was no error"),
    ("a_malformed_answer_is_no_success", as_ecb(_EmptyVendor), "was no error"),
    ("a_refusal_has_its_type", as_ecb(_EmptyVendor), "was no error"),
    ("a_refusal_has_its_type", as_ecb(_BlamesCredentialsVendor), "raised AuthenticationFailed"),
    ("a_refusal_has_its_type", as_ecb(_ErrorsWithoutResponseVendor), "answer of a refusal is lost"),
    ("answers_are_read_exactly", as_ecb(_InvertedVendor), "not read exactly"),
    ("answers_are_read_exactly", as_norges_bank(_MisreadsThousandsVendor), "not read exactly"),
    ("answers_are_read_exactly", as_ecb(_RequestedDayAsLabelVendor), "said to be of"),
    ("answers_are_read_exactly", as_nbp(_WrongTableNumberVendor), "The source is"),
    ("answers_are_read_exactly", as_ecb(_OnlyOneRateVendor), "Other currencies"),
    ("amounts_are_converted_exactly", as_ecb(_RoundsTwiceVendor), "not converted into"),
    ("rates_can_be_stored", as_ecb(_UnstorableVendor), "value to store"),
]
PLAIN: Final = {name_of(check): check for check in kit.CHECKS}


@pytest.mark.parametrize("check, wrong, sentence", WRONG)
def test_check_fails_for_a_faulty_vendor(check: str, wrong: kit.Factory, sentence: str) -> None:
    """An exchange-rate vendor with one fault fails the check that looks for this fault."""
    with pytest.raises((AssertionError, ConnectorError), match=sentence):
        PLAIN[check](wrong)
