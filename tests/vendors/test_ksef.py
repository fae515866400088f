"""KSeF: login, encryption, invoice states, and the sandbox's error responses."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from datetime import UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from pathlib import Path
from subprocess import run
from typing import Any

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import CertificateBuilder, Name, random_serial_number

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    InvalidData,
    OutcomeUnknown,
    VendorFailed,
    VendorRejected,
)
from moorage.contracts.einvoices import EinvoiceStatus, OutgoingInvoice
from moorage.contracts.routes import Account
from moorage.domain.http.requests import Request, Response
from moorage.domain.service.safety import Mode
from moorage.hub.hub import AsyncHub, Hub
from moorage.testing import AsyncVirtualSleeper, VirtualClock, VirtualSleeper
from moorage.testing.sandboxes.base import (
    AlteredAnswer,
    AsyncSandboxHttpClient,
    Lost,
    SandboxHttpClient,
    SandboxRequest,
    reply,
)
from moorage.testing.sandboxes.einvoices.base import FA3
from moorage.testing.sandboxes.einvoices.ksef import KsefSandbox
from moorage.vendors.einvoices._ksef_sealing import KsefEncryption, PublicKey, is_usable
from moorage.vendors.einvoices.ksef import Ksef
from tests.support.openapi import Json, problems
from tests.vendors.einvoices_subjects import ksef_error

INVOICE = OutgoingInvoice(document=FA3)
RSA_ALGORITHM = bytes.fromhex("06092a864886f70d010101")
"""The name of the algorithm of an RSA key in DER."""
DESCRIPTION: Json = json.loads(
    (Path(__file__).parent / "descriptions" / "ksef" / "open-api.json").read_text("utf-8")
)


def hub_at(sandbox: KsefSandbox, *, token: str | None = None, **options: Any) -> Hub:
    """Return a hub with an account at the sandbox, without retries."""
    vendor = Ksef(credentials=token or sandbox.token, nip=sandbox.nip)
    settings = {"retry": None, "circuit": None}
    account = Account("main", vendor, settings=settings)
    return Hub([account], http=SandboxHttpClient(sandbox), **options)


def sent_bodies(sandbox: KsefSandbox) -> list[tuple[str, Any]]:
    """Return path and body of each request that has a body."""
    return [(item.path, json.loads(item.body)) for item in sandbox.requests if item.body]


def test_requests_match_the_description() -> None:
    """Each request with a body has the fields that KSeF describes."""
    sandbox = KsefSandbox()
    extra = {"ksef": {"offlineMode": True, "hashOfCorrectedInvoice": "A" * 44}}
    with hub_at(sandbox) as hub:
        hub.einvoices().send(OutgoingInvoice(document=FA3, extra=extra))

    bodies = sent_bodies(sandbox)
    assert 3 == len(bodies)
    assert [] == [
        problem for path, body in bodies for problem in problems(DESCRIPTION, "POST", path, body)
    ]
    key_ids = (bodies[0][1]["publicKeyId"], bodies[1][1]["encryption"]["publicKeyId"])
    assert [44, 44] == [len(key_id) for key_id in key_ids]
    assert {"FA (3)", "1-0E", "FA"} == set(bodies[1][1]["formCode"].values())
    assert {"type": "Nip", "value": sandbox.nip} == bodies[0][1]["contextIdentifier"]
    assert {"problem-details"} == {item.headers.get("x-error-format") for item in sandbox.requests}


def test_neither_token_nor_invoice_is_readable_in_request() -> None:
    """A request contains the token and the invoice only in encrypted form."""
    sandbox = KsefSandbox()
    with hub_at(sandbox) as hub:
        hub.einvoices().send(INVOICE)

    content = b"".join(item.body for item in sandbox.requests)
    for hidden in (sandbox.token.encode(), FA3, b64encode(FA3), b"seed", b"timestampMs"):
        assert hidden not in content


def test_invoices_have_keys_of_their_own() -> None:
    """A repeat with the same key sends the same ciphertext; other requests send different ones."""
    ciphertexts = []
    for key in ("k-1", "k-1", "k-2", None, None):
        sandbox = KsefSandbox()
        with hub_at(sandbox) as hub:
            hub.einvoices().send(INVOICE, idempotency_key=key)
        ciphertexts.append(sent_bodies(sandbox)[-1][1]["encryptedInvoiceContent"])

    assert ciphertexts[0] == ciphertexts[1]
    assert 4 == len(set(ciphertexts))


def test_requests_without_secrets_are_sent_unchanged() -> None:
    """Requests without secrets are sent unchanged."""
    sealing = KsefEncryption(Ksef(credentials="a-token", nip="5260250274").credentials)
    for request in (Request.get("/auth/AU-1"), Request.post("/x", json={"a": 1})):
        assert request is sealing(request)


@pytest.mark.parametrize("is_async", [False, True])
def test_login_is_awaited(*, is_async: bool) -> None:
    """While KSeF checks the token, moorage polls every second; then the invoice is sent."""
    sandbox = KsefSandbox()
    sandbox.waits = 3
    clock = VirtualClock()
    vendor = Ksef(credentials=sandbox.token, nip=sandbox.nip)

    async def send() -> Any:
        hub = AsyncHub(
            [Account("main", vendor)],
            http=AsyncSandboxHttpClient(sandbox),
            clock=clock,
            sleeper=AsyncVirtualSleeper(clock, autojump=True),
        )
        async with hub:
            return await hub.einvoices().send(INVOICE)

    if is_async:
        sent = asyncio.run(send())
    else:
        with hub_at(sandbox, clock=clock, sleeper=VirtualSleeper(clock)) as hub:
            sent = hub.einvoices().send(INVOICE)

    assert EinvoiceStatus.ACCEPTED is sent.status
    assert 4 == sum("/auth/2031" in item.path for item in sandbox.requests)


def test_login_that_is_never_checked_sends_nothing() -> None:
    """If KSeF does not confirm the login in thirty seconds, the call fails and sends nothing."""
    sandbox = KsefSandbox()
    sandbox.waits = 1_000
    clock = VirtualClock()
    with (
        hub_at(sandbox, clock=clock, sleeper=VirtualSleeper(clock)) as hub,
        pytest.raises(VendorFailed, match="half a minute"),
    ):
        hub.einvoices().send(INVOICE, timeout=300.0)

    assert 970 == sandbox.waits
    assert () == tuple(sandbox.deliveries())


def test_wrong_token_is_refused() -> None:
    """A token that KSeF refuses raises AuthenticationFailed with KSeF's reason and code."""
    sandbox = KsefSandbox()
    with (
        hub_at(sandbox, token="another-token") as hub,
        pytest.raises(AuthenticationFailed, match="Nieprawidłowy token") as excinfo,
    ):
        hub.einvoices().send(INVOICE)

    assert "450" == excinfo.value.vendor_code
    assert ": KSeF refused: " in str(excinfo.value)
    assert () == tuple(sandbox.deliveries())


def test_token_of_another_business_is_refused() -> None:
    """KSeF refuses a token that is used with the tax number of another business."""
    sandbox = KsefSandbox()
    vendor = Ksef(credentials=sandbox.token, nip="5252248481")
    with (
        Hub([Account("main", vendor)], http=SandboxHttpClient(sandbox)) as hub,
        pytest.raises(AuthenticationFailed),
    ):
        hub.einvoices().get("ksef:main:EE-1?session=SO-1")


@pytest.mark.parametrize("step", range(5))
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"[7]", b"null"])
def test_unreadable_login_sends_nothing(step: int, body: bytes) -> None:
    """If a login response cannot be read, an error is raised and no invoice is sent."""
    sandbox = KsefSandbox()
    sandbox.fail(*[None] * step, Response(200, {"Content-Type": "application/json"}, body))
    with hub_at(sandbox) as hub, pytest.raises(VendorFailed):
        hub.einvoices().send(INVOICE)

    assert step + 1 == len(sandbox.requests)


def without_certificates(response: Response) -> Response:
    """Return KSeF's response with its keys, each with an unreadable certificate."""
    keys = [item | {"certificate": "AAAA"} for item in response.json()]
    return reply(keys)


def with_older_certificates(response: Response) -> Response:
    """Return KSeF's response with its keys, then others that end earlier or are unusable."""
    items, now = response.json(), datetime.now(UTC)
    key = generate_private_key(65_537, 2048)
    older = [
        {
            "certificate": other_certificate(key, days=days),
            "publicKeyId": "x",
            "usage": ["KsefTokenEncryption", "SymmetricKeyEncryption"],
            "validTo": (now + timedelta(days=9_999)).isoformat(),
        }
        for days in ((-1, 1), (-2, -1), (1, 9_999))
    ]
    return reply([*items, *older, {"usage": ["KsefTokenEncryption"], "validTo": "2099"}, {}])


def test_keys_are_chosen() -> None:
    """Of several usable keys for a purpose, the one that is valid longest is chosen."""
    sandbox = KsefSandbox()
    sandbox.fail(AlteredAnswer(with_older_certificates))
    with hub_at(sandbox) as hub:
        hub.einvoices().send(INVOICE)
        sandbox.fail(AlteredAnswer(without_certificates))
        with pytest.raises(VendorFailed, match="KsefTokenEncryption"):
            hub.einvoices().send(INVOICE)

    assert 1 == len(sandbox.deliveries())


@pytest.mark.parametrize("days", [(-9, -1), (1, 9)])
def test_certificate_that_is_not_valid_now_encrypts_nothing(days: tuple[int, int]) -> None:
    """If KSeF's certificate has expired or is not valid yet, neither token nor invoice is sent."""
    sandbox, key = KsefSandbox(), generate_private_key(65_537, 2048)
    certificate = other_certificate(key, days=days)

    def with_certificate(response: Response) -> Response:
        return reply([item | {"certificate": certificate} for item in response.json()])

    sandbox.fail(AlteredAnswer(with_certificate))
    with hub_at(sandbox) as hub, pytest.raises(VendorFailed, match="valid now") as excinfo:
        hub.einvoices().send(INVOICE)

    assert "clock" in (excinfo.value.remedy or "")
    assert 1 == len(sandbox.requests)


def other_certificate(
    key: RSAPrivateKey, algorithm: bytes = b"", *, days: tuple[int, int] = (0, 0)
) -> str:
    """Return a certificate for a key, valid from now for the given number of days.

    Args:
        key: key of the certificate.
        algorithm: last bytes in the name of its algorithm.
        days: the days from now on which it begins and ends to be valid.
    """
    name, now = Name([]), datetime.now(UTC)
    first, last = (now + timedelta(days=number) for number in days)
    builder = CertificateBuilder(name, name, key.public_key(), random_serial_number(), first, last)
    content = builder.sign(key, SHA256()).public_bytes(Encoding.DER)
    start, _, end = content.rpartition(RSA_ALGORITHM)
    prefix = RSA_ALGORITHM[: len(RSA_ALGORITHM) - len(algorithm)]
    assert start
    return b64encode(start + prefix + algorithm + end).decode()


@pytest.mark.parametrize("bits, algorithm", [(1024, b""), (2048, b"\x63")])
def test_keys_that_cannot_take_a_token_are_not_used(bits: int, algorithm: bytes) -> None:
    """A certificate whose key is too short or of an unknown algorithm is not used."""
    certificate = other_certificate(generate_private_key(65_537, bits), algorithm)

    assert not is_usable(certificate)
    assert is_usable(other_certificate(generate_private_key(65_537, 2048)))


@pytest.mark.parametrize("name", ["document", "seed"])
def test_extra_options_do_not_replace_the_invoice(name: str) -> None:
    """Extra options change neither the encrypted content nor its key."""
    sandbox = KsefSandbox()
    invoice = OutgoingInvoice(document=FA3, extra={"ksef": {name: "eA=="}})
    with hub_at(sandbox) as hub:
        hub.einvoices().send(invoice)

    assert sha256(FA3).digest() == b64decode(sent_bodies(sandbox)[-1][1]["invoiceHash"])


@pytest.mark.parametrize("certificate", ["", "ä", "AAAA"])
def test_other_texts_are_no_certificates(certificate: str) -> None:
    """A text that is not a certificate in Base64 is not used."""
    assert not is_usable(certificate)


def without_invoice_key(response: Response) -> Response:
    """Return KSeF's response with its keys, without the key for invoices."""
    return reply([item for item in response.json() if "KsefTokenEncryption" in item["usage"]])


def test_each_use_needs_a_key() -> None:
    """If KSeF has no key for invoices, the call fails before the login."""
    sandbox = KsefSandbox()
    sandbox.fail(AlteredAnswer(without_invoice_key))
    with hub_at(sandbox) as hub, pytest.raises(VendorFailed, match="SymmetricKeyEncryption"):
        hub.einvoices().send(INVOICE)

    assert 1 == len(sandbox.requests)


@pytest.mark.parametrize(
    "answer, words",
    [
        (ksef_error(400, 21405), "Błąd walidacji. Pole faktury."),
        (ksef_error(401), "Żądanie jest nieprawidłowe."),
        (reply({"title": "Gone", "status": 410}, 410), "Gone"),
    ],
)
def test_refusals_quote_ksefs_message(answer: Response, words: str) -> None:
    """A KSeF error has the first problem's description and details, or else the summary."""
    sandbox = KsefSandbox()
    sandbox.fail(*[None] * 6, answer)
    with hub_at(sandbox) as hub, pytest.raises(ConnectorError) as excinfo:
        hub.einvoices().send(INVOICE)

    assert words == getattr(excinfo.value, "vendor_message", None)
    assert f": KSeF refused: {words}" in str(excinfo.value)


def test_tenants_have_keys_of_their_own() -> None:
    """Two tenants' invoices with the same key and content are encrypted differently."""
    sandbox = KsefSandbox()
    with hub_at(sandbox) as hub:
        for tenant in ("acme", "other"):
            hub.einvoices(tenant=tenant).send(INVOICE, idempotency_key="k-1")

    ciphertexts = {
        body["encryptedInvoiceContent"]
        for _, body in sent_bodies(sandbox)
        if "encryptedInvoiceContent" in body
    }
    assert 2 == len(ciphertexts)


def test_lost_answer_leaves_one_invoice() -> None:
    """After a lost response a repeat sends nothing; with another key KSeF reports a duplicate."""
    sandbox = KsefSandbox()
    with hub_at(sandbox) as hub:
        einvoices = hub.einvoices()
        sandbox.fail(*[None] * 6, Lost())
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                einvoices.send(INVOICE, idempotency_key="k-1")
        repeat = einvoices.send(INVOICE, idempotency_key="k-2")
        first_id, second_id = sandbox.sent_ids
        sandbox.deliver(first_id)
        sandbox.deliver(second_id)
        state = einvoices.get(repeat.ref)

    assert (EinvoiceStatus.FAILED, "440") == (state.status, state.vendor_status)
    assert state.reason is not None
    assert state.reason.startswith("Duplikat faktury 5260250274-20310506-")
    assert state.official_number is None
    assert state.reason not in repr(state)


def test_accepted_invoice_has_its_number_and_can_be_downloaded() -> None:
    """An accepted invoice has its official number, by which it can be found."""
    sandbox = KsefSandbox()
    with hub_at(sandbox) as hub:
        einvoices = hub.einvoices()
        sent = einvoices.send(INVOICE)
        pending = einvoices.get(str(sent.ref))
        sandbox.deliver(sent.ref.id)
        delivered = einvoices.get(sent.ref)
        received = einvoices.download(f"ksef:main:{delivered.official_number}")
        with pytest.raises(VendorRejected, match="nie istnieje") as excinfo:
            einvoices.download("ksef:main:5260250274-20310506-0000000000-00")

    assert (EinvoiceStatus.ACCEPTED, None) == (pending.status, pending.official_number)
    assert EinvoiceStatus.DELIVERED is delivered.status
    assert FA3 == received.document
    assert "21164" == excinfo.value.vendor_code


def test_failed_check_has_its_reason() -> None:
    """An invoice that fails KSeF's check has the state failed, and KSeF's text as its reason."""
    sandbox = KsefSandbox()
    with hub_at(sandbox) as hub:
        sent = hub.einvoices().send(INVOICE)
        sandbox.fail_check(sent.ref.id, 450)
        state = hub.einvoices().get(sent.ref)

    assert (EinvoiceStatus.FAILED, "Status 450") == (state.status, state.reason)
    for check_again in (sandbox.deliver, partial(sandbox.fail_check, code=440)):
        with pytest.raises(InvalidData, match="waits for its check"):
            check_again(sent.ref.id)


def test_references_without_a_session_have_no_state() -> None:
    """A received invoice's number is refused where the reference of a sent one is needed."""
    sandbox = KsefSandbox()
    with hub_at(sandbox) as hub, pytest.raises(InvalidData, match="that was sent") as excinfo:
        hub.einvoices().get("ksef:main:1")

    assert "ref" == excinfo.value.field
    assert [] == sandbox.requests


@pytest.mark.parametrize("session, number", [("SO-1", None), (None, "EE-1")])
def test_states_of_unknown_invoices_are_refused(session: str | None, number: str | None) -> None:
    """KSeF refuses to look up an invoice of another session, or one that was never sent."""
    sandbox = KsefSandbox()
    with hub_at(sandbox) as hub:
        ref = hub.einvoices().send(INVOICE).ref
        related = {"session": session or str(ref.other("session"))}
        other = attrs.evolve(ref, id=number or ref.id, related=related)
        with pytest.raises(VendorRejected) as excinfo:
            hub.einvoices().get(other)

    assert "21173" == excinfo.value.vendor_code


@pytest.mark.parametrize(
    "url, mode",
    [
        ("https://api.ksef.mf.gov.pl/v2", Mode.LIVE),
        ("https://api-test.ksef.mf.gov.pl/v2", Mode.TEST),
        ("https://api-demo.ksef.mf.gov.pl/v2", Mode.TEST),
        ("https://ksef.example/v2", None),
    ],
)
def test_environments_have_modes(url: str, mode: Mode | None) -> None:
    """KSeF's production environment is live; its test and demo environments are not."""
    assert mode is Ksef(credentials="a", nip="5260250274", base_url=url).mode()


@pytest.mark.parametrize("nip", ["PL5260250274", "526-025-02-74", "0260250274", ""])
def test_wrong_tax_numbers_are_refused(nip: str) -> None:
    """A tax number that is not ten digits is refused."""
    with pytest.raises(ConfigurationError) as excinfo:
        Ksef(credentials="a", nip=nip)
    assert "nip" in str(excinfo.value.path)


def outcome_of(sandbox: KsefSandbox, path: str, body: Any) -> tuple[int, str]:
    """Return status and error code of a request with the access token."""
    return outcome_with_token(sandbox, sandbox.access_token, path, body)


def outcome_with_token(sandbox: KsefSandbox, token: str, path: str, body: Any) -> tuple[int, str]:
    """Return status and error code of a request with the given token."""
    headers = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
    }
    request = Request.post(path, json=body, headers=headers)
    content: Any = request.body
    response = sandbox.answer(
        SandboxRequest("POST", "api.ksef.mf.gov.pl", path, (), request.headers, content)
    )
    answer = response.json()
    return response.status, str(answer["errors"][0]["code"]) if "errors" in answer else ""


def sandbox_with_invoice() -> tuple[KsefSandbox, list[tuple[str, Any]]]:
    """Return a sandbox that got an invoice, and the bodies of all requests that sent it."""
    sandbox = KsefSandbox()
    with hub_at(sandbox) as hub:
        hub.einvoices().send(INVOICE)
    return sandbox, sent_bodies(sandbox)


@pytest.mark.parametrize(
    "number, changes, code",
    [
        (0, {"challenge": "CR-other"}, "21111"),
        (0, {"encryptedToken": 7}, "21405"),
        (
            1,
            {"formCode": {"systemCode": "FA (2)", "schemaVersion": "1-0E", "value": "FA"}},
            "21405",
        ),
        (1, {"encryption": {"encryptedSymmetricKey": "AA==", "initializationVector": ""}}, "21405"),
        (
            1,
            {
                "encryption": {
                    "encryptedSymmetricKey": "AA==",
                    "initializationVector": "",
                    "publicKeyId": "A" * 44,
                }
            },
            "21470",
        ),
        (2, {"invoiceSize": 1}, "21402"),
        (2, {"encryptedInvoiceSize": 1}, "21402"),
        (2, {"invoiceHash": "A" * 44}, "21403"),
        (2, {"encryptedInvoiceHash": "A" * 44}, "21403"),
        (2, {"invoiceSize": "1"}, "21405"),
    ],
)
def test_sandbox_refuses_as_ksef_does(number: int, changes: dict[str, Any], code: str) -> None:
    """The sandbox refuses a request that KSeF would refuse, with KSeF's code."""
    sandbox, bodies = sandbox_with_invoice()
    path, body = bodies[number]

    assert (400, code) == outcome_of(sandbox, path, body | changes)
    assert 1 == len(sandbox.deliveries())


def test_sandbox_refuses_unknown_sessions_and_logins() -> None:
    """The sandbox refuses sessions and logins that it did not issue."""
    sandbox, bodies = sandbox_with_invoice()
    login = {"Authorization": f"Bearer {sandbox.login_token}"}
    sandbox.access_token, known_token = "another", sandbox.access_token
    assert (401, "") == outcome_with_token(sandbox, known_token, bodies[1][0], bodies[1][1])
    sandbox.access_token = known_token

    def login_request(method: str, path: str) -> Any:
        headers = Request.get("/x", headers=login).headers
        request = SandboxRequest(method, "api.ksef.mf.gov.pl", path, (), headers, b"")
        return sandbox.answer(request).json()["errors"][0]["code"]

    assert (400, "21173") == outcome_of(sandbox, "/v2/sessions/online/SO-1/invoices", bodies[2][1])
    assert 21304 == login_request("GET", "/v2/auth/AU-1")
    assert 21301 == login_request("POST", "/v2/auth/token/redeem")
    with pytest.raises(InvalidData, match="sends no webhook"):
        sandbox.receive("1")


def test_sandbox_reads_documents_that_are_no_invoices() -> None:
    """A document without a buyer is delivered to nobody."""
    sandbox = KsefSandbox()
    faktura = b'<Faktura xmlns="http://crd.gov.pl/wzor/2025/06/25/13775/"/>'
    vendor = Ksef(credentials=sandbox.token, nip=sandbox.nip)
    with Hub([Account("main", vendor)], http=SandboxHttpClient(sandbox)) as hub:
        hub.einvoices().send(OutgoingInvoice(document=faktura))
        number = sandbox.arrive(b"%PDF-1.7")
        with pytest.raises(VendorFailed, match="Faktura"):
            hub.einvoices().download(f"ksef:main:{number}")

    assert [("", faktura)] == [(item.recipient, item.document) for item in sandbox.deliveries()]


def test_openssl_reads_what_is_encrypted(tmp_path: Any) -> None:
    """The OpenSSL program decrypts the token, the key and the invoice, as KSeF does."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.der"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key)]
    run([*make, "-subj", "/CN=KSeF", "-outform", "DER", "-out", str(certificate)], check=True)
    public_key = PublicKey("A" * 44, b64encode(certificate.read_bytes()).decode())
    sealing = KsefEncryption(Ksef(credentials="the-token", nip="5260250274").credentials)

    def decrypted_content(body: Any) -> Any:
        content: Any = sealing(Request.post("/x", json=body)).body
        return json.loads(content)

    def decrypt_text(text: str) -> bytes:
        options = ["rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha256"]
        arguments = [item for option in options for item in ("-pkeyopt", option)]
        command = ["openssl", "pkeyutl", "-decrypt", "-inkey", str(key), *arguments]
        return run(command, input=b64decode(text), capture_output=True, check=True).stdout

    login = decrypted_content({"challenge": "c", "timestampMs": 17, "publicKey": public_key})
    opening = decrypted_content({"publicKey": public_key, "seed": "s"})["encryption"]
    invoice = decrypted_content({"document": b64encode(FA3).decode(), "seed": "s"})
    vector = b64decode(opening["initializationVector"]).hex()
    symmetric_key = decrypt_text(opening["encryptedSymmetricKey"]).hex()
    command = ["openssl", "enc", "-d", "-aes-256-cbc", "-K", symmetric_key, "-iv", vector]
    content = b64decode(invoice["encryptedInvoiceContent"])

    assert b"the-token|17" == decrypt_text(login["encryptedToken"])
    assert FA3 == run(command, input=content, capture_output=True, check=True).stdout
