"""The connector kind `sql` of a configuration, with its settings and statements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import attrs

from moorage.adapters.sql.statements import configured_statement
from moorage.domain.http.transport import Tls
from moorage.domain.secrets.options import as_series, checked_options, maybe_secret
from moorage.domain.secrets.secret import Secret
from moorage.domain.values.durations import is_count, is_seconds
from moorage.domain.values.installation import install
from moorage.errors import ConfigurationError, InvalidData
from moorage.ports.connector import ConnectorKind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.adapters.sql.connector import AsyncSqlConnector, SqlConnector
    from moorage.adapters.sql.statements import Statement

_DIALECTS: Final = ("postgresql", "mariadb", "mysql", "sqlite")
_PORTS: Final = {"postgresql": 5432, "mariadb": 3306, "mysql": 3306}


@checked_options
@attrs.frozen(kw_only=True)
class SqlSettings:
    """A SQL database: PostgreSQL, MariaDB, MySQL or SQLite.

    Attributes:
        url: the address of the database, such as postgresql://erp@db.example/erp or
            sqlite:///stock.db; or give `dialect` and the fields below it instead.
        dialect: the kind of the database: postgresql, mariadb, mysql or sqlite.
        host: the host of the server.
        port: the port of the server; by default the usual one.
        database: the name of the database, or the file of SQLite.
        user: the name of the user.
        password: the password of the user.
        tls: whether the connection must be encrypted, with a certificate that is verified.
        tls_authorities: a PEM file with the authorities to trust instead of the system's.
        tls_certificate: a PEM file with the client's certificate.
        tls_key: the PEM file of the certificate's private key.
        connections: the largest number of connections.
        connect_timeout: seconds for opening a connection.
        lifetime: seconds after which a connection is replaced.
        check_idle: whether the server is asked before each use if the connection still works.
        most_rows: the largest number of rows of a result; more are an error.
        most_bytes: the largest number of bytes of a result.
        options: options of the driver, by name.
        statements: the statements that can be run by name, each as a whole with parameters such as
            `:id`.
        repeatable: the names of statements that change something, but may be repeated.
    """

    url: Secret | None = attrs.field(default=None, converter=maybe_secret, repr=False)
    dialect: str | None = attrs.field(default=None, metadata={"choices": _DIALECTS})
    host: str | None = None
    port: int | None = None
    database: str | None = None
    user: str | None = None
    password: Secret | None = attrs.field(default=None, converter=maybe_secret, repr=False)
    tls: bool = False
    tls_authorities: str | None = None
    tls_certificate: str | None = None
    tls_key: str | None = None
    connections: int = attrs.field(default=10, validator=is_count)
    connect_timeout: float = attrs.field(default=5.0, validator=is_seconds)
    lifetime: float = attrs.field(default=1800.0, validator=is_seconds)
    check_idle: bool = False
    most_rows: int = attrs.field(default=100_000, validator=is_count)
    most_bytes: int = attrs.field(default=67_108_864, validator=is_count)
    options: dict[str, Any] = attrs.field(factory=dict[str, Any], repr=False)
    statements: dict[str, str] = attrs.field(factory=dict[str, str])
    repeatable: tuple[str, ...] = attrs.field(default=(), converter=as_series)

    def __attrs_post_init__(self) -> None:
        """Refuse contradictory database settings and incomplete statements."""
        self._check_place()
        if self.tls and "sqlite" in {self.dialect, self.url and self.url.reveal()[:6]}:
            raise ConfigurationError(
                "The connector has `tls`, but SQLite has no network connection.",
                path="tls",
                remedy="Leave it out.",
            )
        if not self.tls and (self.tls_authorities or self.tls_certificate or self.tls_key):
            raise ConfigurationError(
                "The connector has files for TLS, but TLS is not turned on.",
                path="tls",
                remedy="Set tls = true, or leave out the files.",
            )
        if self.tls_key and not self.tls_certificate:
            raise ConfigurationError(
                "The connector has a private key, but no certificate.",
                path="tls_certificate",
                remedy="Set the certificate that belongs to the key.",
            )
        for name in self.repeatable:
            if name not in self.statements:
                raise ConfigurationError(
                    f"The connector has no statement named {name[:80]!r}.",
                    path="repeatable",
                    remedy="List only names of statements of this connector.",
                )
        self.declared()

    def _check_place(self) -> None:
        fields = ("host", "port", "database", "user")
        set_fields = [name for name in ("dialect", *fields) if getattr(self, name) is not None]
        if self.url is not None:
            if set_fields:
                raise ConfigurationError(
                    f"The connector has both a URL and {set_fields[0]}, which the URL already"
                    " contains.",
                    path=set_fields[0],
                    remedy="Set either the URL or the separate fields.",
                )
            if self.url.reveal().partition("://")[0] not in _DIALECTS:
                raise ConfigurationError(
                    "The URL does not begin with the name of a supported database.",
                    path="url",
                    remedy="Set postgresql://…, mariadb://…, mysql://… or sqlite:///file.db.",
                )
            return
        if self.dialect is None:
            raise ConfigurationError(
                "The connector has no database, because url and dialect are not set.",
                path="url",
                remedy="Set url, or set dialect with host, database and user.",
            )
        if self.dialect == "sqlite":
            for name in ("host", "port", "user"):
                if getattr(self, name) is not None:
                    raise ConfigurationError(
                        f"SQLite has no server, so the option {name} has no effect.",
                        path=name,
                        remedy=f"Leave out {name}, and set `database` to the path of the file.",
                    )
        elif self.host is None:
            raise ConfigurationError(
                f"The host of the {self.dialect} server is not set.",
                path="host",
                remedy="Set the host's name or address.",
            )

    def declared(self) -> tuple[Statement, ...]:
        """Return the statements that the configuration declares.

        Raises:
            ConfigurationError: a statement contains a value, or is not a single statement.
        """
        return tuple(self._declared(name, text) for name, text in self.statements.items())

    def _declared(self, name: str, text: str) -> Statement:
        try:
            return configured_statement(name, text, repeatable=name in self.repeatable)
        except InvalidData as error:
            problem, remedy = error.message, error.remedy
        raise ConfigurationError(problem, path=f"statements.{name}", remedy=remedy)

    def address(self) -> Secret:
        """Return the URL of the database, without the password."""
        if self.url is not None:
            return self.url
        if self.dialect == "sqlite":
            return Secret(f"sqlite:///{self.database}" if self.database else "sqlite://")
        host = self.host or ""
        place = f"[{host}]" if ":" in host else quote(host, safe="")
        user = "" if self.user is None else f"{quote(self.user, safe='')}@"
        port = self.port or _PORTS[self.dialect or ""]
        return Secret(
            f"{self.dialect}://{user}{place}:{port}/{quote(self.database or '', safe='')}"
        )

    def arguments(self, name: str) -> Mapping[str, Any]:
        """Return the arguments of the connector's class, except the URL."""
        trust = Tls(
            authorities=self.tls_authorities, certificate=self.tls_certificate, key=self.tls_key
        )
        return {
            "name": name,
            "password": self.password,
            "tls": trust if self.tls else None,
            "connections": self.connections,
            "connect_timeout": self.connect_timeout,
            "lifetime": self.lifetime,
            "check_idle": self.check_idle,
            "most_rows": self.most_rows,
            "most_bytes": self.most_bytes,
            "options": self.options,
            "statements": self.declared(),
        }


def _build(name: str, settings: SqlSettings, _: object) -> SqlConnector:
    return _connectors().SqlConnector(settings.address(), **settings.arguments(name))  # type: ignore[no-any-return]  # a module's


def _build_async(name: str, settings: SqlSettings, _: object) -> AsyncSqlConnector:
    return _connectors().AsyncSqlConnector(settings.address(), **settings.arguments(name))  # type: ignore[no-any-return]  # a module's


def _connectors() -> Any:
    """Import and return the module of the SQL connectors."""
    try:
        from moorage.adapters.sql import connector  # noqa: PLC0415 - imports SQLAlchemy
    except ImportError as error:
        missing_module = error.name
    else:
        return connector
    raise ConfigurationError(
        f"Connectors of the kind sql need {missing_module}, which is not installed.",
        path="kind",
        remedy=install("sql"),
    )


SQL: Final = ConnectorKind(name="sql", settings=SqlSettings, build=_build, build_async=_build_async)
