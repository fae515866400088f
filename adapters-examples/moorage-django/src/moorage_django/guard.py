"""Protects the project from failures of moorage's background work."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from moorage import ConnectorError
from moorage.domain.resilience.interruptions import is_interruption

if TYPE_CHECKING:
    from collections.abc import Generator

_logger: Final = logging.getLogger("moorage_django")


@contextmanager
def log_errors(task: str, remedy: str) -> Generator[None]:
    """Log errors of a `with` block instead of raising them.

    Args:
        task: what the block does, as the subject of a sentence.
        remedy: what to do when it fails.
    """
    try:
        yield
    except ConnectorError as error:
        reason = str(error)
    except Exception as error:
        if is_interruption(error):
            raise
        # The words of a foreign error may hold a secret.
        reason = f"{type(error).__name__}."
    else:
        return
    _logger.error("%s failed: %s %s", task, reason, remedy)
