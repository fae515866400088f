"""The manager of a synchronous program's steps, which may run on several platforms.

`python -m tools.twins` makes this file; do not edit it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from moorage.adapters.concurrency.forking import ForkSafeLock
from moorage.domain.steps.registry import StepStatistics, type_of_step
from moorage.domain.steps.step import ConnectorType
from moorage.domain.values.uncopyable import Uncopyable
from moorage.errors import ConfigurationError
from moorage.hub.closing import close_all_sync
from moorage.hub.step_connector_sync import StepConnector
from moorage.wiring.installed_platforms import made_platform_sync, platform_kind_names
from moorage.wiring.step_secrets import referenced_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from moorage.domain.secrets.secret import Secret
    from moorage.domain.steps.log_lines import LogLine
    from moorage.domain.steps.log_parts import StorageLog
    from moorage.domain.steps.result import ExecutionResult
    from moorage.domain.steps.step import Step, Workspace
    from moorage.hub.manager import ConnectorManager
    from moorage.ports.platform import Platform
    from moorage.ports.step_files import StepFiles
    from moorage.ports.step_log import StepLog


class StepManager(Uncopyable):
    """Runs steps with the connector of each step's type.

    A connector is created when it is first needed, and reused. A type that was not registered is
    searched for among the installed packages, under the entry point `moorage.platforms`.

    Args:
        manager: starts the steps under the protections of their service, and has the store.
        service: the service of the manager whose protections apply.
        secrets: looks up a secret by its reference; by default in environment variables and files.
        files: the storage of the steps' inputs and outputs.
    """

    def __init__(
        self,
        manager: ConnectorManager,
        *,
        service: str = "steps",
        secrets: Callable[[str], Secret] = referenced_secret,
        files: StepFiles | None = None,
    ) -> None:
        self._manager = manager
        self._service = service
        self._secrets = secrets
        self._files = files
        self._factories: dict[ConnectorType, Callable[[], StepConnector]] = {}
        self._connectors: dict[ConnectorType, StepConnector] = {}
        self._replaced_connectors: list[StepConnector] = []
        self._steps: dict[str, Step] = {}
        self._statistics = StepStatistics()
        self._lock = ForkSafeLock()
        self._making: dict[ConnectorType, ForkSafeLock] = {}

    def register(
        self, kind: ConnectorType | str, factory: Callable[[], StepConnector | Platform]
    ) -> None:
        """Set the factory of the connectors for a type of steps.

        The connector of an earlier factory stays open until all are closed, because it may run
        steps.

        Args:
            kind: the type.
            factory: makes a connector, or a platform for a connector.
        """
        connector_type = ConnectorType(kind)

        def make_connector() -> StepConnector:
            platform: Any = factory()
            return platform if hasattr(platform, "execute_step") else self._connector(platform)

        with self._lock.current:
            self._factories[connector_type] = make_connector
            if (replaced_connector := self._connectors.pop(connector_type, None)) is not None:
                self._replaced_connectors.append(replaced_connector)

    def get(self, kind: ConnectorType | str) -> StepConnector:
        """Return the connector of a type, and create it at the first call.

        Raises:
            ConfigurationError: the type is not registered, and no installed package offers it
                without settings.
        """
        connector_type = ConnectorType(kind)
        with self._lock.current:
            creation_lock = self._making.setdefault(connector_type, ForkSafeLock())
        with creation_lock.current:
            while True:
                with self._lock.current:
                    connector = self._connectors.get(connector_type)
                    if connector is not None:
                        self._statistics.hits += 1
                        return connector
                    factory = self._factories.get(connector_type)
                connector = self._installed(connector_type) if factory is None else factory()
                with self._lock.current:
                    self._statistics.made += 1
                    if self._factories.get(connector_type) is factory:
                        self._connectors[connector_type] = connector
                        return connector
                    # Another factory was registered while this one made its connector.
                    self._replaced_connectors.append(connector)

    def define(self, step: Step) -> None:
        """Add a step that `run` finds by its name, in place of an earlier step of that name."""
        self._steps[step.name] = step

    @property
    def steps(self) -> Mapping[str, Step]:
        """The steps that were defined or configured, by their names."""
        return MappingProxyType(self._steps)

    def step(self, name: str) -> Step:
        """Return the step with a name.

        Raises:
            ConfigurationError: no step of this name was defined or configured.
        """
        step = self._steps.get(name)
        if step is None:
            names = ", ".join(sorted(self._steps)) or "none is defined"
            raise ConfigurationError(
                f"There is no step named {name[:80]!r}.",
                path="steps",
                remedy=f"Use one of: {names}.",
            )
        return step

    def determine_connector_type(self, step: Step) -> ConnectorType:
        """Return the type of connector that runs a step.

        Raises:
            ConfigurationError: the step does not state its type, and no type or several could run
                it.
        """
        return type_of_step(step, registered_types=sorted(self._factories), all_types=self.list())

    def list(self) -> tuple[ConnectorType, ...]:
        """Return all types of connectors that can run steps, in alphabetical order."""
        return tuple(sorted({*self._factories, *map(ConnectorType, platform_kind_names())}))

    def stats(self) -> Mapping[str, int]:
        """Return the numbers of connectors created and reused, and of steps by how they ended."""
        with self._lock.current:
            return self._statistics.as_numbers(cached=len(self._connectors))

    def clear_cache(self) -> None:
        """Close all connectors; the next use creates them again.

        All are closed, even if closing one of them fails; then the first error is raised.
        """
        with self._lock.current:
            connectors = [*self._replaced_connectors, *self._connectors.values()]
            self._replaced_connectors, self._connectors = [], {}
        close_all_sync([connector.close for connector in connectors])

    def execute(
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
        """Run a step with the connector of its type, and return its result.

        The arguments are those of `execute_step` of a connector.

        Raises:
            StepRunning: the run has not ended after the seconds of `patience`.
            ConfigurationError: no connector can run the step.
            ConnectorError: the step could not be started, or its outcome is unknown.
        """
        connector = self.get(self.determine_connector_type(step))
        result = connector.execute_step(
            step,
            workspace,
            environment,
            idempotency_key=idempotency_key,
            tenant=tenant,
            log=log,
            patience=patience,
        )
        with self._lock.current:
            self._statistics.count(result)
        return result

    def run(
        self,
        name: str,
        workspace: Workspace | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        idempotency_key: str | None = None,
        tenant: str | None = None,
        log: StepLog | StorageLog | Callable[[LogLine], object] | None = None,
        patience: float | None = None,
    ) -> ExecutionResult:
        """Run a step that was defined or configured, and return its result.

        Args:
            name: the name of the step.
            workspace: the files of the run, in addition to those that the step itself defines.
            environment: environment variables in addition to those of the step.
            idempotency_key: identifies this one run; by default each call is a run of its own.
            tenant: the tenant whose limits, circuit and keys to use.
            log: receives the lines of the output, as in `execute_step`.
            patience: the seconds for which to follow the run; by default until its end.

        Raises:
            StepRunning: the run has not ended after the seconds of `patience`.
            ConfigurationError: there is no such step, or no connector can run it.
            ConnectorError: the step could not be started, or its outcome is unknown.
        """
        step = self.step(name)
        if workspace is not None:
            workspace = workspace.with_those_of(step.workspace)
        return self.execute(
            step,
            workspace,
            environment,
            idempotency_key=idempotency_key,
            tenant=tenant,
            log=log,
            patience=patience,
        )

    def close(self) -> None:
        """Close all connectors; running steps go on."""
        self.clear_cache()

    def _installed(self, kind: ConnectorType) -> StepConnector:
        return self._connector(made_platform_sync(kind))

    def _connector(self, platform: Platform) -> StepConnector:
        return StepConnector(
            platform,
            self._manager,
            service=self._service,
            secrets=self._secrets,
            files=self._files,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
