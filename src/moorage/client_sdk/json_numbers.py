"""Reading and writing of JSON with exact decimal numbers instead of floats."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from moorage.domain.values.json_text import is_list, is_object, refuse_constant
from moorage.errors import InvalidData


def exact_json(body: bytes) -> Any:
    """Parse a JSON string, with each decimal number as a Decimal.

    Raises:
        ValueError: the string is not JSON, or has a number that is too large for a Decimal.
        RecursionError: the string is nested too deeply.
    """
    text = body.decode(json.detect_encoding(body))
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=refuse_constant)
    except InvalidOperation:
        pass
    raise ValueError


def json_bytes(value: Any) -> bytes:
    """Return a value as compact JSON.

    Raises:
        InvalidData: the value is nested too deeply, or cannot be written as JSON.
    """
    try:
        return _text(value).encode()
    except (RecursionError, TypeError, ValueError):
        pass
    raise InvalidData(
        "The content of the request cannot be written as JSON.",
        field="body",
        remedy="Use only classes of the client, texts, integers and Decimals.",
    )


def _text(value: Any) -> str:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError
        return str(value)
    if is_object(value):
        if not all(isinstance(name, str) for name in value):
            raise TypeError
        members = (f"{json.dumps(name)}:{_text(value[name])}" for name in value)
        return f"{{{','.join(members)}}}"
    if is_list(value):
        return f"[{','.join(map(_text, value))}]"
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
