"""Operations by which a person grants an application OAuth tokens, and revokes them.

Laws:

1. A code works once. A code is sent again only if the server has certainly not processed it.
2. Granted tokens are returned only after the id_token with them was checked.
3. The server is polled for a device no longer than the caller can wait, and no longer than the
   device code is valid.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.auth.methods import OAuthCredentials
from moorage.domain.oauth.consent import exchange_parameters, no_token_error
from moorage.domain.oauth.device import DeviceConsent, PollingPace, polling_parameters, read_device
from moorage.domain.oauth.id_token import id_token_problem
from moorage.domain.oauth.revocation import (
    not_revoked_error,
    read_revocation,
    revocation_parameters,
    token_to_revoke,
)
from moorage.domain.oauth.token_answer import Granted, Refused, read_token
from moorage.domain.oauth.token_renewal import is_lost, renewal_error
from moorage.domain.oauth.token_request import wanted_scope
from moorage.domain.resilience.retry import RetryPolicy
from moorage.domain.values.kinds import checked_kind
from moorage.errors import AuthorizationRequired, ConnectorError, DeadlineExceeded, VendorFailed
from moorage.services.oauth.server_requests import AuthorizationServerRequests, ServerInquiry

if TYPE_CHECKING:
    from datetime import datetime

    from moorage.domain.oauth.client import OAuthClient
    from moorage.domain.oauth.pending import PendingConsent
    from moorage.domain.secrets.secret import Secret
    from moorage.services.core.core import Core
    from moorage.services.oauth.server_requests import RequestLimits

_TOKENS: Final = "token_endpoint"
_SECOND: Final = 10**9
_START_AGAIN: Final = "Let the person start the authorisation again."


class ConsentFlows:
    """The operations by which a person grants an application OAuth tokens.

    Args:
        core: the ports.
        client: OAuth client that asks for consent.
        patience: time limits.
    """

    def __init__(self, core: Core, client: OAuthClient, patience: RequestLimits) -> None:
        self._core = core
        self._client = client
        self._patience = patience

    async def finish(self, code: Secret | ConnectorError, pending: PendingConsent) -> Granted:
        """Exchange the authorisation code from a person's consent for tokens."""
        if isinstance(code, ConnectorError):
            raise code
        client = attrs.evolve(self._client, scope=pending.scope)
        hidden_secrets = _secrets_of(client, code, pending.code_verifier)
        answer = await AuthorizationServerRequests(self._core, client, self._patience).answer(
            ServerInquiry(
                endpoint=_TOKENS,
                make_parameters=lambda: exchange_parameters(code, pending),
                read=lambda response, asked_at: read_token(
                    response, client, asked_at, hidden=hidden_secrets
                ),
                refusal=lambda answer: renewal_error(None, answer),
                repeatable=False,
            )
        )
        if not isinstance(answer, Granted):
            raise self._refusal_error(answer)
        return self._checked_grant(answer, pending.issuer, pending.nonce)

    async def begin_device(self, client: OAuthClient) -> DeviceConsent:
        """Request the codes of a device login, which a person confirms on another device."""
        hidden_secrets = _secrets_of(client)
        answer = await AuthorizationServerRequests(self._core, client, self._patience).answer(
            ServerInquiry(
                endpoint="device_authorization_endpoint",
                make_parameters=lambda: wanted_scope(client),
                read=lambda response, asked_at: read_device(response, asked_at, hidden_secrets),
                refusal=lambda answer: renewal_error(None, answer),
            )
        )
        if not isinstance(answer, DeviceConsent):
            raise self._consent_error(answer)
        return answer

    async def finish_device(self, device: DeviceConsent, timeout: float | None) -> Granted:
        """Poll the server until it grants or refuses a token."""
        core, client = self._core, self._client
        checked_kind(device, DeviceConsent, "device")
        code, expires_at = device.device_code, self._local_nanoseconds(device.expires_at)
        end_time = expires_at if timeout is None else core.nanoseconds() + int(timeout * _SECOND)
        hidden_secrets = _secrets_of(client, code)
        inquiry = ServerInquiry(
            endpoint=_TOKENS,
            make_parameters=lambda: polling_parameters(code),
            read=lambda response, asked_at: read_token(
                response, client, asked_at, hidden=hidden_secrets
            ),
            refusal=lambda answer: renewal_error(None, answer),
        )
        # The polling loop itself decides about pauses, so single requests are not retried.
        request_limits = attrs.evolve(self._patience, retry=RetryPolicy.none())
        next_request, polling_pace = (
            AuthorizationServerRequests(core, client, request_limits),
            PollingPace.at_first(device.interval),
        )
        while True:
            next_poll = core.nanoseconds() + int(polling_pace.pause * _SECOND)
            if next_poll >= expires_at:
                raise AuthorizationRequired(
                    "The device code expired before the person authorised the access.",
                    remedy=_START_AGAIN,
                )
            if next_poll >= end_time:
                raise DeadlineExceeded(
                    "The person did not authorise or deny the access in time.",
                    remedy="Call finish_device again with the same device consent, or start a"
                    " new one.",
                )
            await core.sleep(polling_pace.pause)
            answer = await next_request.answer(inquiry, min(end_time, expires_at))
            if isinstance(answer, Granted):
                return self._checked_grant(answer, client.server.issuer, None)
            next_pace = polling_pace.after(answer)
            if next_pace is None:
                raise self._refusal_error(answer)
            polling_pace = next_pace

    async def revoke(self, credentials: OAuthCredentials) -> None:
        """Revoke granted tokens."""
        await revoke_token(self._core, self._client, self._patience, credentials, None)

    def _local_nanoseconds(self, moment: datetime) -> int:
        """Convert a point in time to the local clock's nanoseconds."""
        core = self._core
        return core.nanoseconds() + int((moment - core.utc()).total_seconds() * _SECOND)

    def _checked_grant(self, granted: Granted, issuer: str | None, nonce: Secret | None) -> Granted:
        problem = id_token_problem(
            granted.id_token,
            issuer=issuer,
            client_id=self._client.client_id,
            nonce=nonce,
            now=self._core.utc(),
        )
        if problem is None:
            return granted
        raise VendorFailed(
            f"The response was refused with its tokens, because the id_token {problem}.",
            retryable=False,
            remedy="Check the issuer, the client id and this machine's clock. Then let the"
            " person start the authorisation again.",
        )

    def _refusal_error(self, answer: Refused | ConnectorError) -> ConnectorError:
        if is_lost(answer):
            return AuthorizationRequired(
                "The response with the tokens may have been lost, and the server sends it"
                " only once.",
                remedy=_START_AGAIN,
            )
        return self._consent_error(answer)

    def _consent_error(self, answer: Refused | ConnectorError) -> ConnectorError:
        error, wait = no_token_error(answer)
        if wait is not None:
            error.due = self._core.utc() + timedelta(seconds=wait)
        return error


async def revoke_token(
    core: Core,
    client: OAuthClient,
    patience: RequestLimits,
    credentials: OAuthCredentials,
    service: str | None,
) -> None:
    """Revoke a token at the server, and with it all tokens of the same grant."""
    token, kind = token_to_revoke(checked_kind(credentials, OAuthCredentials, "credentials"))
    hidden_secrets = _secrets_of(client, token)
    answer = await AuthorizationServerRequests(core, client, patience).answer(
        ServerInquiry(
            endpoint="revocation_endpoint",
            make_parameters=lambda: revocation_parameters(token, kind),
            read=lambda response, asked_at: read_revocation(response, asked_at, hidden_secrets),
            refusal=not_revoked_error,
        )
    )
    if answer is True:
        return
    error, wait = not_revoked_error(answer)
    error.service = service
    if wait is not None:
        error.due = core.utc() + timedelta(seconds=wait)
    raise error


def _secrets_of(client: OAuthClient, *secrets: Secret) -> tuple[Secret, ...]:
    """Return the client's secrets, to mask them in errors that may repeat them."""
    return secrets if client.secret is None else (client.secret, *secrets)
