"""Webhooks received through real servers and frameworks."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from io import BytesIO
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.test import Client, RequestFactory, override_settings
from starlette.requests import Request
from werkzeug.test import EnvironBuilder

from moorage import ConfigurationError, WebhookRejected
from moorage.errors import StorageUnavailable
from moorage.hub.receiving import from_django, from_flask, from_starlette, from_wsgi
from tests.webhooks import hosts
from tests.webhooks.hosts import CHUNKED, ENDPOINT, SERVERS, Hosts
from tests.webhooks.senders import BY_NAME
from tests.webhooks.signing import FORM, SECRET, SentWebhook, b64, mac, sns, versioned_sender
from tests.webhooks.test_handshakes import CONFIRMATION
from tests.webhooks.verifiers import CONFIRM, NOW, Links

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

GITHUB, TWILIO, SQUARE = BY_NAME["github"], BY_NAME["twilio"], BY_NAME["square"]
EVERYWHERE = pytest.mark.parametrize("host", sorted(SERVERS))
WITH_CHUNKS = pytest.mark.parametrize("host", CHUNKED)
ODD_JSON = b'{ "a" :\t"\xc3\xa9\\u00e9", "b":1.0,\r\n "a": "again" }\n '


@pytest.fixture(scope="module")
def framework_servers() -> Generator[Hosts]:
    """Return running servers of all frameworks; they stop after this file's tests."""
    with ExitStack() as stack:
        yield Hosts(stack)


def of_github(body: bytes, number: int = 1) -> SentWebhook:
    """Return a webhook with the given body, signed as GitHub does."""
    signature = "sha256=" + mac(SECRET, body).hex()
    github_headers = {"X-Hub-Signature-256": signature, "X-GitHub-Delivery": f"d-{number}"}
    return SentWebhook(headers=github_headers | {"Content-Type": "application/json"}, body=body)


# --- bodies and URLs --------------------------------------------------------------------


@EVERYWHERE
@pytest.mark.parametrize("kind", ["application/json", FORM, "text/plain; charset=utf-16"])
def test_servers_pass_bodies_on_unchanged(host: str, kind: str, framework_servers: Hosts) -> None:
    """Every server passes a webhook body on, byte for byte as it was sent."""
    ENDPOINT.receives("github")
    sent_request = of_github(ODD_JSON)
    value = attrs.evolve(sent_request, headers=sent_request.headers | {"Content-Type": kind})

    assert 200 == framework_servers.ask(host, value)[0], ENDPOINT.error
    assert ODD_JSON == ENDPOINT.events[0].body


@EVERYWHERE
@pytest.mark.parametrize("path", ["/hooks", "/h%C3%B6%C3%B6ks/a%20b", "/a;v=1/~b!$&'()*+,:@"])
@pytest.mark.parametrize("query", ["?shop=1", "?a=%C3%A9&b=x%20y+z&c=%2F", "?a=b?c/d:e@f", ""])
def test_signed_url_is_the_sent_url(
    host: str, path: str, query: str, framework_servers: Hosts
) -> None:
    """With every server, the verified URL is the one that was sent, escapes included."""
    ENDPOINT.receives("square")
    url, body = f"https://shop.example{path}{query}", b'{"event_id":"e1","type":"a"}'
    signature = b64(mac(SECRET, url.encode() + body))
    headers = {"x-square-hmacsha256-signature": signature, "Content-Type": "application/json"}

    assert (
        200 == framework_servers.ask(host, SentWebhook(headers=headers, body=body, url=url))[0]
    ), ENDPOINT.error


@EVERYWHERE
def test_forms_are_verified(host: str, framework_servers: Hosts) -> None:
    """With every server, a webhook that signs its form fields and URL is accepted."""
    ENDPOINT.receives("twilio")
    assert 200 == framework_servers.ask(host, TWILIO.send(NOW, 7))[0], ENDPOINT.error


@WITH_CHUNKS
def test_bodies_in_chunks(host: str, framework_servers: Hosts) -> None:
    """A webhook without a length is read in chunks, up to the body limit."""
    ENDPOINT.receives("github")
    assert 200 == framework_servers.ask(host, of_github(ODD_JSON), chunked=True)[0], ENDPOINT.error
    ENDPOINT.limit = len(ODD_JSON) - 1
    assert 413 == framework_servers.ask(host, of_github(ODD_JSON, 2), chunked=True)[0]
    ENDPOINT.limit = len(ODD_JSON)
    assert 200 == framework_servers.ask(host, of_github(ODD_JSON, 3), chunked=True)[0]


@pytest.mark.parametrize("host", sorted({*SERVERS} - {*CHUNKED}))
def test_unreadable_chunked_body_needs_a_length(host: str, framework_servers: Hosts) -> None:
    """If a server cannot read chunked bodies, such a webhook gets a 411 response."""
    ENDPOINT.receives("github")

    assert 411 == framework_servers.ask(host, of_github(b"{}"), chunked=True)[0]
    assert isinstance(ENDPOINT.error, WebhookRejected)
    assert "length_required" == ENDPOINT.error.reason


@EVERYWHERE
def test_empty_chunked_body_is_refused(host: str, framework_servers: Hosts) -> None:
    """An empty chunked webhook is refused as unsigned, or with 411 where chunks are unreadable."""
    ENDPOINT.receives("github")
    empty = SentWebhook(headers={"Content-Type": "application/json"}, body=b"")

    assert (401 if host in CHUNKED else 411) == framework_servers.ask(host, empty, chunked=True)[0]


@EVERYWHERE
def test_declared_length_above_the_limit_is_refused(host: str, framework_servers: Hosts) -> None:
    """A webhook whose declared length exceeds the limit gets a 413 response."""
    ENDPOINT.receives("github")
    ENDPOINT.limit = len(ODD_JSON) - 1

    assert 413 == framework_servers.ask(host, of_github(ODD_JSON))[0]
    assert isinstance(ENDPOINT.error, WebhookRejected)
    assert "too_large" == ENDPOINT.error.reason


@EVERYWHERE
def test_webhook_with_two_different_signatures_is_refused(
    host: str, framework_servers: Hosts
) -> None:
    """A webhook with two different signatures is refused, in either order, by every server."""
    ENDPOINT.receives("github")
    sent_request = of_github(b'{"a":1}')
    for order in (slice(None), slice(None, None, -1)):
        signatures = [sent_request.headers["X-Hub-Signature-256"], "sha256=" + "0" * 64][order]
        bare_request = attrs.evolve(sent_request, headers={"Content-Type": "application/json"})
        status, _, _ = framework_servers.ask(
            host, bare_request, more=[("X-Hub-Signature-256", item) for item in signatures]
        )
        assert 401 == status
    assert 200 == framework_servers.ask(host, sent_request)[0]


# --- responses --------------------------------------------------------------------------


class _UnreachableStore:
    """A store that is always unavailable."""

    durable = False

    def execute(self, _: Any, /, timeout: float | None = None) -> Any:
        """Raise an error: the store is unavailable."""
        raise StorageUnavailable("the store cannot be reached.")

    def post(self, _: Any, /) -> None:
        """Raise an error: the store is unavailable."""


class _AsyncUnavailableStore(_UnreachableStore):
    """An asynchronous store that is always unavailable."""

    async def execute(self, _: Any, /, timeout: float | None = None) -> Any:
        """Raise an error: the store is unavailable."""
        raise StorageUnavailable("the store cannot be reached.")


@EVERYWHERE
def test_forged_repeated_and_failed_webhooks_get_different_statuses(
    host: str, framework_servers: Hosts
) -> None:
    """A forged, repeated or unfinished webhook and a failed handler each get their own status."""
    receiver = ENDPOINT.receives("github")
    sent_request = of_github(b'{"a":1}')
    forged_request = attrs.evolve(sent_request, body=b'{"a":2}')

    assert 401 == framework_servers.ask(host, forged_request)[0]
    ENDPOINT.fails = True
    assert 503 == framework_servers.ask(host, sent_request)[0]
    ENDPOINT.fails = False
    held_events = receiver.verify(sent_request)
    assert 409 == framework_servers.ask(host, sent_request)[0]
    receiver.release(held_events)
    assert (200, b"") == framework_servers.ask(host, sent_request)[::2]
    assert (200, b"") == framework_servers.ask(host, sent_request)[::2]
    assert isinstance(ENDPOINT.error, WebhookRejected)
    assert "replayed" == ENDPOINT.error.reason
    assert 400 == framework_servers.ask(host, of_github(b"{", 2))[0]
    lost_store = _AsyncUnavailableStore() if host in {"asgi", "starlette"} else _UnreachableStore()
    ENDPOINT.receives("github", storage=lost_store)
    assert 503 == framework_servers.ask(host, sent_request)[0]


@EVERYWHERE
def test_challenges_are_echoed(host: str, framework_servers: Hosts) -> None:
    """Slack, Zoom, Meta and Discord get their challenges answered in the required form."""
    ENDPOINT.receives("slack")
    signature_headers = ("X-Slack-Signature", "X-Slack-Request-Timestamp")
    slack = versioned_sender(
        *signature_headers, lambda _: {"type": "url_verification", "challenge": "3eZbrw1aBm"}
    )
    status, kind, body = framework_servers.ask(host, slack(NOW, 0))
    assert (200, b"3eZbrw1aBm") == (status, body)
    assert kind.startswith("text/plain")

    ENDPOINT.receives("zoom")
    question = {"event": "endpoint.url_validation", "payload": {"plainToken": "qgg8vlvZRS6UYoo"}}
    zoom = versioned_sender("x-zm-signature", "x-zm-request-timestamp", lambda _: question)
    status, kind, body = framework_servers.ask(host, zoom(NOW, 0))
    assert (200, "application/json") == (status, kind)
    signed_token = mac(SECRET, "qgg8vlvZRS6UYoo").hex()
    assert {"plainToken": "qgg8vlvZRS6UYoo", "encryptedToken": signed_token} == json.loads(body)

    ENDPOINT.receives("meta", parameters={"verify_token": "v"})
    url = "https://shop.example/h?hub.mode=subscribe&hub.challenge=115820&hub.verify_token="
    meta = SentWebhook(headers={}, body=b"", method="GET", url=url + "v")
    assert (200, b"115820") == framework_servers.ask(host, meta)[::2]
    assert (401, b"") == framework_servers.ask(host, attrs.evolve(meta, url=url + "w"))[::2]


@EVERYWHERE
def test_subscriptions_are_confirmed(host: str, framework_servers: Hosts) -> None:
    """For an Amazon SNS subscription, the link is opened, and the response is an empty 200."""
    links = Links()
    ENDPOINT.receives("aws-sns", links=links)

    assert (200, b"") == framework_servers.ask(host, sns("2", **CONFIRMATION)(NOW, 1))[::2], (
        ENDPOINT.error
    )
    assert CONFIRM == links.asked[-1]


# --- bodies that the framework has read ---------------------------------------------------


def _body(request: Any) -> object:
    return request.body


def _stream(request: Any) -> object:
    return request.read()


def _form(request: Any) -> object:
    return request.POST


FORM_SENT = TWILIO.send(NOW, 7)
MULTIPART = "multipart/form-data; boundary=x"


@pytest.mark.parametrize("host", ["django-wsgi", "django-asgi"])
@pytest.mark.parametrize(
    "before, kind, status",
    [
        (_body, "application/json", 200),
        (_form, "application/json", 200),
        (_form, FORM, 200),
        (_stream, "application/json", 500),
        (_form, MULTIPART, 500),
    ],
)
def test_body_already_read_by_django(
    host: str, before: Callable[[Any], object], kind: str, status: int, framework_servers: Hosts
) -> None:
    """If Django has stored the webhook body, it is used; if it was consumed, the error says so."""
    ENDPOINT.receives("github")
    ENDPOINT.before = before
    sent_request = of_github(b"--x\r\n\r\n--x--\r\n" if kind == MULTIPART else ODD_JSON)
    value = attrs.evolve(sent_request, headers=sent_request.headers | {"Content-Type": kind})

    assert status == framework_servers.ask(host, value)[0], ENDPOINT.error
    assert (status == 500) == isinstance(ENDPOINT.error, ConfigurationError)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(
    "before, kind, status",
    [
        (lambda request: request.get_data(), "application/json", 200),
        (lambda request: request.get_json(silent=True), "application/json", 200),
        (lambda request: request.form, "application/json", 200),
        (lambda request: request.form, FORM, 500),
        (lambda request: request.get_data(parse_form_data=True), FORM, 500),
        (lambda request: request.stream.read(), "application/json", 500),
    ],
    ids=["data", "json", "no form", "form", "data as a form", "stream"],
)
def test_body_already_read_by_flask(
    before: Callable[[Any], object],
    kind: str,
    status: int,
    chunked: bool,
    framework_servers: Hosts,
) -> None:
    """If Flask has stored the webhook body, it is used; if it was parsed, the error says so."""
    ENDPOINT.receives("github")
    ENDPOINT.before = before
    sent_request = of_github(ODD_JSON)
    value = attrs.evolve(sent_request, headers=sent_request.headers | {"Content-Type": kind})

    assert status == framework_servers.ask("flask", value, chunked=chunked)[0], ENDPOINT.error
    assert (status == 500) == isinstance(ENDPOINT.error, ConfigurationError)


def test_flask_body_stays_readable(framework_servers: Hosts) -> None:
    """After a webhook is read from a Flask request, the view can read the body too."""
    seen_chunks: list[bytes] = []

    def read_twice(request: Any) -> None:
        from_flask(request)
        seen_chunks.append(request.get_data())

    ENDPOINT.receives("github")
    ENDPOINT.before = read_twice
    for is_chunked in (True, False):
        assert (
            200
            == framework_servers.ask(
                "flask", of_github(ODD_JSON, is_chunked + 1), chunked=is_chunked
            )[0]
        )
    assert [ODD_JSON, ODD_JSON] == seen_chunks


async def _starlette_body(request: Request) -> None:
    await request.body()


async def _starlette_json(request: Request) -> None:
    await request.json()


async def _starlette_form(request: Request) -> None:
    await request.form()


async def _starlette_stream(request: Request) -> None:
    async for _ in request.stream():
        pass


@pytest.mark.parametrize(
    "before, kind, status",
    [
        (_starlette_body, FORM, 200),
        (_starlette_json, "application/json", 200),
        (_starlette_form, FORM, 500),
        (_starlette_stream, "application/json", 500),
    ],
)
def test_body_already_read_by_starlette(
    before: Any, kind: str, status: int, framework_servers: Hosts
) -> None:
    """If Starlette has stored the webhook body, it is used; if it was parsed, the error says so."""
    ENDPOINT.receives("github")
    ENDPOINT.before = before
    sent_request = of_github(ODD_JSON)
    value = attrs.evolve(sent_request, headers=sent_request.headers | {"Content-Type": kind})

    assert status == framework_servers.ask("starlette", value)[0], ENDPOINT.error
    assert (status == 500) == isinstance(ENDPOINT.error, ConfigurationError)


def test_starlette_client_that_disconnects_is_refused() -> None:
    """If a Starlette client disconnects during the body, the webhook is refused as malformed."""

    async def receive_disconnect() -> dict[str, str]:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "server": ("a", 1)}
    with pytest.raises(WebhookRejected) as excinfo:
        asyncio.run(from_starlette(Request(scope, receive_disconnect)))
    assert "malformed" == excinfo.value.reason


# --- test clients of Django and Flask -------------------------------------------------------


def test_djangos_test_client() -> None:
    """A webhook view works with Django's test client and its usual middleware."""
    hosts.configure_django()
    ENDPOINT.receives("github")
    sent_request = of_github(ODD_JSON)
    headers = {
        name: value for name, value in sent_request.headers.items() if name != "Content-Type"
    }
    middleware = [
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.gzip.GZipMiddleware",
    ]
    with override_settings(ROOT_URLCONF=hosts.__name__, MIDDLEWARE=middleware):
        client: Any = Client(headers=headers)
        answer = client.post("/hooks", ODD_JSON, content_type="application/json")
        assert 200 == answer.status_code, ENDPOINT.error
        answer = client.post("/hooks", ODD_JSON + b" ", content_type="application/json")
        assert 401 == answer.status_code


def of_django(body: bytes = ODD_JSON, **more: Any) -> Any:
    """Return a Django request with a webhook body."""
    hosts.configure_django()
    return RequestFactory().post("/hooks", body, content_type="application/json", **more)


def reason_of(take: Callable[[], object]) -> str | None:
    """Return the reason for which a webhook request is refused."""
    with pytest.raises(WebhookRejected) as excinfo:
        take()
    return excinfo.value.reason


def test_django_limits_become_webhook_errors() -> None:
    """Django's own limits on body and host become webhook errors; a truncated body is refused."""
    taken_webhook = from_django(of_django(headers={"X-Test": "1"}))
    assert ODD_JSON == taken_webhook["body"]
    assert ("X-Test", "1") in taken_webhook["headers"]
    assert ("Content-Type", "application/json") in taken_webhook["headers"]

    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=10):
        assert "too_large" == reason_of(lambda: from_django(of_django()))
    assert "too_large" == reason_of(lambda: from_django(of_django(), limit=10))
    with override_settings(ALLOWED_HOSTS=["shop.example"]):
        assert "foreign" == reason_of(lambda: from_django(of_django(HTTP_HOST="evil.example")))
    longer_environ = of_django().environ | {
        "CONTENT_LENGTH": str(len(ODD_JSON) + 3),
        "wsgi.input": BytesIO(ODD_JSON),
    }
    assert "malformed" == reason_of(lambda: from_django(WSGIRequest(longer_environ)))


class _CountingStream(BytesIO):
    """A request body that counts the bytes that were read from it."""

    read_so_far = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes, and count them."""
        piece = super().read(size)
        self.read_so_far += len(piece)
        return piece


def asgi_request(stream: BytesIO) -> ASGIRequest:
    """Return a Django request over ASGI whose body has no declared length."""
    hosts.configure_django()
    headers = [(b"host", b"testserver"), (b"transfer-encoding", b"chunked")]
    scope = {"type": "http", "method": "POST", "path": "/hooks", "headers": headers}
    return ASGIRequest(scope, stream)


def test_django_body_of_unknown_length_is_read_up_to_the_limit() -> None:
    """A chunked body is read no further than the limit, even if Django itself has no limit."""
    long_stream = _CountingStream(b"x" * 10_000)
    long_request, request = asgi_request(long_stream), asgi_request(BytesIO(ODD_JSON))
    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=None):
        assert "too_large" == reason_of(lambda: from_django(long_request, limit=10))
        assert 11 == long_stream.read_so_far
        assert [ODD_JSON] * 2 == [
            from_django(request, limit=len(ODD_JSON))["body"] for _ in range(2)
        ]
        assert (ODD_JSON, ODD_JSON) == (request.body, request.read())


def of_flask(body: bytes = ODD_JSON, **more: Any) -> Any:
    """Return a Flask request that is made from the bytes a server would get."""
    value = EnvironBuilder("/hooks", data=body, method="POST", content_type="text/plain", **more)
    return hosts.flask_app.request_class(value.get_environ())


def test_flask_limits_become_webhook_errors() -> None:
    """Flask's own limits on body and host become webhook errors; a truncated body is refused."""
    assert ODD_JSON == from_flask(of_flask())["body"]
    limited_request = of_flask()
    limited_request.max_content_length = 10
    assert "too_large" == reason_of(lambda: from_flask(limited_request))
    assert "too_large" == reason_of(lambda: from_flask(of_flask(), limit=10))
    foreign_request = of_flask()
    foreign_request.trusted_hosts = ["shop.example"]
    assert "foreign" == reason_of(lambda: from_flask(foreign_request))
    short_request = of_flask()
    short_request.environ["CONTENT_LENGTH"] = str(len(ODD_JSON) + 3)
    assert "malformed" == reason_of(lambda: from_flask(short_request))
    endless_request = of_flask(headers={"Transfer-Encoding": "chunked"})
    del endless_request.environ["CONTENT_LENGTH"]
    assert "length_required" == reason_of(lambda: from_flask(endless_request))


def test_wsgi_content_headers() -> None:
    """A webhook from WSGI has its content type and length among the headers."""
    environ = EnvironBuilder(
        "/hooks", data=ODD_JSON, method="POST", content_type="a/b"
    ).get_environ()
    headers = dict(from_wsgi(environ)["headers"])

    assert ("a/b", str(len(ODD_JSON))) == (headers["CONTENT-TYPE"], headers["CONTENT-LENGTH"])
