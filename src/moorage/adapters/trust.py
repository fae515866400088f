"""Trusted authorities and client certificates, in the form that OpenSSL needs."""

from __future__ import annotations

import re
import ssl
from contextlib import ExitStack
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from moorage.domain.http.transport import TlsVersion
from moorage.domain.secrets.secret import Secret
from moorage.errors import ConfigurationError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from moorage.domain.http.transport import Tls

_VERSIONS: Final = {
    TlsVersion.V1_2: ssl.TLSVersion.TLSv1_2,
    TlsVersion.V1_3: ssl.TLSVersion.TLSv1_3,
}
_CERTIFICATES: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL
)


def context_for(tls: Tls, path: str = "tls.") -> ssl.SSLContext:
    """Return an `SSLContext` for a client's TLS settings.

    Args:
        tls: the settings.
        path: the beginning of the settings' paths in the configuration, which errors show.

    Raises:
        ConfigurationError: a file cannot be read, or does not contain the expected content.
    """
    problems = list(_unreadable_files(tls))
    context = ssl.create_default_context()
    if not _names(problems, "authorities"):
        try:
            context = _trust_context(tls.authorities)
        except OSError:
            problems.append(_problem("authorities", "The authorities are not certificates"))
    context.minimum_version = _VERSIONS[tls.minimum]
    if tls.unverified is not None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.certificate is not None and not _names(problems, "certificate", "key"):
        try:
            _load_client_certificate(context, tls.certificate, tls.key, tls.password)
        except OSError:
            reason = (
                "The certificate is invalid, or its private key does not fit or cannot be decrypted"
            )
            problems.append(_problem("certificate", reason))
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError.of(
            [problem._replace(path=f"{path}{problem.path}") for problem in problems]
        )
    return context


def _unreadable_files(tls: Tls) -> Iterator[Problem]:
    """Yield a description of each unreadable certificate or key file."""
    files = {"authorities": tls.authorities, "certificate": tls.certificate, "key": tls.key}
    for name, file in files.items():
        if isinstance(file, str):
            try:
                with Path(file).open("rb"):
                    pass
            except OSError as error:
                yield _problem(name, f"The file of the {name} cannot be read: {error.strerror}")


def _names(problems: Iterable[Problem], *names: str) -> bool:
    """Return whether a problem concerns one of these settings."""
    return any(problem.path in names for problem in problems)


def _trust_context(authorities: str | bytes | None) -> ssl.SSLContext:
    if isinstance(authorities, bytes):
        return ssl.create_default_context(cadata=authorities.decode("ascii", "replace"))
    return ssl.create_default_context(cafile=authorities)


def _problem(name: str, cause: str) -> Problem:
    return Problem(
        name,
        f"{cause}.",
        "Pass PEM files or their content, and the password of the key if it has one.",
    )


def _load_client_certificate(
    context: ssl.SSLContext,
    certificate: str | bytes,
    key: Secret | str | None,
    password: Secret | None,
) -> None:
    """Load the client certificate and its key into the TLS context.

    OpenSSL reads files only. A key that is in no file is written to a temporary one, encrypted with
    a random password.
    """
    if key is None and isinstance(certificate, bytes):
        key = Secret(certificate)
    with ExitStack() as files:
        if isinstance(certificate, bytes):
            certificate = _file(files, b"\n".join(_CERTIFICATES.findall(certificate)))
        if isinstance(key, Secret):
            own_password, password = password, Secret(token_hex())
            key = _file(files, _encrypted_key(key, own_password, password))
        # Without a function that returns a password, OpenSSL would prompt at the terminal.
        context.load_cert_chain(certificate, key, password.reveal if password else str)


def _file(files: ExitStack, content: bytes) -> str:
    path = Path(files.enter_context(TemporaryDirectory(prefix="moorage-")), "pem")
    path.write_bytes(content)
    return str(path)


def _encrypted_key(key: Secret, own_password: Secret | None, password: Secret) -> bytes:
    """Return a private key encrypted with a new password, so that no file contains it in clear."""
    # Few clients have a key that is in no file.
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - costs milliseconds
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - costs milliseconds

    try:
        return serialization.load_pem_private_key(
            key.reveal_bytes(), None if own_password is None else own_password.reveal_bytes()
        ).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(password.reveal_bytes()),
        )
    except (TypeError, ValueError, UnsupportedAlgorithm):
        # The error text of cryptography may show parts of the key.
        raise ConfigurationError(
            "The private key is malformed, or the password does not decrypt it.",
            path="key",
            remedy="Pass the key as PEM, and its password if it is encrypted.",
        ) from None
