"""The results of AWS Lambda functions."""

from __future__ import annotations

import json
from binascii import a2b_base64
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.frozen_values import field, frozen
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.domain.http.requests import Response

LARGEST_EVENT: Final = 6 * 1024 * 1024
"""The largest number of bytes of an event for a function whose result is awaited."""

LARGEST_QUEUED_EVENT: Final = 1024 * 1024
"""The largest number of bytes of an event that Lambda queues."""


@frozen(kw_only=True)
class LambdaResult:
    """The result of an invocation of a Lambda function.

    Attributes:
        payload: the document that the function returned; of a function that failed, the document
            with its error; None if the event was queued.
        error: "Handled" or "Unhandled" if the function failed; None otherwise.
        log: the last 4 KB of the function's log; empty unless it was asked for.
        request_id: the number of the invocation in the function's logs.
        version: the version of the function that ran; None if the event was queued.
    """

    payload: Any = field(default=None, repr=False)
    error: str | None = None
    log: str = field(default="", repr=False)
    request_id: str | None = None
    version: str | None = None

    @property
    def is_success(self) -> bool:
        """True if the function did not fail."""
        return self.error is None


def event_of(payload: object, most: int) -> bytes:
    """Return the bytes of a Lambda function's event for a payload.

    Args:
        payload: bytes with a JSON document, or a value to write as JSON.
        most: the largest number of bytes.

    Raises:
        InvalidData: the payload is not JSON, or is too large.
    """
    try:
        event = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        json.loads(event)
    except (TypeError, ValueError, RecursionError):
        raise InvalidData(
            "The payload of a Lambda function is not a JSON document.",
            field="payload",
            remedy="Pass None, booleans, numbers, texts, lists and dictionaries, or JSON as bytes.",
        ) from None
    if len(event) > most:
        raise InvalidData(
            f"The payload of a Lambda function has {len(event):,} bytes, but at most {most:,}"
            " are allowed.",
            field="payload",
            remedy="Store the data in a storage such as S3, and send its name.",
        )
    return event


def result_of(answer: Response, *, is_queued: bool) -> LambdaResult:
    """Return the result in a response of Lambda.

    Raises:
        ValueError: the response does not have the form that Lambda documents.
    """
    request_id = answer.header("x-amzn-requestid")
    if is_queued:
        return LambdaResult(request_id=request_id)
    return LambdaResult(
        payload=json.loads(answer.body or b"null"),
        error=answer.header("x-amz-function-error"),
        log=_log_of(answer),
        request_id=request_id,
        version=answer.header("x-amz-executed-version"),
    )


def _log_of(answer: Response) -> str:
    """Return the end of the log in Lambda's response; "" if it cannot be read."""
    try:
        return a2b_base64(answer.header("x-amz-log-result") or "").decode("utf-8", "replace")
    except ValueError:
        return ""
