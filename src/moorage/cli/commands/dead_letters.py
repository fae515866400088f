"""`moorage stream dlq`: list, show, replay and drop the dead letters in files."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.dead_letters.json_lines import DeadLetterFile, DeadLetterSource
from moorage.cli.answer import CommandResult, Table
from moorage.cli.commands.stream import selected_pipelines
from moorage.cli.context import Context
from moorage.cli.exit_codes import FAILED, OK
from moorage.cli.numbers import Count
from moorage.cli.places import import_from_working_folder, opened_async
from moorage.config.pipelines import LetterFile
from moorage.errors import ConfigurationError, InvalidData

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moorage.config.pipelines import PipelineSettings
    from moorage.domain.pipelines.settings import DeadLetter, PipelineReport

_COLUMNS: Final = ("letter", "at", "error", "message", "topic", "offset", "attempts")


def list_letters(name: str, /, *, limit: Count = 50, context: Context) -> CommandResult:
    """List the dead letters of a pipeline, the oldest first, without their payloads.

    Args:
        name: the pipeline, which must store its dead letters in a file.
        limit: the maximum number of letters.
        context: the options that all commands share.
    """
    _, file = _opened_letters(name, context)
    letters = file.letters()
    rows = [_row(*entry) for entry in letters[:limit]]
    table = Table(_COLUMNS, [[row[column] for column in _COLUMNS] for row in rows])
    total = f"{len(letters)} dead letters in all."
    return CommandResult({"letters": rows, "total": len(letters)}, [table, total])


def show(name: str, letter: str, /, *, context: Context) -> CommandResult:
    """Show a dead letter with its payload.

    Args:
        name: the pipeline.
        letter: the id of the letter.
        context: the options that all commands share.
    """
    _, file = _opened_letters(name, context)
    [(entry, letter_record)] = _chosen_letters(file, [letter], everything=False)
    record = letter_record.record
    try:
        payload = {"payload": record.text}
    except InvalidData:
        payload = {"payload_base64": b64encode(record.payload).decode()}
    row = {
        **_row(entry, letter_record),
        "key": None if record.key is None else record.key.decode(errors="backslashreplace"),
        "headers": [
            [header, value if isinstance(value, str) else value.decode(errors="backslashreplace")]
            for header, value in record.attributes
        ],
        **payload,
    }
    return CommandResult(row, [f"{field}: {value}" for field, value in row.items()])


def replay(
    name: str, /, *letters: str, everything: bool = False, context: Context
) -> CommandResult:
    """Process dead letters again, and remove those that succeed.

    The transforms and the sink of the pipeline process them. A letter that fails again is added
    anew at the end of the file; then the command exits with 1.

    Args:
        name: the pipeline.
        letters: the ids of the letters.
        everything: replay all letters.
        context: the options that all commands share.
    """
    settings, file = _opened_letters(name, context)
    ids = [entry for entry, _ in _chosen_letters(file, letters, everything=everything)]
    import_from_working_folder()
    numbers = asyncio.run(_replay(settings, DeadLetterSource(file, ids), context)).statistics
    document = {
        "processed": numbers.processed,
        "dropped": numbers.dropped,
        "dead_letters": numbers.dead_letters,
    }
    line = f"replayed: {numbers.processed} processed, {numbers.dead_letters} failed again"
    return CommandResult(document, [line], code=FAILED if numbers.dead_letters else OK)


def drop(name: str, /, *letters: str, everything: bool = False, context: Context) -> CommandResult:
    """Delete dead letters without processing them; refused during a replay.

    Args:
        name: the pipeline.
        letters: the ids of the letters.
        everything: remove all letters.
        context: the options that all commands share.
    """
    _, file = _opened_letters(name, context)
    ids = [entry for entry, _ in _chosen_letters(file, letters, everything=everything)]
    file.drop(ids)
    return CommandResult({"dropped": ids}, [f"dropped: {len(ids)} dead letters"])


def _opened_letters(name: str, context: Context) -> tuple[PipelineSettings, DeadLetterFile]:
    """Return a pipeline and the file of its dead letters.

    Raises:
        ConfigurationError: the dead letters are not in a file.
    """
    [settings] = selected_pipelines(context, [name])
    if isinstance(settings.dead_letters, LetterFile):
        return settings, DeadLetterFile(settings.dead_letters.file)
    raise ConfigurationError(
        f"The pipeline {name!r} has no file for dead letters.",
        path=f"pipelines.{name}.dead_letters",
        remedy="Set file = 'dead-letters.jsonl' in this table. To read dead letters from a"
        " topic, configure another pipeline.",
    )


def _chosen_letters(
    file: DeadLetterFile, ids: Sequence[str], *, everything: bool
) -> list[tuple[str, DeadLetter]]:
    """Return the dead letters with these ids, or all dead letters of the file.

    Raises:
        ConfigurationError: no letter is named, or one is not in the file.
    """
    letters = file.letters()
    if everything != (not ids):
        raise ConfigurationError(
            "The command needs the ids of dead letters, or --everything alone.",
            path="letters",
            remedy="Pass ids that `moorage stream dlq list` shows, or only --everything.",
        )
    missing_id = next((name for name in ids if name not in dict(letters)), None)
    if missing_id is None:
        return [entry for entry in letters if everything or entry[0] in ids]
    raise ConfigurationError(
        f"No dead letter has the id {missing_id[:80]!r}.",
        path="letters",
        remedy="Pass an id that `moorage stream dlq list` shows.",
    )


async def _replay(
    settings: PipelineSettings, source: DeadLetterSource, context: Context
) -> PipelineReport:
    from moorage.config.pipeline_building import build_pipeline  # noqa: PLC0415 - only this command

    async with opened_async(context) as (hub, storage):
        return await build_pipeline(settings, hub, storage, source).run()


def _row(name: str, letter: DeadLetter) -> dict[str, Any]:
    record = letter.record
    return {
        "letter": name,
        "at": letter.at.isoformat(timespec="seconds"),
        "error": letter.error,
        "message": letter.message,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "attempts": letter.attempts,
    }
