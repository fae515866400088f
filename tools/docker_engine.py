"""A private Docker Engine with a small image, for tests."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tarfile
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from moorage import ConnectorError
from moorage.adapters.steps._docker_wire import Engine

if TYPE_CHECKING:
    from collections.abc import Generator

IMAGE = "localhost/moorage-steps:1"
_PROGRAMS = ("sh", "cat", "echo", "env", "head", "kill", "ln", "mkdir", "sleep", "tr", "true")
_SETTINGS = {
    "bridge": "none",
    "iptables": False,
    "ip6tables": False,
    "ip-forward": False,
    # A machine that may not raise limits cannot provide the Engine's usual number.
    "default-ulimits": {"nofile": {"Name": "nofile", "Hard": 20000, "Soft": 20000}},
}


class NoEngineError(Exception):
    """Raised if this machine cannot run a Docker Engine."""


@contextmanager
def docker_engine() -> Generator[str]:
    """Yield the socket of a configured or private Docker Engine.

    Raises:
        NoEngineError: this machine can run none.
    """
    configured_socket = os.environ.get("MOORAGE_TEST_DOCKER_SOCKET")
    busybox = shutil.which("busybox", path="/bin:/usr/bin")
    dockerd = shutil.which("dockerd", path="/usr/sbin:/usr/bin") or ""
    is_possible = configured_socket is not None or (dockerd and os.getuid() == 0)
    if busybox is None or not is_possible:
        raise NoEngineError(
            "needs root, docker.io and busybox-static (apt-get install), or a socket in"
            " MOORAGE_TEST_DOCKER_SOCKET"
        )
    if configured_socket is not None:
        _add_image(configured_socket, Path(busybox))
        yield configured_socket
        return
    # The path of a socket must be short.
    folder = Path(mkdtemp(prefix="dk-", dir="/var/tmp"))
    (folder / "engine.json").write_text(json.dumps(_SETTINGS))
    socket = f"{folder}/docker.sock"
    options = {
        "--config-file": f"{folder}/engine.json",
        "--data-root": f"{folder}/data",
        "--exec-root": f"{folder}/exec",
        "--pidfile": f"{folder}/pid",
        "--host": f"unix://{socket}",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [dockerd, *(part for pair in options.items() for part in pair)],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait_for(socket, process)
            _add_image(socket, Path(busybox))
            yield socket
        finally:
            process.terminate()
            process.wait(120)
            shutil.rmtree(folder, ignore_errors=True)


def _wait_for(socket: str, process: subprocess.Popen[Any]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        if process.poll() is not None:
            raise NoEngineError("the Docker Engine does not run on this machine")
        try:
            Engine(socket).ask("GET", "/_ping", 5.0)
        except ConnectorError:
            time.sleep(0.1)
        else:
            return
    raise NoEngineError("the Docker Engine did not start within two minutes")


def _add_image(socket: str, busybox: Path) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for folder in ("bin", "etc", "tmp"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(entry)
        tar.add(busybox, "bin/busybox")
        for name in _PROGRAMS:
            entry = tarfile.TarInfo(f"bin/{name}")
            entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(entry)
    Engine(socket).ask(
        "POST",
        "/images/create",
        60.0,
        # Podman ignores a separate tag.
        query={"fromSrc": "-", "repo": IMAGE},
        body=archive.getvalue(),
    )
