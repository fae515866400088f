"""The connector kind `mongodb` in a configuration."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.http.transport import Tls
from moorage.domain.secrets.options import checked_options, maybe_secret
from moorage.domain.values.durations import is_count, is_seconds
from moorage.domain.values.installation import install
from moorage.errors import ConfigurationError
from moorage.ports.connector import ConnectorKind

if TYPE_CHECKING:
    from moorage.adapters.mongodb.connector_async import AsyncMongoConnector
    from moorage.adapters.mongodb.connector_sync import MongoConnector
    from moorage.domain.secrets.secret import Secret
    from moorage.ports.connector import AsyncPerformer, Performer

_TLS_OPTIONS: Final = ("tls", "tls_authorities", "tls_certificate", "tls_key_password")


@checked_options
@attrs.frozen(kw_only=True)
class MongoSettings:
    """A MongoDB database over pymongo.

    Attributes:
        url: the address of the server or the replica set, such as mongodb://db.example/erp or
            mongodb+srv://cluster.example/erp.
        service: the service whose protections apply; by default the one of the connector's name.
        database: the name of the database, if it is not in the URL.
        user: the name of the user, if it is not in the URL.
        password: the password of the user, if it is not in the URL.
        auth_source: the database in which the user is defined.
        tls: whether the connection must be encrypted, with a certificate that is verified.
        tls_authorities: a PEM file with the authorities to trust instead of the system's.
        tls_certificate: a PEM file with the client's certificate and its private key.
        tls_key_password: the password that the private key is encrypted with.
        connections: the largest number of connections to each server.
        connect_timeout: seconds for finding a server and for opening a connection.
        operators: whether operations by name accept operators such as `$gt` in plain JSON.
        options: further options of pymongo, by name.
    """

    url: Secret = attrs.field(converter=maybe_secret, repr=False)
    service: str | None = None
    database: str | None = None
    user: str | None = None
    password: Secret | None = attrs.field(default=None, converter=maybe_secret, repr=False)
    auth_source: str | None = None
    tls: bool = False
    tls_authorities: str | None = None
    tls_certificate: str | None = None
    tls_key_password: Secret | None = attrs.field(default=None, converter=maybe_secret, repr=False)
    connections: int = attrs.field(default=10, validator=is_count)
    connect_timeout: float = attrs.field(default=5.0, validator=is_seconds)
    operators: bool = False
    options: dict[str, Any] = attrs.field(factory=dict[str, Any], repr=False)

    def __attrs_post_init__(self) -> None:
        """Refuse contradictory settings."""
        if not self.tls and any(getattr(self, name) is not None for name in _TLS_OPTIONS[1:]):
            raise ConfigurationError(
                "The connector has files for TLS, but TLS is not turned on.",
                path="tls",
                remedy="Set tls = true, or leave out the files.",
            )

    def arguments(self, name: str) -> dict[str, Any]:
        """Return the arguments of a connector with these settings."""
        trust = Tls(
            authorities=self.tls_authorities,
            certificate=self.tls_certificate,
            password=self.tls_key_password,
        )
        settings = attrs.asdict(self, filter=attrs.filters.exclude(*_TLS_OPTIONS), recurse=False)
        return {**settings, "name": name, "tls": trust if self.tls else None}


def _build(name: str, settings: MongoSettings, _: Performer) -> MongoConnector:
    _require_pymongo()
    from moorage.adapters.mongodb.connector_sync import (  # noqa: PLC0415 - loads pymongo
        MongoConnector,
    )

    return MongoConnector(**settings.arguments(name))


def _build_async(name: str, settings: MongoSettings, _: AsyncPerformer) -> AsyncMongoConnector:
    _require_pymongo()
    from moorage.adapters.mongodb.connector_async import (  # noqa: PLC0415 - loads pymongo
        AsyncMongoConnector,
    )

    return AsyncMongoConnector(**settings.arguments(name))


def _require_pymongo() -> None:
    if find_spec("pymongo") is None:
        raise ConfigurationError(
            "Connectors of the kind mongodb need pymongo, which is not installed.",
            path="kind",
            remedy=install("mongodb"),
        )


MONGODB: Final = ConnectorKind(
    name="mongodb", settings=MongoSettings, build=_build, build_async=_build_async
)
"""The kind of connectors of databases of MongoDB."""
