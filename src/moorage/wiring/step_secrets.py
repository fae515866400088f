"""The secrets of steps, looked up by reference."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from moorage.domain.secrets.secret import Secret
from moorage.errors import CredentialNotFound

_ENVIRONMENT: Final = "secret://env/"
_FILE: Final = "secret://file/"


def referenced_secret(reference: str) -> Secret:
    """Return the secret that a reference names, such as secret://env/TOKEN.

    Raises:
        CredentialNotFound: the variable is not set or empty, the file cannot be read or is empty,
            or the reference names neither a variable nor a file.
    """
    value: str | bytes = ""
    # A ValueError means that the name contains a character that no name can have.
    with suppress(OSError, ValueError):
        if reference.startswith(_ENVIRONMENT):
            value = os.environ.get(reference.removeprefix(_ENVIRONMENT), "")
        elif reference.startswith(_FILE):
            value = Path(reference.removeprefix(_FILE)).read_bytes().strip(b"\r\n")
    if value:
        return Secret(value)
    # A string that is not a reference may be the secret itself.
    shown = f"{reference[:100]!r} " if "://" in reference else ""
    raise CredentialNotFound(
        f"The secret {shown}of the step cannot be found, or is empty.",
        remedy="Write secret://env/NAME for a variable of this process or secret://file/PATH, or"
        " pass a function that looks up other references.",
    )
