"""Finds the words in a vendor's tables that none of the vendor's documents contains.

Each file in `tests/vendors/documented` names documents of a vendor, and lists for each meaning in a
table of the vendor's modules the words that were found in these documents; `has` lists the members
of a set. `python -m tools.documented_words adyen FOLDER` prints the words of `adyen.toml` that no
file below FOLDER has, which contains the documents.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moorage import errors
from tools.command_line import tool_parser

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER: Final = Path(__file__).parents[1] / "tests" / "vendors" / "documented"


def entries_of(vendor: str) -> Iterator[tuple[str, str, str]]:
    """Yield each entry's table, word and meaning; members of a set have the meaning "has"."""
    file: dict[str, Any] = tomllib.loads((FOLDER / f"{vendor}.toml").read_text("utf-8"))
    del file["documents"]
    for table, meanings in file.items():
        for meaning, words in meanings.items():
            separate_words: list[str] = words.split() if isinstance(words, str) else words
            yield from ((table, word, meaning) for word in separate_words)


def undocumented_words(vendor: str, folder: Path) -> list[str]:
    """Return the vendor's words, as keys or values of its tables, that no document contains."""
    documents = "\n".join(
        path.read_text("utf-8", "replace") for path in sorted(folder.rglob("*")) if path.is_file()
    )
    words = {part for _, *entry in entries_of(vendor) for part in entry if part}
    return sorted(
        word
        for word in words
        if not re.fullmatch(r"[A-Z]\w+\.[A-Z_0-9]+", word)
        and not hasattr(errors, word)
        and word not in {"False", "True", "has"}
        and not re.search(rf"(?<!\w){re.escape(word)}(?!\w)", documents)
    )


if __name__ == "__main__":
    PARSER = tool_parser("documented_words", __doc__)
    PARSER.add_argument("vendor", metavar="VENDOR")
    PARSER.add_argument("folder", type=Path, metavar="FOLDER")
    OPTIONS = PARSER.parse_args()
    print("\n".join(undocumented_words(OPTIONS.vendor, OPTIONS.folder)))
