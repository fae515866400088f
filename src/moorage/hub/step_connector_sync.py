"""Runs the steps of a synchronous program on one platform, each once and to its end.

`python -m tools.twins` makes this file; do not edit it.

Laws:

1. A key identifies one run. The run is started by an operation with the protections of its service.
   Its name is derived from the key, so that the platform can find the run again.
2. Reading a run's output is not an attempt of an operation: it takes no token of a rate limit, and
   a failed read is repeated until the platform answers again.
3. The end of a run is settled once per key: one follower calls the hook, if there is one, and all
   others get its result. A settled run is removed from the platform; its result remains stored.
4. Cancelling a follower does not stop the run, because others may follow it.
5. Only the platform, or a call of `stop`, ends a run that somebody follows.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn

import attrs

from moorage.domain.idempotency.claims import (
    WriteRecordOnce,
    checked_key,
)
from moorage.domain.resilience.interruptions import is_interruption
from moorage.domain.secrets.frames import with_careful_constructor, without_frames
from moorage.domain.secrets.secret import Secret
from moorage.domain.secrets.value_mask import mask_error, masked_text, value_mask
from moorage.domain.state.keys import longer_key, state_key
from moorage.domain.steps.following import FollowedRun
from moorage.domain.steps.log_parts import StorageLog
from moorage.domain.steps.result import (
    ExecutionResult,
    HookError,
    packed_result,
    unpacked_result,
)
from moorage.domain.steps.runs import (
    RunPhase,
    RunSpec,
    RunStatus,
)
from moorage.domain.steps.step import (
    LARGEST_WORKSPACE,
    ConnectorType,
    Step,
    Workspace,
    check_no_secret_shown,
    run_name,
)
from moorage.domain.values.durations import maybe_seconds, seconds
from moorage.errors import (
    ConfigurationError,
    ConnectorError,
    HeldBack,
    LocalFailure,
    OutcomeUnknown,
    VendorFailed,
)
from moorage.hub._run_following_sync import (
    FINGERPRINT,
    LOOK,
    FollowerLease,
    RunReader,
)
from moorage.hub._step_answers_sync import once_sync, store_sync, stored_sync
from moorage.hub._step_cache_sync import StepCache
from moorage.hub._step_hooks_sync import call_hook_sync
from moorage.hub._step_log_writer_sync import LogWriter
from moorage.hub.internals import core_of, ports_of
from moorage.parts.idempotency import Idempotency
from moorage.runtime.flows import run_now
from moorage.services.calling.manual_operations import ManualAct, perform_recorded
from moorage.wiring.step_secrets import referenced_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from moorage.domain.secrets.value_mask import Masker
    from moorage.domain.service.operation import OperationAttempt
    from moorage.domain.steps.log_lines import LogLine
    from moorage.hub.manager import ConnectorManager
    from moorage.ports.platform import Platform
    from moorage.ports.step_files import StepFiles
    from moorage.ports.step_log import StepLog

_STORE_TTL: Final = 10 * 365 * 86_400_000_000
_SETTLING_SECONDS: Final = 300.0
_GRACE: Final = 10.0
_LABEL_STORE: Final = "store"
_LABEL_SERVICE: Final = "service"
_LABEL_KEY: Final = "key"
_LABEL_TENANT: Final = "tenant"


@with_careful_constructor
class StepConnector:
    """Runs steps on one platform, such as Kubernetes.

    Override `pre_execute` and `post_execute`, or give functions instead.

    Args:
        platform: the platform that the steps run on.
        manager: starts the steps under the protections of their service, and has the store of used
            keys. Give it a store that outlives the process, so that a restart finds the results of
            steps that have ended.
        service: the service of the manager whose protections apply to starting a step.
        pre_execute: called with the step once per key, before it starts. If it raises an error, the
            step does not start under this key.
        post_execute: called with the step and its result once per key, after a success, a failure,
            a stop or a deadline. If it raises an error, the result contains the error.
        hook_timeout: the maximum seconds of each hook; a hook that takes longer is abandoned, with
            the error `DeadlineExceeded`. Synchronous hooks run in a thread of their own, which goes
            on in that case. None sets no limit, and runs them in the thread of the caller.
        secrets: looks up a secret by its reference; by default in environment variables and files.
        files: the storage of the steps' inputs and outputs.
    """

    def __init__(
        self,
        platform: Platform,
        manager: ConnectorManager,
        *,
        service: str = "steps",
        pre_execute: Callable[[Step], object] | None = None,
        post_execute: Callable[[Step, ExecutionResult], object] | None = None,
        hook_timeout: float | None = 300.0,
        secrets: Callable[[str], Secret] = referenced_secret,
        files: StepFiles | None = None,
    ) -> None:
        ports = ports_of(manager)
        self._platform = platform
        self._manager = manager
        self._service = service
        self._before = pre_execute
        self._after = post_execute
        self._hook_timeout = maybe_seconds(hook_timeout, "hook_timeout")
        self._secrets = secrets
        self._files = files
        self._once = Idempotency(
            name=f"{service}.settled",
            storage=ports.claims or ports.state,
            timeout=max(_SETTLING_SECONDS, self._hook_timeout or 0.0),
            cipher=ports.cipher,
            clock=ports.clock,
        )
        self._reader = RunReader(platform, manager)
        self._store: str | None = None
        self._cache = StepCache(manager, service, platform.type)

    @property
    def name(self) -> str:
        """The name of the connector, made of its service and its platform's type."""
        return f"{self._service}/{self.type}"

    @property
    def type(self) -> ConnectorType:
        """The type of the platform."""
        return self._platform.type

    @property
    def platform(self) -> Platform:
        """The platform that runs the steps."""
        return self._platform

    def validate(self, step: Step) -> None:
        """Raise an error if a step cannot run on this platform, without starting anything.

        Raises:
            InvalidData: the platform cannot run the step, or the step contains a secret in plain
                text.
            CredentialNotFound: one of its secrets cannot be found.
            ConfigurationError: the step has files in a storage, and the connector has no storage.
        """
        if step.workspace.needs_storage and self._files is None:
            raise ConfigurationError(
                f"The step {step.name!r} has inputs or outputs, and its connector has no storage.",
                path="files",
                remedy="Use the steps of a hub with a storage, or give the connector `files`.",
            )
        self._platform.validate(step)
        check_no_secret_shown(step, self._secrets_of(step))

    def pre_execute(self, step: Step) -> None:
        """Called once per idempotency key, before the step starts."""
        if self._before is not None:
            run_now(core_of(self._manager).settle(self._before(step)))

    def post_execute(self, step: Step, result: ExecutionResult) -> None:
        """Called once per idempotency key after the step has ended, successful or not."""
        if self._after is not None:
            run_now(core_of(self._manager).settle(self._after(step, result)))

    def execute_step(
        self,
        step: Step,
        workspace: Workspace | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        idempotency_key: str | None = None,
        tenant: str | None = None,
        log: StepLog | StorageLog | Callable[[LogLine], object] | None = None,
        patience: float | None = None,
    ) -> ExecutionResult:
        """Start a step or find its run, follow the run to its end, and return its result.

        A step that fails is a result too, not an error. A step with a `cache` does not run again if
        it succeeded before; no hook is called then, and `cached` in the metadata is true.

        Args:
            step: the step.
            workspace: the files of the run, in place of those of the step.
            environment: environment variables in addition to those of the step.
            idempotency_key: identifies this one run. A repeat follows the same run, or returns the
                stored result. By default each call is a run of its own.
            tenant: the tenant whose limits, circuit and keys to use.
            log: receives the lines of the output. A function is called with each `LogLine`; if the
                run or its result is found again, it is called for all lines again. A `StorageLog`
                writes them to the storage of the tenant.
            patience: the seconds for which to follow the run; by default until its end. After them
                the run goes on, and a repeat with the same key finds it again, so give a key.

        Raises:
            StepRunning: the run has not ended after the seconds of `patience`.
            ConnectorError: the step could not be started, or its outcome is unknown.
        """
        core = core_of(self._manager)
        key = core.new_id() if idempotency_key is None else checked_key(idempotency_key)
        if patience is not None:
            patience = seconds(patience, "patience", zero=True)
        if workspace is not None:
            step = attrs.evolve(step, workspace=workspace)
        if environment:
            step = attrs.evolve(step, environment={**step.environment, **environment})
        self.validate(step)
        writer = self._writer(log, tenant)
        secrets = self._secrets_of(step)
        values = [secret.reveal_bytes() for secret in secrets.values()]
        mask = value_mask(values)
        name = run_name(self._service, tenant, key)
        try:
            reused_result = self._reused(step, key, tenant)
            inputs: Mapping[str, bytes] | None = None
            if reused_result is None:
                self._call_pre_hook(step, name, mask)
                inputs = self._inputs(step, key, tenant)
            labels = {
                _LABEL_STORE: self._store_id(),
                _LABEL_SERVICE: self._service,
                _LABEL_KEY: key,
                **({} if tenant is None else {_LABEL_TENANT: tenant}),
            }
            spec = RunSpec(
                name=name, step=step, secrets=secrets, labels=labels, inputs=inputs or {}
            )
            start = partial(
                self._manager.perform,
                self._service,
                _Start(self._platform, spec, is_needed=inputs is not None),
                tenant=tenant,
                idempotency_key=key,
                payload={"step": step.fingerprint},
            )
            if reused_result is None:
                followed_run, status = self._follow(start, spec, values, writer, patience)
                with _after_start():
                    result = self._stored_result(spec, followed_run, status, mask, patience)
                    self._cache.store_result(step, tenant, result)
            else:
                start()
                result, status = reused_result, None
                followed_run = FollowedRun(values, writer.positions())
        except ConnectorError as error:
            failure = without_frames(error)
            mask_error(failure, mask)
            failure.idempotency_key = key
            _raise(failure)
        lines = followed_run.rest(result) if status is None else []
        writer.write(lines or (), is_end=True)
        if lines is None:
            writer.record_missing_lines()
        problem = writer.problem
        return result if problem is None else result.with_metadata(log_error=problem)

    def stop(
        self,
        idempotency_key: str,
        *,
        tenant: str | None = None,
        grace: float | None = None,
        actor: str | None = None,
        reason: str = "",
    ) -> bool:
        """Stop the step of this idempotency key; callers that wait for it get a cancelled result.

        Args:
            idempotency_key: the key of the run.
            tenant: the tenant of the key.
            grace: seconds until the run is killed; by default ten.
            actor: the person who does it, for the audit trail; by default the system's user.
            reason: the reason for the audit trail.

        Returns:
            True if the run was still running.
        """
        name = run_name(self._service, tenant, checked_key(idempotency_key))
        return self.stop_run(name, grace=grace, actor=actor, reason=reason)

    def stop_run(
        self, name: str, *, grace: float | None = None, actor: str | None = None, reason: str = ""
    ) -> bool:
        """Stop a run by its name; return whether it was still running.

        Args:
            name: the name of the run.
            grace: seconds until the run is killed; by default ten.
            actor: the person who does it, for the audit trail; by default the system's user.
            reason: the reason for the audit trail.
        """
        grace = _GRACE if grace is None else seconds(grace, "grace", zero=True)
        status = self._platform.status(name, LOOK)
        if status is None or status.is_over:
            return False
        core = core_of(self._manager)
        manual_act = ManualAct(
            act="step.stop",
            subject=f"step {status.labels.get(_LABEL_KEY, name)} of {self.name}",
            actor=actor,
            reason=reason,
            before={"step": status.step, "run": name, "tenant": status.labels.get(_LABEL_TENANT)},
            after={"grace": grace},
        )

        def end() -> bool:
            self._platform.stop(name, grace, LOOK)
            return True

        return bool(run_now(perform_recorded(core, manual_act, lambda: core.settle(end()))))

    def status(self, idempotency_key: str, *, tenant: str | None = None) -> RunStatus | None:
        """Return the status of an idempotency key's run; None if the platform has no such run."""
        name = run_name(self._service, tenant, checked_key(idempotency_key))
        return self._platform.status(name, LOOK)

    def stored_result(
        self, idempotency_key: str, *, tenant: str | None = None
    ) -> ExecutionResult | None:
        """Return the stored result of an idempotency key; None if it is missing or expired."""
        name = run_name(self._service, tenant, checked_key(idempotency_key))
        stored_result = stored_sync(self._once, f"{name}.end")
        return None if stored_result is None else unpacked_result(stored_result)

    def output(
        self,
        step: Step,
        log: StepLog | StorageLog | Callable[[LogLine], object],
        *,
        idempotency_key: str,
        tenant: str | None = None,
        until_end: bool = False,
    ) -> RunStatus | None:
        """Pass the output of a run to a log, without starting or settling the run.

        Args:
            step: the step, whose secrets are masked.
            log: receives the lines, as in `execute_step`.
            idempotency_key: the key of the run.
            tenant: the tenant of the key.
            until_end: True to wait for the end of the run; by default only the present output is
                read.

        Returns:
            The status of the run; None if the platform has no run of this key any more, or never
                had.
        """
        name = run_name(self._service, tenant, checked_key(idempotency_key))
        status = self._platform.status(name, LOOK)
        if status is None:
            return None
        writer = self._writer(log, tenant)
        secrets = [secret.reveal_bytes() for secret in self._secrets_of(step).values()]
        followed_run = FollowedRun(secrets, writer.positions())
        if until_end:
            status = self._reader.read_to_end(name, followed_run, writer)
        else:
            while self._reader.read(name, followed_run, writer):
                pass
        writer.write((), is_end=True)
        return status

    def runs(self) -> tuple[RunStatus, ...]:
        """Return the platform's status for each run that is not settled yet.

        A run that the platform could not describe in time has a `problem`, and only a part of the
        facts.
        """
        return tuple(self._platform.runs(LOOK))

    def clean_up(self, after: float = 30.0) -> tuple[RunStatus, ...]:
        """Stop the runs that no process follows, and return them.

        A run that was created but not started, because its starter died, never starts then. Only
        runs that were started with the same store are checked. Each is checked twice: it is stopped
        only if nobody has followed it in between.

        Args:
            after: the seconds between the two checks. Choose more than the restart of a process
                takes.

        Raises:
            ConfigurationError: the store is the memory of this process, so it is unknown which runs
                other processes follow.
            ConnectorError: a run could not be checked or stopped; all others were.
        """
        core, pause = core_of(self._manager), seconds(after, "after", zero=True)
        if not core.renewals.renews:
            raise ConfigurationError(
                "The store is the memory of this process, so this process cannot know which"
                " steps other processes follow.",
                path="state",
                remedy="Keep the state in a store that all processes share, such as a database.",
            )
        store = self._store_id()
        fences: dict[str, int] = {}
        for status in self.runs():
            if not status.is_over and status.labels.get(_LABEL_STORE) == store:
                lease = self._lease(status.name)
                if lease.acquire():
                    fences[status.name] = lease.fence
                    lease.release()
        if fences:
            run_now(core.sleep(pause))
        stopped_runs: list[RunStatus] = []
        problems: list[ConnectorError] = []
        for name, fence in fences.items():
            try:
                orphan = self._stop_orphan(name, fence)
            except ConnectorError as error:
                problems.append(error)
            else:
                stopped_runs += [] if orphan is None else [orphan]
        if problems:
            raise problems[0]
        return tuple(stopped_runs)

    def close(self) -> None:
        """Close the platform's connections; running steps go on."""
        self._platform.close()

    def _stop_orphan(self, name: str, fence: int) -> RunStatus | None:
        """Stop a run that nobody has followed since this fencing token, and return it."""
        lease = self._lease(name)
        try:
            if lease.acquire() and lease.fence == fence + 1:
                orphan = self._platform.status(name, LOOK)
                if self.stop_run(name, reason="No process follows the step."):
                    return orphan
            return None
        finally:
            lease.release()

    def _secrets_of(self, step: Step) -> dict[str, Secret]:
        return {
            name: value if isinstance(value, Secret) else self._secrets(value)
            for name, value in step.secrets.items()
        }

    def _writer(
        self, log: StepLog | StorageLog | Callable[[LogLine], object] | None, tenant: str | None
    ) -> LogWriter:
        if isinstance(log, StorageLog) and self._files is None:
            raise ConfigurationError(
                "The log of a step needs a storage, but its connector has none.",
                path="files",
                remedy="Use the steps of a hub with a storage, or give the connector `files`.",
            )
        return LogWriter(log, self._files, tenant, core_of(self._manager).nanoseconds)

    def _lease(self, name: str) -> FollowerLease:
        return FollowerLease(
            self._manager, state_key("idempotency", self._service, None, "follower", name)
        )

    def _store_id(self) -> str:
        """Return the id of the store, which marks runs as those of this store."""
        if self._store is None:
            core = core_of(self._manager)
            key = longer_key(state_key("idempotency", self._service, None, "store"), "id")
            command = WriteRecordOnce(key, core.new_id(), fingerprint=FINGERPRINT, ttl=_STORE_TTL)
            record = run_now(core.execute(command, LOOK))
            self._store = str(record.value)
        return self._store

    def _call_pre_hook(self, step: Step, name: str, mask: Masker) -> None:
        """Call the hook `pre_execute` once per idempotency key; later calls raise its error.

        The stored answer of the hook may have expired during a long run, so the hook is not called
        while the platform has a run of this key.
        """

        def prepare() -> str | None:
            try:
                hook = partial(self.pre_execute, step)
                call_hook_sync("pre_execute", hook, self._hook_timeout)
            except Exception as error:
                if is_interruption(error):
                    raise
                return _text_of(error, mask)
            return None

        if self._before is None and not self._overrides("pre_execute"):
            return
        if self._platform.status(name, LOOK) is not None:
            return
        problem = once_sync(self._once, f"{name}.begin", prepare)
        if problem is not None:
            raise HeldBack(
                f"The hook pre_execute refused the step {step.name!r}: {problem}",
                remedy="Correct the problem that the hook reports, and use a new key.",
            )

    def _reused(self, step: Step, key: str, tenant: str | None) -> ExecutionResult | None:
        """Return the stored result of an equal step, and store it for this idempotency key too.

        If the key already has a run or a result of its own, that is used instead.
        """
        if step.cache is None:
            return None
        own_result = self.stored_result(key, tenant=tenant)
        if own_result is not None:
            return own_result if own_result.metadata.get("cached") else None
        result = self._cache.find(step, step.cache, tenant)
        if result is None or self.status(key, tenant=tenant) is not None:
            return None
        name = run_name(self._service, tenant, key)
        return unpacked_result(store_sync(self._once, f"{name}.end", packed_result(result)))

    def _overrides(self, hook: str) -> bool:
        return getattr(type(self), hook) is not getattr(StepConnector, hook)

    def _follow(
        self,
        start: Callable[[], object],
        spec: RunSpec,
        secrets: Sequence[bytes],
        writer: LogWriter,
        patience: float | None,
    ) -> tuple[FollowedRun, RunStatus | None]:
        """Start a run, and follow it to its end.

        The lease is taken before the start, so that `clean_up` leaves a run alone that is being
        started.

        Returns:
            The output that was read, and the last status of the run.
        """
        lease = self._lease(spec.name)
        try:
            lease.keep()
            start()
            with _after_start():
                followed_run = FollowedRun(secrets, writer.positions())
                status = self._reader.read_to_end(
                    spec.name, followed_run, writer, lease, spec, patience=patience
                )
        finally:
            lease.release()
        return followed_run, status

    def _stored_result(
        self,
        spec: RunSpec,
        following: FollowedRun,
        status: RunStatus | None,
        mask: Masker,
        patience: float | None,
    ) -> ExecutionResult:
        """Store and return the result of a run, or return the result stored before."""
        unstored_result = None
        if status is not None:
            files, problems = dict[str, bytes](), dict[str, str]()
            if status.phase is RunPhase.ENDED:
                files, problems = self._collected(spec, mask, patience)
            unstored_result = following.result(status, files)
            if unstored_result is not None:
                unstored_result = attrs.evolve(
                    unstored_result,
                    stdout=masked_text(unstored_result.stdout, mask),
                    stderr=masked_text(unstored_result.stderr, mask),
                )
                if problems:
                    unstored_result = unstored_result.with_metadata(not_collected=problems)
                unstored_result = self._store_outputs(spec, unstored_result, mask)
        end_key = f"{spec.name}.end"
        if unstored_result is None:
            stored_result = stored_sync(self._once, end_key)
            if stored_result is None:
                raise _unknown_end(spec)
        elif self._after is None and not self._overrides("post_execute"):
            stored_result = store_sync(self._once, end_key, packed_result(unstored_result))
        else:
            try:
                call_post_hook = partial(self._call_post_hook, spec.step, unstored_result, mask)
                stored_result = once_sync(self._once, end_key, call_post_hook)
            except OutcomeUnknown:
                problem = (
                    "The hook post_execute was interrupted, so it is unknown whether it has"
                    " done its work."
                )
                return attrs.evolve(
                    unstored_result, hook_errors=(HookError("post_execute", problem),)
                )
        with suppress(ConnectorError):
            self._platform.remove(spec.name, LOOK)
        return unpacked_result(stored_result)

    def _call_post_hook(
        self,
        step: Step,
        draft: ExecutionResult,
        mask: Masker,
    ) -> dict[str, Any]:
        """Call the hook `post_execute`, then return the result as JSON values."""
        try:
            hook = partial(self.post_execute, step, draft)
            call_hook_sync("post_execute", hook, self._hook_timeout)
        except Exception as error:
            if is_interruption(error):
                raise
            hook_error = HookError("post_execute", _text_of(error, mask))
            draft = attrs.evolve(draft, hook_errors=(hook_error,))
        return packed_result(draft)

    def _inputs(self, step: Step, key: str, tenant: str | None) -> Mapping[str, bytes] | None:
        """Return a step's input files from the storage; None if its run has them already."""
        files = self._files
        if not step.workspace.inputs or files is None:
            return {}
        if self.stored_result(key, tenant=tenant) is not None:
            return None
        status = self.status(key, tenant=tenant)
        if status is not None and status.phase is not RunPhase.STARTING:
            return None
        time_left = LARGEST_WORKSPACE - sum(map(len, step.workspace.files.values()))
        contents: dict[str, bytes] = {}
        for path, place in step.workspace.inputs.items():
            contents[path] = files.read(place, time_left, tenant)
            time_left -= len(contents[path])
        return contents

    def _store_outputs(
        self,
        spec: RunSpec,
        draft: ExecutionResult,
        mask: Masker,
    ) -> ExecutionResult:
        """Store the output files of a successful step; files that fail stay in the result.

        Several followers may do so, because each stores the same files under the same keys.
        """
        step, files, tenant = spec.step, self._files, spec.labels.get(_LABEL_TENANT)
        if files is None or not step.workspace.outputs or not draft.is_success:
            return draft
        if stored_sync(self._once, f"{spec.name}.end") is not None:
            return draft
        contents, problems = dict(draft.files), dict[str, str]()
        unreadable_files: Mapping[str, str] = draft.metadata.get("not_collected", {})
        for path, place in step.workspace.outputs.items():
            content = draft.files.get(path)
            if content is None:
                problems[path] = unreadable_files.get(
                    path, "The step did not write this file, or the file is too large."
                )
                continue
            try:
                files.write(place, content, tenant)
            except ConnectorError as error:
                problems[path] = _text_of(error, mask)
            else:
                if path not in step.workspace.collect:
                    del contents[path]
        output_problems = {"not_stored": problems} if problems else {}
        return attrs.evolve(draft, files=contents).with_metadata(**output_problems)

    def _collected(
        self, spec: RunSpec, mask: Masker, patience: float | None
    ) -> tuple[dict[str, bytes], dict[str, str]]:
        """Return the output files of a run, and the problems of those that cannot be read.

        Raises:
            ConnectorError: the platform does not answer. The run stays, with its files.
        """
        files, problems = dict[str, bytes](), dict[str, str]()
        time_left = LARGEST_WORKSPACE
        workspace = spec.step.workspace
        for path in dict.fromkeys([*workspace.collect, *workspace.outputs]):
            try:
                content = self._reader.collect(spec.name, path, time_left, patience)
            except ConnectorError as error:
                if error.retryable and not isinstance(error, VendorFailed):
                    raise
                problems[path] = _text_of(error, mask)
                continue
            if content is not None:
                files[path] = content
                time_left -= len(content)
        return files, problems


@attrs.frozen
class _Start:
    """The operation that starts a run, or finds a run with the same name.

    It starts nothing if the step's result is reused, or if the run has its inputs already.
    """

    platform: Platform
    spec: RunSpec = attrs.field(repr=False)
    is_needed: bool
    name: str = "steps.start"
    safe: bool = False
    repeatable: bool = True

    @property
    def system(self) -> str:
        return str(self.platform.type)

    def perform(self, attempt: OperationAttempt) -> str:
        """Start the run, and return its name."""
        if not self.is_needed:
            return self.spec.name
        return (self.platform.start(self.spec, attempt.timeout)).name

    def translate_error(self, error: Exception) -> ConnectorError | None:
        """Convert an exception that the platform should not have raised to moorage's error."""
        return LocalFailure(
            f"The platform raised {type(error).__name__}.",
            may_have_been_processed=True,
            retryable=False,
        )


@contextmanager
def _after_start() -> Generator[None]:
    """State in the errors of a block that the step may have run."""
    try:
        yield
    except ConnectorError as error:
        error.may_have_been_processed = True
        raise


def _unknown_end(spec: RunSpec) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"The run of the step {spec.step.name!r} was started, but its end was never recorded:"
        " something other than moorage removed or killed the run.",
        idempotency_key=spec.labels[_LABEL_KEY],
        lookup=f"the run {spec.name} on its platform, and the effects of the step",
        remedy="Look up what the step has done before you run it again with another key.",
    )


def _text_of(error: Exception, mask: Masker) -> str:
    return masked_text(f"{type(error).__name__}: {error}", mask)


def _raise(error: ConnectorError) -> NoReturn:
    raise error
