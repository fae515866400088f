"""The demo's vendors: local HTTP servers under the vendors' real host names."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.demo.month_end import MonthEnd
from moorage.demo.warehouse import Warehouse
from moorage.invoices import read_invoice
from moorage.testing import VendorServer
from moorage.testing.sandboxes.accounting.xero import TENANT, XeroSandbox
from moorage.testing.sandboxes.bank.berlin_group import BASE, HOST, BerlinGroupSandbox
from moorage.testing.sandboxes.calendars.google_calendar import GoogleCalendarSandbox
from moorage.testing.sandboxes.chat.slack import SlackSandbox
from moorage.testing.sandboxes.chat.telegram import GROUP, TelegramSandbox
from moorage.testing.sandboxes.currencies.ecb import EcbSandbox
from moorage.testing.sandboxes.einvoices.base import TOKEN
from moorage.testing.sandboxes.einvoices.storecove import StorecoveSandbox
from moorage.testing.sandboxes.email.postmark import PostmarkSandbox
from moorage.testing.sandboxes.email.sendgrid import SendGridSandbox
from moorage.testing.sandboxes.inference.anthropic import AnthropicSandbox
from moorage.testing.sandboxes.payments.paypal import PayPalSandbox
from moorage.testing.sandboxes.payments.stripe import StripeSandbox
from moorage.testing.sandboxes.people.entra import EntraSandbox
from moorage.testing.sandboxes.people.scim import ScimSandbox
from moorage.testing.sandboxes.push.firebase import FirebaseSandbox
from moorage.testing.sandboxes.shipping.easypost import EasyPostSandbox
from moorage.testing.sandboxes.shipping.shippo import ShippoSandbox
from moorage.testing.sandboxes.shops.woocommerce import WooCommerceSandbox
from moorage.testing.sandboxes.signatures.docusign import DocusignSandbox
from moorage.testing.sandboxes.sms.twilio import TwilioSandbox
from moorage.testing.sandboxes.tax.vies import ViesSandbox

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from moorage import Request, Response, Timeouts
    from moorage.ports.http import Incoming
    from moorage.testing.sandboxes.base import Sandbox


class Vendors:
    """The sandboxes of the demo's vendors and its warehouse, with request and effect counts.

    Args:
        folder: the folder of the warehouse's database and of the ledger.
    """

    def __init__(self, folder: str) -> None:
        self.warehouse = Warehouse(folder)
        self.month_end = MonthEnd(folder)
        self.sendgrid = SendGridSandbox()
        self.postmark = PostmarkSandbox()
        self.twilio = TwilioSandbox()
        self.stripe = StripeSandbox()
        self.paypal = PayPalSandbox()
        self.easypost = EasyPostSandbox()
        self.shippo = ShippoSandbox()
        self.vies = ViesSandbox()
        self.ecb = EcbSandbox()
        self.slack = SlackSandbox()
        self.telegram = TelegramSandbox()
        self.shop = WooCommerceSandbox()
        self.storecove = StorecoveSandbox()
        self.xero = XeroSandbox()
        self.bank = BerlinGroupSandbox()
        self.docusign = DocusignSandbox()
        self.firebase = FirebaseSandbox()
        self.scim = ScimSandbox()
        self.entra = EntraSandbox()
        self.calendar = GoogleCalendarSandbox()
        self.anthropic = AnthropicSandbox()

    @property
    def all(self) -> tuple[Sandbox, ...]:
        """The sandboxes of all vendors."""
        return (
            *(self.sendgrid, self.postmark, self.twilio, self.stripe),
            *(self.paypal, self.easypost, self.shippo),
            *(self.vies, self.ecb, self.slack, self.telegram),
            *(self.shop, self.storecove, self.xero, self.bank),
            *(self.docusign, self.firebase, self.scim, self.entra, self.calendar),
            self.anthropic,
        )

    @property
    def request_count(self) -> int:
        """The number of requests, including those for tokens and to the warehouse."""
        parts = [part for sandbox in self.all for part in (sandbox, *sandbox.mounts.values())]
        return sum(len(part.requests) for part in parts) + self.warehouse.arrivals

    @property
    def effects(self) -> list[str]:
        """All irreversible effects, such as emails, payments, labels and messages."""
        return [
            *self.warehouse.effects,
            *self.month_end.effects,
            *(f"mail {item.subject}" for item in self.sendgrid.delivered),
            *(f"mail {item.subject}" for item in self.postmark.delivered),
            *(f"text {item['body']}" for item in self.twilio.messages.values()),
            *(f"charge {item['id']}" for item in self.stripe.charges.values()),
            *(f"order {item}" for item in self.paypal.orders),
            *(f"label {item}" for item in (*self.easypost.labels, *self.shippo.transactions)),
            *(f"chat {item.text}" for item in (*self.slack.shown(), *self.telegram.shown())),
            *(f"parcel of order {item.order}" for item in self.shop.parcels()),
            *(
                f"e-invoice {read_invoice(item.document).number}"
                for item in self.storecove.deliveries()
            ),
            *(f"booked {item['InvoiceNumber']}" for item in self.xero.invoices.values()),
            *(f"paid {item['Invoice']['InvoiceID']}" for item in self.xero.payments.values()),
            *(
                f"envelope {item.fields['emailSubject']}"
                for item in self.docusign.envelopes.values()
            ),
            *(f"push {item.title} to {item.to}" for item in self.firebase.delivered),
            *(f"SCIM account {item.user_name}" for item in self.scim.accounts()),
            *(f"Entra account {item.user_name}" for item in self.entra.accounts()),
            *(f"event {item.title}" for item in self.calendar.events()),
        ]


class LocalNetwork:
    """An HTTP client that sends requests for the vendors' host names to local servers.

    Attributes:
        turned_away: the number of requests whose connection was refused.
    """

    def __init__(self, vendors: Vendors) -> None:
        self._vendors = vendors
        self._client = StdlibHttpClient()
        self._open = ExitStack()
        self._servers: dict[str, str] = {}
        self._closed: set[str] = set()
        self.turned_away = 0

    def shut(self, host: str) -> None:
        """Refuse connections to a host from now on."""
        self._closed.add(host)

    def reopen(self, host: str) -> None:
        """Accept connections to a host again."""
        self._closed.discard(host)

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request to the local server behind its host name."""
        return self._client.send(request, self._local_url(url), timeouts).evolve(url=url)

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> Incoming:
        """Send a request to the local server behind its host name, and stream the response."""
        return self._client.open(request, self._local_url(url), timeouts)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _local_url(self, url: str) -> str:
        parts = urlsplit(url)
        server = self._servers.get(parts.netloc, f"http://{parts.netloc}")
        if parts.netloc in self._closed:
            self.turned_away += 1
            server = self._nobody.url
        return f"{server}{parts.path}{f'?{parts.query}' if parts.query else ''}"

    def __enter__(self) -> Self:
        self._nobody = self._open.enter_context(VendorServer(port="refusing"))
        for sandbox in self._vendors.all:
            server = self._open.enter_context(sandbox.serving())
            self._servers |= dict.fromkeys(sandbox.hosts, server.url)
            if sandbox is self._vendors.shippo:  # Shippo has a separate host for label files
                self._vendors.shippo.files = server.url
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()
        self._open.close()


def configuration(vendors: Vendors, folder: str) -> dict[str, Any]:
    """The business system's configuration; a real file would use `secret://env/…`."""
    quick_retries = {"max_attempts": 2, "base_delay": 0.1, "jitter": "none"}
    return {
        "state": {"url": f"sqlite:///{folder}/moorage.db"},
        **vendors.month_end.settings(),
        "email": {"vendor": ["sendgrid", "postmark"]},
        "sms": {"vendor": "twilio"},
        "payments": {"vendor": "stripe"},
        "shipping": {"vendor": "easypost"},
        "storage": {"vendor": "local_files"},
        "tax": {"vendor": "vies"},
        "currencies": {"vendor": "ecb"},
        "chat": {"vendor": ["slack", "telegram"]},
        "shops": {"vendor": "woocommerce"},
        "einvoices": {"vendor": "storecove"},
        "accounting": {"vendor": "xero"},
        "bank": {"vendor": "berlin_group"},
        "signatures": {"vendor": "docusign"},
        "push": {"vendor": "firebase"},
        "people": {"vendor": "scim"},
        "calendars": {"vendor": "google_calendar"},
        "inference": {"vendor": "anthropic"},
        "services": {
            "stock": {"retry": quick_retries},
            "events": {"retry": quick_retries, "honours_keys": True, "idempotency_memory": 120.0},
        },
        "vendors": {
            "sendgrid": {
                "credentials": vendors.sendgrid.api_key,
                "sender": "ACME <billing@acme.example>",
                "retry": quick_retries,
                "circuit": {"consecutive_failures": 3, "open_for": 60.0},
            },
            "postmark": {
                "credentials": vendors.postmark.token,
                "sender": "ACME <billing@acme.example>",
            },
            "twilio": {
                "account_sid": vendors.twilio.account_sid,
                "credentials": vendors.twilio.auth_token,
                "sender": "+15005550006",
                "limits": {"rate": 100, "per": "second"},
            },
            "stripe": {
                "credentials": vendors.stripe.api_key,
                "retry": quick_retries,
                "webhook_secrets": [vendors.stripe.webhook_secret],
            },
            "easypost": {"credentials": vendors.easypost.api_key},
            "shippo": {
                "credentials": vendors.shippo.token,
                "label_hosts": [vendors.shippo.files],
            },
            "vies": {"retry": quick_retries},
            "ecb": {},
            "slack": {
                "credentials": vendors.slack.token,
                "channel": "orders",
                "retry": quick_retries,
            },
            "telegram": {"credentials": vendors.telegram.token, "channel": GROUP},
            "local_files": {
                "root": f"{folder}/files",
                "url": "https://erp.acme.example/files",
                "signing_key": "the signing key of the demo",
            },
            "woocommerce": {
                "base_url": f"https://{vendors.shop.hosts[0]}",
                "consumer_key": vendors.shop.consumer_key,
                "credentials": vendors.shop.consumer_secret,
                "currency": "EUR",
                "retry": quick_retries,
                "webhook_secrets": [vendors.shop.webhook_secret],
            },
            "storecove": {
                "credentials": vendors.storecove.token,
                "legal_entity_id": str(vendors.storecove.legal_entity_id),
                "webhook_secrets": [TOKEN],
            },
            "xero": {
                "tenant_id": TENANT,
                "client_id": vendors.xero.client_id,
                "client_secret": vendors.xero.client_secret,
                "retry": quick_retries,
            },
            "berlin_group": {
                "base_url": f"https://{HOST}{BASE}",
                "credentials": vendors.bank.token,
            },
            "docusign": {
                "account_id": vendors.docusign.account_id,
                "credentials": vendors.docusign.token,
                "webhook_secrets": [vendors.docusign.connect_key],
            },
            "firebase": {"credentials": vendors.firebase.key_file()},
            "google_calendar": {
                "credentials": vendors.calendar.key_file(),
                "user": "ada@example.com",
            },
            "anthropic": {
                "credentials": vendors.anthropic.api_key,
                "model": "model-large",
                "daily_tokens": 22_000,
                "retry": quick_retries,
            },
            "scim": {"base_url": vendors.scim.base_url, "credentials": vendors.scim.token},
        },
        "tenants": {
            "acme-nl": {
                "payments": {"vendor": "paypal"},
                "people": {"vendor": "entra"},
                "vendors": {
                    "paypal": {
                        "client_id": vendors.paypal.client_id,
                        "client_secret": vendors.paypal.client_secret,
                        "sandbox": True,
                        "return_url": "https://erp.acme.example/back",
                    },
                    "entra": {
                        "directory": vendors.entra.directory,
                        "client_id": vendors.entra.client_id,
                        "client_secret": vendors.entra.client_secret,
                        "retry": quick_retries,
                    },
                },
            },
        },
    }
