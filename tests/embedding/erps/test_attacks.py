"""The Django and Flask ERPs handle impatient buyers, lost responses, crashes and forgeries.

Each ERP runs in its own processes and is attacked in many ways in a row.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import attrs
import pytest

import moorage
from moorage.contracts.payments import Charge, Money
from moorage.testing.sandboxes.base import SandboxHttpClient, SlowAnswer
from tests.embedding.erps.buyer import Buyer, Form
from tests.embedding.erps.running_erp import RunningErp, running_erp
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from moorage.testing.sandboxes.base import Notice

_NOT_CHARGED = "not been charged"


@contextmanager
def ignoring_keys(site: RunningErp) -> Generator[None]:
    """Make the vendor ignore idempotency keys during the block."""
    site.vendors.behaviours["stripe"].forgetful = True
    try:
        yield
    finally:
        site.vendors.behaviours["stripe"].forgetful = False


def eight_at_once(site: RunningErp, invoice: str) -> None:
    """Eight parallel submits to a vendor without idempotency keys charge once and all succeed."""
    form = site.buyer.get(invoice).form("/pay")
    values, charged_before = form.filled(means="Visa"), site.charged
    buyers = [Buyer(site.erp.url, site.buyer.cookies) for _ in range(8)]
    site.vendors.stripe.fail(SlowAnswer(0.3))
    with ignoring_keys(site), ThreadPoolExecutor(8) as tabs:
        pages = list(tabs.map(lambda buyer: buyer.post(form, values), buyers))

    assert [200] * 8 == [page.status for page in pages]
    assert all("It is paid" in page.text for page in pages)
    assert charged_before + 1 == site.charged


def late_response(site: RunningErp) -> None:
    """A charge whose response is lost stays unknown until a look-up, and is made once."""
    form = site.buyer.get("/hasty/invoices/hasty-1/").form("/pay")
    buyer, charged_before = Buyer(site.erp.url, site.buyer.cookies), site.charged
    with ignoring_keys(site):
        site.vendors.stripe.fail(SlowAnswer(site.patience["hasty"] + 1.0))
        first = buyer.post(form, form.filled(means="Visa"))
        second = buyer.post(form, form.filled(means="Visa"))
        assert "do not know yet" in first.text
        assert "do not know yet" in second.text
        assert not any(form.endswith("/pay") for form in second.forms)
        assert charged_before + 1 == site.charged

        wait_until(lambda: "It is paid" in buyer.post(second.form("/look-up")).text, "payment")

    assert charged_before + 1 == site.charged
    assert not any(_NOT_CHARGED in page.text for page in buyer.seen)


def rollback(site: RunningErp) -> None:
    """After the host's rollback no mail is sent, and repeating the payment sends no request."""
    form = site.buyer.get("/brisk/invoices/brisk-1/").form("/pay")
    buyer = Buyer(site.erp.url, site.buyer.cookies)
    charged_before = site.charged
    with site.reject_payments():
        page = buyer.post(form, form.filled(means="Visa"))
        assert 500 == page.status
        assert "do not know yet" in page.text
        assert charged_before + 1 == site.charged
        site.run_worker()
        assert "Receipt brisk-1" not in site.mailed
    count = len(site.vendors.stripe.requests)

    page = buyer.post(form, form.filled(means="Visa"))

    assert "It is paid" in page.text
    assert count == len(site.vendors.stripe.requests)
    assert not any(_NOT_CHARGED in page.text for page in buyer.seen)


def double_clicks(site: RunningErp) -> None:
    """Reloading, a second tab or submitting a form twice charges the buyer once."""
    buyer, charged_before = site.buyer, site.charged
    tabs = [buyer.get("/acme/invoices/A-1004/").form("/pay") for _ in range(2)]
    pages = [buyer.post(form, form.filled(means="4242")) for form in (*tabs, tabs[0])]

    assert all("It is paid" in page.text for page in pages)
    assert charged_before + 1 == site.charged


def webhooks(site: RunningErp) -> None:
    """A payment's webhook is recorded once, however often it is sent; forgeries are refused."""
    page = site.buyer.pay("/acme/invoices/A-1003/", "slow bank")
    assert "under way" in page.text
    sent_count = len(site.vendors.stripe.sent)
    site.vendors.stripe.arrive(list(site.vendors.stripe.intents)[-1])
    result = site.vendors.stripe.sent[sent_count:]

    forged_notice = attrs.evolve(result[-1], headers={"Stripe-Signature": "t=1,v1=made-up"})
    changed_notice = attrs.evolve(result[-1], body=result[-1].body.replace(b"245000", b"1"))
    assert {400, 401, 403} >= {deliver(forged_notice), deliver(changed_notice)}
    assert [200] * 3 == [deliver(item) for item in (result[-1], result[-1], result[0])]
    with site.reject_payments():
        site.run_worker()  # the handler of this webhook fails
        assert "under way" in site.buyer.get("/acme/invoices/A-1003/").text

    waiting = site.replay()

    assert waiting
    assert "It is paid" in site.buyer.get("/acme/invoices/A-1003/").text
    site.run_worker()
    assert 1 == site.mailed.count("Receipt A-1003")
    assert 1 == site.mailed.count("Receipt brisk-1")  # its transaction was rolled back once
    site.vendors.stripe.emit_event("invented.lately", {"id": "x_1", "object": "invention"})
    assert 200 == deliver(site.vendors.stripe.sent[-1])


def another_amount(site: RunningErp) -> None:
    """If less was paid than requested, an operator decides, and the invoice stays unpaid."""
    invoice = "/acme/invoices/A-1009/"
    assert "under way" in site.buyer.pay(invoice, "slow bank").text
    sent_count, intents = len(site.vendors.stripe.sent), site.vendors.stripe.intents
    last_intent = list(intents)[-1]
    intents[last_intent]["amount"] -= 1
    site.vendors.stripe.arrive(last_intent)
    assert {200} == {deliver(notice) for notice in site.vendors.stripe.sent[sent_count:]}
    site.run_worker()

    assert "under way" in site.buyer.get(invoice).text
    assert site.replay()
    assert "under way" in site.buyer.get(invoice).text
    assert "Receipt A-1009" not in site.mailed


def database_restart(site: RunningErp) -> None:
    """After the database has closed all connections, the next pages and payments succeed."""
    site.close_connections()

    for _ in range(4):  # the server has several workers
        assert 200 == site.buyer.get("/acme/customers/").status
    site.close_connections()
    charged_before = site.charged
    assert "It is paid" in site.buyer.pay("/acme/invoices/A-1008/", "4242").text
    assert charged_before + 1 == site.charged


def busy_vendor(site: RunningErp) -> None:
    """If the vendor is busy, the page says that nothing was charged, and a retry pays."""
    vendors = Buyer(site.vendors.control_page.url)
    trouble = next(iter(vendors.get("/").forms.values()))
    charged_before = site.charged
    vendors.post(trouble, {"vendor": "stripe", "fault": "busy"})
    page = site.buyer.pay("/brisk/invoices/brisk-3/", "Visa")
    assert "have not been charged" in page.text
    assert "1" == page.form("/pay").fields["attempt"]
    assert charged_before == site.charged

    vendors.post(trouble, {"vendor": "stripe", "fault": "none"})
    form = page.form("/pay")
    repeated_form = form.filled(means="Visa")
    wait_until(lambda: "It is paid" in site.buyer.post(form, repeated_form).text, "payment")
    assert charged_before + 1 == site.charged


def other_payment_method(site: RunningErp) -> None:
    """After a definite rejection the buyer can use another payment method.

    The old form has no effect.
    """
    behaviour, stripe, charged_before = (
        site.vendors.behaviours["stripe"],
        site.vendors.stripe,
        site.charged,
    )
    form = site.buyer.get("/acme/invoices/A-1005/").form("/pay")
    behaviour.set_fault("busy")
    page = site.buyer.post(form, form.filled(means="insufficient funds"))
    assert "have not been charged" in page.text
    behaviour.set_fault("none")

    page = site.buyer.post(form, form.filled(means="4242"))
    wait_until(lambda: paid_with(site, "/acme/invoices/A-1005/", "4242"), "payment")

    assert "It is paid" in site.buyer.post(form, form.filled(means="insufficient funds")).text
    assert charged_before + 1 == site.charged
    assert "pm_card_visa" == list(stripe.intents.values())[-1]["payment_method"]


def paid_with(site: RunningErp, invoice: str, payment_method: str) -> bool:
    """Try to pay an unpaid invoice with a payment method, and return whether it is paid."""
    page = site.buyer.get(invoice)
    if any(form.endswith("/pay") for form in page.forms):
        page = site.buyer.pay(invoice, payment_method)
    return "It is paid" in page.text


def forged_forms(site: RunningErp) -> None:
    """Forms from other sites, with others' payment methods or malformed URLs, have no effect."""
    invoice, request = "/acme/invoices/A-1006/", len(site.vendors.stripe.requests)
    form = site.buyer.get(invoice).form("/pay")
    foreign_means = (
        site.buyer.get("/globex/invoices/G-2001/").form("/pay").filled(means="1111")["means"]
    )
    good_form = form.filled(means="4242")
    for name in ("attempt", "means"):
        for text in ("", "abc", "-1", "²", "1\0", "9" * 20):
            page = site.buyer.post(form, {**good_form, name: text})
            assert (200, True) == (page.status, "State due" in page.text), (name, text)
    assert "State due" in site.buyer.post(form, {**good_form, "means": foreign_means}).text
    token = next(name for name in good_form if "token" in name)
    assert 403 == site.buyer.post(form, {**good_form, token: "ü"}).status
    for path in (
        *(f"{invoice}back/{'9' * 20}/", f"/acme/customers/{'9' * 20}/"),
        *("/%00/", "/acme/invoices/%00/", "/%00/log/", "/nobody/bank/back"),
    ):
        assert 404 == site.buyer.get(path).status
    assert request == len(site.vendors.stripe.requests)


def foreign_payments(site: RunningErp) -> None:
    """Payments of other programs at the same vendor change nothing, even with equal references."""
    page = site.buyer.pay("/acme/invoices/A-1007/", "the bank asks")
    mollie, stripe = site.vendors.mollie, site.vendors.stripe
    count = len(stripe.sent)
    accounts = {
        "stripe": {"credentials": stripe.api_key},
        "mollie": {"credentials": mollie.api_key, "webhook_url": mollie.webhook_url},
    }
    configuration = {
        "vendors": {name: {**account, "volatile_keys": True} for name, account in accounts.items()},
        "tenants": {f"of-{name}": {"payments": {"vendor": name}} for name in accounts},
    }
    words = ("order-abc", "order-²", f"A-1007-{'9' * 20}", "A-1007-01", "A-1007", "-", "A-1008-1")
    with moorage.open(configuration, http=SandboxHttpClient(stripe, mollie)) as hub:
        for place, word in enumerate(words):
            charge = Charge(Money("1.00", "EUR"), "pm_card_visa", reference=word)
            hub.payments("of-stripe").charge(charge, idempotency_key=f"s-{place}")
        charge = Charge(
            Money("1.00", "EUR"), "tkn_visa", reference="A-1007-1", return_url="http://127.0.0.1/"
        )
        hub.payments("of-mollie").charge(charge, idempotency_key="m-1")
    sent_notices = [*stripe.sent[count:], mollie.sent[-1]]

    assert {200} == {deliver(notice) for notice in sent_notices}
    site.run_worker()

    assert 0 == site.replay()
    assert "State waiting" in site.buyer.get("/acme/invoices/A-1007/").text
    assert "State due" in site.buyer.get("/acme/invoices/A-1008/").text
    assert page.url.startswith(site.vendors.control_page.url)


def webhook_of_a_lost_response(site: RunningErp) -> None:
    """The ERP's reference matches the webhook to a payment whose response was lost."""
    charged_before, sent_count = site.charged, len(site.vendors.stripe.sent)
    site.vendors.stripe.fail(SlowAnswer(site.patience["brisk"] + 2.0))
    page = site.buyer.pay("/brisk/invoices/brisk-4/", "Visa")
    assert "do not know yet" in page.text
    reports = [
        attrs.evolve(notice, url=notice.url.replace("stripe", "brisk"))
        for notice in site.vendors.stripe.sent[sent_count:]
    ]
    assert {200} == {deliver(notice) for notice in reports}
    site.run_worker()

    assert "It is paid" in site.buyer.get("/brisk/invoices/brisk-4/").text
    assert charged_before + 1 == site.charged


def crash(site: RunningErp) -> None:
    """After a crash between charge and commit, there is one charge and no stuck payment.

    The ERP restarts with another vendor for one tenant; open payments stay at the old vendor.
    """
    buyer = Buyer(site.erp.url, site.buyer.cookies)
    bank = buyer.pay("/acme/invoices/A-1001/", "the bank asks").url
    assert bank.startswith(site.vendors.control_page.url)
    form, charged_before = buyer.get("/brisk/invoices/brisk-2/").form("/pay"), site.charged
    site.vendors.stripe.fail(SlowAnswer(0.8))
    with ThreadPoolExecutor() as tab:
        paying = tab.submit(buyer.post, form, form.filled(means="Visa"))
        wait_until(lambda: site.charged > charged_before, "charge")
        site.erp.kill()
        assert paying.exception() is not None
    start_time = time.monotonic()
    site.route("acme", "stripe", "mollie")
    site.erp.serve(site.vendors)

    page = buyer.get("/brisk/invoices/brisk-2/")
    assert "do not know yet" in page.text
    assert not any(form.endswith("/pay") for form in page.forms)
    assert "It is paid" in buyer.post(Form(bank), {"answer": "confirm"}).text
    assert "It is paid" in buyer.pay("/acme/invoices/A-1002/", "1111").text
    mollie_payments = [
        (payment["status"], payment["amount"]["value"])
        for payment in site.vendors.mollie.payments.values()
    ]
    assert [("paid", "1.00"), ("paid", "20.00")] == mollie_payments  # a stranger's, and ours
    assert charged_before + 2 == site.charged

    time.sleep(max(0, site.lease - (time.monotonic() - start_time)))
    page = buyer.post(page.form("/look-up"))

    assert "It is paid" in page.text
    assert charged_before + 2 == site.charged
    assert not any(_NOT_CHARGED in page.text for page in buyer.seen)


ATTACKS: Final = (
    double_clicks,
    busy_vendor,
    other_payment_method,
    forged_forms,
    foreign_payments,
    late_response,
    webhook_of_a_lost_response,
    rollback,
    webhooks,
    another_amount,
    database_restart,
    crash,
)


@pytest.mark.parametrize("postgresql", [False, True], ids=["sqlite", "postgresql"])
@pytest.mark.parametrize("name", ["django", "flask"])
def test_erp_withstands_attacks(name: str, tmp_path: Path, *, postgresql: bool) -> None:
    """Under every attack, money is taken only once.

    No page states an outcome that is not proven.
    """
    with running_erp(name, tmp_path, postgresql=postgresql) as erp:
        eight_at_once(erp, "/amnesia/invoices/amnesia-1/")
        for attack in ATTACKS:
            attack(erp)


def test_asgi_server_withstands_parallel_submits(tmp_path: Path) -> None:
    """Under ASGI with two processes, eight parallel submits charge once."""
    with running_erp("django", tmp_path, kind="asgi") as erp:
        eight_at_once(erp, "/amnesia/invoices/amnesia-1/")
        double_clicks(erp)


def deliver(notice: Notice) -> int:
    """Send a webhook and return the status of the response."""
    place = urlsplit(notice.url)
    connection = HTTPConnection(place.netloc, timeout=120)
    try:
        connection.request("POST", f"{place.path}?{place.query}", notice.body, dict(notice.headers))
        return connection.getresponse().status
    finally:
        connection.close()
