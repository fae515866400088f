"""Helper for tests of cassettes: records and replays requests to a scripted vendor."""

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
from tests.testing.modes import SyncOrAsync, await_if_needed

if TYPE_CHECKING:
    from pathlib import Path

HOST = "https://api.example"
TIMEOUTS = Timeouts(total=5.0)


class Recorder:
    """Records requests to a scripted vendor in a cassette file, and replays them, sync or async."""

    def __init__(self, path: Path, *, is_async: bool) -> None:
        self.path = path
        self.is_async = is_async
        self.vendor = FakeVendor()

    def cassette(self, mode: Mode = "once", **options: Any) -> Cassette:
        """Return a cassette that uses this recorder's file."""
        return Cassette(self.path, mode=mode, **options)

    def client(self, cassette: Cassette) -> SyncOrAsync:
        """Return a sync or async HTTP client that records or replays with the cassette."""
        if self.is_async:
            return cassette.async_client(AsyncScriptedHttpClient(self.vendor, piece=4))
        return cassette.client(ScriptedHttpClient(self.vendor, piece=4))

    def record(self, *requests: tuple[Request, str], **options: Any) -> str:
        """Record the given requests, and return the content of the cassette file."""
        with self.cassette("record", **options) as cassette:
            client = self.client(cassette)
            for request, url in requests:
                await_if_needed(client.send(request, url, TIMEOUTS))
        return self.path.read_text("utf-8")

    def replay(self, *requests: tuple[Request, str], **options: Any) -> list[Response]:
        """Replay the given requests, and return the responses."""
        client = self.client(self.cassette("replay", **options))
        return [await_if_needed(client.send(request, url, TIMEOUTS)) for request, url in requests]


@pytest.fixture(params=["sync", "async"])
def recorder(request: pytest.FixtureRequest, tmp_path: Path) -> Recorder:
    """Return a recorder of sync and of async mode, with a cassette file in a temporary folder."""
    return Recorder(tmp_path / "tapes" / "vat.json", is_async=request.param == "async")


def get_request(path: str = "/rates", **options: Any) -> tuple[Request, str]:
    """Return a GET request and its URL."""
    return Request.get(path, **options), f"{HOST}{path}"


def post_request(path: str = "/charges", **options: Any) -> tuple[Request, str]:
    """Return a POST request and its URL."""
    return Request.post(path, **options), f"{HOST}{path}"
