"""Small operations of git hosts, such as publishing a release, which a manager protects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.adapters.steps._git_host_answers import unreadable
from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from moorage.domain.service.operation import OperationAttempt
    from moorage.errors import ConnectorError

_ASSET: Final = late_pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_COMMIT: Final = late_pattern(r"[0-9a-f]{40}|[0-9a-f]{64}")
_TAG: Final = late_pattern(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}")


@attrs.frozen(kw_only=True)
class GitHostOperation:
    """One operation of a git host, for `ConnectorManager.perform`; a repeat does no harm.

    Its result is a dictionary of plain values.

    Attributes:
        name: the name in events and errors, such as "github.release".
        system: the kind of the host.
        safe: whether it only reads.
        repeatable: whether a repeat has the same effect.
        act: performs it within the given number of seconds.
    """

    name: str
    system: str
    act: Callable[[float], dict[str, Any]] = attrs.field(repr=False)
    safe: bool = False
    repeatable: bool = True

    def perform(self, attempt: OperationAttempt) -> dict[str, Any]:
        """Perform it once."""
        return self.act(attempt.timeout)

    def judge(self, error: Exception) -> ConnectorError | None:
        """Return the error for an answer that cannot be read."""
        return unreadable("The git host", error)


def checked_commit(commit: str) -> str:
    """Return the full id of a commit.

    Raises:
        InvalidData: it is not the full id of a commit.
    """
    return _checked(commit, "commit", _COMMIT, "Give all digits of the commit.")


def checked_tag(tag: str) -> str:
    """Return the name of a tag.

    Raises:
        InvalidData: it cannot be one.
    """
    return _checked(tag, "tag", _TAG, "Give a tag such as 'v1.4.0'.")


def checked_asset(name: str) -> str:
    """Return the name of a file of a release, which no host changes.

    Raises:
        InvalidData: a host would change it.
    """
    remedy = "Use letters, digits, dots, hyphens and underscores."
    return _checked(name, "name", _ASSET, remedy)


def _checked(value: str, field: str, pattern: re.Pattern[str], remedy: str) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        problem = f"{str(value)[:80]!r} is not a valid {field}."
        raise InvalidData(problem, field=field, remedy=remedy)
    return value
