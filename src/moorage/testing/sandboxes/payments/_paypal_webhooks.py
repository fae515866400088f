"""The webhooks of PayPal's sandbox, signed with the sandbox's certificate."""

from __future__ import annotations

import zlib
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from moorage.domain.http.requests import Response
from moorage.testing.sandboxes.base import Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.testing.sandboxes.base import SandboxRequest

CERTIFICATE: Final = "/v1/notifications/certs/CERT-360caa42-fca2a594-ab66f33d"


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


class Certificates(Sandbox):
    """A sandbox that serves the certificate for verifying PayPal's webhooks."""

    def routes(self) -> Mapping[str, Callable[..., Response]]:
        """The route that serves the certificate."""
        return {f"GET {CERTIFICATE}": self._show}

    def _show(self, _: SandboxRequest) -> Response:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "certs.paypal.com")])
        valid_from = datetime(2020, 1, 1, tzinfo=UTC)
        built = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(_key().public_key())
            .serial_number(1)
            .not_valid_before(valid_from)
            .not_valid_after(valid_from + timedelta(days=36_500))
            .sign(_key(), hashes.SHA256())
        )
        pem = built.public_bytes(serialization.Encoding.PEM)
        return Response(200, {"Content-Type": "application/x-pem-file"}, pem)


def signature_headers(body: bytes, number: int, webhook_id: str, now: str) -> dict[str, str]:
    """Return the headers of a signed webhook."""
    transmission_id = f"00000000-0000-4000-8000-{number:012d}"
    content = f"{transmission_id}|{now}|{webhook_id}|{zlib.crc32(body)}"
    signature = _key().sign(content.encode(), padding.PKCS1v15(), hashes.SHA256())
    return {
        "Content-Type": "application/json",
        "PAYPAL-TRANSMISSION-ID": transmission_id,
        "PAYPAL-TRANSMISSION-TIME": now,
        "PAYPAL-TRANSMISSION-SIG": b64encode(signature).decode(),
        "PAYPAL-CERT-URL": f"https://api.sandbox.paypal.com{CERTIFICATE}",
        "PAYPAL-AUTH-ALGO": "SHA256withRSA",
    }
