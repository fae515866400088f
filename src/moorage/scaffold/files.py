"""Writes files into a folder without overwriting existing ones."""

from __future__ import annotations

import os.path
from typing import TYPE_CHECKING

from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def write(texts: Mapping[str, str], folder: Path, *, force: bool = False) -> list[Path]:
    """Write texts to their paths in a folder, and return the paths of the files.

    Args:
        texts: the texts by path.
        folder: the folder to create.
        force: overwrite existing files.

    Raises:
        ConfigurationError: a file exists already, in which case nothing was written; or a file
            cannot be written.
    """
    paths = {folder / path: text for path, text in texts.items()}
    existing_paths = [path for path in paths if os.path.lexists(path)]
    if existing_paths and not force:
        others = len(existing_paths) - 1
        more = f", as {'does 1 more file' if others == 1 else f'do {others} more files'}"
        raise ConfigurationError(
            f"The file {existing_paths[0]} already exists{more if others else ''}.",
            path="--into",
            remedy="Use another folder, or overwrite the files with --force.",
        )
    for path, text in paths.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8", newline="\n")
        except OSError as error:
            problem = f"The file {path} cannot be written ({error.strerror})."
        else:
            continue
        raise ConfigurationError(problem, path="--into", remedy="Name a writable folder.")
    return [*paths]
