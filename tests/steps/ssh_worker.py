"""A program that runs one step over SSH with a shared store, and prints its result."""

import json
import sys

from moorage import ConnectorManager, FileLog, Service, Step, StepConnector
from moorage.adapters.state.sqlite import SqliteStorage
from moorage.adapters.steps.ssh import SshPlatform

settings, folder, script = sys.argv[1:4]
manager = ConnectorManager([Service("steps")], state=SqliteStorage(f"{folder}/state.db"))
connector = StepConnector(SshPlatform(**json.loads(settings)), manager)
result = connector.execute_step(
    Step("job", ["sh", "-c", script], timeout=120.0, grace=1.0),
    idempotency_key=folder,
    log=FileLog(f"{folder}/log"),
)
print(result.exit_code, result.outcome.value, result.metadata["pid"])  # noqa: T201 - it is a program
