"""A private sshd with its own keys, for tests."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from moorage.adapters.steps.ssh import SshPlatform
from tests.support.ports import free_port
from tests.support.servers import sshd_program

if TYPE_CHECKING:
    from collections.abc import Generator

_SETTINGS = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
PidFile {folder}/pid
AuthorizedKeysFile {folder}/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
MaxStartups 200
"""


@attrs.frozen
class Sshd:
    """A running SSH server: its port, and the folder of its keys."""

    port: int
    folder: Path

    def platform(self, runs: Path, port: int | None = None, **options: str) -> SshPlatform:
        """Return a platform that stores its runs in a folder of this server."""
        arguments = {
            "user": getpass.getuser(),
            "known_hosts": f"{self.folder}/known_hosts",
            "identity": f"{self.folder}/key",
            "folder": str(runs),
            "python": shutil.which("python3", path="/usr/bin:/usr/local/bin") or "python3",
            **options,
        }
        return SshPlatform("127.0.0.1", port=port or self.port, **arguments)

    def add_known_host(self, port: int, key: str = "host_key") -> None:
        """Add the host key of a port to the known hosts."""
        public = (self.folder / f"{key}.pub").read_text()
        with (self.folder / "known_hosts").open("a") as file:
            file.write(f"[127.0.0.1]:{port} {public}")


@contextmanager
def sshd(folder: Path) -> Generator[Sshd]:
    """Yield a private sshd."""
    program, keygen = sshd_program(), shutil.which("ssh-keygen") or "ssh-keygen"
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    for name in ("host_key", "other_key", "key", "stranger"):
        subprocess.run(
            [
                keygen,
                "-q",
                "-t",
                "ed25519",
                "-N",
                "",
                "-f",
                f"{folder}/{name}",
            ],
            check=True,
        )
    shutil.copy(folder / "key.pub", folder / "authorized_keys")
    (folder / "sshd_config").write_text(_SETTINGS.format(port=port, folder=folder))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-D", "-e", "-f", f"{folder}/sshd_config"], stdout=log, stderr=log
        )
        try:
            _wait_for(port)
            server = Sshd(port, folder)
            server.add_known_host(port)
            yield server
        finally:
            process.terminate()
            process.wait(60)


def _wait_for(port: int) -> None:
    end = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < end, "sshd does not listen."
            time.sleep(0.02)
        else:
            return
