"""Test subjects of central banks for the conformance kit of exchange-rate vendors."""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Response
from moorage.errors import InvalidRequest, RateLimitExceeded, VendorFailed, VendorRejected
from moorage.testing.kits.currencies_conformance import CurrenciesSubject
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.currencies.ecb import EcbSandbox
from moorage.testing.sandboxes.currencies.nbp import NbpSandbox
from moorage.testing.sandboxes.currencies.norges_bank import NorgesBankSandbox
from moorage.vendors.currencies.ecb import Ecb
from moorage.vendors.currencies.nbp import Nbp
from moorage.vendors.currencies.norges_bank import NorgesBank

if TYPE_CHECKING:
    from moorage.contracts.vendor import Vendor
    from moorage.errors import ConnectorError
    from moorage.testing.sandboxes.currencies.base import CurrencySandbox

SUNDAY: Final = date(2022, 2, 27)
FRIDAY: Final = date(2022, 2, 25)
REFUSALS: Final[tuple[tuple[Response, type[ConnectorError]], ...]] = (
    (Response(403, body=b"<html></html>"), VendorRejected),
    (Response(429), RateLimitExceeded),
    (Response(500), VendorFailed),
    (Response(503, body=b"<html></html>"), VendorFailed),
)


def csv(*lines: str) -> Response:
    """Return a CSV response of the given lines."""
    return Response(200, {"Content-Type": "text/csv"}, "\r\n".join([*lines, ""]).encode())


ECB_HEADER: Final = "KEY,FREQ,CURRENCY,CURRENCY_DENOM,EXR_TYPE,EXR_SUFFIX,TIME_PERIOD,OBS_VALUE"
NORGES_BANK_HEADER: Final = (
    "FREQ;Frequency;BASE_CUR;Base Currency;QUOTE_CUR;Quote Currency;TENOR;Tenor;DECIMALS;"
    "CALCULATED;UNIT_MULT;Unit Multiplier;COLLECTION;Collection Indicator;TIME_PERIOD;OBS_VALUE"
)


def ecb_row(currency: str, day: str, price: str) -> str:
    """Return a row of the ECB's CSV response."""
    return f"EXR.D.{currency}.EUR.SP00.A,D,{currency},EUR,SP00,A,{day},{price}"


def norges_bank_row(currency: str, decimals: int, multiplier: int, day: str, price: str) -> str:
    """Return a row of Norges Bank's CSV response."""
    return (
        f"B;Business;{currency};Name;NOK;Norwegian krone;SP;Spot;{decimals};false;{multiplier};"
        f"Units;C;ECB concertation time 14:15 CET;{day};{price}"
    )


def subject_of(vendor: Vendor, sandbox: CurrencySandbox, **fields: Any) -> CurrenciesSubject:
    """Return a test subject of a vendor that is connected to a sandbox."""
    return CurrenciesSubject(
        vendor=vendor,
        sandbox=sandbox,
        base=sandbox.bank_currency,
        first_day=sandbox.first_day,
        value=sandbox.value,
        day_in_force=sandbox.day_in_force,
        close_on=sandbox.close_on,
        **fields,
    )


def ecb(kind: type[Ecb] = Ecb) -> CurrenciesSubject:
    """Return a test subject of the ECB with a new sandbox."""
    return subject_of(
        kind(),
        EcbSandbox(),
        no_rates=(Response(200, {"Content-Type": "text/csv"}), Response(404), csv(ECB_HEADER)),
        refusals=(*REFUSALS, (Response(400), InvalidRequest)),
        answers=(
            (
                SUNDAY,
                csv(
                    ECB_HEADER,
                    ecb_row("E03", "2022-02-25", "99.1"),
                    ecb_row("JPY", "2022-02-24", "128.28"),
                    ecb_row("JPY", "2022-02-25", "129.71"),
                    ecb_row("RUB", "2022-02-25", ""),
                    ecb_row("TRY", "2022-02-25", "NaN"),
                    ecb_row("USD", "2022-02-24", "1.1163"),
                    ecb_row("USD", "2022-02-25", "1.1216"),
                ),
                FRIDAY,
                "EXR.D..EUR.SP00.A",
                {"JPY": Fraction(100, 12971), "USD": Fraction(10000, 11216)},
            ),
        ),
    )


def nbp(kind: type[Nbp] = Nbp) -> CurrenciesSubject:
    """Return a test subject of Narodowy Bank Polski with a new sandbox."""
    table = {
        "table": "A",
        "no": "039/A/NBP/2022",
        "effectiveDate": "2022-02-25",
        "rates": [
            {"currency": "bat (Tajlandia)", "code": "THB", "mid": 0.1283},
            {"currency": "euro", "code": "EUR", "mid": 4.6608},
            {"currency": "rupia indonezyjska", "code": "IDR", "mid": 0.00027339},
        ],
    }
    earlier_table = {
        "table": "A",
        "no": "038/A/NBP/2022",
        "effectiveDate": "2022-02-24",
        "rates": [{"currency": "euro", "code": "EUR", "mid": 4.6}],
    }
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    return subject_of(
        kind(),
        NbpSandbox(),
        no_rates=(
            Response(404, headers, b"404 NotFound - Not Found - Brak danych"),
            Response(404),
            reply([]),
        ),
        refusals=(
            *REFUSALS,
            (Response(400, headers, b"400 BadRequest - Invalid date range"), InvalidRequest),
        ),
        answers=(
            (
                SUNDAY,
                reply([earlier_table, table]),
                FRIDAY,
                "039/A/NBP/2022",
                {
                    "THB": Fraction(1283, 10**4),
                    "EUR": Fraction(46608, 10**4),
                    "IDR": Fraction(27339, 10**8),
                },
            ),
        ),
    )


def norges_bank(kind: type[NorgesBank] = NorgesBank) -> CurrenciesSubject:
    """Return a test subject of Norges Bank with a new sandbox."""
    return subject_of(
        kind(),
        NorgesBankSandbox(),
        no_rates=(Response(404), csv(NORGES_BANK_HEADER)),
        refusals=(*REFUSALS, (Response(400), InvalidRequest)),
        answers=(
            (
                SUNDAY,
                csv(
                    f"\ufeff{NORGES_BANK_HEADER}",
                    norges_bank_row("CHF", 2, 2, "2022-02-25", "1,174.17"),
                    norges_bank_row("EUR", 4, 0, "2022-02-25", "10.975"),
                    norges_bank_row("I44", 2, 0, "2022-02-25", "110.99"),
                    norges_bank_row("JPY", 4, 2, "2022-02-25", "7.7021"),
                    norges_bank_row("PLN", 2, 2, "2022-02-25", "1,200"),
                    norges_bank_row("SEK", 2, 2, "2022-02-25", ""),
                    norges_bank_row("TWI", 2, 0, "2022-02-25", "104.2"),
                    norges_bank_row("USD", 4, 0, "2022-02-24", "9.0333"),
                ),
                FRIDAY,
                "EXR.B..NOK.SP",
                {
                    "CHF": Fraction(117417, 10**4),
                    "EUR": Fraction(10975, 10**3),
                    "JPY": Fraction(77021, 10**6),
                    "PLN": Fraction(12),
                },
            ),
        ),
    )


SUBJECTS: Final = {"ecb": ecb, "nbp": nbp, "norges_bank": norges_bank}
