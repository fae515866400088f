"""A call as it is written down until it is made."""

from __future__ import annotations

from typing import ClassVar, Final

import attrs

from moorage.domain.entries import Entry, Fate
from moorage.errors import (
    IdempotencyConflict,
    InvalidData,
    OutcomeUnknown,
    UnsupportedByVendor,
    VendorRejected,
)

_FINAL: Final = (IdempotencyConflict, InvalidData, UnsupportedByVendor)
"""What the same call would meet again."""


@attrs.frozen(kw_only=True)
class OutboxEntry(Entry):
    """A call that is to be made: `target` is a contract or a service, `operation` the verb."""

    dead_holds: ClassVar[bool] = True

    @property
    def contract(self) -> str:
        """The contract, or the service, that is called."""
        return self.target

    @property
    def verb(self) -> str:
        """What is asked of it."""
        return self.operation

    @property
    def key(self) -> str:
        """The idempotency key it is made under: another only after a refusal that was final."""
        return f"{self.id}/{self.turn}" if self.turn else self.id


def fate_of(error: Exception) -> Fate:
    """What is to become of a call that ended so.

    What may have been done is not repeated, and what was refused for good is given up at once. All
    else is tried again, a missing credential and a broken configuration too: a person repairs these
    while calls wait.
    """
    if isinstance(error, OutcomeUnknown):
        return Fate.DOUBT
    if isinstance(error, VendorRejected) and not error.retryable:
        return Fate.SPENT
    return Fate.NEVER if isinstance(error, _FINAL) else Fate.AGAIN
