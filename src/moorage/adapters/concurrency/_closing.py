"""Base classes for objects that can be closed by a `with` block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from moorage.domain.values.uncopyable import Uncopyable

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class ContextClosable(Uncopyable, ABC):
    """An object that is closed at the end of its `with` block, and cannot be copied."""

    @abstractmethod
    def close(self) -> None:
        """Close the object."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncContextClosable(Uncopyable, ABC):
    """An object that is closed at the end of its `async with` block, and cannot be copied."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the object."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()
