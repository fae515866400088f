"""HTTP proxies, and the environment variables that name them."""

from __future__ import annotations

import asyncio
import itertools
import ssl
import traceback
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Literal

import pytest

from moorage.adapters.http.borrowed.aiohttp import AsyncAiohttpHttpClient
from moorage.adapters.http.borrowed.httpx2 import AsyncHttpx2HttpClient, Httpx2HttpClient
from moorage.adapters.http.borrowed.requests import RequestsHttpClient
from moorage.adapters.http.environment_proxy import environment_proxy
from moorage.adapters.http.pyreqwest.client import PyreqwestHttpClient
from moorage.adapters.http.stdlib.client import StdlibHttpClient
from moorage.domain.http.requests import Request, Timeouts
from moorage.domain.http.transport import Proxy, Tls
from moorage.domain.secrets.secret import Secret
from moorage.errors import AttemptTimeout, ConfigurationError, ConnectionFailed
from moorage.testing.fakes.http_proxy import ProxyServer
from moorage.testing.fakes.http_server import Behaviour, VendorServer
from moorage.testing.fakes.http_tls import certificate_files, tls_pem
from tests.adapters.http_modes import GET, LONG, POST, Make, with_both_clients
from tests.support.frames import is_of_moorage

if TYPE_CHECKING:
    from pathlib import Path

HIDDEN_PASSWORD = "h1dden"


# --- requests through a proxy ------------------------------------------------


@with_both_clients
async def test_connection_to_http_proxy_is_reused_only_for_requests_to_same_vendor(
    make: Make,
) -> None:
    """A connection to an HTTP proxy is reused only for requests to the same vendor."""
    with VendorServer() as proxy:
        proxy.always(Behaviour(204))
        client = make(proxy=proxy.url)
        for host in ("one.example", "one.example", "two.example", "one.example:81"):
            await client.send(GET, f"http://{host}/", LONG)
        await client.close()

        assert [1, 1, 2, 3] == [request.connection for request in proxy.requests]


@with_both_clients
async def test_request_own_proxy_authorization_is_sent_unchanged(make: Make) -> None:
    """A request's own `Proxy-Authorization` is sent unchanged."""
    with VendorServer() as proxy:
        proxy.always(Behaviour(204))
        client = make(proxy=f"http://me:{HIDDEN_PASSWORD}@{proxy.url[7:]}")
        request = Request.get("/", headers={"Proxy-Authorization": "Bearer x"})
        await client.send(request, "http://vendor.example/", LONG)
        await client.send(GET, "http://vendor.example/", LONG)
        await client.close()

        name = "proxy-authorization"
        assert ("Bearer x",) == proxy.requests[0].headers.get_all(name)
        basic = b64encode(f"me:{HIDDEN_PASSWORD}".encode()).decode()
        assert (f"Basic {basic}",) == proxy.requests[1].headers.get_all(name)


@pytest.mark.parametrize(
    "proxy, message",
    [
        (Proxy(url="http://p", username="me"), "me:"),
        (Proxy(url="http://p", password="word"), ":word"),
        (Proxy(url="http://p"), None),
    ],
)
@with_both_clients
async def test_user_or_password_alone_is_sent(
    make: Make, proxy: Proxy, message: str | None
) -> None:
    """A proxy's user name without a password, or a password without a user name, is sent."""
    with VendorServer() as server:
        server.always(Behaviour(204))
        full_proxy = Proxy(url=server.url, username=proxy.username, password=proxy.password)
        client = make(proxy=full_proxy)
        await client.send(GET, "http://vendor.example/", LONG)
        await client.close()

        result = server.requests[0].headers.get("proxy-authorization")
        assert (
            None if message is None else f"Basic {b64encode(message.encode()).decode()}"
        ) == result


@with_both_clients
async def test_tunnel_is_reused_while_open(make: Make) -> None:
    """A TLS connection through a TLS proxy is reused until the vendor closes it."""
    server, authority = tls_pem()
    with (
        VendorServer(tls=server) as vendor,
        ProxyServer(target=vendor.address, tls=server) as proxy,
    ):
        vendor.always(Behaviour(204))
        vendor.queue(Behaviour(204), Behaviour(204, then="close"))
        client = make(proxy=proxy.url, tls=Tls(authorities=authority))
        for count in (1, 2, 3):
            await client.send(POST, vendor.url, LONG)
            if count == 2:
                proxy.wait_for_closed()
        await client.close()

        assert [1, 1, 2] == [request.connection for request in vendor.requests]
        assert 2 == len(proxy.requests)


@with_both_clients
async def test_client_certificate_is_not_shown_to_the_proxy(make: Make, tmp_path: Path) -> None:
    """A proxy does not get the client certificate, even if it requests one."""
    certificate, key = certificate_files(tmp_path)
    asking_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    asking_context.load_cert_chain(certificate, key)
    asking_context.load_verify_locations(certificate)
    asking_context.verify_mode = ssl.CERT_REQUIRED
    tls = Tls(authorities=certificate, certificate=certificate, key=key)
    with VendorServer(tls=asking_context) as vendor, ProxyServer(target=vendor.address) as proxy:
        vendor.always(Behaviour(204))
        client = make(proxy=proxy.url, tls=tls)
        assert 204 == (await client.send(GET, vendor.url, LONG)).status
        await client.close()
    with (
        VendorServer() as vendor,
        ProxyServer(target=vendor.address, tls=asking_context) as proxy,
    ):
        client = make(proxy=proxy.url, tls=tls)
        with pytest.raises(ConnectionFailed):
            await client.send(GET, vendor.url, LONG)
        await client.close()
        assert [] == proxy.requests


# --- errors of a proxy -------------------------------------------------------


@pytest.mark.parametrize(
    "answers, words, retryable, remedy",
    [
        (b"HTTP/1.1 403 No\r\n\r\n", "refused to connect to v.example:443 with status 403",
         False, "Allow this host"),
        (b"HTTP/1.1 407 No\r\n\r\n", "with status 407", False, "user name and password"),
        (b"HTTP/1.1 429 No\r\n\r\n", "with status 429", True, "Check the network"),
        (b"HTTP/1.1 502 No\r\n\r\n", "with status 502", True, "Check the network"),
        (b"HTTP/1.1 204 Yes\r\n\r\nunasked", "sent unexpected bytes", True, "network"),
        (b"SSH-2.0", "sent a response that is not HTTP/1.1", True, "network"),
        (b"HTTP/1.1 200 Yes", "closed the connection before it connected to v", True, "network"),
    ],
    ids=repr,
)  # fmt: skip
@with_both_clients
async def test_proxy_errors_name_the_proxy(
    make: Make, answers: bytes, words: str, *, retryable: bool, remedy: str
) -> None:
    """The error for a proxy that refuses to connect names the proxy and its status."""
    with ProxyServer(target=("127.0.0.1", 9), answers=answers) as proxy:
        client = make(proxy=proxy.url)
        with pytest.raises(ConnectionFailed, match=words) as excinfo:
            await client.send(POST, "https://v.example/", LONG)
        await client.close()

    assert str(excinfo.value).startswith(f"The proxy {proxy.url[7:]} ")
    assert not excinfo.value.may_have_been_processed
    assert retryable is excinfo.value.retryable
    assert remedy in excinfo.value.remedy


@pytest.mark.parametrize(
    "kind, status",
    [
        *itertools.product([RequestsHttpClient, Httpx2HttpClient], [403, 407, 502]),
        (PyreqwestHttpClient, 407),
    ],
)
def test_refusal_of_a_proxy_has_its_status_with_every_library(kind: type[Any], status: int) -> None:
    """The error says with which status the proxy refused; a wrong password is not tried again."""
    answers = f"HTTP/1.1 {status} No\r\n\r\n".encode()
    with (
        ProxyServer(target=("127.0.0.1", 9), answers=answers) as proxy,
        kind(proxy=proxy.url) as http,
        pytest.raises(ConnectionFailed, match=f"^The proxy .* status {status}") as excinfo,
    ):
        http.send(POST, "https://v.example/", LONG)
    assert not excinfo.value.may_have_been_processed
    assert (status == 502) is excinfo.value.retryable


@pytest.mark.parametrize("status", [403, 407, 502])
@pytest.mark.parametrize("kind", [AsyncAiohttpHttpClient, AsyncHttpx2HttpClient])
def test_refusal_of_a_proxy_has_its_status_with_every_asynchronous_library(
    kind: type[Any], status: int
) -> None:
    """The error says with which status the proxy refused; a wrong password is not tried again."""
    answers = f"HTTP/1.1 {status} No\r\n\r\n".encode()

    async def send(proxy: str) -> None:
        async with kind(proxy=proxy) as http:
            await http.send(POST, "https://v.example/", LONG)

    with (
        ProxyServer(target=("127.0.0.1", 9), answers=answers) as proxy,
        pytest.raises(ConnectionFailed, match=f"^The proxy .* status {status}") as excinfo,
    ):
        asyncio.run(send(proxy.url))
    assert not excinfo.value.may_have_been_processed
    assert (status == 502) is excinfo.value.retryable


@with_both_clients
async def test_status_407_from_the_vendor_is_an_ordinary_response(make: Make) -> None:
    """A status 407 from the vendor itself is returned as an ordinary response."""
    server, authority = tls_pem()
    for tls in (None, server):
        with VendorServer(tls=tls) as vendor, ProxyServer(target=vendor.address) as proxy:
            vendor.always(Behaviour(407))
            client = make(proxy=proxy.url if tls else None, tls=Tls(authorities=authority))
            assert 407 == (await client.send(GET, vendor.url, LONG)).status
            await client.close()


@with_both_clients
async def test_failures_through_a_proxy_name_it(make: Make) -> None:
    """The error of a call that fails through a proxy names the host and the proxy."""
    with VendorServer() as proxy:
        proxy.queue(Behaviour(raw=b"", then="close"), Behaviour(raw=b""))
        client = make(proxy=proxy.url)
        location = rf"^v\.example:\d+ \(through the proxy {proxy.url[7:]}\) "
        with pytest.raises(ConnectionFailed, match=f"{location}closed the connection"):
            await client.send(GET, "http://v.example/", LONG)
        with pytest.raises(AttemptTimeout, match=f"{location}could not be reached within"):
            await client.send(GET, "https://v.example/", Timeouts(connect=0.05))
        await client.close()


@pytest.mark.parametrize("body", [b"", HIDDEN_PASSWORD.encode()], ids=["empty", "full"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("port", ["refusing", "open"])
@with_both_clients
async def test_no_frame_shows_proxy_credentials(
    make: Make, scheme: str, port: Literal["refusing", "open"], body: bytes
) -> None:
    """No traceback frame shows the proxy's password, or the request's headers and body."""
    request = Request.post("/", headers={"Authorization": f"Bearer {HIDDEN_PASSWORD}"}, body=body)
    basic = b64encode(f"me:{HIDDEN_PASSWORD}".encode()).decode()
    with VendorServer(port=port) as proxy:
        proxy.always(Behaviour(raw=b"", then="reset"))
        client = make(proxy=Secret(f"http://me:{HIDDEN_PASSWORD}@{proxy.url[7:]}"))
        with pytest.raises(ConnectionFailed) as excinfo:
            await client.send(request, f"{scheme}://v.example/", LONG)
        await client.close()

    del body
    reports: list[Any] = []
    error: BaseException | None = excinfo.value
    while error is not None:
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
        reports += [frame.f_locals for frame in frames if is_of_moorage(frame.f_code.co_filename)]
        error = error.__context__
    shown_report = f"{reports} {excinfo.value!r}"
    assert "first" in shown_report or port == "refusing"
    assert HIDDEN_PASSWORD not in shown_report
    assert basic not in shown_report


@pytest.mark.parametrize("value", ["socks5://p", "p:1"])
@with_both_clients
async def test_invalid_proxy_is_refused(make: Make, value: str) -> None:
    """A client with an invalid proxy URL is refused at construction."""
    with pytest.raises(ConfigurationError, match="proxy"):
        make(proxy=value)


# --- environment variables ---------------------------------------------------


@pytest.mark.parametrize(
    "environ, scheme, url, bypass",
    [
        ({}, "https", None, ()),
        ({"https_proxy": "http://p:1"}, "https", "http://p:1", ()),
        ({"HTTPS_PROXY": " p.example:3128 "}, "https", "http://p.example:3128", ()),
        ({"https_proxy": "http://a", "HTTPS_PROXY": "http://b"}, "https", "http://a", ()),
        ({"https_proxy": "", "ALL_PROXY": "http://b"}, "https", "http://b", ()),
        ({"all_proxy": "http://b", "no_proxy": "a,.b"}, "http", "http://b", ("a", ".b")),
        ({"http_proxy": "http://p", "NO_PROXY": "*"}, "http", "http://p", ("*",)),
        ({"http_proxy": "http://p"}, "https", None, ()),
        ({"HTTP_PROXY": "http://p"}, "http", "http://p", ()),
        ({"HTTP_PROXY": "http://p", "REQUEST_METHOD": "GET"}, "http", None, ()),
        ({"http_proxy": "http://p", "REQUEST_METHOD": "GET"}, "http", "http://p", ()),
        ({"HTTPS_PROXY": "http://p", "REQUEST_METHOD": "GET"}, "https", "http://p", ()),
    ],
)
def test_proxy_from_environment_variables(
    environ: dict[str, str],
    scheme: Literal["http", "https"],
    url: str | None,
    bypass: tuple[str, ...],
) -> None:
    """The environment variables http_proxy, https_proxy, all_proxy and no_proxy are understood."""
    expected = None if url is None else Proxy(url=url, bypass=bypass)

    assert expected == environment_proxy(scheme, environ=environ)


def test_default_environment_is_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """`environment_proxy` reads the environment of the process by default."""
    monkeypatch.setenv("https_proxy", f"http://me:{HIDDEN_PASSWORD}@p:1")
    proxy = environment_proxy()

    assert proxy == Proxy(url="http://p:1", username="me", password=HIDDEN_PASSWORD)


@pytest.mark.parametrize(
    "environ, path",
    [
        ({"https_proxy": f"socks5://me:{HIDDEN_PASSWORD}@p"}, "https_proxy"),
        ({"ALL_PROXY": f"ftp://{HIDDEN_PASSWORD}"}, "ALL_PROXY"),
        ({"https_proxy": f"http://{HIDDEN_PASSWORD}:x@p", "no_proxy": "a:1"}, "no_proxy"),
    ],
)
def test_invalid_variable_is_named(environ: dict[str, str], path: str) -> None:
    """The error for an invalid proxy variable names the variable, and does not show its value."""
    with pytest.raises(ConfigurationError) as excinfo:
        environment_proxy(environ=environ)

    assert path == excinfo.value.path
    assert HIDDEN_PASSWORD not in f"{excinfo.value!r}"


def test_clients_ignore_proxy_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client without a `proxy` setting ignores the proxy variables of the environment."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("all_proxy", "http://127.0.0.1:9")
    with VendorServer() as vendor, StdlibHttpClient() as client:
        vendor.always(Behaviour(204))
        assert 204 == client.send(GET, vendor.url, LONG).status
