"""Calls to Odoo's models by JSON-RPC, and the errors in their responses.

Odoo takes the user's API key in the body of each call. The key is inserted when a call is sent, so
that no log and no stored request contains it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage import vendor_sdk as sdk

if TYPE_CHECKING:
    from collections.abc import Mapping


_PATH: Final = "/jsonrpc"
_ID: Final = 1
_KEY_POSITION: Final = 2
"""The position of the user's key among the arguments of Odoo's method `execute_kw`."""
_EXCEPTIONS: Final[Mapping[str, Any]] = {
    **dict.fromkeys(
        ("AccessDenied", "AccessError", "SessionExpiredException"), sdk.AuthenticationFailed
    ),
    **dict.fromkeys(("UserError", "RedirectWarning", "MissingError"), sdk.VendorRejected),
    **dict.fromkeys(("ValidationError", "ValueError", "TypeError", "KeyError"), sdk.InvalidRequest),
}
"""The class of error for each exception of Odoo, by the last part of its name; for any other
exception it is `VendorFailed`.

Odoo undoes everything that a call did before an exception.
"""
_STATUSES: Final[Mapping[int, Any]] = {
    **dict.fromkeys((401, 403), sdk.AuthenticationFailed),
    429: sdk.RateLimitExceeded,
}


@attrs.frozen
class KeyInBody:
    """Inserts the user's API key into the body of a call."""

    key: sdk.Secret

    def __call__(self, request: sdk.Request) -> sdk.Request:
        """The request with the API key in its body."""
        content: Any = request.body
        body = json.loads(content)
        body["params"]["args"][_KEY_POSITION] = self.key.reveal()
        return request.evolve(body=sdk.encode_json(body))


def classify(_: sdk.Request, response: sdk.Response) -> sdk.ConnectorError | None:
    """The error in a response; Odoo sends errors with a success status."""
    if response.status >= 500 or response.status == 408:
        return None
    error = sdk.error_answer(response).object("error")
    if not error:
        return None
    name = error.text("data.name") or error.text("code")
    words = sdk.masked_words(error.text("data.message") or error.text("message"))
    short_name = (name or "").rpartition(".")[2]
    kind = _EXCEPTIONS.get(short_name) or _STATUSES.get(response.status, sdk.VendorFailed)
    return sdk.refusal(kind, "Odoo", response, short_name or None, words)


def call(
    account: tuple[str, int],
    model: str,
    method: str,
    arguments: list[Any],
    options: Mapping[str, Any] | None = None,
    *,
    repeatable: bool = False,
) -> sdk.Request:
    """The request that calls a method of an Odoo model.

    Args:
        account: name of the database, and id of the user.
        model: name of the model, such as "account.move".
        method: name of the method.
        arguments: positional arguments of the method.
        options: keyword arguments of the method.
        repeatable: True if calling the method twice has the same effect as calling it once.
    """
    values = [*account, None, model, method, arguments, dict(options or {})]
    params = {"service": "object", "method": "execute_kw", "args": values}
    body = {"jsonrpc": "2.0", "method": "call", "id": _ID, "params": params}
    return sdk.Request.post(_PATH, json=body).evolve(idempotent=repeatable)


def result_of(response: sdk.Response) -> Any:
    """The result in the response to a call.

    Raises:
        VendorFailed: the response has no result, or belongs to another call.
    """
    body = sdk.read_answer(response)
    if body.value("id") != _ID or "result" not in body.raw:
        raise sdk.malformed(response, "result")
    return body.value("result")


def records_of(response: sdk.Response) -> list[sdk.Answer]:
    """The records in the response to a call.

    Raises:
        VendorFailed: the result is not a list.
    """
    result = result_of(response)
    if not sdk.is_list(result):
        raise sdk.malformed(response, "result that is a list")
    return [sdk.as_answer(item) for item in result]


def id_of(response: sdk.Response) -> int:
    """The id of the record that a call created.

    Raises:
        VendorFailed: the result is not an id.
    """
    result = result_of(response)
    if type(result) is not int or result < 1:
        raise sdk.malformed(response, "result that is an id")
    return result


async def search_read(
    wire: sdk.Wire,
    account: tuple[str, int],
    model: str,
    condition: list[Any],
    fields: tuple[str, ...],
) -> list[sdk.Answer]:
    """The request for the records of a model that match a condition, in id order."""
    options = {"fields": list(fields), "order": "id"}
    request = call(account, model, "search_read", [condition], options, repeatable=True)
    return records_of(await wire.send(request))
