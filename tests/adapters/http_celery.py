"""A Celery application whose HTTP client was created and used before its workers were forked.

The environment variable `MOORAGE_TEST_HOME` is the folder of the queue, and `MOORAGE_TEST_CLIENT`
names the manager's HTTP client; if it is empty, the default client is used.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from time import monotonic
from typing import Any

from moorage import ConnectorError, ConnectorManager, Request, Service
from moorage.testing.kits.checks import StallMeter
from tests.adapters.celery_queue import application
from tests.adapters.http_forking import SECONDS_BOUND


def client() -> Any:
    """Return the HTTP client that the task names."""
    module, _, kind = os.environ["MOORAGE_TEST_CLIENT"].partition(":")
    return getattr(import_module(module), kind)() if kind else None


def call(path: str) -> dict[str, Any]:
    """Return how a call ended, and its duration, including delays of a busy machine."""
    timeout = SECONDS_BOUND if path in {"/silent", "/dripping"} else 120.0
    start_time = monotonic()
    with StallMeter() as control:
        try:
            outcome = manager.call("vendor", Request.get(path), timeout=timeout).text
        except ConnectorError as error:
            outcome = type(error).__name__
        duration = monotonic() - start_time
    claim_lost = control.lost
    return {
        "path": path,
        "outcome": outcome,
        "took": duration,
        "lost": claim_lost,
        "pid": os.getpid(),
    }


app = application(Path(os.environ["MOORAGE_TEST_HOME"]))
manager = ConnectorManager(
    [Service("vendor", os.environ["MOORAGE_TEST_VENDOR"], circuit=None)], http=client()
)
call("/preloaded")
ask = app.task(name="ask")(call)
