"""The scenes of the demo, in order."""

from __future__ import annotations

import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import moorage
from moorage import CircuitState, WebhookRejected
from moorage.contracts.payments import advance
from moorage.demo.back_office_story import BackOfficeStory
from moorage.demo.erp import Erp
from moorage.demo.invoice_abroad import NUMBER, paid_invoices
from moorage.demo.local_vendors import LocalNetwork, Vendors, configuration
from moorage.demo.narration import Narrator
from moorage.demo.warehouse import StockConnector
from moorage.testing.sandboxes.base import Lost, reply

if TYPE_CHECKING:
    from collections.abc import Iterable

    from moorage.demo.narration import DemoScene

_SENDGRID: Final = "api.sendgrid.com"
_SLACK: Final = "slack.com"


class DemoStory:
    """The demo's scenes, reported to a narrator."""

    def __init__(self, vendors: Vendors, network: LocalNetwork, folder: str) -> None:
        self.vendors = vendors
        self.network = network
        self.narrator = Narrator(vendors, network)
        self.say = self.narrator.say
        self.configuration = configuration(vendors, folder)
        self.hub = self._open(self.configuration)
        self.hub.connectors.add(StockConnector(vendors.warehouse))
        self.hub.connectors.add(vendors.warehouse.queue.publisher("events"))
        self.erp = Erp(self.hub)

    def _open(self, config: dict[str, Any]) -> moorage.Hub:
        return moorage.open(config, http=self.network, observers=[self.narrator])

    def tell(self) -> None:
        """Run all scenes of the demo."""
        self.an_order()
        self.a_declined_card()
        self.a_double_click()
        self.a_lost_answer()
        self.mail_is_down()
        self.mail_is_back()
        self.an_alert_in_a_chat()
        self.too_fast()
        self.a_token_expires()
        self.webhook_events()
        self.an_invoice_abroad()
        BackOfficeStory(self.vendors, self.hub, self.narrator).tell()
        self.a_database_and_a_queue()
        if sys.platform == "linux":  # Linux is the only system whose processes can be steps
            self.a_killed_program()
        self.another_vendor()
        self.hub.close()

    def an_order(self) -> None:
        """Process an order without failures."""
        summary = "An invoice is stored and mailed, a card charged, a label bought."
        with self.narrator.scene("An order", summary):
            receipt, link = self.erp.invoice("INV-1")
            self.say(f"mailed as {receipt.ref}; to be read at {link.partition('?')[0]}")
            payment = self.erp.pay("INV-1", "pm_card_visa")
            self.say(f"{payment.amount} are authorised: {payment.ref}")
            self.shipment = self.erp.ship("INV-1")
            self.say(f"a label of {self.shipment.carrier} for {self.shipment.cost}")
            self.payment = payment
            self.say(f"captured: {self.erp.take('INV-1', payment.ref).amount}")

    def a_declined_card(self) -> None:
        """Pay with a declined card; the decline is a valid result, not a failure."""
        summary = "The bank declines. The buyer sees the reason and uses another card."
        with self.narrator.scene("A declined card", summary):
            for card in ("pm_card_chargeDeclinedInsufficientFunds", "pm_card_visa"):
                self.say(self.erp.checkout("INV-2", card))

    def a_double_click(self) -> None:
        """Charge once, even if the buyer clicks three times with one key."""
        summary = "The buyer double-clicks, and the form is submitted again a moment later."
        with self.narrator.scene("A double click", summary), ThreadPoolExecutor() as buyers:
            clicks = [buyers.submit(self.erp.pay, "INV-3", "pm_card_visa") for _ in range(2)]
            paid_payments = [click.result() for click in clicks]
            paid_payments.append(self.erp.pay("INV-3", "pm_card_visa"))
            self.say(
                f"three clicks, charges made: {len({payment.ref for payment in paid_payments})}"
            )

    def a_lost_answer(self) -> None:
        """Repeat a request after its response was lost, with the same idempotency key."""
        summary = "Stripe charges the card, but its response is lost."
        with self.narrator.scene("A lost answer", summary):
            self.vendors.stripe.fail(Lost())
            earlier_charges = len(self.vendors.stripe.charges)
            self.erp.pay("INV-4", "pm_card_visa")
            self.say(f"charges made: {len(self.vendors.stripe.charges) - earlier_charges}")

    def mail_is_down(self) -> None:
        """Fail over to another email vendor when the circuit opens."""
        summary = "SendGrid is unreachable. Twenty reminders must still go out."
        with self.narrator.scene("Mail is down", summary):
            self.network.shut(_SENDGRID)
            mail_counts: Counter[str] = Counter()
            for number in range(20):
                self.narrator.quiet = number > 2
                receipt = self.erp.mail(f"R-{number}", f"Reminder {number}")
                mail_counts[str(receipt.ref).partition(":")[0]] += 1
            self.narrator.quiet = False
            self.say("all reminders:  " + _number_of(mail_counts))

    def mail_is_back(self) -> None:
        """Close the circuit by hand, earlier than it would close by itself."""
        summary = "SendGrid is back. An operator closes its circuit by hand."
        with self.narrator.scene("Mail is back", summary):
            self.network.reopen(_SENDGRID)
            self.hub.manager.set_circuit("sendgrid", CircuitState.CLOSED)
            for number in range(2):
                receipt = self.erp.mail(f"T-{number}", f"Thank you {number}")
                self.say(f"mailed as {receipt.ref}")

    def an_alert_in_a_chat(self) -> None:
        """Post an alert with the next vendor while the first one is unreachable, and edit it."""
        summary = "Slack is unreachable, so an alert goes to Telegram. It is edited there later."
        with self.narrator.scene("An alert in a chat", summary):
            self.network.shut(_SLACK)
            alert = self.erp.alert("INV-6", "Invoice INV-6 is overdue.")
            self.say(f"posted as {alert.ref}")
            self.network.reopen(_SLACK)
            self.erp.solve_alert(alert, "Invoice INV-6 is paid.")
            self.say(f"Telegram shows “{self.vendors.telegram.shown()[-1].text}”")
            mistake = self.erp.alert("INV-7", "Invoice INV-7 is overdue.")
            self.say(f"the next one is posted by mistake as {mistake.ref}")
            self.say(f"in Slack it is {self.erp.withdraw_alert(mistake)}")

    def too_fast(self) -> None:
        """Pause all callers after a single 429."""
        summary = "Twilio answers 429 with a one-second pause while eight texts are being sent."
        with self.narrator.scene("Too fast", summary):
            body = {"code": 20429, "message": "Too Many Requests", "status": 429}
            self.vendors.twilio.fail(reply(body, 429, Retry_After="1"))
            numbers = [f"INV-{number}" for number in range(10, 18)]
            self.narrator.quiet = True
            for label in ("sent", "sent after a repeat under the same key"):
                results = self.erp.remind("wave-1", numbers)
                self.say(f"{label}: {sum(result.ok for result in results)} of {len(results)}")
            self.narrator.quiet = False
            self.say(f"texts that Twilio accepted: {len(self.vendors.twilio.messages)}")

    def a_token_expires(self) -> None:
        """Renew a refused token, and repeat the call."""
        summary = "The Dutch branch uses PayPal, whose token suddenly expires."
        with self.narrator.scene("A token expires", summary):
            self.erp.pay("NL-0", "card:visa-1", "acme-nl")
            self.vendors.paypal.token_endpoint.forget()
            numbers = [f"NL-{number}" for number in range(1, 5)]
            payments = [self.erp.pay(number, "card:visa-1", "acme-nl") for number in numbers]
            self.say(f"paid: {len({payment.ref for payment in payments})} more orders")

    def webhook_events(self) -> None:
        """Accept a signed webhook once; refuse its replay and a forgery."""
        summary = "Stripe reports the outcome of INV-1. So does an impostor."
        with self.narrator.scene("News", summary):
            verifier = self.hub.webhooks("stripe")
            payment = self.payment
            notices = [
                item for item in self.vendors.stripe.sent if payment.ref.id.encode() in item.body
            ]
            for notice in notices:
                with verifier.receive(**notice.arguments()) as events:
                    for event in events:
                        for item in self.hub.events("stripe", event):
                            payment = advance(payment, item)
            self.say(f"{payment.ref} is {payment.state}")
            replayed_webhook, forged_webhook = notices[0].arguments(), notices[-1].arguments()
            forged_webhook["body"] = forged_webhook["body"].replace(b"14990", b"1")
            for label, webhook in (("repeated", replayed_webhook), ("forged", forged_webhook)):
                try:
                    verifier.verify(**webhook)
                except WebhookRejected as rejection:
                    self.say(f"{label}: refused ({rejection.reason})")

    def an_invoice_abroad(self) -> None:
        """Send an invoice without VAT after the register's answer, and notice its payment."""
        summary = "A French business buys without VAT. The register of its number is away at first."
        with self.narrator.scene("An invoice abroad", summary):
            outage = {"actionSucceed": False, "errorWrappers": [{"error": "MS_UNAVAILABLE"}]}
            self.vendors.vies.fail(reply(outage))
            total = self.erp.invoice_abroad()
            self.say(f"VAT number valid, {total} by the ECB's rate, the invoice mailed as XML")
            for number in paid_invoices(total):
                self.erp.report_paid(number)
                self.say(f"paid by the bank statement, and told to the team: {number}")
            self.erp.report_paid(NUMBER)

    def a_database_and_a_queue(self) -> None:
        """Repeat a statement after a lock, and a message after a missing acknowledgement."""
        summary = "A report locks the stock, and the queue's acknowledgement is lost."
        with self.narrator.scene("A database and a queue", summary):
            warehouse = self.vendors.warehouse
            warehouse.begin_report()
            self.say(f"lamps left in stock: {self.erp.pick('INV-1', 'lamp')}")
            warehouse.queue.lose_acknowledgements()
            for label in ("announced", "announced again"):
                self.erp.announce("INV-1")
                self.say(f"{label}; messages in the queue: {len(warehouse.queue.messages)}")

    def a_killed_program(self) -> None:
        """Find a step again after its program was killed."""
        summary = "The program that closes the month is killed. Another one takes over."
        with self.narrator.scene("A killed program", summary):
            month_end, key = self.vendors.month_end, "month-2030-01"
            self.say(f"killed after “{month_end.begin_and_die(self.configuration, key)}”")
            result = self.erp.close_month(key, lambda line: self.say(f"the step: {line.text}"))
            self.say(
                f"exit code {result.exit_code}; entries in the ledger: {len(month_end.effects)}"
            )

    def another_vendor(self) -> None:
        """Change the shipping vendor by one line of the configuration."""
        summary = 'One line changes: shipping = "shippo". Old labels are still tracked.'
        with self.narrator.scene("Another vendor", summary):
            self.hub.close()
            config = {**self.configuration, "shipping": {"vendor": "shippo"}}
            self.hub = self._open(config)
            self.erp = Erp(self.hub)
            self.say(f"the next label: {self.erp.ship('INV-5').ref.vendor}")
            tracking = self.hub.shipping().track_shipment(self.shipment.ref)
            self.say(f"{self.shipment.ref.vendor} reports for the first parcel: {tracking.status}")


def _number_of(mail_counts: Counter[str]) -> str:
    return ", ".join(f"{count} mails by {vendor}" for vendor, count in mail_counts.items())


def verdict(scenes: Iterable[DemoScene], effects: Iterable[str]) -> list[str]:
    """Return each contradiction between moorage's counts and the vendors' counts, as a sentence."""
    contradictions = [
        f"{scene.title}: {scene.attempts} attempts, but {scene.arrived} requests arrived."
        for scene in scenes
        if not scene.agrees
    ]
    all_effects = list(effects)
    contradictions += [
        f"{effect} happened {all_effects.count(effect)} times."
        for effect in dict.fromkeys(all_effects)
        if all_effects.count(effect) > 1
    ]
    return contradictions
