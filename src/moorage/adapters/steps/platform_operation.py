"""Operations of a step platform that are not steps, such as building an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable

    from moorage.domain.service.operation import OperationAttempt
    from moorage.errors import ConnectorError


@attrs.frozen(kw_only=True)
class PlatformOperation:
    """An operation of a step platform that is not a step, for `ConnectorManager.perform`.

    The operation's result is a dictionary of plain values.

    Attributes:
        name: the name in events and errors, such as "docker.pull" or "github.release".
        system: the kind of the platform.
        act: performs the operation within the given number of seconds.
        safe: whether the operation only reads.
        repeatable: whether a repeat has the same effect.
    """

    name: str
    system: str
    act: Callable[[float], dict[str, Any]] = attrs.field(repr=False)
    safe: bool = False
    repeatable: bool = True

    def perform(self, attempt: OperationAttempt) -> dict[str, Any]:
        """Perform the operation once."""
        return self.act(attempt.timeout)

    def translate_error(self, error: Exception) -> ConnectorError | None:  # noqa: ARG002 - there are no others
        """Return None, because only errors of moorage are raised."""
        return None
