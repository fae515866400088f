"""Apple's push service: requests, provider tokens, error responses and options."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import moorage
from moorage import ConfigurationError, InvalidData, Secret, VendorFailed
from moorage.adapters.http.borrowed.httpx2 import AsyncHttpx2HttpClient
from moorage.adapters.http.pyreqwest.client import PyreqwestHttpClient
from moorage.adapters.http.pyreqwest.client_async import AsyncPyreqwestHttpClient
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.contracts.push import DeviceToken, PushMessage
from moorage.contracts.routes import Account
from moorage.domain.http.requests import Request, Response
from moorage.domain.service.safety import Mode
from moorage.domain.signing.context import SigningContext
from moorage.hub.hub import Hub
from moorage.testing.sandboxes.base import SandboxHttpClient, SandboxRequest, reply
from moorage.testing.sandboxes.push.apns import ApnsSandbox
from moorage.vendors.push import _apns_tokens
from moorage.vendors.push._apns_tokens import PERIOD, ProviderToken, period_start, signed_token
from moorage.vendors.push.apns import Apns, classify, content, headers

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TOKEN = DeviceToken("a1" * 32)


def account_options(sandbox: ApnsSandbox) -> dict[str, str]:
    """Return the options of an account at a sandbox."""
    return {
        "private_key": sandbox.private_key,
        "key_id": sandbox.key_id,
        "team_id": sandbox.team_id,
        "topic": sandbox.topic,
    }


def vendor_at(sandbox: ApnsSandbox, **options: Any) -> Apns:
    """Return an account at a sandbox."""
    return Apns(**dict[str, Any](account_options(sandbox)) | options)


def sent_notifications(
    sandbox: ApnsSandbox, key: str | None, *fields: dict[str, Any]
) -> list[SandboxRequest]:
    """Return the recorded requests that sent notifications with the given fields."""
    account = Account("push", vendor_at(sandbox), settings={"retry": None})
    sandbox.register(TOKEN)
    with Hub([account], http=SandboxHttpClient(sandbox)) as hub:
        for options in fields:
            message = PushMessage(**dict[str, Any](to=TOKEN, title="T") | options)
            hub.push().send(message, idempotency_key=key)
    return sandbox.requests


def signing() -> ProviderToken:
    """Return the object that signs the account's provider tokens."""
    return ProviderToken(algorithm="ES256", issuer="TEAM567890", key_id="KEY4567890")


def claims(token: Secret) -> dict[str, Any]:
    """Return the claims that a provider token contains."""
    part = token.reveal().split(".")[1]
    fields: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return fields


def test_payload_is_in_apples_format() -> None:
    """Each field has Apple's name, and the app's own data is beside Apple's `aps` object."""
    message = PushMessage(
        to=TOKEN,
        title="T",
        body="B",
        data={"order": "1042"},
        badge=0,
        sound="default",
        image="https://a.example/1.png",
        link="https://a.example/1",
    )

    assert {
        "aps": {
            "alert": {"title": "T", "body": "B"},
            "badge": 0,
            "sound": "default",
            "mutable-content": 1,
        },
        "order": "1042",
        "link": "https://a.example/1",
        "image": "https://a.example/1.png",
    } == content(message)
    silent = PushMessage(to=TOKEN, data={"order": "1042"}, silent=True)
    assert {"aps": {"content-available": 1}, "order": "1042"} == content(silent)


def test_fields_of_a_notification_decide_its_headers() -> None:
    """A notification's fields decide the headers for type, priority, expiry and collapse id."""
    alert = PushMessage(
        to=TOKEN, title="T", collapse_key="order 1042", time_to_live=timedelta(hours=1)
    )
    silent = PushMessage(to=TOKEN, silent=True, time_to_live=timedelta(milliseconds=1))

    assert {
        "apns-id": "1",
        "apns-topic": "com.example.erp",
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": str(int(NOW.timestamp()) + 3_600),
        "apns-collapse-id": "7OmT6ZnXnn8jRRYaWpj_IJ4e6gMbz8VmYCqVRkQ67uE",
    } == headers(alert, "com.example.erp", "1", NOW)
    assert {
        "apns-id": "1",
        "apns-topic": "com.example.erp",
        "apns-push-type": "background",
        "apns-priority": "5",
        "apns-expiration": "0",
    } == headers(silent, "com.example.erp", "1", NOW)


def test_id_follows_from_the_key() -> None:
    """An idempotency key decides the id of a notification; without a key each id is new."""
    first, second = (
        sent_notifications(ApnsSandbox(), "k", {})[0].headers["apns-id"] for _ in range(2)
    )
    others = {
        request.headers["apns-id"] for request in sent_notifications(ApnsSandbox(), None, {}, {})
    }

    assert first == second
    assert 3 == len({first, *others})


def test_receipt_has_status_and_id_of_a_notification() -> None:
    """The raw receipt has the status and the id, which Apple sends as a header."""
    sandbox = ApnsSandbox()
    sandbox.register(TOKEN)
    account = Account("push", vendor_at(sandbox), settings={"retry": None})
    with Hub([account], http=SandboxHttpClient(sandbox)) as hub:
        receipt = hub.push().send(PushMessage(to=TOKEN, title="T"))

    assert receipt.ref is not None
    assert {"status": 200, "apns-id": receipt.ref.id} == receipt.raw


def test_token_changes_once_in_a_period() -> None:
    """A provider token is used for 40 minutes; then a new one is made."""
    key = Secret(ApnsSandbox().private_key)
    start = datetime.fromtimestamp(period_start(int(NOW.timestamp())), UTC)
    moments = [timedelta(0), timedelta(seconds=PERIOD - 1), timedelta(seconds=PERIOD)]
    tokens = [signing().token(key, SigningContext(start + moment, "n")) for moment in moments]

    assert tokens[0] == tokens[1]
    assert tokens[1] != tokens[2]
    assert {"iss": "TEAM567890", "iat": int(start.timestamp())} == claims(tokens[0])
    assert 1_200 < PERIOD < 3_600


def test_tokens_of_other_accounts_differ() -> None:
    """Each key, team and key id has its own provider token, and the cache drops old ones."""
    key, context = Secret(ApnsSandbox().private_key), SigningContext(NOW, "n")
    other_team = ProviderToken(algorithm="ES256", issuer="TEAM567891", key_id="KEY4567890")
    other_key = ProviderToken(algorithm="ES256", issuer="TEAM567890", key_id="KEY4567891")
    signings = (signing(), other_team, other_key)

    assert 3 == len({item.token(key, context).reveal() for item in signings})
    for period in range(_apns_tokens.MOST_TOKENS + 1):
        signing().token(key, SigningContext(NOW + timedelta(seconds=period * PERIOD), "n"))
    assert len(_apns_tokens.current_tokens) <= _apns_tokens.MOST_TOKENS


def test_sandbox_refuses_wrong_tokens_and_headers_with_apple_reasons() -> None:
    """The sandbox refuses wrong tokens and headers with Apple's reasons."""
    sandbox = ApnsSandbox()
    (request,) = sent_notifications(sandbox, None, {})
    headers = dict(request.headers)
    other_key = Secret(ApnsSandbox().private_key)
    recent = signing_at(sandbox, request, timedelta(0), other_key)
    old_token = signing_at(sandbox, request, timedelta(hours=-3), other_key)
    cases: dict[str, dict[str, str | None]] = {
        "MissingProviderToken": {"authorization": None},
        "InvalidProviderToken": {"authorization": "Bearer a.b.c"},
        "ExpiredProviderToken": {"authorization": f"Bearer {old_token}"},
        "TooManyProviderTokenUpdates": {"authorization": f"Bearer {recent}"},
        "BadMessageId": {"apns-id": "1"},
        "MissingTopic": {"apns-topic": None},
        "DeviceTokenNotForTopic": {"apns-topic": "com.example.other"},
        "InvalidPushType": {"apns-push-type": "voice"},
        "BadPriority": {"apns-priority": "7"},
        "BadExpirationDate": {"apns-expiration": "soon"},
        "BadCollapseId": {"apns-collapse-id": "x" * 65},
    }

    for reason, changed in cases.items():
        lowered = {name.lower(): value for name, value in headers.items()}
        fields = {name: value for name, value in {**lowered, **changed}.items() if value}
        assert reason == reason_for(sandbox, request.path, fields, request.body)
    assert "PayloadEmpty" == reason_for(sandbox, request.path, headers, b"")
    assert "PayloadTooLarge" == reason_for(sandbox, request.path, headers, b"x" * 4_097)
    for device in ("1", "b2" * 32):
        path = f"/3/device/{device}"
        assert "BadDeviceToken" == reason_for(sandbox, path, headers, request.body)
    sandbox.remove(TOKEN)
    assert "Unregistered" == reason_for(sandbox, request.path, headers, request.body)
    assert "BadPath" == reason_for(sandbox, "/4/device/1", headers, request.body)


def signing_at(sandbox: ApnsSandbox, request: SandboxRequest, shift: timedelta, key: Secret) -> str:
    """Return a provider token signed with the given key, and issued `shift` later."""
    issued = claims(Secret(request.headers["authorization"].partition(" ")[2]))["iat"]
    shifted_time = issued + int(shift.total_seconds())
    return signed_token(key, sandbox.team_id, sandbox.key_id, shifted_time).reveal()


def reason_for(sandbox: ApnsSandbox, path: str, fields: dict[str, str], body: bytes) -> str:
    """Return the reason that the sandbox gives for refusing a request."""
    client = SandboxHttpClient(sandbox)
    request = Request.post(path, headers=fields, body=body)
    timeouts = moorage.Timeouts()
    answer = client.send(request, f"https://api.push.apple.com{path}", timeouts)
    return str(answer.json()["reason"])


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"to": DeviceToken("cR3g1s7r4t10n:APA91b-1")}, "to.token"),
        ({"data": {"aps": "1"}}, "data"),
        ({"data": {"image": "1"}, "image": "https://a.example/1.png"}, "data"),
        ({"body": "x" * 4_096}, "data"),
    ],
)
def test_impossible_notifications_are_refused(fields: dict[str, Any], field: str) -> None:
    """A notification with a foreign device token, a reserved name or too many bytes is refused."""
    sandbox = ApnsSandbox()
    with pytest.raises(InvalidData) as excinfo:
        sent_notifications(sandbox, None, fields)

    assert (field, []) == (excinfo.value.field, sandbox.requests)


def test_data_may_be_named_image_without_an_image() -> None:
    """The app's own data may have the name `image` if the notification has no image."""
    (request,) = sent_notifications(ApnsSandbox(), None, {"data": {"image": "1"}})

    assert "1" == request.json()["image"]


@pytest.mark.parametrize(
    "timestamp, expired_at",
    [
        (1_772_366_400_000, NOW),
        (None, None),
        ("soon", None),
        (10**30, None),
    ],
)
def test_error_for_expired_token_has_its_expiry(
    timestamp: object, expired_at: datetime | None
) -> None:
    """If Apple says since when a device token is expired, the error contains this time."""
    answer = reply({"reason": "Unregistered", "timestamp": timestamp}, 410)
    error: Any = classify(Request.post("/"), answer)

    assert expired_at == error.since


@pytest.mark.parametrize("answer", [Response(408), Response(500), Response(404), Response(200)])
def test_other_answers_are_left_to_the_service(answer: Response) -> None:
    """The vendor's classifier ignores successes, outages and errors without a reason."""
    assert None is classify(Request.post("/"), answer)


@pytest.mark.parametrize("status", [200, 202])
def test_page_of_a_proxy_is_no_acceptance(status: int) -> None:
    """An HTML page, or a success response unlike Apple's, does not count as accepted."""
    sandbox = ApnsSandbox()
    sandbox.fail(Response(status, {"Content-Type": "text/html"}, b"<html></html>"))
    with pytest.raises(VendorFailed):
        sent_notifications(sandbox, None, {})


@pytest.mark.parametrize(
    "options, problem",
    [
        ({"private_key": "no key"}, "not a signing key from Apple"),
        ({"key_id": "short"}, "not the id of a key, which has ten capital letters and digits"),
        ({"team_id": "ten-letter"}, "not the id of a team, which has ten capital letters"),
        ({"topic": "com example"}, "not the bundle id of an app"),
        ({"topic": 7}, "not the bundle id of an app"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], problem: str) -> None:
    """A wrong key, id or bundle id is refused when the account is created; the error names it."""
    with pytest.raises(ConfigurationError, match=problem) as excinfo:
        vendor_at(ApnsSandbox(), **options)

    assert next(iter(options)) == excinfo.value.path


def test_apple_production_server_is_live() -> None:
    """Apple's production server counts as live mode, its development server as test mode."""
    sandbox = ApnsSandbox()

    assert Mode.LIVE is vendor_at(sandbox).mode()
    development = vendor_at(sandbox, base_url="https://api.sandbox.push.apple.com")
    assert Mode.TEST is development.mode()


def test_client_without_http2_is_refused() -> None:
    """A hub with Apple's push service refuses an HTTP client that cannot use HTTP/2."""
    configuration = {"vendors": {"apns": account_options(ApnsSandbox())}}
    clients = (None, StdlibHttpClient(), PyreqwestHttpClient())

    for client in clients:
        with pytest.raises(ConfigurationError, match="requires HTTP/2") as excinfo:
            moorage.open(configuration, http=client)
        assert "vendors.apns" == excinfo.value.path
        assert "http.http2" in str(excinfo.value)
    with pytest.raises(ConfigurationError, match="requires HTTP/2"):
        moorage.open({**configuration, "http": {"http2": False}})


def test_client_with_http2_is_accepted() -> None:
    """A hub with Apple's push service accepts any HTTP client that can use HTTP/2."""
    configuration = {"vendors": {"apns": account_options(ApnsSandbox())}}

    moorage.open({**configuration, "http": {"http2": True, "max_body": 1_000}}).close()
    moorage.open(configuration, http=PyreqwestHttpClient(http2=True)).close()
    for client in (AsyncPyreqwestHttpClient(http2=True), AsyncHttpx2HttpClient()):
        assert "apns" == moorage.aopen(configuration, http=client).account("apns").name
    hub = moorage.aopen({**configuration, "http": {"http2": True}})
    assert "apns" == hub.account("apns").name


def test_service_of_a_program_may_require_http2() -> None:
    """A connector manager refuses a client without HTTP/2 for a service that requires HTTP/2."""
    service = moorage.Service("a", base_url="https://a.example", http2=True)
    with pytest.raises(ConfigurationError, match="requires HTTP/2") as excinfo:
        moorage.ConnectorManager([service])

    assert "services.a" == excinfo.value.path
    moorage.ConnectorManager([service], http=PyreqwestHttpClient(http2=True)).close()
