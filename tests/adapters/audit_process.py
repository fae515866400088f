"""A process that waits for a line on standard input and then appends records to an audit trail."""

from __future__ import annotations

import sys

from moorage.hub.audit import AuditTrail
from moorage.wiring.store_urls import open_audit


def main(url: str, prefix: str, name: str, number: str) -> None:
    """Append the records as soon as a line arrives on standard input.

    Args:
        url: the URL of the store.
        prefix: the prefix of the store's tables.
        name: the actor that the records name.
        number: the number of records to append.
    """
    options = {} if url.startswith("file:") else {"prefix": prefix, "timeout": 60.0}
    store = open_audit(url, **options)
    trail = AuditTrail(store)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    try:
        for number_ in range(int(number)):
            trail.record("note", f"{name}/{number_}", actor=name)
    finally:
        store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
