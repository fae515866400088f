"""Requests to an authorisation server: their number, their time limits and response size."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from moorage import (
    AuthorizationServer,
    CredentialRefreshFailed,
    DeviceConsent,
    OAuthClient,
    OAuthConsent,
    Response,
    RetryPolicy,
)
from moorage.domain.oauth.token_answer import LARGEST
from tests.support import authorization_jwt as jose
from tests.support.modes import Harness, sync_and_async
from tests.support.proofs import proof_key
from tests.support.virtual_ports import START, PiecewiseBody

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SERVER = AuthorizationServer(
    token_endpoint="https://login.example/token",
    authorization_endpoint="https://login.example/authorize",
    device_authorization_endpoint="https://login.example/device",
)
JSON = {"Content-Type": "application/json"}
DEVICE_ANSWER = json.dumps(
    {
        "device_code": "d3vice",
        "user_code": "WDJB",
        "verification_uri": "https://login.example/d",
    }
).encode()
GRANTED = Response(200, JSON, b'{"access_token": "at-1", "token_type": "Bearer"}')
DEVICE = DeviceConsent(
    user_code="WDJB",
    verification_uri="https://login.example/d",
    device_code="d3vice",
    expires_at=START + timedelta(minutes=10),
)
PATIENT_RETRY = RetryPolicy(max_attempts=4, base_delay=1.0, jitter="none", max_retry_after=1_000)


async def request_token(harness: Harness, verb: str, *settings: Any, **options: Any) -> Any:
    """Call a method of an OAuth consent, with the test's fake vendor as its server."""
    ports = {
        "http": harness.of_mode(harness.vendor),
        "sleeper": harness.of_mode(harness.sleeper),
    }
    fields: dict[str, Any] = {
        "client": OAuthClient(server=SERVER, client_id="erp", secret="hush"),
        "clock": harness.clock,
        "randomness": harness.chance,
        "retry": PATIENT_RETRY,
        "request_timeout": 50.0,
        **{f"async_{name}" if harness.is_awaited else name: port for name, port in ports.items()},
    }
    consent = OAuthConsent(**(fields | options))
    if harness.is_awaited:
        return await getattr(consent, f"a{verb}")(*settings)
    return getattr(consent, verb)(*settings)


def failing_response(wait: int) -> Response:
    """Return a 503 response that asks for a pause of the given number of seconds."""
    return Response(503, {"Retry-After": str(wait)})


def advance_function(harness: Harness, seconds: float) -> Callable[[], Awaitable[None]]:
    """Return a function that advances the clock by the given number of seconds."""

    async def pass_by() -> None:
        harness.clock.advance(seconds)

    return pass_by


@sync_and_async
async def test_response_in_several_chunks_is_read_as_whole(harness: Harness) -> None:
    """A response in several chunks is read as a whole."""
    harness.vendor.answers(
        PiecewiseBody(200, JSON, DEVICE_ANSWER[:7], DEVICE_ANSWER[7:50], DEVICE_ANSWER[50:])
    )

    assert "WDJB" == (await request_token(harness, "begin_device")).user_code


@sync_and_async
async def test_response_size_is_limited(harness: Harness) -> None:
    """At most a megabyte of an authorisation server's response is read."""
    harness.vendor.answers(
        PiecewiseBody(200, JSON, DEVICE_ANSWER.ljust(LARGEST)),
        PiecewiseBody(200, JSON, DEVICE_ANSWER.ljust(LARGEST), b" "),
    )

    assert "WDJB" == (await request_token(harness, "begin_device")).user_code
    with pytest.raises(CredentialRefreshFailed, match=f"more than {LARGEST} bytes"):
        await request_token(harness, "begin_device", retry=RetryPolicy.none())


@sync_and_async
async def test_each_pause_depends_on_one_before_it_with_decorrelated_jitter(
    harness: Harness,
) -> None:
    """With decorrelated jitter, each pause depends on the one before it."""
    harness.vendor.answers(503, 503, 503, Response(200, JSON, DEVICE_ANSWER))
    policy = RetryPolicy(
        max_attempts=4, backoff="decorrelated", base_delay=2.0, max_delay=100.0, jitter="none"
    )

    assert await request_token(harness, "begin_device", retry=policy)
    assert [4.0, 7.0, 11.5] == harness.sleeper.slept


@pytest.mark.parametrize("wait, slept", [(99, [99]), (100, [])])
@sync_and_async
async def test_pause_beyond_the_timeout_is_not_begun(
    harness: Harness, wait: int, slept: list[float]
) -> None:
    """A retry is not made if its pause would end after the timeout."""
    harness.vendor.answers(failing_response(wait))
    harness.vendor.otherwise = Response(200, JSON, DEVICE_ANSWER)
    if slept:
        assert await request_token(harness, "begin_device")
    else:
        with pytest.raises(CredentialRefreshFailed, match="HTTP 503"):
            await request_token(harness, "begin_device")
    assert slept == harness.sleeper.slept


@pytest.mark.parametrize("more, time_limit", [(0.0, 40.0), (39.5, 0.5)])
@sync_and_async
async def test_request_is_limited_by_its_timeout_or_the_remaining_time(
    harness: Harness, more: float, time_limit: float
) -> None:
    """A request is limited by its own timeout or by the remaining time, whichever is shorter."""
    harness.vendor.answers(failing_response(60), Response(200, JSON, DEVICE_ANSWER))
    harness.sleeper.meanwhile.append(advance_function(harness, more))

    assert await request_token(harness, "begin_device")
    assert [50.0, time_limit] == [requests.timeouts.total for requests in harness.vendor.requests]


@sync_and_async
async def test_code_is_kept_if_no_time_is_left(harness: Harness) -> None:
    """Without remaining time no token request is sent, so the code can still be used."""
    consent = OAuthConsent(OAuthClient(server=SERVER, client_id="erp"), clock=harness.clock)
    url, pending = consent.begin("https://erp.example/back")
    state = parse_qs(urlsplit(url).query)["state"][0]
    harness.vendor.answers(failing_response(60), GRANTED)
    harness.sleeper.meanwhile.append(advance_function(harness, 40))

    with pytest.raises(CredentialRefreshFailed, match="No time was left") as excinfo:
        await request_token(harness, "finish", f"code=c0de&state={state}", pending)

    assert CredentialRefreshFailed is type(excinfo.value)
    assert 1 == len(harness.vendor.requests)


@sync_and_async
async def test_nonce_is_used_once(harness: Harness) -> None:
    """A token request is repeated once with the server's DPoP nonce, and no second time."""
    wanting = Response(400, {**JSON, "DPoP-Nonce": "n-1"}, b'{"error": "use_dpop_nonce"}')
    harness.vendor.answers(wanting, wanting, GRANTED)
    client = OAuthClient(server=SERVER, client_id="erp", secret="hush", dpop_key=proof_key())

    with pytest.raises(CredentialRefreshFailed, match="use_dpop_nonce"):
        await request_token(harness, "finish_device", DEVICE, client=client)

    proofs = [
        jose.read_jwt(requests.header("DPoP") or "").claims for requests in harness.vendor.requests
    ]
    assert [None, "n-1"] == [claims.get("nonce") for claims in proofs]
    assert "nonce" not in proofs[0]
