"""The meaning of a broker's failures: the moorage error, and whether the message was stored.

Laws:

1. A message that was not sent was not stored. A message that the broker refused was not stored.
2. A message that was sent and not acknowledged may be stored.
3. No error quotes the client library, because its text may hold a password or a payload.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from moorage.domain.resilience.health import may_have_acted
from moorage.domain.values.result import Result, Results
from moorage.errors import (
    AttemptTimeout,
    AuthenticationFailed,
    ConnectionFailed,
    InvalidRequest,
    MessageUnroutable,
    TopicNotFound,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.domain.messages.broker_rules import BrokerRules
    from moorage.domain.messages.message import PublishReceipt
    from moorage.errors import ConnectorError


class Publication(Enum):
    """The state of a message after an attempt to publish it: stored, possibly stored, not stored.

    `CERTAIN`: the broker has stored it. `POSSIBLE`: it may be stored. `NONE`: it was not stored.
    """

    CERTAIN = "certain"
    POSSIBLE = "possible"
    NONE = "none"


class PublishFault(Enum):
    """The kinds of failure to publish to a broker, derived from its client library's errors."""

    HOST = "host"
    REFUSED = "refused"
    TLS = "tls"
    SLOW_CONNECT = "slow connect"
    PASSWORD = "password"  # noqa: S105 - the name of a failure
    PERMISSION = "permission"
    NAMESPACE = "namespace"
    TOPIC = "topic"
    UNROUTABLE = "unroutable"
    TOO_LARGE = "too large"
    INVALID = "invalid"
    BLOCKED = "blocked"
    FULL = "full"
    REJECTED = "rejected"
    READ_ONLY = "read-only"
    STARTING = "starting"
    CONFLICT = "conflict"
    NO_REPLIES = "no replies"
    UNSENT = "unsent"
    LOST = "lost"
    TIMEOUT = "timeout"
    BROKEN = "broken"


_UNSENT_FAULTS: Final[dict[PublishFault, tuple[str, str]]] = {
    PublishFault.HOST: (
        "The host name of {0} could not be resolved.",
        "Correct the host, or check the DNS server.",
    ),
    PublishFault.REFUSED: (
        "Nothing accepts connections at the address of {0}.",
        "Start the broker, or correct the host and the port.",
    ),
    PublishFault.TLS: (
        "No trusted connection to {0} could be opened: TLS failed.",
        (
            "Check that the broker offers TLS, that its certificate is valid for the host, and"
            " that `authorities` contains its issuer."
        ),
    ),
    PublishFault.SLOW_CONNECT: (
        "{0} did not accept a connection in time.",
        "Check the address and the network, or raise `connect_timeout`.",
    ),
    PublishFault.BLOCKED: (
        "{0} accepts no messages now, because its memory or its disk is nearly full.",
        "Free memory or disk space on the broker, or consume messages from its queues.",
    ),
    PublishFault.FULL: (
        "{0} did not accept the message, because a limit is reached.",
        "Consume messages, or raise the limit of the memory, the queue or the stream.",
    ),
    PublishFault.REJECTED: (
        "{0} did not accept the message, for example because a queue is full.",
        "Check the limits of the queue, and the broker's log.",
    ),
    PublishFault.READ_ONLY: (
        "This server of {0} is a read-only replica, so nothing was stored.",
        "Point the connector to the primary server.",
    ),
    PublishFault.STARTING: (
        "{0} is starting, or has no leader for the {1} yet.",
        "Try again when the broker is running.",
    ),
    PublishFault.UNSENT: (
        "The connection to {0} was lost before the message was sent.",
        "Check that the broker is running, and check the network.",
    ),
}
"""Failures after which the message is certainly not stored, and a retry may help."""

_REPORTED_FAULTS: Final[
    dict[
        PublishFault,
        tuple[type[AuthenticationFailed | VendorRejected | VendorFailed], str, str | None],
    ]
] = {
    PublishFault.PASSWORD: (
        AuthenticationFailed,
        "{0} rejected the user, the password or the token.",
        "Correct the connector's credentials.",
    ),
    PublishFault.PERMISSION: (
        AuthenticationFailed,
        "The connector's user may not publish to the {1} of {0}.",
        "Grant the permission to the connector's user.",
    ),
    PublishFault.NAMESPACE: (
        TopicNotFound,
        "{0} does not have this virtual host, account or database.",
        "Correct the URL of the connector, or create the virtual host, account or database.",
    ),
    PublishFault.TOPIC: (TopicNotFound, "{0} has no {1} to publish to.", None),
    PublishFault.UNROUTABLE: (
        MessageUnroutable,
        "{0} returned the message, because no queue takes the {1}.",
        None,
    ),
    PublishFault.TOO_LARGE: (
        InvalidRequest,
        "{0} refused the message because it is too large.",
        "Store the content elsewhere and publish its address, or raise the broker's limit.",
    ),
    PublishFault.INVALID: (
        InvalidRequest,
        "{0} refused the message because its form is invalid. Nothing was stored.",
        "Correct the headers and the topic of the message.",
    ),
    PublishFault.CONFLICT: (
        VendorRejected,
        (
            "{0} refused the message, because the stream of the {1} does not have the state that"
            " the message expects."
        ),
        "Check the current content of the stream, and decide again.",
    ),
    PublishFault.NO_REPLIES: (
        AuthenticationFailed,
        ("The connector's user may not receive the acknowledgements of {0}."),
        "Allow the user to subscribe to `_INBOX.>`, or set `inbox_prefix`.",
    ),
    PublishFault.BROKEN: (
        VendorFailed,
        "{0} reported an internal error.",
        "Check the broker's log.",
    ),
}
"""Failures that a broker reports; with None, the error class's own remedy is used."""

_NO_REPEAT: Final = frozenset({PublishFault.HOST, PublishFault.TLS})


def publish_error(
    fault: PublishFault, rules: BrokerRules, topic: str | None = None, *, code: str | None = None
) -> ConnectorError:
    """Return the moorage error for a failure to publish.

    Args:
        fault: the failure.
        rules: the rules of the broker, which have its name.
        topic: the topic, if the failure concerns one.
        code: the broker's code for the failure.
    """
    title, place = rules.title, rules.topic if topic is None else f"{rules.topic} {topic!r}"
    if fault in _UNSENT_FAULTS:
        message, remedy = _UNSENT_FAULTS[fault]
        return ConnectionFailed(
            message.format(title, place),
            may_have_been_processed=False,
            remedy=remedy,
            retryable=fault not in _NO_REPEAT,
        )
    if fault in _REPORTED_FAULTS:
        kind, message, refused_remedy = _REPORTED_FAULTS[fault]
        return kind(message.format(title, place), remedy=refused_remedy, vendor_code=code)
    if fault is PublishFault.TIMEOUT:
        return AttemptTimeout(
            f"{title} did not acknowledge the message in time.",
            remedy="Check the load of the broker, or raise the timeout of the call.",
        )
    return ConnectionFailed(
        f"The connection to {title} was lost before the acknowledgement.",
        remedy="Check that the broker is running, and check the network and the proxies in"
        " front of it.",
    )


def shared_refusal_error(refusal: ConnectorError, rules: BrokerRules) -> ConnectorError:
    """Return the error for a message that may be the one that a broker refused, or be stored.

    Args:
        refusal: the error of a message that was certainly refused in this way.
        rules: the rules of the broker, which have its name.
    """
    return ConnectionFailed(
        f"{rules.title} refused this message or another one that was not acknowledged yet, so this"
        f" message may be stored. {refusal.message}",
        remedy=refusal.remedy,
    )


def check_repeat(rules: BrokerRules, seconds: float) -> None:
    """Refuse to repeat a possibly stored message if the broker may have forgotten its id.

    Args:
        rules: the rules of the broker.
        seconds: the time since the beginning of the attempt that may have stored it.

    Raises:
        ConnectionFailed: the message may be stored, and a repeat could store it again.
    """
    if seconds >= rules.remembers:
        raise ConnectionFailed(
            f"The message may be stored, and {rules.title} recognises a repeat only within"
            f" {rules.remembers:g} seconds.",
            remedy="Check what is stored, or configure the broker to remember ids for longer.",
            retryable=False,
        )


def publication_of(result: Result[PublishReceipt]) -> Publication:
    """Return from a publish result whether the message is stored, possibly stored or not."""
    if result.error is None:
        return Publication.CERTAIN
    return Publication.POSSIBLE if may_have_acted(result.error) else Publication.NONE


def complete_results(
    results: Sequence[Result[PublishReceipt]],
    failure: Exception,
    rules: BrokerRules,
    *,
    sent: int,
    total: int,
) -> Results[PublishReceipt]:
    """Return the results of a batch whose publication was interrupted.

    Args:
        results: the results of the groups before the interruption.
        failure: the error that interrupted the sending.
        rules: the rules of the broker.
        sent: the number of messages whose sending had begun.
        total: the number of messages.
    """
    interrupted_results: list[Result[PublishReceipt]] = [Result(error=failure)] * (
        sent - len(results)
    )
    remaining_failure = failure
    if sent and publication_of(Result(error=failure)) is Publication.POSSIBLE:
        remaining_failure = publish_error(PublishFault.UNSENT, rules)
    unsent: list[Result[PublishReceipt]] = [Result(error=remaining_failure)] * (total - sent)
    return Results([*results, *interrupted_results, *unsent])


def batch_error(results: Results[PublishReceipt]) -> Exception | None:
    """Return the error of a batch if none of its messages was stored; None otherwise.

    If any message may be stored, the error is that message's error.
    """
    errors = results.errors
    if len(errors) < len(results):
        return None
    uncertain = (error for error in errors if may_have_acted(error))
    return next(uncertain, errors[0])
