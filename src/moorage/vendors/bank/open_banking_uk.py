"""A bank with the UK's Open Banking Read/Write API, version 4.0 or 3.1: accounts and transactions.

The owner consents on a page of the bank, and returns with a code in the fragment of the URL (the
hybrid flow of FAPI 1.0 Advanced). The bank issues an access token and a refresh token for each
consent; moorage keeps them in the credential store under the consent's reference. A consent has no
idempotency key: a request that may have created one is not sent again.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import parse_qsl, quote, urlsplit

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.bank import BankAccount, BankCapability, BankConsent, ConsentStatus
from moorage.vendors.bank._consent_refs import consent_of, page_of
from moorage.vendors.bank._open_banking_uk_answers import (
    read_accounts,
    read_balances,
    read_consent,
    read_page,
)
from moorage.vendors.bank._psd2 import quoted_path_step, stable_uuid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.bank import (
        ConsentRequest,
        CurrentBalance,
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
_OWNER: Final = "owner"
_TOKENS: Final = "tokens"
_SCOPE: Final = "accounts"
_OWNER_SCOPE: Final = "openid accounts"
_RESPONSE_TYPE: Final = "code id_token"
_ACR: Final = ("urn:openbanking:psd2:sca", "urn:openbanking:psd2:ca")
_OBJECT_LIFETIME: Final = timedelta(hours=1)
_IN_URL: Final = ("client_id", "redirect_uri", "response_type", "scope", "state", "nonce")
_USUAL_DAYS: Final = 90
_MOST_BANKS: Final = 256
_ENDED_CODES: Final = """
    TK01 TKSP TKXP U009 U011 U028 UK.OBIE.Reauthenticate UK.OBIE.Resource.InvalidConsentStatus
    UK.OBIE.Resource.NotFound
"""
_GONE_CODES: Final = frozenset({"U009", "U011", "UK.OBIE.Resource.NotFound"})


def _error_words(response: Response) -> tuple[str | None, str | None]:
    """Return the code and text of a response's first error; the response's own ones without any."""
    answer = sdk.error_answer(response)
    error = next(answer.objects("Errors"), sdk.as_answer({}))
    code = error.text("ErrorCode") or answer.text("Code")
    return code, sdk.masked_words(error.text("Message") or answer.text("Message"))


_REFUSALS: Final = sdk.Refusals(
    vendor="The bank",
    codes=sdk.words(sdk.ConsentRequired, _ENDED_CODES),
    statuses=sdk.error_statuses("400"),
    read=_error_words,
)
_TOKEN_REFUSALS: Final = sdk.Refusals(
    vendor="The bank",
    codes={
        "invalid_grant": sdk.ConsentRequired,
        **sdk.words(sdk.AuthenticationFailed, "invalid_client unauthorized_client"),
    },
    statuses=sdk.error_statuses("400"),
)


def _owner_refusal(request: sdk.Request, response: Response) -> sdk.ConnectorError | None:
    """Return the error for an owner's rejected access token, which only the owner can replace."""
    if response.status == 401:
        code, words = _error_words(response)
        text = "the access token of the consent is not valid"
        return sdk.refusal(sdk.ConsentRequired, "The bank", response, code, words, otherwise=text)
    return _REFUSALS(request, response)


@attrs.frozen(kw_only=True)
class OpenBankingUk(sdk.Vendor):
    """An access to the accounts at a bank with the UK's Open Banking API.

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
    """

    name: ClassVar[str] = "open_banking_uk"
    kinds: ClassVar[tuple[str, ...]] = ("bank",)
    api_version: ClassVar[str | None] = "4.0"
    capabilities: ClassVar[frozenset[str]] = frozenset({BankCapability.PENDING})

    base_url: str
    issuer: str
    authorize_url: str
    token_url: str
    client_id: str
    signing_key: sdk.Secret = attrs.field(converter=sdk.as_secret, hash=False)
    key_id: str
    algorithm: str = sdk.choice("PS256", "PS256", "ES256", problem="Banks take no other algorithm.")
    authentication: str = sdk.choice(
        "private_key_jwt",
        "private_key_jwt",
        "tls_client_auth",
        problem="Banks do not authenticate applications in this way.",
    )

    def __attrs_post_init__(self) -> None:
        """Refuse a key that does not fit the algorithm."""
        try:
            self._signing().check_key(self.signing_key)
        except sdk.InvalidData:
            pass
        else:
            return
        raise sdk.ConfigurationError(
            f"The signing_key is not a private key for {self.algorithm}.",
            path="signing_key",
            remedy="Give an RSA key in PEM for PS256, or a P-256 key for ES256, with no password.",
        )

    def services(self) -> Mapping[str, sdk.Service]:
        """The account interface, for the application and for owners, and the token endpoint."""
        login = urlsplit(self.token_url)
        nobody = sdk.Credentials.none()
        return {
            "": sdk.Service(self.name, self.base_url, needs_credentials=True, classify=_REFUSALS),
            _OWNER: sdk.Service(
                self.name, self.base_url, credentials=nobody, classify=_owner_refusal
            ),
            _TOKENS: sdk.Service(
                self.name,
                f"{login.scheme}://{login.netloc}",
                credentials=nobody,
                classify=_TOKEN_REFUSALS,
            ),
        }

    def clients(self) -> Mapping[str, sdk.OAuthClient]:
        """The application's OAuth client, which gets tokens to manage consents."""
        return {"": self.client(_SCOPE)}

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
        headers = {"x-fapi-interaction-id": stable_uuid(unique_text)}
        if request.ip_address is not None:
            headers["x-fapi-customer-ip-address"] = request.ip_address

        def read(response: Response) -> BankConsent:
            id_ = sdk.read_answer(response).text("Data.ConsentId")
            ref = wire.ref(sdk.required(id_, response, "Data.ConsentId"))
            return read_consent(ref, response, wire.now())

        consent = await wire.send(
            sdk.Request.post(_CONSENTS, json=body, headers=headers), key=key, parse=read
        )

        def make_query(query: Mapping[str, str]) -> Mapping[str, str]:
            signed = self._request_object(wire, consent.ref.id, query, request.language)
            return {**{name: query[name] for name in _IN_URL}, "request": signed}

        link = await _tokens_of(self).begin(wire, consent.ref.id, request.return_url, make_query)
        return attrs.evolve(consent, link=link)

    async def finish_consent(self, wire: Wire, ref: Ref, returned_url: str, /) -> BankConsent:
        """Exchange the code for the tokens of the consent; get the state if the owner refused."""
        try:
            await _tokens_of(self).finish(wire, ref.id, returned_url)
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
            if refusal.vendor_code not in _GONE_CODES:
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
        """Get a page of transactions; the next page is behind the bank's own link."""
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

    async def _read(
        self, wire: Wire, consent: str, path: str, query: list[tuple[str, str]] | None = None
    ) -> Response:
        """Send a request with the access token of a consent.

        Raises:
            ConsentRequired: the owner has not agreed, or the consent was revoked.
        """
        tokens = await _tokens_of(self).current(wire, consent)
        if tokens is None:
            state = await self.get_consent(wire, wire.ref(consent))
            raise sdk.ConsentRequired(
                f"The consent is {state.status}, so its accounts cannot be read.",
                vendor_code=state.vendor_status,
            )
        headers = {**_headers(wire), "Authorization": f"Bearer {tokens.access_token.reveal()}"}
        return await wire.send(sdk.Request.get(path, query=query, headers=headers), to=_OWNER)

    def _next_page(self, ref: Ref, path: str, link: str, response: Response) -> Ref:
        """The reference of the page behind the bank's link.

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

    def client(self, scope: str) -> sdk.OAuthClient:
        """The OAuth client that requests tokens with this scope."""
        has_key = self.authentication == "private_key_jwt"
        return sdk.OAuthClient(
            server=sdk.AuthorizationServer(
                token_endpoint=self.token_url,
                issuer=self.issuer,
                authorization_endpoint=self.authorize_url,
            ),
            client_id=self.client_id,
            secret=self.signing_key if has_key else None,
            authentication=sdk.ClientAuthentication(self.authentication),
            algorithm=self._signing().algorithm if has_key else None,
            key_id=self.key_id if has_key else None,
            scope=scope,
        )

    def _signing(self, **claims: Any) -> sdk.JwtSigning:
        return sdk.JwtSigning(
            algorithm=self.algorithm,
            issuer=self.client_id,
            audience=self.issuer,
            lifetime=_OBJECT_LIFETIME,
            key_id=self.key_id,
            claims=claims,
        )

    def _request_object(
        self, wire: Wire, consent: str, query: Mapping[str, str], language: str | None
    ) -> str:
        """The signed parameters of an authorization request, with the id of the consent."""
        now = wire.now()
        intent = {"openbanking_intent_id": {"value": consent, "essential": True}}
        acr = {"acr": {"essential": True, "values": list(_ACR)}}
        claims: dict[str, Any] = {
            **query,
            "nbf": int(now.timestamp()),
            "claims": {"userinfo": intent, "id_token": {**intent, **acr}},
            **({} if language is None else {"ui_locales": language.lower()}),
        }
        signing = self._signing(**claims)
        return signing.token(self.signing_key, sdk.SigningContext(now, wire.new_id())).reveal()


def _headers(wire: Wire) -> dict[str, str]:
    return {"x-fapi-interaction-id": stable_uuid(wire.new_id()), "Accept": "application/json"}


def _consent_path(ref: Ref) -> str:
    return f"{_CONSENTS}/{quote(ref.id, safe='')}"


@lru_cache(maxsize=_MOST_BANKS)
def _tokens_of(vendor: OpenBankingUk) -> sdk.ConsentTokens:
    """The source of the owners' tokens at a bank, made once because the check of a key is slow."""
    client = vendor.client(_OWNER_SCOPE)
    return sdk.ConsentTokens(client=client, response_type=_RESPONSE_TYPE, service=_TOKENS)
