"""The local vendors of the example ERPs: their sandboxes, faults and webhooks."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from local_vendors.control_pages import PageServer
from moorage.adapters.ciphers.aes_gcm import generate_keys
from moorage.domain.http.headers import Headers
from moorage.testing import Behaviour
from moorage.testing.sandboxes.bank.base import BOOKED
from moorage.testing.sandboxes.bank.berlin_group import BerlinGroupSandbox
from moorage.testing.sandboxes.base import Lost, SlowAnswer
from moorage.testing.sandboxes.einvoices.recommand import RecommandSandbox
from moorage.testing.sandboxes.email.postmark import PostmarkSandbox
from moorage.testing.sandboxes.email.sendgrid import SendGridSandbox
from moorage.testing.sandboxes.inference.anthropic import AnthropicSandbox
from moorage.testing.sandboxes.payments.mollie import MollieSandbox
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage.testing.sandboxes.shipping.easypost import EasyPostSandbox
from moorage.testing.sandboxes.shipping.shippo import ShippoSandbox
from moorage.testing.sandboxes.shops.woocommerce import WooCommerceSandbox
from moorage.testing.sandboxes.signatures.docusign import DocusignSandbox
from moorage.testing.sandboxes.tax.vies import ViesSandbox

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
    """A vendor with its current fault.

    Attributes:
        sandbox: the sandbox of the vendor.
        fault: "busy" if the vendor refuses all requests with HTTP 429, "down" if with HTTP 503;
            otherwise "none".
        forgetful: True if the vendor ignores idempotency keys.
        delay: seconds by which a slow response is delayed.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.fault = "none"
        self.forgetful = False
        self.delay = 8.0

    def set_fault(self, fault: str) -> None:
        """Cause a fault: "lose" or "slow" for the next response, "busy", "down", or "none"."""
        if fault == "lose":
            self.sandbox.fail(Lost())
        elif fault == "slow":
            self.sandbox.fail(SlowAnswer(self.delay))
        elif fault in {"none", "busy", "down"}:
            self.fault = fault
            if fault == "none":
                self.sandbox.forget_faults()

    def answer(self, received: ReceivedRequest) -> Behaviour:
        """Answer a request like the vendor, or refuse it if the vendor is busy or down."""
        if self.fault != "none":
            status = {"busy": 429, "down": 503}[self.fault]
            return Behaviour.of_json({"error": {"message": self.fault}}, status=status)
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
    """The sandboxes of all vendors, each on a port of this machine.

    Args:
        webhooks: the URL of the ERP's webhooks; `{account}` stands for an account's name.

    Attributes:
        stripe, mollie, easypost, shippo, postmark, sendgrid, recommand, berlin_group, woocommerce,
            docusign, vies, anthropic: the sandboxes.
        behaviours: the faults of each vendor, by the vendor's name.
        control_page: the page on which a person causes faults and acts as a buyer or signer.
        environment: the variables that the ERP's configuration refers to: each vendor's URL and
            secrets, and the keys that encrypt stored data.
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
        self.anthropic = AnthropicSandbox()
        self.behaviours: dict[str, VendorBehaviour] = {
            name: VendorBehaviour(getattr(self, name))
            for name in (
                *("stripe", "mollie", "easypost", "shippo", "postmark", "sendgrid"),
                *("recommand", "berlin_group", "woocommerce", "docusign", "vies", "anthropic"),
            )
        }
        self._webhooks = webhooks
        self.control_page = PageServer(self)
        self.environment: dict[str, str] = {}
        self._open = ExitStack()
        self._stopped = threading.Event()
        self._webhook_sender = threading.Thread(
            target=self._deliver_webhooks, name="webhooks", daemon=True
        )

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
        for name, behaviour in self.behaviours.items():
            server = self._open.enter_context(behaviour.sandbox.serving())
            server.always(behaviour.answer)
            self.environment[f"{name.upper()}_URL"] = server.url
        self.easypost.files = self.environment["EASYPOST_URL"]
        self.shippo.files = self.environment["SHIPPO_URL"]
        bank = self._open.enter_context(self.control_page).url
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
            "ANTHROPIC_KEY": self.anthropic.api_key,
            "DOCUSIGN_TOKEN": self.docusign.token,
            "DOCUSIGN_ACCOUNT": self.docusign.account_id,
            "DOCUSIGN_WEBHOOK_SECRET": self.docusign.connect_key,
        }
        self._webhook_sender.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopped.set()
        self._webhook_sender.join()
        self._open.close()

    def _deliver_webhooks(self) -> None:
        """Deliver the vendors' webhooks; repeat a webhook that the ERP did not accept."""
        delivered_counts: dict[str, int] = dict.fromkeys(self.behaviours, 0)
        pending_deliveries: list[tuple[float, int, Notice]] = []
        while not self._stopped.wait(0.05):
            current_time = time.monotonic()
            for name, behaviour in self.behaviours.items():
                sent_notices = behaviour.sandbox.sent[delivered_counts[name] :]
                delivered_counts[name] += len(sent_notices)
                pending_deliveries += [(current_time, 1, notice) for notice in sent_notices]
            due_deliveries = [
                delivery for delivery in pending_deliveries if delivery[0] <= current_time
            ]
            pending_deliveries = [
                delivery for delivery in pending_deliveries if delivery[0] > current_time
            ]
            for _, tries, notice in due_deliveries:
                if not _is_accepted(notice) and tries < _TRIES:
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


def _is_accepted(notice: Notice) -> bool:
    """Deliver a webhook, and return whether the ERP accepted it."""
    try:
        return notice.deliver(5.0) < 300
    except OSError:
        return False
