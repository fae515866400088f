"""The sandboxes of push vendors refuse what the real services would refuse."""

from typing import Any

import pytest

from moorage.domain.http.headers import Headers
from moorage.domain.values.json_text import encode_json
from moorage.testing.sandboxes.base import Refusal, SandboxRequest
from moorage.testing.sandboxes.push.firebase import FirebaseSandbox
from moorage.testing.sandboxes.push.web_push import WebPushSandbox

TOKEN = "cR3g1s7r4t10n:APA91b-1"
FIELDS: dict[str, Any] = {"token": TOKEN, "notification": {"title": "T"}}
AS_JSON = (("Content-Type", "application/json"),)
ENCODED = {"TTL": "60", "Content-Encoding": "aes128gcm"}


def firebase(message: Any, project: str | None = None) -> int:
    """Return the status of Firebase's response to a message."""
    sandbox = FirebaseSandbox()
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
    request = SandboxRequest("POST", "push.example", "/s/1", (), Headers(headers.items()), body)

    with pytest.raises(Refusal) as excinfo:
        accept(request, "1")
    assert status == excinfo.value.response.status


def test_push_services_refuse_unsigned_requests() -> None:
    """A request without a signed token is refused."""
    request = SandboxRequest("POST", "push.example", "/s/1", (), Headers(ENCODED.items()), b"")
    with pytest.raises(Refusal):
        WebPushSandbox().check_access(request)
