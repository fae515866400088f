"""The command line around its commands: the arguments, the output, and every way to end."""

from __future__ import annotations

import os
import sys
import traceback
from importlib.metadata import version
from typing import TYPE_CHECKING, Annotated, Any, Final

import attrs
from cyclopts import App, CycloptsError, Group, Parameter, UnusedCliTokensError

from moorage.cli import ends
from moorage.cli.answer import Answer
from moorage.cli.desk import Desk
from moorage.cli.streams import as_json, replaced
from moorage.cli.table import COMMANDS, GROUPS
from moorage.domain.frames import named
from moorage.errors import ConfigurationError, ConnectorError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.cli.host import Host

    Commands = Mapping[str, tuple[str, str]]

_ABOUT: Final = "Look after the calls to other people's services, and what they share."
_EPILOGUE: Final = (
    "Exit codes: 0 if all is well, 1 if something is not, 2 if it was called or configured wrongly,"
    " 3 if nobody knows whether something happened."
)

PLAIN: Final = Parameter(negative="", show_default=False)
"""What holds of every option: a flag has no opposite."""

_COMPLETION: Final = "--install-completion"
_HELP: Final = frozenset({"--help", "-h"})
_EVERYWHERE: Final = Parameter(group=Group("Everywhere", sort_key=9))


def run(
    arguments: Sequence[str], commands: Commands = COMMANDS, *, host: Host | None = None
) -> int:
    """Run one command, print its answer or what went wrong, and return the exit code."""
    call = _Call(list(arguments), commands, host)
    replaced()
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        # What the terminal has no letter for is written as a number, and stops nobody.
        reconfigure(errors="backslashreplace")
    try:
        code = call.run()
        sys.stdout.flush()
    except OSError as error:
        # Nobody takes any more; the interpreter must not try to say the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return ends.UNREAD
        print(f"moorage: the output cannot be written ({error.strerror}).", file=sys.stderr)
        return ends.UNWELL
    return code


class _Call:
    """One call of the command line, from its arguments to its end."""

    def __init__(self, arguments: list[str], commands: Commands, host: Host | None) -> None:
        self._arguments = arguments
        self._commands = commands
        self._host = host
        self._command: str | None = None
        self._nameless = False
        self._telling = False
        # What cannot be read as a call at all is refused in the form that was asked for, too.
        self._json = "--json" in arguments
        self._debug = "--debug" in arguments

    def run(self) -> int:
        try:
            return self._ran()
        except KeyboardInterrupt:
            return self._refused(ends.INTERRUPTED, {"kind": "Interrupted"}, "interrupted.")
        except CycloptsError as error:
            sentence = _sentence(error)
            about = {"kind": "WrongCall", "message": sentence}
            return self._refused(ends.SENSELESS, about, f"{sentence} See moorage --help.")
        except ConnectorError as error:
            self._traced(error)
            return self._refused(ends.code_of(error), ends.told(error), str(error))
        except BrokenPipeError:
            raise
        except Exception as error:
            if self._telling and isinstance(error, OSError):
                raise
            self._traced(error)
            message = f"something happened that moorage does not know ({named(error)})."
            about = {"kind": type(error).__name__, "message": message}
            remedy = "" if self._debug else " Repeat it with --debug to see where."
            return self._refused(ends.MISTAKEN, about, message + remedy)

    def _ran(self) -> int:
        try:
            answer = build(self._arguments, self._launch, self._commands).meta(
                self._arguments,
                print_error=False,
                exit_on_error=False,
                result_action="return_value",
            )
        except SystemExit as stopped:
            return stopped.code if isinstance(stopped.code, int) else ends.UNWELL
        if isinstance(answer, Answer):
            return answer.code
        # Help, the version and completion end well, unless a command was to be named.
        return ends.SENSELESS if self._nameless else ends.OK

    def _launch(self, app: App, tokens: tuple[str, ...], desk: Desk) -> object:
        command, bound, ignored = app.parse_args(tokens)
        if command.__name__ == "help_print" and not _HELP & {*tokens}:
            self._nameless = True
            if desk.as_json:
                raise CycloptsError(msg="No command is named.")
        self._command = " ".join(_words(tokens, self._commands))
        desk = attrs.evolve(desk, host=self._host)
        desks = dict.fromkeys(ignored, desk)
        try:
            answer = command(*bound.args, **bound.kwargs, **desks)
        except OSError as error:
            if _COMPLETION not in tokens or isinstance(error, BrokenPipeError):
                raise
            problem = f"the completion cannot be written ({error.strerror})."
        else:
            return self._told(answer, desk)
        raise ConfigurationError(
            problem, path=_COMPLETION, remedy="Let this user write there, or give --output FILE."
        )

    def _told(self, answer: object, desk: Desk) -> object:
        if isinstance(answer, Answer):
            self._telling = True
            if desk.as_json:
                self._print({"ok": answer.code == ends.OK, "result": answer.found})
            else:
                desk.show(answer)
        return answer

    def _refused(self, code: int, about: dict[str, Any], sentence: str) -> int:
        if self._json:
            self._print({"ok": False, "error": {**about, "code": code}})
        else:
            print(f"moorage: {sentence}", file=sys.stderr)
        return code

    def _print(self, told: dict[str, Any]) -> None:
        whole = {"command": self._command, **told}
        print(as_json(whole, indent=2))

    def _traced(self, error: Exception) -> None:
        """Where it happened, without what was said: a foreign error may quote a secret."""
        if self._debug:
            print("".join(traceback.format_tb(error.__traceback__)), file=sys.stderr, end="")


def build(arguments: Sequence[str], launch: Any, commands: Commands = COMMANDS) -> App:
    """The application: `launch` is handed itself, the words of a command and what all share.

    A command that the arguments do not name is not imported.
    """
    app = App(
        name="moorage",
        version=lambda: version("moorage"),
        help=_ABOUT,
        help_epilogue=_EPILOGUE,
        help_format="plaintext",
        default_parameter=PLAIN,
        suppress_keyboard_interrupt=False,
        console=_colourless() if "--no-color" in arguments else None,
    )
    groups = {name: App(name=name, help=about) for name, about in GROUPS.items()}
    for one in groups.values():
        app.command(one)
    asked = " ".join(_words(arguments, commands))
    for words, (place, about) in commands.items():
        *group, name = words.split()
        # Who is asked for tells of itself, at length.
        brief = None if words == asked else about
        (groups[group[0]] if group else app).command(place, name=name, help=brief)
    app.meta.suppress_keyboard_interrupt = False
    app.register_install_completion_command()  # pyright: ignore[reportUnknownMemberType] - has no types

    @app.meta.default
    def lead(
        *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
        config: Annotated[str | None, _EVERYWHERE] = None,
        environment: Annotated[str | None, _EVERYWHERE] = None,
        as_json: Annotated[bool, _EVERYWHERE, Parameter("--json")] = False,
        no_color: Annotated[bool, _EVERYWHERE] = False,
        debug: Annotated[bool, _EVERYWHERE] = False,
    ) -> object:
        """What stands anywhere.

        Args:
            tokens: the command and its own.
            config: the configuration; MOORAGE_CONFIG, or moorage.toml here or further up, if not.
            environment: which environment of the configuration.
            as_json: print one document of JSON, errors included.
            no_color: print without colour, as with NO_COLOR in the environment.
            debug: show where an error comes from.
        """
        desk = Desk(config=config, environment=environment, as_json=as_json, colour=not no_color)
        return launch(app, tokens, desk)

    return app


def _sentence(error: CycloptsError) -> str:
    if isinstance(error, UnusedCliTokensError):  # one of which may be a secret
        return "There are more arguments than it takes."
    return " ".join(str(error).split())


def _words(arguments: Sequence[str], commands: Commands) -> tuple[str, ...]:
    """The words of the command that these arguments name, if they name one."""
    words = tuple(one for one in arguments if not one.startswith("-"))
    for number in (2, 1):
        if " ".join(words[:number]) in commands:
            return words[:number]
    return ()


def _colourless() -> Any:
    from rich.console import Console  # noqa: PLC0415 - only who asked for it waits for it

    return Console(no_color=True)
