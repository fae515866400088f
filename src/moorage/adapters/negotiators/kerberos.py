"""Kerberos tickets of this machine's GSSAPI library, with `moorage[kerberos]`."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.concurrency.in_thread import run_in_thread
from moorage.domain.values.installation import install
from moorage.errors import ConfigurationError, CredentialNotFound

if TYPE_CHECKING:
    from types import ModuleType

_SPNEGO: Final = "1.3.6.1.5.5.2"
"""The object identifier of the mechanism that HTTP negotiates with."""


class KerberosNegotiator:
    """Makes tokens from the Kerberos tickets of this process.

    The tickets come from the credential cache that `kinit` fills, or from a client keytab. The
    environment variables of Kerberos (`KRB5_CONFIG`, `KRB5CCNAME`, `KRB5_CLIENT_KTNAME`) say where
    they are. A call may ask the key distribution centre for the ticket of a new host.

    Args:
        principal: the name to act as, such as `erp@EXAMPLE.COM`; by default the principal of the
            credential cache.

    Raises:
        ConfigurationError: the package `gssapi` is not installed.
    """

    def __init__(self, principal: str | None = None) -> None:
        self._gssapi = _library()
        self._principal = principal

    def token(self, host: str, /) -> bytes:
        """Return a new token for a host's HTTP service."""
        gssapi = self._gssapi
        try:
            context = gssapi.SecurityContext(
                name=gssapi.Name(f"HTTP@{host}", gssapi.NameType.hostbased_service),
                mech=gssapi.OID.from_int_seq(_SPNEGO),
                creds=self._credentials(),
                usage="initiate",
            )
            return bytes(context.step() or b"")
        except gssapi.exceptions.GSSError as error:
            reason = " ".join(str(error).split())
        raise CredentialNotFound(
            f"There is no Kerberos ticket for the HTTP service of {host}: {reason[:300]}",
            remedy="Run kinit for the user of this process, or set KRB5_CLIENT_KTNAME. Also"
            " check that Kerberos has a service principal HTTP for the host.",
        )

    def _credentials(self) -> Any:
        gssapi = self._gssapi
        if self._principal is None:
            return None
        name = gssapi.Name(self._principal, gssapi.NameType.kerberos_principal)
        return gssapi.Credentials(name=name, usage="initiate")


class AsyncKerberosNegotiator:
    """The asynchronous `KerberosNegotiator`; threads make its tokens.

    Args and errors are those of `KerberosNegotiator`.
    """

    def __init__(self, principal: str | None = None) -> None:
        self._negotiator = KerberosNegotiator(principal)

    async def token(self, host: str, /) -> bytes:
        """Return a new token for a host's HTTP service.

        If the caller is cancelled, the thread that waits for the key distribution centre keeps
        neither the event loop nor the process alive.
        """
        return await run_in_thread(partial(self._negotiator.token, host))


def _library() -> ModuleType:
    try:
        return import_module("gssapi")
    except ImportError as error:
        raise ConfigurationError(
            "The service's credentials use Negotiate, which needs gssapi, but gssapi is not"
            " installed.",
            path="negotiator",
            remedy=f"{install('kerberos')} Or pass your own `negotiator` to the manager.",
        ) from error
