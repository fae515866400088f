"""The settings and clients of pyreqwest, which belong to one process."""

from __future__ import annotations

from datetime import timedelta
from importlib.util import find_spec
from os import getpid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.concurrency.forking import inherited
from moorage.adapters.http.messages._http1 import USER_AGENT
from moorage.domain.secrets.secret import Secret
from moorage.domain.values.installation import install
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.adapters.http.stdlib._engine import Settings
    from moorage.domain.http.transport import Proxy, Tls

_MOST: Final = 16
_LIBRARY: Final = "pyreqwest"
_uses: Final[dict[str, int]] = {}  # "pid": the process in which pyreqwest was used first
CODINGS: Final = (
    "Accept-Encoding",
    "gzip, deflate",
)  # which every request says, unless it has its own
_UNDONE: Final = ("gzip", "brotli", "zstd", "deflate")


class Forked(Exception):
    """The process that this one was forked from has loaded pyreqwest: here it cannot be used."""


class Clients:
    """The clients of pyreqwest that stand behind one of ours.

    pyreqwest bounds connecting, and silence, for a whole client only: there is one for each pair
    of bounds that was asked for lately. None is made before it is needed, nor pyreqwest loaded.
    """

    def __init__(
        self,
        builder: Callable[[], Any],
        settings: Settings,
        identity: Secret | None,
        *,
        http2: bool,
    ) -> None:
        self._builder = builder
        self._settings = settings
        self._identity = identity
        self._http2 = http2
        self._made: dict[object, Any] = {}

    def enter(self) -> None:
        """Begin to use pyreqwest, or go on.

        Raises:
            Forked: it cannot be used in this process.
        """
        pid = getpid()
        if _uses.get("pid") != pid and (inherited(_LIBRARY) or _uses.setdefault("pid", pid) != pid):
            raise Forked

    def find(self, connect: float | None, read: float | None, *, proxied: bool) -> Any:
        """Return the client with these bounds.

        Raises:
            Forked: there cannot be one in this process.
        """
        key = (connect, read, proxied)
        client = self._made.get(key)
        if client is None:
            client = self._make(connect, read, self._settings.proxy if proxied else None)
            for oldest in list(self._made)[: 1 - _MOST]:
                self._made.pop(oldest, None)
            self._made[key] = client
        return client

    def forget(self) -> None:
        """Release all clients; each is closed after its last exchange."""
        self._made = {}

    def _make(self, connect: float | None, read: float | None, proxy: Proxy | None) -> Any:
        settings = self._settings
        try:
            builder = self._builder()
            for coding in _UNDONE:  # which are undone here, within bounds
                builder = getattr(builder, coding)(False)
            builder = (
                builder.default_headers([CODINGS])
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
            builder = builder.no_proxy() if proxy is None else builder.proxy(_as_told(proxy))
            return self._secured(builder, settings.tls).build()
        except RuntimeError as error:  # it noticed a fork that Python was not told of
            raise Forked from error
        except ValueError:  # which may show some of a key
            raise ConfigurationError(
                "pyreqwest does not take the certificates, the key or the proxy it is given.",
                path="tls",
                remedy="Give an unencrypted or PKCS#8 key of RSA, ECDSA or Ed25519; or another"
                " HTTP client, such as StdlibHttpClient.",
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


def installed() -> None:
    """Look whether pyreqwest is there, without loading it.

    Raises:
        ConfigurationError: it is not.
    """
    if find_spec(_LIBRARY) is None:
        raise ConfigurationError(
            "this HTTP client needs pyreqwest, which is not installed.",
            path="http",
            remedy=install("pyreqwest"),
        )


def blocking() -> Any:
    """Return a builder of clients that block."""
    from pyreqwest.client import SyncClientBuilder  # noqa: PLC0415 - whoever forks first may use it

    return SyncClientBuilder()


def suspending() -> Any:
    """Return a builder of clients that suspend the task."""
    from pyreqwest.client import ClientBuilder  # noqa: PLC0415 - whoever forks first may use it

    return ClientBuilder()


def identity_of(tls: Tls | None) -> Secret | None:
    """Return our certificate and its key as one text, the key as it is without a password."""
    if tls is None or tls.certificate is None:
        return None
    certificate = _content(tls.certificate)
    if tls.key is None and tls.password is None:
        return Secret(certificate)
    # Few have a key of their own.
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - costs milliseconds

    if tls.key is None:
        key = Secret(certificate)
    else:
        key = tls.key if isinstance(tls.key, Secret) else Secret(_content(tls.key))
    opened = serialization.load_pem_private_key(
        key.reveal_bytes(), None if tls.password is None else tls.password.reveal_bytes()
    ).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Secret(certificate + b"\n" + opened)


def _content(given: str | bytes) -> bytes:
    return given if isinstance(given, bytes) else Path(given).read_bytes()


def _as_told(proxy: Proxy) -> Any:
    from pyreqwest.proxy import ProxyBuilder  # noqa: PLC0415 - whoever forks first may use it

    builder = ProxyBuilder.all(proxy.url)
    if proxy.username is not None or proxy.password is not None:
        password = "" if proxy.password is None else proxy.password.reveal()
        builder = builder.basic_auth(proxy.username or "", password)
    return builder
