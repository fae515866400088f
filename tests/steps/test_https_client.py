"""Requests to the APIs of platforms whose answers are slow, long, or lead nowhere."""

from __future__ import annotations

import ssl
from traceback import format_exception
from typing import TYPE_CHECKING

import pytest

from moorage import (
    AttemptTimeout,
    ConnectionFailed,
    Secret,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.steps._https_client import HttpsClient
from moorage.adapters.steps._kubernetes_wire import Cluster
from tests.steps.git_host_harness import Message, Reply, https_server, sending_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Files = tuple["Path", "Path"]
LIMIT = 1000
SECRET = Secret("tok-16180339887498948482")


def client(files: Files) -> HttpsClient:
    """Return a client that accepts short answers only."""
    return HttpsClient("the API", ssl.create_default_context(cafile=str(files[0])), LIMIT)


def dripping(head: bytes) -> Iterator[bytes]:
    """Yield the beginning of an answer, and then 60 bytes one by one."""
    yield head
    for _ in range(60):
        yield b"x"


@pytest.mark.parametrize(
    "head",
    [b"", b"HTTP/1.1 200 OK\r\nA: ", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"],
    ids=["status", "head", "body"],
)
def test_cluster_that_answers_byte_by_byte_exceeds_the_time_limit(
    files: Files, head: bytes, tmp_path: Path
) -> None:
    """The time limit holds for the whole answer, however often a byte of it arrives."""
    (tmp_path / "token").write_text(SECRET.reveal())
    parts = dripping(head or b"HTTP/1.1 ")
    with sending_server(*files, parts) as url, pytest.raises(AttemptTimeout) as late:
        Cluster(url, str(files[0]), str(tmp_path / "token"), None).ask("GET", "/x", 0.5)

    assert late.value.may_have_been_processed
    assert SECRET.reveal() not in "".join(format_exception(late.value))


def test_message_of_a_cluster_does_not_show_the_token(files: Files, tmp_path: Path) -> None:
    """If a cluster repeats the token in its refusal, the error shows asterisks."""
    (tmp_path / "token").write_text(SECRET.reveal())

    def answer(message: Message) -> Reply:
        return Reply(400, f"refused: {message.headers['Authorization']}".encode())

    with https_server(*files, answer) as url, pytest.raises(VendorRejected) as refused:
        Cluster(url, str(files[0]), str(tmp_path / "token"), None).ask("GET", "/x", 5.0)

    assert "refused" in str(refused.value)
    assert SECRET.reveal() not in repr(vars(refused.value)) + str(refused.value)


@pytest.mark.parametrize("is_chunked", [True, False])
def test_answer_above_the_limit_is_refused_or_cut(files: Files, *, is_chunked: bool) -> None:
    """An answer that is too large is an error, or the wanted beginning of a log."""
    body = b"y" * (LIMIT + 1)
    chunked = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    counted = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    answer = b"HTTP/1.1 200 OK\r\n" + (chunked if is_chunked else counted)
    with (
        sending_server(*files, iter([answer])) as url,
        pytest.raises(VendorFailed, match="more than 1000 bytes") as refused,
    ):
        client(files).send("GET", url, {}, 5.0)
    with sending_server(*files, iter([answer])) as url:
        response = client(files).send("GET", url, {}, 5.0, cuts_answer=True)

    assert not refused.value.retryable
    assert body[:LIMIT] == response.body


def test_name_that_does_not_exist_proves_that_nothing_was_sent(files: Files) -> None:
    """If the name of the API does not exist, the request was certainly not processed."""
    with pytest.raises(ConnectionFailed, match="the API") as failed:
        client(files).send("POST", "https://moorage.invalid/x", {}, 10.0, content=b"{}")

    assert not failed.value.may_have_been_processed
    assert "ca_file" in str(failed.value)
