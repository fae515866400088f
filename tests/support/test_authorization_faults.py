"""Faults that tests inject into the authorization server."""

from __future__ import annotations

import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.client import IncompleteRead, RemoteDisconnected
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import pytest

from tests.support import authorization_faults as faults
from tests.support.authorization_caller import Caller
from tests.support.authorization_certificates import TlsHarness
from tests.support.authorization_server import AuthorizationServer, Client
from tests.support.authorization_values import CLIENT, Answer

if TYPE_CHECKING:
    from pathlib import Path

DATE = datetime(2030, 1, 1, tzinfo=UTC)


def test_faults_are_done_once_and_in_order() -> None:
    """Each fault affects one token request, in order, and is recorded with the request."""
    with AuthorizationServer() as server:
        caller = Caller(server)
        _, refresh = server.seed()
        server.order(
            faults.failing_answer(503, 2),
            faults.failing_answer(429, DATE),
            faults.failing_answer(500),
        )
        assert 200 == caller.open(server.seed().access_token).status
        replies = [caller.refresh(refresh) for _ in range(4)]

        assert [503, 429, 500, 200] == [reply.status for reply in replies]
        assert ["2", "Tue, 01 Jan 2030 00:00:00 GMT", None, None] == [
            reply.headers["Retry-After"] for reply in replies
        ]
        assert ["failing 503", "failing 429", "failing 500", None] == [
            request.fault for request in server.requests
        ]
        assert [503, 429, 500, 200] == [request.status for request in server.requests]
        assert (1, 0) == (server.rotations, server.reused_token_count)


def test_an_answer_is_lost_after_the_rotation() -> None:
    """A request has taken effect even if its response is lost, so its repeat reuses the token."""
    with AuthorizationServer() as server:
        caller = Caller(server)
        _, refresh = server.seed()
        server.order(faults.lost_answer())
        with pytest.raises(RemoteDisconnected):
            caller.refresh(refresh)
        assert (1, 0, 1) == (server.rotations, server.reused_token_count, server.live_families)
        assert [(0, None, 1)] == [
            (request.status, request.error, request.refresh_number) for request in server.requests
        ]
        assert (400, "invalid_grant") == caller.refresh(refresh).error
        assert (1, 0) == (server.reused_token_count, server.live_families)


def test_an_answer_is_cut() -> None:
    """A request has taken effect even if its response is cut off."""
    with AuthorizationServer() as server:
        _, refresh = server.seed()
        server.order(faults.cut_answer(7))
        with pytest.raises(IncompleteRead) as excinfo:
            Caller(server).refresh(refresh)

        assert 7 == excinfo.value.expected
        assert excinfo.value.partial.startswith(b'{"access_token": "at-2-')
        assert (1, [200]) == (server.rotations, [request.status for request in server.requests])


def test_connection_faults_work_with_tls(tmp_path: Path) -> None:
    """Connection faults also work with TLS."""
    harness = TlsHarness(tmp_path)
    with AuthorizationServer(tls=harness.server) as server:
        caller = Caller(server, tls=harness.stranger)
        for fault in (faults.lost_answer(), faults.unread_request(), faults.cut_answer()):
            server.order(fault)
            with pytest.raises((OSError, IncompleteRead)):
                caller.token(CLIENT)
        assert 200 == caller.token(CLIENT).status
        with pytest.raises(OSError, match=r"(?i)certificate"):
            Caller(server, tls=ssl.create_default_context()).token(CLIENT)


def test_a_connection_is_reset_unread() -> None:
    """If the connection is reset before the body is read, the request has no effect."""
    with AuthorizationServer() as server:
        caller = Caller(server)
        _, refresh = server.seed()
        server.order(faults.unread_request())
        with pytest.raises(ConnectionResetError):
            caller.refresh(refresh)
        assert [(0, None, "unread")] == [
            (request.status, request.grant, request.fault) for request in server.requests
        ]
        assert 200 == caller.refresh(refresh).status


@pytest.mark.parametrize("processed, rotations", [(False, 0), (True, 1)])
def test_hanging_request_waits_before_or_after_it_takes_effect(
    *, processed: bool, rotations: int
) -> None:
    """A hanging request waits until it is released, either before or after it takes effect."""
    with AuthorizationServer() as server, ThreadPoolExecutor(1) as pool:
        _, refresh = server.seed()
        server.order(faults.late_answer(600, processed=processed))
        request = pool.submit(Caller(server).refresh, refresh)
        server.wait_for_arrivals()
        server.wait_for_hanging()
        assert rotations == server.rotations
        assert not request.done()
        server.release()

        assert (200, 1) == (request.result().status, server.rotations)


def test_time_passes_while_a_server_hangs() -> None:
    """When a hanging request continues, the server judges tokens by the time at that moment."""
    with AuthorizationServer(refresh_lifetime=60) as server, ThreadPoolExecutor(1) as pool:
        _, refresh = server.seed()
        server.order(faults.late_answer(600))
        request = pool.submit(Caller(server).refresh, refresh)
        server.wait_for_hanging()
        server.advance(60)
        server.release()

        assert (400, "invalid_grant") == request.result().error


def test_a_server_that_hangs_may_close() -> None:
    """Closing the server ends every hanging request."""
    with AuthorizationServer() as server, ThreadPoolExecutor(2) as pool:
        server.order(faults.late_answer(600), faults.late_answer(600, processed=True))
        requests = [pool.submit(Caller(server).token, CLIENT) for _ in range(2)]
        server.wait_for_hanging(2)
        assert 2 == server.most_at_once
        server.__exit__(None, None, None)

        assert all(isinstance(request.exception(), OSError) for request in requests)


def test_hanging_request_continues_after_its_time() -> None:
    """A request that hangs for a limited time continues when that time is over."""
    with AuthorizationServer() as server:
        server.order(faults.late_answer(0.01), faults.late_answer(0.01, processed=True))
        replies = [Caller(server).token(CLIENT) for _ in range(2)]

    assert [200, 200] == [reply.status for reply in replies]


@pytest.mark.parametrize(
    "members",
    [
        {"expires_in": "3600"},
        {"expires_in": 0},
        {"expires_in": -1},
        {"expires_in": 10**18},
        {"expires_in": 3599.5},
        {"expires_in": None},
        {"token_type": "bEARER"},
        {"refresh_token": ""},
        {"unheard_of": {"a": [1]}, "scope": None},
    ],
)
def test_members_of_a_response_can_be_replaced(members: dict[str, Any]) -> None:
    """The fault `respond_with` replaces the given members of a response, and keeps all others."""
    with AuthorizationServer() as server:
        _, refresh = server.seed()
        server.order(faults.respond_with(**members))
        result = Caller(server).refresh(refresh).members

    assert members == {name: result[name] for name in members}
    assert result["access_token"].startswith("at-2-")


def test_members_can_be_removed_from_a_response() -> None:
    """The fault `keeping_back` removes the given members from a response."""
    with AuthorizationServer() as server:
        _, refresh = server.seed()
        server.order(faults.keeping_back("expires_in", "token_type", "refresh_token"))
        result = Caller(server).refresh(refresh).members

    assert {"access_token", "scope"} == result.keys()


@pytest.mark.parametrize("body", [b'{"access_token": "at-', b"[]", b"\xff\xfe", b""])
@pytest.mark.parametrize("processed", [False, True])
def test_an_answer_is_malformed(body: bytes, *, processed: bool) -> None:
    """A malformed body is sent with status 200, whether or not the request takes effect."""
    with AuthorizationServer() as server:
        _, refresh = server.seed()
        server.order(faults.malformed_body(body, processed=processed))
        reply = Caller(server).refresh(refresh)

        assert (200, body) == (reply.status, reply.body)
        assert processed == server.rotations


def test_response_can_be_a_disguised_error_a_form_mislabelled_or_huge() -> None:
    """Faults can send an error with 200, a form, another content type, or ten megabytes."""
    with AuthorizationServer() as server:
        caller = Caller(server)
        server.order(
            faults.succeeding_with_error("invalid_grant"),
            faults.form_encoded(),
            faults.wrong_content_type("text/html"),
            faults.huge_answer(),
        )
        wrong_reply, form, label, huge_reply = [caller.token(CLIENT) for _ in range(4)]

    assert (200, "invalid_grant") == wrong_reply.error
    assert "application/x-www-form-urlencoded" == form.headers["Content-Type"]
    assert {"token_type": "Bearer", "expires_in": "3600"}.items() <= dict(
        parse_qsl(form.body.decode())
    ).items()
    assert ("text/html", "Bearer") == (label.headers["Content-Type"], label.members["token_type"])
    assert 10_000_000 == len(huge_reply.body)
    assert "Bearer" == huge_reply.members["token_type"]


def test_redirecting_fault_names_another_url() -> None:
    """The redirecting fault sends the client to another URL, and the request has no effect."""
    with AuthorizationServer() as server:
        _, refresh = server.seed()
        server.order(faults.redirect_to("https://evil.example/token", status=307))
        reply = Caller(server).refresh(refresh)

        assert (307, "https://evil.example/token", b"") == (
            reply.status,
            reply.headers["Location"],
            reply.body,
        )
        assert 0 == server.rotations


def test_server_bugs_are_raised() -> None:
    """An exception in the server itself is raised when the server ends."""

    def raise_error(answer: Answer) -> Answer:
        raise LookupError

    server = AuthorizationServer().__enter__()
    server.order(faults.Fault(name="mistaken", change=raise_error))
    with pytest.raises(RemoteDisconnected):
        Caller(server).token(CLIENT)
    with pytest.raises(AssertionError, match="server itself") as excinfo:
        server.__exit__(None, None, None)

    assert isinstance(excinfo.value.__cause__, LookupError)


def test_truncated_requests_have_no_effect() -> None:
    """A request whose body is shorter than announced has no effect."""
    with AuthorizationServer(Client(method="client_secret_post")) as server:
        body = b"grant_type=client_credentials&client_id=erp&client_secret=s3cr3t"
        kind = b"Content-Type: application/x-www-form-urlencoded"
        head = b"POST /token HTTP/1.1\r\nHost: a\r\n%b\r\nContent-Length: 99\r\n\r\n"
        address = ("127.0.0.1", int(server.url.rpartition(":")[2]))
        with socket.create_connection(address) as caller:
            caller.sendall(head % kind + body)
            caller.shutdown(socket.SHUT_WR)
            assert b"" == caller.recv(1)

        assert () == server.requests


def test_fault_can_be_injected_for_any_path() -> None:
    """A fault can be injected for any path, and affects only that path."""
    with AuthorizationServer() as server:
        caller = Caller(server)
        access, _ = server.seed()
        server.order(faults.failing_answer(503), path="/resource")
        server.order(faults.failing_answer(503), path="/.well-known/oauth-authorization-server")

        assert 200 == caller.token(CLIENT).status
        assert [503, 200] == [caller.open(access).status for _ in range(2)]
        assert 503 == caller.send("GET", server.metadata_url).status
