"""The `[[objectives]]` tables of a configuration: objectives of service levels."""

from __future__ import annotations

from typing import Final

from moorage.config.of_classes import table_of
from moorage.config.shapes import Many, OneOf
from moorage.domain.monitoring.objectives import Objective
from moorage.domain.observation.figures import DIMENSIONS

OBJECTIVES: Final = Many(
    table_of(Objective, name="objective", shapes={"by": Many(OneOf(DIMENSIONS))})
)
