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

    from local_vendors.sandboxes import VendorSandboxes

EXAMPLES: Final = Path(__file__).parents[1]
_TIMEOUT: Final = 120.0


@attrs.frozen
class Framework:
    """The commands that run the Django or the Flask ERP.

    Attributes:
        folder: the ERP's folder.
        webhooks: the path of its webhooks; `{account}` stands for an account's name.
        set_up: the command that creates and fills its tables.
        serve: the server's arguments, for each kind of server.
        worker: the command of its background worker.
    """

    folder: str
    webhooks: str
    set_up: Sequence[str]
    serve: Mapping[str, Sequence[str]]
    worker: Sequence[str]


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
        ("manage.py", "worker"),
    ),
    "flask": Framework(
        "flask_erp",
        "/moorage/webhooks/{account}",
        ("-m", "flask", "--app", "ledger", "set-up"),
        {"wsgi": (*_GUNICORN, "--bind", "{bind}", "ledger:create_app()")},
        ("-m", "flask", "--app", "ledger", "worker"),
    ),
}


def free_port() -> int:
    """Return a free local port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


class Erp:
    """A running example ERP.

    Args:
        name: "django" or "flask".
        folder: the folder for its files.
        port: the port of its server; by default a free port.
        database: the URL of its database; by default a file in the folder.
        configuration: the configuration of moorage; by default the ERP's `moorage.toml`.
        seed: the first data of its database; by default that of `erp_pages`.

    Attributes:
        url: its address, without a slash at the end.
        webhooks: the URL of its webhooks; `{account}` stands for an account's name.
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

    def environment(self, vendors: VendorSandboxes) -> dict[str, str]:
        """The environment variables of the ERP's processes."""
        return {**os.environ, **self._own, **vendors.environment}

    def set_up(self, vendors: VendorSandboxes) -> None:
        """Create and fill the ERP's tables."""
        self.run(vendors, *self.framework.set_up)

    def run(self, vendors: VendorSandboxes, *command: str) -> None:
        """Run a Python command of the ERP, and wait until it ends."""
        self.output(vendors, *command)

    def output(self, vendors: VendorSandboxes, *command: str) -> str:
        """Run a Python command of the ERP until it ends, and return its output."""
        arguments, environment = [sys.executable, *command], self.environment(vendors)
        process = subprocess.run(
            arguments, cwd=self.home, env=environment, stdout=subprocess.PIPE, check=True
        )
        return process.stdout.decode()

    def run_worker(self, vendors: VendorSandboxes) -> None:
        """Run the ERP's worker until it has done everything that is due."""
        self.run(vendors, *self.framework.worker, "--once")

    def serve(
        self, vendors: VendorSandboxes, kind: str = "wsgi", *, with_worker: bool = False
    ) -> None:
        """Start the server and, if requested, the worker; return when the server responds."""
        arguments = [
            argument.format(bind=f"127.0.0.1:{self.port}", port=self.port)
            for argument in self.framework.serve[kind]
        ]
        self._start(vendors, arguments)
        if with_worker:
            self._start(vendors, self.framework.worker)
        deadline = time.monotonic() + _TIMEOUT
        while not self._answers():
            if time.monotonic() > deadline or self._running[0].poll() is not None:
                raise TimeoutError(f"The ERP does not answer at {self.url}.")
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

    def _end(self, signal_number: signal.Signals) -> None:
        for process in self._running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal_number)
        for process in self._running:
            process.wait()
        self._running = []

    def _start(self, vendors: VendorSandboxes, arguments: Sequence[str]) -> None:
        self._running.append(
            subprocess.Popen(
                [sys.executable, *arguments],
                cwd=self.home,
                env=self.environment(vendors),
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
