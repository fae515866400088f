"""A rule of the grade of vendors, and the tiers."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moorage.grading.evidence import Evidence
    from moorage.grading.sources import Line


class Tier(StrEnum):
    """The tier of a vendor: the highest whose rules, and those of the tiers below, all pass."""

    NONE = "none"
    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"


@attrs.frozen
class Violation:
    """A violation of a rule.

    Attributes:
        problem: what is wrong, as a sentence.
        line: its line in a module; None for the vendor's class.
    """

    problem: str
    line: Line | None = None


@attrs.frozen(kw_only=True)
class Rule:
    """A rule of the grade.

    Attributes:
        name: its name.
        tier: the tier that it belongs to.
        sentence: what must hold.
        remedy: what to do about a violation.
        check: yields the violations.
        concerns: tells whether the rule concerns a vendor; others pass without a check.
    """

    name: str
    tier: Tier
    sentence: str
    remedy: str
    check: Callable[[Evidence], Iterable[Violation]] = attrs.field(repr=False)
    concerns: Callable[[Evidence], bool] = attrs.field(repr=False)


def everybody(_: Evidence) -> bool:
    """Return True: the rule concerns every vendor."""
    return True


def over_http(evidence: Evidence) -> bool:
    """Return whether a vendor is reached by HTTP."""
    return evidence.speaks_http


def at_a_sandbox(evidence: Evidence) -> bool:
    """Return whether a vendor's sandbox can be called."""
    return evidence.has_sandbox


def with_credentials(evidence: Evidence) -> bool:
    """Return whether a vendor's sandbox can be called, and takes credentials."""
    account = evidence.account
    return evidence.has_sandbox and bool(evidence.secrets or (account and account.clients()))


def with_payments(evidence: Evidence) -> bool:
    """Return whether a vendor takes payments, and its sandbox can be called."""
    return "payments" in evidence.vendor.kinds and evidence.has_sandbox


def with_webhooks(evidence: Evidence) -> bool:
    """Return whether a vendor has webhooks, and there is an account."""
    return evidence.vendor.webhook is not None and evidence.account is not None


def with_keys(evidence: Evidence) -> bool:
    """Return whether a vendor states that it takes idempotency keys."""
    return evidence.vendor.idempotency is not None
