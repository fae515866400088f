"""What text can be written as bytes, and kept by any database."""

from __future__ import annotations


def is_encodable(text: str) -> bool:
    """Tell whether the text has a UTF-8 form, which lone surrogates have not.

    It answers rather than raises: Python's own error carries the whole text.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def storable(text: str) -> str:
    """The text with question marks for what no database need take: half characters, and NUL."""
    return text.encode(errors="replace").decode().replace("\0", "?")
