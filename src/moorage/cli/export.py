"""`moorage export`: what is configured, for other people's tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from moorage.cli.answer import Answer
from moorage.cli.desk import Desk
from moorage.cli.streams import as_json
from moorage.config import json_schema
from moorage.errors import ConfigurationError
from moorage.exporting import described, openapi, postman


def export_schema(*, output: Path | None = None, desk: Desk) -> Answer:
    """Write the JSON Schema of configurations, by which editors complete and check them.

    It has the options of every vendor that is installed.

    Args:
        output: the file that it goes to; the standard output if not.
        desk: what all commands share.
    """
    return _handed(json_schema(), output)


def export_postman(*, output: Path | None = None, desk: Desk) -> Answer:
    """Write a Postman collection of what the configured vendors will be sent.

    Secrets are variables without values.

    Args:
        output: the file that it goes to; the standard output if not.
        desk: what all commands share.
    """
    return _handed(postman(described(desk.configured())), output)


def export_openapi(*, output: Path | None = None, desk: Desk) -> Answer:
    """Write an OpenAPI 3.1 description of what the configured vendors will be sent.

    Secrets are variables without values.

    Args:
        output: the file that it goes to; the standard output if not.
        desk: what all commands share.
    """
    return _handed(openapi(described(desk.configured())), output)


def _handed(document: dict[str, Any], output: Path | None) -> Answer:
    if output is None:
        return Answer(document, [as_json(document, indent=2)])
    text = json.dumps(document, indent=2, ensure_ascii=False)
    try:
        output.write_text(f"{text}\n", "utf-8")
    except OSError as error:
        problem = f"{output} cannot be written ({error.strerror})."
    else:
        return Answer({"written": str(output)}, [f"written to {output}"])
    raise ConfigurationError(problem, path="--output", remedy="Name a file that can be written.")
