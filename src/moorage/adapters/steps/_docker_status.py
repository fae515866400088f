"""The status of a run, derived from its container, notes and Docker events."""

from __future__ import annotations

import json
import signal
from datetime import UTC, datetime
from time import time
from typing import TYPE_CHECKING, Any, Final

from moorage.adapters.steps._docker_logs import seconds_of
from moorage.adapters.steps._docker_wire import check_understood, container_path, is_of_podman
from moorage.domain.steps.runs import EndReason, RunPhase, RunStatus
from moorage.errors import ConnectorError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from moorage.adapters.steps._docker_wire import Engine

LABEL: Final = "moorage"
"""The beginning of the labels of containers."""

TOMBSTONE: Final = f"{LABEL}.stopped-before-start"
"""The label of a container that only marks that a run was stopped before it started."""

_NOTES: Final = "/.moorage"
_MISSING_STATUSES: Final = frozenset({404})
_FIRST_ERROR_STATUS: Final = 400
_CANNOT_RUN_CODES: Final = frozenset({126, 127})
_NEVER_YEAR: Final = "0001"
_START_ACTION: Final = "start"
_PUT: Final = "extract-to-dir"
_STOPPED_CODE: Final = 128 + signal.SIGTERM
_KILLED_CODE: Final = 128 + signal.SIGKILL
_LATE_EVENT: Final = 1_000_000_000
"""Nanoseconds after a container's end in which the Engine learns of its lack of memory."""

_EVENTS_TIMEOUT: Final = 2.0
"""Seconds for recalling events; the Engine waits for the future if its clock was set back."""

_LARGEST_EVENTS: Final = 1024 * 1024
_PHASES: Final = {"exited": RunPhase.ENDED, "created": RunPhase.STARTING}
_REMOVED_STATES: Final = frozenset({"removing", "dead"})
"""The states of a container whose output the Engine does not show any more."""


class ContainerStates:
    """Describes the containers of a Docker Engine.

    Args:
        engine: the Engine.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def facts(self, name: str, timeout: float) -> dict[str, Any] | None:
        """Return a container's description; None if it does not exist or is being removed."""
        code, content = self._engine.ask(
            "GET", container_path(name, "json"), timeout, allowed=_MISSING_STATUSES
        )
        if code in _MISSING_STATUSES:
            return None
        with check_understood():
            facts: dict[str, Any] = json.loads(content)
            return None if facts["State"]["Status"] in _REMOVED_STATES else facts

    def status(self, name: str, facts: Mapping[str, Any], timeout: float) -> RunStatus:
        """Return a run's status from its container's description."""
        state = facts["State"]
        labels: dict[str, str] = facts["Config"]["Labels"] or {}
        phase = phase_of(facts)
        code = _STOPPED_CODE if is_tombstone(facts) else int(state["ExitCode"])
        is_over, created_at = phase is RunPhase.ENDED, _parsed_time(facts["Created"])
        return RunStatus(
            name=name,
            phase=phase,
            exit_code=code if is_over else None,
            reason=self._reason(name, facts, timeout) if is_over else None,
            fingerprint=labels.get(f"{LABEL}.fingerprint"),
            started_at=_parsed_time(state["StartedAt"]) or (created_at if is_over else None),
            ended_at=(_parsed_time(state["FinishedAt"]) or created_at) if is_over else None,
            step=labels.get(f"{LABEL}.step"),
            labels=_labels_of_run(labels),
            metadata={"container": str(facts["Id"]), "image": str(facts["Image"])},
        )

    def _reason(self, name: str, facts: Mapping[str, Any], timeout: float) -> EndReason:
        """Return why a container ended: from its state, a watchdog's notes and Docker's events."""
        if facts["State"].get("OOMKilled"):
            return EndReason.OUT_OF_MEMORY
        if is_tombstone(facts):
            return EndReason.STOPPED
        if self._was_untouched(facts, timeout) or not self._has_note(name, "", timeout):
            lacked_memory = self._lacked_memory(facts, timeout)
            return EndReason.OUT_OF_MEMORY if lacked_memory else EndReason.EXITED
        is_stopped = self._has_note(name, f"/{EndReason.STOPPED.value}", timeout)
        return EndReason.STOPPED if is_stopped else EndReason.DEADLINE

    def _lacked_memory(self, facts: Mapping[str, Any], timeout: float) -> bool:
        """Return whether a Docker event says that a container was killed for lack of memory.

        The Engine may learn of that only after it has described the container's end.
        """
        if facts["State"]["ExitCode"] != _KILLED_CODE or not facts["HostConfig"]["Memory"]:
            return False
        query = {
            "since": seconds_of(facts["Created"]),
            "until": seconds_of(facts["State"]["FinishedAt"], _LATE_EVENT),
            "filters": json.dumps({"container": [facts["Id"]], "event": ["oom"]}),
        }
        try:
            _, content = self._engine.ask(
                "GET", "/events", min(timeout, _EVENTS_TIMEOUT), query=query
            )
        except ConnectorError:
            return False
        return bool(content.strip())

    def _was_untouched(self, facts: Mapping[str, Any], timeout: float) -> bool:
        """Return whether Docker's events show that no file was added to a started container.

        The Engine remembers its last 256 events. Looking into a container instead takes much
        longer, because the Engine mounts the files.
        """
        filters = {"container": [facts["Id"]], "event": [_START_ACTION, _PUT]}
        query = {
            "since": seconds_of(facts["Created"]),
            "until": seconds_of(facts["State"]["FinishedAt"]),
            "filters": json.dumps(filters),
        }
        try:
            _, content = self._engine.ask(
                "GET", "/events", min(timeout, _EVENTS_TIMEOUT), query=query
            )
            with check_understood():
                *_, last = [None, *(json.loads(line)["Action"] for line in content.splitlines())]
        except ConnectorError:
            return False
        return bool(last == _START_ACTION)

    def was_started(self, container: str, timeout: float) -> bool:
        """Return whether Docker's events show that a container was started, even if it is gone.

        Podman shows no events until a time that has passed, so it is asked for all past ones.
        """
        filters = json.dumps({"container": [container], "event": [_START_ACTION]})
        seconds = min(timeout, _EVENTS_TIMEOUT)
        try:
            for end in ({"until": f"{time():.9f}"}, {"stream": "false"}):
                query = {"since": "1", "filters": filters, **end}
                with self._engine.answer("GET", "/events", seconds, query=query) as answer:
                    events = (
                        answer.read(_LARGEST_EVENTS) if answer.status < _FIRST_ERROR_STATUS else b""
                    )
                    if events.strip() or not is_of_podman(answer):
                        break
        except ConnectorError:
            return False
        return bool(events.strip())

    def _has_note(self, name: str, note: str, timeout: float) -> bool:
        """Return whether a watchdog stored this note in a container.

        An empty name means any note.
        """
        query = {"path": f"{_NOTES}{note}"}
        with self._engine.answer(
            "HEAD", container_path(name, "archive"), timeout, query=query
        ) as answer:
            return answer.status < _FIRST_ERROR_STATUS


def listed_status(name: str, item: Mapping[str, Any], problem: str) -> RunStatus | None:
    """Return a run's status from its item in the list of containers, without further requests.

    Args:
        name: the name of the run.
        item: the container's item in the list; it has no exit code, and no times.
        problem: the reason why there is no description.

    Returns:
        The status, without an exit code; None if the container is being removed.
    """
    state: str = item["State"]
    labels: dict[str, str] = item["Labels"] or {}
    if state in _REMOVED_STATES:
        return None
    is_over = TOMBSTONE in labels
    return RunStatus(
        name=name,
        phase=RunPhase.ENDED if is_over else _PHASES.get(state, RunPhase.RUNNING),
        exit_code=_STOPPED_CODE if is_over else None,
        reason=EndReason.STOPPED if is_over else None,
        fingerprint=labels.get(f"{LABEL}.fingerprint"),
        step=labels.get(f"{LABEL}.step"),
        labels=_labels_of_run(labels),
        metadata={"container": str(item["Id"]), "image": str(item["ImageID"])},
        problem=problem,
    )


def _labels_of_run(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels that a run's creator gave it, from the labels of its container."""
    prefix = f"{LABEL}.label."
    return {
        key.removeprefix(prefix): value for key, value in labels.items() if key.startswith(prefix)
    }


def id_of(status: RunStatus) -> str:
    """Return the id of a run's container."""
    return str(status.metadata["container"])


def phase_of(facts: Mapping[str, Any]) -> RunPhase:
    """Return the phase of a run, from its container's description."""
    state = facts["State"]
    phase = _PHASES.get(state["Status"], RunPhase.RUNNING)
    # The Engine could not, or was not allowed to, run the program.
    is_over = state["ExitCode"] in _CANNOT_RUN_CODES or is_tombstone(facts)
    return RunPhase.ENDED if phase is RunPhase.STARTING and is_over else phase


def is_tombstone(facts: Mapping[str, Any]) -> bool:
    """Return whether a container is a tombstone, for a run stopped before its start."""
    return TOMBSTONE in (facts["Config"]["Labels"] or {})


def _parsed_time(text: str) -> datetime | None:
    """Parse a Docker time with nanoseconds; None for the zero time, which means "never"."""
    if text.startswith(_NEVER_YEAR):
        return None
    return datetime.fromisoformat(text).astimezone(UTC)
