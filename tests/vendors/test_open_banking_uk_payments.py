"""Payments at UK banks: bodies, signatures, keys, funds, and the owner's return."""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConsentRequired,
    Hub,
    InvalidData,
    InvalidRequest,
    OAuthCredentials,
    PaymentDeclined,
    Request,
    Response,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.contracts.bank import (
    BankPaymentStatus,
    CreditorReference,
    Money,
    PartyAddress,
    PaymentOrder,
    SortCodeAccount,
)
from moorage.contracts.routes import Account
from moorage.domain.http.requests import Timeouts
from moorage.domain.resilience.retry import delay
from moorage.testing.sandbox_scenarios.bank import STERLING, TRANSFER
from moorage.testing.sandboxes.bank.base import IBANS, RETURN_URL
from moorage.testing.sandboxes.bank.open_banking_uk import (
    HOST,
    OpenBankingUkSandbox,
    key_pair,
    options_of,
)
from moorage.testing.sandboxes.base import SandboxHttpClient, reply
from moorage.vendors.bank._open_banking_uk_payments import payment_consent_body
from moorage.vendors.bank.open_banking_uk import OpenBankingUk
from tests.vendors.bank_subjects import uk_bank_error, uk_payment

if TYPE_CHECKING:
    from moorage.contracts.bank import BankPayment

DEBTOR = SortCodeAccount(sort_code="08-08-00", number="25612489")
ORDER = PaymentOrder(
    debtor=DEBTOR, transfer=STERLING, return_url=RETURN_URL, ip_address="192.0.2.7"
)
SEPA = PaymentOrder(debtor=IBANS[0], transfer=TRANSFER, return_url=RETURN_URL)
NUMBER = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def hub(sandbox: OpenBankingUkSandbox, *, store: Any = None, **options: Any) -> Hub:
    """Return a new hub with an account for a UK bank, as after a restart."""
    fields: dict[str, Any] = {**options_of(sandbox), **options}
    account = Account("banks", OpenBankingUk(**fields), settings={"retry": None, "circuit": None})
    credentials = MemoryCredentialProvider() if store is None else store
    return Hub([account], http=SandboxHttpClient(sandbox), credentials=credentials)


def approved(sandbox: OpenBankingUkSandbox, bank: Any, key: str = "k-1") -> tuple[Any, str]:
    """Approve a payment as its owner; return its reference and the URL of the owner's return."""
    payment = bank.pay(ORDER, idempotency_key=key)
    sandbox.grant(payment.ref.id)
    return payment.ref, sandbox.returned_url(payment.link)


def body_of(order: PaymentOrder, *, is_old: bool = False) -> Any:
    """Return the payment details that a UK bank gets for the given order."""
    return payment_consent_body(order, "i-1", is_old=is_old)["Data"]["Initiation"]


def test_consent_to_a_sterling_payment() -> None:
    """A consent has the exact amount, both accounts, the reference, and ids that stay the same."""
    sandbox = OpenBankingUkSandbox()
    extra = {"open_banking_uk": {"Risk": {"PaymentContextCode": "TransferToThirdParty"}}}
    order = attrs.evolve(ORDER, extra=extra)
    payment = hub(sandbox).bank().pay(order, idempotency_key="k-1")

    request = sandbox.requests[0]
    key = request.headers["x-idempotency-key"]
    body = request.json()
    assert BankPaymentStatus.PENDING is payment.status
    assert key.replace("-", "") == body["Data"]["Initiation"].pop("InstructionIdentification")
    assert {
        "Data": {
            "Initiation": {
                "EndToEndIdentification": "RUN-8-2",
                "InstructedAmount": {"Amount": "1049.05", "Currency": "GBP"},
                "DebtorAccount": {
                    "SchemeName": "UK.OBIE.SortCodeAccountNumber",
                    "Identification": "08080025612489",
                },
                "CreditorAccount": {
                    "SchemeName": "UK.OBIE.SortCodeAccountNumber",
                    "Identification": "08080021325698",
                    "Name": "Harbour Ltd",
                },
                "RemittanceInformation": {
                    "Structured": [{"CreditorReferenceInformation": {"Reference": "2031-77"}}],
                    "Unstructured": [],
                },
            }
        },
        "Risk": {"PaymentContextCode": "TransferToThirdParty"},
    } == body
    assert NUMBER.fullmatch(key)
    assert key == request.headers["x-fapi-interaction-id"]
    assert "192.0.2.7" == request.headers["x-fapi-customer-ip-address"]
    scopes = [dict(item.form)["scope"] for item in sandbox.tokens.requests]
    assert ["payments"] == scopes


def test_schemes_of_payments() -> None:
    """The currency decides the payment scheme; for sterling the bank chooses it by default."""
    orders = [
        attrs.evolve(order, instant=fast) for order in (SEPA, ORDER) for fast in (False, True)
    ]
    assert [
        "UK.OBIE.SEPACreditTransfer",
        "UK.OBIE.SEPAInstantCreditTransfer",
        None,
        "UK.OBIE.FPS",
    ] == [body_of(order).get("LocalInstrument") for order in orders]


def test_payment_in_euros_has_bank_address_and_text() -> None:
    """A payment in euros has IBANs, the creditor's bank and address, and text or reference."""
    address = PartyAddress(
        country="AT", town="Wien", postal_code="1010", street="Ring", building="1", lines=["Hof 2"]
    )
    creditor = attrs.evolve(TRANSFER.creditor, bic="BKAUATWW", address=address)
    reference = CreditorReference("RF18 5390 0754 7034")
    transfer = attrs.evolve(TRANSFER, creditor=creditor, instruction_id="own-1")
    texted = body_of(attrs.evolve(SEPA, transfer=transfer))
    referenced = body_of(attrs.evolve(SEPA, transfer=attrs.evolve(transfer, remittance=reference)))

    assert {
        "InstructionIdentification": "own-1",
        "EndToEndIdentification": "RUN-8-1",
        "LocalInstrument": "UK.OBIE.SEPACreditTransfer",
        "InstructedAmount": {"Amount": "149.90", "Currency": "EUR"},
        "DebtorAccount": {"SchemeName": "UK.OBIE.IBAN", "Identification": IBANS[0]},
        "CreditorAgent": {"SchemeName": "UK.OBIE.BICFI", "Identification": "BKAUATWW"},
        "CreditorAccount": {
            "SchemeName": "UK.OBIE.IBAN",
            "Identification": "AT611904300234573201",
            "Name": "Harbour GmbH",
        },
        "CreditorPostalAddress": {
            "StreetName": "Ring",
            "BuildingNumber": "1",
            "PostCode": "1010",
            "TownName": "Wien",
            "Country": "AT",
            "AddressLine": ["Hof 2"],
        },
        "RemittanceInformation": {"Structured": [], "Unstructured": ["Invoice 2031-77"]},
    } == texted
    assert {
        "Structured": [{"CreditorReferenceInformation": {"Reference": "RF18539007547034"}}],
        "Unstructured": [],
    } == referenced["RemittanceInformation"]


def test_version_3_has_remittance_as_texts() -> None:
    """In version 3.1, remittance fields are single strings, and the creditor's bank is not sent."""
    plain = attrs.evolve(TRANSFER, remittance=None)
    creditor = attrs.evolve(TRANSFER.creditor, bic="BKAUATWW")
    assert {"Reference": "2031-77"} == body_of(ORDER, is_old=True)["RemittanceInformation"]
    assert {"Unstructured": "Invoice 2031-77"} == body_of(SEPA, is_old=True)[
        "RemittanceInformation"
    ]
    assert "RemittanceInformation" not in body_of(attrs.evolve(SEPA, transfer=plain), is_old=True)
    with pytest.raises(InvalidData) as excinfo:
        body_of(attrs.evolve(SEPA, transfer=attrs.evolve(TRANSFER, creditor=creditor)), is_old=True)
    assert "bic" == excinfo.value.field


@pytest.mark.parametrize(
    "fields",
    [{"purpose": "SALA"}, {"ultimate_debtor": "Ada"}, {"ultimate_creditor": "Ada"}],
)
def test_fields_that_are_not_sent_are_refused(fields: dict[str, Any]) -> None:
    """A payment with a field that moorage cannot send is refused before anything is sent."""
    sandbox = OpenBankingUkSandbox()
    transfer = attrs.evolve(TRANSFER, **fields)
    with pytest.raises(InvalidData) as excinfo:
        hub(sandbox).bank().pay(attrs.evolve(SEPA, transfer=transfer), idempotency_key="k-1")
    assert [*fields] == [excinfo.value.field]
    assert [] == sandbox.requests


@pytest.mark.parametrize(
    "options, urls",
    [
        ({}, ("/open-banking/v4.0/pisp", False)),
        (
            {"base_url": f"https://{HOST}/open-banking/v3.1/aisp/"},
            ("/open-banking/v3.1/pisp", True),
        ),
        ({"payments_url": f"https://{HOST}/pay/v3.1"}, ("/pay/v3.1", True)),
        ({"base_url": f"https://{HOST}/aisp/v4.0/aisp"}, ("/aisp/v4.0/pisp", False)),
    ],
)
def test_payment_interface_follows_from_the_account_interface(
    options: dict[str, str], urls: tuple[str, bool]
) -> None:
    """The payment URL is next to the account URL, unless the account option gives another one."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox, **options).bank()
    consent = uk_payment("AWAU")
    sandbox.fail(consent)
    bank.pay(ORDER, idempotency_key="k-1")

    request = sandbox.requests[0]
    path, is_old = urls
    assert f"{path}/domestic-payment-consents" == request.path
    remittance = request.json()["Data"]["Initiation"]["RemittanceInformation"]
    assert is_old is ("Reference" in remittance)


def test_bodies_are_signed() -> None:
    """Each body has a detached signature with the claims of the specification (PS256)."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    ref, url = approved(sandbox, bank)
    before = int(datetime.now(UTC).timestamp())
    bank.finish_payment(ref, url)

    signed = [item for item in sandbox.requests if item.body]
    assert 2 == len(signed)
    assert not any("x-jws-signature" in item.headers for item in sandbox.requests if not item.body)
    for request in signed:
        header, payload, signature = request.headers["x-jws-signature"].split(".")
        content = urlsafe_b64encode(request.body).rstrip(b"=").decode()
        key_pair().public_key().verify(
            urlsafe_b64decode(signature + "=="),
            f"{header}.{content}".encode(),
            PSS(MGF1(SHA256()), 32),
            SHA256(),
        )
        claims = json.loads(urlsafe_b64decode(header + "=="))
        assert before - 60 <= claims.pop("http://openbanking.org.uk/iat") <= before + 60
        assert "" == payload
        assert {
            "alg": "PS256",
            "kid": "sandbox-key-1",
            "http://openbanking.org.uk/iss": "erp-organisation/erp-software",
            "http://openbanking.org.uk/tan": "openbanking.org.uk",
            "crit": [f"http://openbanking.org.uk/{name}" for name in ("iat", "iss", "tan")],
        } == claims


def test_account_without_a_signer_cannot_pay() -> None:
    """Payments need a signer and a key for PS256; nothing is sent without them."""
    sandbox = OpenBankingUkSandbox()
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for options, path in (
        ({"signer": None}, "signer"),
        ({"signing_key": pem, "algorithm": "ES256"}, "algorithm"),
    ):
        with pytest.raises(ConfigurationError) as excinfo:
            hub(sandbox, **options).bank().pay(ORDER, idempotency_key="k-1")
        assert path == excinfo.value.path
    assert [] == [*sandbox.requests, *sandbox.tokens.requests]


def test_payment_has_the_details_of_its_consent() -> None:
    """The payment is submitted with the owner's token, the consent's details and a second key."""
    sandbox, store = OpenBankingUkSandbox(), MemoryCredentialProvider()
    bank = hub(sandbox, store=store).bank("acme")
    ref, url = approved(sandbox, bank)
    payment: BankPayment = bank.finish_payment(ref, url)

    first, look_up, last = sandbox.requests
    consent, submitted = first.json(), last.json()
    assert (consent["Data"]["Initiation"], consent["Risk"]) == (
        submitted["Data"]["Initiation"],
        submitted["Risk"],
    )
    assert ref.id == submitted["Data"]["ConsentId"]
    assert f"/open-banking/v4.0/pisp/domestic-payment-consents/{ref.id}" == look_up.path
    tokens = store.get(f"banks/payment/{ref.id}", "acme")
    assert isinstance(tokens, OAuthCredentials)
    assert tokens.access_token.reveal() == last.bearer()
    keys = [item.headers["x-idempotency-key"] for item in (first, last)]
    assert 2 == len(set(keys))
    assert all(map(NUMBER.fullmatch, keys))
    assert "x-idempotency-key" not in look_up.headers
    (id_,) = sandbox.payment_interface.payments
    assert (ref.id, id_, "RCVD") == (
        payment.ref.id,
        payment.ref.other("payment"),
        payment.vendor_status,
    )
    sandbox.set_payment(id_, "ACSC")
    settled = bank.get_payment(payment.ref)
    assert (BankPaymentStatus.SETTLED, payment.ref) == (settled.status, settled.ref)


def test_keys_of_tenants_differ() -> None:
    """Two tenants that use the same idempotency key make different payments."""
    sandbox = OpenBankingUkSandbox()
    own_hub = hub(sandbox)
    for tenant in ("acme", "blue"):
        own_hub.bank(tenant).pay(ORDER, idempotency_key="k-1")
    assert 2 == sandbox.payment_count()


def test_bank_recognises_a_key_for_a_day() -> None:
    """Within a day a repeated key returns the current state; then the bank forgets the key."""
    sandbox, store = OpenBankingUkSandbox(), MemoryCredentialProvider()
    ref, url = approved(sandbox, hub(sandbox, store=store, confirm_funds=True).bank())
    repeated_payment = hub(sandbox, store=store).bank().pay(ORDER, idempotency_key="k-1")
    assert (ref, "AUTH") == (repeated_payment.ref, repeated_payment.vendor_status)
    hub(sandbox, store=store).bank().finish_payment(ref, url)
    (id_,) = sandbox.payment_interface.payments
    sandbox.set_payment(id_, "ACSP")
    repeated = hub(sandbox, store=store, confirm_funds=True).bank().finish_payment(ref, url)
    assert ("ACSP", id_) == (repeated.vendor_status, repeated.ref.other("payment"))

    sandbox.payment_interface.remembered = timedelta()
    late_payment = hub(sandbox, store=store).bank().finish_payment(ref, url)
    assert (BankPaymentStatus.UNKNOWN, "COND", ref) == (
        late_payment.status,
        late_payment.vendor_status,
        late_payment.ref,
    )
    assert 1 == sandbox.submitted_count()


def test_bank_refuses_a_key_with_another_body() -> None:
    """The bank refuses a key that was used with another body, and nothing changes."""
    sandbox = OpenBankingUkSandbox()
    hub(sandbox).bank().pay(ORDER, idempotency_key="k-1")
    before = json.dumps(sandbox.payment_interface.consents)
    other = attrs.evolve(ORDER, transfer=attrs.evolve(STERLING, amount=Money("1.00", "GBP")))
    with pytest.raises(InvalidRequest) as excinfo:
        hub(sandbox).bank().pay(other, idempotency_key="k-1")
    assert ("U006", before) == (
        excinfo.value.vendor_code,
        json.dumps(sandbox.payment_interface.consents),
    )


def test_repeats_wait_for_a_second() -> None:
    """A request with a key is repeated after a second at the earliest, as the bank demands."""
    sandbox = OpenBankingUkSandbox()
    fields: dict[str, Any] = options_of(sandbox)
    services = OpenBankingUk(**fields).services()
    for name in ("payments", "payer"):
        policy = services[name].retry
        assert policy is not None
        delays = [delay(policy, attempt, previous=0.0, draw=0.0) for attempt in (1, 2)]
        assert min(delays) >= 1.0


def test_funds_are_confirmed_before_the_payment() -> None:
    """With `confirm_funds`, a payment is submitted only when there is enough money for it."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox, confirm_funds=True).bank()
    ref, url = approved(sandbox, bank)
    sandbox.payment_interface.funds = False
    with pytest.raises(PaymentDeclined) as excinfo:
        bank.finish_payment(ref, url)
    assert ("insufficient_funds", str(ref)) == (excinfo.value.reason, excinfo.value.payment)
    assert (0, "AUTH") == (
        sandbox.submitted_count(),
        sandbox.payment_interface.consents[ref.id]["Status"],
    )

    sandbox.payment_interface.funds = True
    assert BankPaymentStatus.PENDING is bank.finish_payment(ref, url).status
    assert 1 == sandbox.submitted_count()


@pytest.mark.parametrize("confirm_funds", [True, False])
def test_unknown_funds_do_not_stop_a_payment(confirm_funds: bool) -> None:
    """If the bank cannot tell whether there is enough money, the payment is submitted."""
    sandbox = OpenBankingUkSandbox()
    sandbox.payment_interface.funds = None
    bank = hub(sandbox, confirm_funds=confirm_funds).bank()
    bank.finish_payment(*approved(sandbox, bank))
    paths = [item.path for item in sandbox.requests if "funds" in item.path]
    assert (int(confirm_funds), 1) == (len(paths), sandbox.submitted_count())


def test_refused_payment_is_not_submitted() -> None:
    """If the bank has rejected the consent after the owner's return, nothing is submitted."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    ref, url = approved(sandbox, bank)
    sandbox.refuse(ref.id)
    payment = bank.finish_payment(ref, url)
    assert (BankPaymentStatus.REFUSED, 0) == (payment.status, sandbox.submitted_count())


def test_url_of_another_payment_is_refused() -> None:
    """A return URL with another payment's state submits nothing."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    ref, _ = approved(sandbox, bank, "k-1")
    _, url = approved(sandbox, bank, "k-2")
    with pytest.raises(InvalidData):
        bank.finish_payment(ref, url)
    assert 0 == sandbox.submitted_count()


def test_payment_without_the_owner_is_not_submitted() -> None:
    """If the owner's tokens are missing or expired, the payment needs the owner's consent again."""
    sandbox, store = OpenBankingUkSandbox(), MemoryCredentialProvider()
    ref, url = approved(sandbox, hub(sandbox, store=store).bank())
    with pytest.raises(ConsentRequired, match="has not agreed"):
        hub(sandbox).bank().finish_payment(ref, url)
    sandbox.lifetime = 1
    with pytest.raises(ConsentRequired, match="has expired"):
        hub(sandbox, store=store).bank().finish_payment(ref, url)
    assert 0 == sandbox.submitted_count()


def test_finishing_a_submitted_payment_only_reads_its_state() -> None:
    """Finishing a payment that was already submitted only reads the payment's state."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    ref, url = approved(sandbox, bank)
    finished = bank.finish_payment(ref, url)
    count = len(sandbox.requests)
    repeated_payment = bank.finish_payment(finished.ref, url)
    assert (finished.ref, BankPaymentStatus.PENDING) == (
        repeated_payment.ref,
        repeated_payment.status,
    )
    path = f"/open-banking/v4.0/pisp/domestic-payments/{finished.ref.other('payment')}"
    assert [("GET", path)] == [(item.method, item.path) for item in sandbox.requests[count:]]


@pytest.mark.parametrize("body", [{"Initiation": {}}, {"Risk": {}}, {}])
def test_consent_without_details_is_an_error(body: dict[str, Any]) -> None:
    """If the bank does not return the details of a payment, nothing is submitted."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    ref, url = approved(sandbox, bank)
    initiation = {name: value for name, value in body.items() if name == "Initiation"}
    risk = {name: value for name, value in body.items() if name == "Risk"}
    sandbox.fail(reply({"Data": {"Status": "AUTH", **initiation}, **risk}))
    with pytest.raises(VendorFailed, match="Initiation or Risk"):
        bank.finish_payment(ref, url)
    assert 0 == sandbox.submitted_count()


@pytest.mark.parametrize(
    "status, code, kind",
    [
        (400, "U015", AuthenticationFailed),
        (400, "UK.OBIE.Signature.Missing", AuthenticationFailed),
        (400, "U009", ConsentRequired),
        (400, "UK.OBIE.Resource.InvalidConsentStatus", ConsentRequired),
        (400, "U011", VendorRejected),
        (400, "UK.OBIE.Resource.NotFound", VendorRejected),
        (400, "U008", InvalidRequest),
        (400, "U026", InvalidRequest),
        (400, "AM04", PaymentDeclined),
        (403, "AC05", VendorRejected),
        (409, "U029", VendorRejected),
        (401, "TKXP", ConsentRequired),
        (401, None, ConsentRequired),
    ],
)
def test_refusals_of_payments(status: int, code: str | None, kind: type[Exception]) -> None:
    """Each reason for refusing a payment raises its own error, and nothing is paid."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    ref, url = approved(sandbox, bank)
    sandbox.fail(None, uk_bank_error(status, code))
    with pytest.raises(kind) as excinfo:
        bank.finish_payment(ref, url)
    assert kind is type(excinfo.value)
    assert code == getattr(excinfo.value, "vendor_code", None)


def test_refused_token_of_the_application_is_renewed() -> None:
    """After a 401 the application renews its own token; the owner is not asked to agree again."""
    sandbox = OpenBankingUkSandbox()
    bank = hub(sandbox).bank()
    ref = bank.pay(ORDER, idempotency_key="k-1").ref
    sandbox.tokens.client_tokens.clear()
    assert BankPaymentStatus.PENDING is bank.get_payment(ref).status
    sandbox.fail(Response(401), Response(401))
    with pytest.raises(AuthenticationFailed):
        bank.get_payment(ref)


def changed(sandbox: OpenBankingUkSandbox, **headers: str | None) -> Response:
    """Return the bank's response to its first request, which is sent again with other headers."""
    first = sandbox.requests[0]
    fields = {name.lower(): value for name, value in first.headers.pairs} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    sent_fields = {name: value for name, value in fields.items() if value is not None}
    request = Request.post(first.path, body=first.body, headers=sent_fields)
    return SandboxHttpClient(sandbox).send(request, f"https://{HOST}{first.path}", Timeouts())


def test_sandbox_checks_what_a_bank_checks() -> None:
    """The sandbox refuses keys and signatures that a bank has to refuse."""
    sandbox = OpenBankingUkSandbox()
    hub(sandbox).bank().pay(ORDER, idempotency_key="k-1")
    header, _, signature = sandbox.requests[0].headers["x-jws-signature"].split(".")
    claims = json.loads(urlsafe_b64decode(header + "=="))

    def head(**changes: Any) -> str:
        content = json.dumps({**claims, **changes}).encode()
        return urlsafe_b64encode(content).rstrip(b"=").decode()

    missing = urlsafe_b64encode(b'{"alg":"PS256"}').rstrip(b"=").decode()
    codes = {
        "U007": changed(sandbox, x_idempotency_key=None),
        "U006": changed(sandbox, x_idempotency_key="k" * 41),
        "U019": changed(sandbox, x_jws_signature=None),
        "U018": changed(sandbox, x_jws_signature="no signature"),
        "U017": changed(sandbox, x_jws_signature=f"{missing}..{signature}"),
        "U016": changed(sandbox, x_jws_signature=f"{head(kid='another')}..{signature}"),
        "U015": changed(sandbox, x_jws_signature=f"{header}..{'A' * len(signature)}"),
    }
    assert [(400, code) for code in codes] == [
        (item.status, item.json()["Errors"][0]["ErrorCode"]) for item in codes.values()
    ]
    future = {"http://openbanking.org.uk/iat": claims["http://openbanking.org.uk/iat"] + 999}
    late_response = changed(sandbox, x_jws_signature=f"{head(**future)}..{signature}")
    assert "U016" == late_response.json()["Errors"][0]["ErrorCode"]
    sandbox.tokens.client_tokens["of-accounts"] = "accounts"
    statuses = [
        changed(sandbox, authorization=f"Bearer {token}").status
        for token in ("of-accounts", "none")
    ]
    assert [403, 401] == statuses
    assert 1 == sandbox.payment_count()
