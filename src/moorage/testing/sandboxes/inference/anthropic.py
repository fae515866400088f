"""A local sandbox that imitates the Messages API of Anthropic."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from moorage.domain.values.json_text import is_list
from moorage.testing.sandboxes._fields import problems, typed, words
from moorage.testing.sandboxes.base import SandboxRequest, refusal, reply
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.inference.base import (
    ModelSandbox,
    event_stream,
    parts_of,
    texts_in,
    tokens_of,
)

if TYPE_CHECKING:
    from pathlib import Path

    from moorage.domain.http.requests import Response
    from moorage.testing.sandboxes.base import Refusal, Routes

_VERSION: Final = "2023-06-01"
_LARGEST_BODY: Final = 32 * 1024 * 1024
_TOOL: Final = {**typed(str, "name! description"), "input_schema!": dict}
_REQUEST: Final[dict[str, Any]] = {
    "model!": str,
    "max_tokens!": int,
    "messages!": [{"role!": words("user assistant"), "content!": (str, list)}],
    "system": (str, list),
    "metadata": {"user_id": str},
    "output_config": {"format": {"type!": words("json_schema"), "schema!": dict}, "effort": str},
    "service_tier": words("auto standard_only"),
    "stop_sequences": [str],
    "stream": bool,
    "temperature": (int, float),
    "thinking": dict,
    "tool_choice": dict,
    "tools": [_TOOL],
}
_BLOCKS: Final[dict[str, Any]] = {
    "text": {"type!": str, "text!": str},
    "image": {
        "type!": str,
        "source!": {
            "type!": words("base64"),
            "media_type!": words("image/jpeg image/png image/gif image/webp"),
            "data!": str,
        },
    },
    "tool_use": {**typed(str, "type! id! name!"), "input!": dict},
    "tool_result": {
        **typed(str, "type! tool_use_id!"),
        "content": (str, list),
        "is_error": bool,
    },
}


def error_reply(status: int, type_: str, message: str) -> Response:
    """Return an error response in Anthropic's form."""
    error = {"type": type_, "message": message}
    return reply(
        {"type": "error", "error": error, "request_id": "req_018EeWyXxfu5pfWkrYcMdjWG"}, status
    )


def _refusal(status: int, type_: str, message: str) -> Refusal:
    error = {"type": type_, "message": message}
    return refusal({"type": "error", "error": error, "request_id": None}, status)


class AnthropicSandbox(ModelSandbox):
    """A sandbox of Anthropic: messages, and the list of models."""

    hosts = ("api.anthropic.com",)

    def routes(self) -> Routes:
        """The sandbox's routes, by method and path."""
        return {"GET /v1/models": self._list_models, "POST /v1/messages": self._create_message}

    def unknown(self, request: SandboxRequest) -> Response:
        """Return the response to a request that matches no route."""
        return error_reply(404, "not_found_error", f"There is no {request.path}.")

    def unreadable(self, problem: str) -> Response:
        """Return the response to a request that lacks a value or has one of a wrong type."""
        return error_reply(400, "invalid_request_error", problem)

    def check_access(self, request: SandboxRequest) -> None:
        """Check a request's API key and version."""
        if request.headers.get("x-api-key") != self.api_key:
            raise _refusal(401, "authentication_error", "invalid x-api-key")
        if request.headers.get("anthropic-version") != _VERSION:
            raise _refusal(400, "invalid_request_error", "anthropic-version: invalid version")

    def _list_models(self, _: SandboxRequest) -> Response:
        models = [
            {
                "type": "model",
                "id": name,
                "display_name": name,
                "created_at": "2026-02-04T00:00:00Z",
            }
            for name in sorted(self.models)
        ]
        return reply(
            {
                "data": models,
                "has_more": False,
                "first_id": models[0]["id"],
                "last_id": models[-1]["id"],
            }
        )

    def _create_message(self, request: SandboxRequest) -> Response:
        if len(request.body) > _LARGEST_BODY:
            raise _refusal(413, "request_too_large", "Request exceeds the maximum allowed bytes.")
        body = request.json()
        _check_body(body)
        if body["model"] not in self.models:
            raise _refusal(404, "not_found_error", f"model: {body['model']}")
        user_texts = texts_in(body["messages"][-1]["content"])
        turn = self.write_turn(
            " ".join(user_texts),
            tools={tool["name"]: tool["input_schema"] for tool in body.get("tools", ())},
            schema=body.get("output_config", {}).get("format", {}).get("schema"),
            max_tokens=body["max_tokens"],
        )
        content: list[dict[str, Any]] = []
        if turn.text:
            content.append({"type": "text", "text": turn.text, "citations": None})
        reason = "refusal" if turn.is_refused else "max_tokens" if turn.is_cut else "end_turn"
        if turn.tool is not None:
            reason = "tool_use"
            call = {"id": f"toolu_{self.number():04}", "name": turn.tool, "input": turn.arguments}
            content.append({"type": "tool_use", **call, "caller": {"type": "direct"}})
        all_texts = [text for item in body["messages"] for text in texts_in(item["content"])]
        message: dict[str, Any] = {
            "id": f"msg_{self.number():04}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": content,
            "container": None,
            "stop_reason": reason,
            "stop_sequence": None,
            "stop_details": None,
            "usage": {
                "input_tokens": tokens_of(*all_texts),
                "output_tokens": tokens_of(turn.text),
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "cache_creation": None,
                "inference_geo": None,
                "output_tokens_details": None,
                "server_tool_use": None,
                "service_tier": "standard",
            },
        }
        return _streamed(message) if body.get("stream") else reply(message)


def _streamed(message: dict[str, Any]) -> Response:
    """Return a message as events: its blocks in parts, and at last the reason and the usage."""
    usage = {**message["usage"], "output_tokens": 1}
    start: dict[str, Any] = {**message, "content": [], "stop_reason": None, "usage": usage}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "ping"},
    ]
    for index, block in enumerate(message["content"]):
        is_text = block["type"] == "text"
        text = block["text"] if is_text else json.dumps(block["input"])
        head: dict[str, Any] = {**block, **({"text": ""} if is_text else {"input": {}})}
        name, kind = ("text", "text_delta") if is_text else ("partial_json", "input_json_delta")
        events.append({"type": "content_block_start", "index": index, "content_block": head})
        events += [
            {"type": "content_block_delta", "index": index, "delta": {"type": kind, name: part}}
            for part in parts_of(text)
        ]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    events.append({"type": "message_delta", "delta": delta, "usage": message["usage"]})
    events.append({"type": "message_stop"})
    return event_stream(*((event["type"], event) for event in events))


def _check_body(body: Any) -> None:
    """Refuse a request that the Messages API does not accept."""
    shape_problems = [*problems(_REQUEST, body)]
    for number, message in enumerate(body["messages"] if not shape_problems else ()):
        for block in _blocks(message):
            shape: Any = _BLOCKS.get(block.get("type"), frozenset())
            shape_problems += problems(shape, block, f"messages.{number}.content")
    if shape_problems:
        path, name, kind = shape_problems[0]
        raise _refusal(400, "invalid_request_error", f"{path}: {name}: {kind}")
    tool_call_ids: set[str] = set()
    for message in body["messages"]:
        if not message["content"]:
            raise _refusal(400, "invalid_request_error", "messages: content must not be empty")
        for block in _blocks(message):
            if block["type"] == "tool_use":
                tool_call_ids.add(block["id"])
            if block["type"] == "tool_result" and block["tool_use_id"] not in tool_call_ids:
                raise _refusal(
                    400,
                    "invalid_request_error",
                    f"messages: unexpected `tool_use_id` found: {block['tool_use_id']}",
                )


def _blocks(message: Any) -> list[Any]:
    """Return the blocks of a message, whose content may be a text instead."""
    content: Any = message["content"]
    return content if is_list(content) else []


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account."""
    sandbox = AnthropicSandbox()
    options = {"credentials": sandbox.api_key, "model": "model-large"}
    return SandboxFixture(options=options, sandbox=sandbox)
