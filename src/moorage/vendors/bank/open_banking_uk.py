"""A bank with the UK's Open Banking Read/Write API, version 4.0 or 3.1: accounts and payments.

The owner consents on a page of the bank, and returns with a code in the fragment of the URL (the
hybrid flow of FAPI 1.0 Advanced). The bank issues an access token and a refresh token for each
consent; moorage keeps them in the credential store under the consent's reference. A consent to read
accounts has no idempotency key: a request that may have created one is not sent again. A consent to
a payment, and the payment itself, have keys that the bank remembers for a day.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar, Final
from urllib.parse import parse_qsl, quote, urlsplit

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.bank import (
    BankAccount,
    BankCapability,
    BankConsent,
    BankPayment,
    BankPaymentStatus,
    ConsentStatus,
)
from moorage.vendors.bank._consent_refs import consent_of, page_of
from moorage.vendors.bank._open_banking_uk_access import (
    OWNER,
    OWNER_SCOPE,
    PAYER,
    PAYER_SCOPE,
    PAYMENTS,
    UkBankAccess,
    tokens_of,
)
from moorage.vendors.bank._open_banking_uk_answers import (
    read_accounts,
    read_balances,
    read_consent,
    read_page,
)
from moorage.vendors.bank._open_banking_uk_errors import GONE_CODES
from moorage.vendors.bank._open_banking_uk_payments import (
    CONSUMED,
    check_funds_of,
    payment_body,
    payment_consent_body,
    read_initiation,
    read_payment,
)
from moorage.vendors.bank._psd2 import quoted_path_step, stable_uuid

if TYPE_CHECKING:
    from moorage.contracts.bank import (
        ConsentRequest,
        CurrentBalance,
        PaymentOrder,
        TransactionPage,
        TransactionQuery,
    )
    from moorage.vendor_sdk import Ref, Response, Wire

_PERMISSIONS: Final = (
    "ReadAccountsDetail",
    "ReadBalances",
    "ReadTransactionsCredits",
    "ReadTransactionsDebits",
    "ReadTransactionsDetail",
)
_CONSENTS: Final = "/account-access-consents"
_USUAL_DAYS: Final = 90
_PAYMENT_CONSENTS: Final = "/domestic-payment-consents"
_DOMESTIC_PAYMENTS: Final = "/domestic-payments"


@attrs.frozen(kw_only=True)
class OpenBankingUk(UkBankAccess):
    """An access to the accounts at a bank with the UK's Open Banking API, and to payments there.

    Attributes:
        base_url: URL of the bank's account interface, such as
            https://api.bank.example/open-banking/v4.0/aisp.
        issuer: the bank's authorization server, as its metadata name it.
        authorize_url: URL of the page to which owners are sent.
        token_url: URL of the token endpoint.
        client_id: id under which the application is registered at the bank.
        signing_key: private key in PEM that signs authorization requests, and the assertions of
            the application at the token endpoint.
        key_id: id of the key.
        algorithm: algorithm of the signatures, for an RSA key "PS256", and for a P-256 key "ES256".
        authentication: the way in which the application authenticates at the token endpoint; with
            "tls_client_auth", by the client certificate of the HTTP client alone.
        payments_url: URL of the bank's payment interface; by default `base_url` with "pisp" in
            place of "aisp".
        signer: application that signs payments, as the trust anchor names it; in the Open Banking
            directory, the ids of the organisation and of the software statement with a slash
            between them.
        trust_anchor: domain of the directory that has the public key of the application.
        confirm_funds: True to ask the bank before each payment whether the account has enough
            money, and to submit no payment for which it has not.
    """

    name: ClassVar[str] = "open_banking_uk"
    kinds: ClassVar[tuple[str, ...]] = ("bank",)
    api_version: ClassVar[str | None] = "4.0"
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {
            BankCapability.PENDING,
            BankCapability.PAY,
            BankCapability.INSTANT,
            BankCapability.STERLING,
        }
    )

    async def start_consent(
        self, wire: Wire, request: ConsentRequest, /, *, key: str | None
    ) -> BankConsent:
        """Create a consent, and the link to the bank's page with a signed request object."""
        wire.require_consent_store()
        until = (wire.now() + timedelta(days=request.days)).date()
        data = {
            "Permissions": list(_PERMISSIONS),
            "ExpirationDateTime": f"{until.isoformat()}T23:59:59+00:00",
        }
        body = sdk.merged({"Data": data, "Risk": {}}, sdk.extra_for(self.name, request.extra))
        unique_text = wire.new_id() if key is None else f"{wire.tenant or ''}\n{key}"
        headers = _request_headers(stable_uuid(unique_text), request.ip_address)

        def read(response: Response) -> BankConsent:
            id_ = sdk.read_answer(response).text("Data.ConsentId")
            ref = wire.ref(sdk.required(id_, response, "Data.ConsentId"))
            return read_consent(ref, response, wire.now())

        consent = await wire.send(
            sdk.Request.post(_CONSENTS, json=body, headers=headers), key=key, parse=read
        )

        id_ = consent.ref.id
        link = await self.link(
            wire, OWNER_SCOPE, id_, id_, request.return_url, language=request.language
        )
        return attrs.evolve(consent, link=link)

    async def finish_consent(self, wire: Wire, ref: Ref, returned_url: str, /) -> BankConsent:
        """Exchange the code for the tokens of the consent; get the state if the owner refused."""
        try:
            await tokens_of(self, OWNER_SCOPE).finish(wire, ref.id, returned_url)
        except sdk.ConsentRequired:
            consent = await self.get_consent(wire, ref)
            if consent.status is ConsentStatus.PENDING:
                raise
            return consent
        return await self.get_consent(wire, ref)

    async def get_consent(self, wire: Wire, ref: Ref, /) -> BankConsent:
        """Get the state of a consent, which is pending until it is finished."""
        stored = await wire.consent_credentials(ref.id)
        if isinstance(stored, sdk.Credentials) and stored.secret is None:
            return BankConsent(ref=ref, status=ConsentStatus.REVOKED)
        request = sdk.Request.get(_consent_path(ref), headers=_headers(wire))
        consent = read_consent(ref, await wire.send(request), wire.now())
        is_finished = isinstance(stored, sdk.OAuthCredentials)
        if consent.status is ConsentStatus.GRANTED and not is_finished:
            return attrs.evolve(consent, status=ConsentStatus.PENDING)
        return consent

    async def revoke_consent(self, wire: Wire, ref: Ref, /) -> BankConsent:
        """Delete a consent at the bank, and its tokens."""
        wire.require_consent_store()
        request = sdk.Request.delete(_consent_path(ref), headers=_headers(wire))
        try:
            await wire.send(request, parse=sdk.check_done)
        except sdk.ConsentRequired as refusal:
            if refusal.vendor_code not in GONE_CODES:
                raise
        await wire.store_consent_credentials(ref.id, sdk.Credentials.none())
        return BankConsent(ref=ref, status=ConsentStatus.REVOKED)

    async def accounts(self, wire: Wire, ref: Ref, /) -> tuple[BankAccount, ...]:
        """List the accounts that the owner chose at the bank."""
        response = await self._read(wire, ref.id, "/accounts")
        return tuple(read_accounts(response, wire.ref, ref.id))

    async def balances(self, wire: Wire, ref: Ref, /) -> tuple[CurrentBalance, ...]:
        """Get the balances of an account."""
        path = f"/accounts/{quoted_path_step(ref.id)}/balances"
        return read_balances(await self._read(wire, consent_of(ref), path))

    async def transactions(
        self, wire: Wire, ref: Ref, query: TransactionQuery, /, *, after: Ref | None
    ) -> TransactionPage:
        """Get a page of transactions; the bank's own link leads to the next page."""
        path = f"/accounts/{quoted_path_step(ref.id)}/transactions"
        since = query.since or (wire.now() - timedelta(days=_USUAL_DAYS)).date()
        parameters = [("fromBookingDateTime", f"{since.isoformat()}T00:00:00")]
        if query.until is not None:
            parameters.append(("toBookingDateTime", f"{query.until.isoformat()}T23:59:59"))
        if after is not None:
            parameters = parse_qsl(page_of(ref, after), keep_blank_values=True)
        response = await self._read(wire, consent_of(ref), path, parameters)
        link = sdk.read_answer(response).text("Links.Next")
        next_page = None if link is None else self._next_page(ref, path, link, response)
        return read_page(response, pending=query.pending, next_page=next_page)

    async def pay(self, wire: Wire, order: PaymentOrder, /, *, key: str | None) -> BankPayment:
        """Create the consent to a domestic payment, and the link at which its owner agrees.

        Nothing is paid before `finish_payment`.
        """
        wire.require_consent_store()
        number = stable_uuid(wire.new_id() if key is None else f"{wire.tenant or ''}\n{key}")
        is_old = "/v3." in self.interface_of_payments()
        body = payment_consent_body(order, number.replace("-", ""), is_old=is_old)
        body = sdk.merged(body, sdk.extra_for(self.name, order.extra))
        headers = _request_headers(number, order.ip_address)

        def read(response: Response) -> BankPayment:
            id_ = sdk.read_answer(response).text("Data.ConsentId")
            return read_initiation(
                wire.ref(sdk.required(id_, response, "Data.ConsentId")), response
            )

        request = self.signed_post(wire, _PAYMENT_CONSENTS, body, headers)
        payment = await wire.send(request, to=PAYMENTS, key=number, parse=read)
        consent = payment.ref.id
        link = await self.link(wire, PAYER_SCOPE, _payer(consent), consent, order.return_url)
        return attrs.evolve(payment, link=link)

    async def finish_payment(self, wire: Wire, ref: Ref, returned_url: str, /) -> BankPayment:
        """Submit a payment to which its owner agreed; get the state if the owner refused."""
        if ref.other("payment") is not None:
            return await self.get_payment(wire, ref)
        try:
            await tokens_of(self, PAYER_SCOPE).finish(wire, _payer(ref.id), returned_url)
        except sdk.ConsentRequired:
            payment = await self.get_payment(wire, ref)
            if payment.status is BankPaymentStatus.PENDING:
                raise
            return payment
        response = await wire.send(self._look_up(wire, ref), to=PAYMENTS)
        initiated = read_initiation(ref, response)
        is_consumed = initiated.vendor_status in CONSUMED
        if initiated.status is not BankPaymentStatus.PENDING and not is_consumed:
            return initiated
        try:
            return await self._submit(wire, ref, response, check_funds=not is_consumed)
        except sdk.ConsentRequired:
            # The bank already has a payment for this consent, but no longer remembers its key.
            if is_consumed:
                return initiated
            raise

    async def get_payment(self, wire: Wire, ref: Ref, /) -> BankPayment:
        """Get the state of a payment, or of its consent while the payment is not submitted."""
        response = await wire.send(self._look_up(wire, ref), to=PAYMENTS)
        read = read_initiation if ref.other("payment") is None else read_payment
        return read(ref, response)

    async def _submit(
        self, wire: Wire, ref: Ref, consent: Response, *, check_funds: bool
    ) -> BankPayment:
        """Submit the payment of a consent, with the details that the bank has for the consent.

        Raises:
            ConsentRequired: the owner has not agreed, or the payment was submitted before.
            PaymentDeclined: the account does not have enough money.
        """
        tokens = await tokens_of(self, PAYER_SCOPE).current(wire, _payer(ref.id))
        if tokens is None:
            raise sdk.ConsentRequired("The owner has not agreed to the payment.")
        headers = _owner_headers(wire, tokens)
        if self.confirm_funds and check_funds:
            path = f"{_PAYMENT_CONSENTS}/{quoted_path_step(ref.id)}/funds-confirmation"
            funds = await wire.send(sdk.Request.get(path, headers=headers), to=PAYER)
            check_funds_of(ref, funds)
        body = payment_body(ref.id, sdk.read_answer(consent), consent)

        def read(response: Response) -> BankPayment:
            id_ = sdk.read_answer(response).text("Data.DomesticPaymentId")
            payment = sdk.required(id_, response, "Data.DomesticPaymentId")
            return read_payment(ref.with_related(payment=payment), response)

        request = self.signed_post(wire, _DOMESTIC_PAYMENTS, body, headers)
        number = stable_uuid(f"{wire.tenant or ''}\npayment\n{ref.id}")
        return await wire.send(request, to=PAYER, key=number, parse=read)

    def _look_up(self, wire: Wire, ref: Ref) -> sdk.Request:
        """The request for the state of a payment, or of its consent before it is submitted."""
        payment = ref.other("payment")
        path = f"{_PAYMENT_CONSENTS}/{quoted_path_step(ref.id)}"
        if payment is not None:
            path = f"{_DOMESTIC_PAYMENTS}/{quoted_path_step(payment)}"
        return sdk.Request.get(path, headers=_headers(wire))

    async def _read(
        self, wire: Wire, consent: str, path: str, query: list[tuple[str, str]] | None = None
    ) -> Response:
        """Send a request with the access token of a consent.

        Raises:
            ConsentRequired: the owner has not agreed, or the consent was revoked.
        """
        tokens = await tokens_of(self, OWNER_SCOPE).current(wire, consent)
        if tokens is None:
            state = await self.get_consent(wire, wire.ref(consent))
            raise sdk.ConsentRequired(
                f"The consent is {state.status}, so its accounts cannot be read.",
                vendor_code=state.vendor_status,
            )
        request = sdk.Request.get(path, query=query, headers=_owner_headers(wire, tokens))
        return await wire.send(request, to=OWNER)

    def _next_page(self, ref: Ref, path: str, link: str, response: Response) -> Ref:
        """The reference of the page to which the bank's link leads.

        Raises:
            VendorFailed: the link does not lead to the transactions of this account.
        """
        base = urlsplit(self.base_url)
        try:
            url = urlsplit(link)
        except ValueError:
            url = urlsplit("")
        own_path = url.path.removeprefix(base.path.rstrip("/")).rstrip("/")
        if url.netloc not in {"", base.netloc} or own_path != path or not url.query:
            raise sdk.malformed(response, "link to the next page of this account")
        return ref.with_related(page=url.query)


def _headers(wire: Wire) -> dict[str, str]:
    return {"x-fapi-interaction-id": stable_uuid(wire.new_id()), "Accept": "application/json"}


def _request_headers(number: str, ip_address: str | None) -> dict[str, str]:
    """The headers of a request to which an owner has to agree."""
    address = {} if ip_address is None else {"x-fapi-customer-ip-address": ip_address}
    return {"x-fapi-interaction-id": number, **address}


def _owner_headers(wire: Wire, tokens: sdk.OAuthCredentials) -> dict[str, str]:
    return {**_headers(wire), "Authorization": f"Bearer {tokens.access_token.reveal()}"}


def _consent_path(ref: Ref) -> str:
    return f"{_CONSENTS}/{quote(ref.id, safe='')}"


def _payer(consent: str) -> str:
    """The name under which the tokens of a consent to a payment are stored."""
    return f"payment/{consent}"
