"""The context that all commands share: the global options and the output."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
from cyclopts import Parameter

from moorage.cli.answer import Table, terminal_text
from moorage.cli.host import Host
from moorage.cli.streams import as_json
from moorage.domain.state.sealing import KeyRing
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from moorage.cli.answer import CommandResult
    from moorage.config import Configured, Source
    from moorage.hub.audit import AuditTrail
    from moorage.ports.cipher import Cipher

_DEFAULT_NAME: Final = "moorage.toml"
_KEYS: Final = "MOORAGE_KEYS"


@Parameter(parse=False)
@attrs.frozen(kw_only=True)
class Context:
    """The global options of the command line, and its output.

    Attributes:
        config: the path of the configuration, if given.
        environment: the name of the environment, if given.
        as_json: True if the output is JSON.
        color: True if terminal output may be coloured.
        host: the program that embeds this command line, if any.
        pipes: the contents of the configurations that were read from pipes, by their paths.
    """

    config: str | None = None
    environment: str | None = None
    as_json: bool = False
    color: bool = True
    host: Host | None = None
    pipes: dict[Path, Mapping[str, Any]] = attrs.field(factory=dict, repr=False)

    def source(self) -> Source:
        """Return the configuration from --config, the host, MOORAGE_CONFIG or a parent folder.

        Raises:
            ConfigurationError: no configuration is found, or the path of --config is empty.
        """
        if self.config is not None:
            return self._content_of_pipe(_given_path(self.config))
        if self.host is not None:
            return self.host.source
        if path := os.environ.get("MOORAGE_CONFIG"):
            return self._content_of_pipe(Path(path))
        working_folder = Path.cwd()
        for folder in (working_folder, *working_folder.parents):
            if (folder / _DEFAULT_NAME).is_file():
                return folder / _DEFAULT_NAME
        raise ConfigurationError(
            f"There is no {_DEFAULT_NAME} in this folder or its parent folders.",
            path="--config",
            remedy="Pass the path of the configuration with --config, or set MOORAGE_CONFIG.",
        )

    def _content_of_pipe(self, path: Path) -> Source:
        """Return the content of a pipe, which can be read only once, or the path of a file.

        Raises:
            ConfigurationError: the content is not a configuration.
        """
        if not path.is_fifo():
            return path
        if path not in self.pipes:
            from moorage.config.loading import load  # noqa: PLC0415 - not every command needs it

            self.pipes[path] = load(path).tree
        return self.pipes[path]

    def configuration_name(self) -> str:
        """Return the name of the configuration for output, without its content.

        Raises:
            ConfigurationError: no configuration is found.
        """
        source = self.source()
        return "the configuration" if isinstance(source, Mapping) else str(source)

    def configured(self) -> Configured:
        """Read the configuration.

        Raises:
            ConfigurationError: the configuration is invalid.
        """
        from moorage.config import read_configuration  # noqa: PLC0415 - not every command needs it reads it

        configuration = read_configuration(self.source(), **self.open_arguments)
        return (
            configuration
            if self.host_state is None
            else attrs.evolve(configuration, state=self.host_state)
        )

    @property
    def source_is_named(self) -> bool:
        """True if the configuration is a file, and not the host program's configuration."""
        return self.host is None or self.config is not None

    @property
    def host_state(self) -> str | None:
        """The URL of the host's store of shared state, if the host's configuration is used."""
        return None if self.source_is_named or self.host is None else self.host.state

    def state(self) -> str:
        """Return the URL of the configured store of shared state.

        Raises:
            ConfigurationError: no store is configured.
        """
        configured = self.configured()
        state = configured.store
        if state is None:
            raise ConfigurationError(
                "The configuration has no shared store, so each process has its own state.",
                path="state.url",
                remedy="Configure a store that your processes share.",
            )
        if configured.state is None:
            from moorage.config.default_state import prepare  # noqa: PLC0415 - not every command needs it

            prepare(state)
        return state

    def keys_store(self) -> str:
        """Return the URL of the store of idempotency keys; the store also records its environment.

        Raises:
            ConfigurationError: no store is configured.
        """
        keys_url = self.configured().keys
        return self.state() if keys_url is None else keys_url

    def cipher(self) -> Cipher | None:
        """Return the cipher of the configuration, or else a cipher with the keys in MOORAGE_KEYS.

        Raises:
            ConfigurationError: the configuration or the keys are invalid.
        """
        configured = self._configured_if_found()
        if configured is not None and configured.cipher is not None:
            return configured.cipher.open()
        if not os.environ.get(_KEYS):
            return None
        from moorage.adapters.ciphers.aes_gcm import AesGcmCipher  # noqa: PLC0415 - loads OpenSSL

        return AesGcmCipher(KeyRing.from_environment(os.environ))

    @contextmanager
    def audit_trail(self) -> Generator[AuditTrail | None]:
        """Open the audit trail of the configuration; yields None if it names none.

        Raises:
            ConfigurationError: the configuration is invalid.
        """
        configured = self._configured_if_found()
        if configured is None or configured.audit is None:
            yield None
            return
        trail = configured.audit.open()
        try:
            yield trail
        finally:
            trail.close()

    def _configured_if_found(self) -> Configured | None:
        """Read the configuration; return None if there is no configuration at all."""
        try:
            return self.configured()
        except ConfigurationError as error:
            if error.path != "--config" or self.config is not None:
                raise
            return None

    def host_stores(self) -> dict[str, Any]:
        """Return the host's stores that could cause calls from a copied database, by name."""
        return {} if self.host is None or self.config is not None else dict(self.host.stores())

    def host_ports(self) -> dict[str, Any]:
        """Return the ports of the host's hub, by name, if the host's configuration is used."""
        return {} if self.host is None or self.source_is_named else dict(self.host.ports())

    @contextmanager
    def progress(self, unit: str) -> Generator[Callable[[int], None]]:
        """Show a progress bar on a terminal; yields a function that advances it."""
        if not sys.stderr.isatty():
            yield lambda _: None
            return
        from moorage.cli import drawing  # noqa: PLC0415 - only for terminals

        with drawing.progress_bar(unit, color=self.color) as step:
            yield step

    @property
    def open_arguments(self) -> dict[str, Any]:
        """The arguments of `moorage.open` besides the source."""
        environment = self.environment
        if environment is None and self.host is not None and self.config is None:
            environment = self.host.environment
        return {} if environment is None else {"environment": environment}

    def print_progress(self, text: str) -> None:
        """Print a progress message; with --json, print nothing."""
        print(terminal_text(text), file=sys.stderr if self.as_json else sys.stdout, flush=True)

    def print_json_line(self, document: dict[str, Any]) -> None:
        """Print one of several results as a JSON line."""
        print(as_json(document), flush=True)

    def show(self, answer: CommandResult) -> None:
        """Print a result in readable form."""
        for part in answer.output:
            if not isinstance(part, Table):
                print(terminal_text(part))
            elif sys.stdout.isatty():
                from moorage.cli import drawing  # noqa: PLC0415 - only for terminals

                screen = drawing.console(color=self.color)
                screen.print(drawing.drawn_table(part, screen.width))
            else:
                print(terminal_text("\n".join(part.lines())))


def _given_path(path: str) -> Path:
    """Return the path of --config; an empty one, as of an unset shell variable, is refused.

    Raises:
        ConfigurationError: the path is empty.
    """
    if path:
        return Path(path)
    raise ConfigurationError(
        "The path of the configuration is empty.",
        path="--config",
        remedy="Pass the path of a file with --config, or leave the option out.",
    )
