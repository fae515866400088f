"""Firebase Cloud Messaging: its requests, its error responses and its options."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from moorage import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectorError,
    InvalidData,
    VendorFailed,
)
from moorage.contracts.push import DeviceToken, PushMessage, PushTopic
from moorage.contracts.routes import Account
from moorage.domain.http.requests import Request
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient
from moorage.testing.sandboxes.push.firebase import FirebaseSandbox
from moorage.vendors.push.firebase import Firebase, classify, content
from tests.vendors.push_subjects import firebase_error

TOKEN = DeviceToken("cR3g1s7r4t10n:APA91b-1")


def refused_field(**fields: Any) -> str:
    """Send an invalid notification; return the field that the error names."""
    sandbox = FirebaseSandbox()
    vendor = Firebase(credentials=sandbox.key_file())
    message = PushMessage(**dict[str, Any](to=TOKEN, title="T") | fields)
    with (
        Hub([Account("push", vendor)], http=SandboxHttpClient(sandbox)) as hub,
        pytest.raises(InvalidData, match="Firebase ") as excinfo,
    ):
        hub.push().send(message)
    assert [] == sandbox.requests
    return str(excinfo.value.field)


def test_message_is_in_firebases_format() -> None:
    """Each field is sent under the names that Firebase, Apple and browsers have for it."""
    message = PushMessage(
        to=TOKEN,
        title="T",
        body="B",
        data={"a": "1"},
        badge=0,
        sound="default",
        image="https://a.example/1.png",
        link="https://a.example/1",
        collapse_key="order 1042",
        time_to_live=timedelta(0),
    )

    assert {
        "token": TOKEN.token,
        "notification": {"title": "T", "body": "B", "image": "https://a.example/1.png"},
        "data": {"a": "1", "link": "https://a.example/1"},
        "android": {
            "collapse_key": "order 1042",
            "priority": "HIGH",
            "ttl": "0s",
            "notification": {"sound": "default", "notification_count": 0},
        },
        "apns": {
            "headers": {
                "apns-priority": "10",
                "apns-collapse-id": "7OmT6ZnXnn8jRRYaWpj_IJ4e6gMbz8VmYCqVRkQ67uE",
                "apns-expiration": "0",
            },
            "payload": {
                "aps": {
                    "alert": {"title": "T", "body": "B"},
                    "badge": 0,
                    "sound": "default",
                    "mutable-content": 1,
                }
            },
            "fcm_options": {"image": "https://a.example/1.png"},
        },
        "webpush": {
            "headers": {"Urgency": "high", "TTL": "0"},
            "fcm_options": {"link": "https://a.example/1"},
        },
    } == content(message)


def test_silent_message_shows_nothing() -> None:
    """A silent message shows nothing to the user, and wakes Apple's apps in the background."""
    assert {
        "topic": "orders",
        "data": {"a": "1"},
        "android": {"priority": "NORMAL"},
        "apns": {
            "headers": {"apns-priority": "5", "apns-push-type": "background"},
            "payload": {"aps": {"content-available": 1}},
        },
        "webpush": {"headers": {"Urgency": "normal"}},
    } == content(PushMessage(to=PushTopic("orders"), data={"a": "1"}, silent=True))


@pytest.mark.parametrize("name", ["from", "message_type", "google.a", "gcm"])
def test_reserved_names_are_refused(name: str) -> None:
    """Data under a name that Firebase uses itself is refused; similar names are not."""
    assert "data" == refused_field(data={name: "1"})


def test_large_messages_are_refused() -> None:
    """A message above Firebase's size limit is refused; the limit for topics is lower."""
    assert "data" == refused_field(body="x" * 4_100)
    assert "data" == refused_field(data={"a": "x" * 4_100})
    assert "data" == refused_field(to=PushTopic("orders"), body="x" * 2_100)


@pytest.mark.parametrize("code", [None, "THIRD_PARTY_AUTH_ERROR"])
def test_refused_credentials_are_reported(code: str | None) -> None:
    """If Firebase or Apple refuses the credentials, AuthenticationFailed is raised."""
    answer = firebase_error(401, "UNAUTHENTICATED", code)

    error = classify(Request.get("/"), answer)
    assert AuthenticationFailed is type(error)
    assert "Firebase refused" in str(error)


def test_firebase_outage_keeps_its_known_code() -> None:
    """A Firebase outage keeps Firebase's code if it is known; otherwise the status decides."""
    error = classify(Request.get("/"), firebase_error(500, "INTERNAL"))
    assert isinstance(error, VendorFailed)
    assert "INTERNAL" == error.vendor_code
    assert None is classify(Request.get("/"), firebase_error(500, "A_NEW_WORD"))


def test_project_is_needed() -> None:
    """The project comes from the key or the option; without either an error is raised."""
    assert {} == Firebase(project="acme").clients()
    with pytest.raises(ConfigurationError, match="Firebase project is not known") as excinfo:
        Firebase()
    assert "project" == excinfo.value.path
    sandbox = FirebaseSandbox()
    vendor = Firebase(credentials=sandbox.key_file(), project="another")
    with (
        Hub([Account("push", vendor)], http=SandboxHttpClient(sandbox)) as hub,
        suppress(ConnectorError),
    ):
        hub.push().send(PushMessage(to=TOKEN, title="T"))
    assert "/v1/projects/another/messages:send" == sandbox.requests[-1].path
    with pytest.raises(ConfigurationError, match="not the key of a service account"):
        Firebase(credentials="{}", project="acme")


@pytest.mark.parametrize(
    "code, kind",
    [
        ("UNREGISTERED", "DeviceGone"),
        ("INVALID_ARGUMENT", "InvalidRequest"),
        ("NOT_FOUND", "InvalidRequest"),
        ("QUOTA_EXCEEDED", "RateLimitExceeded"),
        ("RESOURCE_EXHAUSTED", "RateLimitExceeded"),
        ("PERMISSION_DENIED", "AuthenticationFailed"),
        ("THIRD_PARTY_AUTH_ERROR", "AuthenticationFailed"),
        ("UNAUTHENTICATED", "AuthenticationFailed"),
        ("INTERNAL", "VendorFailed"),
        ("UNAVAILABLE", "VendorFailed"),
        ("SENDER_ID_MISMATCH", "VendorRejected"),
    ],
)
def test_code_of_a_refusal_has_an_error_class(code: str, kind: str) -> None:
    """Each known code of Firebase and Google has its class of errors."""
    assert kind == type(classify(Request.get("/"), firebase_error(400, code))).__name__


@pytest.mark.parametrize("to, largest_size", [(TOKEN, 4_096), (PushTopic("orders"), 2_048)])
def test_message_of_the_largest_size_is_sent(
    to: DeviceToken | PushTopic, largest_size: int
) -> None:
    """Firebase takes 4,096 bytes of texts and data, and 2,048 for a topic."""
    sandbox = FirebaseSandbox()
    vendor = Firebase(credentials=sandbox.key_file())
    sandbox.register(TOKEN)
    size = largest_size - len('{"notification":{"title":""}}')
    with Hub([Account("push", vendor)], http=SandboxHttpClient(sandbox)) as hub:
        hub.push().send(PushMessage(to=to, title="T" * size))
        with pytest.raises(InvalidData, match="Firebase "):
            hub.push().send(PushMessage(to=to, title="T" * (size + 1)))
