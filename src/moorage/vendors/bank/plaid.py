"""Plaid: accounts at banks of North America and Europe, by Items that an owner links.

The owner consents on a page of Plaid (Hosted Link). Plaid issues an access token for each consent;
moorage keeps it in the credential store under the consent's reference. Plaid has no idempotency
key: a request that may have created a link is not sent again.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.bank import BankAccount, BankCapability, BankConsent, ConsentStatus
from moorage.vendors.bank._consent_refs import consent_of, page_of
from moorage.vendors.bank._plaid_answers import (
    account,
    public_token,
    read_accounts,
    read_balances,
    read_item,
    read_link,
    read_numbers,
    read_page,
)
from moorage.vendors.bank._psd2 import stable_uuid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.bank import (
        ConsentRequest,
        CurrentBalance,
        TransactionPage,
        TransactionQuery,
    )
    from moorage.vendor_sdk import Ref, Response, Wire

API_VERSION: Final = "2020-09-14"
_LIVE: Final = "https://production.plaid.com"
_TEST: Final = "https://sandbox.plaid.com"
_PAGE: Final = 500
_USUAL_DAYS: Final = 90


def _error_words(response: Response) -> tuple[str | None, str | None]:
    answer = sdk.error_answer(response)
    return answer.text("error_code"), sdk.masked_words(answer.text("error_message"))


_REFUSALS: Final = sdk.Refusals(
    vendor="Plaid",
    codes={
        **sdk.words(
            sdk.ConsentRequired,
            "ACCESS_NOT_GRANTED ADDITIONAL_CONSENT_REQUIRED INVALID_ACCESS_TOKEN"
            " INVALID_CREDENTIALS INVALID_LINK_TOKEN INVALID_PUBLIC_TOKEN ITEM_LOCKED"
            " ITEM_LOGIN_REQUIRED ITEM_NOT_FOUND USER_ACCOUNT_REVOKED USER_PERMISSION_REVOKED",
        ),
        **sdk.words(sdk.AuthenticationFailed, "INVALID_API_KEYS UNAUTHORIZED_ENVIRONMENT"),
        **sdk.words(
            sdk.VendorFailed,
            "INSTITUTION_DOWN INSTITUTION_NOT_AVAILABLE INSTITUTION_NOT_RESPONDING"
            " PRODUCT_NOT_READY",
        ),
        "INVALID_ACCOUNT_ID": sdk.VendorRejected,
    },
    statuses=sdk.error_statuses("400"),
    read=_error_words,
)


@attrs.frozen(kw_only=True)
class Plaid(sdk.ApiVendor):
    """A company's access to Plaid.

    Attributes:
        client_id: id of the client in Plaid's Dashboard.
        credentials: the client's secret; by default the credential provider supplies it.
        client_name: name of the application that Plaid shows to owners, at most 30 letters.
        countries: codes of the countries whose banks are offered, separated by spaces.
        account_numbers: True to ask for account numbers, which Plaid bills as the product Auth.
        history_days: number of days before the consent for which transactions can be read.
        base_url: URL of Plaid; its sandbox is https://sandbox.plaid.com.
    """

    name = "plaid"
    kinds = ("bank",)
    api_version = API_VERSION
    capabilities = frozenset({BankCapability.PENDING})
    limits: ClassVar[Mapping[str, int]] = {"page": _PAGE}

    modes = sdk.url_modes(live=_LIVE, test=_TEST)
    auth = sdk.api_key("PLAID-SECRET")
    refusals = _REFUSALS

    client_id: str
    client_name: str
    countries: str = attrs.field(
        validator=sdk.matches(
            "[A-Z]{2}( [A-Z]{2})*",
            problem="The value is not a list of country codes.",
            remedy='Set codes of two capital letters, separated by spaces, such as "GB DE FR".',
        )
    )
    account_numbers: bool = True
    history_days: int = attrs.field(default=90, validator=sdk.whole_number(most=730))
    base_url: str = _LIVE

    def settings(self) -> Mapping[str, Any]:
        """Return the headers of every request: the client and Plaid's version."""
        return {"headers": {"PLAID-CLIENT-ID": self.client_id, "Plaid-Version": API_VERSION}}

    async def start_consent(
        self, wire: Wire, request: ConsentRequest, /, *, key: str | None
    ) -> BankConsent:
        """Create a link to a page of Plaid, where the owner chooses a bank and accounts."""
        wire.require_consent_store()
        unique_text = wire.new_id() if key is None else f"{wire.tenant or ''}\n{key}"
        body = {
            "client_name": self.client_name,
            "language": (request.language or "en").lower(),
            "country_codes": self.countries.split(),
            "user": {"client_user_id": stable_uuid(unique_text)},
            "products": ["transactions", *(["auth"] if self.account_numbers else [])],
            "transactions": {"days_requested": self.history_days},
            "hosted_link": {"completion_redirect_uri": request.return_url},
        }
        body = sdk.merged(body, sdk.extra_for(self.name, request.extra))

        def read(response: Response) -> BankConsent:
            answer = sdk.read_answer(response)
            return BankConsent(
                ref=wire.ref(sdk.required(answer.text("link_token"), response, "link_token")),
                status=ConsentStatus.PENDING,
                link=sdk.required(answer.text("hosted_link_url"), response, "hosted_link_url"),
                raw=answer.raw,
            )

        link = sdk.Request.post("/link/token/create", json=body)
        return await wire.send(link, key=key, parse=read)

    async def get_consent(self, wire: Wire, ref: Ref, /) -> BankConsent:
        """Get the state of a consent; the first time after the owner agreed, store its token."""
        access = await self._access(wire, ref)
        if isinstance(access, BankConsent):
            return access
        return read_item(ref, await wire.send(_question("/item/get", access_token=access)))

    async def revoke_consent(self, wire: Wire, ref: Ref, /) -> BankConsent:
        """Remove the Item of a consent; the result of a link that is still open is ignored."""
        with suppress(sdk.ConsentRequired):
            token = await self._token(wire, ref)
            await wire.send(_question("/item/remove", access_token=token), parse=sdk.check_done)
        await wire.store_consent_credentials(ref.id, sdk.Credentials.none())
        return BankConsent(ref=ref, status=ConsentStatus.REVOKED)

    async def accounts(self, wire: Wire, ref: Ref, /) -> tuple[BankAccount, ...]:
        """List an Item's accounts, with their numbers if the account's options ask for them."""
        token = await self._token(wire, ref)
        response = await wire.send(_question("/accounts/get", access_token=token))
        numbers: dict[str | None, sdk.Answer] = {}
        if self.account_numbers:
            numbers = read_numbers(await wire.send(_question("/auth/get", access_token=token)))
        return tuple(
            account(item, numbers.get(id_, sdk.as_answer({})), wire.ref(id_, consent=ref.id))
            for item in read_accounts(response)
            for id_ in [sdk.required(item.text("account_id"), response, "account_id")]
        )

    async def balances(self, wire: Wire, ref: Ref, /) -> tuple[CurrentBalance, ...]:
        """Get the balances of an account; Plaid asks the bank for them."""
        token = await self._token(wire, wire.ref(consent_of(ref)))
        options = {"account_ids": [ref.id]}
        question = _question("/accounts/balance/get", access_token=token, options=options)
        return read_balances(await wire.send(question), ref.id)

    async def transactions(
        self, wire: Wire, ref: Ref, query: TransactionQuery, /, *, after: Ref | None
    ) -> TransactionPage:
        """Get a page of transactions, the latest first.

        New transactions, and pending ones that vanish, move all others between two requests. So a
        page begins after the last transaction of the page before, not at its number.

        Raises:
            VendorFailed: this transaction is no longer there.
        """
        position, last = 0, None
        if after is not None:
            number, _, last = page_of(ref, after, form="[0-9]{1,9}:.{1,200}").partition(":")
            position = int(number)
        token = await self._token(wire, wire.ref(consent_of(ref)))
        today = wire.now().date()
        for offset in (max(0, position - 1), max(0, position - _PAGE)):
            question = _question(
                "/transactions/get",
                access_token=token,
                start_date=(query.since or today - timedelta(days=_USUAL_DAYS)).isoformat(),
                end_date=(query.until or today).isoformat(),
                options={
                    "account_ids": [ref.id],
                    "count": _PAGE,
                    "offset": offset,
                    "include_original_description": True,
                },
            )
            response = await wire.send(question)
            page = read_page(response, ref, offset, last, pending=query.pending)
            if page is not None:
                return page
        raise sdk.VendorFailed(
            "Plaid's transactions changed while they were read, and the last one is gone.",
            retryable=False,
            remedy="Read the transactions again from the first page.",
        )

    async def _token(self, wire: Wire, ref: Ref) -> str:
        """The access token of a consent.

        Raises:
            ConsentRequired: the owner has not agreed, or the consent was revoked.
        """
        access = await self._access(wire, ref)
        if isinstance(access, str):
            return access
        raise sdk.ConsentRequired(
            f"The consent is {access.status}, so its accounts cannot be read.",
            vendor_code=access.vendor_status,
        )

    async def _access(self, wire: Wire, ref: Ref) -> str | BankConsent:
        """The access token of a consent; the consent itself if no token is stored."""
        stored = await _stored_consent(wire, ref)
        if stored is not None:
            return stored
        response = await wire.send(_question("/link/token/get", link_token=ref.id))
        answer = sdk.read_answer(response)
        public = public_token(answer)
        if public is None:
            return read_link(ref, answer, response, wire.now())
        try:
            exchange = _question("/item/public_token/exchange", public_token=public)
            token = await wire.send(exchange, parse=_read_token)
        except sdk.ConsentRequired:
            # Another caller may have exchanged the public token meanwhile; it works only once.
            stored = await _stored_consent(wire, ref)
            if stored is None:
                raise
            return stored
        await wire.store_consent_credentials(ref.id, sdk.Credentials.bearer(token))
        return token


async def _stored_consent(wire: Wire, ref: Ref) -> str | BankConsent | None:
    """The stored access token of a consent, or the revoked consent; None if nothing is stored."""
    stored = await wire.consent_credentials(ref.id)
    if not isinstance(stored, sdk.Credentials):
        return None
    if stored.secret is None:
        return BankConsent(ref=ref, status=ConsentStatus.REVOKED)
    return stored.secret.reveal()


def _question(path: str, **fields: Any) -> sdk.Request:
    """Return a request that only reads and may be repeated, although Plaid uses POST for it."""
    return sdk.Request.post(path, json=fields).evolve(idempotent=True)


def _read_token(response: Response) -> str:
    return sdk.required(sdk.read_answer(response).text("access_token"), response, "access_token")
