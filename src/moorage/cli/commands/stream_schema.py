"""`moorage stream schema`: check changes of schemas before they are made."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from moorage.adapters.schemas.memory import schema_of_file
from moorage.cli.answer import CommandResult
from moorage.cli.commands.stream import selected_pipelines
from moorage.cli.context import Context
from moorage.cli.exit_codes import FAILED, OK
from moorage.cli.places import opened_async
from moorage.config.pipeline_schemas import schema_registry
from moorage.config.problems import key
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from moorage.config.pipelines import PipelineSettings
    from moorage.domain.schemas.schema import Schema


def check(name: str, subject: str, file: str, /, *, context: Context) -> CommandResult:
    """Check whether a schema can be the next version of a subject; exit with 1 if it cannot.

    The pipeline's registry decides by its own rules, and is not changed. For a folder of schemas,
    the new version must be backward compatible.

    Args:
        name: the pipeline whose schema registry is asked.
        subject: the subject, such as orders-value.
        file: the file of the schema: .avsc for Avro, .json for JSON Schema, .protoset for
            Protobuf.
        context: the options that all commands share.
    """
    [settings] = selected_pipelines(context, [name])
    schema = schema_of_file(file)
    reasons = asyncio.run(_reasons(settings, subject, schema, context))
    verdict = "cannot" if reasons else "can"
    line = f"The schema {verdict} be the next version of {subject}."
    value = {"subject": subject, "compatible": not reasons, "reasons": list(reasons)}
    return CommandResult(value, [line, *reasons], code=FAILED if reasons else OK)


async def _reasons(
    settings: PipelineSettings, subject: str, schema: Schema, context: Context
) -> tuple[str, ...]:
    """Return the reasons why the pipeline's registry refuses a schema."""
    path = f"pipelines.{key(settings.name)}.schemas"
    if settings.schemas is None:
        raise ConfigurationError(
            f"The pipeline {settings.name!r} has no schema registry.",
            path=path,
            remedy="Add a table [schemas] with service or folder to the pipeline.",
        )
    async with opened_async(context) as (hub, _):
        return await schema_registry(settings.schemas, hub.manager, path).check(subject, schema)
