"""A program that runs one step with a Docker platform and a shared store, and prints its result."""

import sys

from moorage import (
    ConnectorManager,
    FileLog,
    Service,
    Step,
    StepConnector,
)
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.adapters.steps.docker import DockerPlatform
from tests.steps.docker_harness import IMAGE

socket, folder, script, timeout = sys.argv[1:5]
manager = ConnectorManager([Service("steps")], state=SqliteStorage(f"{folder}/state.db"))
connector = StepConnector(DockerPlatform(socket), manager)
result = connector.execute_step(
    Step("job", ["sh", "-c", script], image=IMAGE, timeout=float(timeout), grace=1.0),
    idempotency_key=folder,
    log=FileLog(f"{folder}/log"),
)
container = result.metadata["container"]
print(result.exit_code, result.outcome.value, container)  # noqa: T201 - it is a program
