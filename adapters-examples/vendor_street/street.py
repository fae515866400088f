"""The example's simulated vendors, the switches that make them fail, and their webhooks."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from moorage.adapters.ciphers.aes_gcm import generate_keys
from moorage.domain.http.headers import Headers
from moorage.testing import Behaviour
from moorage.testing.sandboxes.bank.base import BOOKED
from moorage.testing.sandboxes.bank.berlin_group import BerlinGroupSandbox
from moorage.testing.sandboxes.base import Lost, SlowAnswer
from moorage.testing.sandboxes.einvoices.recommand import RecommandSandbox
from moorage.testing.sandboxes.email.postmark import PostmarkSandbox
from moorage.testing.sandboxes.email.sendgrid import SendGridSandbox
from moorage.testing.sandboxes.payments.mollie import MollieSandbox
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage.testing.sandboxes.shipping.easypost import EasyPostSandbox
from moorage.testing.sandboxes.shipping.shippo import ShippoSandbox
from moorage.testing.sandboxes.shops.woocommerce import WooCommerceSandbox
from moorage.testing.sandboxes.signatures.docusign import DocusignSandbox
from moorage.testing.sandboxes.tax.vies import ViesSandbox
from vendor_street.office import PageServer

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from moorage.testing.fakes.http_script import ReceivedRequest
    from moorage.testing.sandboxes.base import Notice, Sandbox

_KEY: Final = "idempotency-key"
_TRIES: Final = 20
_PAUSE: Final = 0.25
_TRANSFERS: Final = (("35.50", "Invoice A-1004"), ("12.00", "Thank you"))
"""The amounts and texts of the transfers that the bank account gets."""


class VendorBehaviour:
    """A vendor's current behaviour.

    Attributes:
        sandbox: the vendor.
        mood: "well"; "busy", which says 429 and does nothing; or "down", which says 503.
        forgetful: whether it takes no notice of idempotency keys.
        losing, slow: for how many answers more it loses or delays what it says; what it does, it
            does.
        delay: seconds that a slow answer takes.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.mood = "well"
        self.forgetful = False
        self.delay = 8.0

    def trouble(self, how: str) -> None:
        """Set how a vendor fails (lost or slow response, busy, down), or make it work again."""
        if how == "lose":
            self.sandbox.fail(Lost())
        elif how == "slow":
            self.sandbox.fail(SlowAnswer(self.delay))
        elif how in {"well", "busy", "down"}:
            self.mood = how
            if how == "well":
                self.sandbox.forget_faults()

    def answer(self, received: ReceivedRequest) -> Behaviour:
        """Answer a request as this stand-in for a vendor now should: well, or with an error."""
        if self.mood != "well":
            status = {"busy": 429, "down": 503}[self.mood]
            return Behaviour.of_json({"error": {"message": self.mood}}, status=status)
        if self.forgetful:
            headers_without_key = [
                pair for pair in received.headers.pairs if pair[0].lower() != _KEY
            ]
            received = type(received)(
                received.method,
                received.target,
                Headers(headers_without_key),
                received.body,
                received.connection,
            )
        return self.sandbox.behave(received)


class VendorSandboxes:
    """The sandboxes of all vendors.

    Args:
        webhooks: where the ERP takes webhooks; `{account}` in it stands for an account's name.

    Attributes:
        stripe, mollie, easypost, shippo, postmark, sendgrid, recommand, berlin_group, woocommerce,
            docusign, vies: the vendors.
        doors: what is in front of each, by the vendor's name.
        office: the page to trouble them from.
        environment: what the ERP's configuration refers to: where each vendor is, its secrets, and
            the keys that seal what is stored.
    """

    def __init__(self, webhooks: str) -> None:
        self.stripe = StripeSandbox(webhook_url=webhooks.format(account="stripe"))
        self.mollie = MollieSandbox()
        self.mollie.webhook_url = (
            f"{webhooks.format(account='mollie')}?token={self.mollie.webhook_token}"
        )
        self.easypost = EasyPostSandbox()
        self.shippo = ShippoSandbox()
        self.postmark = PostmarkSandbox()
        self.sendgrid = SendGridSandbox()
        self.recommand = RecommandSandbox()
        self.berlin_group = BerlinGroupSandbox()
        self.berlin_group.booked = [*_transfers(), BOOKED[-1]]
        self.woocommerce = WooCommerceSandbox()
        self.docusign = DocusignSandbox()
        self.vies = ViesSandbox()
        self.doors: dict[str, VendorBehaviour] = {
            name: VendorBehaviour(getattr(self, name))
            for name in (
                *("stripe", "mollie", "easypost", "shippo", "postmark", "sendgrid"),
                *("recommand", "berlin_group", "woocommerce", "docusign", "vies"),
            )
        }
        self._webhooks = webhooks
        self.office = PageServer(self)
        self.environment: dict[str, str] = {}
        self._open = ExitStack()
        self._leaving = threading.Event()
        self._postman = threading.Thread(target=self._carry, name="webhooks", daemon=True)

    def order(self) -> str:
        """Place an order in the shop; the shop reports it twice. Return the order's id."""
        order = self.woocommerce.add_order(2)
        for topic in ("order.created", "order.updated"):
            self.woocommerce.report(self._webhooks.format(account="acme.woocommerce"), order, topic)
            self.woocommerce.touch(order)
        return order

    def sign(self, envelope: str, *, agrees: bool) -> None:
        """Sign or decline a contract as the person who must sign next."""
        for person in self.docusign.envelopes[envelope].in_turn():
            if agrees:
                self.docusign.sign(envelope, person.email)
            else:
                self.docusign.decline(envelope, person.email, "It is too expensive.")
        event, url = (
            "completed" if agrees else "declined",
            self._webhooks.format(account="docusign"),
        )
        self.docusign.report(envelope, f"envelope-{event}", url=url)

    def agree(self, consent: str, *, agrees: bool) -> str:
        """Grant or refuse access to the bank account; return the owner's next URL."""
        if agrees:
            self.berlin_group.grant(consent)
        else:
            self.berlin_group.refuse(consent)
        erp = urlsplit(self._webhooks)
        url = urlsplit(self.berlin_group.return_urls[consent])
        return url._replace(scheme=erp.scheme, netloc=erp.netloc).geturl()

    def confirm(self, vendor: str, payment: str, *, success: bool) -> str:
        """Confirm or refuse a payment as its buyer; return the buyer's next URL."""
        if vendor == "stripe":
            intent = self.stripe.intents[payment]
            return_url: str = intent["next_action"]["redirect_to_url"]["return_url"]
            self.stripe.authenticate(payment, success=success)
            return f"{return_url}?payment_intent={payment}"
        self.mollie.visit(payment, "paid" if success else "failed")
        location: str = self.mollie.payments[payment]["redirectUrl"]
        return location

    def __enter__(self) -> Self:
        for name, door in self.doors.items():
            server = self._open.enter_context(door.sandbox.serving())
            server.always(door.answer)
            self.environment[f"{name.upper()}_URL"] = server.url
        self.easypost.files = self.environment["EASYPOST_URL"]
        self.shippo.files = self.environment["SHIPPO_URL"]
        bank = self._open.enter_context(self.office).url
        self.stripe.bank, self.mollie.checkout = f"{bank}/bank/stripe", f"{bank}/bank/mollie"
        self.berlin_group.page = f"{bank}/account"
        self.environment |= {
            "MOORAGE_KEYS": generate_keys().text().reveal(),
            "STRIPE_KEY": self.stripe.api_key,
            "STRIPE_WEBHOOK_SECRET": self.stripe.webhook_secret,
            "MOLLIE_KEY": self.mollie.api_key,
            "MOLLIE_WEBHOOK": self.mollie.webhook_url,
            "MOLLIE_WEBHOOK_TOKEN": self.mollie.webhook_token,
            "EASYPOST_KEY": self.easypost.api_key,
            "SHIPPO_KEY": self.shippo.token,
            "POSTMARK_TOKEN": self.postmark.token,
            "SENDGRID_KEY": self.sendgrid.api_key,
            "RECOMMAND_KEY": self.recommand.api_key,
            "RECOMMAND_SECRET": self.recommand.secret,
            "RECOMMAND_COMPANY": self.recommand.company_id,
            "BERLIN_GROUP_TOKEN": self.berlin_group.token,
            "WOOCOMMERCE_KEY": self.woocommerce.consumer_key,
            "WOOCOMMERCE_SECRET": self.woocommerce.consumer_secret,
            "WOOCOMMERCE_WEBHOOK_SECRET": self.woocommerce.webhook_secret,
            "ERP_VAT_NUMBER": "DE136695976",
            "DOCUSIGN_TOKEN": self.docusign.token,
            "DOCUSIGN_ACCOUNT": self.docusign.account_id,
            "DOCUSIGN_WEBHOOK_SECRET": self.docusign.connect_key,
        }
        self._postman.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leaving.set()
        self._postman.join()
        self._open.close()

    def _carry(self) -> None:
        """Deliver the vendors' webhooks, and repeat rejected webhooks later."""
        delivered_counts: dict[str, int] = dict.fromkeys(self.doors, 0)
        pending_deliveries: list[tuple[float, int, Notice]] = []
        while not self._leaving.wait(0.05):
            current_time = time.monotonic()
            for name, door in self.doors.items():
                sent_notices = door.sandbox.sent[delivered_counts[name] :]
                delivered_counts[name] += len(sent_notices)
                pending_deliveries += [(current_time, 1, notice) for notice in sent_notices]
            due_deliveries = [
                delivery for delivery in pending_deliveries if delivery[0] <= current_time
            ]
            pending_deliveries = [
                delivery for delivery in pending_deliveries if delivery[0] > current_time
            ]
            for _, tries, notice in due_deliveries:
                if not _is_port_taken(notice) and tries < _TRIES:
                    pending_deliveries.append((current_time + _PAUSE * tries, tries + 1, notice))


def _transfers() -> list[dict[str, Any]]:
    """Return the transfers as the bank reports them."""
    return [
        {
            **BOOKED[0],
            "transactionAmount": {"currency": "EUR", "amount": amount},
            "debtorName": "Charles Babbage",
            "remittanceInformationUnstructured": text,
        }
        for amount, text in _TRANSFERS
    ]


def _is_port_taken(notice: Notice) -> bool:
    try:
        return notice.deliver(5.0) < 300
    except OSError:
        return False
