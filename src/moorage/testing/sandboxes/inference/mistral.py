"""A local sandbox that imitates Mistral's Chat Completions and embeddings.

Mistral has no field for a refusal: its model refuses in the text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

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


class MistralSandbox(CompletionsSandbox):
    """A sandbox of Mistral: completions, embeddings, and the list of models."""

    hosts = ("api.mistral.ai",)
    completion_fields: ClassVar[Mapping[str, Any]] = {
        "model!": str,
        "messages!": [{**MESSAGE, "role!": words("system user assistant tool")}],
        **typed(int, "max_tokens n random_seed"),
        **typed(NUMBER, "temperature top_p frequency_penalty presence_penalty"),
        **typed(str, "reasoning_effort prompt_mode prompt_cache_key"),
        "metadata": dict,
        "response_format": FORMAT,
        "stop": (str, list),
        "stream": bool,
        "safe_prompt": bool,
        "tools": [TOOL],
        "tool_choice": (str, dict),
        "parallel_tool_calls": bool,
    }
    embedding_fields: ClassVar[Mapping[str, Any]] = {
        "model!": str,
        "input!": (str, list),
        "metadata": dict,
        "encoding_format": words("float base64"),
        "output_dimension": int,
        "output_dtype": words("float"),
    }
    tokens_field = "max_tokens"
    dimensions_field = "output_dimension"

    def routes(self) -> Routes:
        """The sandbox's routes, by method and path."""
        return {
            "GET /v1/models": self.list_models,
            "POST /v1/chat/completions": self.complete,
            "POST /v1/embeddings": self.embed,
        }

    def refuse(self, status: int, message: str, code: str | None = None) -> Refusal:
        """Return an error response of Mistral as an exception."""
        if status == 401:
            return refusal({"detail": "Unauthorized"}, status)
        error = {"object": "error", "message": message, "type": "invalid_request_error"}
        return refusal({**error, "param": None, "code": code or "3051"}, status)

    def embedding_details(self, tokens: int) -> dict[str, Any]:
        """Return Mistral's further fields of a list of vectors."""
        usage = {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}
        return {"id": f"embd-{self.number():04}", "usage": usage}


def fixture(_: Path) -> SandboxFixture:
    """Return a sandbox with an account."""
    sandbox = MistralSandbox()
    options = {
        "credentials": sandbox.api_key,
        "model": "model-large",
        "embedding_model": "model-embed",
    }
    return SandboxFixture(options=options, sandbox=sandbox)
