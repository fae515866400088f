"""Web servers and frameworks, each with one endpoint that receives webhooks."""

from __future__ import annotations

import http.client
import socket
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import flask
import uvicorn
from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.urls import re_path
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
from werkzeug.serving import WSGIRequestHandler as WerkzeugHandler
from werkzeug.serving import make_server

from moorage import WebhookEvent, WebhookReply
from moorage.domain.webhooks.replies import reply_to
from moorage.errors import ConnectorError
from moorage.hub.receiving import (
    LIMIT,
    ReceivedWebhook,
    from_asgi,
    from_django,
    from_flask,
    from_starlette,
    from_wsgi,
)
from tests.support.django_project import configure
from tests.webhooks.senders import BY_NAME
from tests.webhooks.verifiers import Receiver

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable

    from starlette.requests import Request

    from tests.webhooks.signing import SentWebhook


class Endpoint:
    """The webhook endpoint that all test servers share; it stores its last request's result."""

    def __init__(self) -> None:
        self.receiver = Receiver.of(BY_NAME["github"])
        self.limit = LIMIT
        self.before: Callable[[Any], Any] | None = None
        self.events: tuple[WebhookEvent, ...] = ()
        self.error: ConnectorError | None = None
        self.fails = False

    def receives(self, sender: str, **more: Any) -> Receiver:
        """Accept webhooks of this vendor from now on; return the receiver."""
        self.__init__()  # type: ignore[misc]  # begin anew
        options: dict[str, Any] = {"origin": "https://shop.example", "replay_guard": True}
        self.receiver = Receiver.of(BY_NAME[sender], **options | more)
        return self.receiver

    def _handle(self) -> None:
        if self.fails:
            raise ConnectorError("the host's table cannot be reached.", retryable=True)

    def answer(self, take: Callable[[], ReceivedWebhook]) -> WebhookReply:
        """Return a synchronous application's reply to one webhook request."""
        verifier = self.receiver.verifier
        try:
            with verifier.receive(**take()) as self.events:
                self._handle()
                for event in self.events:
                    verifier.confirm(event)
            return next((event.reply for event in self.events if event.reply), WebhookReply())
        except ConnectorError as error:
            self.error = error
            return reply_to(error)

    async def aanswer(self, take: Callable[[], Awaitable[ReceivedWebhook]]) -> WebhookReply:
        """Return an asynchronous application's reply to one webhook request."""
        verifier = self.receiver.verifier
        try:
            async with verifier.receive(**await take()) as self.events:
                self._handle()
                for event in self.events:
                    await verifier.aconfirm(event)
            return next((event.reply for event in self.events if event.reply), WebhookReply())
        except ConnectorError as error:
            self.error = error
            return reply_to(error)


ENDPOINT: Final = Endpoint()


# --- one endpoint for each framework --------------------------------------------------


def plain_wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A WSGI application that receives webhooks without a framework."""
    reply = ENDPOINT.answer(lambda: from_wsgi(environ, limit=ENDPOINT.limit))
    start_response(f"{reply.status} Answered", [("Content-Type", reply.content_type)])
    return [reply.body]


async def plain_asgi(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI application that receives webhooks without a framework."""
    reply = await ENDPOINT.aanswer(lambda: from_asgi(scope, receive, limit=ENDPOINT.limit))
    headers = [(b"content-type", reply.content_type.encode())]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


def django_view(request: HttpRequest) -> HttpResponse:
    """A Django view that receives webhooks."""
    if ENDPOINT.before:
        ENDPOINT.before(request)
    reply = ENDPOINT.answer(lambda: from_django(request, limit=ENDPOINT.limit))
    return HttpResponse(reply.body, status=reply.status, content_type=reply.content_type)


urlpatterns = [re_path(".*", django_view)]

flask_app = flask.Flask(__name__)


@flask_app.route("/<path:_>", methods=["GET", "POST", "PUT"])
def flask_view(_: str) -> flask.Response:
    """A Flask view that receives webhooks."""
    if ENDPOINT.before:
        ENDPOINT.before(flask.request)
    reply = ENDPOINT.answer(lambda: from_flask(flask.request, limit=ENDPOINT.limit))
    return flask.Response(reply.body, reply.status, content_type=reply.content_type)


async def starlette_view(request: Request) -> Response:
    """A Starlette endpoint that receives webhooks, and that also serves FastAPI."""
    if ENDPOINT.before:
        await ENDPOINT.before(request)
    reply = await ENDPOINT.aanswer(lambda: from_starlette(request, limit=ENDPOINT.limit))
    return Response(reply.body, reply.status, media_type=reply.content_type)


starlette_app = Starlette(
    routes=[Route("/{_:path}", starlette_view, methods=["GET", "POST", "PUT"])]
)


def configure_django() -> None:
    """Configure Django for this process, with the URLs of this module."""
    configure()
    settings.ROOT_URLCONF = __name__


# --- servers --------------------------------------------------------------------------


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as it is called there
        """Discard the log line."""


class _QuietWerkzeug(WerkzeugHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - as it is called there
        """Discard the log line."""


@contextmanager
def _wsgiref(application: Any) -> Generator[int]:
    server = WSGIServer(("127.0.0.1", 0), _QuietHandler)
    server.set_app(application)
    with _running_server(lambda: server.serve_forever(0.02), server.shutdown):
        yield server.server_port
    server.server_close()


@contextmanager
def _werkzeug(application: Any) -> Generator[int]:
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_QuietWerkzeug)
    with _running_server(lambda: server.serve_forever(0.02), server.shutdown):
        yield server.server_port
    server.server_close()


@contextmanager
def _uvicorn(application: Any) -> Generator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(
            uvicorn.Config(application, ws="none", lifespan="off", log_config=None, http="h11")
        )

        def stop() -> None:
            server.should_exit = True

        with _running_server(lambda: server.run(sockets=[listening]), stop):
            yield listening.getsockname()[1]


@contextmanager
def _running_server(serve: Callable[[], object], stop: Callable[[], object]) -> Generator[None]:
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop()
        thread.join(10)


SERVERS: Final[dict[str, tuple[Any, Callable[[], Any]]]] = {
    "wsgi": (_wsgiref, lambda: plain_wsgi),
    "werkzeug": (_werkzeug, lambda: plain_wsgi),
    "asgi": (_uvicorn, lambda: plain_asgi),
    "django-wsgi": (_werkzeug, WSGIHandler),
    "django-asgi": (_uvicorn, ASGIHandler),
    "flask": (_werkzeug, lambda: flask_app),
    "starlette": (_uvicorn, lambda: starlette_app),
}
CHUNKED: Final = ("werkzeug", "asgi", "django-asgi", "flask", "starlette")
"""The servers that know where a chunked body ends."""


class Hosts:
    """All web servers of the tests, each started at its first use."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._ports: dict[str, int] = {}

    def ask(
        self,
        host: str,
        sent: SentWebhook,
        *,
        chunked: bool = False,
        more: Iterable[tuple[str, str]] = (),
    ) -> tuple[int, str, bytes]:
        """Send a webhook over the network; return the response's status, content type and body."""
        if host not in self._ports:
            configure_django()
            serve, application = SERVERS[host]
            self._ports[host] = self._stack.enter_context(serve(application()))
        link = http.client.HTTPConnection("127.0.0.1", self._ports[host], timeout=20)
        try:
            link.putrequest(
                sent.method, sent.url.removeprefix("https://shop.example"), skip_host=True
            )
            link.putheader("Host", "shop.example")
            for name, value in (*sent.headers.items(), *more):
                link.putheader(name, value)
            if chunked:
                link.putheader("Transfer-Encoding", "chunked")
            elif sent.body or sent.method != "GET":
                link.putheader("Content-Length", str(len(sent.body)))
            pieces = (sent.body[offset : offset + 7] for offset in range(0, len(sent.body), 7))
            # Some servers respond before they have read the whole body.
            with suppress(BrokenPipeError, ConnectionResetError):
                link.endheaders(pieces if chunked else sent.body or None, encode_chunked=chunked)
            answer = link.getresponse()
            return answer.status, answer.getheader("Content-Type") or "", answer.read()
        finally:
            link.close()
