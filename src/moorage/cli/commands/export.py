"""`moorage export`: describe the configured vendors for other tools."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from moorage.adapters.files.whole_files import WholeFile
from moorage.cli.answer import CommandResult
from moorage.cli.context import Context
from moorage.cli.streams import as_json
from moorage.config import json_schema
from moorage.errors import ConfigurationError
from moorage.exporting import (
    describe_requests,
    grafana_dashboard,
    openapi,
    postman,
    prometheus_rules,
)


def export_schema(*, output: Path | None = None, context: Context) -> CommandResult:
    """Write the configuration's JSON Schema, for completion and checks in editors.

    The schema has the options of every installed vendor.

    Args:
        output: the file to write, instead of the standard output.
        context: the options that all commands share.
    """
    return _write_export(json_schema(), output)


def export_postman(*, output: Path | None = None, context: Context) -> CommandResult:
    """Write a Postman collection of the requests to the configured vendors.

    Secrets become variables without values.

    Args:
        output: the file to write, instead of the standard output.
        context: the options that all commands share.
    """
    return _write_export(postman(describe_requests(context.configured())), output)


def export_openapi(*, output: Path | None = None, context: Context) -> CommandResult:
    """Write an OpenAPI 3.1 description of the requests to the configured vendors.

    Secrets become variables without values.

    Args:
        output: the file to write, instead of the standard output.
        context: the options that all commands share.
    """
    return _write_export(openapi(describe_requests(context.configured())), output)


def export_grafana(*, output: Path | None = None, context: Context) -> CommandResult:
    """Write a Grafana dashboard of the metrics of the Prometheus observer.

    Args:
        output: the file to write, instead of the standard output.
        context: the options that all commands share.
    """
    return _write_export(grafana_dashboard(), output)


def export_prometheus(*, output: Path | None = None, context: Context) -> CommandResult:
    """Write recording and alerting rules for Prometheus.

    Prometheus can read the file, because JSON is valid YAML.

    Args:
        output: the file to write, instead of the standard output.
        context: the options that all commands share.
    """
    return _write_export(prometheus_rules(), output)


def _write_export(document: dict[str, Any], output: Path | None) -> CommandResult:
    if output is None:
        return CommandResult(document, [as_json(document, indent=2)])
    text = json.dumps(document, indent=2, ensure_ascii=False)
    try:
        _write_file(output, f"{text}\n".encode())
    except OSError as error:
        problem = f"The file {output} cannot be written ({error.strerror})."
    else:
        return CommandResult({"written": str(output)}, [f"written to {output}"])
    raise ConfigurationError(problem, path="--output", remedy="Name a writable file.")


def _write_file(output: Path, content: bytes) -> None:
    """Write a file that is either complete or unchanged; write to a pipe or a device directly.

    If the path is a symbolic link, the file that it leads to is replaced.
    """
    if output.exists() and not output.is_file():
        output.write_bytes(content)
        return
    target = output.resolve()
    is_new = not target.exists()
    with WholeFile(target) as file:
        if is_new:
            file.allow(0o666 & ~_umask())
        file.write(content)
        file.keep()


def _umask() -> int:
    """Return the permissions that new files of this process do not have."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
