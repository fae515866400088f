"""The vendors of the story: each a real HTTP server on this machine, under its real name."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from moorage.adapters.stdlib_http import StdlibHttpClient
from moorage.testing import VendorServer
from moorage.testing.sandbox.easypost import EasyPostSandbox
from moorage.testing.sandbox.paypal import PayPalSandbox
from moorage.testing.sandbox.postmark import PostmarkSandbox
from moorage.testing.sandbox.sendgrid import SendGridSandbox
from moorage.testing.sandbox.shippo import ShippoSandbox
from moorage.testing.sandbox.stripe import StripeSandbox
from moorage.testing.sandbox.twilio import TwilioSandbox

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from moorage import Request, Response, Timeouts
    from moorage.ports.http import Incoming
    from moorage.testing.sandbox.base import Sandbox


class Vendors:
    """All of them, with what has come of what they were asked."""

    def __init__(self) -> None:
        self.sendgrid = SendGridSandbox()
        self.postmark = PostmarkSandbox()
        self.twilio = TwilioSandbox()
        self.stripe = StripeSandbox()
        self.paypal = PayPalSandbox()
        self.easypost = EasyPostSandbox()
        self.shippo = ShippoSandbox()

    @property
    def all(self) -> tuple[Sandbox, ...]:
        """Each of them."""
        return (
            *(self.sendgrid, self.postmark, self.twilio, self.stripe),
            *(self.paypal, self.easypost, self.shippo),
        )

    @property
    def asked(self) -> int:
        """How many requests have arrived, those for tokens among them."""
        return sum(len(one.asked) for one in self.all) + len(self.paypal.desk.asked)

    @property
    def effects(self) -> list[str]:
        """Everything that cannot be undone: mails, texts, money that was taken, labels."""
        return [
            *(f"mail {one.subject}" for one in self.sendgrid.delivered),
            *(f"mail {one.subject}" for one in self.postmark.delivered),
            *(f"text {one['body']}" for one in self.twilio.messages.values()),
            *(f"charge {one['id']}" for one in self.stripe.charges.values()),
            *(f"order {one}" for one in self.paypal.orders),
            *(f"label {one}" for one in (*self.easypost.labels, *self.shippo.transactions)),
        ]


class Street:
    """An HTTP client that finds the vendors at this machine's doors, as a name server would.

    Attributes:
        turned_away: how many requests found a door closed.
    """

    def __init__(self, vendors: Vendors) -> None:
        self._vendors = vendors
        self._client = StdlibHttpClient()
        self._open = ExitStack()
        self._doors: dict[str, str] = {}
        self._closed: set[str] = set()
        self.turned_away = 0

    def shut(self, host: str) -> None:
        """Let nobody in any more: connections are refused."""
        self._closed.add(host)

    def reopen(self, host: str) -> None:
        """Let everybody in again."""
        self._closed.discard(host)

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send it to the door behind the name."""
        return self._client.send(request, self._led(url), timeouts).evolve(url=url)

    def open(self, request: Request, url: str, timeouts: Timeouts, /) -> Incoming:
        """Send it to the door behind the name, and read the answer piece by piece."""
        return self._client.open(request, self._led(url), timeouts)

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _led(self, url: str) -> str:
        parts = urlsplit(url)
        door = self._doors.get(parts.netloc, f"http://{parts.netloc}")
        if parts.netloc in self._closed:
            self.turned_away += 1
            door = self._nobody.url
        return f"{door}{parts.path}{f'?{parts.query}' if parts.query else ''}"

    def __enter__(self) -> Self:
        self._nobody = self._open.enter_context(VendorServer(port="refusing"))
        for one in self._vendors.all:
            server = self._open.enter_context(one.serving())
            self._doors |= dict.fromkeys(one.hosts, server.url)
            if one is self._vendors.shippo:  # which knows by the host that a label is asked for
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
    """What a business system's file would say; the secrets would be `secret://env/…` there."""
    quick = {"max_attempts": 2, "base_delay": 0.1, "jitter": "none"}
    return {
        "state": {"url": f"sqlite:///{folder}/moorage.db"},
        "email": {"vendor": ["sendgrid", "postmark"]},
        "sms": {"vendor": "twilio"},
        "payments": {"vendor": "stripe"},
        "shipping": {"vendor": "easypost"},
        "storage": {"vendor": "local_files"},
        "vendors": {
            "sendgrid": {
                "credentials": vendors.sendgrid.api_key,
                "sender": "ACME <billing@acme.example>",
                "retry": quick,
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
                "retry": quick,
                "webhook_secrets": [vendors.stripe.webhook_secret],
            },
            "easypost": {"credentials": vendors.easypost.api_key},
            "shippo": {
                "credentials": vendors.shippo.token,
                "label_hosts": [vendors.shippo.files],
            },
            "local_files": {
                "root": f"{folder}/files",
                "url": "https://erp.acme.example/files",
                "signing_key": "the demo's key, which nobody needs to guess",
            },
        },
        "tenants": {
            "acme-nl": {
                "payments": {"vendor": "paypal"},
                "vendors": {
                    "paypal": {
                        "client_id": vendors.paypal.client_id,
                        "client_secret": vendors.paypal.client_secret,
                        "sandbox": True,
                        "return_url": "https://erp.acme.example/back",
                    },
                },
            },
        },
    }
