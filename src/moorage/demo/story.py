"""The scenes of the day, in order."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import moorage
from moorage import CircuitState, WebhookRejected
from moorage.contracts.payments import advance
from moorage.demo.erp import Erp
from moorage.demo.street import Street, Vendors, configuration
from moorage.demo.telling import Narrator
from moorage.testing.sandbox.base import Lost, reply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.demo.telling import Scene

_SENDGRID: Final = "api.sendgrid.com"


class Story:
    """What happens to the business, told to a narrator."""

    def __init__(self, vendors: Vendors, street: Street, folder: str) -> None:
        self.vendors = vendors
        self.street = street
        self.narrator = Narrator(vendors, street)
        self.say = self.narrator.say
        self.configuration = configuration(vendors, folder)
        self.hub = self._open(self.configuration)
        self.erp = Erp(self.hub)

    def _open(self, told: dict[str, Any]) -> moorage.Hub:
        return moorage.open(told, http=self.street, observers=[self.narrator])

    def tell(self) -> None:
        """All of it."""
        self.an_order()
        self.a_declined_card()
        self.a_double_click()
        self.a_lost_answer()
        self.mail_is_down()
        self.mail_is_back()
        self.too_fast()
        self.a_token_expires()
        self.news()
        self.another_vendor()
        self.hub.close()

    def an_order(self) -> None:
        """Nothing goes wrong."""
        about = "An invoice is kept and mailed, a card charged, a label bought, the money taken."
        with self.narrator.scene("An order", about):
            receipt, link = self.erp.invoice("INV-1")
            self.say(f"mailed as {receipt.ref}; to be read at {link.partition('?')[0]}")
            payment = self.erp.pay("INV-1", "pm_card_visa")
            self.say(f"{payment.amount} are set aside: {payment.ref}")
            self.shipment = self.erp.ship("INV-1")
            self.say(f"a label of {self.shipment.carrier} for {self.shipment.cost}")
            self.payment = payment
            self.say(f"taken: {self.erp.take('INV-1', payment.ref).amount}")

    def a_declined_card(self) -> None:
        """A decline is an answer, not a failure."""
        about = "The bank says no. The buyer is told so, and takes another card."
        with self.narrator.scene("A declined card", about):
            for card in ("pm_card_chargeDeclinedInsufficientFunds", "pm_card_visa"):
                self.say(self.erp.checkout("INV-2", card))

    def a_double_click(self) -> None:
        """One key, one charge, whoever asks and however often."""
        about = "The buyer clicks twice at once, and the page is sent again a moment later."
        with self.narrator.scene("A double click", about), ThreadPoolExecutor() as buyers:
            clicks = [buyers.submit(self.erp.pay, "INV-3", "pm_card_visa") for _ in range(2)]
            paid = [click.result() for click in clicks]
            paid.append(self.erp.pay("INV-3", "pm_card_visa"))
            self.say(f"three clicks, charges made: {len({one.ref for one in paid})}")

    def a_lost_answer(self) -> None:
        """The vendor knows keys, so the same request is asked again under the same key."""
        about = "Stripe charges, and its answer gets lost on the way."
        with self.narrator.scene("A lost answer", about):
            self.vendors.stripe.fail(Lost())
            before = len(self.vendors.stripe.charges)
            self.erp.pay("INV-4", "pm_card_visa")
            self.say(f"charges made: {len(self.vendors.stripe.charges) - before}")

    def mail_is_down(self) -> None:
        """The circuit opens, and another vendor takes over: only where nothing can be doubled."""
        about = "Nobody can reach SendGrid. Twenty reminders have to go out all the same."
        with self.narrator.scene("Mail is down", about):
            self.street.shut(_SENDGRID)
            mailed: Counter[str] = Counter()
            for number in range(20):
                self.narrator.quiet = number > 2
                receipt = self.erp.mail(f"R-{number}", f"Reminder {number}")
                mailed[str(receipt.ref).partition(":")[0]] += 1
            self.narrator.quiet = False
            self.say("the others as the last: " + _counted(mailed))

    def mail_is_back(self) -> None:
        """A circuit closes by itself after a while; who knows more closes it sooner."""
        about = "SendGrid says that it is back. Somebody closes its circuit by hand."
        with self.narrator.scene("Mail is back", about):
            self.street.reopen(_SENDGRID)
            self.hub.manager.set_circuit("sendgrid", CircuitState.CLOSED)
            for number in range(2):
                receipt = self.erp.mail(f"T-{number}", f"Thank you {number}")
                self.say(f"mailed as {receipt.ref}")

    def too_fast(self) -> None:
        """A 429 makes every caller wait, not only the one that got it."""
        about = "Twilio says 429, come back in a second. Eight texts are on their way to it."
        with self.narrator.scene("Too fast", about):
            much = {"code": 20429, "message": "Too Many Requests", "status": 429}
            self.vendors.twilio.fail(reply(much, 429, Retry_After="1"))
            numbers = [f"INV-{number}" for number in range(10, 18)]
            self.narrator.quiet = True
            for what in ("sent", "and after the same once more, under the same key"):
                results = self.erp.remind("wave-1", numbers)
                self.say(f"{what}: {sum(one.ok for one in results)} of {len(results)}")
            self.narrator.quiet = False
            self.say(f"texts that Twilio took: {len(self.vendors.twilio.messages)}")

    def a_token_expires(self) -> None:
        """A token that is refused is renewed, and the call made again."""
        about = "The Dutch branch is paid by PayPal, whose token is suddenly worth nothing."
        with self.narrator.scene("A token expires", about):
            self.erp.pay("NL-0", "card:visa-1", "acme-nl")
            self.vendors.paypal.desk.forget()
            numbers = [f"NL-{number}" for number in range(1, 5)]
            paid = [self.erp.pay(number, "card:visa-1", "acme-nl") for number in numbers]
            self.say(f"paid: {len({one.ref for one in paid})} more orders")

    def news(self) -> None:
        """What is signed is believed, once."""
        about = "Stripe tells what became of INV-1. So does somebody who would like it to be so."
        with self.narrator.scene("News", about):
            verifier = self.hub.webhooks("stripe")
            known = self.payment
            notices = [one for one in self.vendors.stripe.sent if known.ref.id.encode() in one.body]
            for notice in notices:
                with verifier.receive(**notice.given()) as events:
                    for event in events:
                        for one in self.hub.events("stripe", event):
                            known = advance(known, one)
            self.say(f"{known.ref} is {known.state}")
            repeated, forged = notices[0].given(), notices[-1].given()
            forged["body"] = forged["body"].replace(b"14990", b"1")
            for what, given in (("told again", repeated), ("forged", forged)):
                try:
                    verifier.verify(**given)
                except WebhookRejected as refused:
                    self.say(f"{what}: refused ({refused.reason})")

    def another_vendor(self) -> None:
        """One line of configuration, and open business stays where it is."""
        about = 'One line changes: shipping = "shippo". What EasyPost sold is still tracked there.'
        with self.narrator.scene("Another vendor", about):
            self.hub.close()
            told = {**self.configuration, "shipping": {"vendor": "shippo"}}
            self.hub = self._open(told)
            self.erp = Erp(self.hub)
            self.say(f"the next label: {self.erp.ship('INV-5').ref.vendor}")
            tracking = self.hub.shipping().track_shipment(self.shipment.ref)
            self.say(f"{self.shipment.ref.vendor} says of the first parcel: {tracking.status}")


def _counted(mailed: Counter[str]) -> str:
    return ", ".join(f"{count} mails by {vendor}" for vendor, count in mailed.items())


def verdict(scenes: Iterable[Scene], effects: Iterable[str]) -> list[str]:
    """What is wrong with the figures."""
    wrong = [
        f"{scene.title}: {scene.attempts} attempts, but {scene.arrived} requests arrived."
        for scene in scenes
        if not scene.agrees
    ]
    done = list(effects)
    wrong += [
        f"{effect} was done {done.count(effect)} times."
        for effect in dict.fromkeys(done)
        if done.count(effect) > 1
    ]
    return wrong
