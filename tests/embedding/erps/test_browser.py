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


def by_mouse(shop: RunningErp, window: Browser, save_picture: Callable[[str], None]) -> None:
    """By mouse, an invoice is paid, shipped and mailed, and the log lists the calls."""
    window.open(shop.erp.url)
    save_picture("companies")
    window.click("a", "ACME")
    assert window.reads("A-1001")
    save_picture("invoices")
    window.click("a", "A-1001")
    assert window.reads("Pay with")
    save_picture("due")
    window.click("label", "insufficient funds")
    window.click("button", "Pay")
    assert window.reads("lack of funds")
    save_picture("declined")

    window.click("label", "asks for confirmation")
    window.click("button", "Pay")
    assert window.reads("Confirm the payment")
    save_picture("bank")
    window.click("button", "Confirm")
    assert window.reads("It is paid")

    window.click("a", "Choose the shipping")
    assert window.reads("Rates")
    save_picture("shipping")
    window.click("label", "USPS ground")
    window.click("button", "Buy the label")
    assert window.reads("Print the label")
    window.click("button", "Update the status")
    assert window.reads("transit")
    window.click("button", "Email to")
    assert window.reads("was queued for")
    save_picture("paid")
    window.click("a", "Integration log")
    assert window.reads("stripe")
    save_picture("log")


def in_the_back_office(
    shop: RunningErp, window: Browser, save_picture: Callable[[str], None]
) -> None:
    """In the back office, contracts and invoices are sent, and bank and shop data are read."""
    window.open(f"{shop.erp.url}/acme/customers/2/")
    window.click("button", "Send a contract")
    assert window.reads("is waiting for the signature")
    save_picture("contract")
    window.click("a", "A-1003")
    window.click("button", "Send to 0088")
    assert window.reads("It was delivered")
    save_picture("e-invoice")

    window.click("a", "Bank")
    window.click("button", "Connect the account")
    assert window.reads("Confirm the access")
    window.click("button", "Confirm")
    assert window.reads("The account is connected")
    window.click("button", "Read the account")
    assert window.reads("pays A-1004")
    assert window.reads("needs review")
    save_picture("lines")
    order = shop.vendors.order()
    window.click("a", "Orders")
    window.click("button", "Import the latest orders")
    assert window.reads(order)
    save_picture("orders")


def by_keyboard(shop: RunningErp, window: Browser, save_picture: Callable[[str], None]) -> None:
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
    save_picture("keyboard")
    window.tab_to("Pay 49.00 EUR")
    window.press(ENTER)
    assert window.reads("It is paid")


def on_a_phone(shop: RunningErp, window: Browser, save_picture: Callable[[str], None]) -> None:
    """No page is wider than a phone's screen, and an unknown outcome is shown as unknown."""
    many_invoices = ", ".join(f"A-{number}" for number in range(1001, 1021))
    shop.change(f"UPDATE {BANK_LINES[shop.name]} SET invoices = '{many_invoices}'")
    window.look(width=360, height=740, dark=True)
    shop.vendors.stripe.fail(SlowAnswer(shop.patience["hasty"] + 1.0))
    window.open(f"{shop.erp.url}/hasty/invoices/hasty-3/")
    window.click("label", "Visa")
    window.click("button", "Pay")
    assert window.reads("do not know yet")
    assert "not been charged" not in window.text
    save_picture("phone-unknown")
    window.click("button", "Check the payment")
    assert window.reads("It is paid")
    save_picture("phone-paid")
    pages = (
        *("", "acme/", "acme/invoices/A-1001/", "acme/invoices/A-1002/", "acme/log/"),
        *("acme/invoices/A-1003/", "acme/customers/2/", "acme/bank/", "acme/orders/"),
        "acme/messages/",
    )
    for width, dark in ((360, False), (320, True)):
        window.look(width=width, height=740, dark=dark)
        for page in (*pages, "acme/customers/1/", "acme/invoices/A-1002/shipping/", "nowhere/"):
            window.open(f"{shop.erp.url}/{page}")
            assert [] == window.defects(), f"/{page} at {width} pixels"
    window.look(width=360, height=740)
    save_picture("phone-nowhere")
    window.open(f"{shop.erp.url}/acme/log/")
    save_picture("phone-log")
    window.open(f"{shop.erp.url}/acme/invoices/A-1002/")
    save_picture("phone-due")


@pytest.mark.parametrize("name", ["django", "flask"])
def test_erp_is_usable(name: str, tmp_path: Path) -> None:
    """All pages can be used by mouse, by keyboard and on a phone, and show correct outcomes."""
    with open_browser() as window, running_erp(name, tmp_path) as shop:
        window.look()

        def save_picture(picture_name: str) -> None:
            window.keep(PICTURES / f"{name}-{picture_name}.png")

        for way in (by_mouse, in_the_back_office, by_keyboard, on_a_phone):
            way(shop, window, save_picture)
