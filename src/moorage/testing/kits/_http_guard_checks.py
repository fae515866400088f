"""Checks of an HTTP client with a guard, which allows only certain destinations."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.domain.http.outgoing import OutgoingGuard
from moorage.domain.http.requests import Request
from moorage.domain.http.transport import Tls
from moorage.errors import ConnectionFailed, DestinationRefused
from moorage.testing.fakes.http_server import Behaviour, VendorServer
from moorage.testing.fakes.http_tls import tls_pem
from moorage.testing.kits._http_harness import PATIENT, failure_of
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from moorage.ports.http import AsyncHttpClient

Guarded: TypeAlias = "Callable[[OutgoingGuard, Tls], AsyncHttpClient]"

_OWN_ADDRESSES: Final = ("127.0.0.1", "::1")
_LEADING_INSIDE: Final = (
    "http://127.0.0.1/",
    "http://localhost/",
    "http://0x7f.1/",
    "http://0177.0.0.1/",
    "http://2130706433/",
    "http://127.1/",
    "http://[::1]/",
    "http://[::ffff:127.0.0.1]/",
    "http://10.0.0.1/",
    "http://169.254.169.254/latest/meta-data",
    "https://[fd00:ec2::254]/",
)


@asynccontextmanager
async def _guarded_client(
    clients: Guarded, guard: OutgoingGuard, tls: Tls | None = None
) -> AsyncGenerator[AsyncHttpClient]:
    client = clients(guard, tls or Tls())
    try:
        yield client
    finally:
        await client.close()


def _guard_at(vendor: VendorServer, **settings: Any) -> OutgoingGuard:
    """Return a guard that treats this machine's addresses as public."""
    return OutgoingGuard(networks=_OWN_ADDRESSES, ports=vendor.address[1], **settings)


async def _is_refused(client: AsyncHttpClient, url: str) -> None:
    call = client.send(Request.post("/", body=b"x"), url, PATIENT)
    failed_error = await failure_of(
        call, DestinationRefused, because=f"{url} leads to an internal address."
    )
    require(
        not failed_error.may_have_been_processed,
        f"The error does not state that nothing was sent to {url}.",
    )
    require(
        not failed_error.retryable,
        f"The error for the refused address {url} is retryable.",
    )


async def internal_addresses_are_refused(clients: Guarded) -> None:
    """A guarded client refuses internal addresses in every notation, without connecting."""
    async with _guarded_client(clients, OutgoingGuard()) as client:
        for url in _LEADING_INSIDE:
            await _is_refused(client, url)
    with VendorServer() as vendor:
        port = vendor.address[1]
        async with _guarded_client(clients, OutgoingGuard(ports=port)) as client:
            for host in ("127.0.0.1", "localhost"):
                await _is_refused(client, f"http://{host}:{port}/")
        require(not vendor.connections, "A connection to a refused address was opened.")


async def allowed_destinations_are_reached(clients: Guarded) -> None:
    """A guarded client reaches the addresses and names that are allowed, and no others."""
    with VendorServer() as vendor:
        vendor.always(Behaviour(302, {"Location": "http://127.0.0.2/"}))
        port = vendor.address[1]
        async with _guarded_client(clients, _guard_at(vendor)) as client:
            for host in ("127.0.0.1", "localhost"):
                url = f"http://{host}:{port}/"
                answer = await client.send(Request.get("/"), url, PATIENT)
                require(answer.status == 302, f"A redirect was returned as {answer.status}.")
                host_header = vendor.requests[-1].headers["host"]
                require(host_header == f"{host}:{port}", f"{host}:{port} was named {host_header}.")


async def other_destinations_are_refused(clients: Guarded) -> None:
    """A guarded client refuses other hosts, other ports and unencrypted requests."""
    with VendorServer() as vendor:
        for guard in (
            _guard_at(vendor, hosts="vendor.example"),
            _guard_at(vendor, plain_http=False),
            OutgoingGuard(networks=_OWN_ADDRESSES, ports=80),
        ):
            async with _guarded_client(clients, guard) as client:
                await _is_refused(client, vendor.url)
        require(not vendor.connections, "A connection to a refused address was opened.")


async def a_vendor_is_verified_by_name(clients: Guarded) -> None:
    """If a guard resolves a host name, TLS still checks the vendor's certificate for that name."""
    server, authority = tls_pem("localhost")
    with VendorServer(tls=server) as vendor:
        vendor.always(Behaviour(204))
        port = vendor.address[1]
        async with _guarded_client(
            clients, _guard_at(vendor), Tls(authorities=authority)
        ) as client:
            answer = await client.send(Request.get("/"), f"https://localhost:{port}/", PATIENT)
            require(answer.status == 204, f"204 came back as {answer.status}.")
            call = client.send(Request.get("/"), f"https://127.0.0.1:{port}/", PATIENT)
            reason = "the certificate is for another name"
            await failure_of(call, ConnectionFailed, because=reason)
        require(len(vendor.requests) == 1, f"A request was sent: {reason}.")


CHECKS: Final = (
    internal_addresses_are_refused,
    allowed_destinations_are_reached,
    other_destinations_are_refused,
    a_vendor_is_verified_by_name,
)
