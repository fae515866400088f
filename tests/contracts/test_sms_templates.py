"""The value type of messages from templates."""

from __future__ import annotations

from typing import Any

import pytest

from moorage import InvalidData
from moorage.contracts.sms import SmsCapability
from moorage.contracts.sms_templates import TemplateChannel, TemplateMessage
from moorage.contracts.value_codec import pack, unpack

TO = "+4915112345678"


def template(**fields: Any) -> TemplateMessage:
    """Return a message from a template with these fields changed."""
    default_fields: dict[str, Any] = {"to": TO, "channel": "whatsapp", "template": "order_ready"}
    return TemplateMessage(**{**default_fields, **fields})


@pytest.mark.parametrize(
    "variables, expected",
    [
        ((), {}),
        (["Ada", "Q-17"], {"1": "Ada", "2": "Q-17"}),
        ({"customer": "Ada"}, {"customer": "Ada"}),
        ({"1": "Ada"}, {"1": "Ada"}),
    ],
    ids=repr,
)
def test_variables_have_names(variables: Any, expected: dict[str, str]) -> None:
    """Named variables keep their names; variables in a series are named by their positions."""
    assert expected == template(variables=variables).variables


@pytest.mark.parametrize(
    "fields",
    [
        {"to": "015112345678"},
        {"channel": "fax"},
        {"template": " "},
        {"language": ""},
        {"sms_fallback": ""},
        {"variables": "Ada"},
        {"variables": ["Ada", ""]},
        {"variables": [7]},
        {"variables": {"Ada"}},
        {"variables": frozenset({"Ada"})},
        {"variables": {"first name": "Ada"}},
        {"variables": {"": "Ada"}},
    ],
    ids=repr,
)
def test_wrong_messages_are_refused(fields: dict[str, Any]) -> None:
    """A message needs a number, a known channel, a template, and texts as variables."""
    with pytest.raises(InvalidData) as excinfo:
        template(**fields)

    assert "Ada" not in str(excinfo.value)


def test_needed_capabilities_of_a_template() -> None:
    """The capabilities that a message from a template needs follow from its fields."""
    assert {SmsCapability.TEMPLATES, SmsCapability.WHATSAPP} == template().needs
    rich = template(
        channel=TemplateChannel.RCS,
        sender_pool="MG1",
        sms_fallback="Your order is ready.",
        callback_url="https://erp.example/hooks/texts",
    )
    assert rich.needs == {
        SmsCapability.TEMPLATES,
        SmsCapability.RCS,
        SmsCapability.SENDER_POOL,
        SmsCapability.SMS_FALLBACK,
        SmsCapability.CALLBACK,
    }


def test_a_template_can_be_stored() -> None:
    """A message from a template is packed and read back equal, with variables by name."""
    message = template(variables=["Ada", "Q-17"], language="en", sms_fallback="It is ready.")

    assert message == unpack(pack(message))


def test_repr_of_a_template_message_shows_no_personal_data() -> None:
    """The repr of a message from a template shows no number, variable or text."""
    message = template(variables=["Ada"], sms_fallback="It is ready.")

    for private_text in (TO, "Ada", "ready."):
        assert private_text not in repr(message)
