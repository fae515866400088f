"""Each vendor that calculates taxes passes the conformance kit, and all give equal results."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import moorage
from moorage.contracts.address import Address
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.contracts.tax_calculation import ReversedAmount, TaxLine, TaxReversal
from moorage.domain.http.requests import Response
from moorage.domain.service.safety import Mode
from moorage.errors import (
    ConfigurationError,
    ConnectionFailed,
    IdempotencyInProgress,
    InvalidData,
    InvalidRequest,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from moorage.hub.hub import Hub
from moorage.testing import name_of, tax_calculation_conformance
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandbox_scenarios.tax import german_sale, sale
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, reply
from moorage.testing.sandboxes.tax.stripe_tax import StripeTaxSandbox
from moorage.testing.sandboxes.tax.taxjar import TaxJarSandbox
from moorage.testing.sandboxes.tax.vies import ViesSandbox
from moorage.vendors.tax.avalara import Avalara
from moorage.vendors.tax.stripe_tax import StripeTax
from moorage.vendors.tax.taxjar import TaxJar
from tests.vendors.tax_calculation_subjects import (
    IDEMPOTENCY_ERROR,
    SUBJECTS,
    avalara,
    dollars,
    irvine_answer,
    stripe_error,
    stripe_tax,
    taxjar,
)

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.testing.kits.tax_calculation_conformance import AsyncCheck, Check, Factory

SETTINGS: dict[str, Any] = {"retry": None, "circuit": None, "volatile_keys": True}


@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("check", tax_calculation_conformance.CHECKS, ids=name_of)
def test_tax_calculation_vendor_conforms(check: Check, subject: Factory) -> None:
    """Each vendor that calculates taxes passes the kit with a synchronous hub."""
    check(subject)


@pytest.mark.untraced
@pytest.mark.parametrize("subject", SUBJECTS, ids=name_of)
@pytest.mark.parametrize("check", tax_calculation_conformance.ASYNC_CHECKS, ids=name_of)
def test_tax_calculation_vendor_conforms_async(check: AsyncCheck, subject: Factory) -> None:
    """Each vendor that calculates taxes passes the kit with an asynchronous hub."""
    asyncio.run(check(subject))


def hub_of(subject: Factory) -> tuple[Hub, Any]:
    """Return a hub whose only account is at this vendor, and the vendor's sandbox."""
    new_subject = subject()
    account = Account(new_subject.vendor.name, new_subject.vendor, settings=SETTINGS)
    return Hub([account], http=SandboxHttpClient(new_subject.sandbox)), new_subject.sandbox


@pytest.mark.parametrize("vendor", ["avalara", "stripe_tax", "taxjar"])
def test_each_vendor_gives_same_taxes_and_same_errors_for_same_calls(
    vendor: str, tmp_path: Path
) -> None:
    """Each vendor gives the same taxes and the same errors for the same calls."""
    fixture = fixture_of(vendor, tmp_path)
    assert fixture.sandbox is not None
    sandbox = fixture.sandbox
    configuration = {"tax": {"vendor": vendor}, "vendors": {vendor: dict(fixture.options)}}
    with moorage.open(configuration, http=SandboxHttpClient(sandbox)) as hub:
        austin = attrs.evolve(sale().ship_to, region="TX", city="Austin", postal_code="78701")
        calculation = hub.tax().calculate(sale(ship_to=austin))
        assert dollars("1.53") == calculation.tax
        assert dollars("18.03") == calculation.total
        assert [dollars("0.93"), dollars("0.46"), dollars("0.14")] == [
            part.tax for part in (*calculation.lines, calculation.shipping) if part is not None
        ]
        levels = [(item.level, item.rate, item.tax) for item in calculation.lines[0].jurisdictions]
        assert ["state", "city", "district"] == [level for level, _, _ in levels]
        assert [dollars("0.63"), dollars("0.20"), dollars("0.10")] == [tax for *_, tax in levels]
        record = hub.tax().record(calculation, idempotency_key="INV-2041")
        assert ("INV-2041", dollars("1.53")) == (record.reference, record.tax)
        reversal = TaxReversal(reference="CN-17", day=calculation.sale.day)
        reversed_record = hub.tax().reverse(record.ref, reversal, idempotency_key="CN-17")
        assert dollars("-1.53") == reversed_record.tax
        unknown_code = TaxLine(id="1", amount=dollars("1"), tax_code="no such code")
        with pytest.raises(InvalidRequest):
            hub.tax().calculate(sale(lines=[unknown_code]))
        with pytest.raises(InvalidRequest):
            hub.tax().calculate(sale(ship_to=attrs.evolve(austin, postal_code=None)))


def test_route_calls_the_vendor_with_the_needed_capability() -> None:
    """A tax route calls the vendor that has the needed capability."""
    vies, stripe = ViesSandbox(), StripeTaxSandbox()
    configuration = {
        "tax": {"vendor": ["vies", "stripe_tax"]},
        "vendors": {"vies": {}, "stripe_tax": {"credentials": stripe.api_key}},
    }
    with moorage.open(configuration, http=SandboxHttpClient(vies, stripe)) as hub:
        assert hub.tax().check_vat_number("FR40303265045").valid
        assert dollars("1.16") == hub.tax().calculate(sale()).tax


def test_error_for_inclusive_prices_names_a_suitable_vendor() -> None:
    """A vendor that has no tax-inclusive prices refuses them; the error names a vendor that can."""
    hub, sandbox = hub_of(taxjar)
    with hub, pytest.raises(UnsupportedByVendor) as excinfo:
        hub.tax().calculate(german_sale(inclusive=True))
    assert ["avalara", "stripe_tax"] == sorted(excinfo.value.supported_by)
    assert [] == sandbox.requests


def test_a_route_may_have_any_country() -> None:
    """A tax route may name a country that has no VAT numbers."""
    sandbox = TaxJarSandbox()
    configuration = {
        "tax": {"vendor": "taxjar", "countries": ["US"]},
        "vendors": {"taxjar": {"credentials": sandbox.api_key}},
    }
    with moorage.open(configuration, http=SandboxHttpClient(sandbox)) as hub:
        assert dollars("1.16") == hub.tax().calculate(sale()).tax


# --- Stripe Tax ---------------------------------------------------------------


def test_stripe_reads_all_pages_of_lines() -> None:
    """Stripe's tax lines are read from all pages, for a calculation and for a reversal."""
    hub, sandbox = hub_of(stripe_tax)
    lines = [TaxLine(id=f"line {number}", amount=dollars("1.00")) for number in range(212)]
    with hub:
        calculation = hub.tax().calculate(sale(lines=lines))
        assert [line.id for line in lines] == [line.id for line in calculation.lines]
        assert {dollars("0.07")} == {line.jurisdictions[0].tax for line in calculation.lines}
        record = hub.tax().record(calculation, idempotency_key="k")
        assert calculation.tax == record.tax
        part = ReversedAmount(amount=dollars("1.00"), tax=dollars("0.07"))
        reversal = TaxReversal(reference="CN-1", day=calculation.sale.day, lines={"line 211": part})
        assert dollars("-0.07") == hub.tax().reverse(record.ref, reversal, idempotency_key="r").tax
        form = dict(sandbox.requests[-1].form)
        assert ("-100", "-7") == (form["line_items[0][amount]"], form["line_items[0][amount_tax]"])
        whole_reversal = TaxReversal(reference="CN-2", day=calculation.sale.day)
        with pytest.raises(VendorRejected):
            hub.tax().reverse(record.ref, whole_reversal, idempotency_key="r2")


def test_a_page_without_rows_is_refused() -> None:
    """An empty page that claims to be followed by others is an error, not an endless loop."""
    hub, sandbox = hub_of(stripe_tax)
    lines = [TaxLine(id=str(number), amount=dollars("1.00")) for number in range(11)]
    empty = Response(200, {"Content-Type": "application/json"}, b'{"data": [], "has_more": true}')
    with hub:
        sandbox.fail(None, empty)
        with pytest.raises(VendorFailed):
            hub.tax().calculate(sale(lines=lines))


@pytest.mark.parametrize(
    "answer, kind",
    [
        IDEMPOTENCY_ERROR,
        (stripe_error(409, type="idempotency_error"), IdempotencyInProgress),
    ],
)
def test_stripe_error_about_a_key_has_its_own_class(
    answer: Response, kind: type[Exception]
) -> None:
    """A Stripe error about an idempotency key has another class than one about a sale."""
    hub, sandbox = hub_of(stripe_tax)
    with hub:
        calculation = hub.tax().calculate(sale())
        sandbox.fail(answer)
        with pytest.raises(kind):
            hub.tax().record(calculation, idempotency_key="k")


def test_a_stored_failure_of_stripe_is_final() -> None:
    """A failure that Stripe returns to every repeat of the idempotency key is not retried."""
    hub, sandbox = hub_of(stripe_tax)
    headers = {"Content-Type": "application/json", "Stripe-Should-Retry": "false"}
    with hub:
        calculation = hub.tax().calculate(sale())
        sandbox.fail(Response(500, headers, b'{"error": {"type": "api_error"}}'))
        with pytest.raises(VendorFailed):
            hub.tax().record(calculation, idempotency_key="k")
    assert {} == sandbox.transactions


def test_a_calculation_that_expired_is_not_recorded() -> None:
    """Recording an expired calculation is refused."""
    hub, sandbox = hub_of(stripe_tax)
    with hub:
        calculation = hub.tax().calculate(sale())
        sandbox.calculations[calculation.ref.id]["expires_at"] = 1
        with pytest.raises(VendorRejected):
            hub.tax().record(calculation, idempotency_key="k")


def test_stripe_acts_for_a_connected_account() -> None:
    """The option `connected` is sent with each request, and must be an account's id."""
    sandbox = StripeTaxSandbox()
    vendor = StripeTax(credentials=sandbox.api_key, connected="acct_1")
    account = Account("stripe_tax", vendor, settings=SETTINGS)
    with Hub([account], http=SandboxHttpClient(sandbox)) as hub:
        hub.tax().calculate(sale())
    assert "acct_1" == sandbox.requests[0].headers.get("stripe-account")
    with pytest.raises(ConfigurationError):
        StripeTax(connected="cus_1")


def test_key_or_url_decides_between_test_and_live_mode() -> None:
    """An account's key or URL decides whether it is in test or live mode."""
    assert Mode.TEST == StripeTax(credentials="sk_test_1").mode()
    assert Mode.LIVE == StripeTax(credentials="rk_live_1").mode()
    assert Mode.LIVE == TaxJar().mode()
    assert Mode.TEST == TaxJar(base_url="https://api.sandbox.taxjar.com").mode()


# --- TaxJar -------------------------------------------------------------------


def test_taxjar_calculates_by_the_rules_of_today() -> None:
    """A sale on another day than today is refused unsent, as TaxJar uses only today's rules."""
    hub, sandbox = hub_of(taxjar)
    day = datetime.now(UTC).date() - timedelta(days=9)
    with hub, pytest.raises(InvalidData) as excinfo:
        hub.tax().calculate(sale(day=day))
    assert "day" == excinfo.value.field
    assert [] == sandbox.requests


def test_taxjar_records_no_sale_without_a_region() -> None:
    """A sale that TaxJar can calculate but not record is refused before it is recorded."""
    hub, sandbox = hub_of(taxjar)
    with hub:
        calculation = hub.tax().calculate(german_sale())
        assert 0 < calculation.tax.minor
        with pytest.raises(InvalidData) as excinfo:
            hub.tax().record(calculation, idempotency_key="k")
    assert "ship_to" == excinfo.value.field
    assert {} == sandbox.orders


def test_sale_at_taxjar_has_extra_fields() -> None:
    """Fields that moorage has no name for are merged into the request."""
    hub, sandbox = hub_of(taxjar)
    with hub:
        hub.tax().calculate(sale(extra={"taxjar": {"customer_id": "C-7"}}))

    assert "C-7" == sandbox.requests[-1].json()["customer_id"]


def test_an_amount_of_taxjar_is_exact() -> None:
    """If an amount does not divide by the quantity, TaxJar gets a discount for the difference."""
    hub, sandbox = hub_of(taxjar)
    line = TaxLine(id="1", amount=dollars("100.00"), quantity=7)
    with hub:
        calculation = hub.tax().calculate(sale(lines=[line], shipping=None))
        record = hub.tax().record(calculation, idempotency_key="k")
    order = sandbox.orders["INV-2041"]
    assert ("14.29", "0.03") == tuple(
        order["line_items"][0][name] for name in ("unit_price", "discount")
    )
    assert ("100.0", "0.0", "7.0") == tuple(
        order[name] for name in ("amount", "shipping", "sales_tax")
    )
    assert dollars("7.00") == record.tax


def test_lost_sale_is_refused_if_another_sale_has_its_id() -> None:
    """After a lost response, recording a sale is refused if another sale has its id."""
    hub, sandbox = hub_of(taxjar)
    with hub:
        calculation = hub.tax().calculate(sale())
        hub.tax().record(calculation, idempotency_key="k")
        other = hub.tax().calculate(sale(shipping=None))
        sandbox.fail(Lost())
        with pytest.raises(ConnectionFailed):
            hub.tax().record(other, idempotency_key="k2")
        with pytest.raises(VendorRejected):
            hub.tax().record(other, idempotency_key="k2")
    assert ["INV-2041"] == list(sandbox.orders)


def test_sale_with_another_discount_is_no_record_of_this_sale() -> None:
    """An order at TaxJar whose line has a discount is not the record of a sale without it."""
    hub, sandbox = hub_of(taxjar)
    with hub:
        calculation = hub.tax().calculate(sale())
        hub.tax().record(calculation, idempotency_key="k1")
        sandbox.orders["INV-2041"]["line_items"][1]["discount"] = "1.0"
        with pytest.raises(VendorRejected):
            hub.tax().record(calculation, idempotency_key="k2")


def test_the_repeat_of_a_recorded_sale_is_the_same_record() -> None:
    """Recording the same sale under another key returns the existing record."""
    hub, sandbox = hub_of(taxjar)
    with hub:
        calculation = hub.tax().calculate(sale())
        first, second = (hub.tax().record(calculation, idempotency_key=key) for key in ("k1", "k2"))
    assert (first, 1) == (second, len(sandbox.orders))


def test_a_refund_repeats_the_addresses_of_its_order() -> None:
    """A refund sends the addresses, exemption and tax codes of its order again."""
    hub, sandbox = hub_of(taxjar)
    line = TaxLine(id="1", amount=dollars("10.00"), tax_code="20010")
    with hub:
        calculation = hub.tax().calculate(sale(lines=[line]))
        record = hub.tax().record(calculation, idempotency_key="k")
        part = ReversedAmount(amount=dollars("4.00"), tax=dollars("0.28"))
        reversal = TaxReversal(reference="CN/1", day=calculation.sale.day, lines={"1": part})
        result = hub.tax().reverse(record.ref, reversal, idempotency_key="r")
    refund = sandbox.refunds["CN/1"]
    assert dollars("-0.28") == result.tax
    assert ("Ramsey", "Avenel", "INV-2041") == tuple(
        refund[name] for name in ("to_city", "from_city", "transaction_reference_id")
    )
    assert ("-4.0", "0.0", "-0.28") == tuple(
        refund[name] for name in ("amount", "shipping", "sales_tax")
    )
    assert "20010" == refund["line_items"][0]["product_tax_code"]


def test_a_reference_of_something_else_is_refused() -> None:
    """A reference to anything but a recorded sale is refused before sending."""
    hub, sandbox = hub_of(taxjar)
    reversal = TaxReversal(reference="CN-1", day=datetime.now(UTC).date())
    with hub, pytest.raises(InvalidData) as excinfo:
        hub.tax().reverse("taxjar:taxjar:1", reversal, idempotency_key="k")
    assert ("ref", []) == (excinfo.value.field, sandbox.requests)


# --- Avalara ------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields, name",
    [
        ({"reference": "R" * 51}, "reference"),
        ({"lines": [TaxLine(id="L" * 51, amount=dollars("1"))]}, "lines"),
        ({"lines": [TaxLine(id="shipping", amount=dollars("1"))]}, "lines"),
    ],
)
def test_avalara_refuses_text_that_is_too_long_before_sending(
    fields: dict[str, Any], name: str
) -> None:
    """For Avalara, a text that is too long, or the line id `shipping`, is refused unsent."""
    hub, sandbox = hub_of(avalara)
    with hub, pytest.raises(InvalidData) as excinfo:
        hub.tax().calculate(sale(**fields))
    assert (name, []) == (excinfo.value.field, sandbox.requests)


def test_avalara_records_the_whole_tax() -> None:
    """Tax that belongs to no line is recorded at Avalara with the first line."""
    hub, sandbox = hub_of(avalara)
    with hub:
        calculation = attrs.evolve(hub.tax().calculate(sale()), tax=dollars("1.18"))
        record = hub.tax().record(calculation, idempotency_key="k")
    lines = sandbox.requests[-1].json()["lines"]
    assert dollars("1.18") == record.tax
    assert [0.72, 0.35, 0.11] == [line["taxOverride"]["taxAmount"] for line in lines]


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "Saved"},
        {"code": "another"},
        {"currencyCode": "EUR"},
        {"totalTax": 1.17},
        {"totalTax": None},
    ],
)
def test_another_document_of_avalara_is_no_record(fields: dict[str, Any]) -> None:
    """If Avalara's response is about another document or another tax, an error is raised."""
    defaults = {"code": "INV-2041", "status": "Committed", "currencyCode": "USD", "totalTax": 1.16}
    hub, sandbox = hub_of(avalara)
    with hub:
        calculation = hub.tax().calculate(sale())
        sandbox.fail(reply({**defaults, **fields}, 201))
        with pytest.raises(VendorFailed):
            hub.tax().record(calculation, idempotency_key="k")


@pytest.mark.parametrize(
    "fields", [{"type": "ReturnInvoice"}, {"code": "x"}, {"customerVendorCode": None}]
)
def test_avalara_reverses_the_invoice_that_it_read(fields: dict[str, Any]) -> None:
    """Avalara's published test transaction can be reversed.

    An invoice that differs from it cannot be reversed.
    """
    hub, sandbox = hub_of(avalara)
    code = "8f8084cb-d8d4-418a-bdbb-131f7254e09b"
    ref = Ref("avalara", "avalara", code, {"currency": "USD"})
    reversal = TaxReversal(reference="CN-1", day=datetime.now(UTC).date())
    with hub:
        sandbox.fail(irvine_answer(**fields))
        with pytest.raises(VendorFailed):
            hub.tax().reverse(ref, reversal, idempotency_key="k")
        sandbox.fail(irvine_answer())
        record = hub.tax().reverse(ref, reversal, idempotency_key="k2")
    body = sandbox.requests[-1].json()
    assert (dollars("-7.75"), ref) == (record.tax, record.reverses)
    assert ("ABC", code, True) == (body["customerCode"], body["referenceCode"], body["commit"])
    assert [("1", -100, "PS081282", -7.75)] == [
        (line["number"], line["amount"], line["taxCode"], line["taxOverride"]["taxAmount"])
        for line in body["lines"]
    ]


def test_credit_note_at_avalara_repeats_the_fields_of_its_invoice() -> None:
    """A credit note has the buyer, the exemption and the addresses of its invoice."""
    hub, sandbox = hub_of(avalara)
    place = Address(
        line1="Am Kai 1",
        line2="Hof 2",
        line3="Etage 3",
        city="Hamburg",
        region="HH",
        postal_code="20457",
        country="DE",
    )
    fields = {"vat_number": "DE136695976", "exemption": "government", "ship_from": place}
    expected = {
        "businessIdentificationNo": "DE136695976",
        "entityUseCode": "A",
        "addresses": {
            "shipFrom": {
                "line1": "Am Kai 1",
                "line2": "Hof 2",
                "line3": "Etage 3",
                "city": "Hamburg",
                "region": "HH",
                "postalCode": "20457",
                "country": "DE",
            },
            "shipTo": {
                "line1": "63 W Main St",
                "city": "Ramsey",
                "region": "NJ",
                "postalCode": "07446",
                "country": "US",
            },
        },
    }
    with hub:
        record = hub.tax().record(hub.tax().calculate(sale(**fields)), idempotency_key="k")
        invoice = sandbox.requests[-1].json()
        reversal = TaxReversal(reference="CN-1", day=datetime.now(UTC).date())
        hub.tax().reverse(record.ref, reversal, idempotency_key="r")
    note = sandbox.requests[-1].json()

    assert [expected, expected] == [
        {name: body[name] for name in expected} for body in (invoice, note)
    ]


@pytest.mark.parametrize("fields", [{"account": "a:b"}, {"company": ""}, {"company": "C" * 26}])
def test_broken_options_of_avalara(fields: dict[str, str]) -> None:
    """An Avalara account id that is not a number, and a wrong company code, are refused."""
    with pytest.raises(ConfigurationError):
        Avalara(**{"account": "1", "company": "DEFAULT", **fields})


@pytest.mark.parametrize(
    "base_url, mode",
    [
        ("https://rest.avatax.com", Mode.LIVE),
        ("https://sandbox-rest.avatax.com", Mode.TEST),
        ("https://proxy.example", None),
    ],
)
def test_mode_of_avalara(base_url: str, mode: Mode | None) -> None:
    """Avalara's URL decides between test and live mode."""
    assert mode == Avalara(account="1", company="DEFAULT", base_url=base_url).mode()


@pytest.mark.parametrize(
    "tax_field, rate_field, taxable_field, expected",
    [
        ("country_tax_collectable", "country_tax_rate", "country_taxable_amount",
         ("CA", "country", None)),
        ("gst", "gst_tax_rate", "gst_taxable_amount", ("CA", "country", "gst")),
        ("pst", "pst_tax_rate", "pst_taxable_amount", ("QC", "state", "pst")),
        ("qst", "qst_tax_rate", "qst_taxable_amount", ("QC", "state", "qst")),
        ("state_amount", "state_sales_tax_rate", "state_taxable_amount",
         ("QC", "state", "sales_tax")),
        ("county_amount", "county_tax_rate", "county_taxable_amount",
         ("Laval", "county", "sales_tax")),
        ("city_amount", "city_tax_rate", "city_taxable_amount",
         ("Montreal", "city", "sales_tax")),
        ("special_district_amount", "special_tax_rate", "special_district_taxable_amount",
         ("district", "district", "sales_tax")),
        ("special_district_amount", "special_tax_rate", "special_taxable_amount",
         ("district", "district", "sales_tax")),
    ],
)  # fmt: skip
def test_taxjar_part_of_a_line_has_its_jurisdiction(
    tax_field: str, rate_field: str, taxable_field: str, expected: tuple[str, str, str | None]
) -> None:
    """Each group of fields of TaxJar's lines is the tax of one jurisdiction."""
    hub, sandbox = hub_of(taxjar)
    parts = {"tax_collectable": 0.5, tax_field: 0.5, rate_field: 0.05, taxable_field: 10}
    places = {"country": "CA", "state": "QC", "county": "Laval", "city": "Montreal"}
    breakdown = {"line_items": [{"id": "1", **parts}]}
    order = {"order_total_amount": 10, "amount_to_collect": 0.5, "jurisdictions": places}
    line = TaxLine(id="1", amount=dollars("10"))
    with hub:
        sandbox.fail(reply({"tax": {**order, "breakdown": breakdown}}))
        calculation = hub.tax().calculate(sale(lines=[line], shipping=None))

    [part] = calculation.lines[0].jurisdictions
    assert expected == (part.name, part.level, part.kind)
    assert (dollars("0.5"), dollars("10")) == (part.tax, part.taxable)
    assert part.rate == Decimal(5)
