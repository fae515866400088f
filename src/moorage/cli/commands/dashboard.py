"""`moorage dashboard`: serve the operations page."""

from __future__ import annotations

import getpass
import ipaddress
import os
import secrets
import time
from contextlib import ExitStack
from typing import Final

from moorage.cli.answer import CommandResult
from moorage.cli.commands.entries import InboxPlace, OutboxPlace, opened_inbox, opened_outbox
from moorage.cli.context import Context
from moorage.cli.numbers import Count, Port
from moorage.cli.places import open_hub
from moorage.dashboard import ALL_ACTS, Dashboard, DashboardApp, Person
from moorage.dashboard.gate import Gate, members_of
from moorage.dashboard.server import Server
from moorage.domain.state.sealing import KeyRing
from moorage.errors import ConfigurationError
from moorage.hub.audit import AuditTrail
from moorage.wiring.store_urls import open_audit, open_log, open_metrics

_PORT: Final = 8741


def dashboard(
    *,
    host: str = "127.0.0.1",
    port: Port = _PORT,
    outbox: str | None = None,
    inbox: str | None = None,
    log: str | None = None,
    audit: str | None = None,
    people_env: str | None = None,
    remote: bool = False,
    read_only: bool = False,
    four_eyes: bool = True,
    count: Count | None = None,
    context: Context,
) -> CommandResult:
    """Serve the operations page on this machine; Ctrl-C ends it.

    The command prints a link that works once. Where several people use the page, they log in with
    the names and passwords of --people-env.

    Args:
        host: the address to listen on.
        port: the port; 0 for any free port.
        outbox: the URL of the outbox.
        inbox: the URL of the inbox.
        log: the URL of the integration log; by default the configured one.
        audit: the URL of the audit trail that records every act, in place of the configured one;
            sealed with MOORAGE_KEYS if it is set.
        people_env: the environment variable with the people, as name:act:password or
            name:view:password, with spaces between them.
        remote: allow an address of --host that other machines reach; needs --people-env.
        read_only: show everything and allow no act.
        four_eyes: require a second person to confirm how a payment is closed.
        count: end after this number of connections.
        context: the options that all commands share.
    """
    _check_reach(host, people_env, remote=remote)
    context.state()  # refuses a store that no other process shares
    with ExitStack() as stack:
        trail = None
        if audit is not None:
            keys = KeyRing.from_environment(os.environ) if os.environ.get("MOORAGE_KEYS") else None
            trail = AuditTrail(stack.enter_context(open_audit(audit)), keys=keys)
        hub, configured = stack.enter_context(open_hub(context, None, complete=False, audit=trail))
        url = log or configured.log
        shown_log = None
        if url is not None and url != "memory:":
            shown_log = stack.enter_context(open_log(url))
        shown_outbox = shown_inbox = None
        if outbox is not None:
            place = OutboxPlace(store=outbox)
            shown_outbox, _ = stack.enter_context(opened_outbox(context, place, audit=hub.audit))
        if inbox is not None:
            shown_inbox = stack.enter_context(
                opened_inbox(context, InboxPlace(store=inbox), hub=hub)
            )
        figures = None
        if configured.metrics is not None and configured.metrics != "memory:":
            figures = stack.enter_context(open_metrics(configured.metrics))
        server = stack.enter_context(Server(host, port))
        gate = _gate(server, people_env, read_only=read_only, local=not remote)
        page = Dashboard(
            hub,
            secret=secrets.token_urlsafe(32),
            outbox=shown_outbox,
            inbox=shown_inbox,
            log=shown_log,
            four_eyes=four_eyes,
            metrics=figures,
        )
        server.set_app(DashboardApp(page, gate.identify))
        base = f"http://{_address(host)}:{server.server_port}/"
        context.print_progress(
            f"The operations page is at {base if people_env else base + '?token=' + gate.token}"
        )
        served_connections = 0
        while count is None or served_connections < count:
            server.handle_request()
            served_connections += 1
    return CommandResult({"connections": served_connections}, [f"{served_connections} connections"])


def _check_reach(host: str, people_env: str | None, *, remote: bool) -> None:
    """Refuse to serve other machines without --remote and the people who may sign in."""
    try:
        is_local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = False
    if not is_local and not (remote and people_env is not None):
        raise ConfigurationError(
            f"Other machines could open the page at {host}.",
            path="--host",
            remedy="Use 127.0.0.1; or pass --remote and --people-env, and serve the page over"
            " HTTPS through a reverse proxy.",
        )


def _gate(server: Server, people_env: str | None, *, read_only: bool, local: bool) -> Gate:
    port = server.server_port
    names = ("127.0.0.1", "localhost", "[::1]")
    hosts = [f"{name}:{port}" for name in names] if local else []
    if people_env is None:
        guest = Person(_user(), ALL_ACTS)
        return Gate(time.monotonic, guest=guest, hosts=hosts, read_only=read_only)
    members = members_of(os.environ.get(people_env, ""))
    return Gate(time.monotonic, members=members, hosts=hosts, read_only=read_only)


def _address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # pragma: no cover - only where the user has no name
        return "operator"
