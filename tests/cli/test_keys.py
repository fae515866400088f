"""`moorage keys`: an operator settles an idempotency key with an unknown outcome."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from moorage import OutcomeUnknown, Request
from moorage.cli.context import Context
from moorage.cli.places import opened_hub
from moorage.testing import Behaviour, VendorServer
from moorage.wiring.store_urls import open_log
from tests.support.command import command
from tests.support.configured import STORES, configure, unique

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAKES = pytest.mark.parametrize("make", STORES.values(), ids=STORES)
PAYOUT = Request.post("/payouts", json={"invoice": "INV-3"})
LOST = Behaviour(raw=b"", then="close")


@pytest.fixture
def vendor() -> Iterator[VendorServer]:
    """Yield a vendor that ignores idempotency keys."""
    with VendorServer() as server:
        yield server


def lost_payout(state: str, vendor: VendorServer, log: str = "") -> str:
    """Make a payout with the key `INV-3` whose response is lost, and return the service's name."""
    command("housekeep", state, "--migrate")
    name = unique("bank")
    configure(
        f'[state]\nurl = "{state}"\n{log}[services.{name}]\nbase_url = "{vendor.url}"\n'
        f"[services.{name}.retry]\nmax_attempts = 1\n"
    )
    vendor.queue(LOST)
    with pytest.raises(OutcomeUnknown):
        pay_out(name)
    return name


def pay_out(name: str) -> object:
    """Request the payout, and return the answer."""
    with opened_hub(Context()) as hub:
        return hub.manager.call(name, PAYOUT, idempotency_key="INV-3").json()


@MAKES
def test_operator_says_that_it_happened(make: Callable[[], str], vendor: VendorServer) -> None:
    """After `--done`, a repeated call with the idempotency key returns the given result.

    Nothing is sent.
    """
    name = lost_payout(make(), vendor)
    Path("answer.json").write_text('{"id": "po_1"}', "utf-8")

    result = command("keys", "resolve", name, "INV-3", "--done", "--answer", "@answer.json")

    assert (0, "the key INV-3 is settled as done\n") == (result.code, result.out)
    assert {"id": "po_1"} == pay_out(name)
    assert 1 == len(vendor.requests)


@MAKES
def test_operator_says_that_it_did_not_happen(
    make: Callable[[], str], vendor: VendorServer
) -> None:
    """After `--not-done`, the next call with the idempotency key sends the request."""
    name = lost_payout(make(), vendor)

    result = command("keys", "resolve", name, "INV-3", "--not-done", "--json")

    assert {
        "service": name,
        "idempotency_key": "INV-3",
        "tenant": None,
        "settled": True,
    } == result.result
    vendor.queue(Behaviour.of_json({"id": "po_2"}))
    assert {"id": "po_2"} == pay_out(name)
    assert 2 == len(vendor.requests)


def test_outcome_must_be_stated(vendor: VendorServer) -> None:
    """`moorage keys` needs an outcome, and the vendor's answer if the operation took effect."""
    name = lost_payout(STORES["sqlite"](), vendor)

    for options, message in (
        ((), "either --done or --not-done"),
        (("--done",), "--answer"),
        (("--done", "--answer", "{}", "--status", "99"), "of at least 100"),
    ):
        refusal = command("keys", "resolve", name, "INV-3", *options)
        assert (2, True) == (refusal.code, message in refusal.err)
    with pytest.raises(OutcomeUnknown):
        pay_out(name)


def test_key_that_no_call_has_used_is_an_error(vendor: VendorServer) -> None:
    """The command reports an idempotency key that no call has used as an error."""
    name = lost_payout(STORES["sqlite"](), vendor)
    result = command("keys", "resolve", name, "INV-4", "--done", "--answer", "{}")
    assert 1 == result.code
    assert "nothing was changed" in result.out


def test_result_of_a_function_is_json() -> None:
    """A function's result is given on the command line as any JSON value."""
    state = STORES["sqlite"]()
    command("housekeep", state, "--migrate")
    configure(f'[state]\nurl = "{state}"\n[services.books.retry]\nmax_attempts = 1\n')

    def lose() -> None:
        raise OutcomeUnknown("The answer was lost.")

    with opened_hub(Context()) as hub, pytest.raises(OutcomeUnknown):
        hub.manager.run("books", lose, idempotency_key="k1")
    words = command("keys", "resolve", "books", "k1", "--done", "--answer", "booked")
    assert "must be JSON" in words.err
    assert 0 == command("keys", "resolve", "books", "k1", "--done", "--answer", "[7]").code
    with opened_hub(Context()) as hub:
        assert [7] == hub.manager.run("books", lose, idempotency_key="k1")


@MAKES
def test_health_reports_keys_to_settle(make: Callable[[], str], vendor: VendorServer) -> None:
    """`moorage health` names keys with an unknown outcome until an operator settles them."""
    with open_log("sqlite:///calls.db", create=True):
        name = lost_payout(make(), vendor, log='[log]\nurl = "sqlite:///calls.db"\n')

    assert "The outcome of 1 idempotency key is unknown." in command("health").out
    assert "INV-3" in command("logs", "list", "--status", "unknown").out

    command("keys", "resolve", name, "INV-3", "--not-done")
    assert "idempotency key" not in command("health").out
