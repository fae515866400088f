"""Finds alert rules whose settings are contradictory or have no effect."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ABSENCE_METRIC: Final = "absence"
_BURN_RATE: Final = "burn_rate"
_ERROR_RATE: Final = "error_rate"
LATENCIES: Final = ("p50", "p90", "p95", "p99")
"""The percentiles of the duration that an alert rule can watch."""

_RATES: Final = (_ERROR_RATE, *LATENCIES, _BURN_RATE)

FIGURES: Final = (_ERROR_RATE, "calls", *LATENCIES, _BURN_RATE, _ABSENCE_METRIC)
"""The figures of calls that an alert rule can watch."""

_USERS: Final[Mapping[str, tuple[str, ...]]] = {
    "operation": FIGURES,
    "tenant": FIGURES,
    "window": FIGURES,
    "minimum_calls": _RATES,
    "objective": (_BURN_RATE,),
    "short_window": (_BURN_RATE,),
}
"""The figures for which a rule's setting has an effect, by the setting's name."""


class Condition(NamedTuple):
    """The condition under which an alert rule fires.

    Attributes:
        when: the metric or the health concern that is watched.
        above, below: the thresholds.
        clear: the threshold at which the alert ends.
        window, short_window: the seconds over which calls are counted.
        objective: the share of calls that should succeed.
        changed: the names of the settings whose values differ from the defaults.
    """

    when: str
    above: float | None
    below: float | None
    clear: float | None
    window: float
    short_window: float
    objective: float
    changed: frozenset[str]


class Contradiction(NamedTuple):
    """A setting that cannot work in the condition of an alert rule.

    Attributes:
        setting: the name of the setting.
        predicate: the problem, as the predicate of a sentence about the rule.
        remedy: the advice to the user, as a sentence.
    """

    setting: str
    predicate: str
    remedy: str


def contradictions(condition: Condition) -> Iterator[Contradiction]:
    """Yield each contradiction in the condition of an alert rule."""
    metric = condition.when
    if metric == _ABSENCE_METRIC:
        yield from _thresholds_of_absence(condition)
    else:
        yield from _contradicting_thresholds(condition)
        yield from _impossible_thresholds(condition)
    if metric == _BURN_RATE and condition.short_window > condition.window:
        yield Contradiction(
            "short_window",
            f"has a short window of {condition.short_window:g} seconds, longer than its window of"
            f" {condition.window:g}",
            "Set a `short_window` shorter than `window`, such as a twelfth of it.",
        )
    for name in sorted(condition.changed & _USERS.keys()):
        if metric not in _USERS[name]:
            yield Contradiction(
                name,
                f"watches {metric}, but `{name}` has no effect on {metric}",
                f"Remove `{name}`. It only applies to {_alternatives(_USERS[name])}.",
            )


def _thresholds_of_absence(condition: Condition) -> Iterator[Contradiction]:
    for name in ("above", "below", "clear"):
        if getattr(condition, name) is not None:
            yield Contradiction(
                name,
                "has a threshold, but absence fires only when there is no call at all",
                f"Remove `{name}`, or watch calls.",
            )


def _contradicting_thresholds(condition: Condition) -> Iterator[Contradiction]:
    upper_bound, lower_bound, clear_bound = condition.above, condition.below, condition.clear
    if upper_bound is not None and lower_bound is not None:
        yield Contradiction(
            "below",
            "has two thresholds",
            "Set either `above` or `below`. For both, write two rules.",
        )
        return
    threshold = upper_bound if lower_bound is None else lower_bound
    if threshold is None and condition.when in FIGURES:
        yield Contradiction("above", "has no threshold", "Set `above` or `below`.")
    if clear_bound is not None and (
        threshold is None
        or (lower_bound is None and clear_bound > threshold)
        or (upper_bound is None and clear_bound < threshold)
    ):
        yield Contradiction(
            "clear",
            "would clear while it still fires",
            "Set `clear` to a value at which the alert does not fire.",
        )


def _impossible_thresholds(condition: Condition) -> Iterator[Contradiction]:
    """Yield each threshold that is above or below every possible value of its metric."""
    metric, upper_bound, lower_bound, clear_bound = (
        condition.when,
        condition.above,
        condition.below,
        condition.clear,
    )
    if metric not in FIGURES:
        return
    highest = {_ERROR_RATE: 1.0, _BURN_RATE: 1 / (1 - condition.objective)}.get(metric, inf)
    if highest < inf:
        remedy = f"Set a number from 0 to {highest:g}, the possible range of {metric}."
    else:
        remedy = f"Set a number above 0, because {metric} is never negative."
    if upper_bound is not None and (upper_bound < 0 or upper_bound >= highest):
        effect = "always fires" if upper_bound < 0 else "never fires"
        yield Contradiction("above", f"{effect} with a threshold of {upper_bound:g}", remedy)
    if lower_bound is not None and (lower_bound <= 0 or lower_bound > highest):
        effect = "never fires" if lower_bound <= 0 else "always fires"
        yield Contradiction("below", f"{effect} with a threshold of {lower_bound:g}", remedy)
    if clear_bound is not None and not 0 <= clear_bound <= highest:
        yield Contradiction("clear", f"never clears at {clear_bound:g}", remedy)


def _alternatives(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
