"""OAuth consent in sync and async mode, against a strict server: no code is lost or used twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    AuthorizationRequired,
    ConfigurationError,
    CredentialRefreshFailed,
    InvalidData,
    OAuthConsent,
    RetryPolicy,
    Secret,
    VendorFailed,
)
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.domain.oauth.pending import PendingConsent
from moorage.domain.oauth.token_answer import LARGEST
from moorage.domain.signing.dpop import thumbprint
from tests.domain.oauth.test_id_token import id_token
from tests.parts.ways_of_use import Clock
from tests.support.authorization_faults import (
    failing_answer,
    huge_answer,
    keeping_back,
    late_answer,
    lost_answer,
    malformed_body,
    redirect_to,
    respond_with,
    succeeding_with_error,
    unread_request,
)
from tests.support.authorization_server import AuthorizationServer, Client
from tests.support.frames import is_of_moorage
from tests.support.oauth_people import (
    IN_BOTH,
    REDIRECT,
    async_consent,
    client_of,
    endpoints,
    open_page,
    proof_key,
    query_of,
)

if TYPE_CHECKING:
    from tests.support.authorization_faults import Fault

PUBLIC = Client(method="none")


# --- with a browser ----------------------------------------------------------


@IN_BOTH
def test_tokens_open_resource_for_requested_scope_after_consent(mode: str) -> None:
    """After a consent, the tokens open the resource for the requested scope."""
    with AuthorizationServer() as server:
        consent = async_consent(mode, server)
        url, pending = consent.begin(REDIRECT, scope="read", parameters={"prompt": "consent"})
        grant = consent.finish(open_page(url), pending)

        assert "consent" == query_of(url)["prompt"]
        assert ("read",) == grant.credentials.scope
        assert grant.credentials.refresh_token is not None
        assert grant.id_token is None
        assert (1, "authorization_code", 200) == (
            len(server.requests),
            server.requests[0].grant,
            server.requests[0].status,
        )


@IN_BOTH
def test_grant_has_requested_scope_if_server_returns_no_scope(mode: str) -> None:
    """If the server returns no scope, the grant has the requested scope."""
    with AuthorizationServer() as server:
        consent = async_consent(mode, server, scope="write")
        url, pending = consent.begin(REDIRECT, scope="read")
        server.order(keeping_back("scope"))

        assert ("read",) == consent.finish(open_page(url), pending).credentials.scope


@IN_BOTH
def test_secrets_in_server_errors_are_masked(mode: str) -> None:
    """No error of a consent quotes a code, a verifier or a secret."""
    with AuthorizationServer() as server:
        consent = async_consent(mode, server)
        url, pending = consent.begin(REDIRECT)
        callback = open_page(url)
        plain_consent = attrs.evolve(pending, code_verifier="plain")
        secret_proofs = query_of(callback)["code"], "plain", "s3cr3t"
        server.order(
            respond_with(error="invalid_scope", error_description=f"so {' '.join(secret_proofs)}")
        )
        with pytest.raises(CredentialRefreshFailed, match="invalid_scope: so") as excinfo:
            consent.finish(callback, plain_consent)

    assert [] == [proof for proof in secret_proofs if proof in str(excinfo.value)]


@IN_BOTH
def test_a_public_client_consents(mode: str) -> None:
    """A client without a secret finishes a consent with its PKCE verifier."""
    with AuthorizationServer(PUBLIC) as server:
        consent = async_consent(mode, server, secret=None)
        url, pending = consent.begin(REDIRECT)

        assert consent.finish(open_page(url), pending).credentials.refresh_token is not None


@IN_BOTH
def test_encrypted_consent_can_be_finished_by_another_process(mode: str) -> None:
    """Another process that gets the encrypted consent, for example by cookie, can finish it."""
    cipher = AesGcmCipher(generate_keys())
    with AuthorizationServer() as server:
        url, pending = async_consent(mode, server).begin(REDIRECT)
        stored_consent = PendingConsent.unsealed(pending.sealed(cipher), cipher)

        assert (
            async_consent(mode, server)
            .finish(open_page(url), stored_consent)
            .credentials.access_token
        )


@IN_BOTH
@pytest.mark.parametrize("nonces", [False, True])
def test_a_code_is_bound_to_a_key(mode: str, *, nonces: bool) -> None:
    """With a DPoP key, the authorisation code and the tokens are bound to that key."""
    with AuthorizationServer(Client(method="none", dpop=True), nonces=nonces) as server:
        consent = async_consent(mode, server, secret=None, dpop_key=proof_key())
        url, pending = consent.begin(REDIRECT)
        grant = consent.finish(open_page(url), pending)

        assert thumbprint(Secret(proof_key())) == query_of(url)["dpop_jkt"]
        assert "DPoP" == grant.credentials.token_type
        assert Secret(proof_key()) == grant.credentials.dpop_key
        assert server.requests[-1].proven
        assert 1 + nonces == len(server.requests)


@IN_BOTH
def test_refused_consent_raises_an_error(mode: str) -> None:
    """If the person refuses consent, an error is raised and no request is sent."""
    with AuthorizationServer() as server:
        server.people.approve = False
        consent = async_consent(mode, server)
        url, pending = consent.begin(REDIRECT)
        with pytest.raises(AuthorizationRequired, match="access_denied"):
            consent.finish(open_page(url), pending)

        assert () == server.requests


@IN_BOTH
def test_callback_of_another_session_is_refused(mode: str) -> None:
    """A callback that was made for another session is refused."""
    with AuthorizationServer() as server:
        consent = async_consent(mode, server)
        url, pending = consent.begin(REDIRECT)
        _, other_pending = consent.begin(REDIRECT)
        with pytest.raises(InvalidData, match="state"):
            consent.finish(open_page(url), other_pending)

        assert () == server.requests
        assert consent.finish(open_page(url), pending)


@IN_BOTH
def test_another_server_is_refused(mode: str) -> None:
    """If a callback has another authorisation server as issuer, no code is sent (RFC 9207)."""
    with AuthorizationServer() as server:
        consent = async_consent(mode, server)
        url, pending = consent.begin(REDIRECT)
        server.claimed_issuer = "https://evil.example"
        with pytest.raises(InvalidData, match="another authorisation server"):
            consent.finish(open_page(url), pending)

        assert () == server.requests


@IN_BOTH
def test_a_code_works_once(mode: str) -> None:
    """If the server reports that a code was already used, the person must consent again."""
    with AuthorizationServer() as server:
        consent = async_consent(mode, server)
        url, pending = consent.begin(REDIRECT)
        callback = open_page(url)
        consent.finish(callback, pending)
        with pytest.raises(AuthorizationRequired, match="invalid_grant"):
            consent.finish(callback, pending)

        assert 2 == len(server.requests)


@IN_BOTH
@pytest.mark.parametrize(
    "fault",
    [lost_answer(), malformed_body(), keeping_back("access_token"), huge_answer(2 * LARGEST)],
)
def test_code_is_not_repeated_after_a_lost_answer(mode: str, fault: Fault) -> None:
    """A code that the server may have used is not sent again, since that could revoke the grant."""
    with AuthorizationServer() as server:
        consent = async_consent(mode, server)
        url, pending = consent.begin(REDIRECT)
        server.order(fault)
        with pytest.raises(AuthorizationRequired, match="may have been lost") as excinfo:
            consent.finish(open_page(url), pending)

        assert 1 == len(server.requests)
        assert 1 == server.live_families
    assert "start the authorisation again" in excinfo.value.remedy


@IN_BOTH
@pytest.mark.parametrize(
    "fault", [failing_answer(503), failing_answer(503, 0), failing_answer(429), failing_answer(500)]
)
def test_code_is_repeated_after_a_server_error(mode: str, fault: Fault) -> None:
    """After a server error before the code was read, the code is sent again."""
    with AuthorizationServer() as server:
        consent = async_consent(mode, server)
        url, pending = consent.begin(REDIRECT)
        server.order(fault, fault)

        assert consent.finish(open_page(url), pending)
        assert 3 == len(server.requests)


@IN_BOTH
def test_long_retry_after_is_passed_on(mode: str) -> None:
    """If `Retry-After` is too long to wait, the error carries its time."""
    with AuthorizationServer() as server:
        consent = async_consent(mode, server)
        url, pending = consent.begin(REDIRECT)
        server.order(failing_answer(503, 3000))
        with pytest.raises(CredentialRefreshFailed, match="HTTP 503") as excinfo:
            consent.finish(open_page(url), pending)

    assert excinfo.value.retryable
    assert excinfo.value.retry_at is not None
    assert excinfo.value.retry_at > datetime.now(UTC) + timedelta(seconds=2900)


@IN_BOTH
def test_refused_connection_does_not_use_the_code(mode: str) -> None:
    """If the connection is refused, the code is not used and the consent can be finished later."""
    with AuthorizationServer() as server:
        consent = async_consent(mode, server)
        url, pending = consent.begin(REDIRECT)
        callback = open_page(url)
    with pytest.raises(CredentialRefreshFailed, match="cannot be reached") as excinfo:
        consent.finish(callback, pending)

    assert type(excinfo.value) is CredentialRefreshFailed
    assert excinfo.value.retryable


@IN_BOTH
def test_no_redirect_is_followed(mode: str) -> None:
    """If the server redirects a token request, the code is not sent to the other server."""
    with AuthorizationServer() as other_server, AuthorizationServer() as server:
        consent = async_consent(mode, server)
        url, pending = consent.begin(REDIRECT)
        server.order(redirect_to(other_server.token_url, status=307))
        with pytest.raises(CredentialRefreshFailed, match="HTTP 307"):
            consent.finish(open_page(url), pending)

        assert () == other_server.requests


@IN_BOTH
@pytest.mark.parametrize(
    "claims, words",
    [
        ({}, None),
        ({"nonce": "other"}, "belongs to another consent"),
        ({"aud": "crm"}, "for another client"),
        ({"iss": "https://evil.example"}, "another issuer"),
        ({"exp": 1}, "expired"),
    ],
)
def test_id_token_is_checked(mode: str, claims: dict[str, Any], words: str | None) -> None:
    """Tokens with an id_token that was issued for another client are discarded."""
    client = Client(scopes=frozenset({"openid", "read"}))
    with AuthorizationServer(client) as server:
        consent = async_consent(mode, server)
        url, pending = consent.begin(REDIRECT, scope="openid read")
        parameters = {
            "iss": server.issuer,
            "aud": "erp",
            "exp": int(datetime.now(UTC).timestamp()) + 60,
            "nonce": query_of(url)["nonce"],
        }
        token = id_token(parameters | claims)
        server.order(respond_with(id_token=token))
        if words is None:
            assert Secret(token) == consent.finish(open_page(url), pending).id_token
            return
        with pytest.raises(VendorFailed, match=words) as excinfo:
            consent.finish(open_page(url), pending)
    assert not excinfo.value.retryable
    assert "Check the issuer" in excinfo.value.remedy


@IN_BOTH
def test_grant_without_requested_id_token_is_discarded(mode: str) -> None:
    """If OpenID Connect was requested, a grant without an id_token is discarded."""
    with AuthorizationServer(Client(scopes=frozenset({"openid"}))) as server:
        consent = async_consent(mode, server)
        url, pending = consent.begin(REDIRECT, scope="openid")
        with pytest.raises(VendorFailed, match="is missing"):
            consent.finish(open_page(url), pending)


def test_consent_expires_by_the_given_clock() -> None:
    """A callback that arrives after the allowed time is refused."""
    clock = Clock()
    with AuthorizationServer(clock=clock) as server:
        consent = OAuthConsent(client_of(server), clock=clock, consent_timeout=timedelta(minutes=5))
        url, pending = consent.begin(REDIRECT)
        callback = open_page(url)
        clock.advance(300)
        with pytest.raises(AuthorizationRequired, match="after the consent had expired"):
            consent.finish(callback, pending)


def test_no_frame_shows_a_code() -> None:
    """After an error, moorage's local variables in the traceback hold no code or secret."""
    secrets: list[str] = ["s3cr3t"]

    def texts_in_error(error: BaseException) -> list[str]:
        results: list[str] = []
        trace = error.__traceback__
        while trace is not None:
            if is_of_moorage(trace.tb_frame.f_code.co_filename):
                frame_locals = repr(trace.tb_frame.f_locals)
                results += [secret for secret in secrets if secret in frame_locals]
            trace = trace.tb_next
        assert error.__cause__ is None
        return results + [secret for secret in secrets if secret in repr(error)]

    faults = [
        lost_answer(),
        failing_answer(400, processed=True),
        succeeding_with_error(),
        unread_request(),
        malformed_body(),
    ]
    with AuthorizationServer() as server:
        for fault in faults:
            consent = async_consent("plain", server)
            url, pending = consent.begin(REDIRECT)
            callback = open_page(url)
            secrets += [query_of(callback)["code"], pending.code_verifier.reveal()]
            server.order(fault, fault, fault)
            for brought in (callback, f"{callback}&code=twice"):
                with pytest.raises((CredentialRefreshFailed, InvalidData)) as excinfo:
                    consent.finish(brought, pending)
                assert [] == texts_in_error(excinfo.value)


# --- how it is made ----------------------------------------------------------


def test_hanging_server_is_not_waited_for() -> None:
    """Each request to the authorisation server has a timeout."""
    with AuthorizationServer() as server:
        consent = OAuthConsent(client_of(server), request_timeout=0.2, retry=RetryPolicy.none())
        server.order(late_answer(30), path="/device_authorization")
        with pytest.raises(CredentialRefreshFailed, match="cannot be reached"):
            consent.begin_device()
        server.release()


def test_oversleeping_ends_the_wait() -> None:
    """If a pause lasts longer than the remaining time, no further token request is sent."""
    clock = Clock()

    class OversleepingClock:
        def sleep(self, seconds: float, /) -> None:
            clock.sleep(seconds + 3600)

    with AuthorizationServer() as server:
        consent = OAuthConsent(client_of(server), clock=clock, sleeper=OversleepingClock())
        server.order(failing_answer(503), path="/device_authorization")
        with pytest.raises(CredentialRefreshFailed, match="No time was left"):
            consent.begin_device()


def test_consent_needs_server_endpoints() -> None:
    """If an endpoint is missing, an error names it before any request is sent."""
    with AuthorizationServer() as server:
        bare_client = client_of(
            server, server=endpoints(server, device_authorization_endpoint=None)
        )
        with pytest.raises(ConfigurationError, match="device_authorization_endpoint"):
            OAuthConsent(bare_client).begin_device()
        assert 0 == server.connections


def test_client_must_be_an_oauth_client() -> None:
    """A consent refuses a value that is not an OAuthClient."""
    with pytest.raises(ConfigurationError, match="not an OAuthClient"):
        OAuthConsent("erp")  # type: ignore[arg-type]  # what a caller may do


def test_repr_shows_the_client_id() -> None:
    """The repr of a consent has the client's id and no secret."""
    with AuthorizationServer() as server:
        representation = repr(OAuthConsent(client_of(server)))

    assert "erp" in representation
    assert "s3cr3t" not in representation
