"""A program that runs one step on a local platform, and stores its output as files."""

import sys

import moorage
from moorage import Step, StorageLog

folder, script = sys.argv[1:3]
configuration = {
    "state": {"url": f"sqlite:///{folder}/state.db"},
    "storage": {"vendor": "local_files"},
    "vendors": {"local_files": {"root": f"{folder}/kept"}},
    "platforms": {"here": {"kind": "local", "folder": f"{folder}/runs"}},
}
with moorage.open(configuration) as hub:
    result = hub.steps.execute(
        Step("job", ["sh", "-c", script], timeout=600.0),
        idempotency_key="job-1",
        log=StorageLog("log", size=2000, seconds=1.0),
    )
print(result.exit_code, result.metadata.get("log_error"))  # noqa: T201 - it is a program
