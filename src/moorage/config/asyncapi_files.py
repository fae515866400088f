"""Reads AsyncAPI descriptions from files of JSON or YAML."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from moorage.config.openapi_files import parsed_description
from moorage.domain.asyncapi.description import AsyncApi

if TYPE_CHECKING:
    from pathlib import Path


def read_asyncapi(file: Path) -> AsyncApi:
    """Return the AsyncAPI description in a file.

    Raises:
        ConfigurationError: the file cannot be read.
        DescriptionRefused: the file is not an AsyncAPI description of version 2 or 3.
    """
    return AsyncApi(cast("dict[str, Any]", parsed_description(file)))
