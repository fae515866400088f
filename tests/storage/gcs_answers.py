"""Requests and responses of the Google Cloud Storage sandbox, in a form that tests compare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moorage.domain.http.requests import Response
from moorage.testing.sandboxes.storage._gcs_documents import error_document
from tests.storage.harnesses import bytes_of

if TYPE_CHECKING:
    from moorage.testing.sandboxes.storage.gcs import GcsSandbox


STEP = 262_144
"""The size of the smallest chunk."""

DATA = bytes_of(3 * STEP + 100)


def spans(gcs_sandbox: GcsSandbox) -> list[str]:
    """Return the byte range of each upload chunk, or `*/*` for a query of the upload's status."""
    reports = (
        request.headers.get("content-range")
        for request in gcs_sandbox.requests
        if request.method == "PUT"
    )
    return [span.removeprefix("bytes ") for span in reports if span is not None]


def usual_answers(count: int) -> list[Any]:
    """Return a script that makes the sandbox handle the given number of requests normally."""
    return [None] * count


def refusal(status: int, reason: str = "other", message: str = "No.") -> Response:
    """Return a response in which Google refuses a request."""
    return Response(
        status, {"Content-Type": "application/json"}, error_document(status, reason, message)
    )
