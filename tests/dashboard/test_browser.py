"""The operations page in a real browser: by mouse, by keyboard, on a phone, in light and dark."""

from __future__ import annotations

import re
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moorage import CircuitState
from moorage.dashboard import Dashboard, DashboardApp
from moorage.dashboard.gate import Gate, members_of
from moorage.dashboard.server import Server
from moorage.domain.entries.queue import EntryState
from moorage.domain.monitoring.objectives import Objective
from moorage.domain.observation.integration_log import IntegrationStatus
from tests.dashboard.harness import SECRET, WAIT, Harness
from tests.support.browser import ENTER, TAB, Browser, open_browser

if TYPE_CHECKING:
    from collections.abc import Generator

PICTURES: Final = Path(__file__).parents[2] / "build" / "dashboard"
PEOPLE: Final = "ann:act:password-of-ann ben:act:password-of-ben"
READABLE: Final = (
    "return [...document.querySelectorAll('caption, p, h1, h2, h3, dd, label')]"
    ".every(item => item.offsetWidth > 60)"
)
PAGES: Final = (
    "",
    "service?service=vat",
    "service?service=bare",
    "unknown",
    "payment?key=INV-7%2F1",
    "dead",
    "queues",
    "entry?box=outbox&id=01",
    "calls",
    "levels",
    "call?id=req-1",
    "acts/circuit-reset?service=vat",
    "nowhere",
)


def make_trouble(harness: Harness) -> None:
    """Bring services, queues and payments into the states that the pages show as trouble."""
    harness.break_circuit()
    harness.lose()
    harness.clock.advance(WAIT)
    harness.put_outbox_entry(
        tenant="acme", error="VendorFailed: The vendor answered 503 three times."
    )
    harness.put_outbox_entry("02", operation="send_transactional", target="email")
    harness.put_outbox_entry("03", EntryState.UNKNOWN)
    harness.dead_webhook(error="ValueError")
    harness.fail(tenant="acme", operation="lookup")
    harness.fail(id="req-2", status=IntegrationStatus.TIMEOUT, error="AttemptTimeout")
    harness.hub.objectives = (
        Objective(name="vat answers", service="vat", availability=0.999),
        Objective(name="all quick", latency=0.8),
    )
    harness.metrics.flush()
    harness.fail(id="req-3", status=IntegrationStatus.SUCCESS, error=None, http_status=200)


def screenshot_name(page: str) -> str:
    """Return the file name of a screenshot of a page."""
    return "-".join(re.findall(r"[a-z]+", page)) or "now"


@contextmanager
def serve_dashboard(harness: Harness) -> Generator[str]:
    """Serve the operations page with logins on this machine."""
    page = Dashboard(
        harness.hub,
        secret=SECRET,
        outbox=harness.outbox,
        inbox=harness.inbox,
        log=harness.log,
        metrics=harness.metrics,
        name="moorage in production",
    )
    with Server("127.0.0.1", 0) as server:
        gate = Gate(lambda: 0.0, members=members_of(PEOPLE))
        server.set_app(DashboardApp(page, gate.identify))
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def log_in(window: Browser, url: str, name: str) -> None:
    """Log in with the keyboard."""
    window.open(f"{url}login")
    assert window.reads("Password")
    window.click("input[name=name]")
    window.press(*name, TAB, *f"password-of-{name}", ENTER)
    assert window.reads("What needs attention")


def test_operator_repairs_by_mouse_keyboard_and_phone(tmp_path: Path) -> None:
    """An operator repairs a circuit, dead letters and a payment by mouse, keyboard and phone."""
    with Harness() as harness, serve_dashboard(harness) as url:
        make_trouble(harness)
        with open_browser() as window:
            window.look()
            log_in(window, url, "ann")
            window.keep(PICTURES / "now.png")
            _by_mouse(harness, window, url)
            _by_keyboard(harness, window, url)
            _on_a_phone(window, url)
            window.look()
            window.open(f"{url}payment?key=INV-7%2F1")
            window.click("a", "The operation was done")
            window.click("input[name=reason]")
            window.press(*"seen there")
            window.click("button", "The operation was done")
            assert window.reads("A second person has to confirm your proposal")
            assert window.reads("You proposed this")
            window.keep(PICTURES / "proposed.png")
        with open_browser() as window:
            window.look()
            log_in(window, url, "ben")
            window.click("a", "1 payment with an unknown outcome")
            window.click("a", "charge of 20.00 EUR")
            assert window.reads("ann says that the operation was done")
            window.keep(PICTURES / "second-person.png")
            window.click("a", "Confirm")
            window.click("button", "Confirm")
            assert window.reads("is closed as done")
            window.keep(PICTURES / "closed.png")
        assert [] == harness.hub.unsettled_payments()


def _by_mouse(harness: Harness, window: Browser, url: str) -> None:
    window.click("a", "vat")
    assert window.reads("Calls are refused")
    window.keep(PICTURES / "service.png")
    window.click("a", "Reset")
    assert window.reads("Reset the circuit?")
    window.keep(PICTURES / "confirmation.png")
    window.click("button", "Reset")
    assert "Reset the circuit?" in window.text, "a reason is needed"
    window.click("input[name=reason]")
    window.press(*"the vendor is back")
    window.click("button", "Reset")
    assert window.reads("is closed now")
    assert CircuitState.CLOSED is harness.hub.manager.circuit_state("vat").state
    window.keep(PICTURES / "service-reset.png")
    window.open(url)
    window.click("a", "Dead letters")
    assert window.reads("VendorFailed")
    window.keep(PICTURES / "dead.png")
    window.click("a", "Process all again")
    assert window.reads("2 dead entries of the outbox")
    window.click("button", "Process all again")
    assert window.reads("2 entries due again")
    window.keep(PICTURES / "dead-replayed.png")


def _by_keyboard(harness: Harness, window: Browser, url: str) -> None:
    window.open(url)
    window.press(TAB)
    assert "Skip to the content" == window.focused
    window.tab_to("Unknown outcomes")
    window.press(ENTER)
    assert window.reads("charge of 20.00 EUR")
    window.keep(PICTURES / "unknown.png")
    window.tab_to("charge of 20.00 EUR")
    window.press(ENTER)
    assert window.reads("1. The evidence")
    window.keep(PICTURES / "desk.png")
    intents = dict(harness.stripe.intents)
    harness.stripe.intents.clear()
    window.tab_to("Ask the vendor")
    window.press(ENTER)
    window.tab_to("Ask the vendor")
    window.press(ENTER)
    assert window.reads("is still unknown. The vendor was asked, and lists no")
    harness.stripe.intents.update(intents)


def _on_a_phone(window: Browser, url: str) -> None:
    for width in (360, 320):
        for dark in (False, True):
            window.look(width=width, height=740, dark=dark)
            for page in PAGES:
                window.open(f"{url}{page}")
                assert [] == window.defects(), f"/{page} at {width} pixels"
                assert window.ask(READABLE), f"/{page} has a squeezed text"
                name = screenshot_name(page)
                if width == 360:
                    window.keep(PICTURES / f"phone-{name}-{'dark' if dark else 'light'}.png")
    window.look(dark=True)
    for page in PAGES:
        window.open(f"{url}{page}")
        window.keep(PICTURES / f"dark-{screenshot_name(page)}.png")
