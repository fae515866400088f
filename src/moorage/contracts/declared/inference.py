"""The contract of language models."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from moorage.contracts import inference
from moorage.contracts.declaration import Contract, Effect, Requirements, changes, reads
from moorage.contracts.inference import (
    EmbeddingRequest,
    GenerationRequest,
    InferenceCapability,
    check_batch,
)
from moorage.contracts.validators import check_kind

if TYPE_CHECKING:
    from moorage.contracts.inference import Embeddings, Generation


class InferenceContract(Contract):
    """Asks language models of the vendor that the configuration chooses."""

    kind = "inference"
    capabilities = InferenceCapability
    values = (inference,)
    flows = {"stream": Effect.IMMEDIATE}
    flow_verbs = {"stream": InferenceCapability.STREAMS}

    @changes()
    def generate(
        self,
        request: GenerationRequest,
        *,
        idempotency_key: str | None = None,
        timeout: float | None = None,
    ) -> Requirements[Generation]:
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
        check_kind(request, GenerationRequest, "request")
        return Requirements(needs=request.needs)

    @reads(needs=InferenceCapability.EMBEDDINGS)
    def embed(
        self, request: EmbeddingRequest, *, timeout: float | None = None
    ) -> Requirements[Embeddings]:
        """Get the vectors of texts, by which texts of similar meaning are found.

        Args:
            request: texts.
            timeout: seconds for the whole operation.

        Raises:
            RateLimitExceeded: the account's budget of tokens does not suffice for these texts.
        """
        check_kind(request, EmbeddingRequest, "request")
        return Requirements(check_limits=partial(check_batch, request))
