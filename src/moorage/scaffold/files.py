"""Writes files into a folder without overwriting existing ones."""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING

from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write(texts: Mapping[str, str], folder: Path, *, force: bool = False) -> list[Path]:
    """Write texts under their paths into a folder, and tell which files these are.

    Args:
        texts: by path.
        folder: where they go; it is made.
        force: write over what is there.

    Raises:
        ConfigurationError: something is there already, or cannot be written; if it is there,
            nothing was written.
    """
    paths = {folder / path: text for path, text in texts.items()}
    there = [path for path in paths if os.path.lexists(path)]
    if there and not force:
        raise ConfigurationError(
            f"{there[0]} is there already"
            + (f", and {len(there) - 1} more files are." if there[1:] else "."),
            path="--into",
            remedy="Name another folder, or write over them with --force.",
        )
    for path, text in paths.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8", newline="\n")
        except OSError as error:
            problem = f"{path} cannot be written ({error.strerror})."
        else:
            continue
        raise ConfigurationError(problem, path="--into", remedy="Name a folder of yours.")
    return [*paths]
