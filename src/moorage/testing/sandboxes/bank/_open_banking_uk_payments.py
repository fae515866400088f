"""The payment interface of the sandbox of a UK bank, version 4.0.

The bank checks the signature of each body, and remembers idempotency keys for a day. A consent
gives one payment, with exactly its own details.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.values.money import EXPONENTS
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed, words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.bank.open_banking_uk import OpenBankingUkSandbox

BASE: Final = "/open-banking/v4.0/pisp"
CONSENTS: Final = f"{BASE}/domestic-payment-consents"
PAYMENTS: Final = f"{BASE}/domestic-payments"
_AMOUNT: Final = re.compile(r"\d{1,13}(\.\d{1,5})?")
_LONGEST_KEY: Final = 40
_CLAIM: Final = "http://openbanking.org.uk/"
_CLAIMS: Final = [f"{_CLAIM}{name}" for name in ("iat", "iss", "tan")]
_ACCOUNT: Final = {
    "SchemeName!": words("UK.OBIE.SortCodeAccountNumber UK.OBIE.IBAN"),
    **typed(str, "Identification! Name"),
}
_INITIATION: Final[Mapping[str, Any]] = {
    **typed(str, "InstructionIdentification! EndToEndIdentification!"),
    "LocalInstrument": words(
        "UK.OBIE.BACS UK.OBIE.CHAPS UK.OBIE.FPS UK.OBIE.SEPACreditTransfer"
        " UK.OBIE.SEPAInstantCreditTransfer"
    ),
    "InstructedAmount!": typed(str, "Amount! Currency!"),
    "DebtorAccount": _ACCOUNT,
    "CreditorAgent": {"SchemeName": words("UK.OBIE.BICFI"), "Identification": str},
    "CreditorAccount!": {**_ACCOUNT, "Name!": str},
    "CreditorPostalAddress": {
        **typed(str, "StreetName BuildingNumber PostCode TownName Country"),
        "AddressLine": [str],
    },
    "RemittanceInformation": {
        "Structured": [{"CreditorReferenceInformation": {"Reference": str}}],
        "Unstructured": [str],
    },
}
_RISK: Final = {"PaymentContextCode": str, "ContractPresentIndicator": bool}
CONSENT: Final[Mapping[str, Any]] = {"Data!": {"Initiation!": _INITIATION}, "Risk!": _RISK}
"""The fields of a consent to a payment."""
PAYMENT: Final[Mapping[str, Any]] = {
    "Data!": {"ConsentId!": str, "Initiation!": _INITIATION},
    "Risk!": _RISK,
}
"""The fields of a payment."""


@attrs.frozen
class _RememberedKey:
    """A used idempotency key: its first request's time and body, and the created object's id."""

    at: datetime
    body: bytes
    id: str


class PaymentInterface:
    """The payments at a bank.

    Args:
        bank: the bank, with its authorization server.
        refuse: makes the refusal of a status, a code, a message and a path.

    Attributes:
        consents: the consents to payments, by id, each with its risk.
        payments: the payments, by id.
        remembered: time for which the bank remembers idempotency keys.
        funds: True if the account has enough money; None if the bank does not know.
        signer, anchor: the signer of bodies, and the directory with its key.
    """

    def __init__(self, bank: OpenBankingUkSandbox, refuse: Callable[..., base.Refusal]) -> None:
        self.consents: dict[str, dict[str, Any]] = {}
        self.payments: dict[str, dict[str, Any]] = {}
        self.remembered = timedelta(days=1)
        self.funds: bool | None = True
        self.signer, self.anchor = "erp-organisation/erp-software", "openbanking.org.uk"
        self._bank, self._refuse = bank, refuse
        self._risks: dict[str, Any] = {}
        self._keys: dict[tuple[str, str], _RememberedKey] = {}

    def routes(self) -> base.Routes:
        """The routes, by method and path."""
        return {
            f"POST {CONSENTS}": self._start,
            f"GET {CONSENTS}/{{id_}}": self._consent,
            f"GET {CONSENTS}/{{id_}}/funds-confirmation": self._funds,
            f"POST {PAYMENTS}": self._pay,
            f"GET {PAYMENTS}/{{id_}}": self._payment,
        }

    def needs_owner(self, request: base.SandboxRequest) -> bool:
        """Return whether a request needs the token of a payment's owner."""
        is_payment = request.method == "POST" and request.path == PAYMENTS
        return is_payment or request.path.endswith("/funds-confirmation")

    def _start(self, request: base.SandboxRequest) -> Response:
        body = self._checked_body(request, CONSENT)
        return self._create_once(request, self.consents, lambda: self._new_consent(body))

    def _new_consent(self, body: dict[str, Any]) -> str:
        id_ = f"urn-bank-payment-intent-{self._bank.number():05d}"
        initiation = body["Data"]["Initiation"]
        fields = {"ConsentId": id_, "Status": "AWAU", **_times()}
        self.consents[id_] = {**fields, "Initiation": initiation}
        self._risks[id_] = body["Risk"]
        return id_

    def _consent(self, _: base.SandboxRequest, id_: str) -> Response:
        base.existing(self.consents, id_, self._refuse(400, "U011", "No such consent."))
        return self._object_reply(self.consents, id_)

    def _funds(self, request: base.SandboxRequest, id_: str) -> Response:
        self._check_owner(request, id_)
        if self.consents[id_]["Status"] != "AUTH":
            raise self._refuse(400, "U009", "The consent is not authorised.")
        result = {"FundsAvailableDateTime": _now(), "FundsAvailable": self.funds}
        data = {} if self.funds is None else {"FundsAvailableResult": result}
        return _answer(data, f"{CONSENTS}/{id_}/funds-confirmation")

    def _pay(self, request: base.SandboxRequest) -> Response:
        body = self._checked_body(request, PAYMENT)
        self._check_owner(request, body["Data"]["ConsentId"])
        return self._create_once(request, self.payments, lambda: self._new_payment(body))

    def _new_payment(self, body: dict[str, Any]) -> str:
        consent_id, initiation = body["Data"]["ConsentId"], body["Data"]["Initiation"]
        consent = self.consents[consent_id]
        if (initiation, body["Risk"]) != (consent["Initiation"], self._risks[consent_id]):
            raise self._refuse(400, "U008", "The payment differs from its consent.")
        if consent["Status"] != "AUTH":
            raise self._refuse(400, "U009", "The consent is not authorised.")
        consent["Status"] = "COND"
        id_ = f"{self._bank.number():012d}"
        fields = {"DomesticPaymentId": id_, "ConsentId": consent_id, "Status": "RCVD"}
        self.payments[id_] = {**fields, **_times(), "Initiation": initiation}
        return id_

    def _payment(self, _: base.SandboxRequest, id_: str) -> Response:
        base.existing(self.payments, id_, self._refuse(400, "U011", "No such payment."))
        return self._object_reply(self.payments, id_)

    def _object_reply(
        self, records: Mapping[str, dict[str, Any]], id_: str, status: int = 200
    ) -> Response:
        is_consent = records is self.consents
        path = f"{CONSENTS if is_consent else PAYMENTS}/{id_}"
        risk = {"Risk": self._risks[id_]} if is_consent else {}
        return _answer(records[id_], path, status, **risk)

    def _create_once(
        self,
        request: base.SandboxRequest,
        records: Mapping[str, dict[str, Any]],
        create: Callable[[], str],
    ) -> Response:
        """Create an object once per idempotency key, and return its current state."""
        name = request.path, request.headers.get("x-idempotency-key", "")
        earlier = self._keys.get(name)
        if earlier is None or datetime.now(UTC) >= earlier.at + self.remembered:
            earlier = self._keys[name] = _RememberedKey(datetime.now(UTC), request.body, create())
        elif earlier.body != request.body:
            raise self._refuse(
                400, "U006", "The idempotency key was used with another body.", "x-idempotency-key"
            )
        return self._object_reply(records, earlier.id, 201)

    def _check_owner(self, request: base.SandboxRequest, consent: str) -> None:
        token = request.bearer() or ""
        if self._bank.tokens.consents_of_tokens.get(token) != consent:
            raise self._refuse(403, "U011", "The token belongs to another consent.")

    def _checked_body(
        self, request: base.SandboxRequest, shape: Mapping[str, Any]
    ) -> dict[str, Any]:
        key = request.headers.get("x-idempotency-key", "")
        if not 0 < len(key) <= _LONGEST_KEY:
            code = "U006" if key else "U007"
            raise self._refuse(400, code, "The idempotency key is not valid.", "x-idempotency-key")
        self._check_signature(request)
        body: dict[str, Any] = request.json()
        for location, name, kind in problems(shape, body):
            code = {"missing": "U004", "extraneous": "U005"}.get(kind, "U002")
            raise self._refuse(400, code, kind, f"{location[2:].replace('/', '.')}.{name}")
        amount = body["Data"]["Initiation"]["InstructedAmount"]
        is_amount = _AMOUNT.fullmatch(amount["Amount"]) is not None
        if not is_amount or not amount["Amount"].strip("0."):
            raise self._refuse(400, "U002", "The amount is not valid.", "InstructedAmount.Amount")
        if amount["Currency"] not in EXPONENTS:
            path = "InstructedAmount.Currency"
            raise self._refuse(400, "U002", "The currency is not valid.", path)
        return body

    def _check_signature(self, request: base.SandboxRequest) -> None:
        signature = request.headers.get("x-jws-signature")
        if signature is None:
            raise self._refuse(400, "U019", "The body is not signed.")
        header, _, signature_part = signature.partition("..")
        content = urlsafe_b64encode(request.body).rstrip(b"=").decode()
        try:
            claims = json.loads(_decoded(header))
            is_signed = self._bank.is_signed(f"{header}.{content}", signature_part)
        except ValueError:
            raise self._refuse(400, "U018", "The signature cannot be read.") from None
        if not {"alg", "kid", "crit", *_CLAIMS} <= claims.keys():
            raise self._refuse(400, "U017", "A claim is missing.")
        values = claims["alg"], claims["kid"], claims["crit"], *(claims[n] for n in _CLAIMS[1:])
        expected = "PS256", self._bank.key_id, _CLAIMS, self.signer, self.anchor
        is_past = claims[_CLAIMS[0]] <= datetime.now(UTC).timestamp()
        if values != expected or not is_past:
            raise self._refuse(400, "U016", "A claim is wrong.")
        if not is_signed:
            raise self._refuse(400, "U015", "The signature is wrong.")


def _answer(data: Mapping[str, Any], path: str, status: int = 200, **parts: Any) -> Response:
    links = {"Self": f"https://ob.bank.example{path}"}
    return base.reply({"Data": data, **parts, "Links": links, "Meta": {}}, status)


def _times() -> dict[str, str]:
    return {"CreationDateTime": _now(), "StatusUpdateDateTime": _now()}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
