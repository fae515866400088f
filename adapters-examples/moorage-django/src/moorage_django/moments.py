"""The current time by the clock of a database server."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import connections

from moorage_django.errors import translating_errors

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)

_NOW: Final = {
    "postgresql": "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
    "mysql": "SELECT TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))",
}
"""The expressions for a server's time, which do not depend on its time zone."""


def micros_in(alias: str, *, besides: str = "") -> int:
    """Return the current time of an alias's database, in microseconds since 1970.

    A server is queried; a file has the time of its machine.

    Args:
        alias: the database alias.
        besides: further expressions that the statement selects.
    """
    connection = connections[alias]
    statement = _NOW.get(connection.vendor)
    if statement is None:
        return time.time_ns() // 1_000
    with connection.cursor() as cursor:
        cursor.execute(statement + besides)
        current_micros, *_ = cursor.fetchone()
    return int(current_micros)


@translating_errors
def now_in(alias: str) -> datetime:
    """Return the current time of an alias's database."""
    return EPOCH + micros_in(alias) * MICROSECOND
