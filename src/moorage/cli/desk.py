"""What all commands share: the options that stand anywhere, and where to say things."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
from cyclopts import Parameter

from moorage.cli.answer import Table
from moorage.cli.host import Host
from moorage.cli.streams import as_json
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from moorage.cli.answer import Answer
    from moorage.config import Configured, Source

_USUAL: Final = "moorage.toml"


@Parameter(parse=False)
@attrs.frozen(kw_only=True)
class Desk:
    """The options that stand anywhere, and where to say things.

    Attributes:
        config: the configuration, if it was named.
        environment: which of its environments, if one was named.
        as_json: whether a program reads along.
        colour: whether colour is wanted, where it can be shown.
        host: the program that this command line is part of, if it is part of one.
    """

    config: str | None = None
    environment: str | None = None
    as_json: bool = False
    colour: bool = True
    host: Host | None = None

    def source(self) -> Source:
        """The configuration: as named, or the host's, or by MOORAGE_CONFIG, or found further up.

        Raises:
            ConfigurationError: there is none.
        """
        if self.host is not None and self.config is None:
            return self.host.source
        named = self.config or os.environ.get("MOORAGE_CONFIG")
        if named:
            return Path(named)
        here = Path.cwd()
        for folder in (here, *here.parents):
            if (folder / _USUAL).is_file():
                return folder / _USUAL
        raise ConfigurationError(
            f"there is no {_USUAL} here or further up.",
            path="--config",
            remedy="Name the configuration with --config or MOORAGE_CONFIG.",
        )

    def called(self) -> str:
        """What to call the configuration; not what it says, which may be secret.

        Raises:
            ConfigurationError: there is none.
        """
        source = self.source()
        return "the configuration" if isinstance(source, Mapping) else str(source)

    def configured(self) -> Configured:
        """What the configuration says.

        Raises:
            ConfigurationError: it is wrong.
        """
        from moorage.config import read_configuration  # noqa: PLC0415 - not every command reads it

        found = read_configuration(self.source(), **self.overlaid)
        if self.host is not None and self.config is None and self.host.state is not None:
            return attrs.evolve(found, state=self.host.state)
        return found

    def state(self) -> str:
        """The URL of the store that the configuration names.

        Raises:
            ConfigurationError: it names none.
        """
        state = self.configured().state
        if state is None:
            raise ConfigurationError(
                "no store is configured, so every process has its own.",
                path="state.url",
                remedy="Name the store that your processes share.",
            )
        return state

    def kept(self) -> dict[str, Any]:
        """What a copy of the host's database could act with, by name."""
        return {} if self.host is None or self.config is not None else dict(self.host.kept())

    @contextmanager
    def progress(self, doing: str) -> Generator[Callable[[int], None]]:
        """Show on a terminal how far something is; call what this gives with each part done."""
        if not sys.stderr.isatty():
            yield lambda _: None
            return
        from moorage.cli import drawing  # noqa: PLC0415 - for terminals only

        with drawing.counting(doing, colour=self.colour) as step:
            yield step

    @property
    def overlaid(self) -> dict[str, Any]:
        """What `moorage.open` is told besides the source."""
        environment = self.environment
        if environment is None and self.host is not None and self.config is None:
            environment = self.host.environment
        return {} if environment is None else {"environment": environment}

    def tell(self, text: str) -> None:
        """Say something while the work goes on; a program that reads along is not disturbed."""
        print(text, file=sys.stderr if self.as_json else sys.stdout, flush=True)

    def note(self, told: dict[str, Any]) -> None:
        """Hand a program one of several answers: a line of JSON."""
        print(as_json(told), flush=True)

    def show(self, answer: Answer) -> None:
        """Print it for people."""
        for part in answer.shown:
            if not isinstance(part, Table):
                print(part)
            elif sys.stdout.isatty():
                from moorage.cli import drawing  # noqa: PLC0415 - for terminals only

                drawing.console(colour=self.colour).print(drawing.drawn(part))
            else:
                print("\n".join(part.lines()))
