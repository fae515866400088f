"""The search after a lost response matches the vendor's API description."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import pytest

from moorage import Account, ConnectorError, Hub
from moorage.contracts.ref import Ref
from moorage.contracts.shops import Fulfilment
from moorage.contracts.signatures import SignatureDocument, SignatureRequest, Signer
from moorage.exporting.recording import Exchange
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient
from moorage.testing.sandboxes.signatures.base import PDF
from moorage.wiring.installed_vendors import vendor_class
from tests.support.openapi import EXCERPTS
from tools.description_quirks import QUIRKS
from tools.descriptions import (
    Description,
    files_of,
    operation_of,
    read_description,
    request_problems,
    response_problems,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from moorage.contracts.vendor import Vendor
    from moorage.domain.http.requests import Request, Response, Timeouts
    from moorage.testing.sandboxes.base import Sandbox


class Recorder(SandboxHttpClient):
    """A client that records each request with its response, if the response is not lost."""

    def __init__(self, sandbox: Sandbox, vendor: Vendor) -> None:
        super().__init__(sandbox)
        self._vendor = vendor
        self.exchanges: list[Exchange] = []

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        """Send a request to the sandbox, and record it."""
        response = super().send(request, url, timeouts)
        self.exchanges.append(
            Exchange(
                use="",
                request=request,
                url=url,
                response=response,
                route=None,
                vendor=self._vendor,
                options={},
            )
        )
        return response


def send(hub: Hub, _: Any, __: str) -> None:
    """Send a document for signature, with an idempotency key."""
    request = SignatureRequest(
        subject="Lease",
        documents=[SignatureDocument(name="Lease.pdf", content=PDF)],
        signers=[Signer(name="Ada Lovelace", email="ada@example.com")],
    )
    hub.signatures().send(request, idempotency_key="k")


def fulfil(hub: Hub, sandbox: Any, vendor: str) -> None:
    """Report a parcel of an order, with an idempotency key."""
    order = Ref(vendor, vendor, sandbox.add_order(1), {"currency": "EUR"})
    parcel = Fulfilment(carrier="DHL", tracking_number="1Z999AA", notify=True)
    hub.shops().fulfil(order, parcel, idempotency_key="k")


SEARCHES: Final[dict[str, tuple[Callable[[Hub, Any, str], None], str]]] = {
    "acrobat_sign": (send, "GET /api/rest/v6/agreements"),
    "docusign": (send, "GET /restapi/v2.1/accounts/{account}/envelopes"),
    "ebay": (fulfil, "GET /sell/fulfillment/v1/order/{id}/shipping_fulfillment"),
    "woocommerce": (fulfil, "GET /wp-json/wc/v3/orders/{id}/notes"),
}
"""What is done at a vendor, and the search that follows a lost response."""


def exchanges_with_a_loss(vendor: str, position: int, folder: Path) -> list[Exchange]:
    """Return an operation's requests and responses; the response at the given position is lost."""
    fixture = fixture_of(vendor, folder)
    kind = vendor_class(vendor)
    names = {field.name for field in attrs.fields(cast("Any", kind))}
    options = fixture.options.items()
    account = Account(
        vendor,
        kind(**{name: value for name, value in options if name in names}),
        settings={"retry": None, **{name: value for name, value in options if name not in names}},
    )
    assert fixture.sandbox is not None
    recorder = Recorder(fixture.sandbox, account.vendor)
    fixture.sandbox.fail(*([None] * position), Lost())
    operate, _ = SEARCHES[vendor]
    with Hub([account], http=recorder) as hub, suppress(ConnectorError):
        operate(hub, fixture.sandbox, vendor)
    fixture.close()
    return recorder.exchanges


@pytest.mark.parametrize("vendor", SEARCHES)
def test_search_matches_the_description(vendor: str, tmp_path: Path) -> None:
    """Each request and response, including the search, matches the vendor's description."""
    descriptions = [Description(read_description(file)) for file in files_of(EXCERPTS / vendor)]
    operations: set[str] = set()
    problems: set[str] = set()
    for position in range(5):
        for exchange in exchanges_with_a_loss(vendor, position, tmp_path):
            match = operation_of(descriptions, exchange)
            assert match is not None
            description, operation = match
            operations.add(f"{operation.method.upper()} {operation.template}")
            problems.update(request_problems(description, operation, exchange))
            problems.update(response_problems(description, operation, exchange))

    assert SEARCHES[vendor][1] in operations
    assert set() == problems - QUIRKS.get(vendor, frozenset())
