"""Assembles the files of a package for messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import attrs

from moorage.domain.openapi.document import UnmappedOperation
from moorage.errors import DescriptionRefused, Problem
from moorage.scaffold.client.code import models_module, one_line
from moorage.scaffold.client.message_code import messages_module
from moorage.scaffold.client.messages import make_functions, read_function
from moorage.scaffold.client.project import ROUND_TRIP_TEST, project_file
from moorage.scaffold.client.referenced_classes import needed_declarations, needed_names
from moorage.scaffold.client.schemas import Schemas
from moorage.scaffold.naming import checked_name

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from moorage.domain.asyncapi.description import AsyncApi
    from moorage.scaffold.client.messages import MakeFunction, MessageFunction, ReadFunction

Role: TypeAlias = Literal["application", "client"]


@attrs.frozen(kw_only=True)
class MessageOptions:
    """The options of a generated package for messages.

    Attributes:
        role: "client" if the program talks to the described application, and "application" if it
            is that application.
        operations: the names of the operations to include; None for all.
        skip_unmapped: True to leave out operations that cannot be mapped.
        keep_unknown: True if objects keep members that the description does not name.
        check_received: True to check the limits of received values.
    """

    role: Role = "client"
    operations: frozenset[str] | None = None
    skip_unmapped: bool = False
    keep_unknown: bool = True
    check_received: bool = False


def message_files(api: AsyncApi, name: str, options: MessageOptions) -> dict[str, str]:
    """Return the files of a package for messages, by path.

    Args:
        api: the description.
        name: the name of the described application; the package has the name `NAME_messages`.
        options: the options.

    Raises:
        DescriptionRefused: parts of the description cannot be mapped, and are not to be skipped.
        ConfigurationError: the name is not valid.
    """
    package = f"{checked_name(name, ())}_messages"
    schemas = Schemas(api.document, keep_unknown=options.keep_unknown)
    makers, readers, problems = _functions(api, schemas, options)
    functions: list[MessageFunction] = [*makers, *readers]
    if problems and not options.skip_unmapped:
        raise DescriptionRefused.of(problems)
    if not functions:
        raise DescriptionRefused.of(
            problems or [Problem("#", "The description has no operation.", "Describe one.")]
        )
    kinds = [kind for item in functions for kind in item.kinds]
    title = one_line(api.title, 60).rstrip(".")
    texts = {
        "README.md": _readme(api, package, makers, readers, problems),
        "pyproject.toml": project_file(package),
        f"src/{package}/__init__.py": _init(package, title),
        f"src/{package}/messages.py": messages_module(
            makers, readers, title, package=package, checks=options.check_received
        ),
        f"src/{package}/models.py": models_module(needed_declarations(kinds, schemas), title),
        f"src/{package}/py.typed": "",
        f"tests/test_{package}.py": _TESTS.format(package=package, round_trip=ROUND_TRIP_TEST),
    }
    return dict(sorted(texts.items()))


def _functions(
    api: AsyncApi, schemas: Schemas, options: MessageOptions
) -> tuple[list[MakeFunction], list[ReadFunction], list[Problem]]:
    """Return the functions for an API description, and problems of operations without one."""
    operations, skipped_problems = api.map_operations(options.operations)
    problems, taken_names = [*skipped_problems], set[str]()
    makers: list[MakeFunction] = []
    readers: list[ReadFunction] = []
    is_sent = "receive" if options.role == "client" else "send"
    for operation in operations:
        try:
            if operation.action == is_sent:
                makers += make_functions(operation, api.document, schemas, taken_names)
            else:
                readers.append(read_function(operation, schemas, taken_names))
        except UnmappedOperation as error:
            problems.append(error.problem)
    functions: list[MessageFunction] = [*makers, *readers]
    for item in functions:
        if needed_names(item.kinds, schemas) is None:
            place = item.operation.node.pointer
            problems.append(
                Problem(place, "The operation needs a schema that is not mapped.", "See there.")
            )
    return (
        [item for item in makers if needed_names(item.kinds, schemas) is not None],
        [item for item in readers if needed_names(item.kinds, schemas) is not None],
        [*dict.fromkeys(problems)],
    )


def _init(package: str, title: str) -> str:
    return (
        f'"""The messages of {title}."""\n\n'
        "from __future__ import annotations\n\n"
        f"from {package} import messages, models\n\n"
        '__all__ = ["messages", "models"]\n'
    )


def _readme(
    api: AsyncApi,
    package: str,
    makers: Sequence[MakeFunction],
    readers: Sequence[ReadFunction],
    problems: Collection[Problem],
) -> str:
    lines = [
        f"# {one_line(api.title, 60).rstrip('.')}",
        "",
        f"This package makes {len(makers)} and reads {len(readers)} kinds of described messages.",
    ]
    if makers:
        lines += [
            "",
            "```python",
            f"from {package} import messages",
            "",
            f"topic, message = messages.{makers[0].name}(…)",
            'receipt = manager.perform("events", publisher.publish(topic, message))',
            "```",
        ]
    if readers:
        lines += [
            "",
            "```python",
            "async def store(record: SinkRecord) -> None:",
            f"    value = messages.{readers[0].name}(record.payload)",
            "```",
        ]
    lines += ["", "## What there is to do", ""]
    for server in api.servers:
        kind = "no kind of connector" if server.kind is None else f'`kind = "{server.kind}"`'
        lines.append(
            f"- {one_line(server.name, 60).rstrip('.')}, at {one_line(server.address, 200)[:-1]},"
            f" speaks {one_line(server.protocol, 40)[:-1]}: {kind}."
        )
    lines += [
        "- Run the tests: `python -m pytest`.",
        "- Generate the package again when the description changes, with the same options.",
    ]
    if problems:
        lines += ["", "## What is not mapped", ""]
        lines += [f"- `{problem.path}`: {one_line(problem.found, 200)}" for problem in problems]
    return "\n".join([*lines, ""])


_TESTS: Final = '''\
"""The classes of the messages survive a round trip, and each message has a topic."""

from __future__ import annotations

import inspect
from typing import Any, get_type_hints

import attrs
import pytest
from moorage.client_sdk import Channel, Member, TopicMessage, read_value, sample, write_value

from {package} import messages, models

MAKERS = [name for name in messages.__all__ if name.startswith("make_")]
CHANNELS = [value for value in vars(messages).values() if isinstance(value, Channel)]

{round_trip}

@pytest.mark.parametrize("name", MAKERS)
def test_message_has_a_topic_of_a_channel(name: str) -> None:
    """The topic of each message belongs to a channel."""
    function = getattr(messages, name)
    hints = get_type_hints(function, include_extras=True)
    arguments = {{
        item.name: sample(hints[item.name])
        for item in inspect.signature(function).parameters.values()
        if item.default is item.empty
    }}
    made = function(**arguments)
    assert isinstance(made, TopicMessage)
    assert any(channel.has(made.topic) for channel in CHANNELS)
'''
