"""The actions that pause and resume the outbox and the inbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moorage.dashboard.acts.action_kinds import Act
from moorage.dashboard.acts.entries import permission_for_box
from moorage.domain.entries.pauses import scope_of

if TYPE_CHECKING:
    from moorage.dashboard.acts.action_kinds import ActContext


def _scope(context: ActContext) -> dict[str, str | None]:
    return {name: context.get(name) for name in ("target", "tenant", "subject")}


def _queue(context: ActContext) -> str:
    """Return the text that names the queue and the entries that a pause concerns."""
    return f"the {context.required_value('box')} ({scope_of(**_scope(context))})"


def _pause(context: ActContext) -> str:
    box = context.reader.box(context.required_value("box"))
    box.pause(**_scope(context), actor=context.person.name, reason=context.reason)
    return f"Workers take no more entries of {_queue(context)}."


def _resume(context: ActContext) -> str:
    box = context.reader.box(context.required_value("box"))
    if box.resume(**_scope(context), actor=context.person.name, reason=context.reason):
        return f"Workers take entries of {_queue(context)} again."
    return f"There is no pause of {_queue(context)}; nothing was changed."


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
