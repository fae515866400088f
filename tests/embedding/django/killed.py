"""A Django project that runs in its own process, which the tests kill.

Arguments: a database as JSON, the file to append calls to, and a number of calls. The process
commits that many calls, opens another transaction and kills itself inside it. Without a number it
delivers calls until it is killed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import django
from django.conf import settings


def main(database: str, path: str, calls: str = "") -> None:
    """Run as the web application or as the worker."""
    settings.configure(
        DATABASES={"default": json.loads(database)},
        INSTALLED_APPS=["moorage_django"],
        USE_TZ=True,
        MOORAGE={"CONFIGURATION": {"version": 1}},
    )
    django.setup()
    from django.db import transaction  # noqa: PLC0415 - models are ready by now

    from moorage import Outbox, Request  # noqa: PLC0415 - models are ready by now
    from moorage_django.entries import OrmOutbox  # noqa: PLC0415 - models are ready by now
    from tests.entries.killed import hub  # noqa: PLC0415 - models are ready by now

    outbox = Outbox(OrmOutbox())
    if not calls:
        shop = hub(Path(path))
        while True:
            outbox.deliver(shop, limit=1_000)
    with transaction.atomic():
        for number in range(int(calls)):
            order = f"order-{number // 10 % 5}" if number % 10 == 0 else None
            outbox.put_request("shop", Request.post("/orders", json=number), order=order)
    with transaction.atomic():
        outbox.put_request("shop", Request.post("/orders", json="open"))
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
