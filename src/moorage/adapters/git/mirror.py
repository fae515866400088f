"""Mirrors a git repository: fetches its refs, and pushes them to a target."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from threading import Lock
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from moorage.adapters.git.program import run_git
from moorage.adapters.git.remote import GitRemote
from moorage.domain.secrets.options import as_series, checked_options
from moorage.domain.values.patterns import late_pattern
from moorage.errors import (
    AlreadyExists,
    AttemptTimeout,
    AuthenticationFailed,
    ChangedMeanwhile,
    ConnectionFailed,
    ConnectorError,
    FileNotFound,
    HostKeyRefused,
    InvalidData,
    LocalFailure,
    VendorFailed,
    VendorRejected,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from moorage.adapters.git.program import GitEnding
    from moorage.domain.service.operation import OperationAttempt

_PATTERN: Final = late_pattern(r"refs/(?:[A-Za-z0-9_.+@-]+/)*(?:[A-Za-z0-9_.+@-]+|\*)")
_FORBIDDEN_TEXTS: Final = (".lock", "..", "@{")
_SHOWN_CHARACTERS: Final = 1000
_MOST_SHOWN_REFS: Final = 20
_REFS_PER_COMMAND: Final = 500
_STALE_SECONDS: Final = 600.0
"""Seconds after which a lock or an unfinished pack belongs to a git that was killed."""

_PACK_ARGUMENTS: Final = (
    *("-c", "gc.auto=6700", "-c", "gc.autoDetach=false", "-c", "gc.bigPackThreshold=256m"),
    *("gc", "--auto", "--quiet"),
)
"""The arguments with which git packs the objects of the mirror once there are many files.

A large pack is left as it is, so that this never takes long.
"""

_LOCKED_TEXT: Final = ".lock': File exists"
_NOTHING_TO_PUSH: Final = "No refs in common and none specified; doing nothing."
"""What git says if no ref matches and the target is empty, and then fails."""

_REFUSALS: Final[tuple[tuple[type[ConnectorError], tuple[str, ...], str], ...]] = (
    (
        HostKeyRefused,
        ("Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED"),
        "Ask the host's operator for its public key, and add the key to the `known_hosts` file.",
    ),
    (
        AuthenticationFailed,
        (
            "Authentication failed",
            "could not read Username",
            "could not read Password",
            "Permission denied",
            "The requested URL returned error: 401",
            "The requested URL returned error: 403",
        ),
        "Check that the token or key is valid, and that it may read and write the repository.",
    ),
    (
        FileNotFound,
        (
            "not found",
            "does not appear to be a git repository",
            "does not exist",
            "couldn't find remote ref",
            "The requested URL returned error: 404",
            "no such repository",
            "repository not exported",
        ),
        "Check the URL and the refs, and that the token has access to the repository.",
    ),
    (
        ConnectionFailed,
        (
            "Could not resolve host",
            "Failed to connect",
            "unable to connect",
            "Connection refused",
            "Connection reset",
            "Connection timed out",
            "Could not connect",
            "SSL certificate problem",
            "server certificate verification failed",
            "gnutls_handshake() failed",
            "GnuTLS recv error",
            "GnuTLS send error",
            "SSL_connect",
            "SSL_read",
            "SSL_write",
            "Recv failure",
            "Send failure",
            "early EOF",
            "hung up unexpectedly",
            "RPC failed",
            "Empty reply from server",
            "unexpected disconnect",
        ),
        "Check the URL, the network, and the certificates in `ca_file`; then try again.",
    ),
    (
        VendorRejected,
        ("The requested URL returned error: 30", "unable to update url base from redirection"),
        "Set the new URL, because the repository has moved.",
    ),
    (
        VendorFailed,
        (_LOCKED_TEXT,),
        "Wait for the other git to end. A lock of a killed git is removed after 10 minutes.",
    ),
)
"""The errors that texts of `git` stand for, the most certain first."""


class MirrorReport(NamedTuple):
    """The result of one mirror run.

    Attributes:
        changed: the refs of the target that were created, moved or deleted, and their new objects;
            None for a ref that was deleted.
        unchanged: the number of refs that were up to date.
    """

    changed: Mapping[str, str | None]
    unchanged: int


class _Update(NamedTuple):
    """The state of one ref after a push, as `git push --porcelain` reports it."""

    flag: str
    ref: str
    text: str


def _absolute(folder: str | Path) -> Path:
    """Return the absolute path of the folder in which git will run."""
    if "\0" in str(folder):
        raise InvalidData(
            "The path of the mirror's folder contains a NUL character.",
            field="folder",
            remedy="Pass a path without NUL characters.",
        )
    return Path(folder).absolute()


@checked_options
@attrs.frozen(kw_only=True)
class GitMirror:
    """Copies the refs of one git repository to another, with the program `git`.

    The objects are kept in a bare repository on this machine, so that the next run fetches only new
    objects. A repeat after a failure has the same effect as one success. Tokens reach `git` through
    a socket; they are in no argument, environment, URL or configuration.

    Args:
        folder: the folder of the bare repository; it is created, and belongs to this mirror alone.
        source: the repository that the refs are fetched from.
        target: the repository that the refs are pushed to.
        refs: the refs to copy, such as "refs/heads/main" or "refs/heads/*".
        forces: whether a ref of the target is moved although that loses commits there.
        prunes: whether refs of the target are deleted that match `refs` and are not in the source.
        program: the program `git`.
    """

    folder: Path = attrs.field(converter=_absolute)
    source: GitRemote = attrs.field(validator=attrs.validators.instance_of(GitRemote))
    target: GitRemote = attrs.field(validator=attrs.validators.instance_of(GitRemote))
    refs: tuple[str, ...] = attrs.field(
        default=("refs/heads/*", "refs/tags/*"), converter=as_series
    )
    forces: bool = False
    prunes: bool = False
    program: str = "git"
    _lock: Lock = attrs.field(factory=Lock, init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        """Check the patterns of the refs."""
        for pattern in self.refs:
            is_wrong = _PATTERN.fullmatch(pattern) is None or pattern.startswith("refs/-")
            if is_wrong or any(part in pattern for part in _FORBIDDEN_TEXTS):
                raise InvalidData(
                    f"{pattern[:80]!r} is not the name or pattern of a ref.",
                    field="refs",
                    remedy="Write full names such as 'refs/heads/main'. A pattern ends with"
                    " *, such as 'refs/heads/*'.",
                )
        if not self.refs:
            raise InvalidData(
                "The mirror's list of refs is empty.",
                field="refs",
                remedy="List at least one ref, such as 'refs/heads/*'.",
            )

    def run(self, timeout: float) -> MirrorReport:
        """Fetch the refs of the source, and push them to the target.

        Args:
            timeout: the time limit in seconds.

        Raises:
            AuthenticationFailed: a repository refuses the token or the key.
            HostKeyRefused: a server's host key is not the known one.
            FileNotFound: a repository or a ref does not exist.
            ChangedMeanwhile: the target has commits that the source does not have.
            VendorRejected: the target refuses a ref for another reason.
            ConnectionFailed: a repository cannot be reached, or it took too long.
        """
        deadline = monotonic() + timeout
        if not self._lock.acquire(timeout=timeout):
            raise AttemptTimeout(
                f"Another run of this mirror did not end within {timeout:.0f} seconds.",
                may_have_been_processed=False,
                remedy="Wait for the other run to end, and run this one again.",
            )
        try:
            self._prepare(max(1.0, deadline - monotonic()))
            self._fetch(deadline)
            report = self._push(max(1.0, deadline - monotonic()))
            self._tidy(max(1.0, deadline - monotonic()))
            return report
        finally:
            self._lock.release()

    def operation(self) -> MirrorOperation:
        """Return the operation that updates the mirror, for `ConnectorManager.perform`."""
        return MirrorOperation(self)

    def _prepare(self, timeout: float) -> None:
        self._remove_left_files("*.lock", "objects/pack/tmp_*")
        # `git init` creates this folder last.
        if (self.folder / "objects" / "info").exists():
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            problem = error.strerror
        else:
            arguments = ("init", "--quiet", "--bare", "--template=", str(self.folder))
            ending = run_git(self.program, arguments, timeout, folder=str(self.folder))
            if ending.code == 0:
                return
            problem = ending.err.strip()[:_SHOWN_CHARACTERS]
        raise LocalFailure(
            f"The folder {str(self.folder)!r} could not be initialised as a git repository"
            f" ({problem}).",
            remedy="Choose an empty folder that this user may write to.",
        )

    def _remove_left_files(self, *patterns: str) -> bool:
        """Remove old temporary files of a killed `git`, and return whether there were any."""
        latest = time() - _STALE_SECONDS
        is_any = False
        for path in (path for pattern in patterns for path in self.folder.glob(pattern)):
            with suppress(OSError):
                if path.stat().st_mtime < latest:
                    path.unlink()
                    is_any = True
        return is_any

    def _fetch(self, deadline: float) -> None:
        arguments = [
            *("fetch", "--quiet", "--prune", "--no-tags", "--no-write-fetch-head"),
            *("--no-auto-maintenance", "--no-recurse-submodules", "--", self.source.url),
            # Fetch without restrictions, because the mirror follows the source; only the target is
            # protected.
            *(f"+{pattern}:{pattern}" for pattern in self.refs),
        ]
        ending = self._git(arguments, max(1.0, deadline - monotonic()), self.source)
        if _LOCKED_TEXT in ending.err and self._remove_left_files("refs/**/*.lock"):
            ending = self._git(arguments, max(1.0, deadline - monotonic()), self.source)
        if ending.code:
            raise _failure("The source", ending)

    def _push(self, timeout: float) -> MirrorReport:
        sign = "+" if self.forces else ""
        arguments = [
            *("push", "--porcelain", "--no-verify", "--no-recurse-submodules"),
            *(["--prune"] if self.prunes else []),
            *("--", self.target.url),
            *(f"{sign}{pattern}:{pattern}" for pattern in self.refs),
        ]
        ending = self._git(arguments, timeout, self.target)
        updates = list(_updates(ending.out))
        refused_updates = [update for update in updates if update.flag == "!"]
        if refused_updates:
            raise _refusal(refused_updates)
        if _NOTHING_TO_PUSH in ending.err:
            return MirrorReport({}, 0)
        if ending.code:
            raise _failure("The target", ending)
        changed_refs = [update for update in updates if update.flag != "="]
        objects = self._objects(
            [update.ref for update in changed_refs if update.flag != "-"], timeout
        )
        return MirrorReport(
            {update.ref: objects.get(update.ref) for update in changed_refs},
            len(updates) - len(changed_refs),
        )

    def _tidy(self, timeout: float) -> None:
        """Pack the objects of many fetches together; if that fails, the next run tries again."""
        with suppress(ConnectorError):
            run_git(self.program, _PACK_ARGUMENTS, timeout, folder=str(self.folder))

    def _objects(self, refs: Sequence[str], timeout: float) -> dict[str, str]:
        """Return the ids of the git objects that these refs point to."""
        objects: dict[str, str] = {}
        for start in range(0, len(refs), _REFS_PER_COMMAND):
            command = ("for-each-ref", "--format=%(refname) %(objectname)", "--")
            arguments = [*command, *refs[start : start + _REFS_PER_COMMAND]]
            ending = run_git(self.program, arguments, timeout, folder=str(self.folder))
            # No other character ends a line, because names of refs may contain some line
            # separators.
            lines = ending.out.split("\n")
            objects.update(dict(line.split(" ", 1) for line in lines if line))
        return objects

    def _git(self, arguments: Sequence[str], timeout: float, remote: GitRemote) -> GitEnding:
        return run_git(self.program, arguments, timeout, folder=str(self.folder), remote=remote)


@attrs.frozen
class MirrorOperation:
    """A mirror run as an operation for `ConnectorManager.perform`, which may be repeated safely.

    Attributes:
        mirror: the mirror.
        name: the name in events and errors.
    """

    mirror: GitMirror
    name: str = "git.mirror"
    system: str = "git"
    safe: bool = False
    repeatable: bool = True

    def perform(self, attempt: OperationAttempt) -> MirrorReport:
        """Run the mirror once."""
        return self.mirror.run(attempt.timeout)

    def translate_error(self, error: Exception) -> ConnectorError | None:  # noqa: ARG002 - a mirror raises ours only
        """Return None: a mirror raises only moorage's errors, which need no translation."""
        return None

    def pack_result(self, result: MirrorReport) -> object:
        """Return a report as plain values."""
        return [dict(result.changed), result.unchanged]

    def unpack_result(self, stored: Any) -> MirrorReport:
        """Return a report from its plain values."""
        return MirrorReport(*stored)


def _updates(output: str) -> Iterable[_Update]:
    """Yield the refs that `git push --porcelain` lists."""
    for line in output.split("\n"):
        flag, tab, remainder = line.partition("\t")
        names, has_more, text = remainder.partition("\t")
        if tab and has_more and len(flag) == 1:
            yield _Update(flag, names.rpartition(":")[2], text)


def _refusal(refused_updates: Sequence[_Update]) -> ConnectorError:
    """Return the error for refs that the target refused."""
    list_text = ", ".join(
        f"{update.ref} {update.text}" for update in refused_updates[:_MOST_SHOWN_REFS]
    )
    texts = " ".join(update.text for update in refused_updates)
    message = f"The target refused {len(refused_updates)} refs: {list_text}"[:_SHOWN_CHARACTERS]
    if any(word in texts for word in ("non-fast-forward", "fetch first", "stale info")):
        return ChangedMeanwhile(
            message,
            vendor_message=list_text[:_SHOWN_CHARACTERS],
            remedy="Look at the commits that only the target has. `forces=True` would discard"
            " them.",
        )
    if "already exists" in texts:
        return AlreadyExists(
            message,
            vendor_message=list_text[:_SHOWN_CHARACTERS],
            remedy="A tag of the target points to another commit. `forces=True` would move"
            " the tag.",
        )
    return VendorRejected(
        message,
        vendor_message=list_text[:_SHOWN_CHARACTERS],
        remedy="Check the rules and hooks of the target, such as protected branches.",
    )


def _failure(side: str, ending: GitEnding) -> ConnectorError:
    """Return the moorage error for a failed run of `git`."""
    text = ending.err.strip()[-_SHOWN_CHARACTERS:]
    for kind, words, remedy in _REFUSALS:
        if any(word in text for word in words):
            return kind(f"{side} of the mirror failed: {text}", remedy=remedy)
    return VendorFailed(
        f"{side} of the mirror failed with the exit code {ending.code}: {text}",
        remedy="Read the message of git.",
    )
