"""TLS for connections to message brokers."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from moorage.domain.secrets.secret import Secret
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.domain.http.transport import Tls


def tls_context(tls: Tls) -> ssl.SSLContext:
    """Return an `SSLContext` for the TLS settings of a broker.

    Raises:
        ConfigurationError: a file cannot be read, the key does not belong to the certificate, or
            one of both is not a path.
    """
    authorities, certificate, key = tls.authorities, tls.certificate, tls.key
    if isinstance(certificate, bytes) or isinstance(key, Secret):
        raise ConfigurationError(
            "The client's certificate and its key are read from files, one of which is not a path.",
            path="certificate",
            remedy="Give the paths of PEM files instead of their content.",
        )
    try:
        context = ssl.create_default_context(
            cafile=authorities if isinstance(authorities, str) else None,
            cadata=authorities.decode() if isinstance(authorities, bytes) else None,
        )
        if certificate is not None:
            password = None if tls.password is None else tls.password.reveal_bytes()
            # An empty password keeps OpenSSL from asking for one at the terminal.
            context.load_cert_chain(certificate, key, password or b"")
    except (OSError, ValueError) as error:
        kind = type(error).__name__
    else:
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context
    raise ConfigurationError(
        f"The authorities, the certificate or the key cannot be used ({kind}).",
        path="authorities",
        remedy="Give paths of PEM files that exist, and the key that belongs to the certificate.",
    )
