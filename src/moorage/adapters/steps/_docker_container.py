"""The description and files from which the Docker Engine creates a run's container."""

from __future__ import annotations

import io
import tarfile
from typing import TYPE_CHECKING, Any, Final

import attrs

from moorage.adapters.steps._docker_status import LABEL, TOMBSTONE
from moorage.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from moorage.domain.steps.runs import RunSpec

WORK: Final = "workspace"
"""The path of the working directory, below the root."""

_SECRETS: Final = "run/secrets"
_END_OF_ARCHIVE: Final = 2 * tarfile.BLOCKSIZE


@attrs.frozen
class ContainerOptions:
    """The options that all containers of a Docker platform share.

    Attributes:
        scope: a name for the containers of the program.
        network: the network mode; None for the Engine's default.
        user: the user that the steps run as; None for the image's user.
        binds: the volumes, in the Engine's notation.
    """

    scope: str
    network: str | None
    user: str | None
    binds: Sequence[str]

    def container(self, spec: RunSpec, log_driver: Mapping[str, Any]) -> dict[str, Any]:
        """Return the description of a run's container."""
        step, resources = spec.step, spec.step.resources
        files = {f"{name}_FILE": f"/{_SECRETS}/{name}" for name in spec.secrets}
        host: dict[str, Any] = {
            "LogConfig": log_driver,
            "SecurityOpt": ["no-new-privileges"],
            "NanoCpus": int((resources.cpus or 0) * 1e9),
            "Memory": resources.memory or 0,
            "MemorySwap": resources.memory or 0,
            "PidsLimit": resources.processes or 0,
            "Binds": self.binds,
        }
        if self.network is not None:
            host["NetworkMode"] = self.network
        return {
            "Image": step.image,
            "Entrypoint": [step.command[0]],
            "Cmd": list(step.command[1:]),
            "Env": [f"{name}={value}" for name, value in {**step.environment, **files}.items()],
            "WorkingDir": f"/{WORK}",
            "User": self.user or "",
            "Labels": {
                f"{LABEL}.scope": self.scope,
                f"{LABEL}.step": step.name,
                f"{LABEL}.fingerprint": step.fingerprint,
                **{f"{LABEL}.label.{name}": value for name, value in spec.labels.items()},
            },
            "HostConfig": host,
        }


def tombstone_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the description of a tombstone, which marks a run as stopped before its start."""
    return {
        "Image": facts["Image"],
        "Entrypoint": facts["Config"]["Entrypoint"],
        "Labels": {**facts["Config"]["Labels"], TOMBSTONE: ""},
        "HostConfig": {"LogConfig": facts["HostConfig"]["LogConfig"], "NetworkMode": "none"},
    }


def bind_of(path: str, source: str) -> str:
    """Return a volume in Docker's notation."""
    place, _, mode = path.partition(":")
    is_own = any(f"{place}/".startswith(f"/{folder}/") for folder in (WORK, _SECRETS))
    if not place.startswith("/") or place == "/" or is_own or mode not in {"", "ro"}:
        raise ConfigurationError(
            f"{path[:80]!r} is not a path for a volume.",
            path="volumes",
            remedy=f"Give an absolute path outside /{WORK} and /{_SECRETS}, such as '/data' or"
            " '/data:ro'.",
        )
    if not source or ":" in source:
        raise ConfigurationError(
            f"The volume of {path[:80]!r} has no valid name.",
            path="volumes",
            remedy="Give the name of a volume, or an absolute path of the Engine's machine.",
        )
    return f"{source}:{path}"


def files_of(spec: RunSpec) -> bytes:
    """Return an archive of the files for a container: its workspace and its secrets."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        folders = {WORK, "run", _SECRETS}
        for path in spec.files:
            parts = f"{WORK}/{path}".split("/")[:-1]
            folders.update("/".join(parts[: end + 1]) for end in range(len(parts)))
        for folder in sorted(folders):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o777 if folder.startswith(WORK) else 0o755
            tar.addfile(entry)
        for path, content in spec.files.items():
            _add(tar, f"{WORK}/{path}", content, 0o666)
        for name, secret in spec.secrets.items():
            _add(tar, f"{_SECRETS}/{name}", secret.reveal_bytes(), 0o444)
        end = tar.offset + _END_OF_ARCHIVE
    # Podman stops reading at the end of the archive, and treats further blocks as an error.
    return archive.getvalue()[:end]


def _add(tar: tarfile.TarFile, path: str, content: bytes, mode: int) -> None:
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))
