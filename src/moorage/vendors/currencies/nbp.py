"""Narodowy Bank Polski: middle rates of table A, from the NBP Web API.

A table says how many zlotys one unit of each foreign currency costs, and has an official number. If
no day of a period has a table, the service answers 404.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.currencies import ExchangeRate, ExchangeRates
from moorage.vendors.currencies._common import CentralBank, parsed_day

if TYPE_CHECKING:
    from collections.abc import Iterator


@attrs.frozen(kw_only=True)
class Nbp(CentralBank):
    """Narodowy Bank Polski, the central bank of Poland.

    Attributes:
        base_url: URL of the NBP Web API.
    """

    name = "nbp"
    title = "NBP"
    first_day = date(2002, 1, 2)

    base_url: str = "https://api.nbp.pl"

    def table_request(self, start: date, end: date) -> sdk.Request:
        """The request for at most 93 days of table A."""
        return sdk.Request.get(
            f"/api/exchangerates/tables/A/{start.isoformat()}/{end.isoformat()}/",
            query={"format": "json"},
        )

    def read_tables(self, response: sdk.Response) -> Iterator[ExchangeRates]:
        """The tables in a JSON response.

        JSON numbers arrive as floats. The shortest text of a float has exactly the digits that
        were sent if there are at most 15; rates have at most nine.
        """
        for table in sdk.read_answers(response):
            if table.text("table") != "A":
                raise sdk.malformed(response, "table A")
            rates = list(table.objects("rates"))
            if not rates or len(rates) != len(table.value("rates")):
                # Otherwise an older table would be taken for the one in force.
                raise sdk.malformed(response, "rates")
            yield ExchangeRates(
                base="PLN",
                day=sdk.required(
                    parsed_day(table.text("effectiveDate")), response, "effectiveDate"
                ),
                quotations=[
                    ExchangeRate(
                        currency=sdk.required(rate.text("code"), response, "code"),
                        price=sdk.required(rate.decimal("mid"), response, "mid"),
                        price_currency="PLN",
                    )
                    for rate in rates
                ],
                source=sdk.required(table.text("no"), response, "no"),
                raw=table.raw,
            )
