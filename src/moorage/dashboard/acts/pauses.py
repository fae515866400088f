"""The actions that pause and resume the outbox and the inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.dashboard.acts.act import Act
from moorage.dashboard.acts.entries import permission_for_box
from moorage.domain.entries.pauses import scope_of

if TYPE_CHECKING:
    from moorage.dashboard.acts.act import ActContext


def _scope(acting: ActContext) -> dict[str, str | None]:
    return {name: acting.get(name) for name in ("target", "tenant", "subject")}


def _queue(acting: ActContext) -> str:
    """Return the text that names the queue and the entries that a pause concerns."""
    return f"the {acting.required_value('box')} ({scope_of(**_scope(acting))})"


def _pause(acting: ActContext) -> str:
    box = acting.reader.box(acting.required_value("box"))
    box.pause(**_scope(acting), actor=acting.person.name, reason=acting.reason)
    return f"Workers take no more entries of {_queue(acting)}."


def _resume(acting: ActContext) -> str:
    box = acting.reader.box(acting.required_value("box"))
    if box.resume(**_scope(acting), actor=acting.person.name, reason=acting.reason):
        return f"Workers take entries of {_queue(acting)} again."
    return f"There is no pause of {_queue(acting)}; nothing was changed."


_PAUSE: Final[dict[str, Any]] = {
    "group": permission_for_box,
    "fields": ("box", "target", "tenant", "subject"),
    "back": ("/queues", ()),
}

PAUSE_ACTS: Final = (
    Act(
        **_PAUSE,
        name="queue-pause",
        title="Pause these entries?",
        button="Pause all",
        needs_reason=True,
        explain=lambda acting: (
            f"The workers of all processes take no more entries of {_queue(acting)} until somebody"
            " resumes them. Entries stay as they are, and new ones are added."
        ),
        perform=_pause,
    ),
    Act(
        **_PAUSE,
        name="queue-resume",
        title="Resume these entries?",
        button="Resume",
        explain=lambda acting: (
            f"Workers take entries of {_queue(acting)} again, when they are due."
        ),
        perform=_resume,
    ),
)
