"""The pyreqwest clients of a process; a forked process cannot use them."""

from __future__ import annotations

from datetime import timedelta
from importlib.util import find_spec
from os import getpid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.concurrency.forking import was_imported_before_fork
from moorage.adapters.concurrency.lasting_imports import import_lastingly
from moorage.adapters.http.messages._http1 import USER_AGENT
from moorage.domain.secrets.secret import Secret
from moorage.domain.values.installation import install
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.http.connections._settings import ConnectionSettings
    from moorage.domain.http.transport import Proxy, Tls

_MAX_CLIENTS: Final = 16
_LIBRARY: Final = "pyreqwest"
_uses: Final[dict[str, int]] = {}  # "pid": the process in which pyreqwest was used first
_ACCEPT_ENCODING: Final = ("Accept-Encoding", "gzip, deflate")  # a request's own field replaces it
_AUTOMATIC_DECOMPRESSION: Final = ("gzip", "brotli", "zstd", "deflate")


class ProcessForked(Exception):
    """Raised if this process was forked from one that had imported pyreqwest."""


class Clients:
    """The pyreqwest clients that one HTTP client of moorage uses.

    A client of pyreqwest has one connect and one read timeout, so there is a client for each recent
    pair of timeouts. Each is created, and pyreqwest loaded, when it is needed.

    Args:
        new_builder: returns a builder of clients.
        settings: the settings of the client.
        identity: the client certificate and its key, if there is one.
        http2: whether HTTP/2 is used with servers that offer it.

    Attributes:
        pid: the process that has called `enter`.
    """

    def __init__(
        self,
        new_builder: Callable[[], Any],
        settings: ConnectionSettings,
        identity: Secret | None,
        *,
        http2: bool,
    ) -> None:
        self.pid = 0
        self._new_builder = new_builder
        self._settings = settings
        self._identity = identity
        self._http2 = http2
        self._clients: dict[object, Any] = {}

    def enter(self) -> None:
        """Record that this process uses pyreqwest, so that forked children use their own clients.

        Raises:
            Forked: this process cannot use it.
        """
        pid = getpid()
        if _uses.get("pid") != pid and (
            was_imported_before_fork(_LIBRARY) or _uses.setdefault("pid", pid) != pid
        ):
            raise ProcessForked
        import_lastingly(_LIBRARY)
        self.pid = pid

    def find(self, connect: float | None, read: float | None, *, proxied: bool) -> Any:
        """Return the pyreqwest client with these timeouts, creating it at the first use.

        Raises:
            Forked: this process cannot use pyreqwest.
        """
        key = (connect, read, proxied)
        client = self._clients.get(key)
        if client is None:
            client = self._build_client(connect, read, self._settings.proxy if proxied else None)
            for oldest_key in list(self._clients)[: 1 - _MAX_CLIENTS]:
                self._clients.pop(oldest_key, None)
            self._clients[key] = client
        return client

    def forget(self) -> None:
        """Drop all pyreqwest clients; each of them is closed when its last request has ended."""
        self._clients = {}

    def _build_client(self, connect: float | None, read: float | None, proxy: Proxy | None) -> Any:
        settings = self._settings
        try:
            builder = self._new_builder()
            for coding in _AUTOMATIC_DECOMPRESSION:  # moorage's own decompression limits the size
                builder = getattr(builder, coding)(False)
            builder = (
                builder.default_headers([_ACCEPT_ENCODING])
                .follow_redirects(False)
                .referer(False)
                .user_agent(USER_AGENT)
                .pool_idle_timeout(timedelta(seconds=settings.keep_alive))
                .pool_max_idle_per_host(settings.max_connections if settings.keep_alive else 0)
            )
            if connect is not None:
                builder = builder.connect_timeout(timedelta(seconds=connect))
            if read is not None:
                builder = builder.read_timeout(timedelta(seconds=read))
            if self._http2:
                builder = builder.http2(True).http2_max_header_list_size(settings.max_head)
            builder = builder.no_proxy() if proxy is None else builder.proxy(_proxy_of(proxy))
            return self._secured(builder, settings.tls).build()
        except RuntimeError as error:  # the library noticed a fork that bypassed Python's hooks
            raise ProcessForked from error
        except ValueError:  # the library's text may show parts of a key
            raise ConfigurationError(
                "The library pyreqwest does not accept the certificates, the key or the proxy.",
                path="tls",
                remedy="Pass an RSA, ECDSA or Ed25519 key that is unencrypted or in PKCS#8"
                " format, or use another HTTP client, such as StdlibHttpClient.",
            ) from None

    def _secured(self, builder: Any, tls: Tls | None) -> Any:
        if tls is None:
            return builder.min_tls_version("TLSv1.2")
        builder = builder.min_tls_version(f"TLSv{tls.minimum}")
        if tls.authorities is not None:
            builder = builder.add_root_certificate_pem(_content(tls.authorities))
        if self._identity is not None:
            builder = builder.identity_pem(self._identity.reveal_bytes())
        if tls.unverified is not None:
            builder = builder.danger_accept_invalid_certs(True)
        return builder


def check_installed() -> None:
    """Check that pyreqwest is installed, without importing it.

    Raises:
        ConfigurationError: it is not installed.
    """
    if find_spec(_LIBRARY) is None:
        raise ConfigurationError(
            "This HTTP client needs pyreqwest, which is not installed.",
            path="http",
            remedy=install("pyreqwest"),
        )


def sync_builder() -> Any:
    """Return a builder of synchronous pyreqwest clients."""
    from pyreqwest.client import SyncClientBuilder  # noqa: PLC0415 - a child forked before may use it

    return SyncClientBuilder()


def async_builder() -> Any:
    """Return a builder of asynchronous pyreqwest clients."""
    from pyreqwest.client import ClientBuilder  # noqa: PLC0415 - a child forked before may use it

    return ClientBuilder()


def identity_of(tls: Tls | None) -> Secret | None:
    """Return the client certificate and its decrypted key as one PEM text."""
    if tls is None or tls.certificate is None:
        return None
    certificate = _content(tls.certificate)
    if tls.key is None and tls.password is None:
        return Secret(certificate)
    # Clients with a certificate are rare.
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - costs milliseconds

    if tls.key is None:
        key = Secret(certificate)
    else:
        key = tls.key if isinstance(tls.key, Secret) else Secret(_content(tls.key))
    decrypted_key = serialization.load_pem_private_key(
        key.reveal_bytes(), None if tls.password is None else tls.password.reveal_bytes()
    ).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Secret(certificate + b"\n" + decrypted_key)


def _content(pem: str | bytes) -> bytes:
    return pem if isinstance(pem, bytes) else Path(pem).read_bytes()


def _proxy_of(proxy: Proxy) -> Any:
    from pyreqwest.proxy import ProxyBuilder  # noqa: PLC0415 - a child forked before may use it

    builder = ProxyBuilder.all(proxy.url)
    if proxy.username is not None or proxy.password is not None:
        password = "" if proxy.password is None else proxy.password.reveal()
        builder = builder.basic_auth(proxy.username or "", password)
    return builder
