"""One OAuth renewal: its request parameters, the key of its claim, and its errors."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from moorage import Consent, OAuthCredentials, Secret, TokenExchange
from moorage.domain.oauth.token_answer import Refusal, Refused
from moorage.domain.oauth.token_renewal import (
    TokenQuestion,
    TokenUse,
    claim_key,
    is_lost,
    lost_renewal_error,
    renewal_error,
    slow_renewal_error,
)
from moorage.domain.signing.context import SigningContext
from moorage.errors import AttemptTimeout, ConnectionFailed, ConnectorError, VendorFailed
from tests.domain.oauth.test_client import client

CONTEXT = SigningContext(datetime(2026, 3, 1, 12, tzinfo=UTC), "n-1")
HELD_TOKENS = OAuthCredentials(access_token="a", refresh_token="r-1")
OWNER = ("crm", "acme")


def test_consent_is_renewed_by_refresh_token() -> None:
    """After a user's consent, a token is renewed by its refresh token only."""
    asking_client = client(grant=Consent(), scope="read")

    assert (("grant_type", "refresh_token"), ("refresh_token", "r-1")) == TokenQuestion(
        asking_client, HELD_TOKENS
    ).parameters(CONTEXT)
    assert () == TokenQuestion(asking_client, OAuthCredentials(access_token="a")).parameters(
        CONTEXT
    )
    assert () == TokenQuestion(asking_client).parameters(CONTEXT)


def test_grant_that_needs_no_user_requests_its_scope_again() -> None:
    """A grant that needs no user requests its scope again, without a refresh token."""
    assert (("grant_type", "client_credentials"), ("scope", "read")) == TokenQuestion(
        client(scope="read"), HELD_TOKENS
    ).parameters(CONTEXT)
    exchange = client(grant=TokenExchange(subject="idp"))
    parameters = dict(TokenQuestion(exchange, HELD_TOKENS, Secret("theirs")).parameters(CONTEXT))
    assert "theirs" == parameters["subject_token"]


def test_claim_key_depends_on_the_refresh_token() -> None:
    """Two renewals with the same refresh token use the same key for their claim."""
    asking_client = client(grant=Consent())
    other_credentials = OAuthCredentials(access_token="a", refresh_token="r-2")
    names = [
        claim_key(OWNER, asking_client, HELD_TOKENS, use="first"),
        claim_key(OWNER, asking_client, HELD_TOKENS, use="again"),
        claim_key(OWNER, asking_client, other_credentials, use="first"),
        claim_key(("crm", None), asking_client, HELD_TOKENS, use="first"),
        claim_key(("erp", "acme"), asking_client, HELD_TOKENS, use="first"),
    ]

    assert len(names) == len(set(names))
    renewed_credentials = OAuthCredentials(access_token="b", refresh_token="r-1")
    assert names[0] == claim_key(OWNER, asking_client, renewed_credentials, use="first")
    assert not any("r-1" in name for name in names)


FIRST = "{@acme:crm}:oauth:4d17daad2d222ca7cb276323a2263a50:first"


def test_claim_keys_are_stable_across_versions() -> None:
    """The key under which a token renewal is claimed never changes, because stores keep it."""
    asking_client = client(grant=Consent())

    uses: tuple[TokenUse, ...] = ("first", "again", "later")
    keys = [claim_key(OWNER, asking_client, HELD_TOKENS, use=use) for use in uses]
    assert [FIRST.removesuffix("first") + use for use in uses] == keys


def test_claim_key_without_refresh_token_is_the_clients() -> None:
    """Without a refresh token, all renewals of an OAuth client use the same key for their claim."""
    assert claim_key(OWNER, client(), HELD_TOKENS, use="first") == claim_key(
        OWNER, client(), None, use="first"
    )
    assert claim_key(OWNER, client(), None, use="first") != claim_key(
        OWNER, client(client_id="other"), None, use="first"
    )


@pytest.mark.parametrize(
    "answer, lost",
    [
        (Refused(why=Refusal.LOST, code="x"), True),
        (Refused(why=Refusal.LATER, code="x"), False),
        (Refused(why=Refusal.WRONG, code="x"), False),
        (VendorFailed("too long"), True),
        (ConnectionFailed("x", may_have_been_processed=True), True),
        (AttemptTimeout("x", may_have_been_processed=True), True),
        (ConnectionFailed("x", may_have_been_processed=False), False),
        (ConnectorError("x"), False),
    ],
    ids=repr,
)
def test_response_that_may_hide_a_granted_token_counts_as_lost(
    answer: Refused | ConnectorError, lost: bool
) -> None:
    """A token response that may hide a granted token counts as lost."""
    assert lost is is_lost(answer)


@pytest.mark.parametrize(
    "reason, retryable, remedy",
    [
        (Refusal.LATER, True, "Try again later."),
        (
            Refusal.WRONG,
            False,
            "Correct the client's id, secret, authentication method, scope or grant.",
        ),
        (
            Refusal.NONCE,
            False,
            "Correct the client's id, secret, authentication method, scope or grant.",
        ),
    ],
)
def test_error_for_a_failed_renewal_quotes_the_server(
    reason: Refusal, retryable: bool, remedy: str
) -> None:
    """The error for a failed renewal quotes the server, and states whether a retry makes sense."""
    error, wait = renewal_error("crm", Refused(why=reason, code="c", said="d", wait=4.0))

    assert "The authorisation server refused a token (c: d)." == error.message
    assert ("crm", retryable, remedy, 4.0) == (error.service, error.retryable, error.remedy, wait)


def test_answer_without_a_token_is_no_refusal() -> None:
    """The error for an answer that has no usable token does not call the answer a refusal."""
    error, _ = renewal_error("crm", Refused(why=Refusal.LOST, code="unreadable answer"))

    expected = "The authorisation server's response has no usable token (unreadable answer)."
    assert (expected, True, "Try again later.") == (error.message, error.retryable, error.remedy)


def test_unreachable_server_error() -> None:
    """If the authorisation server is unreachable, a renewal's error is retryable."""
    error, wait = renewal_error("crm", ConnectionFailed("It is away."))

    assert "The authorisation server cannot be reached: It is away." == error.message
    assert ("crm", True, None) == (error.service, error.retryable, wait)
    assert "Check its URL and the network; then try again." == error.remedy


def test_renewal_timeout_error_is_retryable_and_has_a_remedy() -> None:
    """If a renewal times out, its error is retryable and has a remedy."""
    error = slow_renewal_error("crm")

    assert error.retryable
    assert "crm" == error.service
    assert "Try again, or set a longer timeout." == error.remedy


def test_error_after_lost_answers_says_what_may_be_lost() -> None:
    """The error after lost answers permits a repetition, and says what may be lost."""
    error = lost_renewal_error("crm")
    assert ("crm", True) == (error.service, error.retryable)
    assert "answers to the latest token requests were lost" in error.message
    assert "whether a person must authorise the application again" in error.remedy
