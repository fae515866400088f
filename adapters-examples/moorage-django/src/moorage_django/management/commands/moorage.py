"""`manage.py moorage …`: moorage's commands with this project's configuration."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Any, Final

from django.core.management.base import BaseCommand, CommandError

from moorage import ConnectorError, StorageUnavailable
from moorage.cli import main
from moorage.cli.host import Host
from moorage.hub.worker import stopping, work
from moorage_django import stores, subjects, worker
from moorage_django.apps import SCHEME
from moorage_django.runtime import process
from moorage_django.settings import project_settings

if TYPE_CHECKING:
    from argparse import ArgumentParser

_MOST_AT_ONCE: Final = 100
_OWN: Final = ("deliver", "export", "erase", "housekeep")


class Command(BaseCommand):
    """Runs this package's commands, and passes all others to moorage's command line."""

    help = (
        "Manage the calls to vendors with deliver, export, erase and housekeep. All other"
        " commands of `moorage`, such as check, work too."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the command's arguments."""
        commands: Any = parser.add_subparsers(dest="command", required=True, metavar="command")
        delivering = commands.add_parser(
            "deliver", help="handle webhooks and make stored calls until Ctrl-C or SIGTERM"
        )
        delivering.add_argument("--once", action="store_true", help="only what is due now")
        delivering.add_argument(
            "--at-once", type=_at_once, default=1, help="number of concurrent calls, up to 100"
        )
        delivering.add_argument("--pause", type=float, default=1.0, help="seconds when idle")
        for name, summary in (
            ("export", "print all stored data about a person or tenant, as JSON"),
            ("erase", "erase all stored data about a person or tenant"),
        ):
            owner_parser = commands.add_parser(name, help=summary)
            owner_parser.add_argument("--subject")
            owner_parser.add_argument("--tenant")
        commands.add_parser("housekeep", help="delete data that is older than the settings allow")

    def run_from_argv(self, argv: list[str]) -> None:
        """Run this package's commands through Django, and all others through moorage."""
        words = argv[2:]
        if not words or words[0].startswith("-") or words[0] in _OWN:
            super().run_from_argv(argv)
            return
        sys.exit(_passed_on(words))

    def handle(self, *_: object, **options: Any) -> None:
        """Run a command of this package."""
        try:
            getattr(self, f"_{options['command']}")(options)
        except ConnectorError as error:
            failure = CommandError(str(error))
        else:
            return
        raise failure

    def _deliver(self, options: dict[str, Any]) -> None:
        if options["once"]:
            settled_payments = worker.settle()
            rounds = worker.deliver(at_once=options["at_once"])
            done_entries = sum(value.done for value in rounds)
            other_entries = sum(map(len, rounds)) - done_entries
            self.stdout.write(
                f"{done_entries} done, {other_entries} not, {len(settled_payments)} settled."
            )
            return
        with stopping() as stop:
            self.stdout.write("The worker is running. Press Ctrl-C or send SIGTERM to stop it.")
            self.stdout.flush()
            steps = worker.steps(options["at_once"])
            work(*steps, stop=stop, pause=options["pause"], on_outage=self._trouble)

    def _trouble(self, error: StorageUnavailable) -> None:
        self.stderr.write(f"Waiting: {error}")

    def _export(self, options: dict[str, Any]) -> None:
        self.stdout.write(subjects.export(subject=options["subject"], tenant=options["tenant"]))

    def _erase(self, options: dict[str, Any]) -> None:
        erased_counts = subjects.erase(subject=options["subject"], tenant=options["tenant"])
        self.stdout.write(json.dumps(erased_counts))

    def _housekeep(self, _: dict[str, Any]) -> None:
        self.stdout.write(f"{worker.delete_old_entries()} forgotten.")


def _at_once(text: str) -> int:
    """Convert the command's argument for the number of concurrent calls to an integer."""
    number = int(text)
    if 1 <= number <= _MOST_AT_ONCE:
        return number
    raise ArgumentTypeError(f"give a number from 1 to {_MOST_AT_ONCE}, not {number}")


def _passed_on(words: list[str]) -> int:
    """Run a command of moorage's command line with this project's configuration."""
    options = project_settings()
    process.flush()
    host = Host(
        source=options.configuration,
        environment=options.environment,
        state=stores.store_url(options) or f"{SCHEME}://{options.database}",
        stores=lambda: stores.stored_items(options),
        ports=_ports,
    )
    return main(words, host=host)


def _ports() -> dict[str, Any]:
    """Return this project's ports except the state store, which the command opens."""
    return {name: port for name, port in process.ports().items() if name != "state"}
