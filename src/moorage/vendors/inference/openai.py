"""OpenAI, and servers with the same API: models by Chat Completions, and embeddings.

The option `base_url` names another server with this API, such as vLLM, Ollama or a gateway. OpenAI
documents no idempotency key. The only effect of a request is that its tokens are billed, so a
request whose response was lost is sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.inference import FinishReason
from moorage.vendors.inference._chat_completions import CompletionsAccount

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.vendor_sdk import Response

_MOST_TEXTS: Final = 2_048
_FINISH: Final = {
    "stop": FinishReason.COMPLETE,
    "length": FinishReason.LENGTH,
    **sdk.words(FinishReason.TOOL_CALLS, "tool_calls function_call"),
    "content_filter": FinishReason.REFUSED,
}


def _error_words(response: Response) -> tuple[str | None, str | None]:
    error = sdk.error_answer(response).object("error")
    return error.text("code") or error.text("type"), sdk.masked_words(error.text("message"))


@attrs.frozen(kw_only=True)
class OpenAI(CompletionsAccount):
    """An account at OpenAI, or at a server with the same API.

    Attributes:
        credentials: API key of the project; by default the credential provider supplies it.
        model: name of the model for requests that name none.
        embedding_model: name of the model for embeddings.
        organization: id of the organisation, for keys that belong to several.
        project: id of the project, for keys that belong to several.
        daily_tokens: tokens that all processes together may use in a calendar day, in UTC.
        monthly_tokens: tokens that they may use in a calendar month, in UTC.
        base_url: URL of OpenAI or of another server, up to the version.
    """

    name = "openai"
    kinds = ("inference",)
    api_version = "v1"
    limits: ClassVar[Mapping[str, int]] = {"texts": _MOST_TEXTS}

    ping_path = "/models"
    refusals = sdk.Refusals(
        vendor="OpenAI",
        codes={"insufficient_quota": sdk.VendorRejected},
        statuses=sdk.error_statuses("400 413 422", login="401 403"),
        read=_error_words,
    )
    completions_path = "/chat/completions"
    embeddings_path = "/embeddings"
    instructions_role = "developer"
    tokens_field = "max_completion_tokens"
    dimensions_field = "dimensions"
    cached_field = "prompt_tokens_details.cached_tokens"
    finish_reasons: ClassVar[Mapping[str, FinishReason]] = _FINISH
    stream_options: ClassVar[Mapping[str, Any]] = {
        "stream": True,
        "stream_options": {"include_usage": True},
    }

    embedding_model: str = "text-embedding-3-small"
    organization: str | None = None
    project: str | None = None
    base_url: str = "https://api.openai.com/v1"

    def settings(self) -> Mapping[str, Any]:
        """Return the headers of every request, and time limits that long answers need."""
        headers = {"OpenAI-Organization": self.organization, "OpenAI-Project": self.project}
        account_headers = {name: text for name, text in headers.items() if text is not None}
        return {**super().settings(), "headers": account_headers}
