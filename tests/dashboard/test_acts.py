"""Actions on the operations page: permission, forgery, confirmation, reasons and audit records."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from moorage import CircuitState, Hub, InvalidData, Secret
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.contracts.payments import Charge, Money, NextStep
from moorage.dashboard import Dashboard, DashboardApp, Group, Person
from moorage.dashboard.acts import ACTS
from moorage.dashboard.acts.entries import BATCH
from moorage.dashboard.tokens import FORM_LIFE, Notice, Tokens
from moorage.domain.entries.queue import EntryQuery, EntryState
from moorage.errors import ConnectionFailed, OutcomeUnknown
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient
from tests.contracts.unsettled_harness import UnlistedStripe
from tests.dashboard.harness import ANN, BEN, SECRET, VIEWER, WAIT, Harness, Visitor, form_of
from tests.dashboard.test_pages import pause_service
from tests.dashboard.test_ten_unknowns import make_unknown_payment

if TYPE_CHECKING:
    from moorage.hub.outbox import Outbox

CIRCUIT = "/acts/circuit-open?service=vat"
PAYMENT = "?key=INV-7/1"


def state(harness: Harness) -> CircuitState:
    """Return the state of the circuit of the service `vat`."""
    return harness.hub.manager.circuit_state("vat").state


def recorded_acts(harness: Harness) -> list[tuple[str, str]]:
    """Return person and action of every audit record."""
    return [(actor or "", action) for actor, action, _, _ in harness.trail.records]


def test_circuit_is_held_disabled_and_reset_with_a_reason() -> None:
    """Each action on a circuit is confirmed, performed once, reported on the page and recorded."""
    with Harness() as harness:
        visitor = harness.visitor()
        for action, expected in (
            ("circuit-open", CircuitState.FORCED_OPEN),
            ("circuit-disable", CircuitState.DISABLED),
            ("circuit-reset", CircuitState.CLOSED),
        ):
            page = visitor.act(f"/acts/{action}?service=vat", reason="a test")
            assert expected is state(harness)
            assert f"is {expected.value} now." in page.text
            second_page = visitor.get("/service?service=vat").text
            assert f"is {expected.value} now." not in second_page, "words are shown once"
        assert [
            ("ann", "circuit.open", "circuit of vat", "a test"),
            ("ann", "circuit.close", "circuit of vat", "a test"),
            ("ann", "circuit.reset", "circuit of vat", "a test"),
        ] == harness.trail.records


def test_service_is_paused_and_resumed() -> None:
    """A user can pause a service, and the service's page then offers to resume it."""
    with Harness() as harness:
        visitor = harness.visitor()
        page = visitor.get("/service?service=vat").text
        assert ("Pause calls" in page, "Resume calls" in page) == (True, False)
        paused_page = visitor.act(CIRCUIT, reason="vendor asked").text
        assert ("Pause calls" in paused_page, "Resume calls" in paused_page) == (False, True)
        assert "circuit-reset" in paused_page
        resumed_page = visitor.act("/acts/circuit-reset?service=vat", reason="agreed").text
        assert "Pause calls" in resumed_page


def test_pause_of_limits_is_ended() -> None:
    """A paused rate limit can be resumed once; a second attempt reports that there is no pause."""
    with Harness() as harness:
        pause_service(harness)
        visitor = harness.visitor()
        assert "limits-reset" in visitor.get("/service?service=vat").text
        url = "/acts/limits-reset?service=vat&tenant="
        assert "The pause had 40 s left." in visitor.act(url, reason="agreed").text
        assert "were not paused" in visitor.act(url, reason="agreed").text


def test_act_without_a_reason_is_refused() -> None:
    """An action without its required reason, or with one that is too long, is refused."""
    with Harness() as harness:
        visitor = harness.visitor()
        assert "Not done. The reason is missing." in visitor.act(CIRCUIT).text
        page = visitor.act(CIRCUIT, reason="x" * 501).text
        assert "longer than 500 characters" in page
        assert CircuitState.CLOSED is state(harness)
        assert [] == harness.trail.records


def test_impossible_action_says_why() -> None:
    """The page of an impossible action shows the reason, and the audit trail does not record it."""
    with Harness() as harness:
        visitor = harness.visitor()
        for url in ("/acts/circuit-open?service=bare", "/acts/limits-reset?service=till"):
            assert "Not done. " in visitor.act(url, reason="why not").text
        assert [] == harness.trail.records


def test_act_that_cannot_be_recorded_is_not_done() -> None:
    """If the audit trail is unavailable, actions change nothing, and logins are refused."""
    with Harness() as harness:
        harness.trail.away = True
        visitor = harness.visitor()
        refusal = visitor.act(CIRCUIT, reason="x").text
        assert ("Not done. " in refusal, "The audit trail is away." in refusal) == (True, True)
        assert CircuitState.CLOSED is state(harness)
        assert 403 == harness.visitor(VIEWER).post("/acts/circuit-open", {}).status


@pytest.mark.parametrize("url", ["/acts/circuit-open", "/acts/entry-drop?box=outbox&id=none"])
def test_confirmation_of_nothing_is_refused(url: str) -> None:
    """A confirmation page whose target does not exist, or was removed, says so."""
    with Harness() as harness:
        assert 404 == harness.visitor().get(url).status


def test_get_request_performs_no_action() -> None:
    """Loading a confirmation page changes nothing, however often."""
    with Harness() as harness:
        visitor = harness.visitor()
        for _ in range(3):
            assert 200 == visitor.get(f"{CIRCUIT}&reason=x&token=x").status
        assert CircuitState.CLOSED is state(harness)
        assert [] == harness.trail.records


@pytest.mark.parametrize("token", ["", "x", "1.x", "9" * 40 + ".x", "\udcff", "²³.x", "-5.x"])
def test_form_without_its_token_is_refused(token: str) -> None:
    """A form with a missing or invented token changes nothing, and the attempt is recorded."""
    with Harness() as harness:
        visitor = harness.visitor()
        form = {
            "service": "vat",
            "reason": "forged",
            "token": token.encode(errors="replace").decode(),
        }
        assert 403 == visitor.post("/acts/circuit-open", form).status
        del form["token"]
        assert 403 == visitor.post("/acts/circuit-open", form).status
        assert CircuitState.CLOSED is state(harness)
        assert [("ann", "circuit.open.denied")] * 2 == recorded_acts(harness)


def test_token_is_one_persons_and_expires() -> None:
    """A form token of another person or session, or older than half a day, is refused."""
    with Harness() as harness:
        form = {**form_of(harness.visitor(BEN).get(CIRCUIT).text), "reason": "x"}
        assert 403 == harness.visitor().post("/acts/circuit-open", form).status
        own_form = {**form_of(harness.visitor().get(CIRCUIT).text), "reason": "x"}
        other_session = Person("ann", ANN.acts, "another session")
        visitor = Visitor(DashboardApp(harness.dashboard, lambda _: other_session))
        assert 403 == visitor.post("/acts/circuit-open", own_form).status
        harness.clock.advance(FORM_LIFE + 1)
        assert 403 == harness.visitor().post("/acts/circuit-open", own_form).status
        assert CircuitState.CLOSED is state(harness)


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_ORIGIN": "http://evil.example"},
        {"HTTP_ORIGIN": "null"},
        {"HTTP_ORIGIN": "http://[broken"},
        {"HTTP_SEC_FETCH_SITE": "cross-site"},
        {"HTTP_SEC_FETCH_SITE": "same-site"},
    ],
)
def test_form_of_another_site_is_refused(headers: dict[str, str]) -> None:
    """A form that the browser reports as cross-site is refused, even with a valid token."""
    with Harness() as harness:
        visitor = harness.visitor()
        form = {**form_of(visitor.get(CIRCUIT).text), "reason": "x"}
        assert 403 == visitor.post("/acts/circuit-open", form, **headers).status
        assert CircuitState.CLOSED is state(harness)
        own_headers = {"HTTP_ORIGIN": "http://127.0.0.1", "HTTP_SEC_FETCH_SITE": "same-origin"}
        assert 303 == visitor.post("/acts/circuit-open", form, **own_headers).status


@pytest.mark.parametrize(
    "body, kind, status",
    [
        (b"x" * 70_000, "application/x-www-form-urlencoded", 413),
        (b"service=vat&service=bare", "application/x-www-form-urlencoded", 400),
        (b'{"service": "vat"}', "application/json", 400),
        (b"--x\r\n", "multipart/form-data; boundary=x", 400),
        (b"\xff\xfe", "application/x-www-form-urlencoded", 403),
        (b"service=vat%00", "application/x-www-form-urlencoded", 400),
        (b"service=" + b"x" * 1_000, "application/x-www-form-urlencoded", 400),
        (b"", "", 400),
    ],
)
def test_form_that_no_page_sends_changes_nothing(body: bytes, kind: str, status: int) -> None:
    """A form that no page of the dashboard sends changes nothing."""
    with Harness() as harness:
        answer = harness.visitor().send("POST", "/acts/circuit-open", body, CONTENT_TYPE=kind)
        assert status == answer.status
        assert CircuitState.CLOSED is state(harness)


def test_values_of_links_are_exact() -> None:
    """An action applies to the tenant in its link, even if the name has spaces around it."""
    link_values = {"service": "vat", "tenant": " acme "}
    assert link_values == ACTS["circuit-open"].values(link_values)
    decision = {"key": " INV-7 ", "receipt": " ch_1 "}
    assert {"key": " INV-7 ", "receipt": "ch_1"} == ACTS["payment-done"].values(decision)


def test_long_fields_in_links_are_refused() -> None:
    """A confirmation link with a value longer than any real one is refused."""
    with Harness() as harness:
        assert 400 == harness.visitor().get(f"/acts/circuit-open?service={'x' * 700}").status


@pytest.mark.parametrize("name", ACTS)
def test_read_only_person_may_perform_no_action(name: str) -> None:
    """A read-only person gets no confirmation page; a form from them is denied and recorded."""
    with Harness() as harness:
        visitor = harness.visitor(VIEWER)
        assert 403 == visitor.get(f"/acts/{name}?service=vat&box=outbox&id=1&key=k").status
        assert 403 == visitor.post(f"/acts/{name}", {"service": "vat", "reason": "x"}).status
        assert [("vera", f"{name.replace('-', '.', 1)}.denied")] == recorded_acts(harness)


def test_person_may_perform_only_permitted_groups_of_actions() -> None:
    """A person may perform an action only if its group of actions is permitted to them."""
    with Harness() as harness:
        harness.put_outbox_entry()
        harness.dead_webhook()
        person = Person("olga", {Group.OUTBOX}, "olga")
        visitor = Visitor(DashboardApp(harness.dashboard, lambda _: person))
        assert 200 == visitor.get("/acts/entry-replay?box=outbox&id=01").status
        assert 403 == visitor.get("/acts/entry-replay?box=inbox&id=01").status
        assert 403 == visitor.get(CIRCUIT).status
        dead = visitor.get("/dead").text
        assert "entries-replay?box=outbox" in dead
        assert "entries-replay?box=inbox" not in dead


def test_person_can_replay_or_drop_entry() -> None:
    """A person can replay or drop an entry of a queue; the page warns of an unknown outcome."""
    with Harness() as harness:
        visitor = harness.visitor()
        harness.put_outbox_entry()
        harness.put_outbox_entry("02", EntryState.UNKNOWN)
        page = visitor.act("/acts/entry-replay?box=outbox&id=01")
        assert "is due again." in page.text
        assert "A worker takes the entry when it is due." in page.text
        warning = visitor.get("/acts/entry-drop?box=outbox&id=02").text
        assert "its call may have been done" in warning
        assert "is dropped." in visitor.act("/acts/entry-drop?box=outbox&id=02", reason="done").text
        assert EntryState.DROPPED is harness.outbox.find(EntryQuery(id="02")).items[0].state


def test_dead_letters_are_changed_in_batches_over_a_filter() -> None:
    """An action on filtered dead letters changes only those that existed when it was confirmed."""
    with Harness() as harness:
        visitor = harness.visitor()
        for number in range(BATCH + 20):
            harness.put_outbox_entry(f"{number:04}", tenant="acme")
        harness.put_outbox_entry("other", tenant="globex")
        harness.put_outbox_entry("doubt", EntryState.UNKNOWN, tenant="acme")
        harness.clock.advance(2)
        page = visitor.get("/dead?box=outbox&tenant=acme").text
        start = page.index("/acts/entries-replay")
        url = page[start : page.index('"', start)].replace("&amp;", "&")
        confirmation = visitor.get(url)
        assert "100+ dead entries of the outbox with tenant acme" in confirmation.text
        assert f"At most {BATCH} entries are changed at a time." in confirmation.text
        harness.clock.advance(5)
        harness.put_outbox_entry("late", tenant="acme")
        first = visitor.act(url).text
        assert f"{BATCH} entries due again. More entries match" in first
        assert "20 entries due again." in visitor.act(url).text
        dead_letters = harness.outbox.find(EntryQuery(states={EntryState.DEAD})).items
        assert {"other", "late"} == {entry.id for entry in dead_letters}
        drop = url.replace("replay", "drop").replace("tenant=acme", "tenant=globex")
        assert "1 dead entry of the outbox" in visitor.get(drop).text
        assert "1 entry dropped." in visitor.act(drop, reason="old").text


@pytest.mark.parametrize("until", ["", "yesterday", "2030-01-01T00:00:00"])
def test_batch_action_without_a_valid_time_is_refused(until: str) -> None:
    """A batch action whose time is missing, unreadable or without a time zone is refused."""
    with Harness() as harness:
        assert 404 == harness.visitor().get(f"/acts/entries-drop?box=outbox&until={until}").status


class PartlyLockedOutbox:
    """An outbox in which some entries cannot be changed."""

    def __init__(self, outbox: Outbox, refused: set[str]) -> None:
        self._outbox = outbox
        self._refused = refused
        self.find = outbox.find

    def with_audit(self, trail: object) -> PartlyLockedOutbox:
        """Ignore the audit trail, and return this outbox."""
        del trail
        return self

    def replay(self, id: str, **by: str) -> object:
        """Refuse to replay some entries."""
        if id in self._refused:
            raise InvalidData("Somebody holds it.", field="id")
        return self._outbox.replay(id, **by)


def test_batch_action_counts_entries_that_it_could_not_change() -> None:
    """A batch action counts the entries that it could not change, and shows the first problem."""
    with Harness() as harness:
        refused_ids = {"01", "02"}
        outbox: Any = PartlyLockedOutbox(harness.outbox, refused_ids)
        page = Dashboard(harness.hub, secret=SECRET, outbox=outbox)
        visitor = Visitor(DashboardApp(page, lambda _: ANN))
        harness.put_outbox_entry()
        harness.put_outbox_entry("02")
        end_time = (harness.clock.utc() + timedelta(seconds=1)).isoformat().replace("+", "%2B")
        url = f"/acts/entries-replay?box=outbox&until={end_time}"
        result_page = visitor.act(url).text
        assert "Not done. None of 2 entries was changed." in result_page
        refused_ids.remove("02")
        text = visitor.act(url).text
        assert (
            "due again. Entries that could not be changed: 1. The first problem: Somebody holds it."
            in text
        )


def test_look_up_at_the_vendor_settles_the_payment() -> None:
    """An operator can let the page ask the vendor for an outcome; then no decision is needed."""
    with Harness() as harness:
        harness.lose()
        visitor = harness.visitor()
        page = visitor.get(f"/payment{PAYMENT}").text
        assert "the program that sent the request may still be working on it" in page
        assert "You can decide in" in page
        assert "/acts/payment-" not in page
        harness.clock.advance(WAIT)
        assert "did not settle the outcome" not in visitor.get(f"/payment{PAYMENT}").text
        harness.stripe.fail(ConnectionFailed("no route", may_have_been_processed=False))
        page = visitor.act(f"/acts/payment-ask{PAYMENT}").text
        assert "The outcome of the charge of 20.00 EUR (INV-7) is still unknown." in page
        assert (
            "could not be asked, or did not answer (ConnectionFailed). Ask the vendor again when"
            in page
        )
        assert "The vendor was asked once, and did not settle the outcome; last " in page
        intents = dict(harness.stripe.intents)
        harness.stripe.intents.clear()
        page = visitor.act(f"/acts/payment-ask{PAYMENT}").text
        assert "lists no payment with the reference INV-7 and the amount 20.00 EUR. Stripe" in page
        assert "does not list the payment, the payment counts as not done. Until then, it" in page
        assert "The vendor was asked 2 times, and did not settle the outcome; last " in page
        harness.stripe.intents.update(intents)
        settled_page = visitor.act(f"/acts/payment-ask{PAYMENT}")
        (intent_id,) = intents
        assert f"was done, as {intent_id}. It is settled." in settled_page.text
        assert [] == harness.hub.unsettled_payments()
        assert "every payment of the payments contract is known." in visitor.get("/unknown").text


def test_two_people_close_a_payment() -> None:
    """Two people are needed to close a payment: the second confirms the proposal of the first."""
    with Harness() as harness:
        harness.lose()
        harness.clock.advance(WAIT)
        ann, ben = harness.visitor(), harness.visitor(BEN)
        assert "A second person then confirms" in ann.get(f"/payment{PAYMENT}").text
        proposal_page = ann.act(f"/acts/payment-done{PAYMENT}", reason="It is on their page.").text
        assert "A second person has to confirm your proposal." in proposal_page
        assert "You proposed this outcome." in proposal_page
        assert 1 == len(harness.hub.unsettled_payments())
        assert "done, proposed by ann" in ben.get("/unknown").text
        assert "1 of them waits for a second person" in ben.get("/").text
        page = ben.get(f"/payment{PAYMENT}").text
        assert "ann says that the operation was done." in page
        start = page.index("/acts/payment-confirm")
        url = page[start : page.index('"', start)].replace("&amp;", "&")
        question = ben.get(url).text
        assert "Reason: It is on their page. Every later call with its" in question
        own_page = ann.act(url).text
        assert "Not done. You proposed this outcome yourself." in own_page
        answer = ben.act(url)
        (intent_id,) = harness.stripe.intents
        words = f"is closed as done, as {intent_id}."
        assert (200, True) == (answer.status, words in answer.text)
        assert "every payment of the payments contract is known." in answer.text
        assert [] == harness.hub.unsettled_payments()
        assert [("ann", "payment.propose"), ("ben", "payment.close")] == recorded_acts(harness)


def test_proposal_that_was_changed_or_withdrawn_after_it_was_read_cannot_be_confirmed() -> None:
    """A proposal that was changed or withdrawn after it was read cannot be confirmed."""
    with Harness() as harness:
        harness.lose()
        harness.clock.advance(WAIT)
        ann, ben = harness.visitor(), harness.visitor(BEN)
        ann.act(f"/acts/payment-done{PAYMENT}", reason="seen", receipt="pi_1")
        page = ben.get(f"/payment{PAYMENT}").text
        assert "Its id at the vendor: pi_1." in page
        start = page.index("/acts/payment-confirm")
        url = page[start : page.index('"', start)].replace("&amp;", "&")
        assert "Its id at the vendor: pi_1. Reason: seen. " in ben.get(url).text
        ann.act(f"/acts/payment-not-done{PAYMENT}", reason="mistaken")
        assert "The proposal has changed" in ben.act(url).text
        assert "ann says that the operation was not done." in ben.get(f"/payment{PAYMENT}").text
        assert "payment-withdraw" not in ben.get(f"/payment{PAYMENT}").text
        assert "is rejected." in ben.act(f"/acts/payment-reject{PAYMENT}", reason="not so").text
        assert "The proposal was withdrawn." in ben.get(url).text
        assert "The proposal has changed" in ben.act(url).text
        ann.act(f"/acts/payment-done{PAYMENT}", reason="seen again")
        unstamped = ben.act(f"/acts/payment-confirm{PAYMENT}").text
        assert "Not done. The field stamp is missing" in unstamped
        assert 1 == len(harness.hub.unsettled_payments())


def test_old_proposal_does_not_decide_about_a_new_request() -> None:
    """If a payment is sent again, an older proposal to close it is neither shown nor confirmed."""
    with Harness(four_eyes=True) as harness:
        harness.lose()
        harness.clock.advance(WAIT)
        ann = harness.visitor()
        ann.act(f"/acts/payment-done{PAYMENT}", reason="seen")
        harness.hub.close_payment("INV-7/1", done=False)
        harness.clock.advance(10)
        harness.lose(reference="INV-8")
        harness.clock.advance(WAIT)
        assert (
            "says that the operation was" not in harness.visitor(BEN).get(f"/payment{PAYMENT}").text
        )


def test_page_of_payment_links_to_another_one_with_same_reference() -> None:
    """A payment's page links to another payment only if both have the same reference."""
    with Harness() as harness:
        payments = harness.hub.payments()
        for key, amount, reference in (
            ("a", "20.00", "R"),
            ("b", "30.00", "R"),
            ("c", "5.00", "S"),
        ):
            charge = Charge(Money(amount, "EUR"), "pm_card_visa", reference=reference)
            make_unknown_payment(
                harness, partial(payments.charge, charge, idempotency_key=key), done=False
            )
        harness.clock.advance(WAIT)
        visitor = harness.visitor()
        page = visitor.get("/payment?key=a").text
        assert "charge of 30.00 EUR (R)" in page
        assert "charge of 5.00 EUR (S)" not in page
        assert "Same reference" not in visitor.get("/payment?key=c").text


@pytest.mark.parametrize("done", [True, False])
def test_one_person_closes_a_payment_where_that_is_configured(done: bool) -> None:
    """If one operator may decide alone, a decision closes the payment at once."""
    with Harness(four_eyes=False) as harness:
        harness.lose()
        harness.clock.advance(WAIT)
        visitor = harness.visitor()
        action = "payment-done" if done else "payment-not-done"
        assert "A second person" not in visitor.get(f"/acts/{action}{PAYMENT}").text
        assert "A second person" not in visitor.get(f"/payment{PAYMENT}").text
        words = (
            "is closed as done, as pi_"
            if done
            else "idempotency key INV-7/1, the operation is carried out."
        )
        assert words in visitor.act(f"/acts/{action}{PAYMENT}", reason="seen").text
        closed = visitor.get(f"/payment{PAYMENT}").text
        assert done is ("Every later call with this idempotency key gets this receipt" in closed)
        assert "has no decision of a person" in closed
        missing_page = visitor.get("/payment?key=INV-8/1")
        assert (404, True) == (
            missing_page.status,
            "The payment may have been settled since." in missing_page.text,
        )


def lose_sealed_payment(harness: Harness, cipher: AesGcmCipher | None = None) -> None:
    """Charge once, lose the response, and store the payment so that the page cannot decrypt it."""
    account, cipher = harness.account(), cipher or AesGcmCipher(generate_keys())
    ports: Any = {"http": SandboxHttpClient(harness.stripe), "state": harness.state}
    charge = Charge(Money("20.00", "EUR"), "pm_card_visa", reference="INV-7")
    harness.stripe.fail(Lost())
    with (
        Hub([account], **ports, cipher=cipher, clock=harness.clock) as writer,
        pytest.raises(OutcomeUnknown),
    ):
        writer.payments().charge(charge, idempotency_key="INV-7/1")
    harness.clock.advance(WAIT)


@pytest.mark.parametrize("act", ["payment-done", "payment-not-done", "payment-ask"])
def test_sealed_payment_is_not_decided_without_its_cipher(act: str) -> None:
    """If a payment's cipher is missing, the page says so and omits the usual decisions."""
    with Harness(four_eyes=False) as harness:
        lose_sealed_payment(harness)
        visitor = harness.visitor()
        page = visitor.get(f"/payment{PAYMENT}").text
        assert ("Start the page with the cipher" in page, f"{act}?" in page) == (True, False)
        assert "needs the cipher" in visitor.get("/unknown").text
        page_text = visitor.act(f"/acts/{act}{PAYMENT}", reason="seen", receipt="pi_1").text
        assert "cannot be read here" in page_text
        assert 1 == len(harness.hub.unsettled_payments())


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("four_eyes", [True, False])
def test_payment_whose_keys_are_lost_is_closed(done: bool, four_eyes: bool) -> None:
    """A payment whose encryption keys are lost can be closed after the page lists what is lost."""
    with Harness(four_eyes=four_eyes) as harness:
        lose_sealed_payment(harness)
        ann, receipt = harness.visitor(), next(iter(harness.stripe.intents))
        action = f"payment-{'' if done else 'not-'}done-keys-lost"
        page = ann.get(f"/payment{PAYMENT}").text
        assert ("sealed", True) == (page[page.index("sealed") :][:6], f"/acts/{action}?" in page)
        assert "can no longer be verified" in ann.get(f"/acts/{action}{PAYMENT}").text
        answer = ann.act(f"/acts/{action}{PAYMENT}", reason="burnt", receipt=receipt)
        if four_eyes:
            assert 1 == len(harness.hub.unsettled_payments())
            ben = harness.visitor(BEN)
            page = ben.get(f"/payment{PAYMENT}").text
            start = page.index("/acts/payment-confirm")
            url = page[start : page.index('"', start)].replace("&amp;", "&")
            assert "are lost for ever" in ben.get(url).text
            answer = ben.act(url, reason="burnt")
        words = f"is closed as done, as {receipt}." if done else "is closed as not done. If your"
        assert words in answer.text
        assert [] == harness.hub.unsettled_payments()


def test_page_says_so_and_offers_only_decision_if_vendor_cannot_be_asked_for_outcome() -> None:
    """If the vendor cannot be asked for an outcome, the page says so and offers a decision."""
    with Harness(UnlistedStripe) as harness:
        harness.lose()
        harness.clock.advance(WAIT)
        (payment,) = harness.hub.unsettled_payments()
        assert NextStep.PERSON is payment.next
        visitor = harness.visitor()
        page = visitor.get(f"/payment{PAYMENT}").text
        assert "Stripe cannot be asked about this payment from this page. Look at" in page
        assert "payment-ask" not in page
        assert "Not done." in visitor.act(f"/acts/payment-ask{PAYMENT}").text
        assert "decide" in visitor.get("/unknown").text


@pytest.mark.parametrize("text", ["Done.", "漢" * 2_000, '"\n😀' * 2_000, ""])
def test_notice_in_any_script_fits_into_a_cookie(text: str) -> None:
    """A long notice is shortened, so that browsers accept its cookie in any script."""
    tokens = Tokens(Secret("k" * 32))
    value = tokens.notice(ANN, Notice(good=True, text=text))
    notice = tokens.read_notice(ANN, value)

    assert len(value) < 3_600
    assert notice is not None
    assert notice.good
    assert text.startswith(notice.text)
    assert len(notice.text) >= min(len(text), 800)


@pytest.mark.parametrize(
    "value", ["x", "x.y", "", "a" * 3_000, "eyJ4.0", '"quoted"', "=;=,=", "\xe9"]
)
def test_notice_in_url_is_shown_only_if_server_made_it_for_this_person(value: str) -> None:
    """A notice in a URL is shown only if the server made it for this person."""
    with Harness() as harness:
        visitor = harness.visitor()
        visitor.cookies["moorage_notice"] = value
        assert 'role="status"' not in visitor.get("/").text
