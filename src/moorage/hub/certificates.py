"""The expiry dates of certificates in PEM files."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moorage.domain.http.transport import PEM
from moorage.domain.monitoring.health import Expiry
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from datetime import datetime


def certificate_expiries(certificate: str | bytes | Path, name: str) -> tuple[Expiry, ...]:
    """Return the earliest expiry of the certificates in a PEM file, as a tuple with one item.

    Args:
        certificate: the path of the file, or its content.
        name: the name of the certificate in messages, such as "client certificate of the bank".

    Raises:
        ConfigurationError: the file cannot be read, or has no certificate.
    """
    from cryptography import x509  # noqa: PLC0415 - loads OpenSSL

    try:
        if isinstance(certificate, str) and PEM in certificate:
            certificate = certificate.encode()
        content = certificate if isinstance(certificate, bytes) else Path(certificate).read_bytes()
        certificates = x509.load_pem_x509_certificates(content)
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"The expiry date of the {name} cannot be read ({type(error).__name__}).",
            path="certificate",
            remedy="Give the path of a PEM file with a certificate, or its content.",
        ) from None
    return (Expiry(name, min(map(_validity_end, certificates))),)


def _validity_end(certificate: Any) -> datetime:
    end = getattr(certificate, "not_valid_after_utc", None)
    # Releases of cryptography before 42 have only the attribute without a time zone.
    return end or certificate.not_valid_after.replace(tzinfo=UTC)  # type: ignore[no-any-return]  # both are datetimes
