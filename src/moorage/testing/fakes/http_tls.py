"""Makes TLS certificates for local servers, valid for an hour."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

# Strict clients check whether an authority may sign other authorities.
_AUTHORITY_USAGE: Final = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)


def tls_pair(host: str = "127.0.0.1") -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return TLS contexts for a server at this host, and for clients that trust it.

    No other client trusts it.
    """
    server, authority = tls_pem(host)
    client = ssl.create_default_context(cadata=authority.decode())
    client.minimum_version = ssl.TLSVersion.TLSv1_2
    return server, client


def tls_pem(host: str = "127.0.0.1") -> tuple[ssl.SSLContext, bytes]:
    """Return a TLS context for a server at this host, and its authority's PEM certificate."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with TemporaryDirectory() as folder:
        certificate, key = certificate_files(Path(folder), host)
        server.load_cert_chain(certificate, key)
        return server, certificate.read_bytes()


def certificate_files(folder: Path, host: str = "127.0.0.1") -> tuple[Path, Path]:
    """Write a certificate for this host or address, and its key, to files in a folder.

    The certificate's file also contains the certificate of its authority, which signs no other
    certificate.
    """
    authority, key = (
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP256R1()),
    )
    certificate, private_key = folder / "certificate.pem", folder / "key.pem"
    signed_certificates = (
        _sign_certificate(key, host, authority),
        _sign_certificate(authority, None, authority),
    )
    certificate.write_bytes(
        b"".join(
            signed_certificate.public_bytes(serialization.Encoding.PEM)
            for signed_certificate in signed_certificates
        )
    )
    private_key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, private_key


def _sign_certificate(
    key: ec.EllipticCurvePrivateKey, host: str | None, authority: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    """Return the certificate of a host; without a host, the authority's own certificate."""
    name, issuer = (
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"moorage test {role}")])
        for role in ("server" if host else "authority", "authority")
    )
    now = datetime.now(UTC)
    unsigned = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()),
            critical=False,
        )
    )
    if host is None:
        unsigned = unsigned.add_extension(_AUTHORITY_USAGE, critical=True)
    else:
        unsigned = unsigned.add_extension(
            x509.SubjectAlternativeName([_certificate_name(host)]), critical=False
        )
    return unsigned.sign(authority, hashes.SHA256())


def _certificate_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
