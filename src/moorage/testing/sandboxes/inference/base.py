"""The base of sandboxes for vendors of language models.

The model has no intelligence. By default it repeats the last text of the user. If that text has the
name of a tool, the model asks for a call of that tool, and if it has the word `refuse`, the model
refuses. With a JSON Schema, it answers with the smallest value of that schema. `say` sets the next
answers. A token has four bytes of text; an answer that is longer than the request allows is cut
off.
"""

from __future__ import annotations

import json
import re
from abc import ABC
from collections import deque
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.http.requests import Response
from moorage.domain.values.frozen_values import frozen
from moorage.domain.values.json_text import is_object
from moorage.testing.sandboxes import base

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_BYTES_OF_TOKEN: Final = 4
_REFUSING_WORD: Final = "refuse"
_REFUSAL: Final = "I cannot help with that."
_SMALLEST_VALUES: Final[Mapping[str, Any]] = {
    "string": "",
    "integer": 0,
    "number": 0,
    "boolean": False,
    "array": [],
    "null": None,
}


@frozen(kw_only=True)
class SandboxTurn:
    """The turn that the sandbox's model writes.

    Attributes:
        text: text of the turn.
        tool: name of the tool that the model asks for; None if it asks for none.
        arguments: arguments of the tool.
        is_cut: True if the text is longer than the request allows.
        is_refused: True if the model refuses.
    """

    text: str = ""
    tool: str | None = None
    arguments: Any = None
    is_cut: bool = False
    is_refused: bool = False


def tokens_of(*texts: str) -> int:
    """Return the number of tokens in these texts; each text has at least one."""
    return sum(1 + len(text.encode()) // _BYTES_OF_TOKEN for text in texts)


def smallest_value(schema: object) -> Any:
    """Return the smallest value that a JSON Schema allows."""
    if not is_object(schema):
        return None
    for keyword in ("const", "default"):
        if keyword in schema:
            return schema[keyword]
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("type") != "object":
        return _SMALLEST_VALUES.get(str(schema.get("type")))
    properties = schema.get("properties", {})
    return {name: smallest_value(properties.get(name)) for name in schema.get("required", ())}


def vector_of(text: str, dimensions: int) -> list[float]:
    """Return a vector of a text; equal texts have equal vectors."""
    digest = sha256(text.encode()).digest()
    return [round(digest[number % len(digest)] / 255 - 0.5, 4) for number in range(dimensions)]


def parts_of(text: str) -> list[str]:
    """Return the parts in which the model writes a text: words with the space after them."""
    return re.findall(r"\S+\s*|\s+", text)


def event_stream(*events: tuple[str | None, object]) -> Response:
    """Return a response with server-sent events, each with its name and its data.

    Data that is no text is sent as JSON. Without a name, an event has only data.
    """
    lines = [
        ("" if name is None else f"event: {name}\n")
        + f"data: {data if isinstance(data, str) else json.dumps(data)}\n\n"
        for name, data in events
    ]
    body = "".join(lines).encode()
    return Response(200, {"Content-Type": "text/event-stream; charset=utf-8"}, body)


class ModelSandbox(base.Sandbox, ABC):
    """A sandbox of a vendor of language models.

    Attributes:
        api_key: credentials that requests must have.
        models: names of the models that the account may use.
        answers: the next texts that the model answers with.
    """

    api_key: str = "sk-sandbox-7f3a"
    models: frozenset[str] = frozenset({"model-large", "model-small", "model-embed"})
    answers: deque[str] = base.state_field(deque)

    def say(self, *texts: str) -> None:
        """Set the texts of the next answers."""
        self.answers.extend(texts)

    def write_turn(
        self,
        user_text: str,
        *,
        tools: Mapping[str, object],
        schema: object,
        max_tokens: int | None,
    ) -> SandboxTurn:
        """Return the model's next turn.

        Args:
            user_text: the last text of the user; empty if the last turn has only results of tools.
            tools: JSON Schemas of the tools' arguments, by the tools' names.
            schema: JSON Schema of the answer; None for a text.
            max_tokens: the longest answer in tokens.
        """
        if self.answers:
            text = self.answers.popleft()
        elif _REFUSING_WORD in user_text:
            return SandboxTurn(text=_REFUSAL, is_refused=True)
        elif schema is not None:
            text = json.dumps(smallest_value(schema))
        else:
            tool = next((name for name in tools if name in user_text), None)
            if tool is not None:
                return SandboxTurn(tool=tool, arguments=smallest_value(tools[tool]))
            text = f"You wrote: {user_text}" if user_text else "The tools have answered."
        most_bytes = (max_tokens or tokens_of(text)) * _BYTES_OF_TOKEN
        is_cut = tokens_of(text) > (max_tokens or tokens_of(text))
        return SandboxTurn(text=text.encode()[:most_bytes].decode(errors="ignore"), is_cut=is_cut)


def texts_in(content: object) -> Sequence[str]:
    """Return the texts of a message, whose content is a text or a list of parts."""
    if isinstance(content, str):
        return [content]
    parts: Any = content or []
    return [part["text"] for part in parts if part["type"] == "text"]
