"""Private LDAP servers that tests may kill."""

from __future__ import annotations

import signal
import socket
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from moorage import ConnectorManager, Service
from moorage.adapters.ldap.connector_sync import LdapConnector
from moorage.adapters.ldap.settings import Ldap
from moorage.testing.fakes.http_tls import certificate_files
from tests.support.ports import free_port
from tests.support.servers import slapd_program
from tests.support.waiting import wait_until

BASE = "dc=example"
USER, PASSWORD = "cn=erp,dc=example", "correct-horse-4711"
READER, READER_PASSWORD = "uid=reader,dc=example", "battery-staple-0815"


class PrivateSlapd:
    """A private OpenLDAP server with an empty directory, and a user with all rights.

    Another user may read everything but passwords, and change nothing. Clients without a name may
    authenticate, and nothing else.

    Args:
        lines: further lines of its configuration, for the database.
    """

    def __init__(self, *lines: str) -> None:
        self.port, self.secure_port = free_port(), free_port()
        self._place = TemporaryDirectory(prefix="moorage-slapd-")
        folder = Path(self._place.name)
        self.certificate, self.key = certificate_files(folder)
        (folder / "data").mkdir()
        self._config = folder / "slapd.conf"
        schemas = [
            f"include /etc/ldap/schema/{name}.schema"
            for name in ("core", "cosine", "inetorgperson")
        ]
        self._config.write_text(
            "\n".join(
                [
                    *schemas,
                    "modulepath /usr/lib/ldap",
                    "moduleload back_mdb",
                    f"pidfile {folder}/slapd.pid",
                    f"TLSCertificateFile {self.certificate}",
                    f"TLSCertificateKeyFile {self.key}",
                    f"TLSCACertificateFile {self.certificate}",
                    "TLSVerifyClient try",
                    f'authz-regexp ".*" "{USER}"',
                    "database mdb",
                    f"suffix {BASE}",
                    f"rootdn {USER}",
                    f"rootpw {PASSWORD}",
                    f"directory {folder}/data",
                    "dbnosync",
                    "access to attrs=userPassword by anonymous auth by * none",
                    "access to * by users read by anonymous auth by * none",
                    *lines,
                    "",
                ]
            )
        )
        self.process = self._start_process()
        self._fill()

    def settings(self, port: int | None = None, **settings: Any) -> Ldap:
        """Return a connector's settings for the server, or for a proxy before it."""
        standard: dict[str, Any] = {
            "url": f"ldap://127.0.0.1:{port or self.port}",
            "user": USER,
            "password": PASSWORD,
            "base": BASE,
            "start_tls": False,
        }
        return Ldap(**{**standard, **settings})

    def perform(self, make: Any) -> Any:
        """Perform an operation on a new connection; `make` creates it from the connector."""
        manager = ConnectorManager([Service("ldap")])
        with LdapConnector(self.settings()) as connector:
            return manager.perform("ldap", make(connector))

    def _start_process(self) -> subprocess.Popen[bytes]:
        urls = f"ldap://127.0.0.1:{self.port} ldaps://127.0.0.1:{self.secure_port}"
        process = subprocess.Popen(
            [slapd_program(), "-f", str(self._config), "-h", urls, "-d", "0"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

        def is_listening() -> bool:
            assert process.poll() is None, "slapd ended at once"
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                return False
            return True

        wait_until(is_listening, "starting slapd")
        return process

    def _fill(self) -> None:
        self.perform(
            lambda ldap: ldap.add(
                BASE, {"objectClass": ["dcObject", "organization"], "o": "Example"}
            )
        )
        self.perform(
            lambda ldap: ldap.add(
                READER,
                {
                    "objectClass": ["account", "simpleSecurityObject"],
                    "userPassword": READER_PASSWORD,
                },
            )
        )

    def kill(self) -> None:
        """Kill the server without a clean shutdown."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def start(self) -> None:
        """Start the server again with its stored data."""
        self.process = self._start_process()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._place.cleanup()
