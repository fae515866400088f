"""A WSGI application whose HTTP client was used before the server forked its workers."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from moorage.domain.http.requests import Timeouts
from tests.adapters.http_forking import PATIENT, SECONDS_BOUND, outcome
from tests.support.http_clients import DrivenClient

if TYPE_CHECKING:
    from collections.abc import Callable

URL = os.environ["MOORAGE_TEST_VENDOR"]
driven_client = DrivenClient(os.environ["MOORAGE_TEST_CLIENT"])
outcome(driven_client, URL, "/preloaded", PATIENT)


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> list[bytes]:
    """Call the vendor over HTTP, and answer with the outcome of the call."""
    path = environ["PATH_INFO"]
    timeouts = Timeouts(total=SECONDS_BOUND) if path == "/silent" else PATIENT
    body = json.dumps(outcome(driven_client, URL, path, timeouts)).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
