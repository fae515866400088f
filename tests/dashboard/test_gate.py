"""The access control of `moorage dashboard`, its WSGI server and its ASGI application."""

from __future__ import annotations

import asyncio
import io
import queue
import re
import socket
import threading
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from moorage import ConfigurationError
from moorage.adapters.ciphers.aes_gcm import generate_keys
from moorage.cli.commands.dashboard import dashboard as command_function
from moorage.cli.context import Context
from moorage.dashboard import ALL_ACTS, READ_ONLY, DashboardApp, Person
from moorage.dashboard.gate import Gate, members_of
from moorage.dashboard.server import Server
from moorage.domain.resilience.circuit import CircuitState
from moorage.wiring.store_urls import open_audit, open_inbox, open_log, open_metrics, open_outbox
from tests.dashboard.harness import ANN, Harness, Visitor, form_of

if TYPE_CHECKING:
    from collections.abc import Sequence

PEOPLE = "ann:act:password-of-ann ben:view:password:of-ben"


class TickClock:
    """A clock whose time a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the clock's time in seconds."""
        return self.now


def visitor_at(harness: Harness, gate: Gate) -> Visitor:
    """Return a visitor of the dashboard who must log in."""
    return Visitor(DashboardApp(harness.dashboard, gate.identify))


def test_printed_link_starts_one_session() -> None:
    """The token in the printed link starts one session, and is invalid afterwards."""
    with Harness() as harness:
        ticks = TickClock()
        gate = Gate(ticks, guest=ANN)
        token = gate.token
        visitor = visitor_at(harness, gate)
        assert 401 == visitor.get("/").status
        assert 401 == visitor.get("/?token=wrong").status
        assert 401 == visitor.get(f"/?token={token}&token={token}").status
        login_response = visitor.get(f"/?token={token}")
        assert (303, "/") == (login_response.status, login_response.header("Location"))
        assert re.search("HttpOnly; SameSite=Lax$", login_response.header("Set-Cookie"))
        assert token not in visitor.get("/").text
        assert 200 == visitor.get("/").status
        assert 401 == visitor_at(harness, gate).get(f"/?token={token}").status
        ticks.now = 12 * 3_600.0
        assert 401 == visitor.get("/").status


def test_session_of_https_is_sent_by_https_only() -> None:
    """If the browser used HTTPS, its session cookie is sent over HTTPS only."""
    with Harness() as harness:
        gate = Gate(TickClock(), guest=ANN)
        visitor = visitor_at(harness, gate)
        login_response = visitor.get(f"/?token={gate.token}", **{"wsgi.url_scheme": "https"})
        assert login_response.header("Set-Cookie").endswith("; Secure")


def test_requests_that_name_another_host_are_refused() -> None:
    """Requests with another host name are refused, so that other sites cannot reach the page."""
    with Harness() as harness:
        gate = Gate(TickClock(), guest=ANN, hosts=["127.0.0.1:8741"])
        visitor = visitor_at(harness, gate)
        url = f"/?token={gate.token}"
        assert 421 == visitor.get(url, HTTP_HOST="evil.example").status
        assert 303 == visitor.get(url, HTTP_HOST="127.0.0.1:8741").status


def test_people_log_in_with_their_roles() -> None:
    """Logging in with name and password starts a session with the person's role."""
    with Harness() as harness:
        gate = Gate(TickClock(), members=members_of(PEOPLE))
        visitor = visitor_at(harness, gate)
        assert "Password" in visitor.get("/calls").text
        login = {"name": "ann", "password": "password-of-ann"}
        assert 303 == visitor.post("/login", login).status
        assert "ann" in visitor.get("/").text
        other_visitor = visitor_at(harness, gate)
        assert (
            303
            == other_visitor.post("/login", {"name": "BEN", "password": "password:of-ben"}).status
        )
        assert "ben (read only)" in other_visitor.get("/").text
        assert 403 == other_visitor.get("/acts/circuit-open?service=vat").status


@pytest.mark.parametrize(
    "form, environ",
    [
        ({"name": "ann", "password": "password:of-ben"}, {}),
        ({"name": "", "password": ""}, {}),
        ({}, {}),
        ({"name": "ann", "password": "password-of-ann"}, {"HTTP_ORIGIN": "http://evil.example"}),
        ({"name": "ann", "password": "password-of-ann"}, {"CONTENT_TYPE": "text/plain"}),
    ],
)
def test_wrong_logins_are_refused(form: dict[str, str], environ: dict[str, str]) -> None:
    """A login with a wrong name, password, form or origin of the request starts no session."""
    with Harness() as harness:
        visitor = visitor_at(harness, Gate(TickClock(), members=members_of(PEOPLE)))
        answer = visitor.post("/login", form, **environ)
        assert (401, True) == (answer.status, "is wrong" in answer.text)
        assert "password-of" not in answer.text


def test_ten_wrong_passwords_block_all_logins_for_a_minute() -> None:
    """After ten wrong passwords, all logins are rejected for a minute, right passwords included."""
    with Harness() as harness:
        ticks = TickClock()
        visitor = visitor_at(harness, Gate(ticks, members=members_of(PEOPLE)))
        form = {"name": "ann", "password": "password-of-ann"}
        for _ in range(10):
            assert 401 == visitor.post("/login", {"name": "ann", "password": "guess"}).status
        assert 429 == visitor.post("/login", form).status
        ticks.now = 61.0
        assert 303 == visitor.post("/login", form).status


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "ann:act",
        "ann:root:long-password",
        ":act:long-password",
        "ann:act:short",
        "ann:act:long-password1 ANN:view:long-password2",
    ],
)
def test_malformed_list_of_people_is_refused(text: str) -> None:
    """Malformed entries in the list of people are refused, without showing their passwords."""
    with pytest.raises(ConfigurationError) as excinfo:
        members_of(text)
    assert "long-password" not in str(excinfo.value)


def test_people_with_permission_to_act_can_only_read_with_read_only() -> None:
    """With --read-only, people with permission to act can only read."""
    with Harness() as harness:
        gate = Gate(TickClock(), guest=Person("ann", ALL_ACTS), read_only=True)
        visitor = visitor_at(harness, gate)
        visitor.get(f"/?token={gate.token}")
        assert "ann (read only)" in visitor.get("/").text
    assert not READ_ONLY


def _asgi(app: DashboardApp, scope: dict[str, Any], chunks: Sequence[bytes | None]) -> list[Any]:
    """Send a request to the ASGI application in chunks; a chunk of None stands for a disconnect."""
    sent_messages: list[Any] = []
    waiting = list(chunks)

    async def receive() -> dict[str, Any]:
        chunk = waiting.pop(0)
        if chunk is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": chunk, "more_body": bool(waiting)}

    async def send(message: Any) -> None:
        sent_messages.append(message)

    asyncio.run(app.asgi(scope, receive, send))
    return sent_messages


def test_asgi_application_answers_like_the_wsgi_one() -> None:
    """WSGI and ASGI respond in the same way, also below a root path; large bodies are cut off."""
    with Harness() as harness:
        app = DashboardApp(harness.dashboard, lambda _: ANN)
        scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "path": "/ops/calls",
            "root_path": "/ops",
            "query_string": b"tenant=acme",
            "headers": [(b"host", b"127.0.0.1"), (b"cookie", b"x=y")],
            "scheme": "https",
        }
        start, body = _asgi(app, scope, [b""])
        assert 200 == start["status"]
        assert b'href="/ops/unknown"' in body["body"]
        assert (b"content-length", str(len(body["body"])).encode()) in start["headers"]
        cookies = [(b"cookie", b"x=y"), (b"cookie", b"who=vera"), (b"cookie", b"z=1")]
        start, _ = _asgi(harness.app, {**scope, "headers": cookies}, [b""])
        assert 200 == start["status"]
        _, head = _asgi(app, {**scope, "method": "HEAD"}, [b""])
        assert b"" == head["body"]
        large = [b"x" * 40_000] * 4
        start, _ = _asgi(app, {**scope, "method": "POST", "path": "/ops/acts/circuit-open"}, large)
        assert 413 == start["status"]
        assert [] == _asgi(app, {"type": "lifespan"}, [])


@pytest.mark.parametrize("length", ["-1", "x", "\u00b2"])
def test_invalid_content_length_means_no_form(length: str) -> None:
    """A form with an invalid Content-Length is ignored."""
    with Harness() as harness:
        environ = {"CONTENT_TYPE": "application/x-www-form-urlencoded", "CONTENT_LENGTH": length}
        bare_visitor = Visitor(harness.app, {"who": "ann"})
        bare_visitor._app = harness.app  # noqa: SLF001 - without the validator
        assert 403 == bare_visitor.send("POST", "/acts/circuit-open", b"x=y", **environ).status


def test_incomplete_form_is_not_acted_upon() -> None:
    """A form whose sender disconnects before its end changes nothing, over WSGI and ASGI."""
    with Harness() as harness:
        confirmation = harness.visitor().get("/acts/circuit-open?service=vat").text
        body = urlencode({**form_of(confirmation), "reason": "maintenance"}).encode()
        kind = "application/x-www-form-urlencoded"
        environ = {"CONTENT_TYPE": kind, "CONTENT_LENGTH": str(len(body) + 1)}
        visitor = harness.visitor()
        assert 403 == visitor.send("POST", "/acts/circuit-open", body, **environ).status
        scope: dict[str, Any] = {
            "type": "http",
            "method": "POST",
            "path": "/acts/circuit-open",
            "headers": [(b"content-type", kind.encode()), (b"cookie", b"who=ann")],
        }
        start, _ = _asgi(harness.app, scope, [body, None])
        assert 403 == start["status"]
        assert CircuitState.CLOSED is harness.hub.manager.circuit_state("vat").state
        start, _ = _asgi(harness.app, scope, [body])
        assert 303 == start["status"]
        assert CircuitState.FORCED_OPEN is harness.hub.manager.circuit_state("vat").state


class SilentBody(io.BytesIO):
    """A body whose sender stays silent for longer than the server waits."""

    def read(self, _: int | None = -1, /) -> bytes:
        """Raise a timeout error, as a socket does whose sender has gone silent."""
        raise TimeoutError


def test_form_of_a_silent_client_is_refused() -> None:
    """A form whose sender goes silent is refused, and the server reports no error."""
    with Harness() as harness:
        environ = {
            "CONTENT_TYPE": "application/x-www-form-urlencoded",
            "CONTENT_LENGTH": "9",
            "wsgi.input": SilentBody(),
        }
        response = harness.visitor().send("POST", "/acts/circuit-open", b"", **environ)
        assert 403 == response.status


def send(
    port: int, path: str, cookie: str = "", form: str | None = None
) -> tuple[int, dict[str, str], str]:
    """Load a page from a server of this machine, or send it a form."""
    connection = HTTPConnection("127.0.0.1", port)
    headers = {"Cookie": cookie} if cookie else {}
    try:
        if form is None:
            connection.request("GET", path, headers=headers)
        else:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request("POST", path, form, headers)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read().decode()
    finally:
        connection.close()


class PrintedText(io.StringIO):
    """Standard output whose text another thread waits for."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: queue.Queue[str] = queue.Queue()

    def write(self, text: str) -> int:
        """Pass the printed text to the thread that waits for it."""
        self.parts.put(text)
        return len(text)


def test_dashboard_command_prints_a_link_to_the_page(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """The command prints a link to the page, which shows the log, the inbox and the outbox."""
    state = f"sqlite:///{tmp_path}/state.db"
    metrics = f"sqlite:///{tmp_path}/metrics.db"
    path = tmp_path / "moorage.toml"
    path.write_text(
        f'[state]\nurl = "{state}"\n[metrics]\nurl = "{metrics}"\n[log]\nurl = "sqlite:///{tmp_path}/log.db"\n'
        '[services.vat]\nbase_url = "http://127.0.0.1:9"\n'
    )
    box = f"sqlite:///{tmp_path}/box.db"
    audit = f"sqlite:///{tmp_path}/audit.db"
    for open_store, url in (
        (open_outbox, box),
        (open_inbox, box),
        (open_audit, audit),
        (open_metrics, metrics),
        (open_log, f"sqlite:///{tmp_path}/log.db"),
    ):
        with open_store(url) as store:
            store.migrate()
    context = Context(config=str(path))
    results: list[Any] = []

    def serve() -> None:
        results.append(
            command_function(port=0, outbox=box, inbox=box, audit=audit, count=3, context=context)
        )

    output = PrintedText()
    monkeypatch.setattr("sys.stdout", output)
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    printed_line = output.parts.get(timeout=120)
    match = re.search(r"http://127\.0\.0\.1:(\d+)/(\?token=\S+)", printed_line)
    assert match is not None
    port = int(match[1])
    status, headers, _ = send(port, f"/{match[2]}")
    assert 303 == status
    cookie = headers["Set-Cookie"].partition(";")[0]
    first = send(port, "/", cookie)[2]
    assert ("vat" in first, "0 calls, 0 failed." in first) == (True, True)
    queues = send(port, "/queues", cookie)[2]
    assert ("Outbox" in queues, "Inbox" in queues) == (True, True)
    thread.join()
    assert {"connections": 3} == results[0].document


def test_dashboard_serves_other_machines_only_on_request_and_with_logins(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`moorage dashboard` listens for other machines only on request and only with logins."""
    path = tmp_path / "moorage.toml"
    path.write_text(f'[state]\nurl = "sqlite:///{tmp_path}/state.db"\n')
    context = Context(config=str(path))

    def expect_refusal() -> Any:
        return pytest.raises(ConfigurationError, match="Other machines could open")

    with expect_refusal():
        command_function(host="0.0.0.0", count=0, context=context)
    with expect_refusal():
        command_function(host="::", remote=True, count=0, context=context)
    with expect_refusal():
        command_function(host="example.com", people_env="PEOPLE", count=0, context=context)
    monkeypatch.setenv("MOORAGE_KEYS", generate_keys().text().reveal())
    command_function(port=0, count=0, audit=f"sqlite:///{tmp_path}/a.db", context=context)
    with pytest.raises(ConfigurationError, match="The list of people"):
        command_function(people_env="PEOPLE", port=0, count=0, context=context)
    monkeypatch.setenv("PEOPLE", PEOPLE)
    command_function(people_env="PEOPLE", remote=True, port=0, count=0, context=context)
    command_function(host="localhost", log="memory:", port=0, count=0, context=context)
    printed_output = capsys.readouterr().out
    assert "password" not in printed_output
    assert 2 == printed_output.count("token=")


def test_error_names_the_taken_port() -> None:
    """If the port is taken, the error names it."""
    with Server("127.0.0.1", 0) as server, pytest.raises(ConfigurationError, match="not available"):
        Server("127.0.0.1", server.server_port)


def test_slow_client_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is closing does not wait for a client that never ends its request."""
    monkeypatch.setattr("moorage.dashboard.request_stream.CLIENT_TIMEOUT", 3_600.0)
    with Harness() as harness, Server("127.0.0.1", 0, harness.app) as server:
        client = socket.create_connection(("127.0.0.1", server.server_port))
        client.sendall(b"GET / HT")
        server.handle_request()
    with client:
        assert b"400" in client.recv(1_000)


def test_client_that_leaves_is_ignored(capsys: pytest.CaptureFixture[str]) -> None:
    """A connection that is closed at once causes no output and no error."""
    with Harness() as harness, Server("127.0.0.1", 0, harness.app) as server:
        server.handle_error(None, None)
    assert "" == capsys.readouterr().err
