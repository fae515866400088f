"""The parsers of the tools' command lines."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter


def tool_parser(name: str, description: str | None) -> ArgumentParser:
    """Return a parser without arguments for `python -m tools.NAME`.

    Args:
        name: the name of the tool's module in `tools`.
        description: the docstring of the module, which `--help` prints.
    """
    return ArgumentParser(
        prog=f"python -m tools.{name}",
        description=description,
        formatter_class=RawDescriptionHelpFormatter,
    )
