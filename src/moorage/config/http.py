"""The `[http]` table of a configuration: trust, proxy and connections of the embedded client."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.config.of_classes import about_fields, table_of
from moorage.config.problems import Wrong, under
from moorage.config.shapes import Address, Field, Many, Number, SecretText, Table, Text
from moorage.domain.http.outgoing import OutgoingGuard
from moorage.domain.http.transport import PEM, DangerouslyUnverified, Proxy, Tls
from moorage.domain.secrets.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moorage.config.problems import Report
    from moorage.config.shapes import Shape


@attrs.frozen(kw_only=True)
class HttpSettings:
    """The arguments of the embedded HTTP client that a configuration gives.

    Attributes:
        options: by name, as `StdlibHttpClient` takes them.
    """

    options: Mapping[str, Any] = attrs.field(repr=False)

    def client(self, *, awaited: bool) -> Any:
        """The embedded client of one colour with these settings.

        Raises:
            ConfigurationError: a file of certificates cannot be read, or a number is out of range.
        """
        if awaited:
            from moorage.adapters.http.stdlib.client_async import (  # noqa: PLC0415 - if it is used
                AsyncStdlibHttpClient,
            )

            return AsyncStdlibHttpClient(**self.options)
        from moorage.adapters.http.stdlib.client import StdlibHttpClient  # noqa: PLC0415 - if it is used

        return StdlibHttpClient(**self.options)


def _tls_table() -> Table:
    shapes: dict[str, Shape] = {
        "authorities": Text(),
        "certificate": Text(),
        "key": SecretText(or_path=True),
        "unverified": Text(),
    }
    return attrs.evolve(table_of(Tls, name="tls", shapes=shapes, make=dict), kinds=())


def _proxy_table() -> Table:
    about = about_fields(Proxy)
    fields = {
        "url": Field(
            Address(),
            "The address of the proxy, such as http://proxy.example:3128; user name and password"
            " may stand in it.",
            required=True,
        ),
        "bypass": Field(Many(Text()), about["bypass"]),
    }
    return Table("proxy", "The proxy through which requests are sent.", fields)


HTTP: Final = Table(
    "http",
    "How the embedded HTTP client connects: trust, proxy and connections.",
    {
        "tls": Field(_tls_table(), "Which certificates are trusted and shown."),
        "proxy": Field(
            _proxy_table(), "The proxy through which requests are sent; none by default."
        ),
        "guard": Field(
            table_of(
                OutgoingGuard,
                name="guard",
                shapes={"networks": Many(Text()), "ports": Many(Number(whole=True))},
            ),
            "Which destinations are allowed; all by default.",
        ),
        "max_connections": Field(
            Number(whole=True), "Connections to one origin at once.", default=100
        ),
        "keep_alive": Field(
            Number(), "Seconds for which an idle connection is kept.", default=15.0
        ),
        "max_body": Field(
            Number(whole=True), "Bytes of an answer that is held in memory.", default=67_108_864
        ),
    },
)


def http_settings(fields: Mapping[str, Any], folder: Path, report: Report) -> HttpSettings | None:
    """The settings that a table which was read stands for; None where it has none, or is wrong.

    Args:
        fields: the table.
        folder: the start of relative paths in it.
        report: is told everything that is wrong.
    """
    if not fields or not report.clear("http"):
        return None
    options = dict(fields)
    if "tls" in fields:
        options["tls"] = report.made(partial(_tls, fields["tls"], folder), under("http", "tls"))
    if "proxy" in fields:
        proxy = fields["proxy"]
        made = partial(Proxy.at, proxy["url"], bypass=proxy.get("bypass", ()))
        options["proxy"] = report.made(made, under("http", "proxy"), exact=True)
    if any(isinstance(one, Wrong) for one in options.values()):
        return None
    return HttpSettings(options=options)


def _tls(fields: Mapping[str, Any], folder: Path) -> Tls:
    given = dict(fields)
    for name in ("authorities", "certificate"):
        if given.get(name) is not None:
            given[name] = _material(given[name], folder)
    key = given.get("key")
    if isinstance(key, Secret) and PEM.encode() not in key.reveal_bytes():
        given["key"] = str(folder / key.reveal())
    if given.get("unverified") is not None:
        given["unverified"] = DangerouslyUnverified(given["unverified"])
    return Tls(**given)


def _material(text: str, folder: Path) -> str:
    return text if PEM in text else str(folder / text)
