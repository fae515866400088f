"""The OAuth device flow: the code shown to a user, and the polling interval."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from moorage import AttemptTimeout, DestinationRefused, DeviceConsent, Response, Secret
from moorage.domain.oauth.device import PollingPace, polling_parameters, read_device
from moorage.domain.oauth.token_answer import Refusal, Refused

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DEVICE_ANSWER: dict[str, Any] = {
    "device_code": "d3vice",
    "user_code": "WDJB-MJHT",
    "verification_uri": "https://login.example/device",
    "verification_uri_complete": "https://login.example/device?user_code=WDJB-MJHT",
    "expires_in": 1800,
    "interval": 7,
}


def answer(status: int = 200, **changes: Any) -> DeviceConsent | Refused:
    """Return the parsed device authorisation response, with these members changed."""
    members = {
        name: value for name, value in (DEVICE_ANSWER | changes).items() if value is not None
    }
    return read_device(Response(status, body=json.dumps(members).encode()), NOW)


def test_device_response_has_code_urls_expiry_and_interval() -> None:
    """A device authorisation response contains user code, URLs, expiry and polling interval."""
    consent = answer()

    assert (
        DeviceConsent(
            user_code="WDJB-MJHT",
            verification_uri="https://login.example/device",
            verification_uri_complete="https://login.example/device?user_code=WDJB-MJHT",
            device_code="d3vice",
            expires_at=NOW + timedelta(minutes=30),
            interval=7.0,
        )
        == consent
    )
    assert "d3vice" not in repr(consent)


def test_expiry_is_in_utc() -> None:
    """A device code's expiry is in UTC, whatever time zone the clock uses."""
    response_time = NOW.astimezone(timezone(timedelta(hours=9)))
    consent = read_device(Response(200, body=json.dumps(DEVICE_ANSWER).encode()), response_time)

    assert isinstance(consent, DeviceConsent)
    assert UTC is consent.expires_at.tzinfo


@pytest.mark.parametrize("code", ["x", "x" * 64])
def test_codes_are_short_and_long(code: str) -> None:
    """Device user codes of any length are accepted."""
    consent = answer(user_code=code)

    assert isinstance(consent, DeviceConsent)
    assert code == consent.user_code


@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"interval": None}, (5.0, 1800)),
        ({"interval": 0}, (1.0, 1800)),
        ({"interval": "soon"}, (5.0, 1800)),
        ({"interval": True}, (5.0, 1800)),
        ({"verification_uri_complete": None}, (7.0, 1800)),
        ({"expires_in": None}, (7.0, 600)),
        ({"expires_in": -1}, (7.0, 600)),
        ({"expires_in": 1e300}, (7.0, 86_400)),
        ({"expires_in": 10**400}, (7.0, 86_400)),
        ({"interval": 10**400}, (86_400.0, 1800)),
    ],
)
def test_invalid_numbers_are_replaced_by_defaults(
    changes: dict[str, Any], expected: tuple[float, float]
) -> None:
    """If numbers in a device response are missing or invalid, defaults are used.

    Extreme numbers are limited.
    """
    consent = answer(**changes)

    assert isinstance(consent, DeviceConsent)
    assert expected == (consent.interval, (consent.expires_at - NOW).total_seconds())


def test_no_pause_is_without_end() -> None:
    """A device polling interval too large for a float is clamped to a day."""
    body = json.dumps(DEVICE_ANSWER | {"interval": "@"}).replace('"@"', "1e400").encode()
    consent = read_device(Response(200, body=body), NOW)

    assert isinstance(consent, DeviceConsent)
    assert 86_400.0 == consent.interval


def test_older_name_of_the_verification_url_is_accepted() -> None:
    """The older name `verification_url` of a draft is accepted in a device response."""
    consent = answer(verification_uri=None, verification_url="https://login.example/d")

    assert isinstance(consent, DeviceConsent)
    assert "https://login.example/d" == consent.verification_uri


@pytest.mark.parametrize(
    "changes",
    [
        {"device_code": None},
        {"device_code": 7},
        {"user_code": None},
        {"user_code": 7},
        {"user_code": ""},
        {"user_code": "\x1b[2J"},
        {"user_code": "x" * 65},
        {"verification_uri": None},
        {"verification_uri": "http://login.example/device"},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri_complete": "javascript:alert(1)"},
    ],
)
def test_unsafe_answers_are_refused(changes: dict[str, Any]) -> None:
    """A device response with an unsafe verification URL or odd code characters is refused."""
    refused_consent = answer(**changes)

    assert isinstance(refused_consent, Refused)
    assert (Refusal.WRONG, "unreadable answer") == (refused_consent.why, refused_consent.code)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"<html>"])
def test_unreadable_answers_are_refused(body: bytes) -> None:
    """A body that is not a device authorisation response is refused."""
    assert isinstance(read_device(Response(200, body=body), NOW), Refused)


def test_oauth_error_in_a_device_response_is_read() -> None:
    """An OAuth error in a device response is read as an error, with any HTTP status."""
    for status in (200, 400):
        refused_consent = answer(status, error="invalid_client")
        assert isinstance(refused_consent, Refused)
        assert "invalid_client" == refused_consent.code


def test_refusal_has_the_wait_and_masks_secrets() -> None:
    """A device error has its `Retry-After` date in seconds, and masks secrets in its text."""
    refused_consent = read_device(
        Response(
            503,
            headers={"Retry-After": "Tue, 01 Jan 2030 00:00:45 GMT"},
            body=b'{"error": "server_error", "error_description": "no s3cret here"}',
        ),
        NOW,
        [Secret("s3cret")],
    )

    assert isinstance(refused_consent, Refused)
    assert 45.0 == refused_consent.wait
    assert "s3cret" not in str(refused_consent.said)


def test_polling_sends_device_code_grant_type_of_rfc_8628() -> None:
    """Polling sends the device-code grant type of RFC 8628, and the device code."""
    assert {
        "grant_type": "urn:ietf:params:oauth:grant-type:device_code",
        "device_code": "d3vice",
    } == dict(polling_parameters(Secret("d3vice")))


def refused_request(reason: Refusal, code: str, wait: float | None = None) -> Refused:
    """Return a token request that was refused for this reason."""
    return Refused(why=reason, code=code, wait=wait)


PENDING = refused_request(Refusal.PENDING, "authorization_pending")
SLOWER = refused_request(Refusal.LATER, "slow_down")


@pytest.mark.parametrize(
    "reply, pace",
    [
        (PENDING, PollingPace(5.0, 5.0)),
        (SLOWER, PollingPace(10.0, 10.0)),
        (refused_request(Refusal.LATER, "slow_down", 30.0), PollingPace(10.0, 30.0)),
        (refused_request(Refusal.LATER, "HTTP 503"), PollingPace(5.0, 10.0)),
        (refused_request(Refusal.LATER, "HTTP 503", 60.0), PollingPace(5.0, 60.0)),
        (AttemptTimeout("too slow."), PollingPace(5.0, 10.0)),
        (DestinationRefused("no."), None),
        (refused_request(Refusal.GONE, "access_denied"), None),
        (refused_request(Refusal.GONE, "expired_token"), None),
        (refused_request(Refusal.WRONG, "invalid_client"), None),
        (refused_request(Refusal.LOST, "unreadable answer"), None),
    ],
)
def test_slow_down_adds_five_seconds_to_the_polling_interval(
    reply: Any, pace: PollingPace | None
) -> None:
    """While polling a device code, `slow_down` adds 5 s, and failures double the pause."""
    assert pace == PollingPace.at_first(5.0).after(reply)


def test_failed_poll_doubles_a_short_pause() -> None:
    """If the server states no interval while polling, a failure doubles even a short pause."""
    failing_error = refused_request(Refusal.LATER, "HTTP 503")

    assert PollingPace(0.25, 0.5) == PollingPace.at_first(0.25).after(failing_error)


def test_slow_down_and_failures_lengthen_the_polling_pause() -> None:
    """While polling, each `slow_down` and failure lengthens the pause, up to a maximum."""
    pace = PollingPace.at_first(5.0)
    pauses: list[float] = []
    for reply in (SLOWER, PENDING, SLOWER, AttemptTimeout("x"), AttemptTimeout("x"), PENDING):
        next_pace = pace.after(reply)
        assert next_pace is not None
        pace = next_pace
        pauses.append(pace.pause)
    assert [10.0, 10.0, 15.0, 30.0, 60.0, 15.0] == pauses

    for _ in range(10):
        next_pace = pace.after(AttemptTimeout("x"))
        assert next_pace is not None
        pace = next_pace
    assert 300.0 == pace.pause
