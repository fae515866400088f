"""Requests to UK banks, and the sandbox's responses, have the fields of the specification.

The fields are those of the data dictionaries of version 4.0, with their number of occurrences. The
dictionary of consents to payments has `Risk` inside `Data`; the structure of requests, and the
examples of responses, have it beside `Data`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs
import pytest

from moorage import Hub
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.contracts.bank import CreditorReference, PartyAddress, PaymentOrder
from moorage.contracts.routes import Account
from moorage.exporting.recording import recorded_exchanges
from moorage.testing.fakes.http import as_bytes
from moorage.testing.sandbox_scenarios.bank import TRANSFER
from moorage.testing.sandboxes.bank.base import IBANS, RETURN_URL
from moorage.testing.sandboxes.bank.open_banking_uk import OpenBankingUkSandbox, options_of
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.vendors.bank.open_banking_uk import OpenBankingUk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from moorage.domain.http.requests import Request, Response, Timeouts

EXCERPT: Final = Path(__file__).parent / "descriptions" / "open_banking_uk.json"
OBJECTS: Final[Mapping[str, Mapping[str, str]]] = json.loads(EXCERPT.read_text("utf-8"))["objects"]
AROUND: Final = {
    "Links": "1..1",
    "Links.Self": "1..1",
    "Links.Next": "0..1",
    "Meta": "1..1",
    "Meta.TotalPages": "0..1",
}
"""The parts of a response around its data, by the specification's section on their structure."""
TOKENS: Final = {"/", "/token"}
REQUESTS: Final = {
    "account-access-consents": "OBReadConsent1",
    "domestic-payment-consents": "OBWriteDomesticConsent4",
    "domestic-payments": "OBWriteDomestic2",
}
ANSWERS: Final = {
    "account-access-consents": "OBReadConsentResponse1",
    "accounts": "OBReadAccount6",
    "balances": "OBReadBalance1",
    "transactions": "OBReadTransaction6",
    "domestic-payment-consents": "OBWriteDomesticConsentResponse5",
    "domestic-payments": "OBWriteDomesticResponse5",
    "funds-confirmation": "OBWriteFundsConfirmationResponse1",
}


def problems(value: Any, fields: Mapping[str, str], path: str = "") -> Iterator[str]:
    """Yield a message for each field that is unknown, missing, or wrongly repeated."""
    if isinstance(value, list):
        for item in value:
            yield from problems(item, fields, path)
        return
    if not isinstance(value, dict):
        return
    prefix = f"{path}." if path else ""
    for name, item in value.items():
        occurrence = fields.get(prefix + name)
        if occurrence is None:
            yield f"{prefix}{name} is unknown"
            continue
        if isinstance(item, list) is occurrence.endswith("..1"):
            yield f"{prefix}{name} has another number of occurrences"
        yield from problems(item, fields, prefix + name)
    for name, occurrence in fields.items():
        parent, _, own_name = name.rpartition(".")
        if parent == path and occurrence.startswith("1") and own_name not in value:
            yield f"{name} is missing"


def mistakes_in(path: str, request: bytes, answer: bytes) -> list[str]:
    """Return the mistakes in the fields of a request and its response."""
    kind = kind_of(path)
    mistakes: list[str] = []
    if request:
        mistakes += problems(json.loads(request), OBJECTS[REQUESTS[kind]])
    if answer:
        mistakes += problems(json.loads(answer), {**OBJECTS[ANSWERS[kind]], **AROUND})
    return mistakes


def kind_of(path: str) -> str:
    """Return the last part of a URL path that is a kind of object and not an id."""
    return next(part for part in reversed(path.split("/")) if part in ANSWERS)


def test_fields_are_those_of_the_specification() -> None:
    """Each request and response has all mandatory fields, and only fields of the specification."""
    mistakes: list[str] = []
    seen: set[str] = set()
    for exchange in recorded_exchanges("open_banking_uk"):
        request, response = exchange.request, exchange.response
        if request.path in TOKENS:
            continue
        seen.add(f"{request.method} {kind_of(request.path)}")
        mistakes += mistakes_in(request.path, as_bytes(request), response.body)

    assert [] == mistakes
    assert {
        "POST account-access-consents",
        "GET account-access-consents",
        "DELETE account-access-consents",
        "GET accounts",
        "GET balances",
        "GET transactions",
        "POST domestic-payment-consents",
        "GET domestic-payment-consents",
        "POST domestic-payments",
        "GET domestic-payments",
    } == seen


class _Recorder(SandboxHttpClient):
    """An HTTP client that records the requests to a sandbox, and their responses."""

    def __init__(self, sandbox: OpenBankingUkSandbox) -> None:
        super().__init__(sandbox)
        self.exchanges: list[tuple[str, bytes, bytes]] = []

    def send(self, request: Request, url: str, timeouts: Timeouts, /) -> Response:
        response = super().send(request, url, timeouts)
        self.exchanges.append((urlsplit(url).path, as_bytes(request), response.body))
        return response


@pytest.mark.parametrize("funds", [True, None])
def test_fields_with_funds_and_address_are_those_of_the_specification(funds: bool | None) -> None:
    """Confirmations of funds and detailed payments have only fields of the specification."""
    sandbox = OpenBankingUkSandbox()
    sandbox.payment_interface.funds = funds
    options: dict[str, Any] = {**options_of(sandbox), "confirm_funds": True}
    client = _Recorder(sandbox)
    account = Account("banks", OpenBankingUk(**options))
    credentials = MemoryCredentialProvider()
    address = PartyAddress(
        country="AT", town="Wien", postal_code="1010", street="Ring", building="1", lines=["Hof 2"]
    )
    creditor = attrs.evolve(TRANSFER.creditor, bic="BKAUATWW", address=address)
    reference = CreditorReference("RF18 5390 0754 7034")
    transfer = attrs.evolve(TRANSFER, creditor=creditor, remittance=reference)
    order = PaymentOrder(debtor=IBANS[0], transfer=transfer, return_url=RETURN_URL)
    with Hub([account], http=client, credentials=credentials) as hub:
        payment = hub.bank().pay(order, idempotency_key="k-1")
        sandbox.grant(payment.ref.id)
        hub.bank().finish_payment(payment.ref, sandbox.returned_url(payment.link or ""))
    exchanges = [item for item in client.exchanges if item[0] != "/token"]

    assert [
        "domestic-payment-consents",
        "domestic-payment-consents",
        "funds-confirmation",
        "domestic-payments",
    ] == [kind_of(path) for path, _, _ in exchanges]
    assert [] == [mistake for item in exchanges for mistake in mistakes_in(*item)]
