"""The conformance checks for platforms that run steps."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from functools import partial
from itertools import count
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.domain.secrets.secret import Secret
from moorage.domain.steps.runs import EndReason, RunPhase, RunSpec
from moorage.domain.steps.step import Step, Workspace
from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData
from moorage.testing.kits.checks import patience, require

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from moorage.domain.steps.runs import LogChunk, LogStream, RunStatus
    from moorage.ports.platform import Platform

_TIMEOUT: Final = 30.0
_NAP: Final = 0.05
_LIMITS: Final = (1.0, 10.0, 60.0)
_CONCURRENT_STARTS: Final = 50
_LINES: Final = 10_000
_CUTS: Final = 20
_LONG: Final = 1_000_000
_SECRET: Final = "Kp4-wJ8zq-VvR2-s3cr3t"  # noqa: S105 - of a check

_LINE: Final = late_pattern(rb"(?:line \d+|once|x+|end|out|err|torn)")
"""The form of the lines that the checks' scripts print, to distinguish them from a platform's own
lines.
"""

_serials = count(1)


class PlatformLimit(Enum):
    """A guarantee of `Platform` that some platforms cannot give, and the weaker check for it."""

    ONE_OUTPUT = "one output"
    """Both outputs are one text, which is read as standard output; standard error is empty."""
    OTHER_LINES = "other lines"
    """The output also contains lines of the platform, and bytes are kept only as text."""
    NO_CODE_AFTER_STOP = "no code after a stop"
    """The exit code of a run that was stopped, or that took too long, may be 137 instead."""
    OTHER_VARIABLES = "other variables"
    """The step sees variables that it has not declared."""
    NO_SECRETS = "no secrets"
    """A step with secrets is refused with `InvalidData`."""
    NO_FILES = "no files"
    """A step that is given files is refused with `InvalidData`."""
    NOTHING_COLLECTED = "nothing collected"
    """A step whose files are to be collected is refused with `InvalidData` too."""
    FORGETS_BY_ITSELF = "forgets by itself"
    """A run that was removed stays known until the platform forgets it."""


def _shell_step(script: str, options: Mapping[str, Any]) -> Step:
    """Return a step that runs a shell script, for platforms that start a shell themselves."""
    return Step("check", ["sh", "-c", script], **options)


@attrs.frozen(kw_only=True)
class PlatformSubject:
    """A platform to be checked; its steps can run `sh` and the usual small programs.

    Attributes:
        make: makes an object of the platform; all of them belong to the same platform.
        image: the image of the steps; None if the platform has none.
        prefix: the beginning of the names of runs, by which a leftover is recognised.
        step: returns the step that runs a shell script, given the further arguments of `Step`; by
            default its command is `sh -c SCRIPT`.
        limits: the guarantees that the platform's foreign system cannot give.
    """

    make: Callable[[], Platform]
    image: str | None = None
    prefix: str = "check"
    step: Callable[[str, Mapping[str, Any]], Step] = _shell_step
    limits: frozenset[PlatformLimit] = frozenset()

    def spec(self, script: str, **options: Any) -> RunSpec:
        """Return the `RunSpec` of a new run of a shell script."""
        secrets = options.pop("values", {})
        step = self.step(script, {"image": self.image, **options})
        name = f"{self.prefix}-{id(self):x}-{next(_serials)}"
        return RunSpec(name=name, step=step, secrets=secrets, labels={"kit": "moorage"})

    def has(self, limit: PlatformLimit) -> bool:
        """Return whether the platform is declared to have this limit."""
        return limit in self.limits

    def written(self, data: bytes) -> bytes:
        """Return the lines that a step wrote, without lines that the platform added."""
        if not self.has(PlatformLimit.OTHER_LINES):
            return data
        lines = (line for line in data.split(b"\n") if _LINE.fullmatch(line))
        return b"".join(line + b"\n" for line in lines)


def wait_for_end(platform: Platform, name: str) -> RunStatus:
    """Wait for the end of a run, and return its status."""
    end = monotonic() + patience() + 40
    while monotonic() < end:
        status = platform.status(name, _TIMEOUT)
        require(status is not None, f"The platform does not have the run {name}.")
        if status is not None and status.is_over:
            return status
        sleep(_NAP)
    raise AssertionError(f"The run {name} did not end.")


def output(platform: Platform, name: str, stream: LogStream = "stdout") -> bytes:
    """Read the whole output of a run, part by part, and return it."""
    return b"".join(chunk.data for chunk in _chunks(lambda: platform, name, stream))


def _chunks(make: Callable[[], Platform], name: str, stream: LogStream) -> list[LogChunk]:
    chunks: list[LogChunk] = []
    position, end = "", monotonic() + patience() + 60
    while monotonic() < end:
        chunk = make().logs(name, stream, position, _TIMEOUT)
        chunks.append(chunk)
        position = chunk.position
        if chunk.is_last:
            return chunks
        if not chunk.data:
            sleep(_NAP)
    raise AssertionError(f"The output of {name} did not end.")


def _run(subject: PlatformSubject, script: str, **options: Any) -> tuple[Platform, RunStatus]:
    platform, spec = subject.make(), subject.spec(script, **options)
    platform.start(spec, _TIMEOUT)
    return platform, wait_for_end(platform, spec.name)


def exit_codes_are_reported(subject: PlatformSubject) -> None:
    """A finished run reports the exit code of its program."""
    for code in (0, 1, 7, 255):
        _, status = _run(subject, f"exit {code}")
        require(
            (status.exit_code, status.reason) == (code, EndReason.EXITED),
            f"A program that exits with {code} has the status {status}.",
        )
        has_times = status.started_at is not None and status.ended_at is not None
        require(has_times, "A run that has ended has no start time or no end time.")


def signals_are_exit_codes(subject: PlatformSubject) -> None:
    """If a signal ends a program, its run reports the exit code 128 plus the signal's number."""
    for number in (9, 10):
        _, status = _run(subject, f"sh -c 'kill -{number} $$'; exit $?")
        require(
            status.exit_code == 128 + number, f"Signal {number} is the code {status.exit_code}."
        )


def standard_output_and_error_are_separate(subject: PlatformSubject) -> None:
    """Standard output and error are read separately, with exactly the written bytes."""
    script = "printf 'out\\377\\000\\001'; printf 'err\\n' >&2; printf 'torn'"
    if subject.has(PlatformLimit.OTHER_LINES) or subject.has(PlatformLimit.ONE_OUTPUT):
        script = "echo out; echo err >&2; echo torn"
    platform, status = _run(subject, script)
    if subject.has(PlatformLimit.ONE_OUTPUT):
        lines = sorted(subject.written(output(platform, status.name)).splitlines())
        require(lines == [b"err", b"out", b"torn"], f"Both outputs are {lines}.")
        require(output(platform, status.name, "stderr") == b"", "stderr is not empty.")
        return
    expected = b"out\xff\x00\x01torn"
    if subject.has(PlatformLimit.OTHER_LINES):
        expected = b"out\ntorn\n"
    stdout = subject.written(output(platform, status.name))
    require(stdout == expected, "stdout has other bytes.")
    stderr = subject.written(output(platform, status.name, "stderr"))
    require(stderr == b"err\n", "stderr has other bytes.")


def one_name_is_one_run(subject: PlatformSubject) -> None:
    """If many callers start a run of the same name at once, one run starts for all."""
    for script in ("echo once", "echo once; sleep 1"):
        _start_together(subject, subject.spec(script))


def _start_together(subject: PlatformSubject, spec: RunSpec) -> None:
    with ThreadPoolExecutor(_CONCURRENT_STARTS) as threads:
        # Concurrently, so that all of them take only as long as the slowest.
        timeout = 4 * _TIMEOUT
        starts = [
            threads.submit(partial(subject.make().start, spec, timeout))
            for _ in range(_CONCURRENT_STARTS)
        ]
        statuses = [start.result() for start in starts]
    platform = subject.make()
    wait_for_end(platform, spec.name)
    require(
        {status.name for status in statuses} == {spec.name},
        "The runs of the starts have other names.",
    )
    stored_files = subject.written(output(platform, spec.name))
    require(stored_files == b"once\n", "The step ran more than once.")
    run_list = [status for status in platform.runs(_TIMEOUT) if status.name == spec.name]
    require(len(run_list) == 1, f"{len(run_list)} runs have the same name.")


def an_ended_run_is_found_again(subject: PlatformSubject) -> None:
    """Starting a run under a finished run's name starts nothing, and returns that run."""
    platform, spec = subject.make(), subject.spec("echo x; exit 3")
    platform.start(spec, _TIMEOUT)
    first = wait_for_end(platform, spec.name)
    second_status = subject.make().start(spec, _TIMEOUT)
    require(second_status == first, f"A second start returned {second_status}, not {first}.")
    require(subject.written(output(platform, spec.name)) == b"x\n", "The step ran twice.")


def a_status_says_what_runs(subject: PlatformSubject) -> None:
    """A run's status contains the step's fingerprint and name, and the labels."""
    platform, spec = subject.make(), subject.spec("sleep 60")
    status = platform.start(spec, _TIMEOUT)
    try:
        for run_status in (status, platform.status(spec.name, _TIMEOUT)):
            require(
                run_status is not None and not run_status.is_over,
                "A run that has not ended is not reported as running.",
            )
            facts = run_status and (
                run_status.fingerprint,
                run_status.step,
                dict(run_status.labels),
            )
            expected = (spec.step.fingerprint, spec.step.name, dict(spec.labels))
            require(facts == expected, f"A run has {facts}, not {expected}.")
    finally:
        platform.stop(spec.name, 0.0, _TIMEOUT)


def lines_survive_cut_connections(subject: PlatformSubject) -> None:
    """Output lines are read once and in order, even if a new platform object reads each part."""
    pauses = _LINES // _CUTS
    script = (
        f"i=1; while [ $i -le {_LINES} ]; do echo line $i; i=$((i+1));"
        f" [ $((i % {pauses})) -eq 0 ] && sleep 0.02; done; exit 0"
    )
    platform, spec = subject.make(), subject.spec(script)
    platform.start(spec, _TIMEOUT)
    chunks = _chunks(subject.make, spec.name, "stdout")
    lines = subject.written(b"".join(chunk.data for chunk in chunks)).decode().splitlines()
    expected = [f"line {number}" for number in range(1, _LINES + 1)]
    require(lines == expected, f"Of {_LINES} lines, {len(lines)} arrived, or in another order.")
    require(wait_for_end(platform, spec.name).exit_code == 0, "The step failed.")


def a_mark_leads_to_the_same_bytes(subject: PlatformSubject) -> None:
    """Each read from the same position returns the same bytes."""
    script = "i=0; while [ $i -lt 300 ]; do echo line $i; i=$((i+1)); done"
    platform, status = _run(subject, script)
    chunks = _chunks(lambda: platform, status.name, "stdout")
    all_data = b"".join(chunk.data for chunk in chunks)
    output = b""
    for chunk in chunks:
        output += chunk.data
        unfinished_line, position = b"", chunk.position
        while True:
            part = subject.make().logs(status.name, "stdout", position, _TIMEOUT)
            unfinished_line, position = unfinished_line + part.data, part.position
            if part.is_last:
                break
        require(
            output + unfinished_line == all_data,
            "A second read from the same position returned different bytes.",
        )


def a_long_line_is_whole(subject: PlatformSubject) -> None:
    """A line of a megabyte is read completely."""
    script = f"head -c {_LONG} /dev/zero | tr '\\0' 'x'; echo; echo end"
    platform, status = _run(subject, script)
    data = subject.written(output(platform, status.name))
    require(data == b"x" * _LONG + b"\nend\n", f"Of a long line, {len(data):,} bytes arrived.")


def _ended_at_limit(
    subject: PlatformSubject, script: str, grace: float
) -> tuple[Platform, RunStatus]:
    """Return the status of a run that exceeded its time limit.

    A busy machine may take longer to begin a program than the limit; then the limit is raised.
    """
    for timeout in _LIMITS:
        platform, status = _run(subject, script, timeout=timeout, grace=grace)
        require(status.reason is EndReason.DEADLINE, f"The reason of the end is {status.reason}.")
        if b"begun" in output(platform, status.name):
            return platform, status
    raise AssertionError(f"No program began within {_LIMITS[-1]:g} seconds.")


def a_limit_ends_a_run(subject: PlatformSubject) -> None:
    """A run that exceeds its limit is asked to end, may clean up, and reports the reason."""
    script = "trap 'echo cleaned; exit 5' TERM; echo begun; sleep 600 & wait"
    _, status = _ended_at_limit(subject, script, 20.0)
    codes = {5, 137} if subject.has(PlatformLimit.NO_CODE_AFTER_STOP) else {5}
    require(status.exit_code in codes, f"The step had no time to clean up: {status}.")


def a_limit_kills_a_run(subject: PlatformSubject) -> None:
    """A run that ignores the request to end is killed after its grace period."""
    script = "trap '' TERM; echo begun; while :; do sleep 1; done"
    platform, status = _ended_at_limit(subject, script, 1.0)
    require(status.exit_code == 137, f"The exit code of a killed run is {status.exit_code}.")
    require(platform.status(status.name, _TIMEOUT) == status, "An ended run changes.")


def a_run_can_be_stopped(subject: PlatformSubject) -> None:
    """A stopped run ends and reports this; it may be stopped again."""
    platform, spec = subject.make(), subject.spec("trap 'exit 9' TERM; sleep 600 & wait")
    platform.start(spec, _TIMEOUT)
    sleep(_NAP * 10)
    subject.make().stop(spec.name, 20.0, _TIMEOUT)
    status = wait_for_end(platform, spec.name)
    require(status.reason is EndReason.STOPPED, f"The reason of the end is {status.reason}.")
    platform.stop(spec.name, 1.0, _TIMEOUT)
    require(
        platform.status(spec.name, _TIMEOUT) == status, "Stopping an ended run changed the run."
    )


def nothing_outlives_a_run(subject: PlatformSubject) -> None:
    """Background programs of a step end when the step ends."""
    platform, status = _run(subject, "(while :; do echo alive; sleep 0.1; done) & exit 0")
    data = output(platform, status.name)
    sleep(_NAP * 10)
    require(
        output(platform, status.name) == data, "A program continues to run after its step ended."
    )


def only_declared_variables_are_seen(subject: PlatformSubject) -> None:
    """A step sees the environment variables declared for it, and none of the starting process."""
    platform, status = _run(
        subject, 'echo "$GREETING|${HOME_OF_KIT-none}"; env', environment={"GREETING": "a b $c"}
    )
    lines = output(platform, status.name).decode().splitlines()
    if subject.has(PlatformLimit.OTHER_VARIABLES):
        require("a b $c|none" in lines, "The declared variable has not arrived.")
        return
    require(lines[0] == "a b $c|none", f"The declared variable arrived as {lines[0]!r}.")
    names = {line.partition("=")[0] for line in lines[1:]}
    usual_names = {"GREETING", "PATH", "PWD", "HOME", "HOSTNAME", "SHLVL", "OLDPWD", "_", "TERM"}
    require(names <= usual_names, f"The step sees {sorted(names - usual_names)}.")


def _refuses(platform: Platform, spec: RunSpec, what: str) -> None:
    """Check that a step is refused before anything starts."""
    for attempt in (lambda: platform.validate(spec.step), lambda: platform.start(spec, _TIMEOUT)):
        try:
            attempt()
        except InvalidData:
            continue
        raise AssertionError(f"{what} is not refused.")
    require(platform.status(spec.name, _TIMEOUT) is None, f"{what} is refused, and started.")


def secrets_are_files(subject: PlatformSubject) -> None:
    """A step reads its secret from a file, and no description of the run contains it."""
    script = 'cat "$TOKEN_FILE"; sleep 2'
    platform = subject.make()
    spec = subject.spec(
        script, values={"TOKEN": Secret(_SECRET)}, secrets={"TOKEN": "secret://env/T"}
    )
    if subject.has(PlatformLimit.NO_SECRETS):
        _refuses(platform, spec, "A step with secrets")
        return
    status = platform.start(spec, _TIMEOUT)
    shown_text = [
        repr(status),
        repr(platform.status(spec.name, _TIMEOUT)),
        repr(platform.runs(_TIMEOUT)),
    ]
    end = wait_for_end(platform, spec.name)
    require(output(platform, spec.name) == _SECRET.encode(), "The file has another content.")
    require(
        not any(_SECRET in text for text in [*shown_text, repr(end)]), "A status shows a secret."
    )


def files_go_in_and_out(subject: PlatformSubject) -> None:
    """A step finds its input files in its working directory, and its output files are collected."""
    workspace = Workspace(files={"a.txt": b"one\n", "in/b.bin": b"\x00\xff"}, collect=("out/c",))
    script = (
        "mkdir out; cat a.txt in/b.bin > out/c; ln -s /etc/passwd out/link;"
        " head -c 2000 /dev/zero > out/large; mkdir out/folder"
    )
    absent_paths: tuple[str, ...] = ("missing", "out/link", "out/large", "out/folder")
    if subject.has(PlatformLimit.NO_FILES):
        _refuses(subject.make(), subject.spec(script, workspace=workspace), "A step with files")
        if subject.has(PlatformLimit.NOTHING_COLLECTED):
            collecting_spec = subject.spec(script, workspace=Workspace(collect=("out/c",)))
            _refuses(subject.make(), collecting_spec, "A step whose files are to be collected")
            return
        script = "printf 'one\\n\\000\\377' > a.txt; mkdir in; : > in/b.bin;" + script
        workspace, absent_paths = (
            Workspace(collect=("out/c",)),
            ("missing", "out/large", "out/folder"),
        )
    platform, status = _run(subject, script, workspace=workspace)
    collect = partial(platform.collect, status.name)
    require(collect("out/c", 100, _TIMEOUT) == b"one\n\x00\xff", "A file has different content.")
    for path in absent_paths:
        require(collect(path, 100, _TIMEOUT) is None, f"{path} was collected.")


def a_removed_run_is_forgotten(subject: PlatformSubject) -> None:
    """A removed run is unknown afterwards; a running one cannot be removed."""
    platform, spec = subject.make(), subject.spec("sleep 2")
    platform.start(spec, _TIMEOUT)
    platform.remove(spec.name, 1.0)
    status = platform.status(spec.name, _TIMEOUT)
    require(status is not None and not status.is_over, "A run that has not ended was removed.")
    wait_for_end(platform, spec.name)
    for _ in range(2):
        platform.remove(spec.name, _TIMEOUT)
    if subject.has(PlatformLimit.FORGETS_BY_ITSELF):
        return
    require(platform.status(spec.name, _TIMEOUT) is None, "A removed run is still known.")
    names = {status.name for status in platform.runs(_TIMEOUT)}
    require(spec.name not in names, "A removed run is still listed.")


def an_unknown_run_is_no_error(subject: PlatformSubject) -> None:
    """A name that was never started has no status, output or files."""
    platform, name = subject.make(), subject.spec("true").name
    require(platform.status(name, _TIMEOUT) is None, "There is a status of an unknown run.")
    chunk = platform.logs(name, "stdout", "", _TIMEOUT)
    require((chunk.data, chunk.is_last) == (b"", True), "There is output of an unknown run.")
    platform.stop(name, 1.0, _TIMEOUT)
    platform.remove(name, _TIMEOUT)
    require(platform.collect(name, "a", 1, _TIMEOUT) is None, "There is a file of an unknown run.")


def closing_ends_no_run(subject: PlatformSubject) -> None:
    """Closing a platform object, even twice, does not end the runs that it started."""
    platform, spec = subject.make(), subject.spec("sleep 1; echo done")
    platform.start(spec, _TIMEOUT)
    platform.close()
    platform.close()
    status = wait_for_end(subject.make(), spec.name)
    require(status.phase is RunPhase.ENDED and status.exit_code == 0, "Closing ended a run.")


CHECKS: Final = (
    exit_codes_are_reported,
    signals_are_exit_codes,
    standard_output_and_error_are_separate,
    one_name_is_one_run,
    an_ended_run_is_found_again,
    a_status_says_what_runs,
    lines_survive_cut_connections,
    a_mark_leads_to_the_same_bytes,
    a_long_line_is_whole,
    a_limit_ends_a_run,
    a_limit_kills_a_run,
    a_run_can_be_stopped,
    nothing_outlives_a_run,
    only_declared_variables_are_seen,
    secrets_are_files,
    files_go_in_and_out,
    a_removed_run_is_forgotten,
    an_unknown_run_is_no_error,
    closing_ends_no_run,
)
