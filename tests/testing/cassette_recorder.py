"""A recorder of exchanges with a scripted vendor, synchronous or asynchronous."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from moorage.domain.http.requests import Request, Response, Timeouts
from moorage.testing.cassettes.cassette import Cassette, Mode
from moorage.testing.fakes.http import (
    AsyncScriptedHttpClient,
    FakeVendor,
    ScriptedHttpClient,
)
from tests.testing.modes import Either, now

if TYPE_CHECKING:
    from pathlib import Path

HOST = "https://api.example"
TIMEOUTS = Timeouts(total=5.0)


class Recorder:
    """A cassette between a vendor and a client of one mode."""

    def __init__(self, path: Path, *, awaited: bool) -> None:
        self.path = path
        self.awaited = awaited
        self.vendor = FakeVendor()

    def cassette(self, mode: Mode = "once", **options: Any) -> Cassette:
        """A cassette with this file."""
        return Cassette(self.path, mode=mode, **options)

    def client(self, cassette: Cassette) -> Either:
        """A client of this mode, before the vendor."""
        if self.awaited:
            return cassette.async_client(AsyncScriptedHttpClient(self.vendor, piece=4))
        return cassette.client(ScriptedHttpClient(self.vendor, piece=4))

    def record(self, *requests: tuple[Request, str], **options: Any) -> str:
        """Record these requests; return the content of the file."""
        with self.cassette("record", **options) as cassette:
            client = self.client(cassette)
            for request, url in requests:
                now(client.send(request, url, TIMEOUTS))
        return self.path.read_text("utf-8")

    def replay(self, *requests: tuple[Request, str], **options: Any) -> list[Response]:
        """Replay these requests; return the answers."""
        client = self.client(self.cassette("replay", **options))
        return [now(client.send(request, url, TIMEOUTS)) for request, url in requests]


@pytest.fixture(params=["plain", "awaited"])
def recorder(request: pytest.FixtureRequest, tmp_path: Path) -> Recorder:
    """A recorder of each mode."""
    return Recorder(tmp_path / "tapes" / "vat.json", awaited=request.param == "awaited")


def get_request(path: str = "/rates", **options: Any) -> tuple[Request, str]:
    """A GET request and its URL."""
    return Request.get(path, **options), f"{HOST}{path}"


def post_request(path: str = "/charges", **options: Any) -> tuple[Request, str]:
    """A POST request and its URL."""
    return Request.post(path, **options), f"{HOST}{path}"
