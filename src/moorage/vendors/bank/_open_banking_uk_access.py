"""The access of an application to a bank with the UK's Open Banking API: options and signatures."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit

import attrs

from moorage import vendor_sdk as sdk
from moorage.vendors.bank._open_banking_uk_errors import (
    PAYMENT_REFUSALS,
    REFUSALS,
    TOKEN_REFUSALS,
    owner_refusal,
    payer_refusal,
)
from moorage.vendors.bank._open_banking_uk_payments import detached_signature

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.vendor_sdk import Wire

OWNER: Final = "owner"
"""The service of the account interface, for owners."""
PAYMENTS: Final = "payments"
"""The service of the payment interface, for the application, and the scope of its tokens."""
PAYER: Final = "payer"
"""The service of the payment interface, for owners."""
OWNER_SCOPE: Final = "openid accounts"
"""The scope of an owner's tokens for accounts."""
PAYER_SCOPE: Final = "openid payments"
"""The scope of an owner's tokens for a payment."""
_TOKENS: Final = "tokens"
_SCOPE: Final = "accounts"
_RESPONSE_TYPE: Final = "code id_token"
_ACR: Final = ("urn:openbanking:psd2:sca", "urn:openbanking:psd2:ca")
_OBJECT_LIFETIME: Final = timedelta(hours=1)
_IN_URL: Final = ("client_id", "redirect_uri", "response_type", "scope", "state", "nonce")
_MOST_BANKS: Final = 256
_ANY_URL: Final = "https://bank.example"
_PAGES: Final = {"authorize_url": "authorization_endpoint", "token_url": "token_endpoint"}
"""The name of each endpoint in an authorisation server's metadata, by the option that holds its
URL.
"""
_PROFILE: Final = (
    "https://openbankinguk.github.io/read-write-api-site3/v4.0/profiles/"
    "read-write-data-api-profile.html"
)
_KEYS: Final = sdk.VendorKeys(
    memory=24 * 3_600.0,
    repeat=sdk.RepeatedKey.REPLAYED,
    documentation=(f"{_PROFILE}#idempotency",),
    header="x-idempotency-key",
)
_RETRIES: Final = sdk.RetryPolicy(base_delay=2.0, jitter="equal")
"""The retry policy of payment requests: the bank wants at least a second before the same key is
sent again.
"""


@attrs.frozen(kw_only=True)
class UkBankAccess(sdk.Vendor):
    """The options of an account at a UK bank, its services, tokens and signatures."""

    idempotency: ClassVar[sdk.VendorKeys | None] = _KEYS

    base_url: str
    issuer: str
    authorize_url: str
    token_url: str
    client_id: str
    signing_key: sdk.Secret = attrs.field(converter=sdk.as_secret, hash=False)
    key_id: str
    algorithm: str = sdk.choice(
        "PS256", "PS256", "ES256", problem="UK banks do not accept this signature algorithm."
    )
    authentication: str = sdk.choice(
        "private_key_jwt",
        "private_key_jwt",
        "tls_client_auth",
        problem="UK banks do not support this way of authenticating an application.",
    )
    payments_url: str | None = None
    signer: str | None = None
    trust_anchor: str = "openbanking.org.uk"
    confirm_funds: bool = False

    def __attrs_post_init__(self) -> None:
        """Refuse URLs that are unsafe for tokens, and a key that does not fit the algorithm."""
        for option, endpoint in _PAGES.items():
            if not _is_safe(endpoint, getattr(self, option)):
                raise sdk.ConfigurationError(
                    f"The {option} is not an https:// URL with a host and no user name.",
                    path=option,
                    remedy="Set the URL that the bank documents.",
                )
        try:
            self._signing().check_key(self.signing_key)
        except sdk.InvalidData:
            pass
        else:
            return
        raise sdk.ConfigurationError(
            f"The signing_key is not a private key for {self.algorithm}.",
            path="signing_key",
            remedy="Set an RSA key in PEM for PS256, or a P-256 key for ES256, without a password.",
        )

    def services(self) -> Mapping[str, sdk.Service]:
        """The services: the interfaces for application and owners, and the token endpoint."""
        login = urlsplit(self.token_url)
        no_credentials = sdk.Credentials.none()
        payments_url = self.interface_of_payments()
        keys: dict[str, Any] = {"retry": _RETRIES, **_KEYS.settings}
        return {
            "": sdk.Service(self.name, self.base_url, needs_credentials=True, classify=REFUSALS),
            OWNER: sdk.Service(
                self.name, self.base_url, credentials=no_credentials, classify=owner_refusal
            ),
            PAYMENTS: sdk.Service(
                self.name, payments_url, needs_credentials=True, classify=PAYMENT_REFUSALS, **keys
            ),
            PAYER: sdk.Service(
                self.name, payments_url, credentials=no_credentials, classify=payer_refusal, **keys
            ),
            _TOKENS: sdk.Service(
                self.name,
                f"{login.scheme}://{login.netloc}",
                credentials=no_credentials,
                classify=TOKEN_REFUSALS,
            ),
        }

    def clients(self) -> Mapping[str, sdk.OAuthClient]:
        """The application's OAuth clients, which get tokens to manage consents."""
        return {"": self.client(_SCOPE), PAYMENTS: self.client(PAYMENTS)}

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

    async def link(
        self,
        wire: Wire,
        scope: str,
        name: str,
        consent: str,
        return_url: str,
        *,
        language: str | None = None,
    ) -> str | None:
        """The link to the bank's page, with a signed request; None once the owner has returned.

        Args:
            wire: the wire of the operation.
            scope: scope of the owner's tokens.
            name: name under which the tokens are stored.
            consent: the bank's id of the consent.
            return_url: page to which the owner returns.
            language: language of the owner.
        """

        def make_query(query: Mapping[str, str]) -> Mapping[str, str]:
            signed = self._request_object(wire, consent, query, language)
            return {**{key: query[key] for key in _IN_URL}, "request": signed}

        return await tokens_of(self, scope).begin(wire, name, return_url, make_query)

    def signed_post(
        self, wire: Wire, path: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> sdk.Request:
        """A POST request with the signature of its JSON body.

        Raises:
            ConfigurationError: the account does not say who signs, or has a key for ES256.
        """
        if self.signer is None or self.algorithm != "PS256":
            raise sdk.ConfigurationError(
                "A payment at a UK bank must be signed with PS256 and name its `signer`.",
                path="algorithm" if self.signer else "signer",
                remedy="Set `signer` to the ids of your organisation and software statement,"
                " such as 'ORG/SOFTWARE', and use an RSA key with PS256.",
            )
        content = sdk.encode_json(body)
        signature = detached_signature(
            self.signing_key,
            content,
            key_id=self.key_id,
            signer=self.signer,
            anchor=self.trust_anchor,
            seconds=int(wire.now().timestamp()),
        )
        fields = {"Content-Type": "application/json", "x-jws-signature": signature}
        return sdk.Request.post(path, body=content, headers={**headers, **fields})

    def interface_of_payments(self) -> str:
        """The URL of the payment interface."""
        return self.payments_url or re.sub("/aisp/?$", "/pisp", self.base_url)

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


@lru_cache(maxsize=_MOST_BANKS)
def tokens_of(vendor: UkBankAccess, scope: str) -> sdk.ConsentTokens:
    """The source of the owners' tokens at a bank, made once because the check of a key is slow."""
    client = vendor.client(scope)
    return sdk.ConsentTokens(client=client, response_type=_RESPONSE_TYPE, service=_TOKENS)


def _is_safe(endpoint: str, url: object) -> bool:
    """Return whether an authorisation server may have this URL for an endpoint."""
    urls: dict[str, Any] = {"token_endpoint": _ANY_URL, endpoint: url}
    try:
        sdk.AuthorizationServer(**urls)
    except sdk.ConfigurationError:
        return False
    return True
