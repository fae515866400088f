"""Discovery of authorisation servers from the URL of their issuer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.values.durations import seconds
from moorage.runtime.flows import documented_by, run_now
from moorage.services.oauth.discovery import discover_metadata
from moorage.wiring.core_assembly import async_core, sync_core
from moorage.wiring.ports import Ports

if TYPE_CHECKING:
    from datetime import timedelta

    from moorage.domain.oauth.server import AuthorizationServer
    from moorage.ports.http import AsyncHttpClient, HttpClient

_TIMEOUT: Final = 10.0


def discover(
    issuer: str, *, http: HttpClient | None = None, timeout: float | timedelta = _TIMEOUT
) -> AuthorizationServer:
    """Fetch the metadata of an issuer's authorisation server (RFC 8414, OpenID Connect).

    Each call sends requests, so keep the result as long as the OAuth client that uses it.

    Args:
        issuer: the server's https:// URL, exactly as the server writes it; http:// only on this
            machine.
        http: sends the requests; by default a client that is closed afterwards.
        timeout: seconds for each of the two URLs where the metadata may be.

    Raises:
        ConfigurationError: the issuer is not such a URL.
        ConnectionFailed: the server cannot be reached.
        VendorFailed: there is no metadata at either URL, it is unusable, or it describes another
            server.
    """
    timeout_seconds = seconds(timeout, "timeout")
    wired_core = sync_core(Ports(http=http))
    try:
        return run_now(discover_metadata(wired_core.core, issuer, timeout_seconds))
    finally:
        default_client = wired_core.end_default_http()
        if default_client is not None:
            default_client.close()


@documented_by(discover)
async def adiscover(  # noqa: D103 - documented by its twin
    issuer: str, *, http: AsyncHttpClient | None = None, timeout: float | timedelta = _TIMEOUT
) -> AuthorizationServer:
    timeout_seconds = seconds(timeout, "timeout")
    wired_core = async_core(Ports(http=http))
    try:
        return await discover_metadata(wired_core.core, issuer, timeout_seconds)
    finally:
        default_client = wired_core.end_default_http()
        if default_client is not None:
            await default_client.close()
