"""`flask moorage …`: what an operator or a timer does with this application's calls to vendors."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click
from flask.cli import AppGroup, with_appcontext

from moorage import ConnectorError, StorageUnavailable
from moorage.cli import main
from moorage.hub.worker import stopping, work
from moorage_flask import worker
from moorage_flask.checks import findings
from moorage_flask.current import current_moorage

if TYPE_CHECKING:
    from moorage.hub.inbox import Handled
    from moorage.hub.outbox import Delivered

_UNWELL = 1


class _Group(AppGroup):
    """Commands of ours, and every other one as moorage's own command line has it."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or _passed_on(cmd_name)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ConnectorError as error:
            failure = click.ClickException(str(error))
        raise failure


def commands() -> AppGroup:
    """The group `moorage`, for one application."""
    group = _Group(
        "moorage",
        help="Look after this application's calls to vendors.",
        epilog="Besides: whatever `moorage --help` lists, with this application's configuration.",
    )
    for command in (migrate, check, deliver, tidy, subject):
        group.add_command(command)
    return group


def _passed_on(name: str) -> click.Command:
    """A command of moorage's, with the configuration and the store of this application."""

    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    @with_appcontext
    def run(words: tuple[str, ...]) -> None:
        sys.exit(main([name, *words], host=current_moorage.as_host()))

    settings = {"ignore_unknown_options": True, "help_option_names": list[str]()}
    return click.command(name, context_settings=settings)(run)


@click.command
@with_appcontext
def migrate() -> None:
    """Make the tables and files that are missing."""
    current_moorage.migrate()
    click.echo("The tables are there.")


@click.command
@with_appcontext
def check() -> None:
    """Name what is amiss with the settings, without sending anything."""
    found = findings(current_moorage.here)
    for one in found:
        click.echo(str(one))
    if any(one.severe for one in found):
        sys.exit(_UNWELL)
    if not found:
        click.echo("Nothing is amiss.")


@click.command
@click.option("--once", is_flag=True, help="Do what is due, and end.")
@click.option("--pause", default=1.0, show_default=True, help="Seconds, when nothing is due.")
@click.option("--limit", default=100, show_default=True, help="How many of each, with --once.")
@with_appcontext
def deliver(*, once: bool, pause: float, limit: int) -> None:
    """Handle webhooks and make calls that were written down, until told to stop."""
    moored = current_moorage.here
    if once:
        _tell(*worker.deliver(moored, limit=limit))
        return
    with stopping() as stop:
        click.echo("Working; SIGTERM or Ctrl-C ends it.")
        steps = worker.steps(moored, 1)
        work(*steps, stop=stop, pause=pause, tell=_tell, trouble=_trouble)


@click.command
@with_appcontext
def tidy() -> None:
    """Forget what is older than the settings' KEEP says, in days; for a timer."""
    click.echo(f"{worker.tidy(current_moorage.here)} forgotten.")


@click.group
def subject() -> None:
    """Hand out or erase what is kept of one person or thing."""


_tenant = click.option("--tenant", is_flag=True, help="NAME is a tenant.")


@subject.command
@click.argument("name")
@_tenant
@with_appcontext
def export(name: str, *, tenant: bool) -> None:
    """Print what is kept of NAME, as JSON."""
    click.echo(current_moorage.subjects.export(**_whose(name, tenant=tenant)))


@subject.command
@click.argument("name")
@_tenant
@click.confirmation_option(prompt="Erase it for good, what is still to be done included?")
@with_appcontext
def erase(name: str, *, tenant: bool) -> None:
    """Erase what is kept of NAME."""
    gone = current_moorage.subjects.erase(**_whose(name, tenant=tenant))
    click.echo(
        f"erased: {gone.log} calls, {gone.inbox} webhooks, {gone.outbox} not yet made,"
        f" {gone.credentials} credentials."
    )


def _whose(name: str, *, tenant: bool) -> dict[str, str]:
    return {"tenant" if tenant else "subject": name}


def _trouble(error: StorageUnavailable) -> None:
    click.echo(f"Waiting: {error}", err=True)


def _tell(*rounds: Handled | Delivered) -> None:
    done = sum(one.done for one in rounds)
    click.echo(f"{done} done, {sum(map(len, rounds)) - done} not.")
