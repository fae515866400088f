"""Runs an example ERP in separate processes: set-up, server and worker."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vendor_street.street import VendorSandboxes

EXAMPLES: Final = Path(__file__).parents[1]
_TIMEOUT: Final = 120.0


@attrs.frozen
class Framework:
    """The commands that run the Django or the Flask ERP.

    Attributes:
        folder: where it is.
        webhooks: the path where it takes webhooks; `{account}` stands for an account's name.
        set_up: the command that makes its tables and fills them.
        serve: the server's arguments, for each kind of server.
        office: the command that does what is done later.
    """

    folder: str
    webhooks: str
    set_up: Sequence[str]
    serve: Mapping[str, Sequence[str]]
    office: Sequence[str]


_GUNICORN: Final = (
    *("-m", "gunicorn", "--workers", "2", "--threads", "4"),
    *("--preload", "--log-level", "warning"),
)
FRAMEWORKS: Final = {
    "django": Framework(
        "django_erp",
        "/webhooks/{account}/",
        ("manage.py", "set_up"),
        {
            "wsgi": (*_GUNICORN, "--bind", "{bind}", "erp.wsgi:application"),
            "asgi": (
                *("-m", "uvicorn", "--workers", "2", "--log-level", "warning"),
                *("--host", "127.0.0.1", "--port", "{port}", "erp.asgi:application"),
            ),
        },
        ("manage.py", "post_office"),
    ),
    "flask": Framework(
        "flask_erp",
        "/moorage/webhooks/{account}",
        ("-m", "flask", "--app", "ledger", "set-up"),
        {"wsgi": (*_GUNICORN, "--bind", "{bind}", "ledger:create_app()")},
        ("-m", "flask", "--app", "ledger", "post-office"),
    ),
}


def free_port() -> int:
    """Return a free local port."""
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        port: int = door.getsockname()[1]
        return port


class Erp:
    """A running example ERP.

    Args:
        name: "django" or "flask".
        folder: where its files go.
        port: where it listens; any that is free unless given.
        database: the URL of its database; a file in the folder unless given.
        configuration: moorage's, if it is not the ERP's own.
        seed: the data it begins with, if it is not the ERPs' own.

    Attributes:
        url: where it is, without a slash at the end.
        webhooks: where it takes webhooks, with `{account}` in it.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        port: int | None = None,
        database: str | None = None,
        configuration: Path | None = None,
        seed: Path | None = None,
    ) -> None:
        self.framework = FRAMEWORKS[name]
        self.home = EXAMPLES / self.framework.folder
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.webhooks = f"{self.url}{self.framework.webhooks}"
        self.database = database or f"sqlite:///{folder / 'erp.sqlite3'}"
        self._own = {
            "ERP_DATABASE": self.database,
            "ERP_MOORAGE": str(configuration or self.home / "moorage.toml"),
            "ERP_SEED": str(seed or EXAMPLES / "erp_pages" / "seed.json"),
            "PYTHONPATH": os.pathsep.join(
                str(part)
                for part in (
                    EXAMPLES,
                    self.home,
                    EXAMPLES / "moorage-django" / "src",
                    EXAMPLES / "moorage-flask" / "src",
                    *filter(None, [os.environ.get("PYTHONPATH")]),
                )
            ),
        }
        self._running: list[subprocess.Popen[bytes]] = []

    def environment(self, street: VendorSandboxes) -> dict[str, str]:
        """The environment variables of the ERP's processes."""
        return {**os.environ, **self._own, **street.environment}

    def set_up(self, street: VendorSandboxes) -> None:
        """Create and fill the ERP's tables."""
        self.run(street, *self.framework.set_up)

    def run(self, street: VendorSandboxes, *command: str) -> None:
        """Run a Python command of the ERP, and wait until it ends."""
        self.output(street, *command)

    def output(self, street: VendorSandboxes, *command: str) -> str:
        """Run a Python command of the ERP until it ends, and return its output."""
        arguments, environment = [sys.executable, *command], self.environment(street)
        process = subprocess.run(
            arguments, cwd=self.home, env=environment, stdout=subprocess.PIPE, check=True
        )
        return process.stdout.decode()

    def office(self, street: VendorSandboxes) -> None:
        """Do all due background work of the ERP once."""
        self.run(street, *self.framework.office, "--once")

    def serve(self, street: VendorSandboxes, kind: str = "wsgi", *, working: bool = False) -> None:
        """Start the server and, if requested, the worker; return when the server responds."""
        arguments = [
            argument.format(bind=f"127.0.0.1:{self.port}", port=self.port)
            for argument in self.framework.serve[kind]
        ]
        self._start(street, arguments)
        if working:
            self._start(street, self.framework.office)
        deadline = time.monotonic() + _TIMEOUT
        while not self._answers():
            if time.monotonic() > deadline or self._running[0].poll() is not None:
                raise TimeoutError(f"Nothing answers at {self.url}.")
            time.sleep(0.05)  # a server sends no signal when it begins to listen

    def wait(self) -> None:
        """Wait until the server ends by itself."""
        self._running[0].wait()

    def stop(self) -> None:
        """End all processes of the ERP."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill all processes of the ERP together, like a power failure."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        for process in self._running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, how)
        for process in self._running:
            process.wait()
        self._running = []

    def _start(self, street: VendorSandboxes, arguments: Sequence[str]) -> None:
        self._running.append(
            subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.home,
                env=self.environment(street),
                start_new_session=True,
            )
        )

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/static/erp.css")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()
