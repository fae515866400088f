"""The `[[objectives]]` tables of a configuration: service-level objectives."""

from __future__ import annotations

from typing import Final

from moorage.config.class_tables import table_of
from moorage.config.shapes import ListOf, OneOf
from moorage.domain.monitoring.objectives import Objective
from moorage.domain.observation.figures import DIMENSIONS

OBJECTIVES: Final = ListOf(
    table_of(Objective, name="objective", shapes={"by": ListOf(OneOf(DIMENSIONS))})
)
