"""The `[http]` table of a configuration: trust, proxy and connections of the embedded client."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moorage.config.class_tables import field_descriptions, table_of
from moorage.config.problems import REPORTED, ReportedProblem
from moorage.config.shapes import Address, Field, Flag, ListOf, Number, SecretText, Table, Text
from moorage.domain.http.outgoing import OutgoingGuard
from moorage.domain.http.transport import PEM, DangerouslyUnverified, Proxy, Tls
from moorage.domain.secrets.secret import Secret
from moorage.domain.values.frozen_values import evolve, field, frozen

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moorage.config.problems import Report
    from moorage.config.shapes import Shape


@frozen(kw_only=True)
class HttpSettings:
    """The arguments of the embedded HTTP client that a configuration sets.

    Attributes:
        options: the arguments of `StdlibHttpClient` by name; with a true `http2`, the settings
            of `PyreqwestHttpClient`.
    """

    options: Mapping[str, Any] = field(repr=False)

    def open(self, report: Report, *, is_async: bool) -> Any:
        """Return the embedded client with these settings, synchronous or asynchronous.

        If it cannot be created, each wrong setting is reported, and WRONG is returned.
        """
        client = report.make_or_report(partial(_client, self.options, is_async=is_async), "http")
        if isinstance(client, ReportedProblem):
            for name, option in self.options.items():
                report.make_or_report(partial(_client, {name: option}, is_async=is_async), "http")
        return client


def _client(options: Mapping[str, Any], *, is_async: bool) -> Any:
    if options.get("http2"):
        return _pyreqwest_client(options, is_async=is_async)
    options = {name: option for name, option in options.items() if name != "http2"}
    if is_async:
        from moorage.adapters.http.stdlib.client_async import (  # noqa: PLC0415 - imported only if it is used
            AsyncStdlibHttpClient,
        )

        return AsyncStdlibHttpClient(**options)
    from moorage.adapters.http.stdlib.client import StdlibHttpClient  # noqa: PLC0415 - imported only if it is used

    return StdlibHttpClient(**options)


def _pyreqwest_client(options: Mapping[str, Any], *, is_async: bool) -> Any:
    if is_async:
        from moorage.adapters.http.pyreqwest.client_async import (  # noqa: PLC0415 - imported only if it is used
            AsyncPyreqwestHttpClient,
        )

        return AsyncPyreqwestHttpClient(**options)
    from moorage.adapters.http.pyreqwest.client import (  # noqa: PLC0415 - imported only if it is used
        PyreqwestHttpClient,
    )

    return PyreqwestHttpClient(**options)


def _tls_table() -> Table:
    shapes: dict[str, Shape] = {
        "authorities": Text(),
        "certificate": Text(),
        "key": SecretText(or_path=True),
        "unverified": Text(),
    }
    return evolve(table_of(Tls, name="tls", shapes=shapes), kinds=(), make=None)


def _proxy_table() -> Table:
    descriptions = field_descriptions(Proxy)
    fields = {
        "url": Field(
            Address(),
            "The address of the proxy, such as http://proxy.example:3128; it may contain a"
            " user name and password.",
            required=True,
        ),
        "bypass": Field(ListOf(Text()), descriptions.get("bypass", "")),
    }
    return Table("proxy", "The proxy through which requests are sent.", fields)


HTTP: Final = Table(
    "http",
    "The certificates, proxy and connections of the built-in HTTP client.",
    {
        "tls": Field(
            _tls_table(), "The certificates that the client trusts, and its own certificate."
        ),
        "proxy": Field(
            _proxy_table(), "The proxy through which requests are sent; none by default."
        ),
        "guard": Field(
            table_of(
                OutgoingGuard,
                name="guard",
                shapes={"networks": ListOf(Text()), "ports": ListOf(Number(whole=True))},
            ),
            "The destinations that are allowed; all by default.",
        ),
        "max_connections": Field(
            Number(whole=True), "Maximum number of open connections to one origin.", default=100
        ),
        "keep_alive": Field(
            Number(), "Seconds for which an idle connection is kept open.", default=15.0
        ),
        "http2": Field(
            Flag(),
            "Whether HTTP/2 is used with servers that offer it; this needs the extra pyreqwest.",
            default=False,
        ),
        "max_body": Field(
            Number(whole=True),
            "Maximum number of bytes of a response that is held in memory.",
            default=67_108_864,
        ),
    },
)


def http_settings(fields: Mapping[str, Any], folder: Path, report: Report) -> HttpSettings | None:
    """Return the settings of the `[http]` table if they are valid; None without settings.

    Args:
        fields: the table after reading.
        folder: the folder that relative paths start from.
        report: collects the problems.
    """
    options = dict(fields)
    if "tls" in fields:
        tls = dict(fields["tls"])
        if not report.has_no_problem("http.tls.certificate"):
            # Without this check, the key would not seem to belong to any certificate.
            tls = {name: value for name, value in tls.items() if name not in {"key", "password"}}
        options["tls"] = report.make_or_report(partial(_tls, tls, folder), "http.tls")
    if "proxy" in fields:
        options["proxy"] = _proxy(fields["proxy"], report)
    valid_options = {
        name: option for name, option in options.items() if not isinstance(option, ReportedProblem)
    }
    return HttpSettings(options=valid_options) if valid_options else None


def _proxy(fields: Mapping[str, Any], report: Report) -> Proxy | ReportedProblem:
    bypassed_hosts = fields.get("bypass", ())
    report.check_fields((Proxy,), {"bypass": bypassed_hosts}, "http.proxy")
    proxy: Proxy | ReportedProblem = REPORTED
    if "url" in fields:
        proxy = report.make_or_report(
            partial(Proxy.at, fields["url"]), "http.proxy.url", exact=True
        )
    if isinstance(proxy, ReportedProblem) or not report.has_no_problem("http.proxy.bypass"):
        return REPORTED
    return evolve(proxy, bypass=bypassed_hosts)


def _tls(fields: Mapping[str, Any], folder: Path) -> Tls:
    options = dict(fields)
    for name in ("authorities", "certificate"):
        if options.get(name) is not None:
            options[name] = _text_or_path(options[name], folder)
    key = options.get("key")
    if isinstance(key, Secret) and PEM.encode() not in key.reveal_bytes():
        options["key"] = str(folder / key.reveal())
    if options.get("unverified") is not None:
        options["unverified"] = DangerouslyUnverified(options["unverified"])
    return Tls(**options)


def _text_or_path(text: str, folder: Path) -> str:
    return text if PEM in text else str(folder / text)
