"""A Kerberos realm on this machine: a key distribution centre with a user and a service."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from tests.support.ports import free_port
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

_CONFIGURATION = """
[libdefaults]
    default_realm = MOORAGE.TEST
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    rdns = false
    udp_preference_limit = 1
[realms]
    MOORAGE.TEST = {{
        kdc = 127.0.0.1:{port}
    }}
"""
_CENTRE = """
[kdcdefaults]
    kdc_ports = ""
    kdc_tcp_ports = {port}
[realms]
    MOORAGE.TEST = {{
        database_name = {folder}/principal
        key_stash_file = {folder}/stash
        acl_file = {folder}/acl
    }}
[logging]
    default = FILE:{folder}/log
"""


class KerberosRealm:
    """The realm MOORAGE.TEST, with the user `erp` and the service `HTTP/localhost`.

    `user_keys` and `service_keys` are the files with their keys; `environment` has the variables
    with which a process finds the realm and acts as the user.
    """

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self._folder = folder
        self.user_keys = folder / "user.keytab"
        self.service_keys = folder / "service.keytab"
        self.environment = {
            "KRB5_CONFIG": str(folder / "krb5.conf"),
            "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
            "KRB5_CLIENT_KTNAME": f"FILE:{self.user_keys}",
            "KRB5CCNAME": f"FILE:{folder}/tickets",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        }
        (folder / "krb5.conf").write_text(_CONFIGURATION.format(port=port), "utf-8")
        (folder / "kdc.conf").write_text(_CENTRE.format(port=port, folder=folder), "utf-8")

    def __enter__(self) -> Self:
        """Create the realm and start its key distribution centre."""
        self._run("kdb5_util", "create", "-s", "-P", "master", "-r", "MOORAGE.TEST")
        for name, keys in (("erp", self.user_keys), ("HTTP/localhost", self.service_keys)):
            self._run("kadmin.local", "-q", f"addprinc -randkey {name}")
            self._run("kadmin.local", "-q", f"ktadd -k {keys} {name}")
        ready_path = self._folder / "pid"
        self._centre = subprocess.Popen(
            ["/usr/sbin/krb5kdc", "-n", "-P", str(ready_path)],
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(ready_path.exists, "a key distribution centre that listens")
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the key distribution centre."""
        self._centre.kill()
        self._centre.wait()

    def _run(self, *command: str) -> None:
        subprocess.run(command, env=self.environment, check=True, capture_output=True)
