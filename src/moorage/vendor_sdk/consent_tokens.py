"""OAuth tokens that a vendor issues for each consent, by the authorization code flow."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from moorage.domain.auth.methods import Credentials, OAuthCredentials
from moorage.domain.oauth.consent import (
    consent_query,
    consent_url,
    exchange_parameters,
    read_callback,
)
from moorage.domain.oauth.grants import refresh_parameters
from moorage.domain.oauth.id_token import id_token_problem
from moorage.domain.oauth.pending import PendingConsent
from moorage.domain.oauth.token_answer import Granted, Refused, read_token
from moorage.domain.oauth.token_request import token_request
from moorage.domain.signing.context import SigningContext
from moorage.domain.values.frozen_values import frozen
from moorage.domain.values.json_text import encode_json
from moorage.errors import AuthorizationRequired, ConnectorError, ConsentRequired, VendorFailed
from moorage.vendor_sdk.answers import malformed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.contracts.wire import Wire
    from moorage.domain.http.requests import Response
    from moorage.domain.oauth.client import OAuthClient
    from moorage.domain.oauth.grants import Parameters

_LIFETIME: Final = timedelta(hours=1)
_LEEWAY: Final = timedelta(seconds=30)


@frozen(kw_only=True)
class ConsentTokens:
    """The OAuth tokens that a vendor issues for each consent of an owner.

    Until the owner returns, the state of the authorization is stored as the credentials of the
    consent; after that, its tokens are. So the vendor needs a credential store.

    Attributes:
        client: the account's OAuth client, with the scope of the owners' tokens; its server has an
            authorization endpoint.
        response_type: the values with which the owner returns, such as "code id_token".
        service: name of the vendor's service at the host of the token endpoint.
    """

    client: OAuthClient
    response_type: str = "code"
    service: str = "tokens"

    async def begin(
        self,
        wire: Wire,
        consent: str,
        redirect_uri: str,
        make_query: Callable[[Mapping[str, str]], Mapping[str, str]],
    ) -> str | None:
        """Return the URL at which the owner agrees; calls within an hour return the same URL.

        The result is None if the consent was finished or revoked before.

        Args:
            wire: the wire of the operation.
            consent: id of the consent.
            redirect_uri: URL to which the owner returns.
            make_query: takes the parameters of the authorization request, and returns those of the
                URL, such as one with a signed request object.
        """
        now = wire.now()
        credentials = await wire.consent_credentials(consent)
        stored = _stored_authorization(credentials)
        if stored is not None and now < stored[0].expires_at:
            return stored[1]
        if stored is None and credentials is not None:
            return None
        query, pending = consent_query(
            self.client,
            redirect_uri,
            now=now,
            lifetime=_LIFETIME,
            draw=lambda: int.from_bytes(sha256(wire.new_id().encode()).digest()[:7], "big") >> 4,
            response_type=self.response_type,
        )
        url = consent_url(self.client, make_query(query))
        content = encode_json({"pending": pending.table(), "url": url})
        text = urlsafe_b64encode(content).rstrip(b"=").decode()
        await wire.store_consent_credentials(consent, Credentials.bearer(text))
        return url

    async def finish(self, wire: Wire, consent: str, returned_url: str) -> None:
        """Exchange the code in the URL to which the owner returned for tokens, and store them.

        Nothing happens if the authorization is not pending, because it was finished before.

        Raises:
            InvalidData: the URL does not belong to the consent.
            ConsentRequired: the owner refused, or returned too late, or the code was used.
            VendorFailed: the ID token does not belong to the consent.
        """
        stored = _stored_authorization(await wire.consent_credentials(consent))
        if stored is None:
            return
        pending = stored[0]
        parts = urlsplit(returned_url)
        code = read_callback(f"?{parts.fragment or parts.query}", pending, self.client, wire.now())
        if isinstance(code, AuthorizationRequired):
            raise ConsentRequired(code.message)
        if isinstance(code, ConnectorError):
            raise code
        granted = await self._request_token(wire, exchange_parameters(code, pending), None)
        problem = id_token_problem(
            granted.id_token,
            issuer=pending.issuer,
            client_id=pending.client_id,
            nonce=pending.nonce,
            now=wire.now(),
        )
        if problem is not None:
            raise VendorFailed(
                f"The ID token of the consent {problem}.",
                retryable=False,
                remedy="Start a new consent. If it fails again, check the issuer.",
            )
        await wire.store_consent_credentials(consent, granted.credentials)

    async def current(self, wire: Wire, consent: str) -> OAuthCredentials | None:
        """Return the tokens of a consent, renewed if they expire; None if it has none.

        Raises:
            ConsentRequired: the tokens have expired, and cannot be renewed.
        """
        stored = await wire.consent_credentials(consent)
        if not isinstance(stored, OAuthCredentials):
            return None
        expires_at = stored.expires_at
        if expires_at is None or wire.now() < expires_at - _LEEWAY:
            return stored
        if stored.refresh_token is None:
            raise ConsentRequired("The access token of the consent has expired.")
        parameters = refresh_parameters(stored.refresh_token)

        async def renew() -> OAuthCredentials:
            return (await self._request_token(wire, parameters, stored)).credentials

        try:
            current_tokens = await wire.renew_consent_credentials(consent, stored, renew)
        except ConsentRequired:
            # A process that shares no state with this one may have used the same refresh token.
            current_tokens = await wire.consent_credentials(consent)
            if (
                isinstance(current_tokens, OAuthCredentials)
                and current_tokens.issued_at == stored.issued_at
            ):
                raise
        return current_tokens if isinstance(current_tokens, OAuthCredentials) else None

    async def _request_token(
        self, wire: Wire, parameters: Parameters, held: OAuthCredentials | None
    ) -> Granted:
        now = wire.now()
        request, url = token_request(self.client, parameters, SigningContext(now, wire.new_id()))

        def parse(response: Response) -> Granted:
            answer = read_token(response, self.client, now, held=held)
            if isinstance(answer, Refused):
                raise malformed(response, "access_token")
            return answer

        return await wire.send(
            request.evolve(path=urlsplit(url).path or "/"), to=self.service, parse=parse
        )


def _stored_authorization(
    stored: Credentials | OAuthCredentials | None,
) -> tuple[PendingConsent, str] | None:
    """Return the authorization that is pending, and its URL; None if none is pending."""
    if not isinstance(stored, Credentials) or stored.secret is None:
        return None
    text = stored.secret.reveal()
    content = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return PendingConsent.from_table(content["pending"]), content["url"]
