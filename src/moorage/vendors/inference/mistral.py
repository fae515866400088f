"""Mistral: models by Chat Completions, and embeddings.

Mistral documents no idempotency key. The only effect of a request is that its tokens are billed, so
a request whose response was lost is sent again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from moorage import vendor_sdk as sdk
from moorage.contracts.inference import FinishReason
from moorage.vendors.inference._chat_completions import CompletionsAccount

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.vendor_sdk import Response

_FINISH: Final = {
    "stop": FinishReason.COMPLETE,
    **sdk.words(FinishReason.LENGTH, "length model_length"),
    "tool_calls": FinishReason.TOOL_CALLS,
}


def _error_words(response: Response) -> tuple[str | None, str | None]:
    """The code and the text of an error, whose problems may be a list."""
    answer = sdk.error_answer(response)
    problems = [problem.text("msg") for problem in answer.objects("detail")]
    words = next(filter(None, problems), None) or answer.text("message") or answer.text("detail")
    code = answer.text("code") or answer.text("type")
    return code, sdk.masked_words(words)


@attrs.frozen(kw_only=True)
class Mistral(CompletionsAccount):
    """An account at Mistral.

    Attributes:
        credentials: API key of the workspace; by default the credential provider supplies it.
        model: name of the model for requests that name none, such as mistral-large-latest.
        embedding_model: name of the model for embeddings.
        daily_tokens: tokens that all processes together may use in a calendar day, in UTC.
        monthly_tokens: tokens that they may use in a calendar month, in UTC.
        base_url: URL of Mistral.
    """

    name = "mistral"
    kinds = ("inference",)
    api_version = "v1"

    ping_path = "/v1/models"
    refusals = sdk.Refusals(
        vendor="Mistral",
        statuses=sdk.error_statuses("400 413 422", login="401 403"),
        read=_error_words,
    )
    completions_path = "/v1/chat/completions"
    embeddings_path = "/v1/embeddings"
    instructions_role = "system"
    tokens_field = "max_tokens"
    dimensions_field = "output_dimension"
    cached_field = "num_cached_tokens"
    finish_reasons: ClassVar[Mapping[str, FinishReason]] = _FINISH

    embedding_model: str = "mistral-embed"
    base_url: str = "https://api.mistral.ai"
