"""A bank's NextGenPSD2 interface: requests, pages of transactions and batches of payments."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import attrs
import pytest

from moorage import (
    ConnectionFailed,
    Headers,
    Hub,
    InvalidData,
    InvalidRequest,
    OutcomeUnknown,
    Response,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.bank import (
    NOT_PROVIDED,
    ConsentRequest,
    ConsentStatus,
    CreditorReference,
    PartyAddress,
    PaymentOrder,
    TransactionQuery,
)
from moorage.contracts.ref import Ref
from moorage.contracts.routes import Account
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandbox_scenarios.bank import TRANSFER
from moorage.testing.sandboxes.bank.base import IBANS, RETURN_URL
from moorage.testing.sandboxes.bank.berlin_group import BASE, HOST, BerlinGroupSandbox
from moorage.testing.sandboxes.base import Lost, SandboxHttpClient, SandboxRequest, reply
from moorage.vendors.bank._berlin_group_payments import payment_body
from moorage.vendors.bank.berlin_group import BerlinGroup
from tests.vendors.bank_subjects import BASE_URL, bank_error

UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
ORDER = PaymentOrder(
    debtor=IBANS[0], transfer=TRANSFER, return_url=RETURN_URL, ip_address="192.0.2.9"
)
REQUEST = ConsentRequest(return_url=RETURN_URL)
ACCOUNT = Ref("berlin_group", "bank", "a/1", {"consent": "c-1"})


def hub(sandbox: BerlinGroupSandbox, **options: Any) -> Hub:
    """Return a hub with one account at a bank."""
    fields: dict[str, Any] = {
        "base_url": BASE_URL,
        "credentials": sandbox.token,
        "ip_address": "192.0.2.7",
    }
    vendor = BerlinGroup(**fields | options)
    account = Account("bank", vendor, settings={"retry": None, "circuit": None})
    return Hub([account], http=SandboxHttpClient(sandbox))


def with_creditor(**fields: Any) -> PaymentOrder:
    """Return a payment whose creditor has the given fields."""
    creditor = attrs.evolve(TRANSFER.creditor, **fields)
    return attrs.evolve(ORDER, transfer=attrs.evolve(TRANSFER, creditor=creditor))


def with_transfer(**fields: Any) -> PaymentOrder:
    """Return a payment with the given fields."""
    return attrs.evolve(ORDER, transfer=attrs.evolve(TRANSFER, **fields))


def test_request_of_a_consent() -> None:
    """A consent request without accounts lets the owner choose them, for the requested days."""
    sandbox = BerlinGroupSandbox()
    request = attrs.evolve(REQUEST, days=30, language="de", ip_address="192.0.2.9")
    hub(sandbox).bank().start_consent(request, idempotency_key="k-1")
    hub(sandbox, per_day=2, whole_access=True).bank().start_consent(REQUEST)
    chosen = attrs.evolve(REQUEST, accounts=[IBANS[1]])
    hub(sandbox, whole_access=True).bank().start_consent(chosen)
    sent = sandbox.requests

    end_date = (datetime.now(UTC) + timedelta(days=30)).date().isoformat()
    assert {
        "access": {"accounts": [], "balances": [], "transactions": []},
        "recurringIndicator": True,
        "validUntil": end_date,
        "frequencyPerDay": 4,
        "combinedServiceIndicator": False,
    } == sent[0].json()
    assert ("POST", f"{BASE}/v1/consents") == (sent[0].method, sent[0].path)
    headers = {name.lower(): value for name, value in sent[0].headers.pairs}
    assert ("192.0.2.9", "true", RETURN_URL, "de") == tuple(
        headers[name]
        for name in (
            "psu-ip-address",
            "tpp-redirect-preferred",
            "tpp-redirect-uri",
            "psu-accept-language",
        )
    )
    assert UUID.fullmatch(headers["x-request-id"])
    assert {"allPsd2": "allAccounts"} == sent[1].json()["access"]
    assert 2 == sent[1].json()["frequencyPerDay"]
    assert "192.0.2.7" == sent[1].headers.get("psu-ip-address")
    assert {"accounts", "balances", "transactions"} == sent[2].json()["access"].keys()
    assert [{"iban": IBANS[1]}] == sent[2].json()["access"]["balances"]


def test_request_id_is_that_of_the_key() -> None:
    """A repeat with the same key has the same X-Request-ID; each other request has a new one."""
    ids: list[str | None] = []
    for key in ("k-1", "k-1", "k-2", None, None):
        sandbox = BerlinGroupSandbox()
        hub(sandbox).bank().start_consent(REQUEST, idempotency_key=key)
        ids.append(sandbox.requests[0].headers.get("x-request-id"))

    assert ids[0] == ids[1]
    assert 4 == len(set(ids))


def test_request_of_a_payment() -> None:
    """A payment has exactly the fields of a SEPA credit transfer."""
    sandbox = BerlinGroupSandbox()
    address = PartyAddress(
        country="AT", town="Wien", postal_code="1010", street="Ring", building="1"
    )
    order = with_creditor(bic="BKAUATWW", address=address)
    payment = hub(sandbox).bank().pay(attrs.evolve(order, instant=True), idempotency_key="k")
    sent = sandbox.requests[0]

    assert f"{BASE}/v1/payments/instant-sepa-credit-transfers" == sent.path
    assert {
        "endToEndIdentification": "RUN-8-1",
        "debtorAccount": {"iban": IBANS[0]},
        "instructedAmount": {"currency": "EUR", "amount": "149.90"},
        "creditorAccount": {"iban": "AT611904300234573201"},
        "creditorAgent": "BKAUATWW",
        "creditorName": "Harbour GmbH",
        "creditorAddress": {
            "streetName": "Ring",
            "buildingNumber": "1",
            "townName": "Wien",
            "postCode": "1010",
            "country": "AT",
        },
        "remittanceInformationUnstructured": "Invoice 2031-77",
    } == sent.json()
    hub(sandbox).bank().get_payment(payment.ref)
    status = f"{BASE}/v1/payments/instant-sepa-credit-transfers/{payment.ref.id}/status"
    assert ("GET", status) == (sandbox.requests[1].method, sandbox.requests[1].path)


def test_options_in_the_banks_format() -> None:
    """Berlin Group's extra options are sent in the body; other vendors' are left out."""
    sandbox = BerlinGroupSandbox()
    extra: Any = {"berlin_group": {"chargeBearer": "SLEV"}, "gocardless": {"ssn": "1"}}
    hub(sandbox).bank().pay(attrs.evolve(ORDER, extra=extra), idempotency_key="k")
    body = sandbox.requests[0].json()
    assert ("SLEV", False) == (body["chargeBearer"], "ssn" in body)


def test_body_without_optional_fields() -> None:
    """An empty field of a payment is left out, and a structured reference is sent as text."""
    transfer = with_transfer(end_to_end_id=NOT_PROVIDED, remittance=None)
    assert {"debtorAccount", "instructedAmount", "creditorAccount", "creditorName"} == set(
        payment_body(transfer)
    )
    reference = CreditorReference("RF18539007547034")
    body = payment_body(with_transfer(remittance=reference))
    assert "RF18539007547034" == body["remittanceInformationUnstructured"]


@pytest.mark.parametrize(
    "order, field",
    [
        (with_transfer(instruction_id="I-1"), "instruction_id"),
        (with_transfer(purpose="SALA"), "purpose"),
        (with_transfer(ultimate_debtor="Ada"), "ultimate_debtor"),
        (with_transfer(ultimate_creditor="Ada"), "ultimate_creditor"),
        (with_creditor(address=PartyAddress(country="AT", lines=["Ring 1"])), "lines"),
    ],
)
def test_fields_that_get_lost_are_refused(order: PaymentOrder, field: str) -> None:
    """A payment with a field that the bank's interface lacks is refused before sending."""
    sandbox = BerlinGroupSandbox()
    with pytest.raises(InvalidData) as excinfo:
        hub(sandbox).bank().pay(order, idempotency_key="k")
    assert (field, []) == (excinfo.value.field, sandbox.requests)


def test_error_has_detail_of_bank_problem() -> None:
    """An error contains the detail of the bank's problem report, or its title if it has none."""
    sandbox = BerlinGroupSandbox()
    problem = {"code": "FORMAT_ERROR", "title": "Wrong."}
    for detail, words in (("No such day.", "No such day."), (None, "Wrong.")):
        sandbox.fail(reply({**problem, "detail": detail}, 400))
        with pytest.raises(InvalidRequest, match=words):
            hub(sandbox).bank().get_consent("berlin_group:bank:1")


def test_owner_needs_an_ip_address() -> None:
    """A consent is not requested without the account owner's IP address."""
    sandbox = BerlinGroupSandbox()
    with pytest.raises(InvalidData, match="IP address"):
        hub(sandbox, ip_address=None).bank().start_consent(REQUEST)
    assert [] == sandbox.requests


def test_bank_without_a_token() -> None:
    """A bank that identifies the program by its certificate gets no Authorization header."""
    vendor = BerlinGroup(base_url=BASE_URL)
    sandbox = BerlinGroupSandbox()
    sandbox.fail(reply({"accounts": []}))
    with Hub([Account("bank", vendor)], http=SandboxHttpClient(sandbox)) as bare_hub:
        assert () == bare_hub.bank().accounts("berlin_group:bank:c-1")
    assert None is sandbox.requests[0].headers.get("authorization")
    assert "c-1" == sandbox.requests[0].headers.get("consent-id")


def test_account_of_several_currencies() -> None:
    """An account in several currencies has no currency; a national number is kept unchanged."""
    sandbox = BerlinGroupSandbox()
    fields = {"resourceId": "1", "bban": "5390 0754", "currency": "XXX", "bic": "AAAADEBBXXX"}
    fields |= {"displayName": "Wages", "name": "Current account"}
    sandbox.fail(
        reply(
            {"accounts": [fields, {"resourceId": "2", "bic": "?", "iban": "DE0", "name": "Till"}]}
        )
    )
    first, second = hub(sandbox).bank().accounts("berlin_group:bank:c-1")
    assert (None, None, "5390 0754") == (first.currency, first.iban, first.number)
    assert first.bic is not None
    assert ("Wages", "Till") == (first.name, second.name)
    assert (None, None, "DE0") == (second.bic, second.iban, second.number)


@pytest.mark.parametrize("body", [{"accounts": {}}, {"accounts": [{"iban": IBANS[0]}]}])
def test_accounts_without_an_id_are_malformed(body: dict[str, Any]) -> None:
    """A response without a list of accounts, or with an account without an id, raises an error."""
    sandbox = BerlinGroupSandbox()
    sandbox.fail(reply(body))
    with pytest.raises(VendorFailed):
        hub(sandbox).bank().accounts("berlin_group:bank:c-1")


def page(*booked: dict[str, Any], link: str | None = None) -> Response:
    """Return a page of transactions, with a link to the next one."""
    links = {} if link is None else {"next": {"href": link}}
    return reply({"transactions": {"booked": list(booked), "_links": links}})


@pytest.mark.parametrize(
    "link",
    [
        "/v1/accounts/a%2F1/transactions?pageIndex=1&x=%26",
        f"{BASE}/v1/accounts/a%2F1/transactions?pageIndex=1&x=%26",
        f"{BASE_URL}/v1/accounts/a%2F1/transactions?pageIndex=1&x=%26",
    ],
)
def test_link_to_the_next_page_is_followed(link: str) -> None:
    """A link to this account's next page is followed with only the link's own query parameters."""
    sandbox = BerlinGroupSandbox()
    sandbox.fail(page(link=link), page())
    bank = hub(sandbox).bank()
    first = bank.transactions(ACCOUNT, TransactionQuery(pending=True))
    assert None is bank.transactions(ACCOUNT, after=first.next).next
    second = sandbox.requests[1]
    assert f"{BASE}/v1/accounts/a%2F1/transactions" == second.path
    assert (("pageIndex", "1"), ("x", "&")) == second.query
    assert "c-1" == second.headers.get("consent-id")


def test_base_url_may_end_with_a_slash() -> None:
    """A slash at the end of the base URL changes nothing about a link to the next page."""
    sandbox = BerlinGroupSandbox()
    link = f"{BASE}/v1/accounts/a%2F1/transactions?pageIndex=1"
    sandbox.fail(page(link=link), page())
    bank = hub(sandbox, base_url=f"{BASE_URL}/").bank()

    bank.transactions(ACCOUNT, after=bank.transactions(ACCOUNT).next)

    assert [f"{BASE}/v1/accounts/a%2F1/transactions"] * 2 == [
        request.path for request in sandbox.requests
    ]


@pytest.mark.parametrize(
    "link",
    [
        "https://elsewhere.example/psd2/v1/accounts/a%2F1/transactions?page=1",
        f"{BASE}/v1/accounts/2/transactions?page=1",
        f"{BASE}/v1/accounts/a%2F1/transactions",
        "https://[::1/psd2/v1/accounts/a%2F1/transactions?page=1",
    ],
)
def test_link_that_leads_elsewhere_is_an_error(link: str) -> None:
    """A next-page link that leads to another host or account, or is malformed, is not followed."""
    sandbox = BerlinGroupSandbox()
    sandbox.fail(page(link=link))
    with pytest.raises(VendorFailed, match="next page"):
        hub(sandbox).bank().transactions(ACCOUNT)


def test_wrong_references_are_refused() -> None:
    """An account reference without its consent is refused, as is a page of another account."""
    bank = hub(BerlinGroupSandbox()).bank()
    with pytest.raises(InvalidData, match="not contain the consent"):
        bank.balances("berlin_group:bank:1")
    for after in (ACCOUNT, Ref("berlin_group", "bank", "2", {"page": "pageIndex=1"})):
        with pytest.raises(InvalidData, match="is not the `next`"):
            bank.transactions(ACCOUNT, after=after)


def test_identifiers_of_the_bank() -> None:
    """The bank's transaction id is used as the id; the booking entry's id only if it is missing."""
    sandbox = BerlinGroupSandbox()
    amount = {"transactionAmount": {"currency": "EUR", "amount": "1"}}
    first = {**amount, "transactionId": "T", "entryReference": "E"}
    sandbox.fail(page(first, {**amount, "entryReference": "E"}))
    booked = hub(sandbox).bank().transactions(ACCOUNT).booked
    assert ["T", "E"] == [item.id for item in booked]


def test_default_period_is_of_90_days() -> None:
    """If no first day is given, the booked transactions of the last 90 days are read."""
    sandbox = BerlinGroupSandbox()
    sandbox.fail(page())
    hub(sandbox).bank().transactions(ACCOUNT)
    start_date = (datetime.now(UTC) - timedelta(days=90)).date().isoformat()
    assert (("bookingStatus", "booked"), ("dateFrom", start_date)) == sandbox.requests[0].query


def test_refused_revocation_is_an_error() -> None:
    """If the bank refuses to revoke a consent, an error is raised."""
    sandbox = BerlinGroupSandbox()
    sandbox.fail(reply({"tppMessages": [{"category": "ERROR", "code": "SERVICE_BLOCKED"}]}, 403))
    with pytest.raises(Exception, match="SERVICE_BLOCKED"):
        hub(sandbox).bank().revoke_consent("berlin_group:bank:c-1")


@pytest.mark.parametrize("code", ["RESOURCE_UNKNOWN", "RESOURCE_EXPIRED", "CONSENT_UNKNOWN"])
def test_consent_that_has_ended_counts_as_revoked(code: str) -> None:
    """If the bank no longer has a consent, the consent counts as revoked."""
    sandbox = BerlinGroupSandbox()
    sandbox.fail(bank_error(403, code))
    consent = hub(sandbox).bank().revoke_consent("berlin_group:bank:c-1")

    assert ConsentStatus.REVOKED is consent.status


def test_lost_payment_is_not_sent_again() -> None:
    """After a lost response, a payment's outcome is unknown, and a consent request has failed."""
    sandbox = BerlinGroupSandbox()
    sandbox.fail(Lost())
    with pytest.raises(OutcomeUnknown):
        hub(sandbox).bank().pay(ORDER, idempotency_key="k")
    assert 1 == len(sandbox.requests)
    sandbox.fail(Lost())
    with pytest.raises(ConnectionFailed):
        hub(sandbox).bank().start_consent(REQUEST)
    assert 2 == len(sandbox.requests)


@pytest.mark.parametrize(
    "fields, code",
    [
        ({"validUntil": "2001-01-01"}, "PERIOD_INVALID"),
        ({"unknown": True}, "FORMAT_ERROR"),
        ({"recurringIndicator": "yes"}, "FORMAT_ERROR"),
        ({"access": {"accounts": None}}, "FORMAT_ERROR"),
    ],
)
def test_sandbox_refuses_wrong_consents(fields: dict[str, Any], code: str) -> None:
    """The sandbox refuses a consent that a bank would refuse."""
    sandbox = BerlinGroupSandbox()
    request = attrs.evolve(REQUEST, extra={"berlin_group": fields})
    with pytest.raises(InvalidRequest) as excinfo:
        hub(sandbox).bank().start_consent(request)
    assert (code, 0) == (excinfo.value.vendor_code, sandbox.consent_count())


def raw(path: str, method: str = "GET", body: object = None, **headers: str) -> Any:
    """Send a request to a sandbox, and return the error code of its refusal."""
    sandbox = BerlinGroupSandbox()
    sandbox.consents["c"] = {"consentStatus": "valid"}
    defaults = {
        "Authorization": f"Bearer {sandbox.token}",
        "X-Request-ID": "99391c7e-ad88-49ec-a2ad-99ddcb1f7721",
        "Consent-ID": "c",
        "Content-Type": "application/json",
    }
    fields = {**defaults, **{name.replace("_", "-"): text for name, text in headers.items()}}
    target = urlsplit(path)
    request = SandboxRequest(
        method,
        HOST,
        f"{BASE}{target.path}",
        tuple(parse_qsl(target.query)),
        Headers(fields),
        encode_json(body),
    )
    return sandbox.answer(request).json()["tppMessages"][0]["code"]


def test_sandbox_refuses_wrong_requests() -> None:
    """The sandbox refuses requests that a bank would refuse."""
    owner = {"PSU_IP_Address": "192.0.2.7", "TPP_Redirect_URI": "https://erp.example"}
    transfer = payment_body(ORDER)
    consent = {
        "access": {},
        "recurringIndicator": True,
        "validUntil": "2999-01-01",
        "frequencyPerDay": 4,
        "combinedServiceIndicator": False,
    }
    pay = "/v1/payments/sepa-credit-transfers"
    francs = {**transfer, "instructedAmount": {"currency": "CHF", "amount": "1"}}
    account = next(iter(BerlinGroupSandbox()._accounts))  # noqa: SLF001 - the ids are always the same
    assert {
        "token": "TOKEN_INVALID",
        "request id": "FORMAT_ERROR",
        "path": "RESOURCE_UNKNOWN",
        "empty access": "FORMAT_ERROR",
        "no address": "FORMAT_ERROR",
        "no return": "FORMAT_ERROR",
        "product": "PRODUCT_UNKNOWN",
        "francs": "FORMAT_ERROR",
        "payment": "RESOURCE_UNKNOWN",
        "other account": "RESOURCE_UNKNOWN",
        "no status": "FORMAT_ERROR",
    } == {
        "token": raw("/v1/accounts", Authorization="Bearer another"),
        "request id": raw("/v1/accounts", X_Request_ID="1"),
        "path": raw("/v1/unknown"),
        "empty access": raw("/v1/consents", "POST", consent, **owner),
        "no address": raw("/v1/consents", "POST", consent),
        "no return": raw("/v1/consents", "POST", consent, PSU_IP_Address="192.0.2.7"),
        "product": raw("/v1/payments/cheques", "POST", transfer, **owner),
        "francs": raw(pay, "POST", francs, **owner),
        "payment": raw(f"{pay}/1/status"),
        "other account": raw("/v1/accounts/1/balances"),
        "no status": raw(f"/v1/accounts/{account}/transactions?dateFrom=2031-01-01"),
    }


def test_payment_is_looked_up_under_its_own_product_only() -> None:
    """A payment is found only under its own payment product; a test can set its status."""
    sandbox = BerlinGroupSandbox()
    bank = hub(sandbox).bank()
    payment = bank.pay(ORDER, idempotency_key="k")
    sandbox.set_payment(payment.ref.id, "RJCT")
    assert "refused" == bank.get_payment(payment.ref).status
    assert "refused" == bank.get_payment(f"berlin_group:bank:{payment.ref.id}").status
    with pytest.raises(VendorRejected, match="RESOURCE_UNKNOWN"):
        bank.get_payment(payment.ref.with_related(product="instant-sepa-credit-transfers"))
