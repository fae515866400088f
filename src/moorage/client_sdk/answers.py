"""Functions that read the results of operations from HTTP answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.client_sdk.json_numbers import exact_json
from moorage.client_sdk.values import read_value
from moorage.domain.resilience.classify import unreadable_answer_error
from moorage.errors import InvalidData, VendorRejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.client_sdk.limits import Limit
    from moorage.domain.http.requests import Response

_NOT_MODIFIED: Final = 304


def json_answer(kind: Any, *limits: Limit, checks: bool = False) -> Callable[[Response], Any]:
    """Return a function that reads a value of a type from a JSON answer.

    An empty body is read as null. The function raises `VendorFailed` for an answer that does not
    fit the type, and `VendorRejected` for the answer 304 to a condition such as If-None-Match. JSON
    that does not fit the type is not requested again, and no failure for the circuit.

    Args:
        kind: the type of the result.
        limits: limits of the result.
        checks: True to check limits and to refuse unknown values of enumerations.
    """

    def read(response: Response) -> Any:
        if response.status == _NOT_MODIFIED:
            raise VendorRejected(
                f"The value has not changed (HTTP {_NOT_MODIFIED}), so the answer does not contain"
                " it.",
                status=_NOT_MODIFIED,
                response=response,
                remedy="Use the value that you have, or repeat the call without the condition.",
            )
        problem = "is not JSON"
        try:
            value = exact_json(response.body) if response.body.strip() else None
            return read_value(kind, value, *limits, checks=checks)
        except InvalidData as error:
            problem = f"does not fit the description of the API: {error.message.rstrip('.')}"
        except (RecursionError, ValueError):
            pass
        raise unreadable_answer_error(response, problem=problem)

    return read


def text_answer(response: Response) -> str:
    """Return the text of an answer."""
    return response.text


def binary_answer(response: Response) -> bytes:
    """Return the bytes of an answer."""
    return response.body


def no_answer(_: Response) -> None:
    """Return None, because the OpenAPI description defines no body for this response."""
