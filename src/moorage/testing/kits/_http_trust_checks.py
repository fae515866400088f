"""Checks of an HTTP client's TLS settings: authorities and client certificate."""

from __future__ import annotations

import ssl
import warnings
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from moorage.domain.http.requests import Request
from moorage.domain.http.transport import DangerouslyUnverified, Tls
from moorage.domain.secrets.secret import Secret
from moorage.errors import ConfigurationError, ConnectionFailed
from moorage.testing.fakes.http_server import Behaviour
from moorage.testing.kits._http_harness import PATIENT, failure_of, harness
from moorage.testing.kits.checks import require

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from moorage.ports.http import AsyncHttpClient

Trusting: TypeAlias = "Callable[[Tls], AsyncHttpClient]"

_PASSWORD: Final = "h1dden-42"  # noqa: S105 - opens nothing


class _CertificateFiles(NamedTuple):
    """A certificate, its key, and the same key encrypted with a password."""

    certificate: bytes
    key: bytes
    sealed: bytes


def _certificate_files(folder: Path) -> _CertificateFiles:
    """Write a certificate and its key to this folder."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - costs milliseconds

    from moorage.testing.fakes.http_tls import certificate_files  # noqa: PLC0415 - costs milliseconds

    certificate, key = certificate_files(folder)
    sealed_bytes = serialization.load_pem_private_key(key.read_bytes(), None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(_PASSWORD.encode()),
    )
    (folder / "sealed.pem").write_bytes(sealed_bytes)
    (folder / "both.pem").write_bytes(certificate.read_bytes() + key.read_bytes())
    return _CertificateFiles(certificate.read_bytes(), key.read_bytes(), sealed_bytes)


def _server(folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context


async def only_given_authorities_are_trusted(clients: Trusting) -> None:
    """Authorities from a file or text are trusted, and no others."""
    with TemporaryDirectory() as folder, TemporaryDirectory() as other_folder:
        files, _ = _certificate_files(Path(folder)), _certificate_files(Path(other_folder))
        for authorities in (files.certificate, f"{folder}/certificate.pem"):
            trusting = partial(clients, Tls(authorities=authorities))
            async with harness(trusting, tls=_server(Path(folder))) as (vendor, client):
                vendor.always(Behaviour(204))
                answer = await client.send(Request.get("/"), vendor.url, PATIENT)
                require(answer.status == 204, f"204 came back as {answer.status}.")
            async with harness(trusting, tls=_server(Path(other_folder))) as (vendor, client):
                call = client.send(Request.get("/"), vendor.url, PATIENT)
                reason = "no trusted authority signed its certificate"
                failed_error = await failure_of(call, ConnectionFailed, because=reason)
                require(
                    not failed_error.may_have_been_processed,
                    f"The error does not state that nothing was sent: {reason}.",
                )
                require(vendor.requests == (), f"A request was sent: {reason}.")


def _certificate_settings(folder: str, files: _CertificateFiles) -> Iterator[dict[str, Any]]:
    """Yield TLS settings with a client certificate whose key is in the same or in another file."""
    certificate = f"{folder}/certificate.pem"
    yield {"certificate": certificate, "key": f"{folder}/key.pem"}
    yield {"certificate": certificate, "key": f"{folder}/sealed.pem", "password": _PASSWORD}
    yield {"certificate": certificate, "key": Secret(files.key)}
    yield {"certificate": certificate, "key": Secret(files.sealed), "password": _PASSWORD}
    yield {"certificate": files.certificate, "key": f"{folder}/key.pem"}
    yield {"certificate": files.certificate, "key": Secret(files.key)}
    yield {"certificate": f"{folder}/both.pem"}
    yield {"certificate": files.certificate + files.key}


async def the_client_certificate_is_sent(clients: Trusting) -> None:
    """A vendor that requests a client certificate receives it."""
    with TemporaryDirectory() as folder:
        files = _certificate_files(Path(folder))
        server = _server(Path(folder))
        server.verify_mode = ssl.CERT_REQUIRED
        server.load_verify_locations(f"{folder}/certificate.pem")
        for tls_settings in _certificate_settings(folder, files):
            tls = Tls(authorities=files.certificate, **tls_settings)
            async with harness(partial(clients, tls), tls=server) as (vendor, client):
                vendor.always(Behaviour(204))
                answer = await client.send(Request.get("/"), vendor.url, PATIENT)
                require(answer.status == 204, f"204 came back as {answer.status}.")
        tls = Tls(authorities=files.certificate)
        async with harness(partial(clients, tls), tls=server) as (vendor, client):
            call = client.send(Request.get("/"), vendor.url, PATIENT)
            await failure_of(call, ConnectionFailed, because="it was shown no certificate")
            require(vendor.requests == (), "A vendor that was shown no certificate read a request.")


async def older_tls_versions_are_refused(clients: Trusting) -> None:
    """A client sends nothing to a vendor whose TLS versions are all too old."""
    with TemporaryDirectory() as folder:
        files = _certificate_files(Path(folder))
        server = _server(Path(folder))
        server.maximum_version = ssl.TLSVersion.TLSv1_2
        for minimum, is_spoken in (("1.2", True), ("1.3", False)):
            tls = Tls(authorities=files.certificate, minimum=minimum)
            async with harness(partial(clients, tls), tls=server) as (vendor, client):
                vendor.always(Behaviour(204))
                call = client.send(Request.get("/"), vendor.url, PATIENT)
                if is_spoken:
                    require((await call).status == 204, f"TLS {minimum} was not used.")
                    continue
                reason = f"it does not speak TLS {minimum}"
                failed_error = await failure_of(call, ConnectionFailed, because=reason)
                require(
                    not failed_error.may_have_been_processed,
                    f"The error does not state that nothing was sent: {reason}.",
                )


async def disabled_verification_is_warned_about(clients: Trusting) -> None:
    """TLS verification can be disabled only with a reason, and causes a warning."""
    unverified = DangerouslyUnverified("it is on this machine")
    with TemporaryDirectory() as folder:
        _certificate_files(Path(folder))
        with warnings.catch_warnings(record=True) as recorded_warnings:
            warnings.simplefilter("always")
            client = clients(Tls(unverified=unverified))
        require(
            any(unverified.because in str(warning.message) for warning in recorded_warnings),
            "No warning said why TLS is not verified.",
        )
        require(
            getattr(client, "unverified", None) == unverified,
            "The client's `unverified` does not state why TLS is not verified.",
        )
        async with harness(lambda: client, tls=_server(Path(folder))) as (vendor, _):
            vendor.always(Behaviour(204))
            answer = await client.send(Request.get("/"), vendor.url, PATIENT)
            require(answer.status == 204, f"204 came back as {answer.status}.")
        verified_client = clients(Tls())
        require(
            getattr(verified_client, "unverified", None) is None,
            "A client that verifies TLS has a value in `unverified`.",
        )
        await verified_client.close()


async def unusable_certificates_are_refused_at_once(clients: Trusting) -> None:
    """A client with unusable certificate files cannot be created; the error shows no key."""
    with TemporaryDirectory() as folder, TemporaryDirectory() as other_folder:
        files, other_chunks = (
            _certificate_files(Path(folder)),
            _certificate_files(Path(other_folder)),
        )
        certificate = f"{folder}/certificate.pem"
        wrongs: tuple[dict[str, Any], ...] = (
            {"authorities": f"{folder}/none.pem"},
            {"authorities": f"{folder}/key.pem"},
            {"authorities": files.key},
            {"certificate": f"{folder}/none.pem"},
            {"certificate": certificate},
            {"certificate": certificate, "key": f"{folder}/none.pem"},
            {"certificate": certificate, "key": f"{other_folder}/key.pem"},
            {"certificate": certificate, "key": Secret(other_chunks.key)},
            {"certificate": certificate, "key": f"{folder}/sealed.pem"},
            {"certificate": certificate, "key": Secret(files.sealed)},
            {"certificate": certificate, "key": Secret(files.sealed), "password": "another"},
            {"certificate": certificate, "key": Secret(files.certificate)},
        )
        for tls_options in wrongs:
            kinds = {name: type(value).__name__ for name, value in tls_options.items()}
            try:
                client = clients(Tls(**tls_options))
            except ConfigurationError as error:
                secret = files.key.split()[4].decode()
                require(
                    secret not in f"{error} {error!r}",
                    f"The error shows the key, which was passed as {kinds}.",
                )
                continue
            await client.close()
            raise AssertionError(f"A client was created that can never connect, with {kinds}.")


CHECKS: Final = (
    only_given_authorities_are_trusted,
    the_client_certificate_is_sent,
    older_tls_versions_are_refused,
    disabled_verification_is_warned_about,
    unusable_certificates_are_refused_at_once,
)
