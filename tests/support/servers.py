"""Finds servers that tests need; if one is missing, tests are skipped, or fail in CI.

An environment variable can name each server; otherwise its usual location is searched.
"""

from __future__ import annotations

import os
import shutil
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import pytest

_TIMEOUT = 2.0
_RESTATE = Path(__file__).parents[2] / "build/restate/node_modules/@restatedev"
_AZURITE = Path(__file__).parents[2] / "build/azurite/node_modules/azurite/dist/src/blob/main.js"


def redis_url() -> str:
    """Return the URL of the shared Redis server."""
    return _server_url(
        "MOORAGE_TEST_REDIS_URL",
        "redis://127.0.0.1:6379/0",
        "start one with `redis-server` or `docker run -p 6379:6379 redis`",
    )


def redis_server() -> str:
    """Return the program that starts private Redis servers."""
    program = shutil.which("redis-server")
    if program is None:
        _skip_or_fail("`redis-server` is not installed: install Redis")
    return program


def sshd_program() -> str:
    """Return the program that starts private SSH servers."""
    program = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if program is None or shutil.which("ssh") is None:
        _skip_or_fail("`sshd` is not installed: install openssh-server and openssh-client")
    return program


def postgres_url() -> str:
    """Return the URL of the shared PostgreSQL server, with a superuser."""
    return _server_url(
        "MOORAGE_TEST_POSTGRES_URL",
        "postgresql://postgres@127.0.0.1:5432/test",
        "start one with `docker run -p 5432:5432 -e POSTGRES_HOST_AUTH_METHOD=trust "
        "-e POSTGRES_DB=test postgres`",
    )


def pgbouncer_program() -> str:
    """Return the program that starts private connection poolers."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    program = shutil.which("pgbouncer", path=path)
    if program is None:
        _skip_or_fail("`pgbouncer` is not installed: run `apt-get install pgbouncer`")
    return program


def slapd_program() -> str:
    """Return the program that starts private LDAP servers."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/libexec"])
    program = shutil.which("slapd", path=path)
    if program is None or not Path("/etc/ldap/schema/inetorgperson.schema").is_file():
        _skip_or_fail("`slapd` is not installed: run `apt-get install slapd`")
    return program


def dovecot_program() -> str:
    """Return the program that starts private IMAP servers."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    program = shutil.which("dovecot", path=path)
    if program is None or os.getuid() != 0:
        _skip_or_fail("`dovecot` needs root: run `apt-get install dovecot-imapd`, and be root")
    return program


def needs_postgres_programs() -> None:
    """Skip the test where the programs of a PostgreSQL server are not installed."""
    from tools.crashes import cluster  # noqa: PLC0415 - imports psycopg, which older hosts lack

    if cluster.programs() is None:
        _skip_or_fail("`initdb` is not installed: install the server of PostgreSQL")


def mariadb_url() -> str:
    """Return the URL of the shared MariaDB server, with a superuser."""
    return _server_url(
        "MOORAGE_TEST_MARIADB_URL",
        "mariadb://root@127.0.0.1:3306/test",
        "start one with `docker run -p 3306:3306 -e MARIADB_ALLOW_EMPTY_ROOT_PASSWORD=1 "
        "-e MARIADB_DATABASE=test mariadb`",
    )


def rabbitmq_url() -> str:
    """Return the URL of the shared RabbitMQ server, with an administrator."""
    return _server_url(
        "MOORAGE_TEST_RABBITMQ_URL",
        "amqp://guest:guest@127.0.0.1:5672/",
        "start one with `rabbitmq-server` or `docker run -p 5672:5672 rabbitmq`",
    )


def rabbitmq_programs() -> tuple[str, str]:
    """Return the programs that start and control private RabbitMQ servers."""
    # Debian's programs drop the rights of the user who starts them; these programs do not.
    folders = os.pathsep.join(["/usr/lib/rabbitmq/bin", os.environ.get("PATH", "")])
    server = shutil.which("rabbitmq-server", path=folders)
    control = shutil.which("rabbitmqctl", path=folders)
    if server is None or control is None:
        _skip_or_fail("`rabbitmq-server` is not installed: install RabbitMQ")
    return server, control


def nats_server() -> str:
    """Return the program that starts private NATS servers."""
    program = shutil.which("nats-server")
    if program is None:
        _skip_or_fail("`nats-server` is not installed: install NATS")
    return program


def mosquitto_program(name: str = "mosquitto") -> str:
    """Return the path of a Mosquitto program, by default that of the broker."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    program = shutil.which(name, path=path)
    if program is None:
        _skip_or_fail(f"`{name}` is not installed: run `apt-get install mosquitto`")
    return program


def restate_server() -> str:
    """Return the path of the Restate server."""
    program = next(_RESTATE.glob("restate-server-*/bin/restate-server"), None)
    if program is None:
        _skip_or_fail("Restate's server is not installed: run `make restate`, which needs npm")
    return str(program)


def azurite() -> list[str]:
    """Return the command that starts Azurite, without its port."""
    node = shutil.which("node")
    if node is None or not _AZURITE.is_file():
        _skip_or_fail("Azurite is not installed: run `make azurite`, which needs Node.js and npm")
    return [node, str(_AZURITE), "--inMemoryPersistence", "--silent", "--disableTelemetry"]


def node() -> str:
    """Return the program that runs JavaScript."""
    program = shutil.which("node")
    if program is None:
        _skip_or_fail("`node` is not installed: install Node.js")
    return program


def chromium() -> tuple[str, str]:
    """Return the paths of a browser and its driver."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        _skip_or_fail(
            "Chromium and its driver are not installed: run `apt-get install chromium"
            " chromium-driver`, or what your system calls them"
        )
    return browser, driver


def prometheus_programs() -> tuple[str, str]:
    """Return the paths of Prometheus and of `promtool`."""
    server, tool = shutil.which("prometheus"), shutil.which("promtool")
    if server is None or tool is None:
        _skip_or_fail(
            "Prometheus is not installed: run `apt-get install prometheus`, or what your system"
            " calls it"
        )
    return server, tool


def needs_kerberos() -> None:
    """Skip the test if the programs or the library for Kerberos are not installed."""
    if find_spec("gssapi") is None or not Path("/usr/sbin/krb5kdc").exists():
        _skip_or_fail(
            "Kerberos is not installed: run `apt-get install gcc krb5-kdc krb5-admin-server"
            " libkrb5-dev`, and `pip install '.[kerberos]'`"
        )


def _server_url(variable: str, usual: str, remedy: str) -> str:
    """Return the URL of a server that accepts connections."""
    url = os.environ.get(variable, usual)
    place = urlsplit(url)
    try:
        socket.create_connection((place.hostname, place.port), _TIMEOUT).close()
    except OSError:
        address = f"{place.hostname}:{place.port}"
        _skip_or_fail(f"nothing answers at {address}: {remedy}, or set {variable} to where one is")
    return url


def _skip_or_fail(reason: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
