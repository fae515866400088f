"""Writes the reference pages from the public API's docstrings.

One page for each group of names. A page shows the signature, the docstring and the public members
of each name, so nothing is written twice. A name that is exported and on no page, or on two, is an
error.

The page on troubleshooting shows the docstring of each error class under its heading. `python -m
tools.reference FOLDER` writes the pages to a folder.
"""

import inspect
import re
from pathlib import Path
from typing import Final

from moorage import errors
from tools.command_line import tool_parser
from tools.reference_pages import PAGES
from tools.reference_text import text_of

_HEADING: Final = re.compile(r"^## `?(\w+)`?$", re.MULTILINE)


def pages() -> dict[str, str]:
    """Return all reference pages by their path in the site."""
    return {f"reference/{page.path}.md": text_of(page) for page in PAGES}


def error_facts(name: str) -> str | None:
    """Return an error class's troubleshooting text, from its docstring and remedy."""
    kind = getattr(errors, name, None)
    if not (isinstance(kind, type) and issubclass(kind, errors.ConnectorError)):
        return None
    event = inspect.cleandoc(kind.__dict__["__doc__"]).split("\n\n")[0].replace("\n", " ")
    may_succeed = "yes" if kind.retryable else "no"
    return (
        f"**What happened.** {event}\n\n**What to do.** {kind.remedy}\n\n"
        f"**May succeed later.** {may_succeed.capitalize()}, unless the error itself says"
        " otherwise."
    )


def with_error_facts(markdown: str) -> str:
    """Return the troubleshooting page, with each error's text below its heading."""

    def described_text(heading: re.Match[str]) -> str:
        facts = error_facts(heading[1])
        return heading[0] if facts is None else f"{heading[0]}\n\n{facts}"

    return _HEADING.sub(described_text, markdown)


def main(folder: Path) -> None:
    """Write all pages to `folder`."""
    for path, text in pages().items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        print(target)


if __name__ == "__main__":
    PARSER = tool_parser("reference", __doc__)
    PARSER.add_argument(
        "folder", nargs="?", type=Path, default="build/reference", help="build/reference by default"
    )
    main(PARSER.parse_args().folder)
