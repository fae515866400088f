"""The settings of a SOAP service in a configuration."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from moorage.domain.secrets.options import as_series, checked_options, maybe_secret
from moorage.domain.soap.security import SoapSecurity
from moorage.domain.values.durations import if_given, is_seconds

if TYPE_CHECKING:
    from moorage.adapters.http_operations.soap.client import Soap
    from moorage.adapters.http_operations.soap.wsdl import Wsdl
    from moorage.domain.secrets.secret import Secret


@checked_options
@attrs.frozen(kw_only=True)
class SoapSettings:
    """The settings of a SOAP connector, which calls one of the configured services.

    Attributes:
        service: the name of the service; by default that of the connector.
        wsdl: the path of the WSDL below the base URL of the service.
        wsdl_file: a file with the WSDL, to read in place of the service's.
        copies: files to read in the place of URLs that the WSDL imports.
        wsdl_service: the name of the service in the WSDL; needed if there are several.
        port: the name of the port in the WSDL; by default the first one.
        location: the path to send requests to; by default the address in the WSDL.
        safe: the operations that change nothing.
        repeatable: the operations that have the same effect when they are sent twice.
        username: the user name of a WS-Security token.
        password: the password of the token.
        digest: whether to send a hash of the password.
        valid_for: seconds for which a request is valid, which its WS-Security timestamp states.
        ping: an operation without arguments that shows if the service answers; by default the
            WSDL is loaded.
    """

    service: str | None = None
    wsdl: str = "?wsdl"
    wsdl_file: str | None = None
    copies: dict[str, str] | None = None
    wsdl_service: str | None = None
    port: str | None = None
    location: str | None = None
    safe: tuple[str, ...] = attrs.field(default=(), converter=as_series)
    repeatable: tuple[str, ...] = attrs.field(default=(), converter=as_series)
    username: str | None = attrs.field(default=None, repr=False)
    password: Secret | None = attrs.field(default=None, converter=maybe_secret, repr=False)
    digest: bool = False
    valid_for: float | None = attrs.field(default=None, validator=if_given(is_seconds))
    ping: str | None = None

    def __attrs_post_init__(self) -> None:
        """Refuse incomplete settings of a WS-Security token."""
        self.security()

    def security(self) -> SoapSecurity | None:
        """Return the settings of the WS-Security header; None if there are none."""
        valid_for = None if self.valid_for is None else timedelta(seconds=self.valid_for)
        security = SoapSecurity(
            username=self.username,
            password=self.password,
            digest=self.digest,
            valid_for=valid_for,
        )
        return None if self.username is None and valid_for is None else security

    def client(self, wsdl: Wsdl) -> Soap:
        """Return the client that makes operations from a WSDL."""
        from moorage.adapters.http_operations.soap.client import Soap  # noqa: PLC0415 - few programs have one

        return Soap(
            wsdl=wsdl,
            wsdl_service=self.wsdl_service,
            port=self.port,
            location=self.location,
            safe=self.safe,
            repeatable=self.repeatable,
            security=self.security(),
        )
