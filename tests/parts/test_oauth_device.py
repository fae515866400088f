"""OAuth device login and revocation of tokens, against a strict server."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AuthorizationRequired,
    ConnectionFailed,
    CredentialRefreshFailed,
    DeadlineExceeded,
    OAuthCredentials,
    UnsupportedByVendor,
    VendorFailed,
    VendorRejected,
)
from tests.domain.oauth.test_id_token import id_token
from tests.parts.ways_of_use import AsyncSleeper, Clock
from tests.support.authorization_faults import (
    failing_answer,
    late_answer,
    lost_answer,
    malformed_body,
    respond_with,
    succeeding_with_error,
    unread_request,
)
from tests.support.authorization_server import AuthorizationServer, Client
from tests.support.oauth_people import (
    IN_BOTH,
    AwaitedConsent,
    async_consent,
    client_of,
    proof_key,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.authorization_faults import Fault


# --- with another device -----------------------------------------------------


class ConsentWithEvents:
    """A consent during whose pauses the test runs a function."""

    def __init__(
        self, mode: str, server: AuthorizationServer, clock: Clock, **changes: Any
    ) -> None:
        self.clock = clock
        self.does: dict[int, Callable[[], None]] = {}
        self.consent = AwaitedConsent(
            mode,
            client_of(server, **changes),
            clock=clock,
            sleeper=self,
            async_sleeper=AsyncSleeper(self),  # type: ignore[arg-type]  # it sleeps as that does
        )

    def sleep(self, seconds: float, /) -> None:
        """Advance the clock, and run the action scheduled for this sleep, if there is one."""
        self.clock.sleep(seconds)
        self.does.pop(len(self.clock.slept), lambda: None)()


@IN_BOTH
def test_device_polls_until_the_person_has_decided(mode: str) -> None:
    """The server is polled at its interval until the person has decided about the device."""
    clock = Clock()
    with AuthorizationServer(clock=clock) as server:
        device_consent = ConsentWithEvents(mode, server, clock)
        device = device_consent.consent.begin_device(scope="read", parameters={"audience": "vat"})
        device_consent.does[3] = lambda: server.decide(device.user_code)
        grant = device_consent.consent.finish_device(device)

        assert ("read",) == grant.credentials.scope
        assert [5.0, 5.0, 5.0] == clock.slept
        assert [400, 400, 200] == [request.status for request in server.requests]
        assert 0 == server.hasty_polls
        assert f"{server.url}/device?user_code={device.user_code}" == (
            device.verification_uri_complete
        )


@IN_BOTH
def test_slow_down_lengthens_the_polling_interval(mode: str) -> None:
    """Each `slow_down` of the server makes the polling interval permanently 5 s longer."""
    clock = Clock()
    with AuthorizationServer(clock=clock) as server:
        device_consent = ConsentWithEvents(mode, server, clock)
        device = device_consent.consent.begin_device()
        slow_down = succeeding_with_error("slow_down")
        server.order(slow_down, slow_down)
        device_consent.does[4] = lambda: server.decide(device.user_code)

        assert device_consent.consent.finish_device(device)
        assert [5.0, 10.0, 15.0, 15.0] == clock.slept
        assert 0 == server.hasty_polls


@IN_BOTH
def test_polling_backs_off_while_the_server_fails(mode: str) -> None:
    """While the server fails or is silent, the polling pause doubles; later it is short again."""
    clock = Clock()
    with AuthorizationServer(clock=clock) as server:
        device_consent = ConsentWithEvents(mode, server, clock)
        device = device_consent.consent.begin_device()
        server.order(failing_answer(503), lost_answer(), unread_request())
        device_consent.does[5] = lambda: server.decide(device.user_code)

        assert device_consent.consent.finish_device(device)
        assert [5.0, 10.0, 20.0, 40.0, 5.0] == clock.slept


@IN_BOTH
@pytest.mark.parametrize(
    "happens, words",
    [
        (lambda server, device: server.decide(device.user_code, approve=False), "access_denied"),
        (lambda server, _: server.advance(10_000), "expired_token"),
    ],
)
def test_refused_consent_ends_polling(mode: str, happens: Callable[..., None], words: str) -> None:
    """If the person refuses, or the server forgot the device code, polling ends."""
    clock = Clock()
    with AuthorizationServer(clock=clock) as server:
        device_consent = ConsentWithEvents(mode, server, clock)
        device = device_consent.consent.begin_device()
        device_consent.does[2] = lambda: happens(server, device)
        with pytest.raises(AuthorizationRequired, match=words):
            device_consent.consent.finish_device(device)

        assert 2 == len(server.requests)


@IN_BOTH
def test_expired_code_is_not_polled(mode: str) -> None:
    """After its lifetime a device code is not polled any more."""
    clock = Clock()
    with AuthorizationServer(clock=clock) as server:
        server.people.device_lifetime = 12
        device_consent = ConsentWithEvents(mode, server, clock)
        device = device_consent.consent.begin_device()
        with pytest.raises(AuthorizationRequired, match="code expired") as excinfo:
            device_consent.consent.finish_device(device)

        assert 2 == len(server.requests)
    assert "start the authorisation again" in excinfo.value.remedy


@IN_BOTH
def test_device_code_or_timeout_has_ended_at_exact_moment_of_its_end(mode: str) -> None:
    """A device code or timeout has ended at the exact moment of its end."""
    clock = Clock()
    with AuthorizationServer(clock=clock) as server:
        server.people.device_lifetime = 10
        device_consent = ConsentWithEvents(mode, server, clock)
        device = device_consent.consent.begin_device()
        with pytest.raises(DeadlineExceeded):
            device_consent.consent.finish_device(device, timeout=5)
        assert [] == clock.slept
        with pytest.raises(AuthorizationRequired, match="code expired"):
            device_consent.consent.finish_device(device)
        assert [5.0] == clock.slept


@IN_BOTH
def test_timeout_is_retryable(mode: str) -> None:
    """After a timeout, waiting for the same device code can be continued."""
    clock = Clock()
    with AuthorizationServer(clock=clock) as server:
        device_consent = ConsentWithEvents(mode, server, clock)
        device = device_consent.consent.begin_device()
        with pytest.raises(
            DeadlineExceeded, match="The person did not authorise or deny"
        ) as excinfo:
            device_consent.consent.finish_device(device, timeout=timedelta(seconds=7))
        assert excinfo.value.retryable
        assert "Call finish_device again" in excinfo.value.remedy
        assert [5.0] == clock.slept

        server.decide(device.user_code)
        assert device_consent.consent.finish_device(device, timeout=7)


@IN_BOTH
def test_timeout_ends_a_running_poll(mode: str) -> None:
    """The timeout also ends a poll whose request is still running."""
    clock = Clock()
    with AuthorizationServer(clock=clock) as server:
        device_consent = ConsentWithEvents(mode, server, clock)
        device = device_consent.consent.begin_device()
        server.decide(device.user_code)
        server.order(late_answer(2))
        with pytest.raises(DeadlineExceeded):
            device_consent.consent.finish_device(device, timeout=5.2)
        server.release()


@IN_BOTH
def test_foreign_id_token_is_refused(mode: str) -> None:
    """A device login is refused if its id_token has an unexpected issuer."""
    clock = Clock()
    with AuthorizationServer(clock=clock) as server:
        device_consent = ConsentWithEvents(mode, server, clock)
        device = device_consent.consent.begin_device()
        server.decide(device.user_code)
        claims = {"aud": "erp", "exp": int(clock.utc().timestamp()) + 60}
        server.order(respond_with(id_token=id_token({**claims, "iss": "https://evil.example"})))
        with pytest.raises(VendorFailed, match="another issuer"):
            device_consent.consent.finish_device(device)


@IN_BOTH
def test_device_errors_are_masked(mode: str) -> None:
    """Codes, tokens and secrets that the authorisation server repeats are masked in errors."""
    clock = Clock()
    with AuthorizationServer(clock=clock) as server:
        device_consent = ConsentWithEvents(mode, server, clock)
        server.order(
            respond_with(error="invalid_scope", error_description="so s3cr3t"),
            path="/device_authorization",
        )
        with pytest.raises(CredentialRefreshFailed, match="invalid_scope: so") as excinfo:
            device_consent.consent.begin_device()
        assert "s3cr3t" not in str(excinfo.value)

        device = device_consent.consent.begin_device()
        secret_proofs = device.device_code.reveal(), "s3cr3t"
        server.order(
            respond_with(error="invalid_scope", error_description=f"so {' '.join(secret_proofs)}")
        )
        with pytest.raises(CredentialRefreshFailed, match="invalid_scope: so") as excinfo:
            device_consent.consent.finish_device(device)
        assert [] == [proof for proof in secret_proofs if proof in str(excinfo.value)]

        server.order(
            respond_with(error="invalid_scope", error_description="so at-0000"), path="/revoke"
        )
        with pytest.raises(VendorRejected, match="invalid_scope: so") as refused_excinfo:
            device_consent.consent.revoke(OAuthCredentials(access_token="at-0000"))
        assert "at-0000" not in str(refused_excinfo.value)


@IN_BOTH
def test_tokens_of_device_are_bound_to_it_with_dpop_key(mode: str) -> None:
    """With a DPoP key, a device's tokens are bound to the key, and nonces are sent back."""
    clock = Clock()
    dpop = Client(method="none", dpop=True)
    with AuthorizationServer(dpop, clock=clock, nonces=True) as server:
        device_consent = ConsentWithEvents(mode, server, clock, secret=None, dpop_key=proof_key())
        device = device_consent.consent.begin_device()
        device_consent.does[2] = lambda: server.decide(device.user_code)
        grant = device_consent.consent.finish_device(device)

        assert "DPoP" == grant.credentials.token_type
        assert ["use_dpop_nonce", "authorization_pending", None] == [
            request.error for request in server.requests
        ]


@IN_BOTH
def test_unreadable_grant_is_lost(mode: str) -> None:
    """If the response with the tokens cannot be read, the error states that the grant was lost."""
    clock = Clock()
    with AuthorizationServer(clock=clock) as server:
        device_consent = ConsentWithEvents(mode, server, clock)
        device = device_consent.consent.begin_device()
        server.decide(device.user_code)
        server.order(malformed_body())
        with pytest.raises(AuthorizationRequired, match="may have been lost"):
            device_consent.consent.finish_device(device)


@IN_BOTH
@pytest.mark.parametrize(
    "fault, words",
    [
        (failing_answer(503, 3000), "HTTP 503"),
        (malformed_body(b"{}"), "unreadable answer"),
        (succeeding_with_error("invalid_scope"), "invalid_scope"),
    ],
)
def test_missing_device_code_is_an_error(mode: str, fault: Fault, words: str) -> None:
    """If the server issues no device code, the error has the server's reason."""
    with AuthorizationServer() as server:
        server.order(fault, path="/device_authorization")
        with pytest.raises(CredentialRefreshFailed, match=words):
            async_consent(mode, server).begin_device()


@IN_BOTH
def test_start_of_a_device_login_is_retried(mode: str) -> None:
    """Starting a device login is retried after any failure."""
    with AuthorizationServer() as server:
        server.order(failing_answer(503), lost_answer(), path="/device_authorization")

        assert async_consent(mode, server).begin_device().user_code


# --- giving back -------------------------------------------------------------


@IN_BOTH
def test_revocation_sends_refresh_token_or_access_token(mode: str) -> None:
    """Revocation sends the refresh token, or the access token if there is no other."""
    with AuthorizationServer() as server:
        consent = async_consent(mode, server)
        access, refresh = server.seed()
        other_access, _ = server.seed()
        consent.revoke(OAuthCredentials(access_token=access, refresh_token=refresh))
        assert 1 == server.live_families

        consent.revoke(OAuthCredentials(access_token=other_access))
        consent.revoke(OAuthCredentials(access_token="nobody-knows-this-one"))
        assert 1 == server.live_families


@IN_BOTH
def test_revocation_is_retried(mode: str) -> None:
    """Revocation is retried after server errors and lost responses."""
    with AuthorizationServer() as server:
        access, refresh = server.seed()
        server.order(failing_answer(503, 0), lost_answer(), path="/revoke")
        async_consent(mode, server).revoke(
            OAuthCredentials(access_token=access, refresh_token=refresh)
        )

        assert 0 == server.live_families


@IN_BOTH
def test_failed_revocation_has_reason_and_retry_time(mode: str) -> None:
    """If revocation fails, the error has the reason and the time to retry."""
    some_credentials = OAuthCredentials(access_token="at-0000", refresh_token="rt-0000")
    with AuthorizationServer() as server:
        consent = async_consent(mode, server)
        server.order(succeeding_with_error("unsupported_token_type"), path="/revoke")
        with pytest.raises(UnsupportedByVendor):
            consent.revoke(some_credentials)
        server.order(failing_answer(503, 3000), path="/revoke")
        with pytest.raises(VendorFailed) as excinfo:
            consent.revoke(some_credentials)
        assert excinfo.value.retry_at is not None
    with pytest.raises(ConnectionFailed):
        consent.revoke(some_credentials)
