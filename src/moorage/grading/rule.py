"""The rules by which vendors are graded, and the tiers."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from moorage.grading.evidence import Evidence
    from moorage.grading.sources import Line


class Tier(StrEnum):
    """A vendor's tier: it passes all rules of the tier and of lower tiers."""

    NONE = "none"
    BRONZE = "bronze"
    SILVER = "silver"
    GOLD = "gold"


@attrs.frozen
class Violation:
    """A violation of a rule.

    Attributes:
        problem: what is wrong, as a sentence.
        line: the source line; None for the line of the vendor's class.
    """

    problem: str
    line: Line | None = None


@attrs.frozen(kw_only=True)
class Rule:
    """A rule by which vendors are graded.

    Attributes:
        name: the name of the rule.
        tier: the tier that it belongs to.
        sentence: the requirement, as a sentence.
        remedy: the way to correct a violation, as a sentence.
        check: function that yields the violations.
        applies_to: function that returns whether the rule applies to a vendor; other vendors pass
            unchecked.
    """

    name: str
    tier: Tier
    sentence: str
    remedy: str
    check: Callable[[Evidence], Iterable[Violation]] = attrs.field(repr=False)
    applies_to: Callable[[Evidence], bool] = attrs.field(repr=False)


def applies_to_all(_: Evidence) -> bool:
    """Return True, for rules that apply to every vendor."""
    return True


def over_http(evidence: Evidence) -> bool:
    """Return whether a vendor is called over HTTP."""
    return evidence.speaks_http


def at_a_sandbox(evidence: Evidence) -> bool:
    """Return whether a vendor has a sandbox."""
    return evidence.has_sandbox


def with_credentials(evidence: Evidence) -> bool:
    """Return whether a vendor has a sandbox that requires credentials."""
    account = evidence.account
    return evidence.has_sandbox and bool(evidence.secrets or (account and account.clients()))


def with_payments(evidence: Evidence) -> bool:
    """Return whether a vendor accepts payments and has a sandbox."""
    return "payments" in evidence.vendor.kinds and evidence.has_sandbox


def with_webhooks(evidence: Evidence) -> bool:
    """Return whether a vendor has webhooks and a sandbox account."""
    return evidence.vendor.webhook is not None and evidence.account is not None


def with_keys(evidence: Evidence) -> bool:
    """Return whether a vendor declares support for idempotency keys."""
    return evidence.vendor.idempotency is not None
