"""Real git servers for tests: HTTPS with `git http-backend`, and `git daemon`."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs
import pytest

from moorage.testing.fakes.http_tls import certificate_files
from tests.steps.git_host_harness import Message, Reply, https_server
from tests.support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

TOKEN = "glpat-14142135623730950488"
GIT = shutil.which("git") or ""


def git(*arguments: str, folder: Path) -> str:
    """Run git, and return its output."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.com",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.com",
    }
    return subprocess.run(
        [GIT, *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True
    ).stdout.strip()


@attrs.frozen
class Repository:
    """A git repository with commits, and a bare repository beside it."""

    folder: Path

    def commit(self, text: str, branch: str = "main") -> str:
        """Add a commit to a branch of the bare repository, and return the commit's id."""
        tree = self._tree(text)
        refs = git("for-each-ref", f"refs/heads/{branch}", folder=self.folder)
        parents = ["-p", f"refs/heads/{branch}"] if refs else []
        commit = git("commit-tree", tree, *parents, "-m", text, folder=self.folder)
        git("update-ref", f"refs/heads/{branch}", commit, folder=self.folder)
        return commit

    def refs(self) -> dict[str, str]:
        """Return the id of the object at each ref."""
        lines = git("for-each-ref", "--format=%(refname) %(objectname)", folder=self.folder)
        return dict(line.split(" ") for line in lines.split("\n") if line)

    def _tree(self, text: str) -> str:
        file = self.folder / "content"
        file.write_text(text)
        blob = git("hash-object", "-w", str(file), folder=self.folder)
        entry = f"100644 blob {blob}\tfile\n"
        process = subprocess.run(
            [GIT, "mktree"],
            cwd=self.folder,
            input=entry,
            check=True,
            capture_output=True,
            text=True,
        )
        return process.stdout.strip()


def bare_repository(folder: Path) -> Repository:
    """Create a bare repository."""
    folder.mkdir(parents=True)
    git("init", "--quiet", "--bare", "--initial-branch=main", ".", folder=folder)
    return Repository(folder)


class GitOverHttps:
    """An HTTPS server with `git http-backend`, which demands a token.

    Attributes:
        root: the folder of its repositories.
        url: its URL.
        ca_file: the certificates to trust.
        moved_to: the URL to which it redirects everything.
        names: the names that were sent with the token.
    """

    def __init__(self, root: Path, ca_file: Path) -> None:
        self.root = root
        self.ca_file = str(ca_file)
        self.url = ""
        self.moved_to = ""
        self.names: list[str] = []

    def answer(self, message: Message) -> Reply:
        """Answer a request of git."""
        if self.moved_to:
            return Reply(301, headers=(("Location", f"{self.moved_to}{message.path}"),))
        _, _, encoded = message.headers.get("Authorization", "").partition(" ")
        name, _, token = base64.b64decode(encoded).decode().partition(":")
        if token != TOKEN:
            return Reply(401, headers=(("WWW-Authenticate", 'Basic realm="git"'),))
        self.names.append(name)
        query = "&".join(f"{key}={text}" for key, text in message.query.items())
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": message.path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": message.method,
            "REMOTE_USER": name,
            "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_TYPE": message.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(message.body)),
            "HTTP_CONTENT_ENCODING": message.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": message.headers.get("Git-Protocol", ""),
        }
        ending = subprocess.run(
            [GIT, "http-backend"],
            input=message.body,
            env=environment,
            capture_output=True,
            check=False,
        )
        head, _, body = ending.stdout.partition(b"\r\n\r\n")
        pairs = [line.split(": ", 1) for line in head.decode().split("\r\n")]
        fields = {pair[0]: pair[1] for pair in pairs}
        status = int(fields.pop("Status", "200").split(" ")[0])
        return Reply(status, body, tuple(fields.items()))


@contextmanager
def over_https(folder: Path) -> Generator[GitOverHttps]:
    """Yield an HTTPS server that serves repositories by `git http-backend`."""
    folder.mkdir(parents=True)
    certificate, key = certificate_files(folder)
    server = GitOverHttps(folder / "repositories", certificate)
    with https_server(certificate, key, server.answer) as url:
        server.url = url
        yield server


@contextmanager
def daemon(root: Path) -> Generator[str]:
    """Run a `git daemon`, and yield its URL."""
    port = free_port()
    root.mkdir(parents=True, exist_ok=True)
    options = ["--export-all", "--enable=receive-pack", "--reuseaddr", "--listen=127.0.0.1"]
    process = subprocess.Popen(
        [GIT, "daemon", *options, f"--port={port}", f"--base-path={root}", str(root)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        end = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if time.monotonic() > end or process.poll() is not None:
                    pytest.skip("git daemon does not run on this machine")
                time.sleep(0.02)
        yield f"git://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait(60)
