"""Test subjects of the tax-calculation vendors for the conformance kit."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import attrs

from moorage.contracts.address import Address
from moorage.contracts.tax_calculation import (
    JurisdictionLevel,
    JurisdictionTax,
    LineTax,
    TaxableSale,
    TaxExemption,
    TaxLine,
)
from moorage.domain.values.money import Money
from moorage.errors import (
    AuthenticationFailed,
    IdempotencyConflict,
    InvalidRequest,
    RateLimitExceeded,
)
from moorage.testing.kits.tax_calculation_conformance import TaxCalculationSubject
from moorage.testing.sandbox_scenarios.tax import german_sale, sale
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.tax.avalara import AvalaraSandbox
from moorage.testing.sandboxes.tax.stripe_tax import StripeTaxSandbox
from moorage.testing.sandboxes.tax.taxjar import TaxJarSandbox
from moorage.vendors.tax.avalara import Avalara
from moorage.vendors.tax.stripe_tax import StripeTax
from moorage.vendors.tax.taxjar import TaxJar

RAMSEY: Final = Address(
    line1="63 W Main St", city="Ramsey", region="NJ", postal_code="07446", country="US"
)
TAXES: Final = {"1": Money("0.70", "USD"), "2": Money("0.35", "USD"), "": Money("0.11", "USD")}


def dollars(amount: str) -> Money:
    """Return an amount in US dollars."""
    return Money(amount, "USD")


def sale_of(amount: str, shipping: str, currency: str = "USD", **fields: Any) -> TaxableSale:
    """Return a sale of today with a single line, whose id is 1."""
    lines = [TaxLine(id="1", amount=Money(amount, currency))]
    return sale(lines=lines, shipping=Money(shipping, currency), **fields)


# --- Stripe Tax ---------------------------------------------------------------

PIZZA: Final = sale(
    lines=[TaxLine(id="Pepperoni Pizza", amount=dollars("14.99"))],
    shipping=dollars("3.00"),
    ship_to=Address(
        line1="354 Oyster Point Blvd",
        city="South San Francisco",
        region="CA",
        postal_code="94080",
        country="US",
    ),
)


def stripe_error(status: int, **error: str) -> Any:
    """Return an error response of Stripe."""
    return reply({"error": error}, status)


def pizza_answer(**fields: Any) -> Any:
    """Return the tax calculation from Stripe's published example, with the given fields changed.

    The fixture's line has no taxes; they are here in the form of Stripe's description.
    """
    jurisdiction = {"country": "US", "display_name": "California", "level": "state", "state": "CA"}
    taxed = {
        "amount": 148,
        "jurisdiction": jurisdiction,
        "sourcing": "destination",
        "tax_rate_details": {
            "display_name": "Sales tax",
            "percentage_decimal": "9.875",
            "tax_type": "sales_tax",
        },
        "taxability_reason": "standard_rated",
        "taxable_amount": 1499,
    }
    exempt = {
        **taxed,
        "amount": 0,
        "jurisdiction": {**jurisdiction, "level": "moon"},
        "tax_rate_details": None,
        "taxability_reason": "a_new_reason",
        "taxable_amount": 0,
    }
    line = {
        "amount": 1499,
        "amount_tax": 148,
        "id": "tax_li_QXhWXb3MbhgP1Q",
        "livemode": False,
        "object": "tax.calculation_line_item",
        "product": None,
        "quantity": 1,
        "reference": "Pepperoni Pizza",
        "tax_behavior": "exclusive",
        "tax_breakdown": [taxed],
        "tax_code": "txcd_40060003",
    }
    calculation = {
        "amount_total": 1947,
        "currency": "usd",
        "customer": None,
        "customer_details": {"tax_ids": [], "taxability_override": "none"},
        "expires_at": 1234567890,
        "id": "taxcalc_1Pgc7HB7WZ01zgkW0snEQbxy",
        "line_items": {"object": "list", "data": [line], "has_more": False, "url": "/v1"},
        "livemode": False,
        "object": "tax.calculation",
        "shipping_cost": {
            "amount": 300,
            "amount_tax": 0,
            "tax_behavior": "exclusive",
            "tax_breakdown": [exempt],
            "tax_code": "txcd_92010001",
        },
        "tax_amount_exclusive": 148,
        "tax_amount_inclusive": 0,
        "tax_breakdown": [],
        "tax_date": 1234567890,
    }
    return reply({**calculation, **fields})


def _stripe_records(sandbox: StripeTaxSandbox) -> dict[str, Money]:
    records: dict[str, Money] = {}
    for item in sandbox.transactions.values():
        parts = [*item["rows"], *filter(None, [item["shipping_cost"]])]
        total = sum(part["amount_tax"] for part in parts)
        records[item["reference"]] = Money.from_minor(total, item["currency"].upper())
    return records


def _stripe_nets(sandbox: StripeTaxSandbox) -> dict[str, Money]:
    nets: dict[str, Money] = {}
    for item in sandbox.transactions.values():
        parts = [*item["rows"], *filter(None, [item["shipping_cost"]])]
        nets[item["reference"]] = Money.from_minor(
            sum(
                part["amount"] - part["amount_tax"] * (part["tax_behavior"] == "inclusive")
                for part in parts
            ),
            item["currency"].upper(),
        )
    return {reference: net for reference, net in nets.items() if reference.startswith("CN-")}


def stripe_tax() -> TaxCalculationSubject:
    """Return a Stripe Tax test subject with a new sandbox."""
    sandbox = StripeTaxSandbox()
    day = datetime.now(UTC).date()
    noon = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp())
    california = JurisdictionTax(
        name="California",
        level=JurisdictionLevel.STATE,
        country="US",
        tax=dollars("1.48"),
        taxable=dollars("14.99"),
        rate=Decimal("9.875"),
        kind="sales_tax",
        reason="standard_rated",
    )
    unclear = attrs.evolve(
        california,
        level=JurisdictionLevel.UNKNOWN,
        tax=dollars("0.00"),
        taxable=dollars("0.00"),
        rate=None,
        kind=None,
        reason="a_new_reason",
    )
    return TaxCalculationSubject(
        vendor=StripeTax(credentials=sandbox.api_key),
        sandbox=sandbox,
        sale=sale(),
        taxes=TAXES,
        recorded=lambda: _stripe_records(sandbox),
        reversed_nets=lambda: _stripe_nets(sandbox),
        refusals=(
            (
                stripe_error(
                    400, type="invalid_request_error", code="customer_tax_location_invalid"
                ),
                InvalidRequest,
                "customer_tax_location_invalid",
            ),
            (
                stripe_error(401, type="invalid_request_error"),
                AuthenticationFailed,
                "invalid_request_error",
            ),
            (
                stripe_error(429, type="invalid_request_error", code="rate_limit"),
                RateLimitExceeded,
                "rate_limit",
            ),
        ),
        others=(
            pizza_answer(currency="eur"),
            pizza_answer(line_items={"data": [], "has_more": False}),
            pizza_answer(amount_total=1),
        ),
        answers=(
            (
                pizza_answer(),
                PIZZA,
                {
                    "tax": dollars("1.48"),
                    "total": dollars("19.47"),
                    "net": dollars("17.99"),
                    "rounding": dollars("0.00"),
                    "expires_at": datetime.fromtimestamp(1234567890, UTC),
                    "lines": (
                        LineTax(
                            id="Pepperoni Pizza",
                            net=dollars("14.99"),
                            tax=dollars("1.48"),
                            jurisdictions=(california,),
                        ),
                    ),
                    "shipping": LineTax(
                        id="", net=dollars("3.00"), tax=dollars("0.00"), jurisdictions=(unclear,)
                    ),
                },
            ),
        ),
        requests=(
            (
                sale(),
                {
                    "currency": "usd",
                    "tax_date": str(noon),
                    "customer_details[address][line1]": "63 W Main St",
                    "customer_details[address][state]": "NJ",
                    "customer_details[address][postal_code]": "07446",
                    "customer_details[address_source]": "shipping",
                    "ship_from_details[address][city]": "Avenel",
                    "line_items[0][amount]": "1000",
                    "line_items[0][quantity]": "3",
                    "line_items[1][reference]": "2",
                    "line_items[1][tax_behavior]": "exclusive",
                    "shipping_cost[amount]": "150",
                    "customer_details[taxability_override]": None,
                },
            ),
            (
                german_sale(vat_number="DE136695976", inclusive=True),
                {
                    "customer_details[tax_ids][0][type]": "eu_vat",
                    "customer_details[tax_ids][0][value]": "DE136695976",
                    "line_items[0][tax_behavior]": "inclusive",
                    "shipping_cost[amount]": None,
                },
            ),
            (
                german_sale(vat_number="GB553557881", reverse_charge=True),
                {
                    "customer_details[tax_ids][0][type]": "gb_vat",
                    "customer_details[taxability_override]": "reverse_charge",
                },
            ),
            (
                sale(
                    exemption="resale",
                    lines=[TaxLine(id="1", amount=dollars("1"), tax_code="txcd_00000000")],
                ),
                {
                    "customer_details[taxability_override]": "customer_exempt",
                    "line_items[0][tax_code]": "txcd_00000000",
                },
            ),
        ),
        sent=lambda request: dict(request.form),
        secret=sandbox.api_key,
    )


# --- TaxJar -------------------------------------------------------------------


def taxjar_error(status: int, error: str, detail: str) -> Any:
    """Return an error response of TaxJar."""
    return reply({"status": status, "error": error, "detail": detail}, status)


def ramsey_answer(**fields: Any) -> Any:
    """Return TaxJar's published response for an order of 16.50, with the given fields changed."""
    rates = {"combined_tax_rate": 0.07, "state_sales_tax_rate": 0.07}
    zeros = {
        f"{level}_{name}": 0
        for level in ("county", "city")
        for name in ("taxable_amount", "tax_rate", "amount")
    }
    tax = {
        "order_total_amount": 16.5,
        "shipping": 1.5,
        "taxable_amount": 16.5,
        "amount_to_collect": 1.16,
        "rate": 0.07,
        "has_nexus": True,
        "freight_taxable": True,
        "tax_source": "destination",
        "exemption_type": "non_exempt",
        "jurisdictions": {"country": "US", "state": "NJ", "county": "BERGEN", "city": "RAMSEY"},
        "breakdown": {
            "taxable_amount": 16.5,
            "tax_collectable": 1.16,
            "combined_tax_rate": 0.07,
            "shipping": {
                **rates,
                **zeros,
                "taxable_amount": 1.5,
                "tax_collectable": 0.11,
                "state_taxable_amount": 1.5,
                "state_amount": 0.11,
                "special_taxable_amount": 0,
                "special_tax_rate": 0,
                "special_district_amount": 0,
            },
            "line_items": [
                {
                    **rates,
                    **zeros,
                    "id": "1",
                    "taxable_amount": 15,
                    "tax_collectable": 1.05,
                    "state_taxable_amount": 15,
                    "state_amount": 1.05,
                    "special_district_taxable_amount": 0,
                    "special_tax_rate": 0,
                    "special_district_amount": 0,
                }
            ],
        },
    }
    return reply({"tax": {**tax, **fields}})


def ontario_answer() -> Any:
    """Return TaxJar's published response for an order of 26.95 to Canada."""
    line: dict[str, Any] = {
        "gst_tax_rate": 0.05,
        "pst_tax_rate": 0.08,
        "qst_taxable_amount": 0,
        "qst_tax_rate": 0,
        "qst": 0,
        "combined_tax_rate": 0.13,
    }
    shipping: dict[str, Any] = {
        "gst_taxable_amount": 10,
        "gst": 0.5,
        "pst_taxable_amount": 10,
        "pst": 0.8,
    }
    item: dict[str, Any] = {
        "gst_taxable_amount": 16.95,
        "gst": 0.85,
        "pst_taxable_amount": 16.95,
        "pst": 1.36,
    }
    return reply(
        {
            "tax": {
                "order_total_amount": 26.95,
                "shipping": 10,
                "taxable_amount": 26.95,
                "amount_to_collect": 3.5,
                "jurisdictions": {"country": "CA", "state": "ON"},
                "breakdown": {
                    "shipping": line | shipping | {"tax_collectable": 1.3},
                    "line_items": [line | item | {"id": "1", "tax_collectable": 2.2}],
                },
            }
        }
    )


def _taxjar_records(sandbox: TaxJarSandbox) -> dict[str, Money]:
    records = {**sandbox.orders, **sandbox.refunds}
    return {id_: Money(str(Decimal(item["sales_tax"])), "USD") for id_, item in records.items()}


def taxjar() -> TaxCalculationSubject:
    """Return a TaxJar test subject with a new sandbox."""
    sandbox = TaxJarSandbox()
    state = JurisdictionTax(
        name="NJ",
        level=JurisdictionLevel.STATE,
        country="US",
        tax=dollars("1.05"),
        taxable=dollars("15"),
        rate=Decimal(7),
        kind="sales_tax",
    )
    gst = JurisdictionTax(
        name="CA",
        level=JurisdictionLevel.COUNTRY,
        country="CA",
        tax=Money("0.50", "CAD"),
        taxable=Money(10, "CAD"),
        rate=Decimal(5),
        kind="gst",
    )
    pst = attrs.evolve(
        gst,
        name="ON",
        level=JurisdictionLevel.STATE,
        tax=Money("0.80", "CAD"),
        rate=Decimal(8),
        kind="pst",
    )
    return TaxCalculationSubject(
        vendor=TaxJar(credentials=sandbox.api_key),
        sandbox=sandbox,
        sale=sale(),
        taxes=TAXES,
        recorded=lambda: _taxjar_records(sandbox),
        refusals=(
            (
                taxjar_error(400, "Bad Request", "to_zip is required when to_country is US"),
                InvalidRequest,
                "Bad Request",
            ),
            (
                taxjar_error(401, "Unauthorized", "Not authorized for route 'POST /v2/taxes'"),
                AuthenticationFailed,
                "Unauthorized",
            ),
            (
                taxjar_error(406, "Not Acceptable", "transaction_id is missing"),
                InvalidRequest,
                "Not Acceptable",
            ),
            (
                taxjar_error(429, "Too Many Requests", "Slow down."),
                RateLimitExceeded,
                "Too Many Requests",
            ),
        ),
        others=(
            ramsey_answer(order_total_amount=17.0),
            ramsey_answer(amount_to_collect=None),
            ramsey_answer(breakdown=None),
            ramsey_answer(breakdown={"line_items": []}),
        ),
        answers=(
            (
                ramsey_answer(),
                sale_of("15.00", "1.50", ship_to=RAMSEY),
                {
                    "tax": dollars("1.16"),
                    "total": dollars("17.66"),
                    "rounding": dollars("0.00"),
                    "lines": (
                        LineTax(
                            id="1",
                            net=dollars("15.00"),
                            tax=dollars("1.05"),
                            jurisdictions=(state,),
                        ),
                    ),
                    "shipping": LineTax(
                        id="",
                        net=dollars("1.50"),
                        tax=dollars("0.11"),
                        jurisdictions=(
                            attrs.evolve(state, tax=dollars("0.11"), taxable=dollars("1.50")),
                        ),
                    ),
                },
            ),
            (
                ontario_answer(),
                sale_of("16.95", "10.00", "CAD"),
                {
                    "tax": Money("3.50", "CAD"),
                    "shipping": LineTax(
                        id="",
                        net=Money("10.00", "CAD"),
                        tax=Money("1.30", "CAD"),
                        jurisdictions=(gst, pst),
                    ),
                },
            ),
            (
                reply(
                    {
                        "tax": {
                            "order_total_amount": 16.5,
                            "amount_to_collect": 0,
                            "has_nexus": False,
                            "jurisdictions": {"country": "US"},
                        }
                    }
                ),
                sale_of("15.00", "1.50"),
                {
                    "tax": dollars("0"),
                    "lines": (LineTax(id="1", net=dollars("15"), tax=dollars("0")),),
                },
            ),
        ),
        requests=(
            (
                sale(),
                {
                    "from_city": "Avenel",
                    "to_country": "US",
                    "to_zip": "07446",
                    "to_state": "NJ",
                    "to_city": "Ramsey",
                    "to_street": "63 W Main St",
                    "amount": 16.5,
                    "shipping": 1.5,
                    "exemption_type": None,
                    "line_items": [
                        {"id": "1", "quantity": 3, "unit_price": 3.34, "discount": 0.02},
                        {"id": "2", "quantity": 1, "unit_price": 5, "discount": 0},
                    ],
                },
            ),
            *(
                (sale(exemption=exemption), {"exemption_type": word})
                for exemption, word in (
                    (TaxExemption.RESALE, "wholesale"),
                    (TaxExemption.GOVERNMENT, "government"),
                    (TaxExemption.OTHER, "other"),
                )
            ),
        ),
        sent=lambda request: dict(json.loads(request.body)),
        secret=sandbox.api_key,
    )


IDEMPOTENCY_ERROR: Final = (
    stripe_error(400, type="idempotency_error", message="Another request had this key."),
    IdempotencyConflict,
)
# --- Avalara ------------------------------------------------------------------


def avalara_error(status: int, code: str, number: int, message: str, description: str = "") -> Any:
    """Return an error response of AvaTax."""
    detail = {"code": code, "number": number, "message": message, "description": description}
    error = {"code": code, "target": "Unknown", "details": [detail]}
    return reply({"error": error}, status)


def irvine_answer(**fields: Any) -> Any:
    """Return the transaction in the tests of Avalara's library, with the given fields changed."""
    parts = (
        ("STA", "CALIFORNIA", 0.06, 6, "CA STATE TAX"),
        ("CTY", "ORANGE", 0.0025, 0.25, "CA COUNTY TAX"),
        ("STJ", "ORANGE COUNTY DISTRICT TAX SP", 0.005, 0.5, "CA SPECIAL TAX"),
        ("STJ", "ORANGE CO LOCAL TAX SL", 0.01, 1, "CA SPECIAL TAX"),
    )
    details = [
        {
            "country": "US",
            "region": "CA",
            "jurisName": name,
            "jurisType": kind,
            "rate": rate,
            "tax": tax,
            "taxableAmount": 100,
            "taxType": "Sales",
            "taxName": tax_name,
        }
        for kind, name, rate, tax, tax_name in parts
    ]
    line = {
        "id": 1052893542,
        "lineNumber": "1",
        "itemCode": "Y0001",
        "lineAmount": 100,
        "quantity": 1,
        "tax": 7.75,
        "taxableAmount": 100,
        "taxCode": "PS081282",
        "taxIncluded": False,
        "details": details,
    }
    transaction = {
        "id": 289450369,
        "code": "8f8084cb-d8d4-418a-bdbb-131f7254e09b",
        "date": "2017-04-12",
        "status": "Committed",
        "type": "SalesInvoice",
        "currencyCode": "USD",
        "customerVendorCode": "ABC",
        "totalAmount": 100,
        "totalTax": 7.75,
        "modifiedDate": "2017-04-13T23:26:01.613",
        "lines": [line],
    }
    return reply({**transaction, **fields}, 201)


def _avalara_records(sandbox: AvalaraSandbox) -> dict[str, Money]:
    return {
        item["code"]: Money(str(item["totalTax"]), item["currencyCode"])
        for item in sandbox.documents.values()
    }


def _avalara_nets(sandbox: AvalaraSandbox) -> dict[str, Money]:
    return {
        item["code"]: Money(str(item["totalAmount"]), item["currencyCode"])
        for item in sandbox.documents.values()
        if item["type"] == "ReturnInvoice"
    }


def avalara() -> TaxCalculationSubject:
    """Return an Avalara test subject with a new sandbox."""
    sandbox = AvalaraSandbox()
    california = JurisdictionTax(
        name="CALIFORNIA",
        level=JurisdictionLevel.STATE,
        country="US",
        tax=dollars("6.00"),
        taxable=dollars("100.00"),
        rate=Decimal(6),
        kind="Sales",
        reason="CA STATE TAX",
    )
    county = attrs.evolve(
        california,
        name="ORANGE",
        level=JurisdictionLevel.COUNTY,
        tax=dollars("0.25"),
        rate=Decimal("0.25"),
        reason="CA COUNTY TAX",
    )
    district = attrs.evolve(
        county,
        name="ORANGE COUNTY DISTRICT TAX SP",
        level=JurisdictionLevel.DISTRICT,
        tax=dollars("0.50"),
        rate=Decimal("0.5"),
        reason="CA SPECIAL TAX",
    )
    local = attrs.evolve(
        district, name="ORANGE CO LOCAL TAX SL", tax=dollars("1.00"), rate=Decimal(1)
    )
    hundred = sale(lines=[TaxLine(id="1", amount=dollars("100.00"))], shipping=None)
    return TaxCalculationSubject(
        vendor=Avalara(
            account=sandbox.account, company=sandbox.company, credentials=sandbox.license_key
        ),
        sandbox=sandbox,
        sale=sale(),
        taxes=TAXES,
        recorded=lambda: _avalara_records(sandbox),
        reversed_nets=lambda: _avalara_nets(sandbox),
        refusals=(
            (
                avalara_error(400, "ValueRequiredError", 5, "Field date is required."),
                InvalidRequest,
                "ValueRequiredError",
            ),
            (
                avalara_error(401, "AuthenticationException", 30, "Authentication failed."),
                AuthenticationFailed,
                "AuthenticationException",
            ),
            (
                avalara_error(403, "PermissionRequired", 49, "Permission required."),
                AuthenticationFailed,
                "PermissionRequired",
            ),
            (
                avalara_error(429, "RateLimitExceeded", 1, "Slow down."),
                RateLimitExceeded,
                "RateLimitExceeded",
            ),
        ),
        others=(
            irvine_answer(currencyCode="EUR"),
            irvine_answer(lines=[]),
            irvine_answer(totalTax=None),
        ),
        answers=(
            (
                irvine_answer(),
                hundred,
                {
                    "tax": dollars("7.75"),
                    "total": dollars("107.75"),
                    "rounding": dollars("0.00"),
                    "lines": (
                        LineTax(
                            id="1",
                            net=dollars("100.00"),
                            tax=dollars("7.75"),
                            jurisdictions=(california, county, district, local),
                        ),
                    ),
                },
            ),
        ),
        requests=(
            (
                sale(),
                {
                    "type": "SalesOrder",
                    "companyCode": "HARBOUR",
                    "customerCode": "INV-2041",
                    "currencyCode": "USD",
                    "commit": None,
                    "entityUseCode": None,
                    "addresses": {
                        "shipFrom": {
                            "line1": "305 W Village Dr",
                            "city": "Avenel",
                            "region": "NJ",
                            "postalCode": "07001",
                            "country": "US",
                        },
                        "shipTo": {
                            "line1": "63 W Main St",
                            "city": "Ramsey",
                            "region": "NJ",
                            "postalCode": "07446",
                            "country": "US",
                        },
                    },
                    "lines": [
                        {"number": "1", "quantity": 3, "amount": 10},
                        {"number": "2", "quantity": 1, "amount": 5},
                        {"number": "shipping", "quantity": 1, "amount": 1.5, "taxCode": "FR020100"},
                    ],
                },
            ),
            (
                german_sale(vat_number="DE136695976", inclusive=True),
                {
                    "businessIdentificationNo": "DE136695976",
                    "lines": [{"number": "1", "quantity": 1, "amount": 119, "taxIncluded": True}],
                },
            ),
            *(
                (sale(exemption=exemption), {"entityUseCode": word})
                for exemption, word in (("resale", "G"), ("government", "A"), ("other", "L"))
            ),
            (
                sale(extra={"avalara": {"customerCode": "C-7"}}),
                {"customerCode": "C-7"},
            ),
        ),
        sent=lambda request: request.json(),
        secret=sandbox.license_key,
    )


SUBJECTS: Final = (stripe_tax, taxjar, avalara)
