"""OAuth consent with `moorage oauth`, run against a strict authorization server."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
import webbrowser
from http.client import HTTPConnection
from itertools import chain
from queue import Queue
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from moorage import OAuthCredentials
from moorage.adapters.ciphers.aes_gcm import AesGcmCipher, generate_keys
from moorage.adapters.credentials.sqlite import SqliteCredentialProvider
from moorage.cli import main
from moorage.domain.values.installation import install
from tests.support.authorization_server import AuthorizationServer, Client
from tests.support.modules import uninstall
from tests.support.oauth_people import open_page, query_of
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

LOCAL_CLIENT = Client(redirect_uris=("http://127.0.0.1/callback",))
PUBLIC = Client(method="none", redirect_uris=("http://127.0.0.1/callback",))


def fetch(url: str, **headers: str) -> tuple[int, str]:
    """Load a URL like a browser, and return the status and the page."""
    parts = urlsplit(url)
    link = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    try:
        link.request("GET", f"{parts.path}?{parts.query}", headers=headers)
        answer = link.getresponse()
        return answer.status, answer.read().decode()
    finally:
        link.close()


class Terminal:
    """The output of a command that runs in a thread, line by line."""

    def __init__(self) -> None:
        self._said: Queue[str] = Queue()
        self._codes: list[int] = []

    def write(self, text: str) -> int:
        """Record the text that the command prints."""
        self._said.put(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing, because nothing is buffered."""

    def find(self, pattern: str) -> str:
        """Wait until the command prints text that matches the pattern."""
        while True:
            match = re.search(pattern, self._said.get(timeout=120))
            if match is not None:
                return match[0]

    @contextlib.contextmanager
    def running_command(self, *arguments: str) -> Generator[None]:
        """Run a command in a thread during a block, and wait for its end after the block."""

        def run() -> None:
            with contextlib.redirect_stdout(self):
                self._codes.append(main(arguments))

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield
        finally:
            thread.join(20)

    @property
    def code(self) -> int:
        """Return the exit code of the command."""
        return self._codes[0]


class Context:
    """The options shared by all commands, and the token stores."""

    def __init__(self, folder: Path) -> None:
        self.keys = generate_keys()
        self.path = folder / "tokens.db"
        os.environ["MOORAGE_KEYS"] = self.keys.text().reveal()
        os.environ["ERP_SECRET"] = "s3cr3t"

    def options(self, server: AuthorizationServer, *more: str) -> list[str]:
        """Return the command-line options for the OAuth client, the server and the token store."""
        default_options = {
            "--issuer": server.issuer,
            "--client-id": "erp",
            "--service": "crm",
            "--credentials": f"sqlite:///{self.path}",
        }
        remaining_options = (
            (name, value) for name, value in default_options.items() if name not in more
        )
        return [*chain.from_iterable(remaining_options), *more]

    def stored_tokens(self, tenant: str | None = None) -> OAuthCredentials:
        """Return the tokens that the command has stored."""
        vault = SqliteCredentialProvider(self.path, AesGcmCipher(self.keys))
        result = vault.get("crm", tenant)
        assert isinstance(result, OAuthCredentials)
        return result


@pytest.fixture(name="context")
def _context(tmp_path: Path) -> Iterator[Context]:
    """Yield a test's options and token stores, and restore the environment afterwards."""
    previous_environment = dict(os.environ)
    yield Context(tmp_path)
    os.environ.clear()
    os.environ.update(previous_environment)


def test_login_stores_tokens_and_revoke_revokes_them(context: Context) -> None:
    """`moorage oauth login` prints a URL and stores the tokens; `oauth revoke` revokes them."""
    command = [sys.executable, "-m", "moorage", "oauth"]
    with AuthorizationServer(LOCAL_CLIENT) as server:
        options = context.options(server, "--secret-env", "ERP_SECRET", "--tenant", "acme-fr")
        with subprocess.Popen(
            [*command, "login", *options, "--scope", "read"], stdout=subprocess.PIPE, text=True
        ) as running_process:
            assert running_process.stdout is not None
            url = next(line for line in running_process.stdout if line.startswith("http")).strip()
            status, page = fetch(open_page(url))
            remaining_output = running_process.stdout.read()
        stored_credentials = context.stored_tokens("acme-fr")

        assert (0, 200) == (running_process.returncode, status)
        assert "go back to the terminal" in page
        assert "tokens stored for crm of acme-fr\n" == remaining_output.lstrip()
        assert ("read",) == stored_credentials.scope
        assert "s3cr3t" not in url
        for secret in (stored_credentials.access_token, stored_credentials.refresh_token):
            assert secret is not None
            assert secret.reveal().encode() not in context.path.read_bytes()

        ended_process = subprocess.run(
            [*command, "revoke", *options], capture_output=True, text=True, check=False
        )
        assert (0, "tokens revoked for crm of acme-fr\n") == (
            ended_process.returncode,
            ended_process.stdout,
        )
        assert 0 == server.live_families


def test_device_login_shows_a_code_and_stores_tokens(context: Context) -> None:
    """`oauth login --device` prints a code, and stores tokens once the user has agreed."""
    with AuthorizationServer(PUBLIC) as server:
        server.people.interval = 1
        with subprocess.Popen(
            [
                sys.executable,
                "-m",
                "moorage",
                "oauth",
                "login",
                "--device",
                *context.options(server),
            ],
            stdout=subprocess.PIPE,
            text=True,
        ) as running_process:
            assert running_process.stdout is not None
            line = running_process.stdout.readline()
            server.decide(line.split()[-1])
            assert "tokens stored for crm\n" == running_process.stdout.read()

        assert 0 == running_process.returncode
        assert f"{server.url}/device" in line
        assert context.stored_tokens().refresh_token is not None


def test_device_login_with_a_secret(context: Context) -> None:
    """`oauth login --device` works with a client secret, too."""
    terminal = Terminal()
    with AuthorizationServer(LOCAL_CLIENT) as server:
        server.people.interval = 1
        options = context.options(server, "--secret-env", "ERP_SECRET", "--device")
        with terminal.running_command("oauth", "login", *options):
            server.decide(terminal.find(r"[A-Z]{4}-[A-Z]{4}"))

    assert 0 == terminal.code
    assert context.stored_tokens().refresh_token is not None


def test_refused_consent_has_an_exit_code(
    context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the user rejects the consent, `oauth login` exits with a special code.

    Nothing is stored.
    """
    terminal = Terminal()
    with AuthorizationServer(PUBLIC) as server:
        server.people.approve = False
        with terminal.running_command("oauth", "login", *context.options(server)):
            fetch(open_page(terminal.find(r"http\S+")))

    assert 1 == terminal.code
    assert "access_denied" in capsys.readouterr().err


def test_every_option_is_used(context: Context) -> None:
    """Endpoints, scope, parameters and port from the options appear in the consent URL."""
    port = free_port()
    terminal = Terminal()
    with AuthorizationServer(PUBLIC) as server:
        options = [
            *("--token-url", server.token_url, "--authorize-url", server.authorize_url),
            *("--client-id", "erp", "--service", "crm", "--scope", "read"),
            *("--credentials", f"sqlite:///{context.path}", "--port", str(port)),
            *("--parameter", "prompt=consent", "--parameter", "login_hint=a=b"),
        ]
        with terminal.running_command("oauth", "login", *options):
            url = terminal.find(r"http\S+")
            fetch(open_page(url))
        message = query_of(url)
        assert (f"http://127.0.0.1:{port}/callback", "read", "consent", "a=b") == (
            message["redirect_uri"],
            message["scope"],
            message["prompt"],
            message["login_hint"],
        )
        assert 0 == terminal.code

        state = context.path.with_name("state.db")
        assert 0 == main(
            [
                *("oauth", "revoke", "--token-url", server.token_url, "--client-id", "erp"),
                *("--revoke-url", server.revoke_url, "--service", "crm"),
                *("--credentials", f"sqlite:///{context.path}", "--state", f"sqlite:///{state}"),
            ]
        )
        assert 0 == server.live_families


class Browser(webbrowser.BaseBrowser):
    """A fake browser that follows the consent URL and its redirect."""

    def __init__(self, server: AuthorizationServer) -> None:
        super().__init__()
        self._server = server
        self.opened: list[str] = []

    def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:  # noqa: FBT002 - as its base has it
        """Open the URL and follow its redirect, as a browser would."""
        self.opened.append(url)
        if "user_code" in url:
            self._server.decide(query_of(url)["user_code"])
        else:
            threading.Thread(target=fetch, args=(open_page(url),)).start()
        return True


@pytest.mark.parametrize("more", [[], ["--device"]])
def test_a_browser_is_opened_if_asked(context: Context, more: list[str]) -> None:
    """`moorage oauth login --open` opens the consent page in the user's browser."""
    with AuthorizationServer(PUBLIC) as server:
        server.people.interval = 1
        browser = Browser(server)
        webbrowser.register("moorage-test", None, browser, preferred=True)
        try:
            assert 0 == main(["oauth", "login", "--open", *more, *context.options(server)])
        finally:
            webbrowser._tryorder.remove("moorage-test")  # type: ignore[attr-defined]  # noqa: SLF001 - nothing else takes it back

        assert 1 == len(browser.opened)


@pytest.mark.parametrize(
    "change, words",
    [
        (["--token-url", "https://login.example/token"], "--issuer"),
        (["--secret-env", "NO_SUCH_VARIABLE"], "--secret-env"),
        (["--parameter", "prompt"], "--parameter"),
        (["--parameter", "=x"], "--parameter"),
        (["--credentials", "tokens.db"], "--credentials"),
        (["--credentials", "sqlite:///"], "--credentials"),
        (["--port", "99999"], "--port"),
        (["--issuer", "http://login.example"], "issuer"),
    ],
)
def test_impossible_logins_are_refused(
    context: Context, capsys: pytest.CaptureFixture[str], change: list[str], words: str
) -> None:
    """An OAuth login that could never work is refused with its own exit code and the reason."""
    with AuthorizationServer(PUBLIC) as server:
        assert 2 == main(["oauth", "login", *context.options(server, *change)])

    assert words in capsys.readouterr().err


def test_login_times_out(context: Context, capsys: pytest.CaptureFixture[str]) -> None:
    """`moorage oauth login` stops waiting for the user at its timeout."""
    with AuthorizationServer(PUBLIC) as server:
        assert 1 == main(["oauth", "login", "--timeout", "0.05", *context.options(server)])

    assert "did not return in time" in capsys.readouterr().err


def test_unreachable_token_database_fails_the_login_before_the_consent(
    context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the token database is unreachable, login fails before the user is asked to consent."""
    with AuthorizationServer(PUBLIC) as server:
        absent_database = "postgresql://moorage:hunter2@127.0.0.1:1/none"
        assert 1 == main(
            ["oauth", "login", *context.options(server, "--credentials", absent_database)]
        )
        assert 0 == server.connections

    output = capsys.readouterr()
    assert "http" not in output.out
    assert "hunter2" not in output.err


def test_missing_database_library_names_the_extra(
    context: Context, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the database library is missing, the error names the pip extra to install."""
    packages = "credentials", "sealed", "databases"
    uninstall(monkeypatch, "sqlalchemy", *(f"moorage.adapters.{name}." for name in packages))
    with AuthorizationServer(PUBLIC) as server:
        options = context.options(server, "--credentials", "postgresql://host/name")
        assert 2 == main(["oauth", "login", *options])

    assert install("postgresql") in capsys.readouterr().err


def test_secrets_stay_in_the_environment(
    context: Context, capsys: pytest.CaptureFixture[str]
) -> None:
    """OAuth secrets are read from environment variables only; no option accepts a secret."""
    with AuthorizationServer(PUBLIC) as server:
        assert 2 == main(["oauth", "login", *context.options(server), "--secret", "s3cr3t"])

    output = capsys.readouterr().err
    assert "--secret" in output
    assert "s3cr3t" not in output
