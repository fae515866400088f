"""Anthropic: the models Claude, by the Messages API.

Anthropic takes no idempotency key. The only effect of a request is that its tokens are billed, so a
request whose response was lost is sent again.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.inference import (
    FinishReason,
    Generation,
    InferenceCapability,
    Speaker,
    TokenUsage,
    ToolCall,
)
from moorage.vendors.inference._accounts import (
    ModelAccount,
    base64_text,
    open_answer,
    read_arguments,
    read_event,
    read_tool_call,
    total_tokens,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.inference import (
        GenerationRequest,
        OpenedGeneration,
        ServerSentEvent,
        Turn,
    )
    from moorage.vendor_sdk import Response, Wire

API_VERSION: Final = "2023-06-01"
_ROLES: Final = {Speaker.USER: "user", Speaker.MODEL: "assistant"}

_FINISH: Final = {
    **sdk.words(FinishReason.COMPLETE, "end_turn stop_sequence"),
    **sdk.words(FinishReason.LENGTH, "max_tokens model_context_window_exceeded"),
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.REFUSED,
}


def _error_words(response: Response) -> tuple[str | None, str | None]:
    error = sdk.error_answer(response).object("error")
    return error.text("type"), sdk.masked_words(error.text("message"))


def _message_body(turn: Turn) -> dict[str, Any]:
    """A turn as a message of the Messages API: tool results first, then images and text."""
    content: list[dict[str, Any]] = [
        {
            "type": "tool_result",
            "tool_use_id": result.call,
            "content": result.text,
            "is_error": result.failed,
        }
        for result in turn.tool_results
    ]
    for image in turn.images:
        source = {"type": "base64", "media_type": image.media_type, "data": base64_text(image)}
        content.append({"type": "image", "source": source})
    if turn.text:
        content.append({"type": "text", "text": turn.text})
    content += [
        {"type": "tool_use", "id": call.id, "name": call.name, "input": dict(call.arguments)}
        for call in turn.tool_calls
    ]
    return {"role": _ROLES[turn.speaker], "content": content}


def _usage(response: Response, usage: sdk.Answer) -> TokenUsage:
    cached = usage.integer("cache_read_input_tokens") or 0
    uncached = sdk.required(usage.integer("input_tokens"), response, "usage.input_tokens")
    return TokenUsage(
        input=uncached + cached + (usage.integer("cache_creation_input_tokens") or 0),
        output=sdk.required(usage.integer("output_tokens"), response, "usage.output_tokens"),
        cached=cached,
    )


def _read_calls(
    response: Response, blocks: list[sdk.Answer], finish: FinishReason
) -> list[ToolCall]:
    """The tool calls of a message, without the last block of an answer that was cut off."""
    complete_blocks = blocks[:-1] if finish is FinishReason.LENGTH else blocks
    return [
        read_tool_call(
            response,
            block.text("id"),
            block.text("name"),
            read_arguments(block.value("input")) if sdk.is_object(block.value("input")) else None,
        )
        for block in complete_blocks
        if block.text("type") == "tool_use"
    ]


def read_message(response: Response) -> Generation:
    """The turn of a model, from a response of the Messages API."""
    answer = sdk.read_answer(response)
    blocks = sdk.required_objects(answer, "content", response)
    reason = answer.text("stop_reason")
    finish = _FINISH.get(reason or "", FinishReason.UNKNOWN)
    return Generation(
        id=answer.text("id"),
        text="".join(block.text("text") or "" for block in blocks if block.text("type") == "text"),
        tool_calls=tuple(_read_calls(response, blocks, finish)),
        finish=finish,
        vendor_finish=reason,
        usage=_usage(response, answer.object("usage")),
        model=sdk.required(answer.text("model"), response, "model"),
        raw=answer.raw,
    )


class MessageEvents:
    """Collects the events of a streamed message."""

    def __init__(self) -> None:
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, _ArrivingBlock] = {}
        self.generation: Generation | None = None

    def read(self, event: ServerSentEvent, /) -> str:
        """Return the text of an event; the event `message_stop` ends the answer."""
        response, answer = read_event(event, "Anthropic")
        kind, index = answer.text("type"), answer.integer("index") or 0
        if kind == "message_start":
            self._message = dict(answer.object("message").raw)
        elif kind == "content_block_start":
            block = self._blocks[index] = _ArrivingBlock(answer.object("content_block"))
            return block.text
        elif kind == "content_block_delta":
            if index not in self._blocks:
                raise sdk.malformed(response, "content_block_start")
            return self._blocks[index].add(answer.object("delta"))
        elif kind == "message_delta":
            earlier_usage = sdk.as_answer(self._message).object("usage").raw
            usage = {**earlier_usage, **_present(answer.object("usage"))}
            reason = answer.text("delta.stop_reason")
            self._message = {**self._message, "usage": usage, "stop_reason": reason}
        elif kind == "message_stop":
            content = [self._blocks[index].body for index in sorted(self._blocks)]
            body = json.dumps({**self._message, "content": content})
            self.generation = read_message(sdk.Response(200, body=body.encode()))
        return ""


def _present(answer: sdk.Answer) -> dict[str, Any]:
    """The fields of an answer that have a value."""
    return {name: value for name, value in answer.raw.items() if value is not None}


class _ArrivingBlock:
    """A block of a message whose parts arrive in several events."""

    def __init__(self, start: sdk.Answer) -> None:
        self._start = start.raw
        self.text = (start.text("text") or "") if start.text("type") == "text" else ""
        self._texts = [self.text]
        self._inputs: list[str] = []

    def add(self, delta: sdk.Answer) -> str:
        """Add a part of the block, and return its text."""
        self._inputs.append(delta.text("partial_json") or "")
        text = (delta.text("text") or "") if delta.text("type") == "text_delta" else ""
        self._texts.append(text)
        return text

    @property
    def body(self) -> dict[str, Any]:
        """The block as in an answer that is not streamed."""
        if self._start.get("type") == "text":
            return {**self._start, "text": "".join(self._texts)}
        arguments = "".join(self._inputs)
        return {**self._start, **({"input": read_arguments(arguments)} if arguments else {})}


@attrs.frozen(kw_only=True)
class Anthropic(ModelAccount):
    """An account at Anthropic.

    Attributes:
        credentials: API key of the workspace; by default the credential provider supplies it.
        model: name of the model for requests that name none, such as claude-opus-4-6.
        daily_tokens: tokens that all processes together may use in a calendar day, in UTC.
        monthly_tokens: tokens that they may use in a calendar month, in UTC.
        base_url: URL of Anthropic.
    """

    name = "anthropic"
    kinds = ("inference",)
    api_version = API_VERSION
    capabilities: ClassVar[frozenset[str]] = sdk.members_of(
        InferenceCapability, "images tools schema streams"
    )

    auth = sdk.api_key("x-api-key")
    headers: ClassVar[Mapping[str, str]] = {"anthropic-version": API_VERSION}
    ping_path = "/v1/models"
    refusals = sdk.Refusals(
        vendor="Anthropic",
        # Anthropic also uses this type for statuses that its documentation does not list.
        codes={"invalid_request_error": sdk.InvalidRequest},
        statuses=sdk.error_statuses("400 413", login="401 403"),
        read=_error_words,
    )

    base_url: str = "https://api.anthropic.com"

    async def generate(
        self, wire: Wire, request: GenerationRequest, /, *, key: str | None
    ) -> Generation:
        """Create a message."""
        sent_request = sdk.Request.post("/v1/messages", json=self._body(request))
        return await wire.send_within_budget(
            sent_request.evolve(idempotent=True),
            key=key,
            parse=read_message,
            most=request.most_tokens,
            used=total_tokens,
        )

    async def stream(self, wire: Wire, request: GenerationRequest, /) -> OpenedGeneration:
        """Create a message, which arrives in pieces."""
        body = {**self._body(request), "stream": True}
        sent_request = sdk.Request.post("/v1/messages", json=body)
        return await open_answer(wire, sent_request, request, MessageEvents())

    def _body(self, request: GenerationRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": request.model or self.model,
            "max_tokens": request.max_tokens,
            "messages": [_message_body(turn) for turn in request.turns],
        }
        if request.instructions is not None:
            body["system"] = request.instructions
        if request.tools:
            body["tools"] = [
                {
                    "name": tool.name,
                    "description": tool.description,
                    "input_schema": dict(tool.parameters),
                }
                for tool in request.tools
            ]
        if request.schema is not None:
            output_format = {"type": "json_schema", "schema": dict(request.schema)}
            body["output_config"] = {"format": output_format}
        return sdk.merged(body, sdk.extra_for(self.name, request.extra))
