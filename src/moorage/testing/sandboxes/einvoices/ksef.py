"""A local sandbox that imitates KSeF's API 2.0.

It decrypts tokens and invoices as KSeF does, and compares their sizes and digests. An invoice waits
until `deliver` checks it; a second invoice with the same seller, kind and number is then a
duplicate.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import attrs
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import CertificateBuilder, Name, NameAttribute, random_serial_number
from cryptography.x509.oid import NameOID

from moorage.domain.http.requests import Response
from moorage.errors import InvalidData
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems
from moorage.testing.sandboxes.einvoices.base import FA3, DeliveredDocument, EinvoicesSandbox
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.vendor_sdk.xml_text import read_xml

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_API: Final = "/v2"
_TIME: Final = "2031-05-06T07:08:09+00:00"
_TIMESTAMP: Final = 1_935_904_089_000
_PADDING: Final = OAEP(mgf=MGF1(SHA256()), algorithm=SHA256(), label=None)
_USES: Final = ("KsefTokenEncryption", "SymmetricKeyEncryption")
_FORM: Final = {"systemCode!": str, "schemaVersion!": str, "value!": str}
_OPENING: Final = {
    "formCode!": _FORM,
    "encryption!": {
        "encryptedSymmetricKey!": str,
        "initializationVector!": str,
        "publicKeyId": (str, type(None)),
    },
}
_INVOICE: Final = {
    "invoiceHash!": str,
    "invoiceSize!": int,
    "encryptedInvoiceHash!": str,
    "encryptedInvoiceSize!": int,
    "encryptedInvoiceContent!": str,
    "offlineMode": bool,
    "hashOfCorrectedInvoice": (str, type(None)),
}
_LOGIN: Final = {
    "challenge!": str,
    "contextIdentifier!": {"type!": str, "value!": str},
    "encryptedToken!": str,
    "publicKeyId": (str, type(None)),
    "authorizationPolicy": dict,
}
_WAITING: Final = 150
_FA3: Final = {"systemCode": "FA (3)", "schemaVersion": "1-0E", "value": "FA"}


@cache
def _key(use: str) -> rsa.RSAPrivateKey:
    """Return KSeF's RSA key for a usage, shared by all sandboxes."""
    del use
    return rsa.generate_private_key(65_537, 2_048)


@cache
def _certificate(use: str) -> dict[str, Any]:
    """Return KSeF's certificate for a usage."""
    key = _key(use)
    name = Name([NameAttribute(NameOID.COMMON_NAME, "Ministerstwo Finansów")])
    builder = CertificateBuilder(name, name, key.public_key(), random_serial_number())
    begin, end = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    certificate = (
        builder.not_valid_before(begin)
        .not_valid_after(end)
        .sign(key, SHA256())
        .public_bytes(Encoding.DER)
    )
    public_key = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {
        "certificate": b64encode(certificate).decode(),
        "certificateId": _digest(certificate),
        "publicKeyId": _digest(public_key),
        "validFrom": begin.isoformat(timespec="seconds"),
        "validTo": end.isoformat(timespec="seconds"),
        "usage": [use],
    }


def _digest(content: bytes) -> str:
    return b64encode(sha256(content).digest()).decode()


@attrs.define
class _SentInvoice:
    """An invoice sent in a session."""

    session: str
    document: bytes
    code: int = _WAITING
    ksef_number: str | None = None
    original: str | None = None


class KsefSandbox(EinvoicesSandbox):
    """A sandbox of KSeF with one business.

    Attributes:
        token: KSeF token of the business.
        nip: tax number of the business.
        access_token: access token that the sandbox grants.
        login_token: token for requests about the state of a login.
        waits: number of look-ups for which the sandbox reports a login as pending.
    """

    hosts = ("api.ksef.mf.gov.pl",)
    document = FA3
    recipient = None
    open_routes = frozenset(
        {
            f"POST {_API}/auth/challenge",
            f"POST {_API}/auth/ksef-token",
            f"GET {_API}/security/public-key-certificates",
        }
    )

    token: str = "20310506-EC-ksef-token-for-the-sandbox-only"
    nip: str = "5260250274"
    access_token: str = "ksef-access-jwt-for-the-sandbox-only"
    login_token: str = "ksef-login-jwt-for-the-sandbox-only"
    waits: int = 0
    _challenges: set[str] = base.state_field(set)
    _logins: dict[str, bool] = base.state_field(dict)
    _redeemable: list[str] = base.state_field(list)
    _redeemed: set[str] = base.state_field(set)
    _sessions: dict[str, tuple[bytes, bytes]] = base.state_field(dict)
    _sent: dict[str, _SentInvoice] = base.state_field(dict)
    _received: dict[str, bytes] = base.state_field(dict)

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        return {
            f"POST {_API}/auth/challenge": self._challenge,
            f"POST {_API}/auth/ksef-token": self._login,
            f"POST {_API}/auth/token/redeem": self._redeem,
            f"GET {_API}/auth/{{number}}": self._login_state,
            f"GET {_API}/security/public-key-certificates": self._keys,
            f"POST {_API}/sessions/online": self._open,
            f"POST {_API}/sessions/online/{{session}}/invoices": self._send,
            f"GET {_API}/sessions/{{session}}/invoices/{{number}}": self._state,
            f"GET {_API}/invoices/ksef/{{number}}": self._document,
        }

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the bearer token, which differs between logins and other requests."""
        is_login = request.path.startswith(f"{_API}/auth/")
        if request.bearer() != (self.login_token if is_login else self.access_token):
            problem = {"title": "Unauthorized", "status": 401, "detail": "Brak autoryzacji."}
            raise base.refusal(problem | {"timestamp": _TIME}, 401)

    def deliveries(self) -> Sequence[DeliveredDocument]:
        """Return the sent invoices, each with the buyer's tax number."""
        return [
            DeliveredDocument(
                recipient=_element_text(item.document, "Podmiot2", "DaneIdentyfikacyjne", "NIP"),
                document=item.document,
            )
            for item in self._sent.values()
        ]

    @property
    def sent_ids(self) -> list[str]:
        """The ids of the sent invoices, in order."""
        return [*self._sent]

    def arrive(self, document: bytes = FA3) -> str:
        """Make a document of another business arrive, and return its number."""
        number = self._new_number()
        self._received[number] = document
        return number

    def deliver(self, id_: str) -> None:
        """Check a waiting invoice, and assign a number unless it is a duplicate."""
        invoice = self._waiting_invoice(id_)
        identity = _identity(invoice.document)
        for other_invoice in self._sent.values():
            if (
                other_invoice is not invoice
                and other_invoice.ksef_number is not None
                and _identity(other_invoice.document) == identity
            ):
                invoice.code, invoice.original = 440, other_invoice.ksef_number
                return
        invoice.code, invoice.ksef_number = 200, self._new_number()
        self._received[invoice.ksef_number] = invoice.document

    def fail_check(self, id_: str, code: int) -> None:
        """End the check of a waiting invoice with an error code, such as 450."""
        self._waiting_invoice(id_).code = code

    def _waiting_invoice(self, id_: str) -> _SentInvoice:
        """Return an invoice that KSeF has not checked yet."""
        invoice = self._sent.get(id_)
        if invoice is None or invoice.code != _WAITING:
            raise InvalidData(
                f"No invoice {id_} waits for its check.",
                field="id_",
                remedy="Name an invoice that was sent and not checked yet.",
            )
        return invoice

    def _new_number(self) -> str:
        return f"{self.nip}-20310506-{self.number():06X}000000-00"

    def _reference(self, kind: str) -> str:
        return f"20310506-{kind}-{self.number():010X}-0000000000-00"

    def _challenge(self, _: base.SandboxRequest) -> Response:
        challenge = self._reference("CR")
        self._challenges.add(challenge)
        answer = {"challenge": challenge, "timestamp": _TIME, "timestampMs": _TIMESTAMP}
        return base.reply(answer | {"clientIp": "192.0.2.1"})

    def _login(self, request: base.SandboxRequest) -> Response:
        body = _checked_fields(_LOGIN, request)
        if body["challenge"] not in self._challenges:
            raise _refusal(21111, "Nieprawidłowe wyzwanie autoryzacyjne.")
        self._challenges.remove(body["challenge"])
        text = _decrypt("KsefTokenEncryption", body["encryptedToken"], body.get("publicKeyId"))
        context = {"type": "Nip", "value": self.nip}
        is_good = text == f"{self.token}|{_TIMESTAMP}".encode()
        number = self._reference("AU")
        self._logins[number] = is_good and body["contextIdentifier"] == context
        answer = {"token": self.login_token, "validUntil": _TIME}
        return base.reply({"referenceNumber": number, "authenticationToken": answer}, 202)

    def _login_state(self, _: base.SandboxRequest, *, number: str) -> Response:
        missing_error = _refusal(21304, "Brak uwierzytelnienia.")
        is_good = base.existing(self._logins, number, missing_error)
        status: dict[str, Any]
        if self.waits:
            self.waits -= 1
            status = {"code": 100, "description": "Uwierzytelnianie w toku"}
        elif is_good:
            if number not in self._redeemed:
                self._redeemed.add(number)
                self._redeemable.append(number)
            status = {"code": 200, "description": "Uwierzytelnianie zakończone sukcesem"}
        else:
            status = {
                "code": 450,
                "description": "Błędny token",
                "details": ["Nieprawidłowy token"],
            }
        method = {"category": "Token", "code": "token.ksef", "displayName": "Token KSeF"}
        return base.reply(
            {
                "startDate": _TIME,
                "authenticationMethod": "Token",
                "authenticationMethodInfo": method,
                "status": status,
            }
        )

    def _redeem(self, _: base.SandboxRequest) -> Response:
        if not self._redeemable:
            raise _refusal(21301, "Brak autoryzacji.")
        self._redeemable.pop(0)
        tokens = {"token": self.access_token, "validUntil": _TIME}
        return base.reply({"accessToken": tokens, "refreshToken": tokens})

    def _keys(self, _: base.SandboxRequest) -> Response:
        return base.reply([_certificate(use) for use in _USES])

    def _open(self, request: base.SandboxRequest) -> Response:
        body = _checked_fields(_OPENING, request)
        encryption = body["encryption"]
        key = _decrypt(
            "SymmetricKeyEncryption",
            encryption["encryptedSymmetricKey"],
            encryption.get("publicKeyId"),
        )
        vector = b64decode(encryption["initializationVector"])
        if body["formCode"] != _FA3 or (len(key), len(vector)) != (32, 16):
            raise _refusal(21405, "Błąd walidacji danych wejściowych.")
        session = self._reference("SO")
        self._sessions[session] = key, vector
        return base.reply({"referenceNumber": session, "validUntil": _TIME}, 201)

    def _send(self, request: base.SandboxRequest, *, session: str) -> Response:
        body = _checked_fields(_INVOICE, request)
        missing_error = _refusal(21173, "Brak sesji o wskazanym numerze referencyjnym.")
        key, vector = base.existing(self._sessions, session, missing_error)
        encrypted = b64decode(body["encryptedInvoiceContent"])
        decryptor = Cipher(AES256(key), CBC(vector)).decryptor()
        unpadder = PKCS7(128).unpadder()
        padded = decryptor.update(encrypted) + decryptor.finalize()
        document = unpadder.update(padded) + unpadder.finalize()
        sizes = (body["invoiceSize"], body["encryptedInvoiceSize"])
        if sizes != (len(document), len(encrypted)):
            raise _refusal(21402, "Nieprawidłowy rozmiar pliku.")
        digests = (body["invoiceHash"], body["encryptedInvoiceHash"])
        if digests != (_digest(document), _digest(encrypted)):
            raise _refusal(21403, "Nieprawidłowy skrót pliku.")
        number = self._reference("EE")
        self._sent[number] = _SentInvoice(session, document)
        return base.reply({"referenceNumber": number}, 202)

    def _state(self, _: base.SandboxRequest, *, session: str, number: str) -> Response:
        missing_error = _refusal(21173, "Brak sesji o wskazanym numerze referencyjnym.")
        invoice = base.existing(self._sent, number, missing_error)
        if invoice.session != session:
            raise missing_error
        status: dict[str, Any] = {"code": invoice.code, "description": f"Status {invoice.code}"}
        if invoice.original is not None:
            extensions = {"originalKsefNumber": invoice.original}
            status |= {"description": "Duplikat faktury", "extensions": extensions}
        answer = {
            "ordinalNumber": 1,
            "referenceNumber": number,
            "invoiceHash": _digest(invoice.document),
            "invoicingDate": _TIME,
            "invoicingMode": "Online",
            "status": status,
        }
        if invoice.ksef_number is not None:
            answer |= {"ksefNumber": invoice.ksef_number, "acquisitionDate": _TIME}
        return base.reply(answer)

    def _document(self, _: base.SandboxRequest, *, number: str) -> Response:
        missing_error = _refusal(21164, "Faktura o podanym identyfikatorze nie istnieje.")
        document = base.existing(self._received, number, missing_error)
        return Response(200, {"Content-Type": "application/xml"}, document)


def _checked_fields(fields: dict[str, Any], request: base.SandboxRequest) -> dict[str, Any]:
    body: dict[str, Any] = request.json()
    for _, name, problem in problems(fields, body):
        raise _refusal(21405, "Błąd walidacji danych wejściowych.", f"{name}: {problem}")
    return body


def _decrypt(use: str, text: str, key_id: str | None) -> bytes:
    """Decrypt content encrypted with the key for a usage.

    Raises:
        Refusal: the content was encrypted with another key.
    """
    if key_id not in {None, _certificate(use)["publicKeyId"]}:
        raise _refusal(21470, "Przesłany identyfikator klucza jest nieznany.")
    try:
        return _key(use).decrypt(b64decode(text), _PADDING)
    except ValueError:
        raise _refusal(21405, "Błąd walidacji danych wejściowych.") from None


def _element_text(document: bytes, *path: str) -> str:
    """Return the text of an element below the root; "" if there is none."""
    element = read_xml(document)
    for name in path:
        child = next(iter(element.all(name)), None)
        if child is None:
            return ""
        element = child
    return element.content


def _identity(document: bytes) -> tuple[str, str, str]:
    """Return an invoice's seller, kind and number, which must be unique together."""
    seller = _element_text(document, "Podmiot1", "DaneIdentyfikacyjne", "NIP")
    return (
        seller,
        _element_text(document, "Fa", "RodzajFaktury"),
        _element_text(document, "Fa", "P_2"),
    )


def _refusal(code: int, description: str, *details: str) -> base.Refusal:
    problem = {"code": code, "description": description, "details": list(details)}
    return base.refusal(
        {
            "title": "Bad Request",
            "status": 400,
            "instance": _API,
            "detail": "Żądanie jest nieprawidłowe.",
            "errors": [problem],
            "timestamp": _TIME,
            "traceId": "0" * 32,
        },
        400,
    )


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = KsefSandbox()
    options = {"credentials": sandbox.token, "nip": sandbox.nip}
    return SandboxFixture(sandbox=sandbox, options=options)


__all__ = ["KsefSandbox", "fixture"]
