"""`moorage webhook` signs webhooks, and verifies saved or incoming webhooks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime, timedelta, timezone
from http.client import HTTPConnection
from queue import Queue
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from moorage.cli import main
from moorage.cli.exit_codes import CLOSED_PIPE
from moorage.cli.webhook_listener import Listener
from moorage.cli.webhook_signing import timestamp_text
from moorage.domain.webhooks.choices import TimeForm
from moorage.domain.webhooks.events import read_stamp
from moorage.domain.webhooks.presets import PRESETS
from moorage.errors import ConnectionFailed
from moorage.parts.webhook_verifier import WebhookVerifier
from tests.support.command import command

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
LISTEN = [sys.executable, "-m", "moorage", "webhook", "listen", "stripe", "--secret-env", "HOOK"]
SECRET_OPTION = ["--secret-env", "HOOK"]
CHUNKED = "Transfer-Encoding: chunked"


@pytest.fixture(autouse=True)
def _secret() -> None:
    """Set a webhook secret in an environment variable."""
    os.environ["HOOK"] = SECRET


BODY = '{"object": "page", "entry": [{"id": "1", "time": 1, "changes": []}]}'


def sign_by_command(scheme: str, *more: str) -> tuple[dict[str, str], str]:
    """Return the headers and the body that `moorage webhook sign` printed."""
    result = command("webhook", "sign", scheme, *SECRET_OPTION, *more, "--json").result
    return result["headers"], result["body"]


@pytest.mark.parametrize(
    "scheme",
    [
        *("stripe", "github", "slack", "shopify", "square", "standard-webhooks", "svix"),
        *("razorpay", "paystack", "zoom", "hubspot", "docusign", "paddle"),
    ],
)
def test_saved_webhooks_are_verified(scheme: str, tmp_path: Path) -> None:
    """`webhook verify` accepts a saved body with its headers, but not with one changed byte."""
    headers, body = sign_by_command(scheme)
    fields = [word for name, value in headers.items() for word in ("--header", f"{name}: {value}")]
    (tmp_path / "body").write_text(body)
    ended_ended = command("webhook", "verify", scheme, *SECRET_OPTION, *fields, "--body", "@body")
    result = command("webhook", "verify", scheme, *SECRET_OPTION, *fields, "--body", body, "--json")
    (tmp_path / "body").write_text(body + " ")
    forged_check = command("webhook", "verify", scheme, *SECRET_OPTION, *fields, "--body", "@body")

    assert (0, True) == (ended_ended.code, ended_ended.out.startswith("It is genuine."))
    assert 1 == len(result.result["events"])
    assert 1 == forged_check.code
    assert SECRET not in ended_ended.out + result.out + forged_check.err


def test_signed_output_is_readable() -> None:
    """The output of `webhook sign` has one header per line, then the body."""
    result = command("webhook", "sign", "github", *SECRET_OPTION, "--body", "{}", "--id", "d-1")

    assert result.out.splitlines()[-1] == "{}"
    assert "x-hub-signature-256: sha256=" in result.out


@pytest.mark.parametrize("scheme", sorted(PRESETS))
def test_every_scheme_is_signed_or_refused(scheme: str) -> None:
    """Each signature scheme is either signed, or refused with a reason."""
    result = command("webhook", "sign", scheme, *SECRET_OPTION)

    assert result.code in {0, 2}
    assert result.code == 0 or "moorage: " in result.err
    assert SECRET not in result.out + result.err


@pytest.mark.parametrize("form", TimeForm)
def test_signed_time_has_the_form_of_the_scheme(form: TimeForm) -> None:
    """Verification reads the time of a signed webhook in the format of each scheme."""
    signing_time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
    assert signing_time == read_stamp(timestamp_text(form, signing_time), form)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["sign", "github", "--secret-env", "NO_SUCH"], "NO_SUCH"),
        (["sign", "nobody", *SECRET_OPTION], "nobody"),
        (["sign", "meta", *SECRET_OPTION, "--parameter", "x"], "--parameter"),
        (["verify", "github", *SECRET_OPTION, "--header", "x", "--body", ""], "--header"),
        (["listen", "github", *SECRET_OPTION, "--port", "99999"], "--port"),
    ],
)
def test_impossible_commands_are_refused_with_the_mistake(arguments: list[str], words: str) -> None:
    """A command that can never work is refused; the error describes the mistake."""
    result = command("webhook", *arguments)

    assert (2, True) == (result.code, words in result.err)


def test_scheme_parameters_are_options() -> None:
    """Options of the command set the parameters of a signature scheme."""
    headers, _ = sign_by_command("meta", "--parameter", "verify_token=t", "--body", BODY)

    assert "x-hub-signature-256" in headers


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Send a webhook, and return the status of the response."""
    link = HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        link.request("POST", "/", body, headers)
        return link.getresponse().status
    finally:
        link.close()


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_listen_shows_each_webhook(more: list[str]) -> None:
    """`webhook listen` shows genuine webhooks, and rejects forged, repeated and oversized ones."""
    headers, body = sign_by_command("stripe")
    with subprocess.Popen(
        [*LISTEN, "--port", "0", "--count", "3", *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running_process:
        assert running_process.stdout is not None
        assert running_process.stderr is not None
        message = running_process.stderr if more else running_process.stdout
        url = message.readline().split()[-1]
        large_headers = {"Content-Length": "99999999"}
        statuses = [
            post(url, body.encode(), headers),
            post(url, b"{}", headers),
            post(url, b"", large_headers),
            post(url, body.encode(), headers),
        ]
        lines = running_process.stdout.read()

    assert [200, 400, 413, 400] == statuses
    assert 0 == running_process.returncode
    if more:
        first, *remaining_lines = lines.splitlines()
        assert json.loads(first)["genuine"] is True
        assert '"genuine": false' in remaining_lines[0]
        assert {"seen": 3, "genuine": 1} == json.loads("\n".join(remaining_lines[2:]))["result"]
    else:
        assert "evt_1" in lines
        assert "refused: " in lines
        assert "1 of 3 were genuine" in lines


@pytest.mark.parametrize(
    "head, body, status, bodies",
    [
        (
            CHUNKED,
            b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nA: b\r\n\r\n",
            200,
            1,
        ),
        (CHUNKED, b"-1\r\nhello world", 413, 0),
        (CHUNKED, b"fffffff\r\nhello world", 413, 0),
        (CHUNKED, b"", 413, 0),
        (f"Content-Length: {'9' * 5_000}", b"", 413, 0),
        ("Content-Length: 11", b"hello world", 200, 1),
    ],
)
def test_listener_reads_bodies_of_every_form(
    head: str, body: bytes, status: int, bodies: int
) -> None:
    """The listener reads chunked bodies and bodies with a length, and refuses malformed ones."""
    received: list[bytes] = []

    def verify(webhook: dict[str, Any]) -> int:
        received.append(webhook["body"])
        return 200

    with Listener(0, verify) as listener:
        thread = threading.Thread(target=listener.handle_request)
        thread.start()
        with socket.create_connection(("127.0.0.1", listener.server_port)) as client:
            client.sendall(f"POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n".encode() + body)
            client.shutdown(socket.SHUT_WR)
            answer = client.recv(1_000)
        thread.join()

    assert str(status).encode() in answer
    assert [b"hello world"] * bodies == received


@pytest.mark.parametrize(
    "fields, url",
    [
        ("Host: a:1", "http://a:1/hook?x=1"),
        ("Host: a\r\nX-Forwarded-Proto: https", "https://a/hook?x=1"),
        ("Host: a\r\nX-Forwarded-Proto: HTTPS, http", "https://a/hook?x=1"),
        ("Host: a\r\nX-Forwarded-Proto: ftp", "http://a/hook?x=1"),
        (
            "Host: 127.0.0.1:1\r\nX-Forwarded-Host: b.example\r\nX-Forwarded-Proto: https",
            "https://b.example/hook?x=1",
        ),
    ],
)
def test_listener_verifies_the_url_of_its_tunnel(fields: str, url: str) -> None:
    """The listener verifies the URL that the sender requested from the tunnel, not its own URL."""
    urls: list[str] = []

    def verify(webhook: dict[str, Any]) -> int:
        urls.append(webhook["url"])
        return 200

    with Listener(0, verify) as listener:
        thread = threading.Thread(target=listener.handle_request)
        thread.start()
        with socket.create_connection(("127.0.0.1", listener.server_port)) as client:
            client.sendall(
                f"POST /hook?x=1 HTTP/1.1\r\n{fields}\r\nContent-Length: 0\r\n\r\n".encode()
            )
            client.recv(1_000)
        thread.join()

    assert [url] == urls


class Output:
    """The output of a running command, line by line."""

    encoding = "utf-8"

    def __init__(self) -> None:
        self._lines: Queue[str] = Queue()
        self._begun = ""

    def write(self, text: str) -> int:
        """Store the text for the test."""
        *whole_lines, self._begun = (self._begun + text).split("\n")
        for line in whole_lines:
            self._lines.put(line)
        return len(text)

    def flush(self) -> None:
        """Do nothing, because nothing is buffered."""

    def line(self) -> str:
        """Wait for the next line of the command's output, and return it."""
        return self._lines.get(timeout=120)


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_each_webhook_is_accepted_or_refused_separately(more: list[str]) -> None:
    """Each webhook is accepted or refused separately; a broken connection affects no other."""
    headers, body = sign_by_command("stripe")
    out, err = Output(), Output()
    codes: Queue[int] = Queue()

    def run() -> None:
        with redirect_stdout(out), redirect_stderr(err):
            listen = ["webhook", "listen", "stripe", *SECRET_OPTION, "--port", "0", "--count", "2"]
            codes.put(main([*listen, *more]))

    running_thread = threading.Thread(target=run, daemon=True)
    running_thread.start()
    url = (err if more else out).line().split()[-1]
    flood = post(url, b"", {"Content-Length": "99999999"})
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0)) as lost_socket:
        lost_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        lost_socket.sendall(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n")
    statuses = [flood, post(url, body.encode(), headers), post(url, b"{}", headers)]
    running_thread.join(20)
    lines = [out.line(), out.line()]

    assert [413, 200, 400] == statuses
    assert 0 == codes.get(timeout=120)
    if more:
        assert [True, False] == [json.loads(line)["genuine"] for line in lines]
    else:
        assert [True, True] == [lines[0].startswith("evt_1"), lines[1].startswith("refused: ")]


class OutputWithDepartingReader(Output):
    """A standard output whose reader exits after the first line, which contains the address."""

    def __init__(self, nowhere: int) -> None:
        super().__init__()
        self._nowhere = nowhere

    def fileno(self) -> int:
        """Return a file descriptor, because the command redirects its output to another one."""
        return self._nowhere

    def write(self, text: str) -> int:
        """Accept the first line, and then fail like a closed pipe."""
        if "listening" in text or not text.strip():
            return super().write(text)
        raise BrokenPipeError


def test_listener_ends_when_its_pipe_closes(tmp_path: Path) -> None:
    """`webhook listen` ends at the next webhook if the reader of its output has exited."""
    codes: Queue[int] = Queue()
    with (tmp_path / "nowhere").open("w") as nowhere:
        out = OutputWithDepartingReader(nowhere.fileno())

        def run() -> None:
            with redirect_stdout(out):
                codes.put(main(["webhook", "listen", "stripe", *SECRET_OPTION, "--port", "0"]))

        running_thread = threading.Thread(target=run, daemon=True)
        running_thread.start()
        with pytest.raises(ConnectionError):
            post(out.line().split()[-1], b"{}", {})
        running_thread.join(20)

    assert CLOSED_PIPE == codes.get(timeout=120)


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_unverifiable_webhook_is_reported(more: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A webhook whose certificate is unreachable is shown as neither genuine nor forged."""

    def fail_to_connect(*_: object, **__: object) -> None:
        raise ConnectionFailed("nobody answers", may_have_been_processed=False)

    monkeypatch.setattr(WebhookVerifier, "verify", fail_to_connect)
    out, err = Output(), Output()

    def run() -> None:
        with redirect_stdout(out), redirect_stderr(err):
            main(
                [
                    "webhook",
                    "listen",
                    "stripe",
                    *SECRET_OPTION,
                    "--port",
                    "0",
                    "--count",
                    "1",
                    *more,
                ]
            )

    running_thread = threading.Thread(target=run, daemon=True)
    running_thread.start()
    status = post((err if more else out).line().split()[-1], b"{}", {})
    running_thread.join(20)
    line = out.line()

    assert 503 == status
    if more:
        assert (None, True) == (json.loads(line)["genuine"], "nobody answers" in line)
    else:
        assert line.startswith("not decided: nobody answers")
