"""A local sandbox that imitates OpenAI's Chat Completions and embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from moorage.testing.sandboxes._fields import NUMBER, typed, words
from moorage.testing.sandboxes.base import refusal
from moorage.testing.sandboxes.fixture import SandboxFixture
from moorage.testing.sandboxes.inference.chat_completions import (
    FORMAT,
    MESSAGE,
    TOOL,
    CompletionsSandbox,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from moorage.testing.sandboxes.base import Refusal, Routes
    from moorage.testing.sandboxes.inference.base import SandboxTurn

_TYPES: Final = {401: "authentication_error", 429: "rate_limit_error"}


class OpenAISandbox(CompletionsSandbox):
    """A sandbox of OpenAI: completions, embeddings, and the list of models."""

    hosts = ("api.openai.com",)
    completion_fields: ClassVar[Mapping[str, Any]] = {
        "model!": str,
        "messages!": [MESSAGE],
        **typed(int, "max_completion_tokens max_tokens n seed top_logprobs"),
        **typed(NUMBER, "temperature top_p frequency_penalty presence_penalty"),
        **typed(str, "reasoning_effort service_tier user verbosity prompt_cache_key"),
        "response_format": FORMAT,
        "stop": (str, list),
        "store": bool,
        "stream": bool,
        "stream_options": {"include_usage": bool},
        "tools": [TOOL],
        "tool_choice": (str, dict),
        "parallel_tool_calls": bool,
    }
    embedding_fields: ClassVar[Mapping[str, Any]] = {
        "model!": str,
        "input!": (str, list),
        "encoding_format": words("float"),
        "dimensions": int,
        "user": str,
    }
    tokens_field = "max_completion_tokens"
    dimensions_field = "dimensions"

    def routes(self) -> Routes:
        """The sandbox's routes, by method and path."""
        return {
            "GET /v1/models": self.list_models,
            "POST /v1/chat/completions": self.complete,
            "POST /v1/embeddings": self.embed,
        }

    def refuse(self, status: int, message: str, code: str | None = None) -> Refusal:
        """Return an error response of OpenAI as an exception."""
        type_ = _TYPES.get(status, "invalid_request_error")
        return refusal(
            {"error": {"message": message, "type": type_, "param": None, "code": code}}, status
        )

    def choice_details(self) -> dict[str, Any]:
        """Return OpenAI's further fields of a choice."""
        return {"logprobs": None}

    def message_details(self, turn: SandboxTurn) -> dict[str, Any]:
        """Return OpenAI's further fields of a message; a refusal has no content."""
        if turn.is_refused:
            return {"content": None, "refusal": turn.text, "annotations": []}
        return {"refusal": None, "annotations": []}

    def usage_chunks(self, usage: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the fields of the last chunks; the usage is in a chunk without choices."""
        return [{"usage": None}, {"usage": usage}]

    def usage_details(self) -> dict[str, Any]:
        """Return OpenAI's further fields of the usage."""
        return {
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        }


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account."""
    sandbox = OpenAISandbox()
    options = {
        "credentials": sandbox.api_key,
        "model": "model-large",
        "embedding_model": "model-embed",
    }
    return SandboxFixture(options=options, sandbox=sandbox)
