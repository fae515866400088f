"""`flask moorage …`: the commands of this application for operators and timers."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from flask.cli import AppGroup, with_appcontext

from moorage import ConnectorError, StorageUnavailable
from moorage.cli import main
from moorage.hub.inbox import HandledWebhooks
from moorage.hub.outbox import DeliveredCalls
from moorage.hub.worker import stopping, work
from moorage_flask import worker
from moorage_flask.checks import findings
from moorage_flask.current import current_moorage

if TYPE_CHECKING:
    from moorage_flask.worker import Round

_MOST_AT_ONCE = 1_000
_UNWELL = 1


class _Group(AppGroup):
    """A command group with this package's commands and all others of moorage's command line."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or _passed_on(cmd_name)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ConnectorError as error:
            failure = click.ClickException(str(error))
        raise failure


def commands() -> AppGroup:
    """Return the command group `moorage` of an application."""
    group = _Group(
        "moorage",
        help="Manage this application's calls to vendors.",
        epilog="All commands of `moorage --help` work too, with this application's configuration.",
    )
    for command in (migrate, check, deliver, delete_old_entries, subject):
        group.add_command(command)
    return group


def _passed_on(name: str) -> click.Command:
    """Return a moorage command-line command with this application's configuration and store."""

    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    @with_appcontext
    def run(words: tuple[str, ...]) -> None:
        sys.exit(main([name, *words], host=current_moorage.as_host()))

    settings = {"ignore_unknown_options": True, "help_option_names": list[str]()}
    return click.command(name, context_settings=settings)(run)


@click.command
@with_appcontext
def migrate() -> None:
    """Create missing tables and files."""
    current_moorage.migrate()
    click.echo("The tables exist.")


@click.command
@with_appcontext
def check() -> None:
    """Print problems of the settings, without sending anything."""
    problems = findings(current_moorage.here)
    for finding in problems:
        click.echo(str(finding))
    if any(single_finding.severe for single_finding in problems):
        sys.exit(_UNWELL)
    if not problems:
        click.echo("No problems were found.")


@click.command
@click.option("--once", is_flag=True, help="Do everything that is due, then stop.")
@click.option(
    "--pause", default=1.0, show_default=True, help="Seconds to wait when nothing is due."
)
@click.option(
    "--limit", default=100, show_default=True, help="The maximum number of each kind, with --once."
)
@click.option(
    "--at-once",
    type=click.IntRange(1, _MOST_AT_ONCE),
    default=1,
    show_default=True,
    help="The number of concurrent calls.",
)
@with_appcontext
def deliver(*, once: bool, pause: float, limit: int, at_once: int) -> None:
    """Handle webhooks and make stored calls until interrupted."""
    objects = current_moorage.here
    if once:
        _print_summary(*worker.run_once(objects, limit=limit, at_once=at_once))
        return
    with stopping() as stop:
        click.echo("The worker is running. Press Ctrl-C or send SIGTERM to stop it.")
        steps = worker.steps(objects, at_once, at_once)
        work(*steps, stop=stop, pause=pause, on_result=_print_summary, on_outage=_trouble)


@click.command("tidy")
@with_appcontext
def delete_old_entries() -> None:
    """Delete entries older than the number of days in the setting KEEP.

    Run this command from a timer.
    """
    click.echo(f"{worker.delete_old_entries(current_moorage.here)} forgotten.")


@click.group
def subject() -> None:
    """Export or erase the data stored about a person or object."""


_tenant = click.option("--tenant", is_flag=True, help="NAME is a tenant.")


@subject.command
@click.argument("name")
@_tenant
@with_appcontext
def export(name: str, *, tenant: bool) -> None:
    """Print the data stored about NAME, as JSON."""
    click.echo(current_moorage.subjects.export(**_owner_options(name, tenant=tenant)))


@subject.command
@click.argument("name")
@_tenant
@click.confirmation_option(
    prompt="Erase the data permanently, including waiting calls and webhooks?"
)
@with_appcontext
def erase(name: str, *, tenant: bool) -> None:
    """Erase the data stored about NAME."""
    erased_counts = current_moorage.subjects.erase(**_owner_options(name, tenant=tenant))
    click.echo(
        f"erased: {erased_counts.log} calls, {erased_counts.inbox} webhooks,"
        f" {erased_counts.outbox} not yet made, {erased_counts.credentials} credentials."
    )


def _owner_options(name: str, *, tenant: bool) -> dict[str, str]:
    return {"tenant" if tenant else "subject": name}


def _trouble(error: StorageUnavailable) -> None:
    click.echo(f"Waiting: {error}", err=True)


def _print_summary(*rounds: Round) -> None:
    entries = [value for value in rounds if isinstance(value, (HandledWebhooks, DeliveredCalls))]
    done_entries, all_entries = sum(value.done for value in entries), sum(map(len, entries))
    settled_payments = sum(map(len, rounds)) - all_entries
    click.echo(
        f"{done_entries} done, {all_entries - done_entries} not, {settled_payments} settled."
    )
