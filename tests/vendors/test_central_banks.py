"""Central banks: requests, unreadable responses, the current day, and strict sandboxes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

import pytest

from moorage import (
    ConnectionFailed,
    Hub,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    Request,
    Response,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.routes import Account, Route
from moorage.domain.http.requests import Timeouts
from moorage.testing import VirtualClock, VirtualSleeper
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.testing.sandboxes.currencies.ecb import EcbSandbox
from moorage.testing.sandboxes.currencies.nbp import NbpSandbox
from moorage.testing.sandboxes.currencies.norges_bank import NorgesBankSandbox
from moorage.vendors.currencies._common import central_european_day
from moorage.vendors.currencies.ecb import Ecb
from moorage.vendors.currencies.nbp import Nbp
from moorage.vendors.currencies.norges_bank import NorgesBank
from tests.vendors.currencies_subjects import (
    ECB_HEADER,
    NORGES_BANK_HEADER,
    csv,
    ecb_row,
    norges_bank_row,
)

if TYPE_CHECKING:
    from moorage.contracts.vendor import Vendor
    from moorage.testing.sandboxes.currencies.base import CurrencySandbox

BANKS: Final[dict[str, tuple[Vendor, type[CurrencySandbox]]]] = {
    "ecb": (Ecb(), EcbSandbox),
    "nbp": (Nbp(), NbpSandbox),
    "norges_bank": (NorgesBank(), NorgesBankSandbox),
}
FRIDAY: Final = date(2022, 2, 25)
at_each = pytest.mark.parametrize("name", BANKS)


def hub_of(name: str, sandbox: CurrencySandbox, clock: VirtualClock | None = None) -> Hub:
    """Return a hub with an account at a bank's sandbox."""
    account = Account("bank", BANKS[name][0], settings={"retry": None, "circuit": None})
    if clock is None:
        return Hub([account], http=SandboxHttpClient(sandbox))
    return Hub(
        [account],
        http=SandboxHttpClient(sandbox),
        clock=clock,
        sleeper=VirtualSleeper(clock),
    )


@pytest.mark.parametrize(
    "name, path, query",
    [
        (
            "ecb",
            "/service/data/EXR/D..EUR.SP00.A",
            {
                "startPeriod": "2022-02-15",
                "endPeriod": "2022-02-25",
                "format": "csvdata",
                "detail": "dataonly",
            },
        ),
        ("nbp", "/api/exchangerates/tables/A/2022-02-15/2022-02-25/", {"format": "json"}),
        (
            "norges_bank",
            "/api/data/EXR/B..NOK.SP",
            {
                "startPeriod": "2022-02-15",
                "endPeriod": "2022-02-25",
                "format": "csv",
                "locale": "en",
            },
        ),
    ],
)
def test_one_request_asks_for_the_day_and_the_ten_days_before(
    name: str, path: str, query: dict[str, str]
) -> None:
    """One request without credentials asks for the rates of a day and of the ten days before."""
    sandbox = BANKS[name][1]()
    with hub_of(name, sandbox) as hub:
        hub.currencies().rates(FRIDAY)
    (request,) = sandbox.requests

    assert ("GET", path, query) == (request.method, request.path, dict(request.query))
    assert "authorization" not in request.headers


@at_each
def test_first_day_limits_the_period(name: str) -> None:
    """The period of a request does not begin before the bank's first published rates."""
    sandbox = BANKS[name][1]()
    with hub_of(name, sandbox) as hub:
        result = hub.currencies().rates(sandbox.first_day)
    (request,) = sandbox.requests

    assert sandbox.first_day == result.day
    assert f"{sandbox.first_day}" in f"{request.path}{request.query}"


@at_each
def test_last_published_rates_apply_before_todays_rates(name: str) -> None:
    """Before today's rates are published, the last published rates apply, with their day."""
    now = datetime(2022, 2, 25, 9, tzinfo=UTC)
    clock = VirtualClock(now)
    sandbox = BANKS[name][1](now=lambda: now)
    sandbox.close_on(FRIDAY)
    with hub_of(name, sandbox, clock) as hub:
        for day in (None, FRIDAY):
            assert date(2022, 2, 24) == hub.currencies().rates(day).day
        sandbox.publish(FRIDAY, sandbox.prices)
        assert FRIDAY == hub.currencies().rates().day
        with pytest.raises(InvalidData, match="2022-02-26 has not begun yet at"):
            hub.currencies().rates(date(2022, 2, 26))


@pytest.mark.parametrize(
    "moment, day",
    [
        ("2022-02-25T22:59", "2022-02-25"),
        ("2022-02-25T23:00", "2022-02-26"),
        ("2022-03-26T22:59", "2022-03-26"),
        ("2022-03-26T23:00", "2022-03-27"),
        ("2022-03-27T00:59", "2022-03-27"),
        ("2022-03-27T21:59", "2022-03-27"),
        ("2022-03-27T22:00", "2022-03-28"),
        ("2022-10-29T21:59", "2022-10-29"),
        ("2022-10-29T22:00", "2022-10-30"),
        ("2022-10-30T22:59", "2022-10-30"),
        ("2022-10-30T23:00", "2022-10-31"),
        ("2022-12-31T23:00", "2023-01-01"),
        ("2024-03-31T22:00", "2024-04-01"),
    ],
)
def test_current_day_of_a_bank_is_that_of_central_european_time(moment: str, day: str) -> None:
    """A bank's current day is that of Central European time, including summer time."""
    now = datetime.fromisoformat(moment).replace(tzinfo=UTC)

    assert date.fromisoformat(day) == central_european_day(now)


TABLE: Final[dict[str, Any]] = {
    "table": "A",
    "no": "039/A/NBP/2022",
    "effectiveDate": "2022-02-25",
    "rates": [{"currency": "euro", "code": "EUR", "mid": 4.6608}],
}


@pytest.mark.parametrize(
    "name, answer",
    [
        ("ecb", csv(ECB_HEADER, ecb_row("USD", "2022-02-25", "1,1216"))),
        ("ecb", csv(ECB_HEADER, ecb_row("USD", "2022-02-25", "0"))),
        ("ecb", csv(ECB_HEADER, ecb_row("USD", "2022-02-25", "-1"))),
        ("ecb", csv(ECB_HEADER, ecb_row("USD", "2022-02", "1.1216"))),
        ("ecb", csv(ECB_HEADER, ecb_row("USD", "2022-02-30", "1.1216"))),
        ("ecb", csv(ECB_HEADER, ecb_row("USD", "2022-W08-5", "1.1216"))),
        ("ecb", csv(ECB_HEADER, ecb_row("USD", "2022-02-28", "1.1216"))),
        ("ecb", csv(ECB_HEADER, ecb_row("USD", "2022-02-11", "1.1216"))),
        ("ecb", csv(ECB_HEADER, ecb_row("usd", "2022-02-25", "1.1216"))),
        ("ecb", csv(ECB_HEADER, ecb_row("EUR", "2022-02-25", "1"))),
        ("ecb", csv(ECB_HEADER, *[ecb_row("USD", "2022-02-25", "1.1216")] * 2)),
        ("ecb", csv(ECB_HEADER, "EXR.D.USD.GBP.SP00.A,D,USD,GBP,SP00,A,2022-02-25,1.1")),
        ("ecb", csv(ECB_HEADER, "EXR.M.USD.EUR.SP00.A,M,USD,EUR,SP00,A,2022-02-25,1.1")),
        ("ecb", csv(ECB_HEADER, "EXR.D.USD.EUR.SP00.A,D,USD,EUR,SP00,A,2022-02-25")),
        ("ecb", csv(ECB_HEADER, f"{ecb_row('USD', '2022-02-25', '1.1')},A")),
        ("ecb", csv("KEY,CURRENCY,TIME_PERIOD", "k,USD,2022-02-25")),
        ("nbp", reply({"rates": []})),
        ("nbp", reply([{**TABLE, "table": "B"}])),
        ("nbp", reply([{**TABLE, "no": None}])),
        ("nbp", reply([{**TABLE, "effectiveDate": "25.02.2022"}])),
        ("nbp", reply([{**TABLE, "effectiveDate": "2022-02-26"}])),
        ("nbp", reply([{**TABLE, "effectiveDate": "2022-02-24"}, {**TABLE, "rates": None}])),
        ("nbp", reply([{**TABLE, "rates": [*TABLE["rates"], "USD"]}])),
        ("nbp", reply([{**TABLE, "rates": [{"code": "EUR"}]}])),
        ("nbp", reply([{**TABLE, "rates": [{"mid": 4.6608}]}])),
        ("nbp", reply([{**TABLE, "rates": [{"code": "EUR", "mid": "4,66"}]}])),
        ("nbp", reply([{**TABLE, "rates": [{"code": "EUR", "mid": True}]}])),
        ("nbp", reply([{**TABLE, "rates": [{"code": "PLN", "mid": 1.0}]}])),
        ("norges_bank", csv(NORGES_BANK_HEADER, norges_bank_row("CHF", 4, 0, "2022-02-25", "1,1"))),
        (
            "norges_bank",
            csv(NORGES_BANK_HEADER, norges_bank_row("CHF", 4, 0, "2022-02-25", "9,514")),
        ),
        (
            "norges_bank",
            csv(
                NORGES_BANK_HEADER,
                norges_bank_row("CHF", 4, 0, "2022-02-25", "9,514").replace(
                    ";4;", f";{'4' * 5000};"
                ),
            ),
        ),
        (
            "norges_bank",
            csv(NORGES_BANK_HEADER, norges_bank_row("CHF", 2, 0, "2022-02-25", "1 200,50")),
        ),
        (
            "norges_bank",
            csv(NORGES_BANK_HEADER, norges_bank_row("CHF", 2, 0, "2022-02-25", "11,74.17")),
        ),
        (
            "norges_bank",
            csv(NORGES_BANK_HEADER, norges_bank_row("CHF", 2, -2, "2022-02-25", "1.1")),
        ),
        (
            "norges_bank",
            csv(NORGES_BANK_HEADER, norges_bank_row("CHF", 2, 12, "2022-02-25", "1.1")),
        ),
        (
            "norges_bank",
            csv(
                NORGES_BANK_HEADER,
                norges_bank_row("CHF", 2, 2, "2022-02-25", "1.1").replace("NOK", "SEK"),
            ),
        ),
        ("norges_bank", csv(NORGES_BANK_HEADER.replace("UNIT_MULT", "UNITS"), "a;b")),
    ],
)
def test_unreadable_answer_is_an_error(name: str, answer: Response) -> None:
    """A response with an unexpected number, day, currency or series raises VendorFailed."""
    sandbox = BANKS[name][1]()
    sandbox.fail(answer)
    with hub_of(name, sandbox) as hub, pytest.raises(VendorFailed) as excinfo:
        hub.currencies().rates(FRIDAY)

    assert not excinfo.value.retryable
    assert answer.body == excinfo.value.response.body if excinfo.value.response else False


def test_comma_before_three_digits_separates_thousands_if_decimals_are_fewer() -> None:
    """A comma before three digits separates thousands if the series has fewer decimals."""
    sandbox = NorgesBankSandbox()
    sandbox.fail(csv(NORGES_BANK_HEADER, norges_bank_row("CHF", 2, 2, "2022-02-25", "12,345,678")))
    with hub_of("norges_bank", sandbox) as hub:
        result = hub.currencies().rates(FRIDAY)

    assert Decimal(12_345_678) == result.rates["CHF"].price
    assert 100 == result.rates["CHF"].units


@pytest.mark.parametrize(
    "text, decimals, price",
    [
        ("12,345", 0, "12345"),
        ("12,345", 1, "12345"),
        ("12,345", 2, "12345"),
        ("1,234.5", 4, "1234.5"),
        ("1,234,567.89", 4, "1234567.89"),
    ],
)
def test_comma_before_a_point_separates_thousands(text: str, decimals: int, price: str) -> None:
    """A comma separates thousands before a point, or in a series of at most two decimals."""
    sandbox = NorgesBankSandbox()
    row = norges_bank_row("CHF", decimals, 0, "2022-02-25", text)
    sandbox.fail(csv(NORGES_BANK_HEADER, row))
    with hub_of("norges_bank", sandbox) as hub:
        assert Decimal(price) == hub.currencies().rates(FRIDAY).rates["CHF"].price


@pytest.mark.parametrize("price", ["0.0000273", "0.00000001", "16142.1", "123456.123456789"])
def test_price_of_nbp_keeps_all_digits(price: str) -> None:
    """A JSON number in NBP's response keeps all its digits, even if it is very small."""
    sandbox = NbpSandbox()
    sandbox.publish(FRIDAY, {"IDR": price})
    with hub_of("nbp", sandbox) as hub:
        assert Decimal(price) == hub.currencies().rates(FRIDAY).rates["IDR"].price


def test_refusal_of_nbp_quotes_its_message() -> None:
    """The plain text of an NBP error response is kept; an HTML page is not."""
    sandbox = NbpSandbox()
    text = b"400 BadRequest - Invalid date range"
    sandbox.fail(Response(400, {"Content-Type": "text/plain"}, text), Response(418, body=b"<p>"))
    with hub_of("nbp", sandbox) as hub:
        with pytest.raises(InvalidRequest, match="NBP refused: 400 BadRequest") as excinfo:
            hub.currencies().rates(FRIDAY)
        with pytest.raises(VendorRejected, match="NBP refused: HTTP 418") as other:
            hub.currencies().rates(FRIDAY)

    assert text.decode() == excinfo.value.vendor_message
    assert other.value.vendor_message is None


@at_each
def test_each_magic_day_of_sandbox_causes_its_documented_error(name: str) -> None:
    """Each special day of a sandbox causes the error that is documented for it."""
    with hub_of(name, BANKS[name][1]()) as hub:
        with pytest.raises(VendorFailed):
            hub.currencies().rates(date(2004, 7, 13))
        with pytest.raises(RateLimitExceeded):
            hub.currencies().rates(date(2004, 7, 14))
        with pytest.raises(VendorRejected, match="no rates from 2005-08-10 to 2005-08-20"):
            hub.currencies().rates(date(2005, 8, 20))


ECB_PATH: Final = "/service/data/EXR/D..EUR.SP00.A"
NORGES_BANK_PATH: Final = "/api/data/EXR/B..NOK.SP"
NBP_PATH: Final = "/api/exchangerates/tables"
PERIOD: Final = "startPeriod=2022-02-24&endPeriod=2022-02-25"


@pytest.mark.parametrize(
    "name, target, status",
    [
        ("ecb", f"{ECB_PATH}?{PERIOD}&format=csvdata", 200),
        ("ecb", f"{ECB_PATH.replace('..', '.USD+PLN.')}?{PERIOD}&format=csvdata", 200),
        ("ecb", f"{ECB_PATH}?{PERIOD}", 406),
        ("ecb", f"{ECB_PATH}?{PERIOD}&format=csvdata&detail=some", 400),
        ("ecb", f"{ECB_PATH}?{PERIOD}&format=csvdata&currency=USD", 400),
        ("ecb", f"{ECB_PATH}?{PERIOD}&format=csvdata&format=csvdata", 400),
        ("ecb", f"{ECB_PATH}?startPeriod=2022-2-24&endPeriod=2022-02-25&format=csvdata", 400),
        ("ecb", f"{ECB_PATH}?startPeriod=2022-02-25&endPeriod=2022-02-24&format=csvdata", 400),
        ("ecb", f"{ECB_PATH}?format=csvdata", 400),
        ("ecb", "/service/data/EXR/D..GBP.SP00.A", 404),
        ("nbp", f"{NBP_PATH}/A/2022-02-24/2022-02-25/", 200),
        ("nbp", f"{NBP_PATH}/a/2022-02-25/?format=json", 200),
        ("nbp", f"{NBP_PATH}/A/2022-02-26/?format=json", 404),
        ("nbp", f"{NBP_PATH}/B/2022-02-25/", 404),
        ("nbp", f"{NBP_PATH}/A/2022-02-25/2022-02-24/", 400),
        ("nbp", f"{NBP_PATH}/A/2021-11-24/2022-02-25/", 200),
        ("nbp", f"{NBP_PATH}/A/2021-11-23/2022-02-25/", 400),
        ("nbp", f"{NBP_PATH}/A/2022-02-24/2999-02-25/", 400),
        ("nbp", f"{NBP_PATH}/A/2022-02-24/tomorrow/", 400),
        ("nbp", f"{NBP_PATH}/A/2022-02-25/?format=xml", 400),
        ("nbp", f"{NBP_PATH}/A/2022-02-25/?currency=EUR", 400),
        ("nbp", "/api/cenyzlota", 404),
        ("norges_bank", f"{NORGES_BANK_PATH}?{PERIOD}&format=csv", 200),
        ("norges_bank", f"{NORGES_BANK_PATH}?{PERIOD}&format=csvdata", 406),
        ("norges_bank", f"{NORGES_BANK_PATH}?{PERIOD}&format=csv&locale=de", 400),
        ("norges_bank", f"{NORGES_BANK_PATH}?{PERIOD}&format=csv&currency=USD", 400),
        (
            "norges_bank",
            f"{NORGES_BANK_PATH}?startPeriod=2022-02-26&endPeriod=2022-02-27&format=csv",
            404,
        ),
        ("norges_bank", "/api/data/IR", 404),
    ],
)
def test_sandbox_is_strict(name: str, target: str, status: int) -> None:
    """A bank's sandbox refuses requests that the bank would refuse."""
    sandbox = BANKS[name][1]()
    client = SandboxHttpClient(sandbox)
    url = f"https://{sandbox.hosts[0]}{target}"

    assert status == client.send(Request.get(target), url, Timeouts()).status


@at_each
def test_sandbox_refuses_request_with_credentials(name: str) -> None:
    """A sandbox refuses a request with credentials, because no bank needs any."""
    sandbox = BANKS[name][1]()
    path = {"ecb": ECB_PATH, "nbp": f"{NBP_PATH}/A/2022-02-25/", "norges_bank": NORGES_BANK_PATH}
    request = Request.get(path[name], headers={"Authorization": "Bearer secret"})
    url = f"https://{sandbox.hosts[0]}{path[name]}"

    assert 400 == SandboxHttpClient(sandbox).send(request, url, Timeouts()).status


def test_norges_bank_sandbox_formats_numbers_for_the_locale() -> None:
    """Norges Bank's sandbox groups digits in English, and writes a decimal comma in Norwegian."""
    sandbox = NorgesBankSandbox()
    sandbox.publish(FRIDAY, {"CHF": "1174.10", "EUR": "10.0000"})
    client = SandboxHttpClient(sandbox)
    texts = {}
    for locale in ("en", "no"):
        target = f"{NORGES_BANK_PATH}?{PERIOD}&format=csv&locale={locale}"
        url = f"https://data.norges-bank.no{target}"
        texts[locale] = client.send(Request.get(target), url, Timeouts()).text

    assert ";2022-02-25;1,174.1\n" in texts["en"]
    assert ";2022-02-25;10\n" in texts["en"]
    assert ";2022-02-25;1 174,1\n" in texts["no"]


def test_next_bank_is_asked_for_days_before_the_first_banks_rates() -> None:
    """For days before the first bank's rates, and during its outage, the next bank is asked."""
    polish, european = NbpSandbox(), EcbSandbox()
    hub = Hub(
        [Account("poland", Nbp(), settings={"retry": None}), Account("europe", Ecb())],
        [Route("currencies", ["poland", "europe"])],
        http=SandboxHttpClient(polish, european),
    )
    with hub:
        early_rates = hub.currencies().rates(date(2001, 3, 9))
        assert [] == polish.requests
        polish.fail(ConnectionFailed("No route.", may_have_been_processed=False))
        rates = hub.currencies().rates(FRIDAY)

    assert ("EUR", date(2001, 3, 9)) == (early_rates.base, early_rates.day)
    assert ("EUR", FRIDAY) == (rates.base, rates.day)


def test_table_has_the_official_number() -> None:
    """NBP's rates state the official number of their table as their source."""
    with hub_of("nbp", NbpSandbox()) as hub:
        result = hub.currencies().rates(FRIDAY)

    assert "039/A/NBP/2022" == result.source
    assert "039/A/NBP/2022" == result.raw["no"]
