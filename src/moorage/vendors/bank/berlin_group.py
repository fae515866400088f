"""A bank with the Berlin Group's interface NextGenPSD2, version 1.3.

The account owner consents on a page of the bank (the redirect approach). The bank identifies the
program by the client certificate of its HTTP client. The standard names no idempotency key: a
request that may have started a consent or a payment is not sent again.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.bank import (
    BankAccount,
    BankCapability,
    BankConsent,
    BankPayment,
    BankPaymentStatus,
    ConsentRequest,
    ConsentStatus,
    CurrentBalance,
    PaymentOrder,
    TransactionPage,
    TransactionQuery,
    maybe_bic,
    maybe_iban,
)
from moorage.vendors.bank._berlin_group_errors import classify
from moorage.vendors.bank._berlin_group_payments import payment_body
from moorage.vendors.bank._consent_refs import consent_of, page_of
from moorage.vendors.bank._psd2 import (
    maybe_day,
    quoted_path_step,
    read_balances,
    read_page,
    stable_uuid,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.vendor_sdk import Answer, Ref, Response, Wire

CONSENTS: Final[Mapping[str, ConsentStatus]] = {
    "received": ConsentStatus.PENDING,
    "partiallyAuthorised": ConsentStatus.PENDING,
    "valid": ConsentStatus.GRANTED,
    "rejected": ConsentStatus.REFUSED,
    "expired": ConsentStatus.EXPIRED,
    "revokedByPsu": ConsentStatus.REVOKED,
    "terminatedByTpp": ConsentStatus.REVOKED,
}
PAYMENTS: Final[Mapping[str, BankPaymentStatus]] = {
    **dict.fromkeys(
        ("RCVD", "PDNG", "PATC", "ACTC", "ACCP", "ACFC", "ACWC", "ACSP", "ACWP"),
        BankPaymentStatus.PENDING,
    ),
    "ACSC": BankPaymentStatus.SETTLED,
    "ACCC": BankPaymentStatus.SETTLED,
    "RJCT": BankPaymentStatus.REFUSED,
    "CANC": BankPaymentStatus.CANCELED,
}
_GONE_CODES: Final = frozenset({"RESOURCE_UNKNOWN", "RESOURCE_EXPIRED", "CONSENT_UNKNOWN"})
_PRODUCTS: Final = {False: "sepa-credit-transfers", True: "instant-sepa-credit-transfers"}
_USUAL_DAYS: Final = 90
_ALL: Final = "allAccounts"


@attrs.frozen(kw_only=True)
class BerlinGroup(sdk.ApiVendor):
    """An access to a bank with the NextGenPSD2 interface.

    Attributes:
        base_url: URL of the bank's interface, without "/v1".
        credentials: bearer token, at a bank that requires one besides the client certificate.
        whole_access: True to ask for the consent to all accounts of the owner (allPsd2), at a bank
            that offers no choice of accounts.
        per_day: number of daily accesses in the owner's absence that a consent requests.
        ip_address: IP address that is sent if a request does not state the owner's.
    """

    name = "berlin_group"
    kinds = ("bank",)
    api_version = "1.3"
    capabilities = frozenset(BankCapability) - {
        BankCapability.INSTITUTION,
        BankCapability.STERLING,
    }

    refusals = staticmethod(classify)

    base_url: str
    whole_access: bool = False
    per_day: int = attrs.field(default=4, validator=sdk.whole_number(most=1_000))
    ip_address: str | None = attrs.field(default=None, repr=False)

    def static_credentials(self) -> sdk.Credentials:
        """The bearer token, if the bank requires one in addition to the client certificate."""
        return super().static_credentials() or sdk.Credentials.none()

    async def start_consent(
        self, wire: Wire, request: ConsentRequest, /, *, key: str | None
    ) -> BankConsent:
        """Start a consent to account balances and transactions."""
        until = (wire.now() + timedelta(days=request.days)).date()
        accounts = [{"iban": iban.value} for iban in request.accounts]
        access: dict[str, Any] = dict.fromkeys(("accounts", "balances", "transactions"), accounts)
        if self.whole_access and not accounts:
            access = {"allPsd2": _ALL}
        body = {
            "access": access,
            "recurringIndicator": True,
            "validUntil": until.isoformat(),
            "frequencyPerDay": self.per_day,
            "combinedServiceIndicator": False,
        }
        headers = self._owner_headers(wire, key, request.return_url, request.ip_address)
        if request.language is not None:
            headers["PSU-Accept-Language"] = request.language
        body = sdk.merged(body, sdk.extra_for(self.name, request.extra))

        def read(response: Response) -> BankConsent:
            answer = sdk.read_answer(response)
            id_ = sdk.required(answer.text("consentId"), response, "consentId")
            return self._consent(wire.ref(id_), answer, response)

        return await wire.send(
            sdk.Request.post("/v1/consents", json=body, headers=headers), key=key, parse=read
        )

    async def get_consent(self, wire: Wire, ref: Ref, /) -> BankConsent:
        """Get a consent, with its last day."""
        response = await wire.send(self._get(wire, f"/v1/consents/{quoted_path_step(ref.id)}"))
        return self._consent(ref, sdk.read_answer(response), response)

    async def revoke_consent(self, wire: Wire, ref: Ref, /) -> BankConsent:
        """Terminate a consent."""
        headers = {"X-Request-ID": stable_uuid(wire.new_id())}
        request = sdk.Request.delete(f"/v1/consents/{quoted_path_step(ref.id)}", headers=headers)
        try:
            await wire.send(request, parse=sdk.check_done)
        except sdk.VendorRejected as refusal:
            if refusal.vendor_code not in _GONE_CODES:
                raise
        return BankConsent(ref=ref, status=ConsentStatus.REVOKED)

    async def accounts(self, wire: Wire, ref: Ref, /) -> tuple[BankAccount, ...]:
        """List the accounts that a consent covers."""
        response = await wire.send(self._get(wire, "/v1/accounts", ref.id))
        answer = sdk.read_answer(response)
        if not sdk.is_list(answer.value("accounts")):
            raise sdk.malformed(response, "accounts")
        return tuple(
            self._account(wire, item, ref.id, response) for item in answer.objects("accounts")
        )

    async def balances(self, wire: Wire, ref: Ref, /) -> tuple[CurrentBalance, ...]:
        """Get the balances of an account."""
        path = f"/v1/accounts/{quoted_path_step(ref.id)}/balances"
        return read_balances(await wire.send(self._get(wire, path, consent_of(ref))))

    async def transactions(
        self, wire: Wire, ref: Ref, query: TransactionQuery, /, *, after: Ref | None
    ) -> TransactionPage:
        """Get a page of transactions; the bank's own link leads to the next page."""
        path = f"/v1/accounts/{quoted_path_step(ref.id)}/transactions"
        since = query.since or (wire.now() - timedelta(days=_USUAL_DAYS)).date()
        parameters = [
            ("bookingStatus", "both" if query.pending else "booked"),
            ("dateFrom", since.isoformat()),
            *([("dateTo", query.until.isoformat())] if query.until else []),
        ]
        if after is not None:
            parameters = parse_qsl(page_of(ref, after), keep_blank_values=True)
        request = self._get(wire, path, consent_of(ref), parameters)
        response = await wire.send(request)

        def next_ref(answer: Answer) -> Ref | None:
            return self._next_page(ref, path, answer, response)

        names = ("transactionId", "entryReference")
        return read_page(response, names, pending=query.pending, next_ref=next_ref)

    async def pay(self, wire: Wire, order: PaymentOrder, /, *, key: str | None) -> BankPayment:
        """Initiate a SEPA credit transfer."""
        product = _PRODUCTS[order.instant]
        body = sdk.merged(payment_body(order), sdk.extra_for(self.name, order.extra))
        headers = self._owner_headers(wire, key, order.return_url, order.ip_address)

        def read(response: Response) -> BankPayment:
            answer = sdk.read_answer(response)
            id_ = sdk.required(answer.text("paymentId"), response, "paymentId")
            return self._payment(wire.ref(id_, product=product), answer, response)

        request = sdk.Request.post(f"/v1/payments/{product}", json=body, headers=headers)
        return await wire.send(request, key=key, parse=read)

    async def get_payment(self, wire: Wire, ref: Ref, /) -> BankPayment:
        """Get the status of a payment."""
        product = ref.other("product") or _PRODUCTS[False]
        path = f"/v1/payments/{quoted_path_step(product)}/{quoted_path_step(ref.id)}/status"
        response = await wire.send(self._get(wire, path))
        return self._payment(ref, sdk.read_answer(response), response)

    def _get(
        self,
        wire: Wire,
        path: str,
        consent: str | None = None,
        query: list[tuple[str, str]] | None = None,
    ) -> sdk.Request:
        headers = {"X-Request-ID": stable_uuid(wire.new_id()), "Accept": "application/json"}
        if consent is not None:
            headers["Consent-ID"] = consent
        return sdk.Request.get(path, query=query, headers=headers)

    def _owner_headers(
        self, wire: Wire, key: str | None, return_url: str, ip_address: str | None
    ) -> dict[str, str]:
        """The headers of a request that the account owner must approve at the bank."""
        address = ip_address or self.ip_address
        if address is None:
            raise sdk.InvalidData(
                "The bank needs the IP address of the owner's browser.",
                field="ip_address",
                remedy="Set `ip_address` in the request or in the account.",
            )
        unique_text = wire.new_id() if key is None else f"{wire.tenant or ''}\n{key}"
        return {
            "X-Request-ID": stable_uuid(unique_text),
            "PSU-IP-Address": address,
            "TPP-Redirect-Preferred": "true",
            "TPP-Redirect-URI": return_url,
        }

    def _consent(self, ref: Ref, answer: Answer, response: Response) -> BankConsent:
        vendor_status = sdk.required(answer.text("consentStatus"), response, "consentStatus")
        return BankConsent(
            ref=ref,
            status=CONSENTS.get(vendor_status, ConsentStatus.UNKNOWN),
            vendor_status=vendor_status,
            link=answer.text("_links.scaRedirect.href"),
            valid_until=maybe_day(answer.text("validUntil")),
            raw=answer.raw,
        )

    def _payment(self, ref: Ref, answer: Answer, response: Response) -> BankPayment:
        vendor_status = sdk.required(
            answer.text("transactionStatus"), response, "transactionStatus"
        )
        return BankPayment(
            ref=ref,
            status=PAYMENTS.get(vendor_status, BankPaymentStatus.UNKNOWN),
            vendor_status=vendor_status,
            link=answer.text("_links.scaRedirect.href"),
            raw=answer.raw,
        )

    def _account(self, wire: Wire, item: Answer, consent: str, response: Response) -> BankAccount:
        id_ = sdk.required(item.text("resourceId"), response, "resourceId")
        currency = item.text("currency")
        return BankAccount(
            ref=wire.ref(id_, consent=consent),
            iban=maybe_iban(item.text("iban")),
            number=item.text("iban") or item.text("bban") or item.text("maskedPan"),
            bic=maybe_bic(item.text("bic")),
            currency=None if currency == "XXX" else currency,
            name=item.text("displayName") or item.text("name"),
            owner=item.text("ownerName"),
            vendor_status=item.text("status"),
            raw=item.raw,
        )

    def _next_page(self, ref: Ref, path: str, answer: Answer, response: Response) -> Ref | None:
        """The reference of the page to which the bank's link leads.

        Raises:
            VendorFailed: the link does not lead to the transactions of this account.
        """
        link = answer.text("transactions._links.next.href")
        if link is None:
            return None
        base = urlsplit(self.base_url)
        try:
            url = urlsplit(link)
        except ValueError:
            url = urlsplit("")
        own_path = url.path.removeprefix(base.path.rstrip("/"))
        if url.netloc not in {"", base.netloc} or own_path != path or not url.query:
            raise sdk.malformed(response, "link to the next page of this account")
        return ref.with_related(page=url.query)
