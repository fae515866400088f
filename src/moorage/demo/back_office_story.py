"""The back-office scenes of the demo, in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage import ConsentRequired, RateLimitExceeded, Response, WebhookRejected
from moorage.demo.back_office import VISIT_END, VISIT_START, BackOffice
from moorage.testing.sandboxes.base import Lost

if TYPE_CHECKING:
    from moorage import Hub, Ref
    from moorage.demo.local_vendors import Vendors
    from moorage.demo.narration import Narrator
    from moorage.testing.sandboxes.base import Notice

_HOOKS: Final = "https://erp.acme.example/hooks"
_ADA: Final = "ada@example.com"
_LETTERS: Final = {
    17: "We invoice you for one box of paper: 19.90 EUR.",
    18: "Our invoice 2041 is overdue. Please pay it within a week.",
    19: "Please find our general terms and conditions below. " * 400,
    20: "Please find our new terms and conditions below. " * 400,
}
"""Letters by their number; the last two are too long for one day's budget together."""


class BackOfficeStory:
    """The back-office scenes, reported to a narrator."""

    def __init__(self, vendors: Vendors, hub: Hub, narrator: Narrator) -> None:
        self.vendors = vendors
        self.hub = hub
        self.narrator = narrator
        self.say = narrator.say
        self.office = BackOffice(hub)

    def tell(self) -> None:
        """Run all back-office scenes."""
        self.an_order_of_the_shop()
        self.an_electronic_invoice()
        self.the_books()
        self.a_bank_statement()
        self.a_contract()
        self.a_removed_app()
        self.somebody_leaves()
        self.a_visit()
        self.letters()

    def an_order_of_the_shop(self) -> None:
        """Import an order once, even if several webhooks are about it."""
        summary = "The shop reports one order three times. Its answer about the parcel is lost."
        with self.narrator.scene("A shop's order", summary):
            shop = self.vendors.shop
            order_id = shop.add_order(2)
            created = shop.report(_HOOKS, order_id, "order.created")
            shop.touch(order_id)
            updated = shop.report(_HOOKS, order_id, "order.updated")
            for notice in (created, created, updated):
                try:
                    for event in self._events("woocommerce", notice):
                        self.say(f"{event.topic}: {self.office.import_order(event.ref)}")
                except WebhookRejected as rejection:
                    self.say(f"the same webhook again: refused ({rejection.reason})")
            (order,) = self.office.orders.values()
            self.say(f"orders that were imported: {len(self.office.orders)}, over {order.total}")
            shop.fail(None, Lost())
            self.office.fulfil_order(order)
            self.say(f"parcels that the shop knows: {len(shop.parcels())}")

    def an_electronic_invoice(self) -> None:
        """Send an invoice once, even if the response is lost, and record its delivery."""
        summary = "Storecove takes an invoice, but its answer is lost. The clerk clicks again."
        with self.narrator.scene("An e-invoice", summary):
            self.vendors.storecove.fail(Lost())
            for label in ("clicked", "clicked again"):
                self.say(f"{label}: {self.office.send_invoice()}")
            (guid,) = self.vendors.storecove.submissions
            for event in self._events("storecove", self.vendors.storecove.deliver(guid)):
                self.say(f"a webhook reports: {event.status}")
            self.say(f"invoices that Storecove got: {len(self.vendors.storecove.submissions)}")

    def the_books(self) -> None:
        """Book an invoice once, even if the response is lost and the call is repeated."""
        summary = "Xero books the invoice, but its answer is lost. A nightly job books it again."
        with self.narrator.scene("The books", summary):
            customer = self.office.book_customer()
            self.vendors.xero.fail(Lost())
            record, _ = [self.office.book_invoice(customer) for _ in range(2)]
            self.say(f"{record.number} is {record.state} over {record.total}")
            self.say(f"invoices in the books: {self.vendors.xero.counts()['invoices']}")
            self.booked_invoice = record.ref

    def a_bank_statement(self) -> None:
        """Ask for consent again, match the known payments, and leave the rest to a person."""
        summary = "The consent for the bank account has ended. A line of the statement is unknown."
        with self.narrator.scene("A bank statement", summary):
            consent = self._consent("account-1/2030")
            self.vendors.bank.expire(consent.id)
            try:
                self.office.match_statement(consent)
            except ConsentRequired:
                consent = self._consent("account-1/2031")
                self.say("the owner of the account agrees again")
            result = self.office.match_statement(consent)
            for payment in result.matched:
                names = ", ".join(item.id for item in payment.items)
                self.say(f"{payment.entry.amount}: {names}, by its {_reason_words(payment.reason)}")
            for payment in result.unmatched:
                text = payment.transaction.remittance
                self.say(f"{payment.entry.amount}: “{text}” is left to a person")
            record = self.office.book_payment(self.booked_invoice)
            self.say(f"{record.number} is {record.state} in the books")

    def a_contract(self) -> None:
        """Notice that a contract is declined, and store the next version once it is signed."""
        summary = "Ada declines her contract. She signs the next version."
        with self.narrator.scene("A contract", summary):
            docusign = self.vendors.docusign
            contract = self.office.send_contract(1).ref
            docusign.decline(contract.id, _ADA, "The notice period is too long.")
            self._follow(contract, "envelope-declined")
            contract = self.office.send_contract(2).ref
            docusign.sign(contract.id, _ADA)
            self._follow(contract, "envelope-completed")
            self.say(f"stored as {self.office.store_contract(contract)}")

    def a_removed_app(self) -> None:
        """Forget the token of a phone on which the app was removed."""
        summary = "The app was removed from one of two phones, whose token is forgotten."
        with self.narrator.scene("A removed app", summary):
            firebase = self.vendors.firebase
            self.office.phones = [firebase.recipient() for _ in range(2)]
            firebase.remove(self.office.phones[1])
            for text in ("Stocktaking at six", "Stocktaking is over"):
                outcomes = self.office.notify(text)
                self.say(f"“{text}”: {', '.join(outcomes)}")

    def somebody_leaves(self) -> None:
        """Close an employee's accounts in two directories, one of which is down at first."""
        summary = "Ada leaves two branches while the directory of one of them is down."
        with self.narrator.scene("Somebody leaves", summary):
            self.office.hire("ada@example.com")
            self.vendors.entra.fail(Response(503), Response(503))
            for label in ("still open", "still open after the next run"):
                vendors = self.office.close_accounts()
                self.say(f"{label}: {', '.join(vendors) or 'nothing'}")

    def a_visit(self) -> None:
        """Add a visit to a calendar once, even if the response is lost, and move the visit."""
        summary = "A visit is planned, but the calendar's answer is lost. Grace is busy then."
        with self.narrator.scene("A visit", summary):
            calendar = self.vendors.calendar
            calendar.fail(None, Lost())
            visit = self.office.plan_visit()
            self.say(f"planned for {visit.start}")
            calendar.occupy("grace@example.com", VISIT_START, VISIT_END)
            self.say(f"Grace is {'free' if self.office.is_free('grace@example.com') else 'busy'}")
            self.say(f"moved to {self.office.postpone_visit(visit).start}")
            self.say(f"visits in the calendar: {len(calendar.events())}")

    def letters(self) -> None:
        """Sort letters with a language model, within its budget of tokens for the day."""
        summary = "A model sorts letters. One answer is lost, and the last letter is too long."
        with self.narrator.scene("Letters", summary):
            model = self.vendors.anthropic
            kinds = ("invoice", "invoice", "reminder", "other")
            model.say(*(f'{{"kind": "{kind}"}}' for kind in kinds))
            model.fail(Lost())
            for number in (17, 18, 18, 19, 20):
                try:
                    kind = self.office.sort_letter(number, _LETTERS[number])
                except RateLimitExceeded:
                    kind = "not read today, because too few tokens are left"
                self.say(f"letter {number}: {kind}")

    def _consent(self, key: str) -> Ref:
        consent = self.office.connect_bank(key).ref
        self.vendors.bank.grant(consent.id)
        return consent

    def _follow(self, contract: Ref, event_name: str) -> None:
        notice = self.vendors.docusign.report(contract.id, event_name, url=_HOOKS)
        for event in self._events("docusign", notice):
            envelope = self.hub.signatures().get(event.ref)
            reason = next((item.reason for item in envelope.signers if item.reason), None)
            self.say(f"the contract is {envelope.status}" + (f": “{reason}”" if reason else ""))

    def _events(self, account: str, notice: Notice) -> list[Any]:
        verifier = self.hub.webhooks(account)
        with verifier.receive(**notice.arguments()) as webhooks:
            return [event for item in webhooks for event in self.hub.events(account, item)]


def _reason_words(reason: str) -> str:
    return reason.replace("_", " ")
