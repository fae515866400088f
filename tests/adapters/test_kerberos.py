"""Kerberos tickets for the Negotiate scheme, from a test realm on this machine."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
from base64 import b64decode
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from moorage import (
    AsyncConnectorManager,
    ConfigurationError,
    ConnectorManager,
    CredentialNotFound,
    Credentials,
    Request,
    Service,
)
from moorage.adapters.negotiators.kerberos import AsyncKerberosNegotiator, KerberosNegotiator
from moorage.testing import Behaviour, VendorServer
from tests.support.kerberos_realm import KerberosRealm
from tests.support.servers import needs_kerberos

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAMES = ("KRB5_CONFIG", "KRB5_CLIENT_KTNAME", "KRB5CCNAME")


@pytest.fixture(scope="module")
def realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KerberosRealm]:
    """Yield a Kerberos realm in which the process has a user."""
    needs_kerberos()
    previous_environment = {name: os.environ.get(name) for name in _NAMES}
    with KerberosRealm(tmp_path_factory.mktemp("realm")) as realm:
        os.environ.update({name: realm.environment[name] for name in _NAMES})
        yield realm
    for name, value in previous_environment.items():
        os.environ.pop(name)
        if value is not None:
            os.environ[name] = value


def user_of(token: bytes, realm: KerberosRealm) -> str:
    """Return the user whom this machine's HTTP service recognises in a token."""
    gssapi: Any = import_module("gssapi")
    service_credentials = gssapi.Credentials(
        usage="accept", store={"keytab": str(realm.service_keys)}
    )
    context = gssapi.SecurityContext(creds=service_credentials, usage="accept")
    context.step(token)
    return str(context.initiator_name)


def test_token_proves_the_user_of_this_process(realm: KerberosRealm) -> None:
    """The service recognises the user in each Kerberos token, and no two tokens are the same."""
    negotiator = KerberosNegotiator()
    tokens = [negotiator.token("localhost") for _ in range(2)]
    assert ["erp@MOORAGE.TEST"] * 2 == [user_of(token, realm) for token in tokens]
    assert tokens[0] != tokens[1]


def test_token_of_a_named_user(realm: KerberosRealm) -> None:
    """KerberosNegotiator uses the tickets of a configured user."""
    negotiator = AsyncKerberosNegotiator("erp@MOORAGE.TEST")
    token = asyncio.run(negotiator.token("localhost"))
    assert "erp@MOORAGE.TEST" == user_of(token, realm)


@pytest.mark.parametrize("user, host", [(None, "unknown.example"), ("x@MOORAGE.TEST", "a")])
def test_missing_ticket_is_explained(realm: KerberosRealm, user: str | None, host: str) -> None:
    """The error for a missing Kerberos ticket suggests kinit."""
    assert realm.user_keys.exists()
    with pytest.raises(CredentialNotFound, match="There is no Kerberos ticket") as excinfo:
        KerberosNegotiator(user).token(host)
    assert "kinit" in excinfo.value.remedy


_SLOW_TOKEN = """
import asyncio, sys
from moorage.adapters.negotiators.kerberos import AsyncKerberosNegotiator

async def main() -> None:
    try:
        async with asyncio.timeout(0.2):
            await AsyncKerberosNegotiator().token("localhost")
    except TimeoutError:
        sys.stdout.write("timed out")

asyncio.run(main())
"""


def test_cancelled_token_keeps_neither_the_loop_nor_the_process_alive(
    realm: KerberosRealm, tmp_path: Path
) -> None:
    """A program ends at its time limit although the key distribution centre never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent_centre:
        configuration = Path(realm.environment["KRB5_CONFIG"]).read_text("utf-8")
        port = silent_centre.getsockname()[1]
        silent_configuration = tmp_path / "krb5.conf"
        silent_configuration.write_text(
            re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{port}", configuration), "utf-8"
        )
        result = subprocess.run(
            [sys.executable, "-c", _SLOW_TOKEN],
            env={
                **realm.environment,
                "KRB5_CONFIG": str(silent_configuration),
                "KRB5CCNAME": f"FILE:{tmp_path}/tickets",
            },
            capture_output=True,
            text=True,
            timeout=8,
            check=True,
        )
    assert "timed out" == result.stdout


def test_call_is_authenticated_by_a_ticket(realm: KerberosRealm) -> None:
    """A manager sends each request with its own Kerberos token."""

    def answer(request: Any) -> Behaviour:
        scheme, _, token = request.headers["authorization"].partition(" ")
        return Behaviour.of_json({scheme: user_of(b64decode(token), realm)})

    with VendorServer() as vendor:
        vendor.always(answer)
        base_url = f"http://localhost:{vendor.address[1]}"
        service = Service("books", base_url=base_url, credentials=Credentials.negotiate())
        with ConnectorManager([service]) as manager:
            sync_answers = [manager.call("books", Request.get("/")).json() for _ in range(2)]

        async def call() -> Any:
            async with AsyncConnectorManager([service]) as manager:
                return (await manager.call("books", Request.get("/"))).json()

        async_answer = asyncio.run(call())
    assert [{"Negotiate": "erp@MOORAGE.TEST"}] * 3 == [*sync_answers, async_answer]


def test_missing_library_is_named() -> None:
    """Without gssapi installed, the error names the pip extra to install."""
    previous_module = sys.modules.get("gssapi")
    sys.modules["gssapi"] = None  # type: ignore[assignment]  # how an import is made to fail
    try:
        with pytest.raises(ConfigurationError, match="gssapi is not installed") as excinfo:
            KerberosNegotiator()
    finally:
        del sys.modules["gssapi"]
        if previous_module is not None:
            sys.modules["gssapi"] = previous_module
    assert "[kerberos]" in excinfo.value.remedy
