"""Checks of an HTTP client that sends its requests through a proxy."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from moorage.domain.http.requests import Request, Timeouts
from moorage.domain.http.transport import Proxy, Tls
from moorage.errors import AttemptTimeout, ConnectionFailed
from moorage.testing.fakes.http_proxy import ProxyServer
from moorage.testing.fakes.http_server import Behaviour, VendorServer
from moorage.testing.fakes.http_tls import tls_pem
from moorage.testing.kits._http_harness import BRIEFLY, GRACE, PATIENT, failure_of
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from moorage.ports.http import AsyncHttpClient

Proxied: TypeAlias = "Callable[[Proxy, Tls], AsyncHttpClient]"

_NAME: Final = "vendor.example"
_USER: Final = "somebody"
_PASSWORD: Final = "h1dden: 42/é"  # noqa: S105 - opens nothing
_UNSENT: Final = "a request that was not admitted has no effect"


def _with_credentials(proxy: ProxyServer, **fields: Any) -> Proxy:
    return Proxy(url=proxy.url, username=_USER, password=_PASSWORD, **fields)


@asynccontextmanager
async def _client_through_proxy(
    clients: Proxied, proxy: Proxy, tls: Tls | None = None
) -> AsyncGenerator[AsyncHttpClient]:
    client = clients(proxy, tls or Tls())
    try:
        yield client
    finally:
        await client.close()


async def plain_requests_are_forwarded(clients: Proxied) -> None:
    """A proxy receives the full URL and the proxy's credentials, which the vendor never gets."""
    with (
        VendorServer() as vendor,
        ProxyServer(target=vendor.address, credentials=(_USER, _PASSWORD)) as proxy,
    ):
        vendor.always(lambda received: Behaviour(body=received.body))
        async with _client_through_proxy(clients, _with_credentials(proxy)) as client:
            for target, host in (("/a?b=%20&c", _NAME), ("/", f"{_NAME}:8080")):
                url = f"http://{host}{target}"
                answer = await client.send(Request.post("/", body=b"x"), url, PATIENT)
                require(answer.body == b"x", f"The answer through a proxy was {answer!r}.")
                proxied, received_webhook = proxy.requests[-1], vendor.requests[-1]
                require(
                    proxied.target == url, f"The proxy was asked for {proxied.target}, not {url}."
                )
                require(proxied.headers["host"] == host, "The proxy got the name of another host.")
                require(received_webhook.target == target, "The vendor got a different request.")
                require(
                    "proxy-authorization" not in received_webhook.headers,
                    "The vendor received the credentials for the proxy.",
                )


async def secure_requests_are_tunnelled(clients: Proxied) -> None:
    """A proxy sees only the host name of encrypted requests; one tunnel carries many requests."""
    server, authority = tls_pem(_NAME)
    with (
        VendorServer(tls=server) as vendor,
        ProxyServer(target=vendor.address, credentials=(_USER, _PASSWORD)) as proxy,
    ):
        vendor.always(lambda received: Behaviour(body=received.body))
        async with _client_through_proxy(
            clients, _with_credentials(proxy), Tls(authorities=authority)
        ) as client:
            for body in (b"x", bytes(999_999)):
                request = Request.post("/", headers={"X-Own": "y"}, body=body)
                answer = await client.send(request, f"https://{_NAME}/a", PATIENT)
                require(answer.body == body, "A body changed on its way through a tunnel.")
        require(len(proxy.requests) == 1, f"{len(proxy.requests)} tunnels carried two requests.")
        tunnel_request = proxy.requests[0]
        require(
            tunnel_request.method == "CONNECT", f"The proxy was asked to {tunnel_request.method}."
        )
        require(
            tunnel_request.target == f"{_NAME}:443",
            f"The proxy was asked for {tunnel_request.target}.",
        )
        require(
            "x-own" not in tunnel_request.headers, "The proxy was shown a field of the request."
        )
        for received_webhook in vendor.requests:
            require(
                "proxy-authorization" not in received_webhook.headers,
                "The vendor received the credentials for the proxy.",
            )


async def a_vendor_is_verified_through_a_tunnel(clients: Proxied) -> None:
    """If a proxy connects to a wrong server, the client notices that before it sends anything."""
    server, authority = tls_pem("another.example")
    with VendorServer(tls=server) as vendor, ProxyServer(target=vendor.address) as proxy:
        async with _client_through_proxy(
            clients, Proxy(url=proxy.url), Tls(authorities=authority)
        ) as client:
            call = client.send(Request.get("/"), f"https://{_NAME}/", PATIENT)
            reason = "its certificate has another name"
            failed_error = await failure_of(call, ConnectionFailed, because=reason)
            require(
                not failed_error.may_have_been_processed,
                f"The error does not state that nothing was sent: {reason}.",
            )
        require(vendor.requests == (), f"A request was sent: {reason}.")


async def a_proxy_may_be_secure_itself(clients: Proxied) -> None:
    """An HTTPS proxy's own certificate is verified, and the proxy forwards HTTP and HTTPS."""
    server, authority = tls_pem("127.0.0.1")
    _, other_certificate = tls_pem("127.0.0.1")
    for is_secure in (False, True):
        with (
            VendorServer(tls=server if is_secure else None) as vendor,
            ProxyServer(target=vendor.address, tls=server) as proxy,
        ):
            vendor.always(Behaviour(204))
            async with _client_through_proxy(
                clients, Proxy(url=proxy.url), Tls(authorities=authority)
            ) as client:
                for _ in range(2):
                    answer = await client.send(Request.get("/"), vendor.url, PATIENT)
                    require(answer.status == 204, f"204 came back as {answer.status}.")
            require(proxy.requests != [], "The proxy was not asked.")
            request_count = len(proxy.requests)
            async with _client_through_proxy(
                clients, Proxy(url=proxy.url), Tls(authorities=other_certificate)
            ) as client:
                call = client.send(Request.get("/"), vendor.url, PATIENT)
                reason = "the certificate of its proxy is another's"
                failed_error = await failure_of(call, ConnectionFailed, because=reason)
                require(
                    not failed_error.may_have_been_processed,
                    f"The error does not state that nothing was sent: {reason}.",
                )
            require(len(proxy.requests) == request_count, "A proxy that is not trusted was asked.")


async def some_hosts_are_reached_directly(clients: Proxied) -> None:
    """Hosts on the list of exceptions are reached without the proxy."""
    with VendorServer() as vendor, ProxyServer(target=vendor.address) as proxy:
        vendor.always(Behaviour(204))
        for bypass, count in (((), 1), (("127.0.0.0/8",), 1), (("*",), 1), (("other.example",), 2)):
            async with _client_through_proxy(
                clients, Proxy(url=proxy.url, bypass=bypass)
            ) as client:
                answer = await client.send(Request.get("/"), vendor.url, PATIENT)
                require(answer.status == 204, f"204 came back as {answer.status}.")
            require(len(proxy.requests) == count, f"The proxy was used in spite of {bypass}.")


_REFUSALS: Final[dict[str, bytes]] = {
    "it answered 403": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
    "it answered 502": b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
    "it hung up": b"",
    "it hung up in its answer": b"HTTP/1.1 200 ",
    "it is not a proxy": b"SSH-2.0-OpenSSH_9.6\r\n",
}


async def a_refused_tunnel_sends_nothing(clients: Proxied) -> None:
    """If the proxy refuses a tunnel, no byte of the request is sent."""
    request = Request.post("/", headers={"Authorization": _PASSWORD[:7]}, body=b"x")
    for reason, answers in _REFUSALS.items():
        with (
            VendorServer() as vendor,
            ProxyServer(target=vendor.address, answers=answers) as proxy,
        ):
            async with _client_through_proxy(clients, _with_credentials(proxy)) as client:
                call = client.send(request, f"https://{_NAME}/", PATIENT)
                failed_error = await failure_of(call, ConnectionFailed, because=reason)
                _check_unsent(failed_error, reason)
            require(vendor.connections == 0, f"A request was sent: {reason}.")


async def an_unreachable_proxy_sends_nothing(clients: Proxied) -> None:
    """If a proxy is unreachable or silent, the call ends at its timeout and nothing was sent."""
    with VendorServer(port="refusing") as unknown_server, VendorServer() as silent_server:
        silent_server.always(Behaviour(raw=b""))
        for server, kind, time_limit in (
            (unknown_server, ConnectionFailed, PATIENT.total),
            (silent_server, AttemptTimeout, BRIEFLY + GRACE),
        ):
            url = f"http://{server.address[0]}:{server.address[1]}"
            proxy = Proxy(url=url, username=_USER, password=_PASSWORD)
            reason = f"its proxy was {'silent' if server is silent_server else 'unreachable'}"
            for timeouts in (Timeouts(connect=BRIEFLY), Timeouts(total=BRIEFLY)):
                async with _client_through_proxy(clients, proxy) as client:
                    call = client.send(Request.get("/"), f"https://{_NAME}/", timeouts)
                    failed_error = await failure_of(
                        call, kind, because=reason, within=time_limit or 0
                    )
                    _check_unsent(failed_error, reason)


async def a_missing_proxy_login_is_reported(clients: Proxied) -> None:
    """A proxy's 407 response is not taken for the vendor's, and the error hides the password."""
    with (
        VendorServer() as vendor,
        ProxyServer(target=vendor.address, credentials=("another", "word")) as proxy,
    ):
        for scheme in ("http", "https"):
            async with _client_through_proxy(clients, _with_credentials(proxy)) as client:
                call = client.send(Request.get("/"), f"{scheme}://{_NAME}/", PATIENT)
                reason = f"its proxy refused the credentials ({scheme})"
                failed_error = await failure_of(call, ConnectionFailed, because=reason)
                _check_unsent(failed_error, reason)
        require(vendor.connections == 0, "A request was sent to the vendor.")


def _check_unsent(failed: ConnectionFailed, because: str) -> None:
    require(
        not failed.may_have_been_processed,
        f"The error does not state that nothing was processed: {because}.",
    )
    error_text = f"{failed} {failed!r} {vars(failed)}"
    require("h1dden" not in error_text, f"The error shows the proxy's password: {because}.")


CHECKS: Final = (
    plain_requests_are_forwarded,
    secure_requests_are_tunnelled,
    a_vendor_is_verified_through_a_tunnel,
    a_proxy_may_be_secure_itself,
    some_hosts_are_reached_directly,
    a_refused_tunnel_sends_nothing,
    an_unreachable_proxy_sends_nothing,
    a_missing_proxy_login_is_reported,
)
