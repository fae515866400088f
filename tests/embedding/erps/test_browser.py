"""The Django and Flask ERPs in a real browser: mouse, keyboard, small screen, dark mode."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from moorage.testing.sandboxes.base import SlowAnswer
from tests.embedding.erps.running_erp import BANK_LINES, RunningErp, running_erp
from tests.support.browser import ENTER, SPACE, TAB, Browser, open_browser

if TYPE_CHECKING:
    from collections.abc import Callable

PICTURES: Final = Path(__file__).parents[3] / "build" / "erps"


def by_mouse(shop: RunningErp, window: Browser, keep: Callable[[str], None]) -> None:
    """By mouse, an invoice is paid, shipped and mailed, and the log lists the calls."""
    window.open(shop.erp.url)
    keep("companies")
    window.click("a", "ACME")
    assert window.reads("A-1001")
    keep("invoices")
    window.click("a", "A-1001")
    assert window.reads("Pay with")
    keep("due")
    window.click("label", "which is empty")
    window.click("button", "Pay")
    assert window.reads("lack of funds")
    keep("declined")

    window.click("label", "the bank asks")
    window.click("button", "Pay")
    assert window.reads("Confirm the payment")
    keep("bank")
    window.click("button", "Confirm")
    assert window.reads("It is paid")

    window.click("a", "Choose how to ship it")
    assert window.reads("Carriers offer")
    keep("shipping")
    window.click("label", "USPS ground")
    window.click("button", "Buy the label")
    assert window.reads("Print the label")
    window.click("button", "Where is it now?")
    assert window.reads("transit")
    window.click("button", "Mail it")
    assert window.reads("on its way")
    keep("paid")
    window.click("a", "Integration log")
    assert window.reads("stripe")
    keep("log")


def in_the_back_office(shop: RunningErp, window: Browser, keep: Callable[[str], None]) -> None:
    """In the back office, contracts and invoices are sent, and bank and shop data are read."""
    window.open(f"{shop.erp.url}/acme/customers/2/")
    window.click("button", "Send a contract")
    assert window.reads("waits for the signature")
    keep("contract")
    window.click("a", "A-1003")
    window.click("button", "Send it to 0088")
    assert window.reads("It was delivered")
    keep("e-invoice")

    window.click("a", "Bank")
    window.click("button", "Connect the account")
    assert window.reads("Confirm the access")
    window.click("button", "Confirm")
    assert window.reads("The account is connected")
    window.click("button", "Read the account")
    assert window.reads("pays A-1004")
    assert window.reads("to be checked")
    keep("lines")
    order = shop.street.order()
    window.click("a", "Orders")
    window.click("button", "Import the latest orders")
    assert window.reads(order)
    keep("orders")


def by_keyboard(shop: RunningErp, window: Browser, keep: Callable[[str], None]) -> None:
    """All pages can be used with the keyboard, and show which element has the focus."""
    window.open(f"{shop.erp.url}/globex/")
    window.press(TAB)
    assert "Skip to the content" == window.focused
    window.press(ENTER)
    window.tab_to("G-2002")
    window.press(ENTER)
    assert window.reads("Pay with")
    window.tab_to("Visa ending in 1111")
    window.press(SPACE)
    keep("keyboard")
    window.tab_to("Pay 49.00 EUR")
    window.press(ENTER)
    assert window.reads("It is paid")


def on_a_phone(shop: RunningErp, window: Browser, keep: Callable[[str], None]) -> None:
    """No page is wider than a phone's screen, and an unknown outcome is shown as unknown."""
    many_invoices = ", ".join(f"A-{number}" for number in range(1001, 1021))
    shop.change(f"UPDATE {BANK_LINES[shop.name]} SET invoices = '{many_invoices}'")
    window.look(width=360, height=740, dark=True)
    shop.street.stripe.fail(SlowAnswer(shop.patience["hasty"] + 1.0))
    window.open(f"{shop.erp.url}/hasty/invoices/hasty-3/")
    window.click("label", "Visa")
    window.click("button", "Pay")
    assert window.reads("do not know yet")
    assert "not been charged" not in window.text
    keep("phone-unknown")
    window.click("button", "Look it up now")
    assert window.reads("It is paid")
    keep("phone-paid")
    pages = (
        *("", "acme/", "acme/invoices/A-1001/", "acme/invoices/A-1002/", "acme/log/"),
        *("acme/invoices/A-1003/", "acme/customers/2/", "acme/bank/", "acme/orders/"),
    )
    for width, dark in ((360, False), (320, True)):
        window.look(width=width, height=740, dark=dark)
        for page in (*pages, "acme/customers/1/", "acme/invoices/A-1002/shipping/", "nowhere/"):
            window.open(f"{shop.erp.url}/{page}")
            assert [] == window.defects(), f"/{page} at {width} pixels"
    window.look(width=360, height=740)
    keep("phone-nowhere")
    window.open(f"{shop.erp.url}/acme/log/")
    keep("phone-log")
    window.open(f"{shop.erp.url}/acme/invoices/A-1002/")
    keep("phone-due")


@pytest.mark.parametrize("name", ["django", "flask"])
def test_erp_is_usable(name: str, tmp_path: Path) -> None:
    """All pages can be used by mouse, by keyboard and on a phone, and show correct outcomes."""
    with open_browser() as window, running_erp(name, tmp_path) as shop:
        window.look()

        def keep(what: str) -> None:
            window.keep(PICTURES / f"{name}-{what}.png")

        for way in (by_mouse, in_the_back_office, by_keyboard, on_a_phone):
            way(shop, window, keep)
