"""The renewal of a token: its request, its possible results, and the error if it fails."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import attrs

from moorage.domain.oauth.grants import Consent, RefreshToken, refresh_parameters
from moorage.domain.oauth.token_answer import Refusal, Refused
from moorage.domain.oauth.token_request import wanted_scope
from moorage.domain.secrets.secret import Secret
from moorage.domain.state.keys import state_key
from moorage.errors import ConnectorError, CredentialRefreshFailed

if TYPE_CHECKING:
    from moorage.domain.auth.methods import OAuthCredentials
    from moorage.domain.oauth.client import OAuthClient
    from moorage.domain.oauth.grants import Parameters
    from moorage.domain.signing.context import SigningContext

GRANT: Final = b"oauth"
"""The purpose in the claim key of each token renewal."""

REMEMBERED: Final = 30 * 86_400 * 10**6
"""Microseconds for which the result of using a refresh token is remembered."""

TokenUse: TypeAlias = Literal["first", "again", "later"]
"""The uses of a refresh token: the first, its repetition after a lost answer, all further ones."""

FIRST_USE: Final = "first"
REPEATED_USE: Final = "again"
LATER_USE: Final = "later"


@attrs.frozen
class TokenQuestion:
    """The data for one token request: the client, its credentials, and the subject token.

    Attributes:
        client: the client that requests the token.
        held: the credentials to renew.
        subject: the token to exchange, if it is another service's.
    """

    client: OAuthClient
    held: OAuthCredentials | None = None
    subject: Secret | None = None

    def parameters(self, context: SigningContext) -> Parameters:
        """Return the parameters of one token request; some are new for each request."""
        grant, refresh_token = self.client.grant, single_use_token(self.client, self.held)
        if isinstance(grant, Consent):
            return () if refresh_token is None else refresh_parameters(refresh_token)
        parameters = (
            grant.parameters(context, self.subject)
            if refresh_token is None
            else refresh_parameters(refresh_token)
        )
        return (*parameters, *wanted_scope(self.client))

    def hidden(self) -> list[Secret]:
        """Return the secrets in the request, which errors must mask."""
        refresh = None if self.held is None else self.held.refresh_token
        of_grant = attrs.astuple(self.client.grant, recurse=False)
        values = (self.client.secret, refresh, self.subject, *of_grant)
        return [value for value in values if isinstance(value, Secret)]


def single_use_token(client: OAuthClient, held: OAuthCredentials | None) -> Secret | None:
    """Return the refresh token that the next request may invalidate; None if there is none.

    A client that needs no person can repeat its grant. A refresh token that was configured is sent
    as it is until the server replaces it; a replacement is used like one from a person's consent.
    """
    grant, token = client.grant, None if held is None else held.refresh_token
    if isinstance(grant, Consent):
        return token
    return token if isinstance(grant, RefreshToken) and token != grant.token else None


def claim_key(
    owner: tuple[str, str | None],
    client: OAuthClient,
    held: OAuthCredentials | None,
    *,
    use: TokenUse,
) -> str:
    """Return the key under which one process claims the renewal of this token.

    The first use of a refresh token, its repetition and all later uses have different keys.
    """
    shown_secret = single_use_token(client, held)
    content = client.client_id.encode() if shown_secret is None else shown_secret.reveal_bytes()
    name = sha256(GRANT + content).hexdigest()[:32]
    return state_key("oauth", *owner, name, use)


def is_lost(answer: Refused | ConnectorError) -> bool:
    """Return whether the server may have granted a token in a response that was lost."""
    if isinstance(answer, Refused):
        return answer.why is Refusal.LOST
    return answer.may_have_been_processed


def renewal_error(
    service: str | None, answer: Refused | ConnectorError
) -> tuple[CredentialRefreshFailed, float | None]:
    """Return the error for a renewal that brought no token, and the time of the next attempt."""
    if isinstance(answer, ConnectorError):
        failed_error = CredentialRefreshFailed(
            f"The authorisation server cannot be reached: {answer.message}",
            service=service,
            retryable=True,
            remedy="Check its URL and the network; then try again.",
        )
        return failed_error, None
    is_temporary = answer.why in {Refusal.LATER, Refusal.LOST}
    problem = "'s response has no usable token" if is_lost(answer) else " refused a token"
    failed_error = CredentialRefreshFailed(
        f"The authorisation server{problem} ({answer.words}).",
        service=service,
        retryable=is_temporary,
        remedy="Try again later."
        if is_temporary
        else "Correct the client's id, secret, authentication method, scope or grant.",
    )
    failed_error.vendor_retry_after = answer.vendor_wait
    return failed_error, answer.wait


def lost_renewal_error(service: str | None) -> CredentialRefreshFailed:
    """Return the error for a refresh token that waits for its next use after lost answers."""
    return CredentialRefreshFailed(
        "The authorisation server's answers to the latest token requests were lost.",
        service=service,
        retryable=True,
        remedy="Try again later. If the server has replaced the refresh token, the next request"
        " shows whether a person must authorise the application again.",
    )


def slow_renewal_error(service: str | None) -> CredentialRefreshFailed:
    """Return the error for a caller whose time ends before another process renews the token."""
    return CredentialRefreshFailed(
        "Another process is renewing the token, and the renewal takes longer than this call"
        " can wait.",
        service=service,
        retryable=True,
        remedy="Try again, or set a longer timeout.",
    )
