"""The Azure vendor against Azurite, Microsoft's emulator."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import time
from base64 import urlsafe_b64encode
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.request import Request as Asking
from urllib.request import urlopen

import attrs
import pytest

from moorage import ConnectorManager, OAuthCredentials, Request, Tls
from moorage.adapters.credentials.memory import MemoryCredentialProvider
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.contracts.routes import Account
from moorage.contracts.storage import ByteRange, PutOptions
from moorage.errors import AuthenticationFailed, FileNotFound
from moorage.hub.hub import Hub
from moorage.testing import storage_conformance as kit
from moorage.testing.fakes.http_tls import certificate_files
from moorage.testing.kits.checks import name_of
from moorage.vendors.storage.azure_blob import AzureBlob
from tests.storage.harnesses import PART, QUICK, bytes_of
from tests.support.ports import free_port
from tests.support.servers import azurite

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from moorage.contracts.storage import SignedUrl

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""What everybody knows: the emulator's own account."""
PATIENCE = 120.0
OTHERWISE = {"ranges_are_exact"}
"""The emulator answers 206 where Azure answers 416."""


@attrs.frozen
class Emulator:
    """An Azurite emulator in its own process, with a container.

    Attributes:
        endpoint: the account's URL.
        authority: the file with the authority of the server's certificate.
    """

    endpoint: str
    authority: Path

    @contextmanager
    def http(self) -> Generator[StdlibHttpClient]:
        """Return an HTTP client that trusts the emulator's certificate."""
        with closing(StdlibHttpClient(tls=Tls(authorities=self.authority))) as client:
            yield client

    def container(self, key: str | None = KEY) -> AzureBlob:
        """Return the vendor of the emulator's container, with this key."""
        return AzureBlob(
            account=ACCOUNT, container="files", credentials=key, endpoint=self.endpoint
        )

    @contextmanager
    def hub(self, key: str | None = KEY, **ports: Any) -> Generator[Hub]:
        """Yield a hub with an account at the emulator, with this key."""
        settings = {"retry": QUICK, "circuit": None}
        account = Account("azure", self.container(key), settings=settings)
        with self.http() as http, Hub([account], http=http, **ports) as hub:
            yield hub


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Yield an emulator that accepts idempotency keys and, over TLS, tokens."""
    command = azurite()
    certificate, secret = certificate_files(tmp_path_factory.mktemp("azurite"))
    port = free_port()
    command += ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--oauth", "basic"]
    command += ["--cert", str(certificate), "--key", str(secret)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running_process:
        try:
            _wait_for(port)
            new_emulator = Emulator(f"https://127.0.0.1:{port}/{ACCOUNT}", certificate)
            service = new_emulator.container().services()[""]
            with new_emulator.http() as http, ConnectorManager([service], http=http) as manager:
                request = Request.put("/files", query={"restype": "container"})
                assert 201 == manager.call("azure_blob", request).status
            yield new_emulator
        finally:
            running_process.terminate()


def _wait_for(port: int) -> None:
    """Wait until the server accepts connections."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            assert time.monotonic() < end, "Azurite does not start."
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def hub(emulator: Emulator) -> Iterator[Hub]:
    """Yield a hub with an account at the emulator."""
    with emulator.hub() as single_hub:
        yield single_hub


def fetch(emulator: Emulator, signed: SignedUrl, body: bytes) -> tuple[int, bytes]:
    """Send the request of a signed URL."""
    data = body if signed.method == "PUT" else None
    http_request = Asking(signed.url, data, dict(signed.headers), method=signed.method)  # noqa: S310 - a URL of the local emulator
    trust = ssl.create_default_context(cafile=emulator.authority)
    try:
        with urlopen(http_request, context=trust) as answer:  # noqa: S310 - a URL of the local emulator
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


def token() -> OAuthCredentials:
    """Return a token like those of Entra ID; the emulator does not check its signature."""
    now = int(time.time())
    fields = {
        "aud": "https://storage.azure.com",
        "iss": "https://sts.windows.net/ab1f708d-50f6-404c-a006-d71b2ac7a606/",
        "iat": now - 60,
        "nbf": now - 60,
        "exp": now + 600,
        "oid": "23657296-5cd5-45b0-a809-d972a7f4dfe1",
        "tid": "dd0d0df1-06c3-436c-8034-4b9a153097ce",
    }
    parts: list[dict[str, Any]] = [{"alg": "none", "typ": "JWT"}, fields, {}]
    text = [urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return OAuthCredentials(access_token=".".join(text))


def test_azure_vendor_passes_storage_conformance_kit_against_emulator(
    hub: Hub, emulator: Emulator
) -> None:
    """The Azure vendor passes the storage conformance kit against the emulator."""
    fetching = partial(fetch, emulator)
    subject = kit.Subject(hub.storage(), PART, AzureBlob.capabilities, fetching, container="files")
    for check in kit.CHECKS:
        if name_of(check) not in OTHERWISE:
            check(lambda: subject)


def test_ranges_tags_and_access_tiers_work_at_the_emulator(hub: Hub) -> None:
    """Ranges, tags and access tiers work at the emulator, and a wrong key is refused."""
    files, data = hub.storage(), bytes_of(1_000)
    stored_options = PutOptions(
        storage_class="Cool",
        tags={"case": "2041", "kind": "in voice"},
        metadata={"2-x": "a  b", "a-1": "", "a-b": "c", "a1": "Zoë"},
    )
    files.upload("ranged", data, stored_options)

    for target in (ByteRange(0, 1), ByteRange(10, 20), ByteRange(990, 100), ByteRange(-7)):
        result = files.download("ranged", range=target).read_all()
        start = target.start % len(data)
        assert data[start:][: target.length] == result
    head = files.head("ranged")
    assert "Cool" == head.storage_class
    assert stored_options.metadata == head.metadata
    copied_info = files.copy("ranged", "copied", PutOptions(cache_control="no-store"))
    assert ("no-store", {}, 1_000) == (
        copied_info.cache_control,
        copied_info.metadata,
        copied_info.size,
    )
    with pytest.raises(FileNotFound):
        files.head("absent")


def test_files_are_uploaded_with_token(emulator: Emulator) -> None:
    """With a token, files are uploaded, and read by URLs signed with a delegation key."""
    provider = MemoryCredentialProvider({("azure", None): token()})
    with emulator.hub(None, credentials=provider) as hub:
        files = hub.storage()
        files.upload("a b", b"by token")
        signed_url = files.signed_url("a b", expires=600, content_disposition="attachment")
        put = files.signed_url("a b", "PUT", expires=600, content_type="a/b")

        assert (200, b"by token") == fetch(emulator, signed_url, b"")
        assert 201 == fetch(emulator, put, b"by URL")[0]
        assert b"by URL" == files.download("a b").read_all()
        assert b"by URL" == files.download(files.copy("a b", "c").ref).read_all()


def test_emulator_refuses_wrong_account_key(emulator: Emulator) -> None:
    """The emulator refuses a wrong account key."""
    with emulator.hub("d3Jvbmc=") as hub, pytest.raises(AuthenticationFailed) as excinfo:
        hub.storage().head("a")
    assert excinfo.value.vendor_code
