"""The number of tokens that count for one attempt of a request to a language model."""

from __future__ import annotations

from moorage.domain.resilience.ledger import AttemptEffect


def billed_tokens(effect: AttemptEffect, most: int, counted: int | None) -> int:
    """Return the tokens of an attempt that its account's budget must count.

    The vendor's own count is exact. Without one, an attempt that the vendor may have processed
    counts with all of its tokens, and every other attempt with none.

    Args:
        effect: effect that the attempt may have had at the vendor.
        most: most tokens that the attempt may use.
        counted: tokens that the vendor counted in its answer; None if no answer can be read.
    """
    if counted is not None:
        return max(0, counted)
    return most if effect is AttemptEffect.POSSIBLE else 0
