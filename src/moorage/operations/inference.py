"""The operations on language models for users, synchronous and asynchronous.

Written by tools/operations.py from the declarations in contracts/declared.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from moorage.operations._inference import (
    AsyncGenerationStream,
    AsyncInferenceMethods,
    GenerationStream,
    InferenceMethods,
)
from moorage.runtime.flows import run_now
from moorage.services.contracts.inference import InferenceFlows
from moorage.services.contracts.live_configuration import CurrentOperations

if TYPE_CHECKING:
    from moorage.contracts.inference import (
        EmbeddingRequest,
        Embeddings,
        Generation,
        GenerationRequest,
    )
    from moorage.services.contracts.live_configuration import FindDispatcher

__all__ = ["AsyncGenerationStream", "AsyncInference", "GenerationStream", "Inference"]


class Inference(InferenceMethods):
    """Asks language models of the vendor that the configuration chooses."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(InferenceFlows, find_dispatcher, tenant)

    def generate(
        self,
        request: GenerationRequest,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Generation:
        """Ask a model for the next turn of a conversation.

        The only effect is that the vendor bills tokens. So a request whose answer was lost is sent
        again, and the vendor bills both.

        Args:
            request: conversation and task.
            idempotency_key: identifies this request: a repeat returns the same answer, and costs
                nothing.
            timeout: seconds for the whole operation.

        Raises:
            RateLimitExceeded: the account's budget of tokens does not suffice for this request.
        """
        return run_now(
            self._flows.run(
                InferenceFlows.generate, request, idempotency_key=idempotency_key, timeout=timeout
            )
        )

    def embed(self, request: EmbeddingRequest, *, timeout: float | None = None) -> Embeddings:
        """Get the vectors of texts, by which texts of similar meaning are found.

        Args:
            request: texts.
            timeout: seconds for the whole operation.

        Raises:
            RateLimitExceeded: the account's budget of tokens does not suffice for these texts.
        """
        return run_now(self._flows.run(InferenceFlows.embed, request, timeout=timeout))


class AsyncInference(AsyncInferenceMethods):
    """The asynchronous version of `Inference`."""

    def __init__(self, find_dispatcher: FindDispatcher, tenant: str | None) -> None:
        self._flows = CurrentOperations(InferenceFlows, find_dispatcher, tenant)

    async def generate(
        self,
        request: GenerationRequest,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Generation:
        """Ask a model for the next turn of a conversation.

        The only effect is that the vendor bills tokens. So a request whose answer was lost is sent
        again, and the vendor bills both.

        Args:
            request: conversation and task.
            idempotency_key: identifies this request: a repeat returns the same answer, and costs
                nothing.
            timeout: seconds for the whole operation.

        Raises:
            RateLimitExceeded: the account's budget of tokens does not suffice for this request.
        """
        return await self._flows.run(
            InferenceFlows.generate, request, idempotency_key=idempotency_key, timeout=timeout
        )

    async def embed(self, request: EmbeddingRequest, *, timeout: float | None = None) -> Embeddings:
        """Get the vectors of texts, by which texts of similar meaning are found.

        Args:
            request: texts.
            timeout: seconds for the whole operation.

        Raises:
            RateLimitExceeded: the account's budget of tokens does not suffice for these texts.
        """
        return await self._flows.run(InferenceFlows.embed, request, timeout=timeout)
