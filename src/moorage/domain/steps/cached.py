"""The cache of steps: a step reuses the result of an earlier, equal step.

1. Only a success is stored: with the exit code 0, all files that it should leave, and no error of a
   hook. A failure, a stop, a deadline and an unknown end are never stored.
2. The key is a digest of the command, the digest of the image, the environment, the content of the
   files by their paths in any order, the paths to collect, the limits, and the names and references
   of the secrets. The values of secrets are not part of it.
3. Results are found only by the same service, type of platform and tenant.
4. The name of the step, its timeout and its grace do not affect the result, and are not part of the
   key.
"""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING

import attrs

from moorage.domain.steps.result import StepOutcome

if TYPE_CHECKING:
    from moorage.domain.steps.result import ExecutionResult
    from moorage.domain.steps.step import ConnectorType, Step


def cache_key(step: Step, service: str, kind: ConnectorType, tenant: str | None) -> str:
    """Return the key under which a step's result is stored for later equal steps."""
    workspace = step.workspace
    files = {path: sha256(content).hexdigest() for path, content in workspace.files.items()}
    image = None if step.image is None else step.image.rpartition("@")[2]
    references = {name: str(reference) for name, reference in step.secrets.items()}
    fields = [
        *(service, kind, tenant, step.command, image, dict(step.environment), references, files),
        *(sorted(workspace.collect), attrs.astuple(step.resources), step.cache),
    ]
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
    return f"step-{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def is_cacheable(step: Step, result: ExecutionResult) -> bool:
    """Return whether a step's result may be reused for an equal step later."""
    return (
        result.outcome is StepOutcome.SUCCESS
        and result.exit_code == 0
        and not result.hook_errors
        and set(step.workspace.collect) <= set(result.files)
    )
