"""Conversion of the exceptions of pika and aio-pika to moorage's faults, without a server."""

from __future__ import annotations

import asyncio
import socket
import ssl
import warnings
from threading import Thread

import aiormq.exceptions
import pika.exceptions
import pytest

from moorage import Secret
from moorage.adapters.messages._rabbitmq_faults import rabbitmq_fault
from moorage.adapters.messages._rabbitmq_transport import BoundedConnection
from moorage.adapters.messages.rabbitmq import RabbitMq, connecting_error
from moorage.domain.messages.publish_failures import PublishFault


@pytest.mark.parametrize(
    "error, fault",
    [
        (pika.exceptions.ChannelClosedByBroker(404, "no exchange"), PublishFault.TOPIC),
        (pika.exceptions.ChannelClosedByBroker(403, "access refused"), PublishFault.PERMISSION),
        (pika.exceptions.ChannelClosedByBroker(406, "too large"), PublishFault.INVALID),
        (pika.exceptions.ConnectionClosedByBroker(320, "forced"), PublishFault.LOST),
        (pika.exceptions.ConnectionClosedByBroker(506, "resources"), PublishFault.FULL),
        (pika.exceptions.StreamLostError("gone"), PublishFault.LOST),
        (pika.exceptions.ShortStringTooLong(), PublishFault.INVALID),
        (aiormq.exceptions.ChannelNotFoundEntity("no exchange"), PublishFault.TOPIC),
        (aiormq.exceptions.ChannelPreconditionFailed("x"), PublishFault.INVALID),
        (aiormq.exceptions.ChannelAccessRefused("x"), PublishFault.PERMISSION),
        (aiormq.exceptions.AMQPConnectionError("x"), PublishFault.LOST),
        (ConnectionResetError(), PublishFault.LOST),
        (KeyError("x"), None),
    ],
)
def test_exception_while_publishing_becomes_a_fault(
    error: Exception, fault: PublishFault | None
) -> None:
    """If pika or aio-pika raises while publishing, the exception becomes the matching fault."""
    assert rabbitmq_fault(error) is fault
    assert (RabbitMq(url=Secret("amqp://host")).translate_error(error) is None) is (fault is None)


@pytest.mark.parametrize(
    "error, fault",
    [
        (socket.gaierror(), PublishFault.HOST),
        (ssl.SSLError(), PublishFault.TLS),
        (ConnectionRefusedError(), PublishFault.REFUSED),
        (TimeoutError(), PublishFault.SLOW_CONNECT),
        (pika.exceptions.ProbableAuthenticationError("403"), PublishFault.PASSWORD),
        (pika.exceptions.ProbableAuthenticationError("StreamLostError: x"), PublishFault.UNSENT),
        (pika.exceptions.ProbableAccessDeniedError("StreamLostError: x"), PublishFault.UNSENT),
        (pika.exceptions.ConnectionClosedByBroker(403, "refused"), PublishFault.PASSWORD),
        (pika.exceptions.ConnectionClosedByBroker(530, "no host"), PublishFault.NAMESPACE),
        (aiormq.exceptions.InvalidFrameError("not Connection.OpenOk"), PublishFault.NAMESPACE),
        (aiormq.exceptions.InvalidFrameError("x"), PublishFault.UNSENT),
        (pika.exceptions.StreamLostError("gone"), PublishFault.UNSENT),
        (KeyError("x"), None),
    ],
)
def test_exception_while_connecting_becomes_a_fault(
    error: Exception, fault: PublishFault | None
) -> None:
    """If pika or aio-pika raises while connecting, the exception becomes the matching fault."""
    assert rabbitmq_fault(error, is_connecting=True) is fault
    assert (connecting_error(error) is None) is (fault is None)


def test_innermost_cause_decides() -> None:
    """The innermost cause of an exception decides which fault it is, even in a circle of causes."""
    outer = aiormq.exceptions.AMQPConnectionError("x")
    cause = socket.gaierror()
    outer.__cause__, cause.__cause__ = cause, outer
    assert rabbitmq_fault(outer, is_connecting=True) is PublishFault.HOST


def test_collected_connection_leaves_no_coroutine_behind() -> None:
    """If another thread garbage-collects a never opened connection, no coroutine is started."""

    async def unopened_connection() -> BoundedConnection:
        return BoundedConnection("amqp://127.0.0.1:1/")

    with asyncio.Runner() as runner, warnings.catch_warnings(record=True) as excinfo:
        warnings.simplefilter("always")
        connections = [runner.run(unopened_connection())]
        thread = Thread(target=connections.clear)
        thread.start()
        thread.join()
    assert [] == [str(warning.message) for warning in excinfo]
