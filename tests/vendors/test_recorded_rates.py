"""Compares requests to central banks, and their responses, with other projects' recordings."""

from __future__ import annotations

import json
import re
from datetime import date
from fractions import Fraction
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest

from moorage import Account, Hub, Response
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.currencies.ecb import EcbSandbox
from moorage.testing.sandboxes.currencies.nbp import NbpSandbox
from moorage.testing.sandboxes.currencies.norges_bank import NorgesBankSandbox
from moorage.vendors.currencies.ecb import Ecb
from moorage.vendors.currencies.nbp import Nbp
from moorage.vendors.currencies.norges_bank import NorgesBank
from tools.descriptions import exchanges_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.vendor import Vendor
    from moorage.testing.sandboxes.currencies.base import CurrencySandbox


@attrs.frozen
class RecordedAnswer:
    """A response of a central bank that another project recorded.

    Attributes:
        vendor, sandbox: the bank, and the sandbox that gives the response again.
        answer: the response.
        day: the day of the rates.
        rates: what one unit of the bank's currency costs in others.
    """

    vendor: Vendor
    sandbox: CurrencySandbox
    answer: bytes
    day: date
    rates: Mapping[str, Fraction]


RECORDINGS: Final = {
    "ecb": RecordedAnswer(
        Ecb(),
        EcbSandbox(),
        b"KEY,FREQ,CURRENCY,CURRENCY_DENOM,EXR_TYPE,EXR_SUFFIX,TIME_PERIOD,OBS_VALUE\n"
        b"EXR.D.USD.EUR.SP00.A,D,USD,EUR,SP00,A,2026-09-24,1.1367\n"
        b"EXR.D.JPY.EUR.SP00.A,D,JPY,EUR,SP00,A,2026-09-24,180.57\n",
        date(2026, 9, 24),
        {"USD": Fraction("1.1367"), "JPY": Fraction("180.57")},
    ),
    "nbp": RecordedAnswer(
        Nbp(),
        NbpSandbox(),
        b'[{"table":"A","no":"197/A/NBP/2025","effectiveDate":"2025-10-10",'
        b'"rates":[{"currency":"bat (Tajlandia)","code":"THB","mid":0.1125}]}]',
        date(2025, 10, 10),
        {"THB": 1 / Fraction("0.1125")},
    ),
    "norges_bank": RecordedAnswer(
        NorgesBank(),
        NorgesBankSandbox(),
        b"FREQ;Frequency;BASE_CUR;Base Currency;QUOTE_CUR;Quote Currency;TENOR;Tenor;DECIMALS;"
        b"CALCULATED;UNIT_MULT;Unit Multiplier;COLLECTION;Collection Indicator;TIME_PERIOD;"
        b"OBS_VALUE\n"
        b"B;Business;SEK;Swedish krona;NOK;Norwegian krone;SP;Spot;2;false;2;Hundreds;C;"
        b"ECB concertation time 14:15 CET;2026-10-09;95.95\n"
        b"B;Business;EUR;Euro;NOK;Norwegian krone;SP;Spot;4;false;0;Units;C;"
        b"ECB concertation time 14:15 CET;2026-10-09;10.7155\n",
        date(2026, 10, 9),
        {"SEK": 100 / Fraction("95.95"), "EUR": 1 / Fraction("10.7155")},
    ),
}


@attrs.frozen
class RequestForm:
    """The parts of a request that another client library builds: its path and parameters.

    Attributes:
        path: a pattern of the path.
        parameters: a pattern of the value of each parameter of the query.
    """

    path: str
    parameters: Mapping[str, str]


DAY: Final = r"\d{4}-\d\d-\d\d"
SDMX_PERIOD: Final = {"startPeriod": DAY, "endPeriod": DAY}
REQUESTS: Final = {
    # SDMX-REST 1.5 by sdmx1 2.28.0, and the formats and series of the client ecbdata 0.1.1.
    "ecb": RequestForm(
        r"/service/data/EXR/D\.[A-Z+]*\.EUR\.SP00\.A",
        {
            **SDMX_PERIOD,
            "detail": "full|dataonly|serieskeysonly|nodata",
            "format": "csvdata|jsondata|structurespecificdata",
        },
    ),
    # The URL that an accounting program's currency updates request.
    "nbp": RequestForm(rf"/api/exchangerates/tables/A/{DAY}/{DAY}/", {"format": "json|xml"}),
    # The client mcp-nb 0.1.0, and scripts that read the same series.
    "norges_bank": RequestForm(
        r"/api/data/EXR/B\.[A-Z+]*\.NOK\.SP",
        {**SDMX_PERIOD, "format": "csv|sdmx-json", "locale": "en|no", "bom": "include"},
    ),
}
at_each = pytest.mark.parametrize("name", RECORDINGS)


@at_each
def test_recorded_answer_is_read(name: str) -> None:
    """A recorded response is read as the rates that the bank published."""
    recording = RECORDINGS[name]
    kind = "application/json" if recording.answer.startswith(b"[") else "text/csv"
    recording.sandbox.fail(Response(200, {"Content-Type": kind}, recording.answer))
    account = Account("bank", recording.vendor)
    with Hub([account], http=SandboxHttpClient(recording.sandbox)) as hub:
        rates = hub.currencies().rates(recording.day)

    base = recording.sandbox.bank_currency
    assert recording.day == rates.day
    for currency, price in recording.rates.items():
        assert price == rates.ratio(base, currency)


@at_each
def test_sandbox_has_the_fields_of_the_recorded_answer(name: str) -> None:
    """The sandbox's response has the same columns or field names as a recorded response."""
    recorded_answer = RECORDINGS[name].answer
    answer = exchanges_of(name)[0].response.body.removeprefix(b"\xef\xbb\xbf")
    if recorded_answer.startswith(b"["):
        recorded_table, table = json.loads(recorded_answer)[0], json.loads(answer)[0]
        assert [list(recorded_table), list(recorded_table["rates"][0])] == [
            list(table),
            list(table["rates"][0]),
        ]
    else:
        assert recorded_answer.splitlines()[0] == answer.splitlines()[0]


@at_each
def test_requests_have_the_form_of_other_clients(name: str) -> None:
    """Each request has the path and parameters that other clients send."""
    form = REQUESTS[name]
    for exchange in exchanges_of(name):
        url = urlsplit(exchange.url)
        query = dict(parse_qsl(url.query))

        assert re.fullmatch(form.path, url.path)
        assert query.keys() <= form.parameters.keys()
        assert all(re.fullmatch(form.parameters[key], value) for key, value in query.items())
