"""The background work: handles webhooks, sends mail, and looks up payments."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from django.core.management.base import BaseCommand
from django.db import DatabaseError, OperationalError
from django.utils import timezone

from books import vendor_calls
from books.models import HELD, Attempt
from moorage.errors import StorageUnavailable
from moorage.hub.worker import stopping
from moorage_django.worker import deliver

if TYPE_CHECKING:
    from argparse import ArgumentParser

_LOOK_UP_AFTER: Final = timedelta(seconds=30)
"""The time after which an unfinished attempt is looked up, and between two lookups."""
_PAUSE: Final = 0.5


class Command(BaseCommand):
    """Runs the background work until interrupted."""

    help = "Handle webhooks, make stored calls, and look up payments with an unknown outcome."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the option to do the work only once."""
        parser.add_argument(
            "--once", action="store_true", help="do everything that is due, then stop"
        )

    def handle(self, *, once: bool, **_: Any) -> None:
        """Run the command."""
        next_look_up = 0.0
        with stopping() as stop:
            while not stop.is_set():
                deliveries: list[Any] = []
                try:
                    deliveries = deliver()
                    if time.monotonic() >= next_look_up:
                        self._look_up()
                        next_look_up = time.monotonic() + _LOOK_UP_AFTER.total_seconds()
                except (StorageUnavailable, OperationalError) as error:
                    if once:
                        raise
                    self.stderr.write(
                        f"The database is not available ({type(error).__name__}); trying again."
                    )
                if once:
                    return
                if not deliveries:
                    stop.wait(_PAUSE)

    def _look_up(self) -> None:
        latest_begin = timezone.now() - _LOOK_UP_AFTER
        for attempt in Attempt.objects.filter(state__in=HELD, begun_at__lt=latest_begin):
            try:
                vendor_calls.look_up(attempt)
            except OperationalError:
                raise
            except DatabaseError as error:  # one row must not keep the others from being looked up
                reference, problem = attempt.reference, type(error).__name__
                self.stderr.write(
                    f"Payment {reference} could not be stored ({problem}); trying again later."
                )
