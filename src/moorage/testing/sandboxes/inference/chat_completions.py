"""The base of sandboxes for vendors with Chat Completions."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final

from moorage.testing.sandboxes._fields import problems, typed, words
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.inference.base import (
    ModelSandbox,
    event_stream,
    parts_of,
    texts_in,
    tokens_of,
    vector_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import Refusal, SandboxRequest
    from moorage.testing.sandboxes.inference.base import SandboxTurn

_CREATED: Final = 1_764_500_000
_CALL: Final = {
    **typed(str, "id! type"),
    "function!": {"name!": str, "arguments!": str},
}
MESSAGE: Final[dict[str, Any]] = {
    "role!": words("system developer user assistant tool"),
    "content": (str, list, type(None)),
    "tool_call_id": str,
    "tool_calls": [_CALL],
    "name": str,
}
TOOL: Final = {
    "type": words("function"),
    "function!": {**typed(str, "name! description"), "parameters": dict, "strict": bool},
}
FORMAT: Final = {
    "type!": words("text json_object json_schema"),
    "json_schema": {"name!": str, "schema": dict, "strict": bool},
}


class CompletionsSandbox(ModelSandbox, ABC):
    """A sandbox with Chat Completions and embeddings.

    Attributes:
        completion_fields: the fields of a request for a completion, by name.
        embedding_fields: the fields of a request for embeddings, by name.
        tokens_field: name of the field with the longest answer.
        dimensions_field: name of the field with the length of vectors.
        dimensions: length of vectors by default.
    """

    completion_fields: ClassVar[Mapping[str, Any]]
    embedding_fields: ClassVar[Mapping[str, Any]]
    tokens_field: ClassVar[str]
    dimensions_field: ClassVar[str]
    dimensions: ClassVar[int] = 8

    @abstractmethod
    def refuse(self, status: int, message: str, code: str | None = None) -> Refusal:
        """Return the vendor's error response as an exception."""

    def finish_reason(self, turn: SandboxTurn) -> str:
        """Return the vendor's word for the reason why the model stopped."""
        if turn.tool is not None:
            return "tool_calls"
        return "length" if turn.is_cut else "stop"

    def usage_details(self) -> dict[str, Any]:
        """Return the vendor's further fields of the usage."""
        return {}

    def unknown(self, request: SandboxRequest) -> Response:
        """Return the response to a request that matches no route."""
        return self.refuse(404, f"There is no {request.path}.").response

    def unreadable(self, problem: str) -> Response:
        """Return the response to a request that lacks a value or has one of a wrong type."""
        return self.refuse(400, problem).response

    def check_access(self, request: SandboxRequest) -> None:
        """Check a request's API key."""
        if request.bearer() != self.api_key:
            raise self.refuse(401, "Incorrect API key provided.", "invalid_api_key")

    def list_models(self, _: SandboxRequest) -> Response:
        """Return the list of models."""
        models = [
            {"id": name, "object": "model", "created": _CREATED, "owned_by": "sandbox"}
            for name in sorted(self.models)
        ]
        return reply({"object": "list", "data": models})

    def complete(self, request: SandboxRequest) -> Response:
        """Create a completion of a conversation."""
        body = self._checked_body(request, self.completion_fields)
        texts = [text for item in body["messages"] for text in texts_in(item.get("content"))]
        last_message = body["messages"][-1]
        is_of_user = last_message["role"] == "user"
        turn = self.write_turn(
            " ".join(texts_in(last_message.get("content"))) if is_of_user else "",
            tools={
                tool["function"]["name"]: tool["function"].get("parameters")
                for tool in body.get("tools", ())
            },
            schema=body.get("response_format", {}).get("json_schema", {}).get("schema"),
            max_tokens=body.get(self.tokens_field),
        )
        choice = {
            "index": 0,
            "finish_reason": self.finish_reason(turn),
            "message": self._message(turn),
            **self.choice_details(),
        }
        tokens_in, tokens_out = tokens_of(*texts), tokens_of(turn.text)
        completion = {
            "id": f"cmpl-{self.number():04}",
            "object": "chat.completion",
            "created": _CREATED,
            "model": body["model"],
            "choices": [choice],
            "usage": {
                "prompt_tokens": tokens_in,
                "completion_tokens": tokens_out,
                "total_tokens": tokens_in + tokens_out,
                **self.usage_details(),
            },
        }
        return self._streamed(completion, choice) if body.get("stream") else reply(completion)

    def usage_chunks(self, usage: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the fields of the chunk that ends the answer, and of the chunk with the usage."""
        return [{"usage": usage}]

    def _streamed(self, completion: dict[str, Any], choice: dict[str, Any]) -> Response:
        """Return a completion as chunks: each word of the text, and each tool call in parts."""
        message: dict[str, Any] = choice["message"]
        deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
        for name in ("content", "refusal"):
            deltas += [{name: part} for part in parts_of(message.get(name) or "")]
        for index, call in enumerate(message.get("tool_calls", ())):
            arguments: str = call["function"]["arguments"]
            head = {**call, "function": {**call["function"], "arguments": ""}}
            deltas.append({"tool_calls": [{"index": index, **head}]})
            deltas += [
                {"tool_calls": [{"index": index, "function": {"arguments": part}}]}
                for part in parts_of(arguments)
            ]
        chunk = {
            "id": completion["id"],
            "object": "chat.completion.chunk",
            "created": completion["created"],
            "model": completion["model"],
        }
        choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
        chunks = [{**chunk, "choices": [item]} for item in choices]
        reason = choice["finish_reason"]
        end: dict[str, Any] = {"index": 0, "delta": {}, "finish_reason": reason}
        first, *others = self.usage_chunks(completion["usage"])
        chunks.append({**chunk, "choices": [end], **first})
        chunks += [{**chunk, "choices": [], **fields} for fields in others]
        return event_stream(*((None, item) for item in chunks), (None, "[DONE]"))

    def choice_details(self) -> dict[str, Any]:
        """Return the vendor's further fields of a choice."""
        return {}

    def message_details(self, turn: SandboxTurn) -> dict[str, Any]:  # noqa: ARG002 - to override
        """Return the vendor's further fields of a message."""
        return {}

    def embed(self, request: SandboxRequest) -> Response:
        """Create the vectors of texts."""
        body = self._checked_body(request, self.embedding_fields)
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        if not texts or not all(isinstance(text, str) and text for text in texts):
            raise self.refuse(400, "'input' cannot be an empty string.")
        dimensions = body.get(self.dimensions_field, self.dimensions)
        items = [
            {"object": "embedding", "index": number, "embedding": vector_of(text, dimensions)}
            for number, text in enumerate(texts)
        ]
        tokens = tokens_of(*texts)
        return reply(
            {
                "object": "list",
                "model": body["model"],
                "data": items,
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
                **self.embedding_details(tokens),
            }
        )

    def embedding_details(self, tokens: int) -> dict[str, Any]:  # noqa: ARG002 - to override
        """Return the vendor's further fields of a list of vectors for this number of tokens."""
        return {}

    def _message(self, turn: SandboxTurn) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": turn.text or None,
            **self.message_details(turn),
        }
        if turn.tool is not None:
            arguments = json.dumps(turn.arguments)
            function = {"name": turn.tool, "arguments": arguments}
            call = {"id": f"call{self.number():05}", "type": "function", "function": function}
            message["tool_calls"] = [call]
        return message

    def _checked_body(self, request: SandboxRequest, fields: Mapping[str, Any]) -> Any:
        """Return the body of a request, if its fields and its model are known."""
        body = request.json()
        for path, name, kind in problems(fields, body):
            raise self.refuse(400, f"{path}: {name}: {kind}")
        if body["model"] not in self.models:
            raise self.refuse(
                404, f"The model `{body['model']}` does not exist.", "model_not_found"
            )
        tool_call_ids: set[str] = set()
        for message in body.get("messages", ()):
            tool_call_ids.update(call["id"] for call in message.get("tool_calls", ()))
            if message["role"] == "tool" and message.get("tool_call_id") not in tool_call_ids:
                raise self.refuse(400, "A tool message must follow a message with its tool call.")
        return body
