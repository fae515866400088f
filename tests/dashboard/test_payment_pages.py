"""The pages of one payment: when "not done" is safe, what was found, and who decided."""

from __future__ import annotations

from html import unescape
from typing import TYPE_CHECKING, Any

from moorage import Hub, Response
from moorage.adapters.audit.file import FileAudit
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.contracts.payments import Charge, Money
from moorage.errors import StorageUnavailable
from moorage.hub.audit import AuditPage, AuditQuery, AuditTrail
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient
from moorage.vendors.payments.stripe import Stripe
from tests.dashboard.harness import BEN, WAIT, Harness
from tests.dashboard.test_acts import lose_sealed_payment
from tests.dashboard.test_ten_unknowns import facts_of, link_of, make_unknown_payment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.dashboard.harness import Visitor

PAYMENT = "?key=INV-7/1"
PAGE = f"/payment{PAYMENT}"


def text_of(visitor: Visitor, url: str = PAGE) -> str:
    """Return the visible text of a page."""
    return unescape(visitor.get(url).text)


def audited_harness(path: Path, *, four_eyes: bool = True) -> Harness:
    """Return a harness whose audit trail can be searched."""
    return Harness(audit=FileAudit(path / "trail"), four_eyes=four_eyes)


def forget_payments(harness: Harness) -> None:
    """Make the vendor forget all payments."""
    harness.stripe.intents.clear()
    harness.stripe.charges.clear()


def decision_order(page: str) -> list[str]:
    """Return the decisions that a page offers, in the order of the page."""
    acts = ("payment-done", "payment-not-done")
    return sorted(acts, key=lambda act: page.index(f"/acts/{act}?"))


def test_payment_page_says_when_not_done_is_safe_to_choose() -> None:
    """A payment's page shows when "not done" is safe to choose, and warns before that time."""
    with Harness() as harness:
        harness.lose()
        forget_payments(harness)
        harness.clock.advance(WAIT)
        (payment,) = harness.hub.unsettled_payments()
        assert payment.listed_by is not None
        visitor = harness.visitor()
        page = text_of(visitor)
        assert (
            "First ask the vendor (2). Only if the answer does not settle the outcome, look" in page
        )
        assert "Stripe lists a payment within 1 h. If you ask at" in page
        assert "Until then, it proves nothing that the payment is not listed." in page
        assert (
            "It is too early to say that the payment was not done: stripe may list it until" in page
        )
        assert "It is too early to say that the payment was not done" in text_of(
            visitor, f"/acts/payment-not-done{PAYMENT}"
        )
        assert "too early" not in text_of(visitor, f"/acts/payment-done{PAYMENT}")
        assert ["payment-done", "payment-not-done"] == decision_order(page)
        visitor.act(f"/acts/payment-ask{PAYMENT}")
        assert "ask the vendor (asked: not listed)" in text_of(visitor, "/unknown")

        harness.clock.advance((payment.listed_by - harness.clock.utc()).total_seconds() + 1)
        page = text_of(visitor)
        assert (
            "If you ask now and the vendor does not list the payment, the payment counts as" in page
        )
        assert "Ask stripe first: if the payment was done, stripe must list it by now." in page
        answer = unescape(visitor.act(f"/acts/payment-ask{PAYMENT}").text)
        assert "and did not list this payment, which therefore counts as not done." in answer
        page = text_of(visitor)
        assert (
            "Stripe does not list the payment, although the time in which it lists payments is"
            in page
        )
        assert "Not done?" not in page
        assert ["payment-not-done", "payment-done"] == decision_order(page)
        assert "decide (asked: not listed)" in text_of(visitor, "/unknown")


def test_refused_look_ups_leave_the_decision_to_an_operator() -> None:
    """If the vendor still refuses look-ups after its listing time, an operator must decide."""
    with Harness() as harness:
        harness.lose()
        visitor = harness.visitor()
        harness.clock.advance(WAIT + Stripe.listed_within)
        harness.stripe.fail(Response(400, body=b'{"error": {"type": "invalid_request_error"}}'))
        visitor.act(f"/acts/payment-ask{PAYMENT}")
        page = text_of(visitor)
        assert "Stripe has not given a clear answer, although the time" in page
        assert "counts as not done." in page
        assert "Ask stripe first: if the payment was done, stripe must list it by now." in page
        assert "decide (asked: refused)" in text_of(visitor, "/unknown")


def test_page_says_so_if_vendor_lists_several_matching_payments() -> None:
    """If the vendor lists several matching payments, the page shows their number and their ids."""
    with Harness(four_eyes=False) as harness:
        order = Charge(Money("20.00", "EUR"), "pm_card_visa", reference="INV-7")
        harness.hub.payments().charge(order, idempotency_key="another attempt")
        harness.lose()
        harness.clock.advance(WAIT)
        visitor = harness.visitor()
        answer = unescape(visitor.act(f"/acts/payment-ask{PAYMENT}").text)
        assert "lists several payments with the reference INV-7 and the amount 20.00 EUR" in answer
        assert "counts as not done" not in answer
        assert "so this payment may have been done." in answer
        assert "ask the vendor (asked: several listed)" in text_of(visitor, "/unknown")
        refusal = visitor.act(f"/acts/payment-done{PAYMENT}", reason="seen").text
        assert "The vendor lists 2 payments" in refusal
        assert all(intent in refusal for intent in harness.stripe.intents)


def test_vendor_that_repeats_is_asked_before_a_decision() -> None:
    """If the vendor honours idempotency keys, the page advises to ask the vendor first."""
    with Harness(Stripe) as harness:
        harness.lose()
        harness.clock.advance(WAIT)
        visitor = harness.visitor()
        page = text_of(visitor)
        assert "lists a payment within" not in page
        assert "Ask stripe first: the answer settles the outcome" in page
        question = text_of(visitor, f"/acts/payment-ask{PAYMENT}")
        assert "A clear answer closes the payment at once, without a second person." in question


def test_page_of_refund_says_that_vendor_cannot_be_asked_about_it() -> None:
    """A refund's page says that the vendor cannot be asked about it, and requests its id."""
    with Harness() as harness:
        payments = harness.hub.payments()
        order = Charge(Money("80.00", "EUR"), "pm_card_visa", reference="INV-7")
        taken_payment = payments.charge(order, idempotency_key="INV-7")
        make_unknown_payment(
            harness,
            lambda: payments.refund(
                taken_payment.ref, Money("8.00", "EUR"), idempotency_key="INV-7/1"
            ),
            done=True,
        )
        harness.clock.advance(WAIT)
        visitor = harness.visitor()
        page = text_of(visitor)
        assert "Stripe cannot be asked about this refund from this page. Look at" in page
        assert "First look for this refund on the web page of stripe." in page
        assert "First ask the vendor" not in page
        assert "stripe" == facts_of(page)["Vendor"]
        form = text_of(visitor, f"/acts/payment-done{PAYMENT}")
        assert "The refund's own id at stripe, not that of the payment (at Stripe it looks" in form
        assert "by its reference" not in form
        assert "Reason (required)" in form
        refusal = unescape(visitor.act(f"/acts/payment-done{PAYMENT}", reason="seen").text)
        assert "The vendor's id of the refund is missing" in refusal
        (refund_id,) = harness.stripe.refunds
        visitor.act(f"/acts/payment-done{PAYMENT}", reason="seen", receipt=refund_id)
        ben = harness.visitor(BEN)
        page = text_of(ben)
        assert "Confirm this only if you have looked at the web page of stripe yourself." in page
        confirmation = link_of(page, "payment-confirm")
        assert confirmation is not None
        assert "Reason (optional)" in text_of(ben, confirmation)
        assert f"is closed as done, as {refund_id}." in ben.act(confirmation).text
        assert refund_id == facts_of(text_of(ben))["Its id at the vendor"]


def test_charge_may_be_looked_for_by_its_reference() -> None:
    """The form that closes a charge shows that the vendor's id is optional."""
    with Harness() as harness:
        harness.lose()
        harness.clock.advance(WAIT)
        form = text_of(harness.visitor(), f"/acts/payment-done{PAYMENT}")
        assert "The payment's own id at stripe (at Stripe it looks like pi_…); leave this" in form


def test_closed_payment_shows_its_outcome_and_who_decided(tmp_path: Path) -> None:
    """The page of a closed payment shows the vendor's id, both people, times and reasons."""
    with audited_harness(tmp_path) as harness:
        harness.lose()
        harness.clock.advance(WAIT)
        ann, ben = harness.visitor(), harness.visitor(BEN)
        ann.act(f"/acts/payment-not-done{PAYMENT}", reason="a slip")
        ann.act(f"/acts/payment-withdraw{PAYMENT}")
        ann.act(f"/acts/payment-not-done{PAYMENT}", reason="not there")
        assert "is rejected." in ben.act(f"/acts/payment-reject{PAYMENT}", reason="it is").text
        ann.act(f"/acts/payment-done{PAYMENT}", reason="I see it now")
        confirmation = link_of(ben.get(PAGE).text, "payment-confirm")
        assert confirmation is not None
        ben.act(confirmation, reason="me too")
        page = text_of(ben)
        (intent_id,) = harness.stripe.intents
        facts = facts_of(page)
        assert "ago" in facts["Settled"]
        assert ("done", intent_id, "INV-7") == (
            facts["Outcome"],
            facts["Its id at the vendor"],
            facts["Your reference"],
        )
        for words in (
            "proposed: not done",
            "withdrew the proposal",
            "rejected the proposal",
            "proposed: done",
            "closed as done",
            "I see it now",
            "me too",
            "Charge of 20.00 EUR (INV-7)",
            'href="/unknown"',
        ):
            assert words in page, words


def test_payment_closed_as_not_done_stays_closed_until_program_sends_it_again(
    tmp_path: Path,
) -> None:
    """A payment closed as not done stays closed until the program sends it again."""
    with audited_harness(tmp_path, four_eyes=False) as harness:
        harness.lose()
        forget_payments(harness)
        harness.clock.advance(WAIT)
        visitor = harness.visitor()
        visitor.act(f"/acts/payment-not-done{PAYMENT}", reason="not there")
        page = text_of(visitor)
        assert "closed as not done" == facts_of(page)["Outcome"]
        assert (
            "Your program's next call with this idempotency key carries out the operation." in page
        )
        harness.clock.advance(1)
        order = Charge(Money("20.00", "EUR"), "pm_card_visa", reference="INV-7")
        harness.hub.payments().charge(order, idempotency_key="INV-7/1")
        page = text_of(visitor)
        assert "not unknown" == facts_of(page)["Outcome"]
        assert "next call with this idempotency key" not in page
        assert "not there" in page


def test_failed_attempt_to_close_is_not_the_outcome_of_the_payment(tmp_path: Path) -> None:
    """A failed attempt to close a payment is shown as failed, and not as the payment's outcome."""
    with audited_harness(tmp_path, four_eyes=False) as harness:
        harness.lose()
        trail = harness.hub.audit
        assert isinstance(trail, AuditTrail)
        subject = "payment INV-7/1"
        trail.record("payment.close", subject, actor="zoe", after={"done": True})
        trail.record("payment.close.failed", subject, actor="zoe", after={"error": "Oops"})
        harness.clock.advance(WAIT)
        harness.hub.settle_payment("INV-7/1", actor="zoe")
        page = text_of(harness.visitor())
        assert "asked the vendor" in page
        assert "close failed (Oops)" in page
        assert "closed as" not in page


def test_page_of_key_without_unknown_outcome_links_to_calls_with_that_key() -> None:
    """The page of a key without an unknown outcome links to the calls with that key."""
    with Harness() as harness:
        order = Charge(Money("20.00", "EUR"), "pm_card_visa", reference="INV-7")
        harness.hub.payments().charge(order, idempotency_key="INV-7/1")
        page = text_of(harness.visitor())
        assert "No call with this idempotency key has an unknown outcome." in page
        assert "Calls under this key" in page
        assert 404 == harness.visitor().get(f"{PAGE}&tenant=acme").status


def test_settled_payments_with_the_same_reference_stay_on_the_page(tmp_path: Path) -> None:
    """A payment's page lists other payments with the same reference, even settled ones."""
    with audited_harness(tmp_path) as harness:
        harness.lose()
        harness.lose(key="INV-7/2", amount="21.00")
        harness.lose(key="INV-8/1", amount="22.00", reference="INV-8")
        harness.clock.advance(WAIT)
        first_id, second_id, _ = harness.stripe.intents
        visitor = harness.visitor()
        assert (
            "charge of 21.00 EUR (INV-7): unknown" in facts_of(text_of(visitor))["Same reference"]
        )
        visitor.act("/acts/payment-ask?key=INV-7/2")
        visitor.act("/acts/payment-ask?key=INV-8/1")
        namesakes = facts_of(text_of(visitor))["Same reference"]
        assert f"charge of 21.00 EUR (INV-7): done, as {second_id}" == namesakes
        assert first_id not in namesakes


class BrokenAudit(FileAudit):
    """An audit trail that can be written but not read."""

    def find(self, query: AuditQuery, /) -> AuditPage:
        """Raise an error, because the trail cannot be read."""
        del query
        raise StorageUnavailable("The disk is away.")


def test_unreadable_trail_does_not_hide_a_payment(tmp_path: Path) -> None:
    """If the audit trail cannot be read, the page of a payment shows this, and stays usable."""
    with Harness(audit=BrokenAudit(tmp_path / "trail")) as harness:
        harness.lose()
        harness.clock.advance(WAIT)
        page = harness.visitor().get(PAGE)
        assert 200 == page.status
        assert "Settled payments cannot be read" in facts_of(page.text)["Same reference"]
        harness.hub.close_payment("INV-7/1", done=True)
        assert 503 == harness.visitor().get(PAGE).status


def test_lost_answer_of_a_vendor_that_is_away_is_marked() -> None:
    """The list of payments shows if the vendor was asked and did not respond."""
    with Harness() as harness:
        harness.lose()
        harness.clock.advance(WAIT)
        harness.stripe.fail(Lost())
        harness.visitor().act(f"/acts/payment-ask{PAYMENT}")
        assert "ask the vendor (asked: no answer)" in text_of(harness.visitor(), "/unknown")


def test_void_is_named_in_the_form_for_its_id() -> None:
    """If an operation's ids have no well-known form, the page's id field shows no example."""
    with Harness() as harness:
        payments = harness.hub.payments()
        order = Charge(Money("80.00", "EUR"), "pm_card_visa", reference="INV-7")
        held_payment = payments.authorize(order, idempotency_key="INV-7")
        make_unknown_payment(
            harness, lambda: payments.void(held_payment.ref, idempotency_key="INV-7/1"), done=False
        )
        harness.clock.advance(WAIT)
        form = text_of(harness.visitor(), f"/acts/payment-done{PAYMENT}")
        assert "The void's own id at stripe, not that of the payment<input" in form


def test_sealed_receipt_is_not_shown(tmp_path: Path) -> None:
    """Without the cipher, the page of a settled payment shows its outcome but not its id."""
    with audited_harness(tmp_path) as harness:
        cipher = AesGcmCipher(generate_keys())
        lose_sealed_payment(harness, cipher)
        ports: Any = {"http": SandboxHttpClient(harness.stripe), "state": harness.state}
        with Hub([harness.account()], **ports, cipher=cipher, clock=harness.clock) as other_hub:
            other_hub.close_payment("INV-7/1", done=True)
        facts = facts_of(text_of(harness.visitor()))
        assert ("done", False) == (facts["Outcome"], "Its id at the vendor" in facts)


def test_closing_by_reference_says_so_if_vendor_lists_no_payment_with_reference() -> None:
    """Closing by reference fails if the vendor lists no payment with the reference."""
    with Harness(four_eyes=False) as harness:
        harness.lose()
        forget_payments(harness)
        harness.clock.advance(WAIT)
        answer = harness.visitor().act(f"/acts/payment-done{PAYMENT}", reason="seen").text
        assert "The vendor lists no payment with this" in answer
        assert 1 == len(harness.hub.unsettled_payments())


def test_second_person_is_warned_of_an_early_proposal() -> None:
    """If "not done" is confirmed too early, a warning is shown; "done" never shows this warning."""
    with Harness() as harness:
        harness.lose()
        harness.clock.advance(WAIT)
        ann, ben = harness.visitor(), harness.visitor(BEN)
        for action, is_warned in (("payment-not-done", True), ("payment-done", False)):
            ann.act(f"/acts/{action}{PAYMENT}", reason="seen")
            page = text_of(ben)
            confirmation = link_of(page, "payment-confirm")
            assert confirmation is not None
            for text in (page, text_of(ben, confirmation)):
                assert is_warned is ("It is too early to say that the payment was not done" in text)
