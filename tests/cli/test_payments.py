"""`moorage payments` lists and closes payments whose process was killed during the charge."""

from __future__ import annotations

import os
import subprocess
import sys
from signal import SIGKILL
from threading import Event
from typing import TYPE_CHECKING

import attrs
import pytest

from moorage.adapters.ciphers.aes_gcm import generate_keys
from moorage.cli.context import Context
from moorage.cli.places import opened_hub, opened_store
from moorage.contracts.payments import Charge, Money
from moorage.errors import ConnectionFailed
from moorage.testing.sandboxes.base import Lost
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from tests.support.command import command
from tests.support.configured import STORES, configure, unique
from tests.support.registered_charge import registered_charge

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage import Response
    from moorage.testing.sandboxes.base import SandboxRequest

FULL_CONFIGURATION = """
[state]
url = "{state}"
[payments]
vendor = "stripe"
[vendors.stripe]
base_url = "{url}"
credentials = "sk_test_sandbox"
retry = {{ max_attempts = 1 }}
volatile_keys = true
"""
CHARGING = """
import sys, moorage
from moorage.contracts.payments import Charge, Money
key = sys.argv[1]
hub = moorage.open("moorage.toml")
charge = Charge(Money("20.00", "EUR"), "pm_card_visa", reference=key)
hub.payments().charge(charge, idempotency_key=key)
"""


class KillingSandbox(StripeSandbox):
    """A vendor that kills the charging process between the charge and the response."""

    def __init__(self) -> None:
        super().__init__(api_key="sk_test_sandbox")
        self.victim: subprocess.Popen[bytes] | None = None
        self.known = Event()

    def answer(self, request: SandboxRequest) -> Response:
        """Answer a charge like Stripe, then kill the process."""
        answer = super().answer(request)
        if request.method == "POST" and self.victim is not None:
            self.known.wait()
            self.victim.send_signal(SIGKILL)
            self.victim = None
        return answer

    def kill(self, key: str) -> int:
        """Kill a process during its charge, and return its exit code."""
        with subprocess.Popen([sys.executable, "-c", CHARGING, key]) as victim:
            self.victim = victim
            self.known.set()
        return victim.returncode


def listed_payments(key: str) -> list[dict[str, object]]:
    """Return the payments that the command lists under a key."""
    results = command("payments", "unsettled", "--json").result["payments"]
    return [result for result in results if result["idempotency_key"] == key]


@pytest.mark.untraced
@pytest.mark.parametrize("make", STORES.values(), ids=STORES)
def test_payment_of_a_killed_process_is_listed_and_closed(make: Callable[[], str]) -> None:
    """If a process is killed during a charge, an operator closes it, and the buyer pays once."""
    stripe, key = KillingSandbox(), unique("INV")
    state = make()
    command("housekeep", state, "--migrate")
    with stripe.serving() as server:
        configure(FULL_CONFIGURATION.format(state=state, url=server.url))
        assert -SIGKILL == stripe.kill(key)

        (fields,) = listed_payments(key)
        assert ("charge", "20.00 EUR", key, "wait") == (
            fields["operation"],
            fields["amount"],
            fields["reference"],
            fields["next"],
        )
        people = command("payments", "unsettled")
        assert (1, True) == (people.code, key in people.out)
        early_close = command("payments", "close", key, "--not-done")
        assert "The request may still be in progress" in early_close.err

        closed_payment = command("payments", "close", key, "--done")
        assert f"{key} is closed as done" in closed_payment.out
        assert [] == listed_payments(key)
        with opened_hub(Context()) as hub:
            charge = Charge(Money("20.00", "EUR"), "pm_card_visa", reference=key)
            assert hub.payments().charge(charge, idempotency_key=key).replayed
        assert 1 == len(stripe.charges)


def test_settle_command_settles_due_payments() -> None:
    """`payments settle` settles due payments with unknown outcomes, or says there are none."""
    stripe = StripeSandbox(api_key="sk_test_sandbox")
    with stripe.serving() as server:
        configuration = FULL_CONFIGURATION.format(state="sqlite:///state.db", url=server.url)
        configure(configuration)
        assert "nothing was settled" in command("payments", "settle").out
        output = command("payments", "unsettled").out
        assert "no payment is unsettled" in output
        assert "For other services, run `moorage logs list --status unknown`." in output
        charge = Charge(Money("20.00", "EUR"), "pm_card_visa", reference="INV-1")
        stripe.fail(Lost())
        with opened_hub(Context()) as hub, pytest.raises(ConnectionFailed):
            hub.payments().charge(charge, idempotency_key="INV-1/1")
        reference = next(iter(stripe.intents))
        closed_payment = command(
            "payments", "close", "INV-1/1", "--done", "--reference", reference, "--json"
        )

        assert "done" == closed_payment.result["outcome"]
        assert 0 == command("payments", "unsettled").code

        with opened_store("sqlite:///state.db") as store:
            store.execute(registered_charge("INV-2", charge))
        assert "INV-2: was never sent" in command("payments", "settle").out
        assert 1 == len(stripe.charges)


def test_sealed_payment_is_closed_with_the_keys_of_the_configuration() -> None:
    """An encrypted payment can be closed only with [cipher]; the command then shows all fields."""
    stripe = StripeSandbox(api_key="sk_test_sandbox")
    os.environ["MOORAGE_KEYS"] = generate_keys().text().reveal()
    with stripe.serving() as server:
        text = FULL_CONFIGURATION.format(state="sqlite:///state.db", url=server.url)
        sealed = f'{text}[cipher]\nkeys = "secret://env/MOORAGE_KEYS"\n'
        configure(sealed)
        charge = Charge(Money("20.00", "EUR"), "pm_card_visa", reference="INV-1")
        stripe.fail(Lost())
        with opened_hub(Context()) as hub, pytest.raises(ConnectionFailed):
            hub.payments().charge(charge, idempotency_key="INV-1/1")
        configure(text)
        refusal = command("payments", "close", "INV-1/1", "--not-done")
        assert (2, True) == (refusal.code, "write their keys under [cipher]" in refusal.err)
        assert listed_payments("INV-1/1")[0]["amount"] is None
        close_command = ("payments", "close", "INV-2/1", "--done", "--keys-lost")
        configure(sealed)
        stripe.fail(Lost())
        with opened_hub(Context()) as hub, pytest.raises(ConnectionFailed):
            hub.payments().charge(
                attrs.evolve(charge, reference="INV-2"), idempotency_key="INV-2/1"
            )
        configure(text)
        vendor_id = list(stripe.intents)[-1]
        unexplained = command(*close_command, "--reference", vendor_id)
        assert (1, True) == (unexplained.code, "Pass a reason" in unexplained.err)
        blind_close = command(
            *close_command, "--reference", vendor_id, "--reason", "the disk burnt"
        )
        assert "INV-2/1 is closed as done\nLost with the keys: " in blind_close.out
        assert [] == listed_payments("INV-2/1")

        configure(sealed)
        assert "20.00 EUR" == listed_payments("INV-1/1")[0]["amount"]
        closed_payment = command("payments", "close", "INV-1/1", "--done")
        assert "INV-1/1 is closed as done" in closed_payment.out


def test_closing_requires_an_outcome() -> None:
    """`moorage payments close` requires exactly one outcome, and the key of a listed payment."""
    configure(FULL_CONFIGURATION.format(state="sqlite:///state.db", url="http://127.0.0.1:9"))
    for value in ((), ("--done", "--not-done")):
        refusal = command("payments", "close", "k", *value)
        assert (2, True) == (refusal.code, "Pass either --done or --not-done." in refusal.err)
    assert "No unsettled payment has the key 'k'" in command("payments", "close", "k", "--done").err
