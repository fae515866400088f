"""The stored form of a call that a worker makes later."""

from __future__ import annotations

from typing import ClassVar, Final

import attrs

from moorage.domain.entries.queue import Entry, ErrorConsequence
from moorage.errors import (
    IdempotencyConflict,
    InvalidData,
    OutcomeUnknown,
    UnsupportedByVendor,
    VendorRejected,
)

_FINAL_ERRORS: Final = (IdempotencyConflict, InvalidData, UnsupportedByVendor)
"""Errors that the same call would raise again."""


@attrs.frozen(kw_only=True)
class OutboxEntry(Entry):
    """A call to make later: `target` is its contract or service, `operation` its operation."""

    dead_holds: ClassVar[bool] = True

    @property
    def contract(self) -> str:
        """The contract or service of the stored call."""
        return self.target

    @property
    def verb(self) -> str:
        """The operation of the stored call."""
        return self.operation

    @property
    def key(self) -> str:
        """The idempotency key of the call; it changes only if the vendor rejects the call."""
        return f"{self.id}/{self.turn}" if self.turn else self.id


def fate_of(error: Exception) -> ErrorConsequence:
    """Return whether a stored call is retried after an error, given up, or left to an operator.

    A call that may have been done is not repeated, and a call that the vendor rejected for good is
    not repeated. After any other error the call is tried again. This includes missing credentials
    and a wrong configuration, which a person can correct while calls wait.
    """
    if isinstance(error, OutcomeUnknown):
        return ErrorConsequence.DOUBT
    if isinstance(error, VendorRejected) and not error.retryable:
        return ErrorConsequence.SPENT
    return ErrorConsequence.NEVER if isinstance(error, _FINAL_ERRORS) else ErrorConsequence.AGAIN
