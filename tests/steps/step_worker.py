"""A program that runs one step with a local platform and a shared store, and prints its result."""

import sys

from moorage import ConnectorManager, Service
from moorage.adapters.steps.file_log import FileLog
from moorage.adapters.steps.local import LocalPlatform
from moorage.domain.steps.step import Step
from moorage.hub.step_connector_sync import StepConnector
from moorage.wiring.store_urls import open_storage

folder, script, timeout = sys.argv[1:4]
manager = ConnectorManager([Service("steps")], state=open_storage(f"sqlite:///{folder}/state.db"))
connector = StepConnector(LocalPlatform(f"{folder}/runs"), manager)
result = connector.execute_step(
    Step("job", ["sh", "-c", script], timeout=float(timeout), grace=1.0),
    idempotency_key="job-1",
    log=FileLog(f"{folder}/log"),
)
print(result.exit_code, result.outcome.value, result.metadata["pid"])  # noqa: T201 - it is a program
