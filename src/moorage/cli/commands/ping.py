"""`moorage ping`: make one harmless call to every service, all at once."""

from __future__ import annotations

import socket
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs

from moorage.cli.answer import Answer, Table
from moorage.cli.context import Context
from moorage.cli.exit_codes import OK, UNWELL
from moorage.cli.places import opened_hub
from moorage.domain.values.names import service_name
from moorage.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ConnectionFailed,
    ConnectorError,
)
from moorage.runtime.bridge import run_now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moorage.contracts.routes import Account
    from moorage.domain.service.settings import Service
    from moorage.hub.hub import Hub

_AT_ONCE: Final = 16
_PROOFS: Final = {
    "accepted": "the key is accepted",
    "token": "the key brings a token",
    "reachable": "somebody answers there; the key was not tried",
    "untried": "nothing: it has no address that could be tried",
}


@attrs.frozen
class _Ping:
    """One harmless call.

    Attributes:
        service: the name of the service.
        vendor: the vendor's name, if the service belongs to an account.
        proof: the kind of proof that a success gives.
        go: makes the call; None if the service has none.
    """

    service: str
    vendor: str | None
    proof: str
    go: Callable[[], object] | None


def ping(
    *names: str,
    timeout: float = 10.0,
    credentials: str | None = None,
    context: Context,
) -> Answer:
    """Check a configuration with one harmless call to every service, all at once.

    Each result says what it proves: that the credentials work, or only that the server responds.

    Args:
        names: the services to call; all by default.
        timeout: seconds per service.
        credentials: the URL of a credential store, for services with `needs_credentials`.
        context: the options that all commands share.
    """
    with opened_hub(context, credentials) as hub:
        pings = _pings(hub, context.configured().accounts, timeout)
        if unknown := sorted({*names} - {row.service for row in pings}):
            raise ConfigurationError(
                f"there is no service {unknown[0]!r}.",
                path="NAMES",
                remedy=f"Use {', '.join(row.service for row in pings) or 'none'}.",
            )
        selected = [row for row in pings if not names or row.service in names]
        with ThreadPoolExecutor(_AT_ONCE) as pool, context.progress("answers") as step:
            rows: list[dict[str, Any]] = []
            for answer in pool.map(_answer, selected):
                rows.append(answer)
                step(1)
    cells = [
        (row["service"], row["vendor"], row["answer"], row["milliseconds"], row["says"])
        for row in rows
    ]
    well = all(row["ok"] for row in rows)
    return Answer(
        {"pings": rows},
        [Table(("service", "vendor", "answer", "ms", ""), cells)],
        OK if well else UNWELL,
    )


def _pings(hub: Hub, accounts: Iterable[Account], timeout: float) -> list[_Ping]:
    pingable = {
        service_name(account.name, to): (account, to)
        for account in accounts
        for to in account.vendor.services()
    }
    return [
        _of_account(hub, service, *pingable[name], timeout)
        if name in pingable
        else _connecting(service, None, timeout)
        for name, service in hub.manager.flows.plans.services.items()
    ]


def _of_account(hub: Hub, service: Service, account: Account, to: str, timeout: float) -> _Ping:
    vendor = account.vendor
    request = vendor.ping() if to == "" else None
    if request is not None:

        def call() -> object:
            return hub.manager.call(service.name, request, timeout=timeout)

        return _Ping(service.name, vendor.name, "accepted", call)
    if to in vendor.clients():

        def token() -> object:
            return run_now(hub.manager.flows.core.get_credentials(service.name, None))

        return _Ping(service.name, vendor.name, "token", token)
    return _connecting(service, vendor.name, timeout)


def _connecting(service: Service, vendor: str | None, timeout: float) -> _Ping:
    base = service.base_url
    if base is None:
        return _Ping(service.name, vendor, "untried", None)
    return _Ping(service.name, vendor, "reachable", lambda: _connected(base, timeout))


def _connected(base: str, timeout: float) -> None:
    """Open and close a connection, with TLS for an https URL."""
    parts = urlsplit(base)
    host, secure = parts.hostname or "", parts.scheme == "https"
    try:
        with socket.create_connection(
            (host, parts.port or (443 if secure else 80)), timeout
        ) as link:
            if secure:
                ssl.create_default_context().wrap_socket(link, server_hostname=host).close()
    except OSError as error:
        raise ConnectionFailed(
            f"{parts.netloc} cannot be reached ({type(error).__name__}).",
            may_have_been_processed=False,
        ) from None


def _answer(ping: _Ping) -> dict[str, Any]:
    about = {"service": ping.service, "vendor": ping.vendor}
    if ping.go is None:
        return {
            **about,
            "ok": True,
            "answer": "untried",
            "milliseconds": None,
            "says": _PROOFS["untried"],
        }
    began = time.perf_counter()
    try:
        ping.go()
        answer, text = ping.proof, _PROOFS[ping.proof]
    except AuthenticationFailed as error:
        answer, text = "refused", str(error)
    except ConnectorError as error:
        answer, text = "failed", str(error)
    milliseconds = round((time.perf_counter() - began) * 1000)
    well = answer in _PROOFS
    return {**about, "ok": well, "answer": answer, "milliseconds": milliseconds, "says": text}
