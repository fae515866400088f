"""Writes the last part of each protection's page: its defaults and its recorded runs.

`python -m tools.protections` writes it into the pages. The defaults come from the signatures, their
meanings from the docstrings, and the pictures from `tools.recorded_runs`.
"""

from __future__ import annotations

import inspect
import re
from enum import Enum
from pathlib import Path
from typing import Any, Final, NamedTuple

import moorage
from moorage import RateLimitConfig, Service
from tools.command_line import tool_parser
from tools.recorded_runs import RUNS

FOLDER: Final = Path(__file__).parent.parent / "docs/how-to"
HEADING: Final = "## Defaults"
_FIELD: Final = re.compile(r"^    (\w+(?:, \w+)*): (.+(?:\n {8,}.+)*)", re.MULTILINE)
_COMPUTED_DEFAULTS: Final = {
    (RateLimitConfig, "burst"): "the calls of one period",
    (Service, "timeouts"): "none of its limits",
}
"""Defaults that a function makes, in words."""


class Protection(NamedTuple):
    """A protection with its own page.

    Attributes:
        page: the name of its page.
        runs: the names of its recorded runs, up to the hyphen.
        settings: its classes, each with the names of its settings; without one, all of them.
    """

    page: str
    runs: tuple[str, ...]
    settings: tuple[tuple[Any, tuple[str, ...]], ...]


PROTECTIONS: Final = (
    Protection(
        "retry", ("retry", "budget"), ((moorage.RetryPolicy, ()), (moorage.RetryBudget, ()))
    ),
    Protection("circuits", ("circuit",), ((moorage.CircuitBreakerConfig, ()),)),
    Protection(
        "rate-limits",
        ("limit",),
        ((RateLimitConfig, ()), (Service, ("limits", "max_limit_wait", "max_pause"))),
    ),
    Protection("bulkheads", ("bulkhead",), ((moorage.BulkheadConfig, ()),)),
    Protection("hedging", ("hedge",), ((moorage.HedgeConfig, ()),)),
    Protection(
        "idempotency",
        ("key",),
        (
            (
                Service,
                (
                    *("idempotency_header", "honours_keys", "idempotency_memory"),
                    *("idempotency_replays", "idempotency_ttl", "idempotency_across_regions"),
                    *("moves_money", "volatile_keys"),
                ),
            ),
        ),
    ),
    Protection("caching", ("cache",), ((moorage.CachePolicy, ()),)),
    Protection(
        "time-limits",
        ("time",),
        ((Service, ("timeout", "attempt_timeout", "timeouts")), (moorage.Timeouts, ())),
    ),
    Protection(
        "oauth",
        ("oauth",),
        (
            (
                moorage.OAuthTokenRefresher,
                ("vault", "storage", "retry", "early", "leeway", "request_timeout", "patience"),
            ),
        ),
    ),
    Protection(
        "webhooks",
        ("webhook",),
        (
            (
                moorage.WebhookVerifier,
                (
                    "name",
                    "tolerance",
                    "origin",
                    "replay_guard",
                    "handling",
                    "remembered",
                    "storage",
                ),
            ),
        ),
    ),
)


def section(protection: Protection) -> str:
    """Return the generated last part of a protection's page, as Markdown."""
    parts = [HEADING, ""]
    for kind, names in protection.settings:
        parts += [*_table(kind, names), ""]
    parts += ["## Recorded runs", ""]
    for run in RUNS:
        if run.name.rpartition("-")[0] in protection.runs:
            parts += [f"![{run.title}](../diagrams/runs/{run.name}.svg)", ""]
    return "\n".join(parts)


def with_section(text: str, protection: Protection) -> str:
    """Return a page in which the generated last part is replaced."""
    return f"{text.partition(HEADING)[0].rstrip()}\n\n{section(protection)}"


def _table(kind: Any, names: tuple[str, ...]) -> list[str]:
    parameters = inspect.signature(kind).parameters
    meanings = _meanings(inspect.getdoc(kind) or "")
    rows = [
        f"| `{name}` | {_default(kind, name, parameters[name].default)} | {meanings[name]} |"
        for name in names or parameters
    ]
    return [f"| `{kind.__name__}` | default | meaning |", "|---|---|---|", *rows]


def _meanings(docstring: str) -> dict[str, str]:
    """Return a docstring's description of each argument or attribute."""
    return {
        name: " ".join(text.split()).replace("|", "\\|")
        for names, text in _FIELD.findall(docstring)
        for name in names.split(", ")
    }


def _default(kind: Any, name: str, value: object) -> str:
    if value is inspect.Parameter.empty:
        return "needed"
    if (kind, name) in _COMPUTED_DEFAULTS:
        return _COMPUTED_DEFAULTS[kind, name]
    if value is None or value == ():
        return "none"
    if isinstance(value, Enum):
        return f"`{value.name}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value!r}`"


if __name__ == "__main__":
    tool_parser("protections", __doc__).parse_args()
    for written in PROTECTIONS:
        path = FOLDER / f"{written.page}.md"
        path.write_text(with_section(path.read_text("utf-8"), written), encoding="utf-8")
