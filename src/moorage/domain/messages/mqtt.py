"""MQTT messages, and the meaning of the reason codes of MQTT brokers.

Laws:

1. A code below 128 is a success, including the code for a message without subscribers.
2. A message that is acknowledged with a failure code was not stored.
3. A message that was sent and not acknowledged may be stored.
4. A broker that ends a connection with a reason refuses the message that was under way, if it was
   the only one and the reason concerns messages. Otherwise each message may be stored.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

import attrs

from moorage.domain.messages.broker_rules import KEY_HEADER, BrokerRules, headers_of
from moorage.domain.messages.publish_failures import PublishFault, publish_error
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConfigurationError, ConnectionFailed

if TYPE_CHECKING:
    from moorage.domain.messages.message import OutgoingMessage
    from moorage.errors import ConnectorError

MESSAGE_ID: Final = "message-id"
"""The MQTT user property with the id of a message."""

LARGEST_PACKET: Final = 268_435_460
"""The maximum size of an MQTT packet in bytes."""

LONGEST_TEXT: Final = 65_535
"""The maximum size of an MQTT text in bytes."""

_FIRST_FAILURE: Final = 0x80

# Brokers may end the connection of a client that sends control characters or noncharacters.
_CONTROLS: Final = r"\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff" + "".join(
    rf"\U{plane:04x}fffe\U{plane:04x}ffff" for plane in range(1, 17)
)


class MqttVersion(Enum):
    """A version of the MQTT protocol."""

    V5 = "5"
    V311 = "3.1.1"


RULES: Final = BrokerRules(
    system="mqtt",
    title="MQTT",
    topic_pattern=late_pattern(rf"(?!\$share/)[^+#{_CONTROLS}]+"),
    longest_name=LONGEST_TEXT,
    largest=LARGEST_PACKET,
    longest_header=LONGEST_TEXT,
    header_name=late_pattern(rf"[^{_CONTROLS}]+"),
    header_value=late_pattern(rf"[^{_CONTROLS}]*"),
    binary_headers=False,
    repeated_headers=True,
    reserved=frozenset({KEY_HEADER, MESSAGE_ID}),
    has_keys=False,
)
"""The rules of MQTT 5, which does not recognise repeated messages."""

RULES_311: Final = attrs.evolve(RULES, title="MQTT 3.1.1", has_headers=False)
"""The rules of MQTT 3.1.1, whose messages have only a topic and a payload."""


@attrs.frozen(kw_only=True)
class MqttLimits:
    """The limits that an MQTT broker announces when it accepts a connection.

    Attributes:
        in_flight: the maximum number of unacknowledged messages.
        largest_packet: the maximum number of bytes of a packet.
        highest_qos: the highest quality of service.
        retains: whether the broker retains messages.
        identifies: whether the broker tells to which subscription a message belongs.
        keepalive: the seconds after which the broker gives up a silent client; None if it accepts
            the client's value.
    """

    in_flight: int = 65_535
    largest_packet: int = LARGEST_PACKET
    highest_qos: int = 2
    retains: bool = True
    identifies: bool = False
    keepalive: int | None = None

    def refusal(self, *, qos: int, retain: bool) -> ConfigurationError | None:
        """Return the error if the broker lacks the given QoS or retained messages; else None."""
        if qos > self.highest_qos:
            return ConfigurationError(
                f"The broker does not support a QoS above {self.highest_qos}.",
                path="qos",
                remedy="Set qos = 1, or allow a higher QoS on the broker.",
            )
        if retain and not self.retains:
            return ConfigurationError(
                "The broker does not support retained messages.",
                path="retain",
                remedy="Set retain = false, or allow retained messages on the broker.",
            )
        return None


def user_properties(item: OutgoingMessage) -> list[tuple[str, str]]:
    """Return the MQTT user properties of a message: its headers, key and id."""
    properties = [(name, str(value)) for name, value in headers_of(item.message, RULES)]
    if item.id is not None:
        properties.append((MESSAGE_ID, item.id))
    return properties


_PUBLISH_FAULTS: Final = {
    0x87: PublishFault.PERMISSION,
    0x90: PublishFault.INVALID,
    0x97: PublishFault.FULL,
    0x99: PublishFault.INVALID,
}
"""The faults for the failure codes of MQTT acknowledgements."""

_ENDING_FAULTS: Final = {
    0x90: PublishFault.INVALID,
    0x95: PublishFault.TOO_LARGE,
    0x99: PublishFault.INVALID,
    0x9A: PublishFault.INVALID,
    0x9B: PublishFault.INVALID,
}
"""The faults for the codes with which an MQTT broker disconnects because of a message."""

_CONNECT_FAULTS: Final = {
    # MQTT 3.1.1
    3: PublishFault.STARTING,
    4: PublishFault.PASSWORD,
    5: PublishFault.PASSWORD,
    # MQTT 5
    0x86: PublishFault.PASSWORD,
    0x87: PublishFault.PASSWORD,
    0x88: PublishFault.STARTING,
    0x89: PublishFault.STARTING,
    0x8A: PublishFault.PASSWORD,
    0x8C: PublishFault.PASSWORD,
    0x97: PublishFault.FULL,
    0x9F: PublishFault.FULL,
}
"""The faults for the codes with which an MQTT broker refuses a connection."""

_UNSUPPORTED_VERSION: Final = frozenset({1, 0x84})
_INVALID_CLIENT_ID: Final = frozenset({2, 0x85})
_OTHER_SERVER: Final = frozenset({0x9C, 0x9D})


def is_failure(code: int) -> bool:
    """Return whether an MQTT acknowledgement's code means that the message was refused."""
    return code >= _FIRST_FAILURE


def publish_fault(code: int) -> PublishFault:
    """Return the fault that a code in an MQTT acknowledgement stands for."""
    return _PUBLISH_FAULTS.get(code, PublishFault.REJECTED)


def ending_fault(code: int | None, unacknowledged: int) -> PublishFault:
    """Return the fault of unacknowledged messages when an MQTT connection ends.

    Args:
        code: the code with which the broker ended the connection; None if it gave none.
        unacknowledged: the number of these messages.
    """
    if code is None or unacknowledged != 1:
        return PublishFault.LOST
    return _ENDING_FAULTS.get(code, PublishFault.LOST)


def connect_error(code: int, version: MqttVersion) -> ConnectorError:
    """Return the error for a code with which an MQTT broker refuses a connection.

    Args:
        code: the code.
        version: the version of the protocol that the broker was asked for.
    """
    if code in _UNSUPPORTED_VERSION:
        other_versions = [item.value for item in MqttVersion if item is not version]
        return ConfigurationError(
            f"The broker does not support MQTT {version.value}.",
            path="protocol",
            remedy=f'Set protocol = "{other_versions[0]}".',
        )
    if code in _INVALID_CLIENT_ID:
        return ConfigurationError(
            "The broker refused the client id.",
            path="client_id",
            remedy="Set another `client_id` that contains only letters and digits.",
        )
    if code in _OTHER_SERVER:
        return ConfigurationError(
            "The broker tells its clients to use another server.",
            path="url",
            remedy="Configure the address of that server.",
        )
    fault, vendor_code = _CONNECT_FAULTS.get(code), f"0x{code:02X}"
    if fault is not None:
        return publish_error(fault, RULES, code=vendor_code)
    return ConnectionFailed(
        f"The broker refused the connection because of an internal error (code {vendor_code}).",
        may_have_been_processed=False,
        remedy="Check the broker's log, and check that the server is an MQTT broker.",
    )
