"""`moorage step`: run, stop and list the steps of a configuration, and show their output."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import attrs
from cyclopts import Parameter

from moorage.cli.answer import CommandResult, Table
from moorage.cli.context import Context
from moorage.cli.exit_codes import FAILED, OK, UNKNOWN
from moorage.cli.limited_input import read_all
from moorage.cli.numbers import Wait
from moorage.cli.places import opened_hub
from moorage.domain.steps.result import StepOutcome, outcome_of
from moorage.domain.steps.runs import EndReason
from moorage.domain.steps.step import Workspace
from moorage.errors import ConfigurationError, ConnectorError, InvalidData, LocalFailure
from moorage.hub.internals import core_of

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from moorage.domain.steps.log_lines import LogLine
    from moorage.domain.steps.result import ExecutionResult
    from moorage.domain.steps.runs import LogStream, RunStatus
    from moorage.domain.steps.step import Step
    from moorage.hub.step_connector_sync import StepConnector
    from moorage.hub.step_manager_sync import StepManager

_SINGLE_VALUE: Final = Parameter(consume_multiple=False)
_OUTCOME_TEXTS: Final = {
    StepOutcome.SUCCESS: "succeeded",
    StepOutcome.FAILURE: "failed",
    StepOutcome.CANCELLED: "was stopped",
    StepOutcome.DEADLINE: "was stopped at its deadline",
}


def run(
    name: str,
    /,
    *,
    key: str | None = None,
    env: Annotated[tuple[str, ...], _SINGLE_VALUE] = (),
    file: Annotated[tuple[str, ...], _SINGLE_VALUE] = (),
    output: Path | None = None,
    tenant: str | None = None,
    context: Context,
) -> CommandResult:
    """Run a step of the configuration, show its output, and exit with its exit code.

    A repeat with the same key never starts a second run: it follows the first one, or shows its
    result. Ctrl-C stops the step; a second Ctrl-C leaves it running.

    Args:
        name: the name of a configured step.
        key: the idempotency key of this run; by default each call is a run of its own.
        env: a further environment variable, as name=value; may be repeated.
        file: a file for the working directory, as name=path; may be repeated.
        output: the folder for the output files of the step.
        tenant: the tenant whose limits, circuit and keys apply.
        context: the options that all commands share.
    """
    environment = dict(_pair(text, "--env") for text in env)
    with _as_wrong_use():
        workspace = Workspace(files=dict(_read(*_pair(text, "--file")) for text in file))
    if key is not None:
        _check_store(context)
    log = _PrintedLog(is_shown=not context.as_json)
    with opened_hub(context) as hub:
        steps = hub.steps
        run_key = key or core_of(hub.manager).new_id()

        def follow() -> ExecutionResult:
            with _as_wrong_use():
                return steps.run(
                    name, workspace, environment, idempotency_key=run_key, tenant=tenant, log=log
                )

        connector = _connector(steps, name)
        if output is not None:
            _make_folder(output)
        try:
            result = follow()
        except KeyboardInterrupt:
            if not connector.stop(run_key, tenant=tenant, reason="Ctrl-C"):
                raise
            try:
                _print_progress("Stopping the step; Ctrl-C again leaves it running.")
                result = follow()
            except KeyboardInterrupt:
                _print_progress(f"The step keeps running on its platform. Its key is {run_key}.")
                raise
    ending = _print_end(name, run_key, result, log)
    if output is not None:
        _write_files(result, output, run_key)
    return ending


def logs(
    name: str,
    /,
    *,
    key: str,
    follow: bool = False,
    tenant: str | None = None,
    context: Context,
) -> CommandResult:
    """Show the output of a run; exit with 1 if its key was never used.

    For a settled run, only the last 64 kB of each output stream are available. With --follow the
    exit code is that of the step, or 3 if its outcome is unknown.

    Args:
        name: the name of a configured step.
        key: the idempotency key of the run.
        follow: follow the run to its end.
        tenant: the tenant of the key.
        context: the options that all commands share.
    """
    log = _PrintedLog(is_shown=not context.as_json)
    with opened_hub(context) as hub:
        connector, step = _connector(hub.steps, name), hub.steps.step(name)
        status = connector.output(step, log, idempotency_key=key, tenant=tenant, until_end=follow)
        stored_result = connector.stored_result(key, tenant=tenant) if status is None else None
    if status is not None:
        code = _code_of(status) if follow else OK
        return CommandResult({**_row(status), "lines": log.as_rows()}, code=code)
    if stored_result is None:
        return CommandResult({"name": name, "key": key}, [f"There is no run of {key!r}."], FAILED)
    end = _print_end(name, key, stored_result, log)
    return end if follow else attrs.evolve(end, code=OK)


def stop(
    name: str,
    /,
    *,
    key: str,
    grace: Wait | None = None,
    reason: str = "",
    tenant: str | None = None,
    context: Context,
) -> CommandResult:
    """Stop a run; exit with 1 if the run is not running.

    Args:
        name: the name of a configured step.
        key: the idempotency key of the run.
        grace: seconds between the request to stop and the kill; by default the step's setting.
        reason: the reason, for the audit trail.
        tenant: the tenant of the key.
        context: the options that all commands share.
    """
    with opened_hub(context) as hub:
        connector, step = _connector(hub.steps, name), hub.steps.step(name)
        was_running = connector.stop(
            key, tenant=tenant, grace=step.grace if grace is None else grace, reason=reason
        )
    line = f"stopped: {name} ({key})" if was_running else f"The run {key!r} is not running."
    return CommandResult(
        {"name": name, "key": key, "stopped": was_running}, [line], OK if was_running else FAILED
    )


def list_steps(*, context: Context) -> CommandResult:
    """List the steps of the configuration, and their runs that are not settled yet.

    A run is settled when a process that follows it has received its result. The exit code is 1 if a
    platform does not answer, or cannot describe one of its runs.

    Args:
        context: the options that all commands share.
    """
    with opened_hub(context) as hub:
        steps = hub.steps
        types = {name: steps.determine_connector_type(step) for name, step in steps.steps.items()}
        step_rows = [_description_row(step, types[name]) for name, step in steps.steps.items()]
        runs: list[dict[str, Any]] = []
        problems: dict[str, str] = {}
        for platform in sorted(set(types.values())):
            try:
                statuses = steps.get(platform).runs()
            except ConnectorError as error:
                problems[platform] = str(error)
            else:
                runs += [{"platform": platform, **_row(status)} for status in statuses]
                problems |= {
                    status.name: status.problem for status in statuses if status.problem is not None
                }
    if not step_rows:
        return CommandResult({"steps": [], "runs": []}, ["No step is configured."])
    columns = ("step", "platform", "image", "timeout", "command")
    lines: list[str | Table] = [
        Table(columns, [[row[column] for column in columns] for row in step_rows])
    ]
    if runs:
        fields = ("step", "platform", "key", "phase", "exit_code", "started_at")
        rows = [[row[field] for field in fields] for row in runs]
        lines += ["", Table(("run of", *fields[1:]), rows)]
    lines += [f"{platform}: {problem}" for platform, problem in problems.items()]
    return CommandResult(
        {"steps": step_rows, "runs": runs, "problems": problems},
        lines,
        FAILED if problems else OK,
    )


class _PrintedLog:
    """A log that prints each line of a step only once, even if the run is followed again."""

    def __init__(self, *, is_shown: bool) -> None:
        self._is_shown = is_shown
        self._whole: dict[LogStream, int] = {"stdout": 0, "stderr": 0}
        self._lines: list[LogLine] = []
        self._is_torn = False

    def position(self, stream: LogStream, /) -> int:
        """Return the number of complete lines that were printed."""
        return self._whole[stream]

    def write(self, lines: Sequence[LogLine], /) -> None:
        """Print lines, or store them if the output is not shown."""
        for line in lines:
            self._whole[line.stream] += line.is_whole
            self._is_torn = not line.is_whole
            if self._is_shown:
                file = sys.stdout if line.stream == "stdout" else sys.stderr
                print(line.text, file=file, end="\n" if line.is_whole else "", flush=True)
            else:
                self._lines.append(line)

    def end(self, text: str) -> None:
        """Print the outcome of the step below its output."""
        if self._is_shown:
            _print_progress(f"\n{text}" if self._is_torn else text)

    @property
    def has_lines(self) -> bool:
        """True if a line was written to the log."""
        return self._is_torn or any(self._whole.values())

    def as_rows(self) -> list[dict[str, Any]]:
        """Return the lines that were not printed, as JSON values."""
        return [{"stream": line.stream, "text": line.text} for line in self._lines]


def _connector(steps: StepManager, name: str) -> StepConnector:
    return steps.get(steps.determine_connector_type(steps.step(name)))


def _print_progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _check_store(context: Context) -> None:
    """Refuse an idempotency key if the store keeps keys only until this process ends.

    Raises:
        ConfigurationError: the store is the memory of this process.
    """
    if context.state() == "memory:":
        raise ConfigurationError(
            "The keys of steps would be lost when this process ends.",
            path="state.url",
            remedy="Configure a store that outlives the process, or omit --key.",
        )


def _pair(text: str, option: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise ConfigurationError(
            "An option does not have the form name=value.",
            path=option,
            remedy=f"Pass {option} name=value.",
        )
    return name, value


def _read(name: str, path: str) -> tuple[str, bytes]:
    try:
        with Path(path).open("rb") as file:
            return name, read_all(file, f"The file {path!r}", "--file")
    except OSError as error:
        raise ConfigurationError(
            f"The file {path!r} cannot be read ({error.strerror}).",
            path="--file",
            remedy="Pass --file name=path with a path that this user may read.",
        ) from None


@contextmanager
def _as_wrong_use() -> Generator[None]:
    """Convert the error of an invalid step to an error of the command's arguments.

    Raises:
        ConfigurationError: the step or an option of the command is invalid; nothing was started.
    """
    try:
        yield
    except InvalidData as error:
        problem = error
    else:
        return
    raise ConfigurationError(problem.message, path=problem.field, remedy=problem.remedy)


def _make_folder(folder: Path) -> None:
    """Create the folder for the files of the step, before the step starts.

    Raises:
        ConfigurationError: the folder cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = error.strerror
    else:
        return
    raise ConfigurationError(
        f"The folder {str(folder)!r} cannot be used ({problem}).",
        path="--output",
        remedy="Name a folder that this user may write to.",
    )


def _write_files(result: ExecutionResult, folder: Path, key: str) -> None:
    """Write the output files of a step to a folder.

    Raises:
        LocalFailure: a file cannot be written; the result of the step is stored.
    """
    for name, content in result.files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except OSError as error:
            raise LocalFailure(
                f"The step has run, but its file {str(path)!r} cannot be written"
                f" ({error.strerror}).",
                remedy=f"Pass another --output, and --key {key}, which does not repeat the run.",
            ) from None


def _print_end(name: str, key: str, result: ExecutionResult, log: _PrintedLog) -> CommandResult:
    """Print the outcome of a step; return its result, including output that was not printed."""
    document = {
        "name": name,
        "key": key,
        "outcome": result.outcome.value,
        "exit_code": result.exit_code,
        "stdout": result.stdout,
        "stderr": result.stderr,
        "files": sorted(result.files),
        "hook_errors": [attrs.asdict(error) for error in result.hook_errors],
        "metadata": dict(result.metadata),
    }
    seconds = result.metadata.get("seconds")
    suffix = "" if seconds is None else f" after {seconds:.1f} s"
    if result.metadata.get("cached"):
        suffix = " in an earlier run with the same input; its result is reused"
    ending = (
        f"{name} {_OUTCOME_TEXTS[result.outcome]}{suffix}, exit code {result.exit_code}; key {key}"
    )
    problems = result.metadata.get("not_stored", {}).items()
    log.end("\n".join([ending, *(f"{path} was not stored: {text}" for path, text in problems)]))
    texts = [] if log.has_lines else [result.stdout, result.stderr]
    output = [line for text in texts for line in text.splitlines()]
    return CommandResult(document, output, _exit_code(result.exit_code, result.outcome))


def _exit_code(code: int, outcome: StepOutcome) -> int:
    """Return the exit code of a step; 1 if it did not succeed although its code is 0."""
    return code or (OK if outcome is StepOutcome.SUCCESS else FAILED)


def _code_of(status: RunStatus) -> int:
    """Return the exit code of a run that was followed to its end."""
    if status.exit_code is None:
        return UNKNOWN
    outcome = outcome_of(status.exit_code, status.reason or EndReason.EXITED)
    return _exit_code(status.exit_code, outcome)


def _description_row(step: Step, platform: str) -> dict[str, Any]:
    return {
        "step": step.name,
        "platform": platform,
        "image": step.image,
        "timeout": step.timeout,
        "command": " ".join(step.command),
    }


def _row(status: RunStatus) -> dict[str, Any]:
    started = status.started_at
    return {
        "step": status.step,
        "key": status.labels.get("key"),
        "tenant": status.labels.get("tenant"),
        "run": status.name,
        "phase": status.phase.value,
        "exit_code": status.exit_code,
        "started_at": None if started is None else started.isoformat(timespec="seconds"),
    }
