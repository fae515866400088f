"""How a command ends: the exit codes, and which error has which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.errors import ConfigurationError, OutcomeUnknown

if TYPE_CHECKING:
    from moorage.errors import ConnectorError, Problem

OK: Final = 0
UNWELL: Final = 1
SENSELESS: Final = 2
UNKNOWN: Final = 3
MISTAKEN: Final = 70
INTERRUPTED: Final = 130
UNREAD: Final = 141

CODES: Final = {
    OK: "All is well.",
    UNWELL: "Something is not well: a vendor refused, a store is away, a check found something.",
    SENSELESS: "It was called wrongly, or the configuration is wrong; nothing was sent.",
    UNKNOWN: "Something was sent and the answer was lost: look it up before you repeat it.",
    MISTAKEN: "A mistake of moorage's own.",
    INTERRUPTED: "It was interrupted (Ctrl-C).",
    UNREAD: "Whoever read its output has gone.",
}
"""Every exit code, and what it means."""


def code_of(error: ConnectorError) -> int:
    """The exit code of an error."""
    if isinstance(error, ConfigurationError):
        return SENSELESS
    return UNKNOWN if isinstance(error, OutcomeUnknown) else UNWELL


def told(error: ConnectorError) -> dict[str, Any]:
    """An error as a table of plain values."""
    about = {
        "kind": type(error).__name__,
        "message": error.message,
        "remedy": error.remedy,
        "path": getattr(error, "path", None),
        "service": error.service,
        "operation": error.operation,
        "retryable": error.retryable,
        "retry_at": None if error.retry_at is None else error.retry_at.isoformat(),
        "request_id": error.request_id,
    }
    if isinstance(error, ConfigurationError):
        about["problems"] = [plain(one) for one in error.problems]
    return {name: value for name, value in about.items() if value is not None}


def plain(problem: Problem) -> dict[str, str]:
    """One thing that is wrong, as a table of plain values."""
    return {name: value for name, value in problem._asdict().items() if value is not None}
