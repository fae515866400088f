"""The meaning of a broker's failures for a source that reads from the broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from moorage.domain.messages.publish_failures import PublishFault, publish_error
from moorage.errors import AuthenticationFailed, ConnectionFailed, TopicNotFound

if TYPE_CHECKING:
    from moorage.domain.messages.broker_rules import BrokerRules
    from moorage.errors import ConnectorError

_LOSS_FAULTS: Final = frozenset({PublishFault.LOST, PublishFault.TIMEOUT, PublishFault.UNSENT})


def read_error(
    fault: PublishFault, rules: BrokerRules, topic: str | None = None, *, code: str | None = None
) -> ConnectorError:
    """Return the moorage error for a broker's failure that concerns a source.

    Args:
        fault: the failure.
        rules: the rules of the broker, which have its name.
        topic: the topic, if the failure concerns one.
        code: the broker's code for the failure.
    """
    title, place = rules.title, rules.topic if topic is None else f"{rules.topic} {topic!r}"
    if fault is PublishFault.PERMISSION:
        return AuthenticationFailed(
            f"The user of the source may not read the {place} of {title}.",
            remedy="Grant the user permission to read the topics and to use the group.",
            vendor_code=code,
        )
    if fault is PublishFault.TOPIC:
        return TopicNotFound(
            f"{title} has no {place} to read from.",
            remedy="Create it, or correct the names of the source.",
            vendor_code=code,
        )
    if fault in _LOSS_FAULTS:
        return ConnectionFailed(
            f"The connection to {title} was lost.",
            remedy="The pipeline opens the connection again. If the error persists, check the"
            " broker.",
        )
    return publish_error(fault, rules, topic, code=code)
