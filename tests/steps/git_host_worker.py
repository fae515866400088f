"""A program that runs one step on a git host with a shared store, and prints its result."""

import os
import sys
from typing import Any

from moorage import (
    ConnectorManager,
    FileLog,
    GitHubPlatform,
    GitHubSettings,
    GitLabPlatform,
    GitLabSettings,
    Secret,
    Service,
    Step,
    StepConnector,
)
from moorage.adapters.state.sqlite import SqliteStorage

kind, api, folder, script = sys.argv[1:5]
options: dict[str, Any] = {
    "token": Secret(os.environ["GIT_TOKEN"]),
    "ca_file": os.environ["GIT_CA"],
    "pace": 0.0,
}
platform: GitHubPlatform | GitLabPlatform
if kind == "github":
    platform = GitHubPlatform(GitHubSettings(repository="acme/erp", api=api, **options))
    target = "step.yml"
else:
    platform = GitLabPlatform(GitLabSettings(project="acme/erp", api=api, **options))
    target = "main"
manager = ConnectorManager([Service("steps")], state=SqliteStorage(f"{folder}/state.db"))
result = StepConnector(platform, manager).execute_step(
    Step("job", [target], environment={"script": script}),
    idempotency_key=folder,
    log=FileLog(f"{folder}/log"),
)
print(result.exit_code, result.outcome.value)  # noqa: T201 - it is a program
