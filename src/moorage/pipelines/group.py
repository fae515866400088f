"""A group of pipelines in one event loop, in which a pipeline can be replaced.

Laws:

1. A replaced pipeline and its last batches have ended before its successor begins.
2. Replacing a pipeline does not affect the others.
3. If one pipeline fails, the others are stopped gracefully.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.domain.pipelines.settings import PipelineReport
    from moorage.pipelines.pipeline import Pipeline
    from moorage.pipelines.supervision import SupervisedPipeline


class PipelineGroup:
    """Pipelines that run in one event loop until all end, or until `stop` is called.

    Attributes:
        pipelines: the pipelines by their names.

    Args:
        pipelines: the pipelines by their names.
    """

    def __init__(self, pipelines: Mapping[str, Pipeline | SupervisedPipeline]) -> None:
        self.pipelines = dict(pipelines)
        self._tasks: dict[str, asyncio.Task[PipelineReport]] = {}
        self._changed = asyncio.Event()
        self._replacing = asyncio.Lock()
        self._is_stopping = False

    @property
    def failed(self) -> list[str]:
        """The names of the pipelines that have failed."""
        return [name for name, task in self._tasks.items() if task.done() and task.exception()]

    def stop(self) -> None:
        """Begin to stop all pipelines, as `Pipeline.stop` does."""
        self._is_stopping = True
        for pipeline in self.pipelines.values():
            pipeline.stop()

    async def run(self) -> dict[str, PipelineReport]:
        """Run the pipelines, and return the report of each one by name.

        Raises:
            Exception: the failure that stopped a pipeline. The other pipelines are stopped
                gracefully first.
        """
        for name in self.pipelines:
            self._start(name)
        while running_tasks := [task for task in self._tasks.values() if not task.done()]:
            self._changed.clear()
            change = asyncio.create_task(self._changed.wait())
            await asyncio.wait([*running_tasks, change], return_when=asyncio.FIRST_COMPLETED)
            change.cancel()
            async with self._replacing:
                if self.failed:
                    self.stop()
        return {name: task.result() for name, task in self._tasks.items()}

    async def replace(self, name: str, pipeline: Pipeline | SupervisedPipeline | None) -> None:
        """Stop a pipeline gracefully, and start another in its place.

        No pipeline is started if the group stops meanwhile, or if the old pipeline failed.

        Args:
            name: the name of the pipeline to replace; a new name only starts a pipeline.
            pipeline: the pipeline to start; None only ends the old one.
        """
        async with self._replacing:
            old_pipeline, task = self.pipelines.get(name), self._tasks.get(name)
            if old_pipeline is not None and task is not None:
                old_pipeline.stop()
                await asyncio.wait([task])
                if task.exception() is not None:
                    return
            if self._is_stopping:
                return
            if pipeline is None:
                del self.pipelines[name]
            else:
                self.pipelines[name] = pipeline
                self._start(name)
            self._changed.set()

    def _start(self, name: str) -> None:
        self._tasks[name] = asyncio.create_task(self.pipelines[name].run())
