"""Pipelines with short pauses, for tests."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import attrs

from moorage import Pipeline, PipelineConfig, RetryPolicy
from tests.pipelines.pipeline_waiting import PATIENCE

if TYPE_CHECKING:
    from moorage import PipelineReport

QUICK_RETRIES = RetryPolicy(max_attempts=3, base_delay=0.0001, max_delay=0.0001)


def config(**changes: Any) -> PipelineConfig:
    """Return settings with short pauses."""
    return attrs.evolve(
        PipelineConfig(retry=QUICK_RETRIES, reconnect=QUICK_RETRIES, drain=5.0), **changes
    )


async def run(pipeline: Pipeline) -> PipelineReport:
    """Run a pipeline until its source ends."""
    async with asyncio.timeout(PATIENCE):
        return await pipeline.run()
