"""Both ERPs under attack: by impatient buyers, vendors that lose answers, crashes and forgers.

Each ERP runs as processes of its own, and is attacked in many ways one after another.
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
from moorage.testing.sandboxes.base import SandboxHttpClient, Slow
from tests.embedding.erps.buyer import Buyer, Form
from tests.embedding.erps.house import LEASE, House, house
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from moorage.testing.sandboxes.base import Notice

_NOT_CHARGED = "not been charged"


@contextmanager
def forgetting(house: House) -> Generator[None]:
    """Let the vendor take no notice of keys."""
    house.street.doors["stripe"].forgetful = True
    try:
        yield
    finally:
        house.street.doors["stripe"].forgetful = False


def eight_at_once(house: House, invoice: str) -> None:
    """Eight submits at once, at a vendor that ignores keys: one charge, and eight good pages."""
    form = house.buyer.get(invoice).form("/pay")
    values, before = form.filled(means="Visa"), house.charged
    buyers = [Buyer(house.erp.url, house.buyer.cookies) for _ in range(8)]
    house.street.stripe.fail(Slow(0.3))
    with forgetting(house), ThreadPoolExecutor(8) as tabs:
        pages = list(tabs.map(lambda buyer: buyer.post(form, values), buyers))

    assert [200] * 8 == [page.status for page in pages]
    assert all("It is paid" in page.text for page in pages)
    assert before + 1 == house.charged


def an_answer_after_the_timeout(house: House) -> None:
    """Money taken without an answer is unknown, until a look-up settles it; one charge."""
    form = house.buyer.get("/hasty/invoices/hasty-1/").form("/pay")
    buyer, before = Buyer(house.erp.url, house.buyer.cookies), house.charged
    with forgetting(house):
        house.street.stripe.fail(Slow(3.0))
        first = buyer.post(form, form.filled(means="Visa"))
        second = buyer.post(form, form.filled(means="Visa"))
        assert "do not know yet" in first.text
        assert "do not know yet" in second.text
        assert not any(form.endswith("/pay") for form in second.forms)
        assert before + 1 == house.charged

        wait_until(lambda: "It is paid" in buyer.post(second.form("/look-up")).text, "payment")

    assert before + 1 == house.charged
    assert not any(_NOT_CHARGED in page.text for page in buyer.seen)


def a_roll_back(house: House) -> None:
    """The host rolls back after the charge: no mail goes out, and a repeat asks no vendor."""
    form = house.buyer.get("/brisk/invoices/brisk-1/").form("/pay")
    buyer = Buyer(house.erp.url, house.buyer.cookies)
    before = house.charged
    with house.no_room():
        page = buyer.post(form, form.filled(means="Visa"))
        assert 500 == page.status
        assert "do not know yet" in page.text
        assert before + 1 == house.charged
        house.office()
        assert "Receipt brisk-1" not in house.mailed
    count = len(house.street.stripe.asked)

    page = buyer.post(form, form.filled(means="Visa"))

    assert "It is paid" in page.text
    assert count == len(house.street.stripe.asked)
    assert not any(_NOT_CHARGED in page.text for page in buyer.seen)


def double_clicks(house: House) -> None:
    """A refresh, a second tab and a form that is sent once more charge nobody again."""
    buyer, before = house.buyer, house.charged
    tabs = [buyer.get("/acme/invoices/A-1004/").form("/pay") for _ in range(2)]
    pages = [buyer.post(form, form.filled(means="4242")) for form in (*tabs, tabs[0])]

    assert all("It is paid" in page.text for page in pages)
    assert before + 1 == house.charged


def webhooks(house: House) -> None:
    """A payment arrives by webhook once, however often it is told; nobody can make that up."""
    page = house.buyer.pay("/acme/invoices/A-1003/", "slow bank")
    assert "under way" in page.text
    sent = len(house.street.stripe.sent)
    house.street.stripe.arrive(list(house.street.stripe.intents)[-1])
    result = house.street.stripe.sent[sent:]

    forged = attrs.evolve(result[-1], headers={"Stripe-Signature": "t=1,v1=made-up"})
    changed = attrs.evolve(result[-1], body=result[-1].body.replace(b"245000", b"1"))
    assert {400, 401, 403} >= {deliver(forged), deliver(changed)}
    assert [200] * 3 == [deliver(item) for item in (result[-1], result[-1], result[0])]
    with house.no_room():
        house.office()  # where the handler fails
        assert "under way" in house.buyer.get("/acme/invoices/A-1003/").text

    waiting = house.replay()

    assert waiting
    assert "It is paid" in house.buyer.get("/acme/invoices/A-1003/").text
    house.office()
    assert 1 == house.mailed.count("Receipt A-1003")
    assert 1 == house.mailed.count("Receipt brisk-1")  # which was rolled back once
    house.street.stripe.tell("invented.lately", {"id": "x_1", "object": "invention"})
    assert 200 == deliver(house.street.stripe.sent[-1])


def another_amount(house: House) -> None:
    """News that tell of less than was asked book nothing as paid; they wait for a person."""
    invoice = "/acme/invoices/A-1009/"
    assert "under way" in house.buyer.pay(invoice, "slow bank").text
    sent, intents = len(house.street.stripe.sent), house.street.stripe.intents
    last = list(intents)[-1]
    intents[last]["amount"] -= 1
    house.street.stripe.arrive(last)
    assert {200} == {deliver(notice) for notice in house.street.stripe.sent[sent:]}
    house.office()

    assert "under way" in house.buyer.get(invoice).text
    assert house.replay()
    assert "under way" in house.buyer.get(invoice).text
    assert "Receipt A-1009" not in house.mailed


def a_busy_vendor(house: House) -> None:
    """Where certainly nothing was done the buyer is told so, and the same attempt pays later."""
    vendors = Buyer(house.street.office.url)
    trouble = next(iter(vendors.get("/").forms.values()))
    before = house.charged
    vendors.post(trouble, {"vendor": "stripe", "how": "busy"})
    page = house.buyer.pay("/brisk/invoices/brisk-3/", "Visa")
    assert "have not been charged" in page.text
    assert "1" == page.form("/pay").fields["attempt"]
    assert before == house.charged

    vendors.post(trouble, {"vendor": "stripe", "how": "well"})
    form = page.form("/pay")
    again = form.filled(means="Visa")
    wait_until(lambda: "It is paid" in house.buyer.post(form, again).text, "payment")
    assert before + 1 == house.charged


def other_means(house: House) -> None:
    """Where nothing was done, whoever chooses other means pays with those; an old form does not."""
    door, stripe, before = house.street.doors["stripe"], house.street.stripe, house.charged
    form = house.buyer.get("/acme/invoices/A-1005/").form("/pay")
    door.trouble("busy")
    page = house.buyer.post(form, form.filled(means="which is empty"))
    assert "have not been charged" in page.text
    door.trouble("well")

    page = house.buyer.post(form, form.filled(means="4242"))
    wait_until(lambda: paid_with(house, "/acme/invoices/A-1005/", "4242"), "payment")

    assert "It is paid" in house.buyer.post(form, form.filled(means="which is empty")).text
    assert before + 1 == house.charged
    assert "pm_card_visa" == list(stripe.intents.values())[-1]["payment_method"]


def paid_with(house: House, invoice: str, means: str) -> bool:
    """Try to pay, if it is not paid, and tell whether it is."""
    page = house.buyer.get(invoice)
    if any(form.endswith("/pay") for form in page.forms):
        page = house.buyer.pay(invoice, means)
    return "It is paid" in page.text


def made_up_forms(house: House) -> None:
    """What no page of ours would send does nothing, and frightens nobody; so do others' means."""
    invoice, request = "/acme/invoices/A-1006/", len(house.street.stripe.asked)
    form = house.buyer.get(invoice).form("/pay")
    others = house.buyer.get("/globex/invoices/G-2001/").form("/pay").filled(means="1111")["means"]
    good = form.filled(means="4242")
    for name in ("attempt", "means"):
        for text in ("", "abc", "-1", "²", "1\0", "9" * 20):
            page = house.buyer.post(form, {**good, name: text})
            assert (200, True) == (page.status, "State due" in page.text), (name, text)
    assert "State due" in house.buyer.post(form, {**good, "means": others}).text
    token = next(name for name in good if "token" in name)
    assert 403 == house.buyer.post(form, {**good, token: "ü"}).status
    for path in (f"{invoice}back/{'9' * 20}/", f"/acme/customers/{'9' * 20}/"):
        assert 404 == house.buyer.get(path).status
    assert request == len(house.street.stripe.asked)


def strangers(house: House) -> None:
    """Payments of others at the same vendors change nothing, whatever they call themselves."""
    page = house.buyer.pay("/acme/invoices/A-1007/", "the bank asks")
    mollie, stripe = house.street.mollie, house.street.stripe
    count = len(stripe.sent)
    accounts = {
        "stripe": {"credentials": stripe.api_key},
        "mollie": {"credentials": mollie.api_key, "webhook_url": mollie.webhook_url},
    }
    configuration = {
        "vendors": {name: {**one, "volatile_keys": True} for name, one in accounts.items()},
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
    sent = [*stripe.sent[count:], mollie.sent[-1]]

    assert {200} == {deliver(notice) for notice in sent}
    house.office()

    assert 0 == house.replay()
    assert "State waiting" in house.buyer.get("/acme/invoices/A-1007/").text
    assert "State due" in house.buyer.get("/acme/invoices/A-1008/").text
    assert page.url.startswith(house.street.office.url)


def news_of_what_was_lost(house: House) -> None:
    """A payment whose answer was lost is found by what we called it, when its webhook comes."""
    before, sent = house.charged, len(house.street.stripe.sent)
    house.street.stripe.fail(Slow(5.0))
    page = house.buyer.pay("/brisk/invoices/brisk-4/", "Visa")
    assert "do not know yet" in page.text
    reports = [
        attrs.evolve(notice, url=notice.url.replace("stripe", "brisk"))
        for notice in house.street.stripe.sent[sent:]
    ]
    assert {200} == {deliver(notice) for notice in reports}
    house.office()

    assert "It is paid" in house.buyer.get("/brisk/invoices/brisk-4/").text
    assert before + 1 == house.charged


def a_crash(house: House) -> None:
    """Killed between the vendor's acceptance and the commit: one charge, and nothing is stuck.

    It comes up again with another vendor for a tenant, by one line of its configuration: what was
    open there ends where it began.
    """
    buyer = Buyer(house.erp.url, house.buyer.cookies)
    bank = buyer.pay("/acme/invoices/A-1001/", "the bank asks").url
    assert bank.startswith(house.street.office.url)
    form, before = buyer.get("/brisk/invoices/brisk-2/").form("/pay"), house.charged
    house.street.stripe.fail(Slow(0.8))
    with ThreadPoolExecutor() as tab:
        paying = tab.submit(buyer.post, form, form.filled(means="Visa"))
        wait_until(lambda: house.charged > before, "charge")
        house.erp.kill()
        assert paying.exception() is not None
    began = time.monotonic()
    house.route("acme", "stripe", "mollie")
    house.erp.serve(house.street)

    page = buyer.get("/brisk/invoices/brisk-2/")
    assert "do not know yet" in page.text
    assert not any(form.endswith("/pay") for form in page.forms)
    assert "It is paid" in buyer.post(Form(bank), {"answer": "confirm"}).text
    assert "It is paid" in buyer.pay("/acme/invoices/A-1002/", "1111").text
    taken = [
        (payment["status"], payment["amount"]["value"])
        for payment in house.street.mollie.payments.values()
    ]
    assert [("paid", "1.00"), ("paid", "20.00")] == taken  # a stranger's, and ours
    assert before + 2 == house.charged

    time.sleep(max(0, LEASE - (time.monotonic() - began)))
    page = buyer.post(page.form("/look-up"))

    assert "It is paid" in page.text
    assert before + 2 == house.charged
    assert not any(_NOT_CHARGED in page.text for page in buyer.seen)


ATTACKS: Final = (
    double_clicks,
    a_busy_vendor,
    other_means,
    made_up_forms,
    strangers,
    an_answer_after_the_timeout,
    news_of_what_was_lost,
    a_roll_back,
    webhooks,
    another_amount,
    a_crash,
)


@pytest.mark.parametrize("postgresql", [False, True], ids=["sqlite", "postgresql"])
@pytest.mark.parametrize("name", ["django", "flask"])
def test_an_erp_withstands(name: str, tmp_path: Path, *, postgresql: bool) -> None:
    """Whatever happens, money is taken once, and no page says what is not known."""
    with house(name, tmp_path, postgresql=postgresql) as attacked:
        eight_at_once(attacked, "/amnesia/invoices/amnesia-1/")
        for attack in ATTACKS:
            attack(attacked)


def test_an_awaited_server_withstands(tmp_path: Path) -> None:
    """Under ASGI, with two processes, eight submits at once charge once too."""
    with house("django", tmp_path, kind="asgi") as attacked:
        eight_at_once(attacked, "/amnesia/invoices/amnesia-1/")
        double_clicks(attacked)


def deliver(notice: Notice) -> int:
    """Send a webhook, and tell the status of the answer."""
    place = urlsplit(notice.url)
    connection = HTTPConnection(place.netloc, timeout=20)
    try:
        connection.request("POST", f"{place.path}?{place.query}", notice.body, dict(notice.headers))
        return connection.getresponse().status
    finally:
        connection.close()
