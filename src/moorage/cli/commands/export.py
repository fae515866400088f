"""`moorage export`: describe the configured vendors for other tools."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
        output.write_text(f"{text}\n", "utf-8")
    except OSError as error:
        problem = f"The file {output} cannot be written ({error.strerror})."
    else:
        return CommandResult({"written": str(output)}, [f"written to {output}"])
    raise ConfigurationError(problem, path="--output", remedy="Name a writable file.")
