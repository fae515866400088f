"""Channels of grpcio: options, TLS settings, and behaviour after a fork."""

from __future__ import annotations

import os
import ssl
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import grpc

from moorage.domain.http.transport import Tls, TlsVersion
from moorage.domain.secrets.frames import with_careful_constructor, without_frames
from moorage.domain.secrets.secret import Secret
from moorage.errors import ConfigurationError, LocalFailure

if TYPE_CHECKING:
    from collections.abc import Mapping

_TRUE: Final = frozenset({"1", "true", "t", "yes", "y"})
_OWN_OPTIONS: Final = frozenset(
    {
        "grpc.enable_retries",
        "grpc.service_config",
        "grpc.max_receive_message_length",
        "grpc.max_send_message_length",
        "grpc.keepalive_time_ms",
        "grpc.keepalive_timeout_ms",
        "grpc.min_reconnect_backoff_ms",
    }
)
_used_in: Final[set[int]] = set()
"""The processes in which a connector has used grpcio: this one, and those it was forked from."""


@with_careful_constructor
@attrs.frozen(kw_only=True)
class ChannelSettings:
    """The settings of a gRPC channel.

    Attributes:
        address: the target of grpcio, such as "orders.example:443" or "unix:/run/orders.sock".
        tls: the trusted authorities and the client certificate.
        plaintext: whether the connection has no TLS.
        connect_timeout: seconds for opening a connection.
        max_answer_bytes: the size of the largest answer that is accepted.
        keepalive: seconds between signs of life on an idle connection during calls; None for none.
        keepalive_timeout: seconds in which the server has to answer a sign of life.
        options: further options of grpcio, by name.
    """

    address: str
    tls: Tls
    plaintext: bool
    connect_timeout: float
    max_answer_bytes: int
    keepalive: float | None
    keepalive_timeout: float
    options: Mapping[str, int | str]

    def __attrs_post_init__(self) -> None:
        """Refuse settings that cannot work, before a connection is made."""
        if not self.address or "://" in self.address:
            raise ConfigurationError(
                "The address of a gRPC service is empty or begins with a scheme such as https://.",
                path="address",
                remedy="Set only the host and the port, such as orders.example:443.",
            )
        for name in self.options:
            if name in _OWN_OPTIONS:
                raise ConfigurationError(
                    f"The connector itself sets the gRPC option {name}.",
                    path="options",
                    remedy="Leave the option out. Use the connector's setting, or the"
                    " service's setting for retries.",
                )
        tls = self.tls
        if tls.unverified is not None or tls.minimum is not TlsVersion.V1_2:
            raise ConfigurationError(
                "The library grpcio always verifies certificates, and accepts TLS 1.2 and 1.3.",
                path="tls",
                remedy="Leave out `unverified` and `minimum`. For a server with your own"
                " certificate, set `authorities`.",
            )

    @property
    def is_local(self) -> bool:
        """True if the service is on this machine."""
        if self.address.startswith("unix:"):
            return True
        host = self.address.rpartition(":")[0].strip("[]")
        try:
            return ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def arguments(self) -> list[tuple[str, Any]]:
        """Return the channel options for grpcio."""
        options: dict[str, Any] = {
            # Only the manager repeats calls; retries by the library would multiply them.
            "grpc.enable_retries": 0,
            # Channels share no connections, so that closing one closes its connections.
            "grpc.use_local_subchannel_pool": 1,
            "grpc.initial_reconnect_backoff_ms": 100,
            "grpc.max_reconnect_backoff_ms": 2000,
            **self.options,
            "grpc.min_reconnect_backoff_ms": round(self.connect_timeout * 1000),
            "grpc.max_receive_message_length": self.max_answer_bytes,
            "grpc.max_send_message_length": -1,
        }
        if self.keepalive is not None:
            options["grpc.keepalive_time_ms"] = round(self.keepalive * 1000)
            options["grpc.keepalive_timeout_ms"] = round(self.keepalive_timeout * 1000)
        return list(options.items())

    def new_channel(self, kind: Any) -> Any:
        """Return a new channel with these settings; `kind` is the module `grpc` or `grpc.aio`.

        Args:
            kind: the module that makes it: `grpc` or `grpc.aio`.
        """
        begin_use()
        if self.plaintext:
            return kind.insecure_channel(self.address, options=self.arguments())
        return kind.secure_channel(self.address, _credentials(self.tls), options=self.arguments())


def begin_use() -> None:
    """Record that this process uses grpcio.

    Raises:
        LocalFailure: a parent of this process has used grpcio, without grpcio's support for forks.
    """
    _used_in.add(os.getpid())
    check_forks(_used_in, os.environ.get("GRPC_ENABLE_FORK_SUPPORT", ""))


def check_forks(processes: frozenset[int] | set[int], support: str) -> None:
    """Refuse gRPC calls in a process whose parent used gRPC before the fork.

    Args:
        processes: the ids of this process and its ancestors that have used grpcio.
        support: the value of GRPC_ENABLE_FORK_SUPPORT.
    """
    if len(processes) > 1 and support.lower() not in _TRUE:
        raise LocalFailure(
            "A parent process used gRPC before it was forked, and the library grpcio does not"
            " work after a fork.",
            remedy="Fork before the first call. For synchronous connectors, you can instead"
            " set GRPC_ENABLE_FORK_SUPPORT=1 before the program starts.",
        )


def _credentials(tls: Tls) -> Any:
    try:
        certificate = _content(tls.certificate)
        key = certificate if tls.key is None else _content(tls.key)
        if key is not None and tls.password is not None:
            key = _decrypted_key(key, tls.password)
        authorities = _content(tls.authorities) or _system_authorities()
        failure = None
    except (OSError, ValueError, TypeError) as error:
        failure = ConfigurationError(
            f"A certificate or key for the gRPC service cannot be read: {type(error).__name__}.",
            path="tls",
            remedy="Check the files in `authorities`, `certificate` and `key`, and the"
            " password of the key.",
        )
    else:
        return grpc.ssl_channel_credentials(authorities, key, certificate)
    raise without_frames(failure)


def _content(source: Secret | bytes | str | None) -> bytes | None:
    if isinstance(source, Secret):
        return source.reveal_bytes()
    return Path(source).read_bytes() if isinstance(source, str) else source


def _decrypted_key(key: bytes, password: Secret) -> bytes:
    from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415 - loads OpenSSL
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    private_key = load_pem_private_key(key, password.reveal_bytes())
    return private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _system_authorities() -> bytes | None:
    """Return this system's trusted certificate authorities; None means grpcio's built-in ones."""
    certificates = ssl.create_default_context().get_ca_certs(binary_form=True)
    return "".join(map(ssl.DER_cert_to_PEM_cert, certificates)).encode() or None
