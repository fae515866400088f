"""Sets the number of Hypothesis examples of a test, scaled by the active profile."""

from __future__ import annotations

from hypothesis import settings

_USUAL = 100


def examples(count: int) -> settings:
    """Return settings with a number of examples, given as if a hundred were the usual number.

    A profile with fewer than a hundred examples reduces this number in proportion, but not below
    ten.
    """
    default = settings.get_current_profile_name()
    usual_examples = settings.get_profile(default).max_examples
    return settings(max_examples=max(10, count * usual_examples // _USUAL))
