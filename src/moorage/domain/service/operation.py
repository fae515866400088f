"""Operations on foreign systems that are not HTTP requests, such as a SQL statement."""

from __future__ import annotations

import attrs


@attrs.frozen
class OperationAttempt:
    """The facts that an operation needs for one attempt.

    Attributes:
        number: the number of the attempt, beginning with 1.
        timeout: the seconds that the attempt may take.
        idempotency_key: the key to send to the foreign system; None if the caller gave none, or if
            the service does not honour keys.
    """

    number: int
    timeout: float
    idempotency_key: str | None = attrs.field(default=None, repr=False)
