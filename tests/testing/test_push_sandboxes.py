"""The sandboxes of push vendors refuse what the real services would refuse."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from moorage.contracts.push import DeviceToken
from moorage.domain.http.headers import Headers
from moorage.domain.values.json_text import encode_json
from moorage.errors import InvalidData
from moorage.testing.sandboxes.base import Refusal, SandboxRequest
from moorage.testing.sandboxes.push.apns import ApnsSandbox
from moorage.testing.sandboxes.push.base import PushSandbox
from moorage.testing.sandboxes.push.firebase import FirebaseSandbox
from moorage.testing.sandboxes.push.web_push import WebPushSandbox

TOKEN = "cR3g1s7r4t10n:APA91b-1"
FIELDS: dict[str, Any] = {"token": TOKEN, "notification": {"title": "T"}}
AS_JSON = (("Content-Type", "application/json"),)
ENCODED = {"TTL": "60", "Content-Encoding": "aes128gcm"}


def firebase(message: Any, project: str | None = None) -> int:
    """Return the status of Firebase's response to a message."""
    sandbox = FirebaseSandbox()
    sandbox.register(DeviceToken(TOKEN))
    (send,) = sandbox.routes().values()
    request = SandboxRequest(
        "POST", sandbox.hosts[0], "/", (), Headers(AS_JSON), encode_json({"message": message})
    )
    try:
        return send(request, sandbox.project if project is None else project).status
    except Refusal as refusal:
        return refusal.response.status


@pytest.mark.parametrize(
    "message",
    [
        FIELDS | {"colour": "red"},
        FIELDS | {"topic": "news"},
        {"notification": {"title": "T"}},
        FIELDS | {"data": {"order": 7}},
        FIELDS | {"data": {"from": "me"}},
        {"topic": "a b"},
        FIELDS | {"android": {"ttl": "1 minute"}},
        FIELDS | {"data": {"text": "x" * 4_100}},
        {"topic": "news", "data": {"text": "x" * 2_100}},
        {"token": "no token"},
        FIELDS | {"token": f"{TOKEN}0"},
    ],
)
def test_firebase_refuses_wrong_messages(message: Any) -> None:
    """Firebase's sandbox refuses a wrong message, and accepts the corrected message."""
    assert 400 == firebase(message)
    assert 200 == firebase(FIELDS)


def test_firebase_refuses_another_project() -> None:
    """Firebase's sandbox accepts only the service account's project."""
    assert 403 == firebase(FIELDS, "another")


@pytest.mark.parametrize(
    "headers, body, status",
    [
        ({}, b"", 400),
        ({"TTL": "soon"}, b"", 400),
        ({"TTL": "2592001"}, b"", 400),
        ({"TTL": "60", "Topic": "an order"}, b"", 400),
        ({"TTL": "60"}, b"x" * 4_097, 413),
        ({"TTL": "60"}, b"", 400),
    ],
)
def test_push_services_refuse_wrong_requests(
    headers: dict[str, str], body: bytes, status: int
) -> None:
    """A request that a push service would not accept is refused."""
    sandbox = WebPushSandbox()
    (accept,) = sandbox.routes().values()
    url = urlsplit(sandbox.recipient().endpoint)
    request = SandboxRequest("POST", url.netloc, url.path, (), Headers(headers.items()), body)

    with pytest.raises(Refusal) as excinfo:
        accept(request, "1")
    assert status == excinfo.value.response.status


def test_push_service_refuses_endpoints_that_it_does_not_have() -> None:
    """An endpoint that was never registered gets status 404, and a removed one gets 410."""
    sandbox = WebPushSandbox()
    subscription = sandbox.recipient()
    sandbox.remove(subscription)
    (accept,) = sandbox.routes().values()
    path = urlsplit(subscription.endpoint).path
    for end, status, number in (("", 410, 106), ("0", 404, 102)):
        request = SandboxRequest("POST", sandbox.hosts[0], path + end, (), Headers(), b"")
        with pytest.raises(Refusal) as excinfo:
            accept(request, "1")
        response = excinfo.value.response
        assert (status, number) == (response.status, response.json()["errno"])


@pytest.mark.parametrize("sandbox_class", [ApnsSandbox, FirebaseSandbox, WebPushSandbox])
def test_only_a_registered_device_is_removed(sandbox_class: type[PushSandbox]) -> None:
    """A device can be removed once, and registered again."""
    sandbox = sandbox_class()
    device: Any = sandbox.recipient()
    sandbox.remove(device)
    with pytest.raises(InvalidData, match="not registered"):
        sandbox.remove(device)
    sandbox.register(device)
    assert ({device.address}, set()) == (sandbox.devices, sandbox.removed)


def test_push_services_refuse_unsigned_requests() -> None:
    """A request without a signed token is refused."""
    request = SandboxRequest("POST", "push.example", "/s/1", (), Headers(ENCODED.items()), b"")
    with pytest.raises(Refusal):
        WebPushSandbox().check_access(request)
