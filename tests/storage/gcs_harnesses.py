"""Helpers for tests of Google Cloud Storage: hubs over its sandbox, in sync and async mode."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from moorage.contracts.routes import Account
from moorage.domain.http.headers import Headers
from moorage.hub.hub import AsyncHub, Hub
from moorage.testing.sandboxes.base import AsyncSandboxHttpClient, SandboxHttpClient, SandboxRequest
from moorage.testing.sandboxes.storage.gcs import GcsSandbox
from moorage.vendors.storage.gcs import Gcs
from tests.storage.harnesses import QUICK

if TYPE_CHECKING:
    from collections.abc import Generator

    from moorage.contracts.storage import SignedUrl


def gcs(server: GcsSandbox, **options: Any) -> Gcs:
    """Return the Google vendor for the sandbox's bucket."""
    return Gcs(
        **{
            "bucket": server.bucket,
            "credentials": server.key_file(),
            "project": server.project,
            **options,
        }
    )


def gcs_account(server: GcsSandbox, **options: Any) -> Account:
    """Return a Google account that does not wait between attempts."""
    return Account("gcs", gcs(server, **options), settings={"retry": QUICK, "circuit": None})


@contextmanager
def bucket(**options: Any) -> Generator[GcsSandbox]:
    """Yield the sandbox of a temporary bucket."""
    sandbox = GcsSandbox(**options)
    try:
        yield sandbox
    finally:
        sandbox.close()


@contextmanager
def over_gcs(server: GcsSandbox, **options: Any) -> Generator[Hub]:
    """Yield a hub that calls the sandbox in memory."""
    with Hub([gcs_account(server, **options)], http=SandboxHttpClient(server)) as hub:
        yield hub


@contextmanager
def over_socket(made_server: GcsSandbox, **options: Any) -> Generator[Hub]:
    """Yield a hub that calls the sandbox over a socket."""
    with made_server.serving() as server:
        key = made_server.key_file(f"{server.url}/token")
        with Hub(
            [gcs_account(made_server, credentials=key, endpoint=server.url, **options)]
        ) as hub:
            yield hub


def async_over_gcs(server: GcsSandbox) -> AsyncHub:
    """Yield an asynchronous hub that calls the sandbox in memory."""
    return AsyncHub([gcs_account(server)], http=AsyncSandboxHttpClient(server))


def fetch_of_gcs(server: GcsSandbox) -> Any:
    """Return a function that sends the request of a signed URL to the sandbox."""

    def fetch(signed: SignedUrl, body: bytes) -> tuple[int, bytes]:
        parts = urlsplit(signed.url)
        query = tuple(parse_qsl(parts.query, keep_blank_values=True))
        request = SandboxRequest(
            signed.method, parts.netloc, parts.path, query, Headers(signed.headers), body
        )
        response = server.answer(request)
        return response.status, response.body

    return fetch
