"""The choice of a connector for a step, and statistics of the steps that ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.steps.result import StepOutcome
from moorage.domain.steps.step import ConnectorType
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.steps.result import ExecutionResult
    from moorage.domain.steps.step import Step

_WITHOUT_IMAGE: Final = ConnectorType.LOCAL
_WITH_IMAGE: Final = ConnectorType.DOCKER


def type_of_step(
    step: Step, *, registered_types: Sequence[ConnectorType], all_types: Sequence[ConnectorType]
) -> ConnectorType:
    """Return the type of connector that runs a step.

    A step that names no type runs with the only connector that is registered. If there are several,
    it runs in a container if it has an image, and in a process otherwise.

    Args:
        step: the step.
        registered_types: the types of the connectors that the program registered.
        all_types: all types, including those of installed packages.

    Raises:
        ConfigurationError: the step names no type, and several types or none could run it.
    """
    if step.type is not None:
        return step.type
    if len(registered_types) == 1:
        return registered_types[0]
    default_type = _WITHOUT_IMAGE if step.image is None else _WITH_IMAGE
    if default_type in (registered_types or all_types):
        return default_type
    raise ConfigurationError(
        f"The step {step.name!r} has no connector type, and the default type {default_type!r}"
        " is not registered.",
        path="type",
        remedy=f"Name one of: {', '.join(registered_types or all_types)}.",
    )


@attrs.define
class StepStatistics:
    """The statistics of a registry of step connectors.

    Attributes:
        made: the number of connectors that were made.
        hits: the number of times that an existing connector was found.
        outcomes: the numbers of steps that ended, by their outcome.
    """

    made: int = 0
    hits: int = 0
    outcomes: dict[StepOutcome, int] = attrs.field(factory=lambda: dict.fromkeys(StepOutcome, 0))

    def count(self, result: ExecutionResult) -> None:
        """Count a step that has ended in the statistics."""
        self.outcomes[result.outcome] += 1

    def as_numbers(self, *, cached: int) -> dict[str, int]:
        """Return the statistics as numbers by name.

        Args:
            cached: the current number of connectors.
        """
        outcomes = {outcome.value: number for outcome, number in self.outcomes.items()}
        return {"made": self.made, "hits": self.hits, "cached": cached, **outcomes}
