"""Checks that every vendor of exchange rates must pass.

Each check takes a function that makes a new `CurrenciesSubject`: the vendor, its sandbox, and the
facts that the kit cannot know. `CHECKS` go through `Hub`, and `ASYNC_CHECKS` through `AsyncHub`.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs

from moorage.contracts.currencies import KIND, CurrenciesCapability, ExchangeRates
from moorage.contracts.routes import Account
from moorage.contracts.value_codec import pack, unpack
from moorage.domain.http.requests import HttpMethod, Response
from moorage.domain.values.money import EXPONENTS, Money
from moorage.errors import InvalidData, UnsupportedByVendor, VendorFailed, VendorRejected
from moorage.hub.hub import AsyncHub, Hub
from moorage.testing.kits._contract_harness import ContractHarness, through_async_hub, through_hub
from moorage.testing.kits.checks import require
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient
from moorage.wiring.installed_vendors import names_with_capabilities

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.vendor import Vendor
    from moorage.errors import ConnectorError
    from moorage.testing.sandboxes.base import Sandbox

__all__ = ["ASYNC_CHECKS", "CHECKS", "AsyncCheck", "Check", "CurrenciesSubject", "Factory"]

_ACCOUNT: Final = "bank"
_WORKDAYS: Final = (date(2019, 3, 5), date(2019, 3, 6), date(2019, 3, 8))
_SUNDAY: Final = date(2019, 3, 10)
_HOLIDAY: Final = date(2019, 3, 11)
_LONG_HOLIDAYS: Final = tuple(date(2019, 3, day) for day in range(20, 30))
_LOOK_BACK: Final = 10
_MALFORMED: Final = (b"{}", b"[]", b"null", b"[{}]", b"<html></html>", b"a,b\n1,2\n", b"a;b\n1;2")


@attrs.frozen(kw_only=True)
class CurrenciesSubject:
    """A vendor of exchange rates to be checked, with its sandbox.

    The sandbox has a table with different prices for each day from Monday to Friday of March 2019.

    Attributes:
        vendor: an account at the sandbox.
        sandbox: the sandbox.
        base: currency of the vendor.
        first_day: day of the vendor's first rates.
        value: returns the exact price of one unit of a currency on a day, in the base, by the
            sandbox's own numbers.
        day_in_force: returns the last day up to a day that has a table at the sandbox.
        close_on: removes the sandbox's tables of some days.
        no_rates: responses by which the vendor says that it has no rates.
        refusals: error responses of the vendor, each with the error that it must raise.
        answers: days, each with a response of the vendor, the day and the source that its
            result must have, and the exact value of one unit of currencies in the base.
    """

    vendor: Vendor
    sandbox: Sandbox
    base: str
    first_day: date
    value: Callable[[str, date], Fraction]
    day_in_force: Callable[[date], date]
    close_on: Callable[..., None]
    no_rates: tuple[Response, ...]
    refusals: tuple[tuple[Response, type[ConnectorError]], ...]
    answers: tuple[tuple[date, Response, date, str, Mapping[str, Fraction]], ...] = ()


Factory: TypeAlias = Callable[[], CurrenciesSubject]
Check: TypeAlias = Callable[[Factory], None]
AsyncCheck: TypeAlias = Callable[[Factory], Coroutine[Any, Any, None]]


class _Harness(ContractHarness[CurrenciesSubject]):
    contract = KIND

    def hidden(self) -> tuple[str, ...]:
        return ()

    @property
    def has_history(self) -> bool:
        return CurrenciesCapability.HISTORY in self.capabilities

    async def rates(self, *days: date) -> ExchangeRates:
        result: ExchangeRates = await self("rates", *days)
        return result

    def require_exact(self, result: ExchangeRates, day: date) -> None:
        """Check that the result is exactly the sandbox's rates of the day."""
        require(result.base == self.subject.base, "The rates have another base currency.")
        require(result.day == day, f"The rates are said to be of {result.day}, not of {day}.")
        require(len(result.rates) > 1, "Rates are missing.")
        for currency in result.rates:
            ratio = result.ratio(currency, result.base)
            require(
                ratio == self.subject.value(currency, day),
                f"The rate of {currency} is not exactly the published one of the day.",
            )
            require(
                result.ratio(result.base, currency) == 1 / ratio,
                f"The rate of {currency} is not exact in the other direction.",
            )


_Open: TypeAlias = Callable[[], _Harness]


async def a_day_has_exactly_its_rates(make: _Open) -> None:
    """A day's rates are exactly the published rates, in the right direction."""
    async with make() as harness:
        for day in _WORKDAYS if harness.has_history else ():
            result = await harness.rates(day)
            harness.require_exact(result, day)
            require(result.source, "The result lacks the vendor's name or the number of the table.")
            require(result.raw, "The result lacks the vendor's entries.")


async def the_latest_rates_are_the_default(make: _Open) -> None:
    """If the caller passes no day, a GET request fetches the latest rates."""
    async with make() as harness:
        result = await harness.rates()
        harness.require_exact(result, harness.subject.day_in_force(date.max))
        methods = {request.method for request in harness.sandbox.requests}
        require(methods == {HttpMethod.GET.value}, "Rates are not requested by GET.")


async def a_holiday_has_the_rates_before(make: _Open) -> None:
    """On weekends and holidays, the rates of the last earlier day apply, and that day is stated."""
    async with make() as harness:
        harness.subject.close_on(_HOLIDAY)
        for day in (_SUNDAY, _HOLIDAY) if harness.has_history else ():
            harness.require_exact(await harness.rates(day), _WORKDAYS[-1])


async def rates_are_searched_ten_days_back(make: _Open) -> None:
    """If a day has no rates, the rates of up to ten days earlier apply, or an error is raised."""
    async with make() as harness:
        if not harness.has_history:
            return
        last_day = _LONG_HOLIDAYS[-1]
        day_before = last_day - timedelta(days=_LOOK_BACK)
        harness.subject.close_on(*_LONG_HOLIDAYS)
        harness.require_exact(await harness.rates(last_day), day_before)
        harness.subject.close_on(day_before)
        await harness.refused(
            VendorRejected, harness.rates(last_day), "A day long after the last rates"
        )


async def a_future_day_is_refused(make: _Open) -> None:
    """A future day is refused before anything is sent."""
    async with make() as harness:
        if not harness.has_history:
            return
        for days in (2, 400):
            future_day = datetime.now(UTC).date() + timedelta(days=days)
            error = await harness.refused(InvalidData, harness.rates(future_day), "A future day")
            require(error.field == "day", "The error of a future day does not name the day.")
        require(harness.sandbox.requests == [], "A future day was sent to the vendor.")


async def a_day_before_the_first_is_refused(make: _Open) -> None:
    """The vendor's first day has rates; earlier days are refused before sending."""
    async with make() as harness:
        if not harness.has_history:
            return
        first_day = harness.subject.first_day
        early_day = first_day - timedelta(days=1)
        error = await harness.refused(
            InvalidData, harness.rates(early_day), "A day before the first"
        )
        require(error.field == "day", "The error of an early day does not name the day.")
        require(str(first_day) in str(error), "The error of an early day names no first day.")
        require(
            harness.sandbox.requests == [],
            "A day before the vendor's first day was sent to the vendor.",
        )
        harness.require_exact(await harness.rates(first_day), first_day)


async def history_is_refused_without_the_capability(make: _Open) -> None:
    """A vendor without past rates refuses a given day; the error names vendors that have them."""
    async with make() as harness:
        if harness.has_history:
            return
        error = await harness.refused(
            UnsupportedByVendor, harness.rates(_WORKDAYS[0]), "An earlier day"
        )
        capability = CurrenciesCapability.HISTORY
        require(
            error.supported_by == names_with_capabilities(KIND, frozenset({capability})),
            "The error does not name the vendors that have past rates.",
        )
        require(harness.sandbox.requests == [], "An earlier day was sent to a vendor without any.")


async def no_rates_are_an_error(make: _Open) -> None:
    """A response without rates is an error, never an empty table."""
    async with make() as harness:
        for number, answer in enumerate(harness.subject.no_rates):
            harness.sandbox.fail(answer)
            await harness.refused(VendorRejected, harness.rates(), f"Answer {number} without rates")


async def a_malformed_answer_is_no_success(make: _Open) -> None:
    """A successful response that cannot be read is an error."""
    async with make() as harness:
        for body in _MALFORMED:
            for kind in ("application/json", "text/csv"):
                harness.sandbox.fail(Response(200, {"Content-Type": kind}, body))
                await harness.refused(VendorFailed | VendorRejected, harness.rates(), f"{body!r}")


async def a_refusal_has_its_type(make: _Open) -> None:
    """Each error response raises the right error, with the vendor's response."""
    async with make() as harness:
        for number, (answer, kind) in enumerate(harness.subject.refusals):
            harness.sandbox.fail(answer)
            error = await harness.refused(kind, harness.rates(), f"Refusal {number}")
            require(error.service == _ACCOUNT, "A refusal names no account.")
            kept_answer = getattr(error, "response", None)
            require(
                kept_answer is not None and kept_answer.body == answer.body,
                "The answer of a refusal is lost.",
            )


async def answers_are_read_exactly(make: _Open) -> None:
    """Each example response is parsed to exactly its day, source and rates."""
    async with make() as harness:
        for day, answer, result_day, source, values in harness.subject.answers:
            harness.sandbox.fail(answer)
            result = await harness.rates(day)
            require(result.day == result_day, f"The rates are said to be of {result.day}.")
            require(result.source == source, f"The source is {result.source!r}, not {source!r}.")
            require(result.rates.keys() == values.keys(), "Other currencies were read.")
            for currency, value in values.items():
                require(
                    result.ratio(currency, result.base) == value,
                    f"The rate of {currency} was not read exactly.",
                )


async def amounts_are_converted_exactly(make: _Open) -> None:
    """Amounts are converted with exact rates in each direction, and rounded once."""
    async with make() as harness:
        result = await harness.rates()
        currencies = [code for code in (result.base, *result.rates) if code in EXPONENTS]
        for currency in currencies:
            for target_currency in currencies:
                amount = Money.from_minor(123_457, currency)
                converted = result.convert(amount, target_currency, rounding=ROUND_HALF_UP)
                exact = Fraction(amount.amount) * result.ratio(currency, target_currency)
                smallest = Fraction(1, 10 ** EXPONENTS[target_currency])
                require(
                    abs(Fraction(converted.amount) - exact) <= smallest / 2,
                    f"An amount in {currency} is not converted into {target_currency} exactly.",
                )
        prices = [quotation.price for quotation in result.quotations]
        require(all(type(price) is Decimal for price in prices), "A price is not a Decimal.")


async def rates_can_be_stored(make: _Open) -> None:
    """Rates can be stored and restored without change."""
    async with make() as harness:
        result = await harness.rates()
        require(unpack(pack(result)) == result, "Stored rates are not the same afterwards.")


_ALL_CHECKS: Final = (
    a_day_has_exactly_its_rates,
    the_latest_rates_are_the_default,
    a_holiday_has_the_rates_before,
    rates_are_searched_ten_days_back,
    a_future_day_is_refused,
    a_day_before_the_first_is_refused,
    history_is_refused_without_the_capability,
    no_rates_are_an_error,
    a_malformed_answer_is_no_success,
    a_refusal_has_its_type,
    answers_are_read_exactly,
    amounts_are_converted_exactly,
    rates_can_be_stored,
)


def _accounts(subject: CurrenciesSubject) -> list[Account]:
    return [Account(_ACCOUNT, subject.vendor, settings={"retry": None, "circuit": None})]


def _sync_harness(factory: Factory) -> _Harness:
    subject = factory()
    return _Harness(subject, Hub(_accounts(subject), http=SandboxHttpClient(subject.sandbox)))


def _async_harness(factory: Factory) -> _Harness:
    subject = factory()
    return _Harness(
        subject, AsyncHub(_accounts(subject), http=AsyncSandboxHttpClient(subject.sandbox))
    )


CHECKS: Final[tuple[Check, ...]] = through_hub(_ALL_CHECKS, _sync_harness)
ASYNC_CHECKS: Final[tuple[AsyncCheck, ...]] = through_async_hub(_ALL_CHECKS, _async_harness)
