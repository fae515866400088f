"""`moorage ping`: make one harmless call to every service, all concurrently."""

from __future__ import annotations

import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs

from moorage.adapters.http.connections._resolve import connected_socket
from moorage.cli.answer import CommandResult, Table
from moorage.cli.context import Context
from moorage.cli.exit_codes import FAILED, OK
from moorage.cli.numbers import Seconds
from moorage.cli.places import opened_hub
from moorage.domain.values.names import service_name
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
)
from moorage.hub.internals import core_of, flows_of
from moorage.runtime.flows import run_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moorage.contracts.routes import Account
    from moorage.domain.service.settings import Service
    from moorage.hub.hub import Hub

_MAX_PARALLEL: Final = 16
_PROOFS: Final = {
    "accepted": "the credentials are accepted",
    "token": "the credentials yield a token",
    "reachable": "the server responds; the credentials were not tried",
    "untried": "nothing: the service has no address",
}


@attrs.frozen
class _Ping:
    """One harmless call to a service.

    Attributes:
        service: the name of the service.
        region: the region; None if the call is not for one region.
        vendor: the vendor's name, if the service belongs to an account.
        proof: the fact that a success proves.
        send: makes the call; None if the service has no harmless call.
    """

    service: str
    vendor: str | None
    proof: str
    send: Callable[[], object] | None
    region: str | None = None


def ping(
    *names: str,
    timeout: Seconds = 10.0,
    credentials: str | None = None,
    context: Context,
) -> CommandResult:
    """Check a configuration with one harmless call to every service, all concurrently.

    Each result says what it proves: that the credentials work, or only that the server responds.

    Args:
        names: the services to call; all by default.
        timeout: seconds per service.
        credentials: the URL of a credential store, for services with `needs_credentials`.
        context: the options that all commands share.
    """
    with opened_hub(context, credentials) as hub:
        pings = _pings(hub, context.configured().accounts, timeout)
        if unknown_services := sorted({*names} - {row.service for row in pings}):
            raise ConfigurationError(
                f"There is no service {unknown_services[0]!r}.",
                path="NAMES",
                remedy=f"Use {', '.join(dict.fromkeys(row.service for row in pings)) or 'none'}.",
            )
        selected_pings = [row for row in pings if not names or row.service in names]
        with ThreadPoolExecutor(_MAX_PARALLEL) as pool, context.progress("answers") as step:
            rows: list[dict[str, Any]] = []
            for answer in pool.map(_ping_row, selected_pings):
                rows.append(answer)
                step(1)
    cells = [
        (_name_of(row), row["vendor"], row["answer"], row["milliseconds"], row["says"])
        for row in rows
    ]
    all_ok = all(row["ok"] for row in rows)
    return CommandResult(
        {"pings": rows},
        [Table(("service", "vendor", "answer", "ms", ""), cells)],
        OK if all_ok else FAILED,
    )


def _pings(hub: Hub, accounts: Iterable[Account], timeout: float) -> list[_Ping]:
    pingable_accounts = {
        service_name(account.name, purpose): (account, purpose)
        for account in accounts
        for purpose in account.vendor.services()
    }
    pings: list[_Ping] = []
    for name, service in flows_of(hub.manager).plans.services.items():
        if name in pingable_accounts:
            pings += _account_pings(hub, service, *pingable_accounts[name], timeout)
        else:
            pings += _connection_pings(service, None, timeout)
    return pings


def _account_pings(
    hub: Hub, service: Service, account: Account, purpose: str, timeout: float
) -> list[_Ping]:
    vendor = account.vendor
    request = vendor.ping() if purpose == "" else None
    if request is not None:

        def call() -> object:
            return hub.manager.call(service.name, request, timeout=timeout)

        return [_Ping(service.name, vendor.name, "accepted", call)]
    if purpose in vendor.clients():

        def token() -> object:
            return run_now(core_of(hub.manager).get_credentials(service.name, None))

        return [_Ping(service.name, vendor.name, "token", token)]
    return _connection_pings(service, vendor.name, timeout)


def _connection_pings(service: Service, vendor: str | None, timeout: float) -> list[_Ping]:
    """Return a ping of the service's server, or of the server of each region."""
    base_urls: dict[str | None, str | None] = {
        region.name: region.base_url for region in service.regions
    }
    return [
        _Ping(
            service.name,
            vendor,
            "untried" if base is None else "reachable",
            None if base is None else partial(_check_connection, base, timeout),
            region,
        )
        for region, base in (base_urls or {None: service.base_url}).items()
    ]


def _name_of(row: dict[str, Any]) -> str:
    """Return the name of a service, with the region if the service has several regions."""
    name: str = row["service"]
    return name if row["region"] is None else f"{name} ({row['region']})"


def _check_connection(base: str, timeout: float) -> None:
    """Open and close a connection, with TLS for an https URL."""
    parts = urlsplit(base)
    host, is_secure = parts.hostname or "", parts.scheme == "https"
    try:
        with connected_socket(
            (host, parts.port or (443 if is_secure else 80)), timeout
        ) as connection:
            if is_secure:
                ssl.create_default_context().wrap_socket(connection, server_hostname=host).close()
    except OSError as error:
        raise ConnectionFailed(
            f"The host {parts.netloc} cannot be reached ({type(error).__name__}).",
            may_have_been_processed=False,
        ) from None


def _ping_row(ping: _Ping) -> dict[str, Any]:
    names = {"service": ping.service, "region": ping.region, "vendor": ping.vendor}
    if ping.send is None:
        return {
            **names,
            "ok": True,
            "answer": "untried",
            "milliseconds": None,
            "says": _PROOFS["untried"],
        }
    start_time = time.perf_counter()
    try:
        ping.send()
        answer, text = ping.proof, _PROOFS[ping.proof]
    except AuthenticationFailed as error:
        answer, text = "refused", str(error)
    except ConnectorError as error:
        answer, text = "failed", str(error)
    milliseconds = round((time.perf_counter() - start_time) * 1000)
    ok = answer in _PROOFS
    return {**names, "ok": ok, "answer": answer, "milliseconds": milliseconds, "says": text}
