"""Interprets exceptions of RabbitMQ's client libraries, without quoting their texts."""

from __future__ import annotations

from typing import Any, Final

from moorage.adapters.messages.network_faults import network_fault
from moorage.domain.messages.publish_failures import PublishFault

_CODES: Final = {
    311: PublishFault.TOO_LARGE,
    403: PublishFault.PERMISSION,
    404: PublishFault.TOPIC,
    405: PublishFault.PERMISSION,
    406: PublishFault.INVALID,
    506: PublishFault.FULL,
}
"""Codes with which RabbitMQ closes a channel: it does not store the message that caused it."""

_CONNECT_FAULTS: Final = {403: PublishFault.PASSWORD, 530: PublishFault.NAMESPACE}
"""Codes with which RabbitMQ refuses a connection."""

_CLASSES: Final = {
    "AuthenticationError": PublishFault.PASSWORD,
    "ProbableAuthenticationError": PublishFault.PASSWORD,
    "ProbableAccessDeniedError": PublishFault.NAMESPACE,
    "ConnectionNotAllowed": PublishFault.NAMESPACE,
    "ChannelAccessRefused": PublishFault.PERMISSION,
    "ChannelNotFoundEntity": PublishFault.TOPIC,
    "ChannelLockedResource": PublishFault.PERMISSION,
    "ChannelPreconditionFailed": PublishFault.INVALID,
    "PublishError": PublishFault.UNROUTABLE,
    "UnroutableError": PublishFault.UNROUTABLE,
    "DeliveryError": PublishFault.REJECTED,
    "NackError": PublishFault.REJECTED,
    "ShortStringTooLong": PublishFault.INVALID,
}
"""Classes of aiormq and pika whose name says what happened."""

_LIBRARIES: Final = frozenset({"aio_pika", "aiormq", "pika", "pamqp"})


def rabbitmq_fault(error: BaseException, *, is_connecting: bool = False) -> PublishFault | None:
    """Return the fault that an exception represents; None if it has another origin.

    Args:
        error: the exception.
        is_connecting: whether it ended the opening of a connection, so nothing was sent.
    """
    causes = _causes(error)
    for cause in causes:
        fault = _fault(cause, is_connecting=is_connecting)
        if fault is not None:
            return fault
    if not any(_is_foreign(cause) for cause in causes):
        return None
    return PublishFault.UNSENT if is_connecting else PublishFault.LOST


def _fault(error: BaseException, *, is_connecting: bool) -> PublishFault | None:
    code = getattr(error, "reply_code", None)
    if is_connecting:
        fault = network_fault(error)
        if fault is not None:
            return fault
        if code in _CONNECT_FAULTS:
            return _CONNECT_FAULTS[code]
        if type(error).__name__ == "InvalidFrameError" and "OpenOk" in str(error.args):
            # aiormq does not expect that the server refuses a virtual host.
            return PublishFault.NAMESPACE
        if _is_of_library(error) and "StreamLostError" in str(error.args):
            # pika takes some lost connections for refusals, but RabbitMQ reports a refusal with a
            # code.
            return PublishFault.UNSENT
    if code in _CODES:
        return _CODES[code]
    return _CLASSES.get(type(error).__name__) if _is_of_library(error) else None


def _causes(error: BaseException) -> list[BaseException]:
    """Return an exception with its causes, the innermost first."""
    causes: list[BaseException] = []
    remaining_values: list[Any] = [error]
    while remaining_values:
        cause = remaining_values.pop()
        if not isinstance(cause, BaseException) or cause in causes:
            continue
        causes.append(cause)
        remaining_values += [
            *cause.args,
            *getattr(cause, "exceptions", ()),
            cause.__cause__,
            getattr(cause, "exception", None),
        ]
    return causes[::-1]


def _is_foreign(error: BaseException) -> bool:
    return isinstance(error, OSError) or _is_of_library(error)


def _is_of_library(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in _LIBRARIES
