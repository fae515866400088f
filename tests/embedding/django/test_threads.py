"""The threads in which the project uses its databases."""

from __future__ import annotations

from threading import Barrier, Thread, current_thread
from typing import TYPE_CHECKING

from django.db import connection, connections

from moorage_django.threads import gather
from tests.embedding.django.shop import Shop, open_shop

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper


def test_threads_close_their_connections() -> None:
    """A thread that made calls leaves no database connection open.

    The caller keeps its connection.
    """
    both_run = Barrier(2)
    opened: dict[Thread, BaseDatabaseWrapper] = {}

    def step() -> None:
        both_run.wait(60)
        connection.ensure_connection()
        opened[current_thread()] = connections["default"]

    with open_shop(Shop()):
        gather().run_all([step, step], at_once=2)
        kept_connection = opened.pop(current_thread())
        ((other_thread, other_connection),) = opened.items()
        other_thread.join()

        assert other_connection.connection is None
        assert kept_connection.connection is not None
