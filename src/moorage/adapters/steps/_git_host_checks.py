"""Checks of the arguments of operations on git hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData

if TYPE_CHECKING:
    import re

_ASSET: Final = late_pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_COMMIT: Final = late_pattern(r"[0-9a-f]{40}|[0-9a-f]{64}")
_TAG: Final = late_pattern(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}")


def checked_commit(commit: str) -> str:
    """Check and return the full id of a commit.

    Raises:
        InvalidData: the value is not the full id of a commit.
    """
    return _check_text(
        commit, "commit", _COMMIT, "Give the full id of the commit, with all its digits."
    )


def checked_tag(tag: str) -> str:
    """Check and return the name of a tag.

    Raises:
        InvalidData: the value is not a valid tag name.
    """
    return _check_text(tag, "tag", _TAG, "Give a tag such as 'v1.4.0'.")


def checked_asset(name: str) -> str:
    """Check and return the name of a release's file; refuse names that hosts would change.

    Raises:
        InvalidData: a host would change the name.
    """
    remedy = "Use letters, digits, dots, hyphens and underscores."
    return _check_text(name, "name", _ASSET, remedy)


def _check_text(value: str, field: str, pattern: re.Pattern[str], remedy: str) -> str:
    if not isinstance(value, str) or pattern.fullmatch(value) is None:
        problem = f"{str(value)[:80]!r} is not a valid {field}."
        raise InvalidData(problem, field=field, remedy=remedy)
    return value
