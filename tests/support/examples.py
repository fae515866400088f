"""Sets how many Hypothesis examples a property gets, in proportion to the profile's number."""

from __future__ import annotations

from hypothesis import settings

_USUAL = 100


def examples(count: int) -> settings:
    """Return settings with this many examples, where the usual number is a hundred.

    A profile with fewer than a hundred examples reduces this number in proportion, but not below
    ten.
    """
    default = settings.get_current_profile_name()
    usual_examples = settings.get_profile(default).max_examples
    return settings(max_examples=max(10, count * usual_examples // _USUAL))
