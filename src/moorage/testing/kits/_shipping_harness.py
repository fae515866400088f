"""A test environment for a shipping vendor, whose connection the checks can break."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs

from moorage.adapters.logs.memory import AsyncMemoryIntegrationLogger, MemoryIntegrationLogger
from moorage.contracts.shipping import (
    Address,
    Choice,
    Parcel,
    PickupRequest,
    RateRequest,
    ShipmentRequest,
    ShippingCapability,
)
from moorage.errors import ConnectionFailed, ConnectorError
from moorage.hub.hub import AsyncHub, Hub
from moorage.testing.fakes.observer import RecordingObserver
from moorage.testing.kits._recorded_harness import RecordedHarness
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from moorage.contracts.ref import Ref
    from moorage.contracts.shipping import RateResult, Shipment, WeightUnit
    from moorage.contracts.vendor import Vendor
    from moorage.domain.http.requests import Request, Response, Timeouts
    from moorage.testing.sandboxes.base import Notice, Sandbox

ACCOUNT: Final = "parcels"
_SENDER: Final = Address(
    name="Jack Sparrow",
    line1="388 Townsend St",
    line2="Apt 20",
    city="San Francisco",
    region="CA",
    postal_code="94107",
    country="US",
    phone="5555555555",
    email="jack@shop.example",
)
_RECIPIENT: Final = attrs.evolve(
    _SENDER,
    name="Elizabeth Swan",
    line1="179 N Harbor Dr",
    line2=None,
    city="Redondo Beach",
    postal_code="90277",
    email="swan@mail.example",
)


@attrs.frozen(kw_only=True)
class ShippingSubject:
    """A shipping vendor to be checked, with its sandbox.

    Attributes:
        vendor: an account at the sandbox.
        sandbox: the sandbox.
        sold: returns the number of labels that the sandbox has sold.
        buys: returns True for a request that buys a label.
        refusals: error responses to a purchase, each with the error that it must raise and the
            vendor's code that the error must keep.
        carrier_code: the vendor's code if the carrier refuses a shipment that it has offered to
            carry.
        option: options in the vendor's own words, and the bytes of the request that contain them.
        secret: the secret part of the vendor's credentials, which no repr, error, event or log may
            show.
        move: moves a parcel to a status; takes the parcel's number, and the vendor's word for the
            status.
        delivered: the vendor's word for a parcel that was delivered.
        webhook_secret: secret that signs the webhooks of the vendor; None if it sends none.
        wrong_secret: a secret of the same form that does not match the vendor's webhooks.
        report: makes the webhook about the tracking of a parcel; takes the parcel's number, and a
            URL.
        service: a service that the vendor sells, in our words; None if the vendor quotes rates.
        weight_unit: the unit of the weights in requests; None if the requests name their units.
        paperless: bytes of a purchase whose invoice goes to customs electronically; None if the
            vendor cannot send it so.
        no_rates: a postal code to which no carrier delivers.
        no_label: a postal code for which a rate is offered, and then a label refused.
        nowhere: a city to which nothing can be delivered.
    """

    vendor: Vendor
    sandbox: Sandbox
    sold: Callable[[], int]
    buys: Callable[[Request], bool]
    refusals: tuple[tuple[Response, type[ConnectorError], str | None], ...]
    carrier_code: str
    option: tuple[dict[str, Any], bytes]
    secret: str = attrs.field(repr=False)
    move: Callable[[str, str], None]
    delivered: str
    webhook_secret: str | None = attrs.field(default=None, repr=False)
    wrong_secret: str = attrs.field(default="another secret, also long enough", repr=False)
    report: Callable[[str, str], Notice] | None = None
    service: str | None = None
    weight_unit: WeightUnit | None = None
    paperless: bytes | None = None
    no_rates: str = "00000"
    no_label: str = "00001"
    nowhere: str = "Nowhere"


class BreakableConnection:
    """The connection between the hub and the vendor's sandbox, which checks can break.

    Attributes:
        whole: False while no request passes.
        files: False while no download of a label passes.
        refusal: the response to the next purchase, given once.
        lost: number of purchases after which a response is lost, and the connection cut.
        dropped: number of purchases after which a request is lost, and the connection cut.
        purchases: number of requests to buy a label that were made while requests passed.
    """

    def __init__(self, subject: ShippingSubject) -> None:
        self._subject = subject
        self._home = urlsplit(subject.vendor.services()[""].base_url or "").netloc
        self.whole = self.files = True
        self.refusal: Response | None = None
        self.lost: int | None = None
        self.dropped: int | None = None
        self.purchases = 0

    def before(self, request: Request, url: str) -> Response | None:
        """Forward a request; or respond, or raise an error, in place of the vendor."""
        if not self.whole:
            raise ConnectionFailed("The network cannot be reached.", may_have_been_processed=False)
        if not self.files and urlsplit(url).netloc != self._home:
            raise ConnectionFailed("The files cannot be reached.")
        if not self._subject.buys(request):
            return None
        self.purchases += 1
        if self.refusal is not None:
            refusal, self.refusal = self.refusal, None
            return refusal
        if self.dropped is not None and self._subject.sold() >= self.dropped:
            self.dropped, self.whole = None, False
            raise ConnectionFailed("The request was lost.")
        return None

    def after(self, request: Request) -> None:
        """Forward the response to a request, or raise an error although it was executed."""
        if (
            self.lost is not None
            and self._subject.buys(request)
            and self._subject.sold() > self.lost
        ):
            self.lost, self.whole = None, False
            raise ConnectionFailed("The answer was lost.")


class _Client(SandboxHttpClient):
    def __init__(self, line: BreakableConnection, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._line = line

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        early_response = self._line.before(request, url)
        response = (
            super().send(request, url, timeouts) if early_response is None else early_response
        )
        self._line.after(request)
        return response


class _AsyncClient(AsyncSandboxHttpClient):
    def __init__(self, line: BreakableConnection, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self._line = line

    async def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        early_response = self._line.before(request, url)
        response = (
            await super().send(request, url, timeouts) if early_response is None else early_response
        )
        self._line.after(request)
        return response


class Harness(RecordedHarness[ShippingSubject]):
    """A shipping vendor under test, with its hub and sandbox.

    Attributes:
        line: the connection to its sandbox.
        sold: returns the number of labels that the sandbox has sold.
    """

    contract = "shipping"
    account_name = ACCOUNT
    logs_content = True

    def __init__(
        self,
        subject: ShippingSubject,
        hub: Hub | AsyncHub,
        log: MemoryIntegrationLogger | AsyncMemoryIntegrationLogger,
        observer: RecordingObserver,
        *,
        line: BreakableConnection,
    ) -> None:
        super().__init__(subject, hub, log, observer)
        self.line = line
        self.sold = subject.sold

    def hidden(self) -> tuple[str, ...]:
        return "Swan", "Harbor", "Townsend", "@", self.subject.secret

    def address(self, **fields: Any) -> Address:
        return attrs.evolve(_RECIPIENT, **fields)

    def request(self, to: Address | None = None, **fields: Any) -> RateRequest:
        parcel = Parcel(weight="0.4", length=25, width="20.5", height=10)
        values: dict[str, Any] = {
            "sender": _SENDER,
            "recipient": to or _RECIPIENT,
            "parcels": parcel,
            **fields,
        }
        return RateRequest(**values)

    def pickup(self, *shipments: Ref) -> PickupRequest:
        return PickupRequest(
            shipments=shipments,
            address=_SENDER,
            earliest=datetime(2030, 1, 2, 9, tzinfo=UTC),
            latest=datetime(2030, 1, 2, 17, tzinfo=UTC),
        )

    def shipment(self, number: int = 1, **fields: Any) -> ShipmentRequest:
        return self.purchase(self.request(reference=f"order {number}"), **fields)

    def purchase(self, request: RateRequest, **fields: Any) -> ShipmentRequest:
        service = self.subject.service
        choice = Choice() if service is None else Choice(services=[service])
        values: dict[str, Any] = {"choose": choice, **fields}
        return ShipmentRequest(rate_request=request, **values)

    async def offers(self, request: RateRequest) -> Sequence[object]:
        """Return a shipment's rates, or the bought labels if the vendor offers no rates."""
        if ShippingCapability.RATES in self.capabilities:
            result: RateResult = await self("get_rates", request)
            return result.rates
        key = f"offer-{len(self.sandbox.requests)}"
        shipment: Shipment = await self(
            "create_shipment", self.purchase(request), idempotency_key=key
        )
        return shipment.labels


def sync_harness(factory: Callable[[], ShippingSubject]) -> Harness:
    """Return a shipping vendor under test behind a synchronous hub."""
    subject, log, observer = factory(), MemoryIntegrationLogger(), RecordingObserver()
    line = BreakableConnection(subject)
    http = _Client(line, subject.sandbox)
    hub = Hub(Harness.configured_accounts(subject), http=http, log=log, observers=[observer])
    return Harness(subject, hub, log, observer, line=line)


def async_harness(factory: Callable[[], ShippingSubject]) -> Harness:
    """Return a shipping vendor under test behind an asynchronous hub."""
    subject, log, observer = factory(), AsyncMemoryIntegrationLogger(), RecordingObserver()
    line = BreakableConnection(subject)
    http = _AsyncClient(line, subject.sandbox)
    hub = AsyncHub(Harness.configured_accounts(subject), http=http, log=log, observers=[observer])
    return Harness(subject, hub, log, observer, line=line)
