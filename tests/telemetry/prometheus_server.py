"""A real Prometheus on this machine, with past samples or a target to scrape."""

from __future__ import annotations

import json
import os
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.support.ports import free_port
from tests.support.servers import prometheus_programs

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

_TIMEOUT: Final = 120.0


def promtool(*arguments: str) -> str:
    """Run promtool, and return its output.

    Raises:
        AssertionError: it found a mistake.
    """
    _, program = prometheus_programs()
    ended_process = subprocess.run(
        [program, *arguments], capture_output=True, text=True, check=False, timeout=_TIMEOUT
    )
    assert 0 == ended_process.returncode, ended_process.stdout + ended_process.stderr
    return ended_process.stdout


class Prometheus:
    """A client for the HTTP API of a Prometheus server."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    def get(self, path: str, **parameters: object) -> Any:
        """Return the `data` of an API response."""
        query = urlencode({name: str(value) for name, value in parameters.items()})
        with urlopen(f"{self._url}/api/v1/{path}?{query}", timeout=_TIMEOUT) as answer:  # noqa: S310 - our own server
            return json.load(answer)["data"]

    def wait_for_result(self, path: str, **parameters: object) -> Any:
        """Wait until a query has a result, and return it."""
        end = time.monotonic() + _TIMEOUT
        while time.monotonic() < end:
            try:
                data = self.get(path, **parameters)
            except (URLError, ConnectionError):
                data = None
            if data:
                return data
            time.sleep(0.05)  # the metrics come from another process
        raise AssertionError(f"{path} stays empty")


@contextmanager
def prometheus(folder: Path, config: dict[str, Any]) -> Generator[Prometheus]:
    """Run a Prometheus server with data in a folder during the block."""
    program, _ = prometheus_programs()
    port = free_port()
    file = folder / "prometheus.yml"
    file.write_text(json.dumps(config), "utf-8")
    command = [
        program,
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--storage.tsdb.retention.time=100y",
        "--enable-feature=exemplar-storage",
        "--log.level=error",
    ]
    log = (folder / "prometheus.log").open("w", encoding="utf-8")
    with log, subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ)) as process:
        try:
            server = Prometheus(port)
            server.wait_for_result("status/buildinfo")
            yield server
        finally:
            process.terminate()
            process.wait(timeout=_TIMEOUT)
