"""A local sandbox that imitates a bank with the UK's Open Banking API, version 4.0.

The bank checks signed request objects and assertions, has two accounts, and sends two transactions
per page. An access token belongs to one consent, and a code works once. Payments are in a file of
their own.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from moorage.domain.http.requests import Response
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes import base
from moorage.testing.sandboxes._fields import problems, typed, words
from moorage.testing.sandboxes.bank._open_banking_uk_payments import BASE as PAYMENTS_BASE
from moorage.testing.sandboxes.bank._open_banking_uk_payments import PaymentInterface
from moorage.testing.sandboxes.bank.base import (
    BALANCES,
    IBANS,
    OWNER,
    PENDING,
    BankSandbox,
)
from moorage.testing.sandboxes.fixture import SandboxFixture

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HOST: Final = "ob.bank.example"
BASE: Final = "/open-banking/v4.0/aisp"
ISSUER: Final = f"https://{HOST}"
AUTHORIZE: Final = "https://www.bank.example/authorize"
TOKENS: Final = f"https://{HOST}/token"
_UUID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DATE_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\+00:00)?")
_PAGE: Final = 2
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_OPEN: Final = "openid accounts"
_PAYING: Final = "openid payments"
_FLOW: Final = "code id_token"
_PERMISSIONS: Final = words(
    "ReadAccountsDetail ReadBalances ReadTransactionsCredits ReadTransactionsDebits"
    " ReadTransactionsDetail"
)
CONSENT: Final[Mapping[str, Any]] = {
    "Data!": {
        "Permissions!": [
            _PERMISSIONS | {"ReadAccountsBasic", "ReadTransactionsBasic", "ReadParty", "ReadPAN"}
        ],
        **typed(str, "ExpirationDateTime TransactionFromDateTime TransactionToDateTime"),
    },
    "Risk!": {},
}
"""The fields of a consent."""
_TYPES: Final = {"closingBooked": "CLBD", "interimAvailable": "ITAV"}
_ENDED: Final = {"EXPD": "TKXP", "CANC": "TKSP", "RJCT": "U009"}


@cache
def key_pair() -> rsa.RSAPrivateKey:
    """Return the application's key pair, shared by all sandboxes to save time."""
    return rsa.generate_private_key(65_537, 2_048)


class _Tokens(base.Sandbox):
    """The bank's authorization server: codes, access tokens and refresh tokens."""

    def __init__(self, bank: OpenBankingUkSandbox) -> None:
        super().__init__()
        self.bank = bank
        self.codes: dict[str, tuple[str, Mapping[str, Any]]] = {}
        self.consents_of_tokens: dict[str, str] = {}
        self.refresh_tokens: dict[str, str] = {}
        self.client_tokens: dict[str, str] = {}
        self._assertions: set[str] = set()

    def routes(self) -> base.Routes:
        """The route of the endpoint."""
        return {"POST /token": self._grant}

    def _grant(self, request: base.SandboxRequest) -> Response:
        form = dict(request.form)
        self._check_client(form)
        kind = form.pop("grant_type", None)
        if kind == "client_credentials":
            if form.keys() != {"scope"} or form["scope"] not in {"accounts", "payments"}:
                raise _oauth_error("invalid_scope")
            token = f"sandbox-client-token-{self.number():04d}"
            self.client_tokens[token] = form["scope"]
            return _token_reply(token)
        if kind == "authorization_code":
            return self._exchange(form)
        if kind == "refresh_token":
            consent = self.refresh_tokens.get(form.get("refresh_token", ""))
            if consent is None or self.bank.consents[consent]["Status"] != "AUTH":
                raise _oauth_error("invalid_grant")
            return _token_reply(self._token_of(consent), expires_in=self.bank.lifetime)
        raise _oauth_error("unsupported_grant_type")

    def _check_client(self, form: dict[str, str]) -> None:
        if form.pop("client_id", None) != self.bank.client_id:
            raise _oauth_error("invalid_client", 401)
        if self.bank.by_certificate:
            if "client_assertion" in form:
                raise _oauth_error("invalid_client", 401)
            return
        if form.pop("client_assertion_type", None) != _ASSERTION:
            raise _oauth_error("invalid_client", 401)
        claims = self.bank.claims_of(form.pop("client_assertion", ""))
        ids = claims.get("iss"), claims.get("sub"), claims.get("aud")
        is_fresh = claims.get("jti") not in self._assertions and _is_current(claims)
        if ids != (self.bank.client_id, self.bank.client_id, TOKENS) or not is_fresh:
            raise _oauth_error("invalid_client", 401)
        self._assertions.add(str(claims["jti"]))

    def _exchange(self, form: Mapping[str, str]) -> Response:
        consent, request = self.codes.pop(form.get("code", ""), ("", {}))
        digest = sha256(form.get("code_verifier", "").encode()).digest()
        if (
            form.keys() != {"code", "redirect_uri", "code_verifier"}
            or request.get("redirect_uri") != form["redirect_uri"]
            or request.get("code_challenge") != _encode(digest)
        ):
            raise _oauth_error("invalid_grant")
        scope = request["scope"]
        fields = {"scope": scope}
        if scope == _OPEN:
            fields["refresh_token"] = f"sandbox-refresh-token-{self.number():04d}"
            self.refresh_tokens[fields["refresh_token"]] = consent
        now = int(datetime.now(UTC).timestamp())
        claims = {
            "iss": ISSUER,
            "sub": consent,
            "aud": self.bank.client_id,
            "exp": now + 300,
            "iat": now,
            "nonce": request["nonce"],
            "openbanking_intent_id": consent,
        }
        parts = (_encode(encode_json(part)) for part in ({"alg": "PS256"}, claims))
        return _token_reply(
            self._token_of(consent),
            expires_in=self.bank.lifetime,
            **fields,
            id_token=".".join((*parts, _encode(b"not checked by clients"))),
        )

    def _token_of(self, consent: str) -> str:
        token = f"sandbox-owner-token-{self.number():04d}"
        self.consents_of_tokens[token] = consent
        return token


class OpenBankingUkSandbox(BankSandbox):
    """A sandbox of a UK bank, with consents, an authorization server and two accounts.

    Attributes:
        client_id: id of the application.
        by_certificate: True if the application authenticates by a TLS certificate, which the
            sandbox cannot see, instead of a signed assertion.
        consents: the consents, by id.
        tokens: the authorization server.
        payment_interface: the consents to payments, and the payments.
        lifetime: seconds for which an owner's access token is valid.
    """

    hosts = (HOST,)
    key_id = "sandbox-key-1"

    client_id: str = "erp-at-the-bank"
    by_certificate: bool = False
    lifetime: int = 3_600
    consents: dict[str, dict[str, Any]] = base.state_field(dict)

    def __attrs_post_init__(self) -> None:
        self.tokens = _Tokens(self)
        self.payment_interface = PaymentInterface(self, _error)
        self.mounts = {"/token": self.tokens}
        self._accounts = {f"{22289 + number}": iban for number, iban in enumerate(IBANS)}

    @property
    def private_key(self) -> str:
        """The application's private key in PEM."""
        pem = key_pair().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return pem.decode()

    def routes(self) -> base.Routes:
        """The sandbox's routes, by method and path."""
        consents, account = f"{BASE}/account-access-consents", f"{BASE}/accounts/{{id_}}"
        return {
            f"POST {consents}": self._start,
            f"GET {consents}/{{id_}}": self._consent,
            f"DELETE {consents}/{{id_}}": self._delete,
            f"GET {BASE}/accounts": self._list,
            f"GET {account}/balances": self._balances,
            f"GET {account}/transactions": self._transactions,
            **self.payment_interface.routes(),
        }

    def unknown(self, request: base.SandboxRequest) -> Response:  # noqa: ARG002 - as the base has it
        """Return the response for an unknown path."""
        return Response(404)

    def check_access(self, request: base.SandboxRequest) -> None:
        """Check the token of the application or of an owner, and the id of the request."""
        token = request.bearer() or ""
        is_payment = request.path.startswith(PAYMENTS_BASE)
        if is_payment and self.payment_interface.needs_owner(request):
            if self.tokens.consents_of_tokens.get(token) not in self.payment_interface.consents:
                raise base.Refusal(Response(401))
        elif is_payment or "/account-access-consents" in request.path:
            scope = "payments" if is_payment else "accounts"
            held_scope = self.tokens.client_tokens.get(token)
            if held_scope != scope:
                raise base.Refusal(Response(401 if held_scope is None else 403))
        else:
            consent = self.tokens.consents_of_tokens.get(token)
            if consent is None or consent not in self.consents:
                raise base.Refusal(Response(401))
            status = self.consents[consent]["Status"]
            if status != "AUTH":
                raise _error(401, _ENDED[status], "The consent has ended.")
        if _UUID.fullmatch(request.headers.get("x-fapi-interaction-id", "")) is None:
            raise _error(400, "U006", "The header is not a UUID.", "x-fapi-interaction-id")

    def grant(self, consent: str) -> None:
        """Authorise a consent to account access or to a payment."""
        self._consent_of_any_kind(consent)["Status"] = "AUTH"

    def refuse(self, consent: str) -> None:
        """Reject a consent to account access or to a payment."""
        self._consent_of_any_kind(consent)["Status"] = "RJCT"

    def _consent_of_any_kind(self, consent: str) -> dict[str, Any]:
        return {**self.consents, **self.payment_interface.consents}[consent]

    def expire(self, consent: str) -> None:
        """End a consent."""
        self.consents[consent]["Status"] = "EXPD"

    def consent_count(self) -> int:
        """Return the number of consents."""
        return len(self.consents)

    def approve(self, payment: str) -> None:
        """Authorise the consent to a payment."""
        self.grant(payment)

    def payment_count(self) -> int:
        """Return the number of consents to payments."""
        return len(self.payment_interface.consents)

    def submitted_count(self) -> int:
        """Return the number of payments."""
        return len(self.payment_interface.payments)

    def set_payment(self, payment: str, status: str) -> None:
        """Set the status of the payment with an id to an ISO 20022 code."""
        self.payment_interface.payments[payment]["Status"] = status

    def returned_url(self, link: str) -> str:
        """Return the URL to which an owner returns from a link, with a code if they agreed.

        Raises:
            AssertionError: the link has no valid request object.
        """
        url = urlsplit(link)
        query = dict(parse_qsl(url.query))
        claims = self.claims_of(query.pop("request", ""))
        consent = claims.get("claims", {}).get("id_token", {}).get("openbanking_intent_id", {})
        is_valid = (
            link.startswith(f"{AUTHORIZE}?")
            and (claims.get("iss"), claims.get("aud")) == (self.client_id, ISSUER)
            and query == {name: claims.get(name) for name in query}
            and query.keys() >= {"client_id", "response_type", "scope"}
            and claims.get("response_type") == _FLOW
            and claims.get("code_challenge_method") == "S256"
            and {"nonce", "state", "redirect_uri", "nbf"} <= claims.keys()
            and claims["exp"] - claims["nbf"] <= 3_600
            and _is_current(claims)
            and consent.get("value")
            in {_OPEN: self.consents, _PAYING: self.payment_interface.consents}.get(
                claims.get("scope", ""), {}
            )
        )
        if not is_valid:
            raise AssertionError("The link has no valid request object.")
        fields = {"error": "access_denied"}
        if self._consent_of_any_kind(consent["value"])["Status"] == "AUTH":
            code = f"sandbox-code-{self.number():04d}"
            self.tokens.codes[code] = consent["value"], claims
            fields = {"code": code, "id_token": "a.b.c"}
        return f"{claims['redirect_uri']}#{urlencode({**fields, 'state': claims['state']})}"

    def claims_of(self, token: str) -> dict[str, Any]:
        """Return a token's claims, or no claims if the application has not signed the token."""
        text, _, signature = token.rpartition(".")
        try:
            head, claims = (json.loads(_decode(part)) for part in text.split("."))
            is_signed = self.is_signed(text, signature)
        except ValueError:
            return {}
        is_known = (head.get("alg"), head.get("kid")) == ("PS256", self.key_id)
        return dict(claims) if is_known and is_signed else {}

    def is_signed(self, text: str, signature: str) -> bool:
        """Return whether the application has signed a text, with PS256.

        Raises:
            ValueError: the signature is not in Base64.
        """
        padding = PSS(MGF1(SHA256()), PSS.DIGEST_LENGTH)
        public_key = key_pair().public_key()
        try:
            public_key.verify(_decode(signature), text.encode(), padding, SHA256())
        except InvalidSignature:
            return False
        return True

    def _start(self, request: base.SandboxRequest) -> Response:
        body: dict[str, Any] = request.json()
        for location, name, kind in problems(CONSENT, body):
            code = {"missing": "U004", "extraneous": "U005"}.get(kind, "U002")
            raise _error(400, code, kind, f"{location[2:].replace('/', '.')}.{name}")
        data = body["Data"]
        if not set(data["Permissions"]) >= {"ReadTransactionsDetail", "ReadTransactionsCredits"}:
            raise _error(400, "U002", "The permissions are incomplete.", "Data.Permissions")
        end = data.get("ExpirationDateTime", "9999-12-31T00:00:00+00:00")
        if _DATE_TIME.fullmatch(end) is None or end < _now():
            raise _error(400, "U003", "The time is in the past.", "Data.ExpirationDateTime")
        id_ = f"urn-bank-intent-{self.number():05d}"
        times = {"CreationDateTime": _now(), "StatusUpdateDateTime": _now()}
        self.consents[id_] = {"ConsentId": id_, "Status": "AWAU", **times, **data}
        return self._reply(self.consents[id_], f"/account-access-consents/{id_}", 201)

    def _consent(self, _: base.SandboxRequest, id_: str) -> Response:
        consent = base.existing(self.consents, id_, _error(400, "U011", "No such consent."))
        return self._reply(consent, f"/account-access-consents/{id_}")

    def _delete(self, _: base.SandboxRequest, id_: str) -> Response:
        base.existing(self.consents, id_, _error(400, "U011", "No such consent."))
        del self.consents[id_]
        return Response(204)

    def _list(self, _: base.SandboxRequest) -> Response:
        accounts = [
            {
                "AccountId": id_,
                "Status": "Enabled",
                "StatusUpdateDateTime": "2031-01-01T06:06:06+00:00",
                "Currency": "EUR",
                "AccountCategory": "Business",
                "AccountTypeCode": "CACC",
                "Nickname": "Main Account",
                "Account": [
                    {
                        "SchemeName": "UK.OBIE.SortCodeAccountNumber",
                        "Identification": f"8020011020{number:04d}",
                        "Name": OWNER,
                    },
                    {"SchemeName": "UK.OBIE.IBAN", "Identification": iban, "Name": OWNER},
                ],
            }
            for number, (id_, iban) in enumerate(self._accounts.items())
        ]
        return self._reply({"Account": accounts}, "/accounts", pages=1)

    def _balances(self, _: base.SandboxRequest, id_: str) -> Response:
        base.existing(self._accounts, id_, _error(403, "AG08", "No access."))
        balances = [
            {
                "AccountId": id_,
                **_signed(item["balanceAmount"]),
                "Type": _TYPES[item["balanceType"]],
                "DateTime": item.get("lastChangeDateTime")
                or f"{item['referenceDate']}T00:00:00+00:00",
                **(
                    {"CreditLine": [{"Included": item["creditLimitIncluded"]}]}
                    if "creditLimitIncluded" in item
                    else {}
                ),
            }
            for item in BALANCES
        ]
        return self._reply({"Balance": balances}, f"/accounts/{id_}/balances", pages=1)

    def _transactions(self, request: base.SandboxRequest, id_: str) -> Response:
        base.existing(self._accounts, id_, _error(403, "AG08", "No access."))
        query = dict(request.query)
        since, until = (query.get(f"{name}BookingDateTime") for name in ("from", "to"))
        if since is None or not all(map(_DATE_TIME.fullmatch, filter(None, (since, until)))):
            raise _error(400, "U003", "The period is wrong.")
        is_first = id_ == next(iter(self._accounts))
        booked = [_transaction(id_, item, number) for number, item in self.numbered()]
        pending = [_transaction(id_, item, 90, status="PDNG") for item in PENDING]
        items = [
            item
            for item in (*pending, *booked)
            if is_first and since[:10] <= item["BookingDateTime"][:10] <= (until or "9")[:10]
        ]
        ids, path = [item["TransactionId"] for item in items], f"/accounts/{id_}/transactions"
        # A page names the last transaction before it, so that a new one moves no other.
        start = ids.index(query["pg"]) + 1 if "pg" in query else 0
        part = items[start : start + _PAGE]
        links: dict[str, str] = {}
        if start + _PAGE < len(items):
            text = urlencode({**query, "pg": part[-1]["TransactionId"]})
            links["Next"] = f"https://{HOST}{BASE}{path}?{text}"
        return self._reply({"Transaction": part}, path, links=links)

    def _reply(
        self,
        data: Mapping[str, Any],
        path: str,
        status: int = 200,
        *,
        links: Mapping[str, str] | None = None,
        pages: int | None = None,
    ) -> Response:
        risk: dict[str, Any] = {"Risk": {}} if "ConsentId" in data else {}
        self_link = {"Self": f"https://{HOST}{BASE}{path}"}
        meta = {} if pages is None else {"TotalPages": pages}
        body = {"Data": data, **risk, "Links": {**self_link, **(links or {})}, "Meta": meta}
        return base.reply(body, status)


def _transaction(
    account: str, item: Mapping[str, Any], number: int, *, status: str = "BOOK"
) -> dict[str, Any]:
    day = item.get("bookingDate", item["valueDate"])
    shown: dict[str, Any] = {
        "AccountId": account,
        "TransactionId": f"T{number}",
        **_signed(item["transactionAmount"]),
        "Status": status,
        "BookingDateTime": f"{day}T00:00:00+00:00",
        "ValueDateTime": f"{item['valueDate']}T00:00:00+00:00",
        "TransactionInformation": item["remittanceInformationUnstructured"],
    }
    if "proprietaryBankTransactionCode" in item:
        code = item["proprietaryBankTransactionCode"]
        shown["ProprietaryBankTransactionCode"] = {"Code": code, "Issuer": "Bank"}
    for role in ("creditor", "debtor"):
        name = role.capitalize()
        number_of_account = item.get(f"{role}Account", {}).get("iban")
        fields = {
            "SchemeName": number_of_account and "UK.OBIE.IBAN",
            "Identification": number_of_account,
            "Name": item.get(f"{role}Name"),
        }
        shown_fields = {key: value for key, value in fields.items() if value is not None}
        if shown_fields:
            shown[f"{name}Account"] = shown_fields
        if f"{role}Agent" in item:
            bic = item[f"{role}Agent"]
            shown[f"{name}Agent"] = {"SchemeName": "UK.OBIE.BICFI", "Identification": bic}
        if f"ultimate{name}" in item:
            shown[f"Ultimate{name}"] = {"Name": item[f"ultimate{name}"]}
    return shown


def _signed(amount: Mapping[str, str]) -> dict[str, Any]:
    text = amount["amount"]
    return {
        "Amount": {"Amount": text.lstrip("-"), "Currency": amount["currency"]},
        "CreditDebitIndicator": "Debit" if text.startswith("-") else "Credit",
    }


def _token_reply(token: str, *, expires_in: int = 3_600, **fields: str) -> Response:
    kind = {"token_type": "Bearer", "expires_in": expires_in}
    return base.reply({"access_token": token, **kind, **fields})


def _is_current(claims: Mapping[str, Any]) -> bool:
    now = datetime.now(UTC).timestamp()
    start, end = float(claims.get("iat", now + 9)), float(claims.get("exp", 0))
    return start <= now + 5 and now < end


def _encode(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")


def _oauth_error(code: str, status: int = 400) -> base.Refusal:
    return base.refusal({"error": code}, status)


def _error(status: int, code: str, message: str, path: str | None = None) -> base.Refusal:
    error = {"ErrorCode": code, "Message": message, **({"Path": path} if path else {})}
    return base.refusal({"Id": "2b5f0fb2-730b-11e8-adc0-fa7ae01bbebc", "Errors": [error]}, status)


def options_of(sandbox: OpenBankingUkSandbox) -> dict[str, str]:
    """Return the options of an account at a sandbox."""
    return {
        "base_url": f"https://{HOST}{BASE}",
        "issuer": ISSUER,
        "authorize_url": AUTHORIZE,
        "token_url": TOKENS,
        "client_id": sandbox.client_id,
        "signing_key": sandbox.private_key,
        "key_id": sandbox.key_id,
        "signer": sandbox.payment_interface.signer,
    }


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account that works for all example calls."""
    sandbox = OpenBankingUkSandbox()
    return SandboxFixture(sandbox=sandbox, options=options_of(sandbox))
