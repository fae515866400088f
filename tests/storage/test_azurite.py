"""Azure's own emulator takes what is sent to Azure, and is understood."""

from __future__ import annotations

import socket
import subprocess
import time
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import Request as Asking
from urllib.request import urlopen

import pytest

from mooring import ConnectorManager, Request
from mooring.contracts.routes import Account
from mooring.contracts.storage import ByteRange, PutOptions
from mooring.errors import AuthenticationFailed, FileNotFound
from mooring.hub import Hub
from mooring.testing import storage_conformance as kit
from mooring.testing.checks import name_of
from mooring.vendors.azure_blob import AzureBlob
from tests.storage.labs import PART, QUICK, bytes_of
from tests.support.servers import azurite

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mooring.contracts.storage import SignedUrl

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""What everybody knows: the emulator's own account."""
PATIENCE = 30.0
OTHERWISE = {"ranges_are_exact"}
"""The emulator answers 206 where Azure answers 416."""


@pytest.fixture(scope="module")
def container() -> Iterator[AzureBlob]:
    """A container of an emulator of our own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*azurite(), "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            made = AzureBlob(
                account=ACCOUNT,
                container="files",
                credentials=KEY,
                endpoint=f"http://127.0.0.1:{port}/{ACCOUNT}",
            )
            _wait_for(port)
            with ConnectorManager([made.services()[""]]) as manager:
                request = Request.put("/files", query={"restype": "container"})
                assert 201 == manager.call("azure_blob", request).status
            yield made
        finally:
            running.terminate()


def _wait_for(port: int) -> None:
    """Until it takes connections."""
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
def hub(container: AzureBlob) -> Iterator[Hub]:
    """A hub with an account there."""
    settings = {"retry": QUICK, "circuit": None}
    with Hub([Account("azure", container, settings=settings)]) as one:
        yield one


def fetch(signed: SignedUrl, body: bytes) -> tuple[int, bytes]:
    """Does what a signed URL is for, as anybody would."""
    data = body if signed.method == "PUT" else None
    asking = Asking(signed.url, data, dict(signed.headers), method=signed.method)  # noqa: S310 - ours
    try:
        with urlopen(asking) as answer:  # noqa: S310 - the same
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


def test_kit(hub: Hub) -> None:
    """What every vendor must do is done with the emulator too."""
    subject = kit.Subject(hub.storage(), PART, AzureBlob.capabilities, fetch)
    for check in kit.CHECKS:
        if name_of(check) not in OTHERWISE:
            check(lambda: subject)


def test_what_the_emulator_does_in_its_own_way(hub: Hub) -> None:
    """Ranges, labels and tiers are taken, and a wrong key is refused."""
    files, data = hub.storage(), bytes_of(1_000)
    kept = PutOptions(
        storage_class="Cool",
        tags={"case": "2041", "kind": "in voice"},
        metadata={"2-x": "a  b", "a-1": "", "a-b": "c", "a1": "Zoë"},
    )
    files.upload("ranged", data, kept)

    for wanted in (ByteRange(0, 1), ByteRange(10, 20), ByteRange(990, 100), ByteRange(-7)):
        got = files.download("ranged", range=wanted).read_all()
        start = wanted.start % len(data)
        assert data[start:][: wanted.length] == got
    head = files.head("ranged")
    assert "Cool" == head.storage_class
    assert kept.metadata == head.metadata
    copied = files.copy("ranged", "copied", PutOptions(cache_control="no-store"))
    assert ("no-store", {}, 1_000) == (copied.cache_control, copied.metadata, copied.size)
    with pytest.raises(FileNotFound):
        files.head("absent")


def test_a_wrong_key(container: AzureBlob) -> None:
    """Who has another key is refused."""
    other = AzureBlob(
        account=ACCOUNT, container="files", credentials="d3Jvbmc=", endpoint=container.endpoint
    )
    with Hub([Account("azure", other)]) as hub, pytest.raises(AuthenticationFailed) as caught:
        hub.storage().head("a")
    assert "AuthorizationFailure" == caught.value.vendor_code
