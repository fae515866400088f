"""The base class of all vendor sandboxes: routes, faults, sockets and webhooks."""

from __future__ import annotations

import asyncio
import http.client
from typing import TYPE_CHECKING, Any, cast

import pytest

from moorage import (
    AsyncConnectorManager,
    AttemptTimeout,
    ConnectionFailed,
    ConnectorManager,
    Headers,
    InvalidData,
    Request,
    Response,
    Service,
    VendorFailed,
    VendorRejected,
)
from moorage.domain.http.requests import Timeouts
from moorage.testing import Behaviour, VendorServer
from moorage.testing.sandboxes.base import (
    AsyncSandboxHttpClient,
    Lost,
    Notice,
    Refusal,
    Replays,
    Routes,
    Sandbox,
    SandboxHttpClient,
    SandboxRequest,
    SlowAnswer,
    refusal,
    reply,
    state_field,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class NamedThingsSandbox(Sandbox):
    """A sandbox that stores things by name."""

    hosts = ("shelf.example", ".shelves.example")

    def __init__(self) -> None:
        super().__init__()
        self.things: list[str] = []

    def routes(self) -> Mapping[str, Callable[..., Response]]:
        """Return the routes of the sandbox."""
        return {
            "GET /things/{name}": self._get,
            "GET /files/{path*}": lambda _, path: reply({"path": path}),
            "POST /things": self._put,
            "POST /objects": lambda request: reply(request.json(), X_Kept="yes"),
            "GET /who": lambda request: reply([request.basic(), request.bearer()]),
        }

    def _get(self, request: SandboxRequest, name: str) -> Response:
        if name not in self.things:
            raise Refusal(reply({"message": "None."}, 404))
        return reply({"name": name, "query": request.query})

    def _put(self, request: SandboxRequest) -> Response:
        self.things.append(dict(request.form)["name"])
        return reply({"id": self.number()}, 201)


def manager(shelf: NamedThingsSandbox, url: str = "https://shelf.example") -> ConnectorManager:
    """Return a manager whose requests go to the sandbox in memory."""
    service = Service("shelf", url, retry=None)
    return ConnectorManager([service], http=SandboxHttpClient(shelf))


def put_request(name: str) -> Request:
    """Return a request that stores a thing."""
    return Request.post("/things", form={"name": name})


class ShelfSandbox(Sandbox):
    """A sandbox that declares its constructor's arguments and its state as class attributes."""

    hosts = ("shelf.example",)

    token: str = "shelf-token"
    size: int = 3
    boxes: dict[str, int] = state_field(dict)


class LargeShelfSandbox(ShelfSandbox):
    """A sandbox that has its base class's arguments, and one more."""

    large: bool = True


class UnlabelledShelfSandbox(Sandbox):
    """A sandbox with an annotated class attribute that has no value."""

    label: str


class LabelledShelfSandbox(ShelfSandbox):
    """A sandbox with a constructor of its own."""

    def __init__(self, label: str) -> None:
        super().__init__(f"token-{label}")
        self.label = label


class OldShelfSandbox(LabelledShelfSandbox):
    """A sandbox that inherits a constructor."""

    age: int = 7


def test_annotated_names_are_arguments_of_a_sandbox() -> None:
    """Annotated class attributes of a sandbox and its bases become constructor arguments."""
    shelf = LargeShelfSandbox("other-token", large=False)
    shelf.boxes["left"] = 1
    assert (shelf.token, shelf.size, shelf.large) == ("other-token", 3, False)
    assert shelf.hosts == ("shelf.example",)
    assert LargeShelfSandbox().boxes == {}
    with pytest.raises(TypeError, match="boxes"):
        cast("Any", ShelfSandbox)(boxes={})


def test_annotated_name_without_a_value_is_no_argument() -> None:
    """An annotated class attribute without a value does not become a constructor argument."""
    make: Callable[[], Sandbox] = cast("Any", UnlabelledShelfSandbox)
    shelf = make()
    assert not hasattr(shelf, "label")


def test_sandbox_keeps_its_own_constructor() -> None:
    """A sandbox that defines or inherits a constructor keeps it."""
    shelf = OldShelfSandbox("red")
    assert (shelf.token, shelf.label, shelf.age) == ("token-red", "red", 7)
    assert shelf.boxes == {}
    assert shelf.requests == []


def test_sandbox_answers_by_method_and_path() -> None:
    """A request calls the method of its route, with the values of the path's placeholders."""
    sandbox = NamedThingsSandbox()
    with manager(sandbox) as calls:
        calls.call("shelf", put_request("a b"))
        result = calls.call("shelf", Request.get("/things/a%20b", query={"x": "1"}))
        deep_response = calls.call("shelf", Request.get("/files/a/b"))

    assert {"name": "a b", "query": [["x", "1"]]} == result.json()
    assert {"path": "a/b"} == deep_response.json()
    assert ["POST", "GET", "GET"] == [request.method for request in sandbox.requests]
    assert "shelf.example" == sandbox.requests[0].host


def test_unknown_paths_are_refused() -> None:
    """A sandbox answers 404 for a path without a route, and for a missing resource."""
    with manager(NamedThingsSandbox()) as calls:
        for path in ("/nothing", "/things/none", "/things/a/b"):
            with pytest.raises(VendorRejected) as excinfo:
                calls.call("shelf", Request.get(path))
            assert 404 == excinfo.value.status


def test_sandbox_without_routes_refuses_all_requests() -> None:
    """A sandbox without routes refuses all requests."""
    request = SandboxRequest("GET", "a.example", "/", (), Headers(), b"")

    assert 404 == Sandbox().answer(request).status


class TokenSandbox(Sandbox):
    """A sandbox with one route that needs a secret token, and one that does not."""

    open_routes = frozenset({"GET /{shop}/status"})

    def routes(self) -> Mapping[str, Callable[..., Response]]:
        """Return the routes of the sandbox."""
        return {
            "GET /{shop}/status": lambda _, shop: reply(f"{shop} is up"),
            "GET /{shop}": lambda _, shop: reply(shop),
        }

    def check_access(self, request: SandboxRequest) -> None:
        """Refuse the request unless its token is right."""
        if request.bearer() != "good":
            raise Refusal(reply("Who is there?", 401))

    def unknown(self, request: SandboxRequest) -> Response:
        """Check the token, then answer that the path is unknown."""
        self.check_access(request)
        return super().unknown(request)


@pytest.mark.parametrize(
    "path, token, status",
    [
        ("/acme", "good", 200),
        ("/acme", "bad", 401),
        ("/acme/status", "bad", 200),
        ("/acme/other", "good", 404),
        ("/acme/other", "bad", 401),
    ],
)
def test_credentials_are_checked_unless_a_route_is_open(path: str, token: str, status: int) -> None:
    """A sandbox checks credentials before it runs a route, unless the route is open."""
    headers = Headers({"Authorization": f"Bearer {token}"})
    request = SandboxRequest("GET", "a.example", path, (), headers, b"")

    assert status == TokenSandbox().answer(request).status


def _raise_refusal() -> Response:
    raise Refusal(reply("No.", 422))


def test_a_response_is_repeated_for_its_key() -> None:
    """A repeated key gets the first response, marked as a repeat; another request is refused."""
    replays = Replays(lambda: Refusal(reply("Another.", 409)), headers={"Replayed": "yes"})
    first = replays.respond("k", "a", lambda: reply(1))
    repeated_response = replays.respond("k", "a", lambda: reply(2))
    with pytest.raises(Refusal) as conflict:
        replays.respond("k", "b", lambda: reply(3))

    assert (1, None) == (first.json(), first.header("replayed"))
    assert (1, "yes") == (repeated_response.json(), repeated_response.header("replayed"))
    assert 409 == conflict.value.response.status


def test_repeated_key_without_conflict_check_gets_its_response() -> None:
    """If a sandbox checks no key conflicts, a repeated key gets its response for any request."""
    replays = Replays()

    assert [1, 1] == [
        replays.respond("k", content, lambda: reply(1)).json() for content in ("a", "b")
    ]


@pytest.mark.parametrize(
    "by_path, key, answers",
    [
        (False, "k", [1, 1, 409]),
        (True, "k", [1, 1, 2]),
        (True, None, [1, 2, 3]),
        (False, "", [400, 400, 400]),
        (False, "k" * 9, [400, 400, 400]),
        (False, "k" * 8, [1, 1, 409]),
    ],
    ids=str,
)
def test_a_handler_repeats_the_response_of_a_key(
    *, by_path: bool, key: str | None, answers: list[int]
) -> None:
    """For a repeated key, a route's method repeats its response, but refuses other content."""

    class KeyedSandbox(Sandbox):
        hosts = ("api.example",)

        def routes(self) -> Routes:
            replays = Replays(
                lambda: refusal(409, 409),
                by_path=by_path,
                longest=8,
                invalid=lambda: refusal(400, 400),
            )
            return {"POST /{name}": replays.once(lambda _, name: reply(self.number(), Name=name))}

    client = SandboxHttpClient(KeyedSandbox())
    headers = {} if key is None else {"Idempotency-Key": key}
    responses = [
        client.send(
            Request.post(f"/{name}", headers=headers), f"https://api.example/{name}", Timeouts()
        )
        for name in ("a", "a", "b")
    ]

    assert answers == [response.json() for response in responses]


@pytest.mark.parametrize("repeated", [True, False])
def test_refusals_are_repeated_only_if_the_vendor_does(*, repeated: bool) -> None:
    """A sandbox stores an error response under its key only if the vendor does."""
    replays = Replays(refusals=lambda _: True) if repeated else Replays()
    statuses = []
    for execute in (_raise_refusal, lambda: reply("Done.")):
        try:
            statuses.append(replays.respond("k", "a", execute).status)
        except Refusal as refusal:
            statuses.append(refusal.response.status)

    assert [422, 422 if repeated else 200] == statuses


def test_content_type_must_match() -> None:
    """A sandbox refuses a body that does not match its content type."""
    with manager(NamedThingsSandbox()) as calls:
        answer = calls.call("shelf", Request.post("/objects", json={"a": 1}))
        assert ({"a": 1}, "yes") == (answer.json(), answer.headers.get("X-Kept"))
        wrong_requests = [
            (Request.post("/things", json={"name": "a"}), 415),
            (Request.post("/objects", form={"a": "1"}), 415),
            (
                Request.post("/objects", body=b"{", headers={"Content-Type": "application/json"}),
                400,
            ),
        ]
        for request, status in wrong_requests:
            with pytest.raises(VendorRejected) as excinfo:
                calls.call("shelf", request)
            assert status == excinfo.value.status


@pytest.mark.parametrize(
    "header, messages",
    [
        ("Basic dXNlcjpwYTpzcw==", [["user", "pa:ss"], None]),
        ("Bearer token", [None, "token"]),
        (None, [None, None]),
        ("Basic /w==", [None, None]),
        ("Basic !", [None, None]),
    ],
    ids=["basic", "bearer", "none", "bytes", "not base64"],
)
def test_sandbox_reads_the_caller_from_the_authorization_header(
    header: str | None, messages: list[object]
) -> None:
    """A sandbox reads the caller's name from the Authorization header."""
    headers = {} if header is None else {"Authorization": header}
    with manager(NamedThingsSandbox()) as calls:
        assert messages == calls.call("shelf", Request.get("/who", headers=headers)).json()


def test_planned_faults_of_sandbox_come_once() -> None:
    """Each planned fault occurs once, in order; a response is lost after the request's effect."""
    sandbox = NamedThingsSandbox()
    sandbox.fail(Response(503), ConnectionFailed("Gone."), Lost())
    with manager(sandbox) as calls:
        for kind in (VendorFailed, ConnectionFailed, ConnectionFailed):
            with pytest.raises(kind):
                calls.call("shelf", put_request("a"))
        assert ["a"] == sandbox.things
        calls.call("shelf", put_request("b"))

    assert ["a", "b"] == sandbox.things


class InterruptedSandbox(Sandbox):
    """A sandbox at which another request arrives while the first one is being received."""

    hosts = ("busy.example",)

    def __init__(self) -> None:
        super().__init__()
        self.slow_count = 0
        self.requests = InterruptedRequests(self)

    def routes(self) -> Routes:
        """Return the routes of the sandbox."""
        return {"GET /": lambda _: reply("Done.")}

    def ask(self) -> None:
        """Send a request with a time limit, and count it if its response is too slow."""
        client = SandboxHttpClient(self)
        try:
            client.send(Request.get("/"), "https://busy.example/", Timeouts(total=1.0))
        except AttemptTimeout:
            self.slow_count += 1


class InterruptedRequests(list[SandboxRequest]):
    """A list of requests; before the first one is listed, another request is sent."""

    def __init__(self, sandbox: InterruptedSandbox) -> None:
        super().__init__()
        self._sandbox = sandbox
        self._is_interrupted = False

    def append(self, request: SandboxRequest) -> None:
        """Append a request."""
        if not self._is_interrupted:
            self._is_interrupted = True
            self._sandbox.ask()
        super().append(request)


def test_slow_fault_delays_one_of_two_concurrent_requests() -> None:
    """If another request takes the slow fault first, only that request is delayed."""
    sandbox = InterruptedSandbox()
    sandbox.fail(SlowAnswer(9.0))
    sandbox.ask()

    assert (1, 2) == (sandbox.slow_count, len(sandbox.requests))


@pytest.mark.parametrize(
    "error",
    [
        KeyError("price"),
        TypeError("unhashable"),
        ValueError("not a number"),
        AttributeError("get"),
        ZeroDivisionError(),
        RecursionError(),
        InvalidData("No amount.", field="amount"),
    ],
    ids=repr,
)
def test_request_that_cannot_be_read_is_refused(error: Exception) -> None:
    """A sandbox refuses a request that its handler cannot read, as a vendor does."""

    class ReadingSandbox(Sandbox):
        def routes(self) -> Routes:
            return {"GET /": self._read}

        def _read(self, _: SandboxRequest) -> Response:
            raise error

    response = ReadingSandbox().answer(SandboxRequest("GET", "", "/", (), Headers(), b""))
    assert (400, True) == (response.status, type(error).__name__ in response.json()["message"])


@pytest.mark.parametrize(
    "path, kind, body",
    [
        ("/objects", "application/json", b"[" * 100_000),
        ("/objects", "application/json", b'{"price": NaN}'),
        ("/objects", "application/json", b"\xff\xfe"),
        ("/things", "application/x-www-form-urlencoded", b"name=\xff"),
    ],
    ids=["deep", "nan", "bytes", "form"],
)
def test_body_that_cannot_be_decoded_is_refused(path: str, kind: str, body: bytes) -> None:
    """A sandbox refuses JSON that is nested too deeply or has NaN, and text that is not UTF-8."""
    headers = Headers({"Content-Type": kind})
    request = SandboxRequest("POST", "shelf.example", path, (), headers, body)

    assert 400 == NamedThingsSandbox().answer(request).status


def test_answers_may_be_slow() -> None:
    """A client waits for a slow response until its timeout; the request has its effect anyway."""
    sandbox = NamedThingsSandbox()
    service = Service("shelf", "https://shelf.example", retry=None, attempt_timeout=2.0)
    with ConnectorManager([service], http=SandboxHttpClient(sandbox)) as calls:
        sandbox.fail(SlowAnswer(1.0), SlowAnswer(3.0))
        assert 201 == calls.call("shelf", put_request("a")).status
        with pytest.raises(AttemptTimeout):
            calls.call("shelf", put_request("b"))

    assert ["a", "b"] == sandbox.things


def test_answers_may_be_slow_on_a_socket() -> None:
    """Over a real connection the delay of a slow sandbox takes real time."""
    sandbox = NamedThingsSandbox()
    with sandbox.serving() as server:
        service = Service("shelf", server.url, retry=None, attempt_timeout=0.3)
        with ConnectorManager([service]) as calls:
            sandbox.fail(SlowAnswer(0.001), SlowAnswer(9.0))
            assert 201 == calls.call("shelf", put_request("a")).status
            with pytest.raises(AttemptTimeout):
                calls.call("shelf", put_request("b"))

    assert ["a", "b"] == sandbox.things


def test_host_pattern_matches_subdomains() -> None:
    """A host name that starts with a dot matches all its subdomains, and no others."""
    with manager(NamedThingsSandbox(), "https://eu.shelves.example") as calls:
        assert 201 == calls.call("shelf", put_request("a")).status
    with (
        manager(NamedThingsSandbox(), "https://other.example") as calls,
        pytest.raises(InvalidData),
    ):
        calls.call("shelf", put_request("a"))


def test_an_answer_may_be_streamed() -> None:
    """A sandbox's response can be streamed in sync and async mode."""
    service = Service("shelf", "https://shelf.example", retry=None)
    with (
        manager(NamedThingsSandbox()) as calls,
        calls.stream("shelf", Request.get("/files/a")) as answer,
    ):
        plain_bytes = b"".join(answer)

    async def stream_async() -> bytes:
        client = AsyncSandboxHttpClient(NamedThingsSandbox())
        async with AsyncConnectorManager([service], http=client) as calls:
            await calls.call("shelf", put_request("a"))
            async with await calls.stream("shelf", Request.get("/files/a")) as answer:
                whole_bytes = b"".join([piece async for piece in answer])
        await client.close()
        return whole_bytes

    SandboxHttpClient(NamedThingsSandbox()).close()
    assert b'{"path":"a"}' == plain_bytes == asyncio.run(stream_async())


def test_sandbox_listens_on_a_socket() -> None:
    """A sandbox listens on a socket, and closes the connection to simulate a lost response."""
    sandbox = NamedThingsSandbox()
    with sandbox.serving() as server:
        service = Service("shelf", server.url, retry=None)
        with ConnectorManager([service]) as calls:
            assert 201 == calls.call("shelf", put_request("a")).status
            sandbox.fail(Lost())
            with pytest.raises(ConnectionFailed):
                calls.call("shelf", put_request("b"))

    assert ["a", "b"] == sandbox.things
    assert server.url.endswith(sandbox.requests[0].host)


@pytest.mark.parametrize("path", ["", "/hooks", "/hooks?shop=1"])
def test_a_webhook_is_delivered(path: str) -> None:
    """A sandbox delivers a webhook unchanged, and returns the status of the response."""
    sandbox = NamedThingsSandbox()
    with VendorServer() as server:
        server.always(Behaviour(204))
        notice = sandbox.notify(f"{server.url}{path}", b"news", {"X-Signature": "s"})
        status = notice.deliver()

        received_webhook = server.requests[0]
    assert 204 == status
    assert (path or "/", b"news", "s") == (
        received_webhook.target,
        received_webhook.body,
        received_webhook.headers.get("X-Signature"),
    )
    assert [notice] == sandbox.sent


def test_webhook_may_be_sent_over_tls() -> None:
    """A sandbox refuses to send a webhook for an https URL over a connection without TLS."""
    with VendorServer() as server, pytest.raises((OSError, http.client.HTTPException)):
        Notice(url=server.url.replace("http:", "https:")).deliver()


def test_a_webhook_is_given_to_a_verifier() -> None:
    """A verifier accepts a sandbox's webhook, whose repr hides the body and the signature."""
    notice = Notice(url="https://a.example", headers={"X": "s3"}, body=b"s4", method="PUT")
    options = {"url": "https://a.example", "headers": {"X": "s3"}, "body": b"s4", "method": "PUT"}

    assert options == notice.arguments()
    assert "s3" not in repr(notice)
    assert "s4" not in repr(notice)


def test_unknown_fault_is_refused() -> None:
    """A test that plans a fault which a sandbox cannot simulate gets an error immediately."""
    invalid_fault: Any = 503

    with pytest.raises(InvalidData, match="cannot answer with 503"):
        NamedThingsSandbox().fail(Response(503), invalid_fault)
