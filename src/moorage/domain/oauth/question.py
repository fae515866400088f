"""What one renewal asks for, what may have become of it, and what its failure means."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.keys import state_key
from moorage.domain.oauth.grants import Consent, refreshing
from moorage.domain.oauth.token_answer import Refusal, Refused
from moorage.domain.oauth.token_request import wanted_scope
from moorage.errors import ConnectorError, CredentialRefreshFailed, VendorFailed

if TYPE_CHECKING:
    from moorage.domain.auth import OAuthCredentials
    from moorage.domain.oauth.client import OAuthClient
    from moorage.domain.oauth.grants import Parameters
    from moorage.domain.secret import Secret
    from moorage.domain.signing.occasion import Occasion

GRANT: Final = b"oauth"
"""What every claim of a renewal is for."""

REMEMBERED: Final = 30 * 86_400 * 10**6
"""Microseconds for which it is remembered what became of a refresh token."""


@attrs.frozen
class Question:
    """What is asked: by which client, with what it holds, or with whose token.

    Attributes:
        client: who asks.
        held: what is to be renewed.
        subject: the token that is exchanged, where it is another service's.
    """

    client: OAuthClient
    held: OAuthCredentials | None = None
    subject: Secret | None = None

    def parameters(self, occasion: Occasion) -> Parameters:
        """What one request says; no two say the same."""
        grant, held = self.client.grant, self.held
        if not isinstance(grant, Consent):
            told = grant.parameters(occasion, self.subject)
            return (*told, *wanted_scope(self.client))
        return () if held is None or held.refresh_token is None else refreshing(held.refresh_token)

    def hidden(self) -> list[Secret]:
        """What of it must not be shown, should the server repeat it."""
        refresh = None if self.held is None else self.held.refresh_token
        return [one for one in (self.client.secret, refresh, self.subject) if one is not None]


def claim_key(
    owner: tuple[str, str | None],
    client: OAuthClient,
    held: OAuthCredentials | None,
    *,
    again: bool,
) -> str:
    """The name of a claim: of one refresh token, or of a grant that can be repeated.

    What is shown for the first time has another than what is shown once more.
    """
    shown = None if client.grant.alone or held is None else held.refresh_token
    content = client.client_id.encode() if shown is None else shown.reveal_bytes()
    name = sha256(GRANT + content).hexdigest()[:32]
    return state_key("oauth", *owner, name, "again" if again else "first")


def is_lost(answer: Refused | ConnectorError) -> bool:
    """Whether a token may have been granted that we do not know."""
    if isinstance(answer, Refused):
        return answer.why is Refusal.LOST
    return isinstance(answer, VendorFailed) or getattr(answer, "may_have_been_processed", False)


def failure(
    service: str | None, answer: Refused | ConnectorError
) -> tuple[CredentialRefreshFailed, float | None]:
    """What to raise for an answer that is no token, and when to come back."""
    if isinstance(answer, ConnectorError):
        failed = CredentialRefreshFailed(
            f"The authorisation server cannot be asked: {answer.message}",
            service=service,
            retryable=True,
            remedy="Check its URL and the network; then try again.",
        )
        return failed, None
    later = answer.why in {Refusal.LATER, Refusal.LOST}
    failed = CredentialRefreshFailed(
        f"The authorisation server gives no token ({answer.words}).",
        service=service,
        retryable=later,
        remedy="Try again later."
        if later
        else "Correct the client's id, secret, authentication, scope or grant.",
    )
    failed.vendor_retry_after = answer.vendor_wait
    return failed, answer.wait


def too_slow(service: str | None) -> CredentialRefreshFailed:
    """Whoever renews takes longer than we can wait."""
    return CredentialRefreshFailed(
        "Renewing the token takes longer than we can wait.",
        service=service,
        retryable=True,
        remedy="Try again; or give a longer timeout.",
    )
