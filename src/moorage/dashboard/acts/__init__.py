"""The actions of the operations page, each with its permission and its confirmation."""

from __future__ import annotations

from typing import Final

from moorage.dashboard.acts.action_kinds import Act, ActContext, checked_reason
from moorage.dashboard.acts.entries import ENTRY_ACTS
from moorage.dashboard.acts.pauses import PAUSE_ACTS
from moorage.dashboard.acts.payments import PAYMENT_ACTS
from moorage.dashboard.acts.services import SERVICE_ACTS

__all__ = ["ACTS", "Act", "ActContext", "checked_reason"]

ACTS: Final = {act.name: act for act in (*SERVICE_ACTS, *ENTRY_ACTS, *PAUSE_ACTS, *PAYMENT_ACTS)}
"""Every act, by its name."""
