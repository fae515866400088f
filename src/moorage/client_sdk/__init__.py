"""The building blocks of generated clients.

`moorage scaffold client` writes a package that uses this module to read, check and write the values
of an API, and to make requests from them. `moorage scaffold messages` writes a package that makes
and reads messages. Each name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from moorage.client_sdk.answers import binary_answer as binary_answer
    from moorage.client_sdk.answers import json_answer as json_answer
    from moorage.client_sdk.answers import no_answer as no_answer
    from moorage.client_sdk.answers import text_answer as text_answer
    from moorage.client_sdk.channels import Channel as Channel
    from moorage.client_sdk.channels import TopicMessage as TopicMessage
    from moorage.client_sdk.channels import json_payload as json_payload
    from moorage.client_sdk.channels import make_message as make_message
    from moorage.client_sdk.channels import text_payload as text_payload
    from moorage.client_sdk.contents import Content as Content
    from moorage.client_sdk.contents import binary_content as binary_content
    from moorage.client_sdk.contents import form_content as form_content
    from moorage.client_sdk.contents import json_content as json_content
    from moorage.client_sdk.contents import multipart_content as multipart_content
    from moorage.client_sdk.contents import text_content as text_content
    from moorage.client_sdk.limits import AS_TEXT as AS_TEXT
    from moorage.client_sdk.limits import Discriminator as Discriminator
    from moorage.client_sdk.limits import Items as Items
    from moorage.client_sdk.limits import Member as Member
    from moorage.client_sdk.limits import Number as Number
    from moorage.client_sdk.limits import OneOf as OneOf
    from moorage.client_sdk.limits import Text as Text
    from moorage.client_sdk.open_enum import UNSET as UNSET
    from moorage.client_sdk.open_enum import OpenEnum as OpenEnum
    from moorage.client_sdk.open_enum import Unset as Unset
    from moorage.client_sdk.parameters import make_request as make_request
    from moorage.client_sdk.parameters import parameter as parameter
    from moorage.client_sdk.parameters import segment as segment
    from moorage.client_sdk.samples import sample as sample
    from moorage.client_sdk.values import read_value as read_value
    from moorage.client_sdk.values import write_value as write_value

_HOME = {
    "AS_TEXT": "limits",
    "Channel": "channels",
    "Content": "contents",
    "Discriminator": "limits",
    "Items": "limits",
    "Member": "limits",
    "Number": "limits",
    "OneOf": "limits",
    "OpenEnum": "open_enum",
    "Text": "limits",
    "TopicMessage": "channels",
    "UNSET": "open_enum",
    "Unset": "open_enum",
    "binary_answer": "answers",
    "binary_content": "contents",
    "form_content": "contents",
    "json_answer": "answers",
    "json_content": "contents",
    "json_payload": "channels",
    "make_message": "channels",
    "make_request": "parameters",
    "multipart_content": "contents",
    "no_answer": "answers",
    "parameter": "parameters",
    "read_value": "values",
    "sample": "samples",
    "segment": "parameters",
    "text_answer": "answers",
    "text_content": "contents",
    "text_payload": "channels",
    "write_value": "values",
}


def __getattr__(name: str) -> Any:
    """Import a name on its first use."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
