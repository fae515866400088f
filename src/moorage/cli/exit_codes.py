"""The exit codes of commands, and the code of each error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.errors import ConfigurationError, OutcomeUnknown

if TYPE_CHECKING:
    from moorage.errors import ConnectorError, Problem

OK: Final = 0
FAILED: Final = 1
INVALID_USE: Final = 2
UNKNOWN: Final = 3
UNREACHABLE: Final = 4
CUT_OFF: Final = 5
INTERNAL_ERROR: Final = 70
INTERRUPTED: Final = 130
CLOSED_PIPE: Final = 141

CODES: Final = {
    OK: "All is well.",
    FAILED: "A vendor refused, a store is unavailable, or a check found a problem.",
    INVALID_USE: "The arguments or the configuration are wrong; nothing was sent.",
    UNKNOWN: "A request was sent and its answer was lost: check the vendor before you repeat it.",
    UNREACHABLE: "`moorage check` found the configuration valid, but a store cannot be used now.",
    CUT_OFF: "`moorage stream run` stopped before some records were processed; they will be"
    " delivered again.",
    INTERNAL_ERROR: "An internal error of moorage.",
    INTERRUPTED: "Interrupted by Ctrl-C.",
    CLOSED_PIPE: "The reader of the output closed the pipe.",
}
"""Every exit code with its meaning."""


def code_of(error: ConnectorError) -> int:
    """Return the exit code of an error."""
    if isinstance(error, ConfigurationError):
        return INVALID_USE
    return UNKNOWN if isinstance(error, OutcomeUnknown) else FAILED


def error_as_dict(error: ConnectorError) -> dict[str, Any]:
    """Return an error as a dict of plain values."""
    error_fields = {
        "kind": type(error).__name__,
        "message": error.message,
        "remedy": error.remedy,
        "path": getattr(error, "path", None),
        "field": getattr(error, "field", None),
        "service": error.service,
        "operation": error.operation,
        "retryable": error.retryable,
        "retry_at": None if error.retry_at is None else error.retry_at.isoformat(),
        "request_id": error.request_id,
    }
    if isinstance(error, ConfigurationError):
        error_fields["problems"] = [problem_fields(problem) for problem in error.problems]
    return {name: value for name, value in error_fields.items() if value is not None}


def problem_fields(problem: Problem) -> dict[str, Any]:
    """Return a problem of a configuration as a dict of plain values."""
    return {name: value for name, value in problem._asdict().items() if value is not None}
