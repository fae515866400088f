"""Hostile responses of git hosts: slow, truncated, endless, or malformed."""

from __future__ import annotations

import io
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage import (
    AttemptTimeout,
    ConfigurationError,
    ConnectionFailed,
    ConnectorManager,
    GitHubPlatform,
    GitHubRepository,
    InvalidData,
    InvalidRequest,
    RateLimitExceeded,
    Secret,
    Service,
    VendorFailed,
)
from moorage.adapters.steps._git_host_wire import FixedAccess, GitHostApi
from moorage.adapters.steps.github import _archived_file
from tests.steps.git_host_harness import Message, Reply, https_server, sending_server
from tests.steps.github_harness import github

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from moorage import GitHubSettings
    from tests.steps.github_harness import FakeGitHub

TOKEN = Secret("Bearer ghp_27182818284590452353602874713526")
Files = tuple["Path", "Path"]


@pytest.fixture(scope="module")
def hub() -> Generator[tuple[FakeGitHub, GitHubSettings]]:
    """Yield a fake GitHub."""
    with github() as pair:
        yield pair


@contextmanager
def answering_api(files: Files, reply: Reply) -> Generator[GitHostApi]:
    """Yield the API client of a host that gives the same response to every request."""

    def answer(_: Message) -> Reply:
        return reply

    with https_server(*files, answer) as url:
        yield api_at(url, files)


def api_at(url: str, files: Files) -> GitHostApi:
    """Return the API client for a URL."""
    return GitHostApi("GitHub", url, FixedAccess("Authorization", TOKEN), str(files[0]))


@contextmanager
def sending_api(files: Files, parts: Iterator[bytes]) -> Generator[GitHostApi]:
    """Yield the API client of a host that sends a response in parts until the client leaves."""
    with sending_server(*files, parts) as url:
        yield api_at(url, files)


def endless(head: bytes, part: bytes) -> Iterator[bytes]:
    """Yield the first part of a response, then the same part without end."""
    yield head
    while True:
        yield part


@pytest.mark.parametrize(
    "head, part",
    [(b"", b"x"), (b"HTTP/1.1 200 OK\r\n", b""), (b"", b"y")],
    ids=["body", "head", "chunks"],
)
def test_slow_answer_ends_in_time(files: Files, head: bytes, part: bytes) -> None:
    """A host that sends its response byte by byte is abandoned at the request's time limit."""
    heads = {b"x": b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n"}
    begin = head or heads.get(part, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    parts = {b"": b"X-A: b\r\n", b"y": b"1\r\ny\r\n"}
    with (
        sending_api(files, endless(begin, parts.get(part, part))) as api,
        pytest.raises(AttemptTimeout),
    ):
        api.ask("GET", "/x", 0.5)


def test_cut_response_counts_as_a_lost_connection(files: Files) -> None:
    """A response, such as a log, that is shorter than announced counts as a lost connection."""
    cut = iter([b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\nConnection: close\r\n\r\nshort"])
    with sending_api(files, cut) as api, pytest.raises(ConnectionFailed):
        api.ask("GET", "/x", 5.0)


@pytest.mark.parametrize(
    "place",
    [
        "https://[bad/",
        "https://127.0.0.1/a b",
        "https://h:99999/",
        "http://127.0.0.1/x",
        "https://h:x/",
        "//[",
    ],
)
def test_unreadable_redirect_is_an_error(files: Files, place: str) -> None:
    """A redirect to anything but an https URL is refused."""
    reply = Reply(302, headers=(("Location", place),))
    with answering_api(files, reply) as api, pytest.raises(VendorFailed, match="redirects"):
        api.download("/x", 5.0)


@pytest.mark.parametrize("name", ["Retry-After", "X-RateLimit-Reset"])
@pytest.mark.parametrize("value", ["\xb2", "9" * 30, "9" * 5000, "-1", "soon", "9999999999"])
def test_invalid_retry_after_causes_a_pause(files: Files, name: str, value: str) -> None:
    """An invalid Retry-After still causes a pause."""
    reply = Reply(429, b"{}", ((name, value),))
    with answering_api(files, reply) as api, pytest.raises(RateLimitExceeded) as limited:
        api.ask("GET", "/x", 5.0)

    assert limited.value.retry_at is not None


@pytest.mark.parametrize(
    "date", ["x", "Fri, 31 Dec 9999 23:59:59 -2359", "Mon, 01 Jan 99999999999"]
)
def test_impossible_date_header_is_replaced_by_this_machine_time(files: Files, date: str) -> None:
    """An impossible Date header is replaced by this machine's time."""
    head = f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 2\r\n\r\n{{}}"
    with sending_api(files, iter([head.encode()])) as api:
        assert api.ask("GET", "/x", 5.0).now.year < 9999


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b"null", b"5", b'"x"', b"true", b"NaN", b"9" * 5000, b"<html>"],
)
def test_list_of_another_form_is_an_error(files: Files, body: bytes) -> None:
    """A page that is not a JSON list raises an error."""
    with answering_api(files, Reply(200, body)) as api, pytest.raises(VendorFailed):
        list(api.pages("/x", 5.0))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"message": "\\ud800\\u001b[31m\\n"}',
        b"\xff\x1b",
        b'{"errors": "\\u2028"}',
    ],
)
def test_message_of_a_refusal_is_plain(files: Files, body: bytes) -> None:
    """An error message contains no control or unencodable characters."""
    with answering_api(files, Reply(422, body)) as api, pytest.raises(InvalidRequest) as excinfo:
        api.ask("GET", "/x", 5.0)

    assert str(excinfo.value).isprintable()
    assert str(excinfo.value.vendor_message).isprintable()


@pytest.mark.parametrize(
    "operation, document",
    [
        ("git/ref/", {}),
        ("git/ref/", []),
        ("git/ref/", {"object": None}),
        ("git/ref/", {"object": {"sha": []}}),
        ("git/commits", {"message": 5}),
    ],
)
def test_status_of_another_form_is_an_error(
    hub: tuple[FakeGitHub, GitHubSettings], operation: str, document: Any
) -> None:
    """If a response does not match GitHub's description, the error may be retried."""
    host, settings = hub
    host.refs["refs/tags/moorage/default/odd"] = "0" * 40
    host.failures = [(operation, 200, document, {})]

    with pytest.raises(VendorFailed) as failed:
        GitHubPlatform(settings).status("odd", 5.0)

    assert failed.value.retryable


def test_operation_of_another_form_is_an_error(hub: tuple[FakeGitHub, GitHubSettings]) -> None:
    """If the response to a release lacks fields, an error is raised."""
    host, settings = hub
    host.failures = [("releases/tags", 200, {"id": 5}, {})]
    manager = ConnectorManager([Service("git", retry=None)])

    with pytest.raises(VendorFailed):
        manager.perform("git", GitHubRepository(settings).release("v1"))


@pytest.mark.parametrize("make", ["release", "upload", "status"])
def test_names_of_other_types_are_refused(
    hub: tuple[FakeGitHub, GitHubSettings], make: str
) -> None:
    """A number instead of a tag or commit is refused like an invalid text."""
    repository: Any = GitHubRepository(hub[1])
    acts = {
        "release": lambda: repository.release(5),
        "upload": lambda: repository.upload("v1", 5, b""),
        "status": lambda: repository.status(5, "success", context="c"),
    }
    with pytest.raises(InvalidData):
        acts[make]()


@pytest.mark.parametrize("url", ["https://[bad", "https://h:99999", "https://u@h", "http://h", ""])
def test_unreadable_api_is_named(url: str) -> None:
    """An impossible API URL is a configuration error."""
    with pytest.raises(ConfigurationError) as excinfo:
        GitHostApi("GitHub", url, FixedAccess("Authorization", TOKEN), None)

    assert "api" == excinfo.value.path


def _archive(method: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("n", b"row\n" * 200)
    return file.getvalue()


@given(
    method=st.sampled_from([zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2]),
    changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=6),
)
def test_broken_archive_has_no_file(method: int, changes: list[tuple[int, int]]) -> None:
    """From a damaged archive, a file is read either completely or not at all."""
    archive = bytearray(_archive(method))
    for place, byte in changes:
        archive[place % len(archive)] = byte

    assert _archived_file(bytes(archive), "n", 10_000) in {None, b"row\n" * 200}
