"""The settings of pymongo's clients."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from warnings import catch_warnings, simplefilter

import attrs
from pymongo import MongoClient, uri_parser
from pymongo.errors import PyMongoError

from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from moorage.adapters.mongodb._monitor import Monitor
    from moorage.domain.http.transport import Tls
    from moorage.domain.secrets.secret import Secret

_SCHEMES: Final = ("mongodb://", "mongodb+srv://")
_USUAL_PORT: Final = 27017


@attrs.frozen(kw_only=True)
class ClientSettings:
    """The settings of a pymongo client, as passed to the connector."""

    url: Secret
    database: str | None
    user: str | None
    password: Secret | None = attrs.field(repr=False)
    auth_source: str | None
    tls: Tls | None
    connections: int
    connect_timeout: float
    options: Mapping[str, Any] = attrs.field(repr=False)

    def check(self) -> str:
        """Check the settings, and return the name of the database.

        Raises:
            ConfigurationError: the driver does not accept the settings, or they name no database.
        """
        with _hiding_settings(), self.client(MongoClient) as client:
            name: str = self.database or client.get_default_database().name
        if not client.write_concern.acknowledged:
            raise _refused_setting(
                "url",
                "With w=0, MongoDB does not confirm changes, so their outcome would be unknown.",
            )
        return name

    def client(self, kind: Any, *monitors: Monitor) -> Any:
        """Return a client that connects at its first use."""
        url = self.url.reveal()
        if not url.startswith(_SCHEMES):
            raise _refused_setting(
                "url", "The URL does not begin with mongodb:// or mongodb+srv://."
            )
        milliseconds = max(1, int(self.connect_timeout * 1000))
        settings: dict[str, Any] = {
            "appname": "moorage",
            "serverSelectionTimeoutMS": milliseconds,
            # A shorter timeout, so that the reason is known when the search for a server ends.
            "connectTimeoutMS": max(1, milliseconds * 3 // 4),
            "uuidRepresentation": "standard",
            **self.options,
            "maxPoolSize": self.connections,
            "retryWrites": False,
            "retryReads": False,
            "tz_aware": True,
            "connect": False,
            "event_listeners": monitors,
            **self._credentials(),
            **self._tls(),
        }
        return kind(url, **settings)

    def place(self) -> tuple[str | None, int | None]:
        """Return the host and port if the URL names a single server; otherwise None."""
        url = self.url.reveal()
        if not url.startswith(_SCHEMES[0]):
            return None, None
        with _hiding_settings():
            nodes: Any = uri_parser.parse_uri(url, warn=True)["nodelist"]
        host, port = nodes[0]
        if len(nodes) > 1:
            return None, None
        return host, None if port == _USUAL_PORT else port

    def _credentials(self) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "username": self.user,
            "password": self.password and self.password.reveal(),
            "authSource": self.auth_source,
        }
        return {name: value for name, value in settings.items() if value is not None}

    def _tls(self) -> dict[str, Any]:
        tls = self.tls
        if tls is None:
            return {}
        if tls.unverified is not None or tls.key not in {None, tls.certificate}:
            raise _refused_setting(
                "tls",
                "MongoDB's driver needs the certificate and its key in a single file, and the"
                " connector always verifies the server.",
            )
        settings = {
            "tlsCAFile": tls.authorities,
            "tlsCertificateKeyFile": tls.certificate,
            "tlsCertificateKeyFilePassword": tls.password and tls.password.reveal(),
        }
        if any(isinstance(value, bytes) for value in settings.values()):
            raise _refused_setting("tls", "MongoDB's driver reads certificates only from files.")
        return {
            "tls": True,
            "tlsAllowInvalidCertificates": False,
            "tlsAllowInvalidHostnames": False,
            **{name: value for name, value in settings.items() if value is not None},
        }


@contextmanager
def _hiding_settings() -> Generator[None]:
    """Convert the driver's exceptions to an error that does not reveal any setting."""
    try:
        with catch_warnings():
            # pymongo only warns about an option that it does not understand.
            simplefilter("error", UserWarning)
            yield
    except (PyMongoError, ValueError, TypeError, OSError, UserWarning):
        pass
    else:
        return
    raise _refused_setting("url", "MongoDB's driver does not accept the settings of the connector.")


def _refused_setting(path: str, message: str) -> ConfigurationError:
    return ConfigurationError(
        message,
        path=path,
        remedy="Compare the URL, the database, the TLS settings and the options with"
        " MongoDB's manual.",
    )
