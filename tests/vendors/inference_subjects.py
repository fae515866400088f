"""Test subjects of all vendors of language models for the conformance kit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moorage.contracts.inference import (
    FinishReason,
    GenerationRequest,
    ModelImage,
    ModelTool,
    Speaker,
    TokenUsage,
    ToolCall,
    ToolResult,
    Turn,
)
from moorage.errors import (
    AuthenticationFailed,
    InvalidRequest,
    RateLimitExceeded,
    VendorRejected,
)
from moorage.testing.kits.inference_conformance import InferenceSubject
from moorage.testing.sandbox_fixtures import fixture_of
from moorage.testing.sandboxes.base import reply
from moorage.testing.sandboxes.inference.anthropic import error_reply
from moorage.vendors.inference.anthropic import Anthropic
from moorage.vendors.inference.mistral import Mistral
from moorage.vendors.inference.openai import OpenAI

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.http.requests import Response

PARAMETERS: Final = {"type": "object", "properties": {"number": {"type": "string"}}}
TOOL: Final = ModelTool("find_order", "Find an order.", PARAMETERS)
CALL: Final = ToolCall("call-1", "find_order", {"number": "1042"})
IMAGE: Final = ModelImage(content=b"\x89PNG", media_type="image/png")
SCHEMA: Final = {"type": "object", "properties": {"kind": {"type": "string"}}}
CONVERSATION: Final = (
    Turn("Is order 1042 paid?"),
    Turn("I look.", speaker=Speaker.MODEL, tool_calls=[CALL]),
    Turn(tool_results=[ToolResult("call-1", "Not found.", failed=True)]),
)
PLAIN: Final = GenerationRequest("Hello", max_tokens=50)
FULL: Final = GenerationRequest(
    [Turn("What is this?", images=[IMAGE])],
    instructions="Be brief.",
    model="model-small",
    max_tokens=60,
    schema=SCHEMA,
)
TALK: Final = GenerationRequest(CONVERSATION, tools=[TOOL])


def message(**fields: Any) -> Response:
    """Return a response of Anthropic's Messages API."""
    usage = {"input_tokens": 10, "output_tokens": 4}
    defaults = {"id": "msg_1", "model": "model-large", "stop_reason": "end_turn", "usage": usage}
    return reply({"content": [{"type": "text", "text": "Yes."}], **defaults, **fields})


def anthropic() -> InferenceSubject:
    """Return an Anthropic test subject with a new sandbox."""
    png = {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}
    return InferenceSubject(
        kind=Anthropic,
        fixture=fixture_of("anthropic", Path()),
        refusals=(
            (
                error_reply(422, "invalid_request_error", "No."),
                InvalidRequest,
                "invalid_request_error",
            ),
            (
                error_reply(400, "invalid_request_error", "No."),
                InvalidRequest,
                "invalid_request_error",
            ),
            (
                error_reply(401, "authentication_error", "No."),
                AuthenticationFailed,
                "authentication_error",
            ),
            (error_reply(402, "billing_error", "No."), VendorRejected, "billing_error"),
            (error_reply(403, "permission_error", "No."), AuthenticationFailed, "permission_error"),
            (error_reply(404, "not_found_error", "No."), VendorRejected, "not_found_error"),
            (error_reply(413, "request_too_large", "No."), InvalidRequest, "request_too_large"),
            (error_reply(429, "rate_limit_error", "No."), RateLimitExceeded, "rate_limit_error"),
        ),
        requests=(
            (
                PLAIN,
                {
                    "model": "model-large",
                    "max_tokens": 50,
                    "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
                    "system": None,
                    "tools": None,
                    "output_config": None,
                },
            ),
            (
                FULL,
                {
                    "model": "model-small",
                    "max_tokens": 60,
                    "system": "Be brief.",
                    "messages": [
                        {
                            "role": "user",
                            "content": [
                                {"type": "image", "source": png},
                                {"type": "text", "text": "What is this?"},
                            ],
                        }
                    ],
                    "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
                },
            ),
            (
                TALK,
                {
                    "max_tokens": 4_096,
                    "tools": [
                        {
                            "name": "find_order",
                            "description": "Find an order.",
                            "input_schema": PARAMETERS,
                        }
                    ],
                    "messages": [
                        {
                            "role": "user",
                            "content": [{"type": "text", "text": "Is order 1042 paid?"}],
                        },
                        {
                            "role": "assistant",
                            "content": [
                                {"type": "text", "text": "I look."},
                                {
                                    "type": "tool_use",
                                    "id": "call-1",
                                    "name": "find_order",
                                    "input": {"number": "1042"},
                                },
                            ],
                        },
                        {
                            "role": "user",
                            "content": [
                                {
                                    "type": "tool_result",
                                    "tool_use_id": "call-1",
                                    "content": "Not found.",
                                    "is_error": True,
                                }
                            ],
                        },
                    ],
                },
            ),
        ),
        answers=(
            (
                message(
                    content=[
                        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                        {"type": "text", "text": "I "},
                        {"type": "text", "text": "look."},
                        {
                            "type": "tool_use",
                            "id": "toolu_1",
                            "name": "find_order",
                            "input": {"number": "1042"},
                        },
                    ],
                    stop_reason="tool_use",
                    usage={
                        "input_tokens": 10,
                        "output_tokens": 4,
                        "cache_read_input_tokens": 300,
                        "cache_creation_input_tokens": 7,
                    },
                ),
                {
                    "id": "msg_1",
                    "text": "I look.",
                    "tool_calls": (ToolCall("toolu_1", "find_order", {"number": "1042"}),),
                    "usage": TokenUsage(input=317, output=4, cached=300),
                    "model": "model-large",
                },
            ),
            (
                message(
                    content=[
                        {"type": "text", "text": "I look."},
                        {"type": "tool_use", "id": "1", "name": "a", "input": {"b": 0}},
                        {"type": "tool_use", "id": "2", "name": "a", "input": {"b": 1}},
                    ],
                    stop_reason="max_tokens",
                ),
                {
                    "text": "I look.",
                    "tool_calls": (ToolCall("1", "a", {"b": 0}),),
                    "finish": FinishReason.LENGTH,
                },
            ),
            (
                message(content=[]),
                {"text": "", "tool_calls": (), "usage": TokenUsage(input=10, output=4)},
            ),
        ),
        unreadable=(
            message(usage=None),
            message(usage={"input_tokens": 10}),
            message(usage={"output_tokens": 10}),
            message(content=None),
            message(model=None),
            message(content=[{"type": "tool_use", "name": "find_order", "input": {}}]),
            message(content=[{"type": "tool_use", "id": "toolu_1", "input": {}}]),
            message(content=[{"type": "tool_use", "id": "toolu_1", "name": "a", "input": "{}"}]),
        ),
        words={
            "end_turn": FinishReason.COMPLETE,
            "stop_sequence": FinishReason.COMPLETE,
            "max_tokens": FinishReason.LENGTH,
            "model_context_window_exceeded": FinishReason.LENGTH,
            "tool_use": FinishReason.TOOL_CALLS,
            "refusal": FinishReason.REFUSED,
            "pause_turn": FinishReason.UNKNOWN,
        },
        finished=lambda word: message(stop_reason=word),
        error_event=b"event: error\ndata: "
        b'{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}\n\n',
    )


def completion(
    text: str | None = "Yes.", reason: str = "stop", usage: Any = None, **fields: Any
) -> Response:
    """Return a response of Chat Completions."""
    choice = {"index": 0, "finish_reason": reason, "message": {"content": text, **fields}}
    tokens = {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}
    return reply(
        {"id": "cmpl-1", "model": "model-large", "choices": [choice], "usage": usage or tokens}
    )


def call(**function: Any) -> dict[str, Any]:
    """Return a tool call of Chat Completions."""
    return {"id": "call-1", "type": "function", "function": {"name": "find_order", **function}}


def vectors(numbers: Mapping[int, list[float]]) -> Response:
    """Return a response with the given vectors."""
    items = [{"index": index, "embedding": vector} for index, vector in numbers.items()]
    usage = {"prompt_tokens": 4, "total_tokens": 4}
    return reply({"object": "list", "model": "model-embed", "data": items, "usage": usage})


def plain_body(tokens_field: str) -> dict[str, Any]:
    """Return fields of the body of a request with one turn."""
    return {
        "model": "model-large",
        tokens_field: 50,
        "messages": [{"role": "user", "content": "Hello"}],
        "tools": None,
        "response_format": None,
        "temperature": None,
    }


def full_body(tokens_field: str, role: str) -> dict[str, Any]:
    """Return fields of the body of a request with an image and a schema."""
    return {
        "model": "model-small",
        tokens_field: 60,
        "messages": [
            {"role": role, "content": "Be brief."},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
                    {"type": "text", "text": "What is this?"},
                ],
            },
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
        },
    }


TALK_BODY: Final[Mapping[str, Any]] = {
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "find_order",
                "description": "Find an order.",
                "parameters": PARAMETERS,
            },
        }
    ],
    "messages": [
        {"role": "user", "content": "Is order 1042 paid?"},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [call(arguments='{"number": "1042"}')],
        },
        {"role": "tool", "tool_call_id": "call-1", "content": "Not found."},
    ],
}
CALLED: Final = (
    completion(None, "tool_calls", tool_calls=[call(arguments='{"number": "1042"}')]),
    {"text": "", "tool_calls": (CALL,), "finish": FinishReason.TOOL_CALLS},
)
MISSED: Final = (
    completion(None, "stop", tool_calls=[call(arguments="")]),
    {"tool_calls": (ToolCall("call-1", "find_order", {}),), "finish": FinishReason.TOOL_CALLS},
)
CUT_OFF: Final = (
    completion(
        "I look.",
        "length",
        tool_calls=[call(arguments='{"number": "\\ud800"}'), call(arguments='{"number": "10')],
    ),
    {
        "text": "I look.",
        "tool_calls": (ToolCall("call-1", "find_order", {"number": "?"}),),
        "finish": FinishReason.LENGTH,
    },
)
CUT_OFF_AT_ONCE: Final = (
    completion(None, "length", tool_calls=[call(arguments="")]),
    {"tool_calls": (), "finish": FinishReason.LENGTH},
)
UNREADABLE: Final = (
    completion(tool_calls=[call(arguments='{"number": NaN}')]),
    completion(tool_calls=[call(arguments='{"number": 1e999}')]),
    reply(
        {
            "model": "model-large",
            "choices": [{"finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1},
        }
    ),
    completion(usage={"completion_tokens": 4}),
    reply({"id": "cmpl-1", "model": "model-large", "choices": [], "usage": {"prompt_tokens": 1}}),
    reply({"choices": [{"message": {"content": "Yes."}}], "usage": {"prompt_tokens": 1}}),
    completion(tool_calls=[call(arguments="{")]),
    completion(tool_calls=[call(arguments="[1]")]),
    completion(tool_calls=[call()]),
    completion(tool_calls=[{"type": "function", "function": {"name": "a", "arguments": "{}"}}]),
    completion(tool_calls=[{"id": "call-1", "function": {"arguments": "{}"}}]),
)


def openai_error(status: int, code: str | None, type_: str = "invalid_request_error") -> Response:
    """Return an error response of OpenAI."""
    return reply({"error": {"message": "No.", "type": type_, "param": None, "code": code}}, status)


def openai() -> InferenceSubject:
    """Return an OpenAI test subject with a new sandbox."""
    cached_usage = {
        "prompt_tokens": 317,
        "completion_tokens": 4,
        "prompt_tokens_details": {"cached_tokens": 300},
    }
    return InferenceSubject(
        kind=OpenAI,
        fixture=fixture_of("openai", Path()),
        refusals=(
            (openai_error(400, None), InvalidRequest, "invalid_request_error"),
            (
                openai_error(400, "context_length_exceeded"),
                InvalidRequest,
                "context_length_exceeded",
            ),
            (openai_error(401, "invalid_api_key"), AuthenticationFailed, "invalid_api_key"),
            (openai_error(403, "unsupported_country"), AuthenticationFailed, "unsupported_country"),
            (openai_error(404, "model_not_found"), VendorRejected, "model_not_found"),
            (openai_error(429, "rate_limit_exceeded"), RateLimitExceeded, "rate_limit_exceeded"),
            (openai_error(429, "insufficient_quota"), VendorRejected, "insufficient_quota"),
        ),
        requests=(
            (PLAIN, plain_body("max_completion_tokens")),
            (FULL, full_body("max_completion_tokens", "developer")),
            (TALK, TALK_BODY),
            (GenerationRequest("Hello", temperature=0.5), {"temperature": 0.5}),
        ),
        answers=(
            (
                completion("Yes.", usage=cached_usage),
                {
                    "id": "cmpl-1",
                    "text": "Yes.",
                    "usage": TokenUsage(input=317, output=4, cached=300),
                    "model": "model-large",
                },
            ),
            CALLED,
            CUT_OFF,
            CUT_OFF_AT_ONCE,
            MISSED,
            (
                completion(None, refusal="I cannot help."),
                {"text": "I cannot help.", "finish": FinishReason.REFUSED},
            ),
        ),
        unreadable=UNREADABLE,
        words={
            "stop": FinishReason.COMPLETE,
            "length": FinishReason.LENGTH,
            "tool_calls": FinishReason.TOOL_CALLS,
            "function_call": FinishReason.TOOL_CALLS,
            "content_filter": FinishReason.REFUSED,
        },
        finished=lambda word: completion(reason=word),
        error_event=b'data: {"error": {"message": "No.", "type": "server_error"}}\n\n',
        vectors=vectors,
    )


def mistral_error(status: int, code: str) -> Response:
    """Return an error response of Mistral."""
    return reply(
        {"object": "error", "message": "No.", "type": "invalid_request_error", "code": code}, status
    )


def mistral() -> InferenceSubject:
    """Return a Mistral test subject with a new sandbox."""
    detail = [{"loc": ["body", "messages"], "msg": "Field required", "type": "missing"}]
    parts = [{"type": "thinking", "thinking": []}, {"type": "text", "text": "Yes."}]
    return InferenceSubject(
        kind=Mistral,
        fixture=fixture_of("mistral", Path()),
        refusals=(
            (mistral_error(400, "3051"), InvalidRequest, "3051"),
            (reply({"detail": detail}, 422), InvalidRequest, None),
            (reply({"detail": "Unauthorized"}, 401), AuthenticationFailed, None),
            (mistral_error(403, "1234"), AuthenticationFailed, "1234"),
            (mistral_error(404, "1500"), VendorRejected, "1500"),
            (mistral_error(429, "1300"), RateLimitExceeded, "1300"),
        ),
        requests=(
            (PLAIN, plain_body("max_tokens")),
            (FULL, full_body("max_tokens", "system")),
            (TALK, TALK_BODY),
            (GenerationRequest("Hello", temperature=1), {"temperature": 1}),
        ),
        answers=(
            (
                completion(
                    "Yes.",
                    usage={"prompt_tokens": 17, "completion_tokens": 4, "num_cached_tokens": 9},
                ),
                {
                    "id": "cmpl-1",
                    "text": "Yes.",
                    "usage": TokenUsage(input=17, output=4, cached=9),
                    "model": "model-large",
                },
            ),
            (completion(parts), {"text": "Yes."}),  # type: ignore[arg-type]  # a list of parts
            CALLED,
            CUT_OFF,
            CUT_OFF_AT_ONCE,
            (
                completion(None, "tool_calls", tool_calls=[call(arguments={"number": "1042"})]),
                {"tool_calls": (CALL,)},
            ),
        ),
        unreadable=UNREADABLE,
        words={
            "stop": FinishReason.COMPLETE,
            "length": FinishReason.LENGTH,
            "model_length": FinishReason.LENGTH,
            "tool_calls": FinishReason.TOOL_CALLS,
            "error": FinishReason.UNKNOWN,
        },
        finished=lambda word: completion(reason=word),
        error_event=b'data: {"error": {"message": "No.", "type": "server_error"}}\n\n',
        vectors=vectors,
    )


SUBJECTS = [anthropic, mistral, openai]
