"""Certificates for an authorization server and its clients."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from moorage.testing.fakes.http_tls import certificate_files
from tests.support.authorization_jwt import digest

if TYPE_CHECKING:
    from pathlib import Path


class ClientCertificate(NamedTuple):
    """A client's certificate, its key, and the thumbprint.

    Attributes:
        certificate: the file of the certificate.
        key: the file of the private key.
        subject: the certificate's subject in the form of RFC 4514.
        thumbprint: the certificate's `x5t#S256`.
        trusting: a client's TLS context that presents the certificate.
    """

    certificate: Path
    key: Path
    subject: str
    thumbprint: str
    trusting: ssl.SSLContext


class TlsHarness:
    """TLS contexts for a server that requests client certificates without requiring them.

    Attributes:
        server: the server's TLS context.
        authority: the file of the certificate authority that clients trust.
        stranger: a client's TLS context without a certificate.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self.authority, key = certificate_files(self._room())
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(self.authority, key)
        self.server.verify_mode = ssl.CERT_OPTIONAL
        self.stranger = self._trusting()

    def client_certificate(self) -> ClientCertificate:
        """Create a client certificate, which the server trusts from now on."""
        certificate, key = certificate_files(self._room())
        self.server.load_verify_locations(certificate)
        shown_certificate = x509.load_pem_x509_certificate(certificate.read_bytes())
        trusting_context = self._trusting()
        trusting_context.load_cert_chain(certificate, key)
        return ClientCertificate(
            certificate,
            key,
            shown_certificate.subject.rfc4514_string(),
            digest(shown_certificate.public_bytes(Encoding.DER)),
            trusting_context,
        )

    def _trusting(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.authority))

    def _room(self) -> Path:
        self._count += 1
        room = self._folder / str(self._count)
        room.mkdir()
        return room
