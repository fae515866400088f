"""Anthropic: the models Claude, by the Messages API.

Anthropic takes no idempotency key. The only effect of a request is that its tokens are billed, so a
request whose response was lost is sent again.
"""

from __future__ import annotations

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
    read_arguments,
    read_tool_call,
    total_tokens,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.contracts.inference import GenerationRequest, Turn
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
        InferenceCapability, "images tools schema"
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
