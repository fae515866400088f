"""A Postman collection (version 2.1) of the sent requests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from moorage.exporting.described_requests import Slot, variable_in_braces

if TYPE_CHECKING:
    from moorage.exporting.described_requests import DescribedRequest, Description, Pairs

_SCHEMA: Final = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
_FORM: Final = "application/x-www-form-urlencoded"


def postman(description: Description, name: str = "moorage") -> dict[str, Any]:
    """Return the collection, with a folder of requests for each account and service."""
    owners = dict.fromkeys(request.owner for request in description.sent)
    return {
        "info": {"name": name, "schema": _SCHEMA, "description": _name_in_words(description)},
        "item": [
            {
                "name": owner,
                "item": [_item(request) for request in description.sent if request.owner == owner],
            }
            for owner in owners
        ],
        "variable": [
            {"key": key, "value": value, "type": "string"}
            for key, value in description.variables.items()
        ],
    }


def _name_in_words(description: Description) -> str:
    text = (
        "Requests that moorage sends, recorded at sandboxes. Fill in the variables without values."
    )
    missing_accounts = [
        f"{name} is not here: {reason}" for name, reason in description.silent.items()
    ]
    return "\n".join((text, *missing_accounts))


def _item(sent: DescribedRequest) -> dict[str, Any]:
    request: dict[str, Any] = {
        "method": sent.method,
        "header": _pairs(sent.headers),
        "url": _url(sent),
    }
    if sent.media == _FORM:
        request["body"] = {"mode": "urlencoded", "urlencoded": _pairs(sent.body)}
    elif sent.media:
        text = sent.body if isinstance(sent.body, str) else json.dumps(sent.body, indent=2)
        request["body"] = {"mode": "raw", "raw": text}
    return {"name": f"{sent.use}: {sent.method} {sent.template}", "request": request}


def _pairs(pairs: Pairs) -> list[dict[str, str]]:
    return [{"key": name, "value": value} for name, value in pairs]


def _url(sent: DescribedRequest) -> str:
    path = "".join(
        variable_in_braces(part.variable) if isinstance(part, Slot) else part for part in sent.path
    )
    query = "&".join(f"{quote(name)}={_json_text(value)}" for name, value in sent.query)
    return f"{variable_in_braces(sent.server)}{path}{f'?{query}' if query else ''}"


def _json_text(value: str) -> str:
    return quote(value, safe="{}:/,")
