"""Parsing, output and exit codes of the command line."""

from __future__ import annotations

import os
import sys
import traceback
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any, Final

import attrs
from cyclopts import App, CycloptsError, Group, Parameter, UnusedCliTokensError

from moorage.cli import exit_codes
from moorage.cli.answer import CommandResult, terminal_text
from moorage.cli.command_table import COMMANDS, GROUPS
from moorage.cli.context import Context
from moorage.cli.streams import as_json, replace_closed_streams
from moorage.domain.secrets.frames import error_name
from moorage.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.cli.host import Host

    Commands = Mapping[str, tuple[str, str]]

_DESCRIPTION: Final = "Inspect and control calls to external services and their shared state."
_EPILOGUE: Final = (
    "Exit codes: 0 for success, 1 for a failure, 2 for wrong arguments or configuration,"
    " 3 for an unknown outcome."
)

PLAIN: Final = Parameter(negative="", show_default=False)
"""The settings of every option: a flag has no `--no-` form."""

_COMPLETION: Final = "--install-completion"
_HELP_OPTIONS: Final = frozenset({"--help", "-h"})
_VALUE_OPTIONS: Final = frozenset({"--config", "--environment"})
"""The global options that are followed by a value."""
_GLOBAL_OPTIONS: Final = Parameter(group=Group("Everywhere", sort_key=9))


def run(
    arguments: Sequence[str], commands: Commands = COMMANDS, *, host: Host | None = None
) -> int:
    """Run one command, print its result or error, and return the exit code."""
    call = _Call(list(arguments), commands, host)
    replace_closed_streams()
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        # Characters outside the terminal's encoding are escaped.
        reconfigure(errors="backslashreplace")
    try:
        code = call.run()
        sys.stdout.flush()
    except OSError as error:
        # The reader has closed the pipe; the interpreter must not flush the rest at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return exit_codes.CLOSED_PIPE
        print(f"moorage: The output cannot be written ({error.strerror}).", file=sys.stderr)
        return exit_codes.FAILED
    return code


class _Call:
    """One invocation of the command line."""

    def __init__(self, arguments: list[str], commands: Commands, host: Host | None) -> None:
        self._arguments = arguments
        self._commands = commands
        self._host = host
        self._command: str | None = None
        self._names_no_command = False
        self._shows_result = False
        # Errors in the arguments themselves are printed in the requested format, too.
        self._json = "--json" in arguments
        self._debug = "--debug" in arguments

    def run(self) -> int:
        try:
            return self._run_command()
        except KeyboardInterrupt:
            return self._show_error(exit_codes.INTERRUPTED, {"kind": "Interrupted"}, "Interrupted.")
        except CycloptsError as error:
            sentence = _message(error)
            error_document = {"kind": "WrongCall", "message": sentence}
            return self._show_error(
                exit_codes.INVALID_USE, error_document, f"{sentence} See moorage --help."
            )
        except ConnectorError as error:
            self._print_traceback(error)
            return self._show_error(
                exit_codes.code_of(error), exit_codes.error_as_dict(error), str(error)
            )
        except BrokenPipeError:
            raise
        except Exception as error:
            if self._shows_result and isinstance(error, OSError):
                raise
            self._print_traceback(error)
            message = f"An unexpected error occurred ({error_name(error)})."
            error_document = {"kind": type(error).__name__, "message": message}
            remedy = "" if self._debug else " Repeat the command with --debug for a traceback."
            return self._show_error(exit_codes.INTERNAL_ERROR, error_document, message + remedy)

    def _run_command(self) -> int:
        try:
            answer = build(self._arguments, self._launch, self._commands).meta(
                self._arguments,
                print_error=False,
                exit_on_error=False,
                result_action="return_value",
            )
        except SystemExit as exit_request:
            return exit_request.code if isinstance(exit_request.code, int) else exit_codes.FAILED
        if isinstance(answer, CommandResult):
            return answer.code
        # Help, version and completion exit with 0, unless a command is missing.
        return exit_codes.INVALID_USE if self._names_no_command else exit_codes.OK

    def _launch(self, app: App, tokens: tuple[str, ...], context: Context) -> object:
        command, bound_arguments, context_parameters = app.parse_args(tokens)
        if command.__name__ == "help_print" and not _HELP_OPTIONS & {*tokens}:
            self._names_no_command = True
            if context.as_json:
                raise CycloptsError(msg="The command is missing.")
        self._command = " ".join(_command_words(tokens, self._commands))
        context = attrs.evolve(context, host=self._host)
        contexts = dict.fromkeys(context_parameters, context)
        try:
            answer = command(*bound_arguments.args, **bound_arguments.kwargs, **contexts)
        except OSError as error:
            if _COMPLETION not in tokens or isinstance(error, BrokenPipeError):
                raise
            problem = f"The shell completion cannot be written ({error.strerror})."
        else:
            return self._show_result(answer, context)
        raise ConfigurationError(
            problem,
            path=_COMPLETION,
            remedy="Allow this user to write there, or pass --output FILE.",
        )

    def _show_result(self, answer: object, context: Context) -> object:
        if isinstance(answer, CommandResult):
            self._shows_result = True
            if context.as_json:
                self._print({"ok": answer.code == exit_codes.OK, "result": answer.document})
            else:
                context.show(answer)
        return answer

    def _show_error(self, code: int, error_fields: dict[str, Any], sentence: str) -> int:
        if self._json:
            self._print({"ok": False, "error": {**error_fields, "code": code}})
        else:
            _print_error(sentence)
        return code

    def _print(self, fields: dict[str, Any]) -> None:
        document = {"command": self._command, **fields}
        print(as_json(document, indent=2))

    def _print_traceback(self, error: Exception) -> None:
        """Print the traceback without the message, which may quote a secret."""
        if self._debug:
            print("".join(traceback.format_tb(error.__traceback__)), file=sys.stderr, end="")


def _print_error(sentence: str) -> None:
    """Print an error; if printing fails, the exit code still shows the kind of error."""
    try:
        print(terminal_text(f"moorage: {sentence}"), file=sys.stderr)
    except OSError:
        # The interpreter must not flush the rest at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def build(arguments: Sequence[str], launch: Any, commands: Commands = COMMANDS) -> App:
    """Build the application; `launch` receives it, the arguments of a command and the context.

    Only the command that the arguments name is imported.
    """
    app = App(
        name="moorage",
        version=lambda: version("moorage"),
        help=_DESCRIPTION,
        help_epilogue=_EPILOGUE,
        help_format="plaintext",
        default_parameter=PLAIN,
        suppress_keyboard_interrupt=False,
        console=_console_without_color() if "--no-color" in arguments else None,
    )
    groups: dict[str, App] = {"": app}
    for group, summary in GROUPS.items():
        outer_group, _, name = group.rpartition(" ")
        groups[group] = App(name=name, help=summary)
        groups[outer_group].command(groups[group])
    requested_command = " ".join(_command_words(_without_option_values(arguments), commands))
    for command, (import_path, summary) in commands.items():
        if command in groups:
            if command == requested_command:
                groups[command].default(_import_object(import_path))
            continue
        group, _, name = command.rpartition(" ")
        # A command that is named shows its full help.
        command_help = None if command == requested_command else summary
        groups[group].command(import_path, name=name, help=command_help)
    app.meta.suppress_keyboard_interrupt = False
    app.register_install_completion_command()  # pyright: ignore[reportUnknownMemberType] - has no types

    @app.meta.default
    def run_command(
        *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
        config: Annotated[str | None, _GLOBAL_OPTIONS] = None,
        environment: Annotated[str | None, _GLOBAL_OPTIONS] = None,
        as_json: Annotated[bool, _GLOBAL_OPTIONS, Parameter("--json")] = False,
        no_color: Annotated[bool, _GLOBAL_OPTIONS] = False,
        debug: Annotated[bool, _GLOBAL_OPTIONS] = False,
    ) -> object:
        """Run a command with the global options.

        Args:
            tokens: the command and its arguments.
            config: the configuration; default MOORAGE_CONFIG, or moorage.toml here or in a parent.
            environment: the environment of the configuration.
            as_json: print one JSON document, also for errors.
            no_color: print without colors, like the variable NO_COLOR.
            debug: show the traceback of an error.
        """
        context = Context(
            config=config, environment=environment, as_json=as_json, color=not no_color
        )
        return launch(app, tokens, context)

    return app


def _import_object(import_path: str) -> Any:
    """Import a command that is also a group of commands."""
    module, _, name = import_path.partition(":")
    return getattr(import_module(module), name)


def _message(error: CycloptsError) -> str:
    if isinstance(error, UnusedCliTokensError):  # the arguments may contain a secret
        return "There are too many arguments."
    return " ".join(str(error).split())


def _without_option_values(arguments: Sequence[str]) -> list[str]:
    """Return the arguments without the values of the global options."""
    previous_arguments = ("", *arguments)
    return [
        argument
        for previous, argument in zip(previous_arguments, arguments, strict=False)
        if previous not in _VALUE_OPTIONS
    ]


def _command_words(arguments: Sequence[str], commands: Commands) -> tuple[str, ...]:
    """Return the name of the command in these arguments, as a tuple of words."""
    positional = tuple(argument for argument in arguments if not argument.startswith("-"))
    for number in (3, 2, 1):
        if " ".join(positional[:number]) in commands:
            return positional[:number]
    return ()


def _console_without_color() -> Any:
    from rich.console import Console  # noqa: PLC0415 - slow import

    return Console(no_color=True)
