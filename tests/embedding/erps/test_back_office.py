"""Electronic invoices, contracts, VAT numbers, bank accounts and orders in both ERPs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from back_office.calls import outcome_of

from moorage import ConnectionFailed, IdempotencyInProgress, RateLimitExceeded
from moorage.errors import InvalidRequest, OutcomeUnknown
from moorage.testing.sandboxes.base import Lost
from tests.embedding.erps.buyer import Buyer, Page
from tests.embedding.erps.running_erp import RunningErp, running_erp
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

CHARLES = "/acme/customers/2/"


def click(shop: RunningErp, path: str, ending: str) -> Page:
    """Open a page, and submit the form whose target address has this ending."""
    return shop.buyer.post(shop.buyer.get(path).form(ending))


def sends_an_electronic_invoice_once(shop: RunningErp) -> None:
    """An electronic invoice is sent once, even if its form is sent twice, or in two tabs."""
    form = shop.buyer.get("/acme/invoices/A-1004/").form("/e-invoice")
    first = shop.buyer.post(form)
    second = Buyer(shop.erp.url, shop.buyer.cookies).post(form)

    assert "It was delivered." in first.text
    assert "It was delivered." in second.text
    assert 1 == len(shop.vendors.recommand.deliveries())
    assert "It was delivered." in click(shop, "/acme/invoices/A-1004/", "/e-invoice/state").text
    ada = shop.buyer.get("/acme/invoices/A-1001/")
    assert "Ada Lovelace has no electronic address" in ada.text
    assert not any(action.endswith("/e-invoice") for action in ada.forms)


def keeps_a_lost_invoice_unknown(shop: RunningErp) -> None:
    """An electronic invoice whose response is lost is not sent again, whatever the user clicks."""
    sent_before = len(shop.vendors.recommand.deliveries())
    form = shop.buyer.get("/acme/invoices/A-1003/").form("/e-invoice")
    shop.vendors.recommand.fail(Lost())
    first, second = shop.buyer.post(form), shop.buyer.post(form)

    assert "do not know whether it arrived" in first.text
    assert "do not know whether it arrived" in second.text
    assert not any("/e-invoice" in action for action in second.forms)
    assert sent_before + 1 == len(shop.vendors.recommand.deliveries())


def has_a_contract_signed(shop: RunningErp) -> None:
    """A declined contract can be sent again, and the signed one is downloaded."""
    assert "is waiting for the signature" in click(shop, CHARLES, "/contract").text
    (first,) = shop.vendors.docusign.envelopes
    shop.vendors.sign(first, agrees=False)
    declined = click(shop, CHARLES, "/contract/state")
    assert "The signature was declined. It is too expensive." in declined.text

    shop.buyer.post(declined.form("/contract"))
    _, second = shop.vendors.docusign.envelopes
    shop.vendors.sign(second, agrees=True)

    def is_signed() -> bool:
        shop.run_worker()
        return "It is signed." in shop.buyer.get(CHARLES).text

    wait_until(is_signed, "the webhook of the signature")
    assert 2 == len(shop.vendors.docusign.envelopes)
    assert shop.buyer.get(f"{CHARLES}contract.pdf").source.startswith("%PDF-")


def checks_a_vat_number(shop: RunningErp) -> None:
    """A VAT number check shows its proof; outages and typos are not reported as "not in use"."""

    def check(number: str) -> str:
        form = shop.buyer.get(CHARLES).form("/vat-number")
        return shop.buyer.post(form, {**form.fields, "number": number}).text

    assert "FR40303265045 is in use by QUAI SARL. Proof WAPI" in check("fr 40 303 265 045")
    assert "EL123456789 is not in use." in check("EL123456789")
    assert "This is not a VAT number." in check("DE 12345")
    shop.vendors.behaviours["vies"].set_fault("down")
    assert "The register did not answer." in check("FR40303265045")
    shop.vendors.behaviours["vies"].set_fault("none")
    assert "FR40303265045 is in use by" in check("FR40303265045")


def matches_the_bank_account(shop: RunningErp) -> None:
    """Bank transactions mark the invoices that they mention as paid.

    Other transactions are left to an operator.
    """
    bank_page = click(shop, "/acme/bank/", "/bank/connect")
    assert bank_page.url.startswith(shop.vendors.control_page.url)
    (form,) = bank_page.forms.values()
    assert "The account is connected." in shop.buyer.post(form, {"answer": "confirm"}).text

    read = click(shop, "/acme/bank/", "/bank/read")
    second_page = click(shop, "/acme/bank/", "/bank/read")
    assert "pays A-1004" in read.text
    assert 2 == read.text.count("needs review")
    assert read.text == second_page.text
    paid = shop.buyer.get("/acme/invoices/A-1004/")
    assert not any(action.endswith("/pay") for action in paid.forms)

    (consent,) = shop.vendors.berlin_group.consents
    shop.vendors.berlin_group.expire(consent)
    page = click(shop, "/acme/bank/", "/bank/read")
    assert "The consent has ended." in page.text
    assert any(action.endswith("/bank/connect") for action in page.forms)


def imports_orders_once(shop: RunningErp) -> None:
    """An order is imported once, though the shop reports it twice and the button is clicked."""
    order = shop.vendors.order()

    def is_imported() -> bool:
        shop.run_worker()
        return order in shop.buyer.get("/acme/orders/").text

    wait_until(is_imported, "the webhooks of the order")
    later_order = shop.vendors.woocommerce.add_order(1)
    for _ in range(2):
        page = click(shop, "/acme/orders/", "/orders/import")
        assert (1, 1) == (page.text.count(order), page.text.count(later_order))
    assert "no shop" in shop.buyer.get("/globex/orders/").text
    assert "no bank" in shop.buyer.get("/globex/bank/").text


def drafts_replies_within_the_budget(shop: RunningErp) -> None:
    """A reply is drafted once for two clicks; without a model or tokens, the page says so."""
    models = shop.vendors.anthropic

    def draft(message: str) -> Page:
        form = shop.buyer.get("/globex/messages/").form("/messages/draft")
        return shop.buyer.post(form, {**form.fields, "message": message})

    def tokens_left(page: Page) -> int:
        shown = re.search(r"Tokens left today: (\d+)\.", page.text)
        assert shown is not None, page.text
        return int(shown[1])

    assert 20_000 == tokens_left(shop.buyer.get("/globex/messages/"))
    first = draft("Where is my <lamp>?")
    assert "You wrote: Where is my <lamp>?" in first.text
    assert 20_000 - 100 < tokens_left(first) < 20_000
    assert 20_000 == tokens_left(shop.buyer.get("/acme/messages/"))

    models.fail(Lost())
    assert "You wrote: And my chair?" in draft("And my chair?").text
    assert tokens_left(shop.buyer.get("/globex/messages/")) < 20_000 - 400
    assert "No draft was written." in draft("Please refuse this.").text
    shop.vendors.behaviours["anthropic"].set_fault("busy")
    assert "No draft was written." in draft("Hello?").text
    shop.vendors.behaviours["anthropic"].set_fault("none")

    page = first
    while "Too few of today's tokens are left" not in page.text:
        assert tokens_left(page) > 2_000
        page = draft("x" * 1_990)
    assert tokens_left(page) < 3_000
    request_count = len(models.requests)
    assert "Too few of today's tokens are left" in draft("x" * 1_990).text
    assert request_count == len(models.requests)


@pytest.mark.parametrize("name", ["django", "flask"])
def test_each_erp_processes_documents_and_orders_once(name: str, tmp_path: Path) -> None:
    """Each ERP processes invoices, contracts, payments and orders once, even if repeated."""
    with running_erp(name, tmp_path) as shop:
        for way in (
            sends_an_electronic_invoice_once,
            keeps_a_lost_invoice_unknown,
            has_a_contract_signed,
            checks_a_vat_number,
            matches_the_bank_account,
            imports_orders_once,
            drafts_replies_within_the_budget,
        ):
            way(shop)
        assert {200} == {page.status for page in shop.buyer.seen}


@pytest.mark.parametrize(
    "error, state",
    [
        (OutcomeUnknown("Lost."), "unknown"),
        (IdempotencyInProgress("Busy."), "open"),
        (InvalidRequest("No.", vendor_message="The address is wrong."), "refused"),
        (ConnectionFailed("Cut off."), "unknown"),
        (ConnectionFailed("Down.", may_have_been_processed=False), "not_sent"),
        (RateLimitExceeded("Later."), "not_sent"),
    ],
)
def test_document_counts_as_unsent_only_if_it_certainly_was_not_sent(
    error: Exception, state: str
) -> None:
    """A document is treated as unsent only if it certainly was not sent."""

    def send() -> None:
        raise error

    assert state == outcome_of(send).state
