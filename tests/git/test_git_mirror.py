"""Mirrors of git repositories, tested with the real git and real servers."""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from moorage import (
    AlreadyExists,
    AttemptTimeout,
    AuthenticationFailed,
    ChangedMeanwhile,
    ConfigurationError,
    ConnectionFailed,
    ConnectorManager,
    FileNotFound,
    GitMirror,
    GitRemote,
    HostKeyRefused,
    InvalidData,
    LocalFailure,
    Secret,
    Service,
    VendorFailed,
    VendorRejected,
)
from moorage.adapters.git._askpass import answer_to
from moorage.adapters.git.mirror import MirrorReport
from moorage.adapters.git.program import LARGEST_OUTPUT, run_git
from tests.git.git_harness import (
    GIT,
    TOKEN,
    GitOverHttps,
    Repository,
    bare_repository,
    daemon,
    git,
    over_https,
)
from tests.steps.sshd_harness import sshd
from tests.support.threads import no_new_threads

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

LIMIT = 120.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[GitOverHttps]:
    """Yield an HTTPS server that serves git repositories."""
    with over_https(tmp_path_factory.mktemp("https") / "server") as https:
        yield https


@pytest.fixture
def source(tmp_path: Path) -> Repository:
    """Return a repository with a branch and a tag."""
    repository = bare_repository(tmp_path / "source.git")
    repository.commit("one")
    git("tag", "v1", "refs/heads/main", folder=repository.folder)
    return repository


def local_remote(repository: Repository) -> GitRemote:
    """Return the remote settings for a repository on this machine."""
    return GitRemote(url=f"file://{repository.folder}")


def repository_on(server: GitOverHttps, name: str, token: str = TOKEN) -> GitRemote:
    """Return the remote settings for a repository on a server."""
    return GitRemote(url=f"{server.url}/{name}", token=Secret(token), ca_file=server.ca_file)


def test_mirror_copies_exact_refs(tmp_path: Path, source: Repository) -> None:
    """A mirror copies the chosen refs to the target unchanged, and no others."""
    target = bare_repository(tmp_path / "target.git")
    git("update-ref", "refs/notes/x", "refs/heads/main", folder=source.folder)
    mirror = GitMirror(
        folder=tmp_path / "m", source=local_remote(source), target=local_remote(target)
    )

    first, second = mirror.run(LIMIT), mirror.run(LIMIT)

    commit = source.refs()["refs/heads/main"]
    assert {"refs/heads/main": commit, "refs/tags/v1": commit} == target.refs()
    assert (target.refs(), 0) == (dict(first.changed), first.unchanged)
    assert ({}, 2) == (dict(second.changed), second.unchanged)


def test_packs_of_many_fetches_are_packed_together(tmp_path: Path, source: Repository) -> None:
    """Once a mirror has many packs, a run packs its objects together, and loses none."""
    target = bare_repository(tmp_path / "target.git")
    mirror = GitMirror(
        folder=tmp_path / "m", source=local_remote(source), target=local_remote(target)
    )
    mirror.run(LIMIT)
    commits = [source.commit(f"commit {number}") for number in range(60)]
    mirror.run(LIMIT)
    for commit in commits:
        subprocess.run(
            [GIT, "pack-objects", "--quiet", "objects/pack/pack"],
            cwd=mirror.folder,
            input=f"{commit}\n",
            check=True,
            text=True,
            stdout=subprocess.DEVNULL,
        )
    packs = mirror.folder / "objects" / "pack"
    assert len(commits) <= len(list(packs.glob("*.pack")))

    report = mirror.run(LIMIT)

    assert ({}, 2) == (dict(report.changed), report.unchanged)
    assert len(list(packs.glob("*.pack"))) < 5
    git("fsck", "--strict", folder=mirror.folder)
    assert {"refs/heads/main": source.commit("last")} == dict(mirror.run(LIMIT).changed)


def test_ref_given_by_its_full_name_is_mirrored_alone(tmp_path: Path, source: Repository) -> None:
    """A ref with its full name is mirrored alone; if the ref is missing, the error names it."""
    target = bare_repository(tmp_path / "target.git")
    source.commit("other", "other")
    mirror = GitMirror(
        folder=tmp_path / "m",
        source=local_remote(source),
        target=local_remote(target),
        refs=("refs/heads/other",),
    )

    mirror.run(LIMIT)

    assert ["refs/heads/other"] == list(target.refs())
    with pytest.raises(FileNotFound, match="refs/heads/none"):
        attrs.evolve(mirror, refs=("refs/heads/none",)).run(LIMIT)


def test_mirror_of_an_empty_repository_changes_nothing(tmp_path: Path) -> None:
    """If no ref of the source matches, an empty target stays empty, and that is not a failure."""
    source, target = (bare_repository(tmp_path / name) for name in ("source.git", "target.git"))
    mirror = GitMirror(
        folder=tmp_path / "m", source=local_remote(source), target=local_remote(target)
    )
    assert MirrorReport({}, 0) == mirror.run(LIMIT)
    assert MirrorReport({}, 0) == attrs.evolve(mirror, prunes=True).run(LIMIT)


def test_files_of_a_killed_git_are_removed_when_they_are_old(
    tmp_path: Path, source: Repository
) -> None:
    """Locks and unfinished packs that a killed git has left do not stop a mirror for ever."""
    target = bare_repository(tmp_path / "target.git")
    folder = tmp_path / "m"
    mirror = GitMirror(folder=folder, source=local_remote(source), target=local_remote(target))
    mirror.run(LIMIT)
    git("update-ref", "-d", "refs/tags/v1", folder=source.folder)
    source.commit("two")
    left_files = [
        folder / name
        for name in ("refs/heads/main.lock", "packed-refs.lock", "objects/pack/tmp_pack_a")
    ]
    for file in left_files:
        file.touch()
    with pytest.raises(VendorFailed, match=r"\.lock': File exists") as excinfo:
        mirror.run(LIMIT)
    assert "removed after 10 minutes" in str(excinfo.value.remedy)
    for file in left_files:
        os.utime(file, (0, 0))

    mirror.run(LIMIT)

    assert source.refs()["refs/heads/main"] == target.refs()["refs/heads/main"]
    assert not any(file.exists() for file in left_files)


@pytest.mark.parametrize("names", [["HEAD"], ["HEAD", "refs"], ["HEAD", "refs", "config.lock"]])
def test_folder_in_which_git_was_killed_is_completed(
    tmp_path: Path, source: Repository, names: list[str]
) -> None:
    """A folder that was not initialised completely is initialised again."""
    target = bare_repository(tmp_path / "target.git")
    folder = tmp_path / "m"
    git("init", "--bare", str(folder), folder=tmp_path)
    for file in [*folder.iterdir()]:
        if file.name not in names:
            shutil.rmtree(file) if file.is_dir() else file.unlink()
    if "config.lock" in names:
        (folder / "config.lock").touch()
        os.utime(folder / "config.lock", (0, 0))

    GitMirror(folder=folder, source=local_remote(source), target=local_remote(target)).run(LIMIT)

    assert source.refs() == target.refs()


def test_target_with_own_commits_is_changed_only_by_force(
    tmp_path: Path, source: Repository
) -> None:
    """A target with commits of its own is not changed, unless the mirror is forced."""
    target = bare_repository(tmp_path / "target.git")
    mirror = GitMirror(
        folder=tmp_path / "m", source=local_remote(source), target=local_remote(target)
    )
    mirror.run(LIMIT)
    extra = target.commit("of the target")
    new_commit = source.commit("two")

    with pytest.raises(ChangedMeanwhile, match="refs/heads/main"):
        mirror.run(LIMIT)

    assert extra == target.refs()["refs/heads/main"]
    report = attrs.evolve(mirror, forces=True).run(LIMIT)
    assert {"refs/heads/main": new_commit} == dict(report.changed)
    git("tag", "-f", "v1", new_commit, folder=source.folder)
    with pytest.raises(AlreadyExists, match="refs/tags/v1"):
        mirror.run(LIMIT)


def test_deleted_refs_are_pruned_on_wish(tmp_path: Path, source: Repository) -> None:
    """A ref that was deleted at the source stays at the target, unless the mirror prunes."""
    target = bare_repository(tmp_path / "target.git")
    source.commit("x", "old")
    mirror = GitMirror(
        folder=tmp_path / "m", source=local_remote(source), target=local_remote(target)
    )
    mirror.run(LIMIT)
    git("update-ref", "-d", "refs/heads/old", folder=source.folder)

    mirror.run(LIMIT)
    assert "refs/heads/old" in target.refs()
    report = attrs.evolve(mirror, prunes=True).run(LIMIT)

    assert {"refs/heads/old": None} == dict(report.changed)
    assert "refs/heads/old" not in target.refs()


def test_hook_of_the_target_refuses(tmp_path: Path, source: Repository) -> None:
    """If a rule of the target refuses a ref, the error has the target's message."""
    target = bare_repository(tmp_path / "target.git")
    hook = target.folder / "hooks" / "update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho protected branch >&2\nexit 1\n")
    hook.chmod(0o755)

    with pytest.raises(VendorRejected, match="hook declined"):
        GitMirror(
            folder=tmp_path / "m", source=local_remote(source), target=local_remote(target)
        ).run(LIMIT)

    assert {} == target.refs()


def test_token_is_nowhere_to_be_seen(
    tmp_path: Path, server: GitOverHttps, source: Repository
) -> None:
    """Over HTTPS, the token is in no argument, environment variable or file of git processes."""
    name = f"{tmp_path.name}.git"
    target = bare_repository(server.root / name)
    dump = tmp_path / "dump"
    program = tmp_path / "git"
    program.write_text(f'#!/bin/sh\n{{ env; printf "%s\\n" "$@"; }} >> {dump}\nexec {GIT} "$@"\n')
    program.chmod(0o755)
    mirror = GitMirror(
        folder=tmp_path / "m",
        source=local_remote(source),
        target=repository_on(server, name),
        program=str(program),
    )

    mirror.run(LIMIT)

    assert source.refs() == target.refs()
    assert "moorage" in server.names
    files = [path.read_bytes() for path in (tmp_path / "m").rglob("*") if path.is_file()]
    assert not any(TOKEN.encode() in content for content in [dump.read_bytes(), *files])
    assert TOKEN not in repr(mirror)
    assert os.environ["PATH"] in dump.read_text()
    allowed = {"PATH", "HOME", "LC_ALL", "PWD", "SHLVL", "_", "OLDPWD"}
    names = {line.partition("=")[0] for line in dump.read_text().splitlines() if "=" in line}
    variable_names = {name for name in names if name.isupper() and not name.startswith("GIT_")}
    assert variable_names <= allowed


def test_source_over_https_is_mirrored_to_another_server(
    tmp_path: Path, server: GitOverHttps
) -> None:
    """A source over HTTPS is mirrored to a target on another server in one operation."""
    origin = bare_repository(server.root / f"{tmp_path.name}-source.git")
    commit = origin.commit("here")
    with daemon(tmp_path / "daemon") as url:
        target = bare_repository(tmp_path / "daemon" / "target.git")
        mirror = GitMirror(
            folder=tmp_path / "m",
            source=repository_on(server, origin.folder.name),
            target=GitRemote(url=f"{url}/target.git"),
        )
        mirror.run(LIMIT)

        assert {"refs/heads/main": commit} == target.refs()
        missing = attrs.evolve(mirror, target=GitRemote(url=f"{url}/none.git"))
        with pytest.raises((FileNotFound, ConnectionFailed)):
            missing.run(LIMIT)


def test_failures_over_https_are_typed(
    tmp_path: Path, server: GitOverHttps, source: Repository
) -> None:
    """A wrong token, a missing repository and an untrusted certificate have different errors."""
    name = f"{tmp_path.name}.git"
    bare_repository(server.root / name)
    mirror = GitMirror(
        folder=tmp_path / "m", source=local_remote(source), target=repository_on(server, name)
    )
    wrong_token = "glpat-99999999999999999999"

    with pytest.raises(AuthenticationFailed) as excinfo:
        attrs.evolve(mirror, target=repository_on(server, name, wrong_token)).run(LIMIT)
    with pytest.raises(FileNotFound):
        attrs.evolve(mirror, target=repository_on(server, "none.git")).run(LIMIT)
    with pytest.raises(ConnectionFailed, match="certificate"):
        attrs.evolve(mirror, target=attrs.evolve(repository_on(server, name), ca_file=None)).run(
            LIMIT
        )
    with pytest.raises(AuthenticationFailed):
        attrs.evolve(mirror, target=attrs.evolve(repository_on(server, name), token=None)).run(
            LIMIT
        )

    assert wrong_token not in str(excinfo.value)


def test_server_that_ends_the_handshake_is_a_failed_connection(
    tmp_path: Path, source: Repository
) -> None:
    """A target that hangs up in the middle of the TLS handshake raises ConnectionFailed."""
    with socket.create_server(("127.0.0.1", 0)) as ending:
        target = GitRemote(url=f"https://127.0.0.1:{ending.getsockname()[1]}/x.git")
        mirror = GitMirror(folder=tmp_path / "m", source=local_remote(source), target=target)
        with ThreadPoolExecutor() as pool:
            run = pool.submit(mirror.run, LIMIT)
            connection, _ = ending.accept()
            with connection:
                connection.recv(1)
                connection.recv(65_536)
            with pytest.raises(ConnectionFailed):
                run.result()


def test_redirect_to_another_server_is_refused_without_the_token(
    tmp_path: Path, server: GitOverHttps, source: Repository
) -> None:
    """A redirect to another server is refused, and that server gets no request."""
    with over_https(tmp_path / "moved") as moved:
        bare_repository(server.root / f"{tmp_path.name}.git")
        moved.moved_to = server.url
        before = len(server.names)
        target = GitRemote(
            url=f"{moved.url}/{tmp_path.name}.git", token=Secret(TOKEN), ca_file=moved.ca_file
        )

        with pytest.raises(VendorRejected, match="redirect"):
            GitMirror(folder=tmp_path / "m", source=local_remote(source), target=target).run(LIMIT)

        assert before == len(server.names)


@pytest.mark.parametrize(
    "question, answer",
    [
        ("Username for 'https://git.example': ", b"moorage\n"),
        ("Password for 'https://moorage@git.example': ", TOKEN.encode() + b"\n"),
        ("Password for 'https://moorage@git.example:8443': ", b""),
        ("Password for 'https://moorage@evil.example': ", b""),
        ("Password for 'http://moorage@git.example': ", b""),
        ("Passphrase for key '/k': ", b""),
        ("Password for 'https://[git.example': ", b""),
    ],
)
def test_git_gets_the_token_only_for_the_host_of_the_token(question: str, answer: bytes) -> None:
    """Git gets the token as a password only for the token's own host."""
    remote = GitRemote(url="https://git.example/a.git", token=Secret(TOKEN))

    assert answer == answer_to(question, remote)


def test_mirror_over_ssh_uses_the_configured_keys(tmp_path: Path, source: Repository) -> None:
    """Over SSH, the configured host key and private key are used; unknown keys are refused."""
    target = bare_repository(tmp_path / "target.git")
    (tmp_path / "ssh").mkdir()
    with sshd(tmp_path / "ssh") as host:
        user = os.environ.get("USER", "root")
        remote = GitRemote(
            url=f"ssh://{user}@127.0.0.1:{host.port}{target.folder}",
            identity=f"{host.folder}/key",
            known_hosts=f"{host.folder}/known_hosts",
        )
        mirror = GitMirror(folder=tmp_path / "m", source=local_remote(source), target=remote)
        mirror.run(LIMIT)
        assert source.refs() == target.refs()

        remote_of_stranger = attrs.evolve(remote, identity=f"{host.folder}/stranger")
        with pytest.raises(AuthenticationFailed):
            attrs.evolve(mirror, target=remote_of_stranger).run(LIMIT)
        (tmp_path / "none").touch()
        unknown = attrs.evolve(remote, known_hosts=str(tmp_path / "none"))
        with pytest.raises(HostKeyRefused):
            attrs.evolve(mirror, target=unknown).run(LIMIT)
        missing = attrs.evolve(remote, url=f"{remote.url}-none")
        with pytest.raises(FileNotFound):
            attrs.evolve(mirror, target=missing).run(LIMIT)


def test_silent_server_ends_in_time(tmp_path: Path, source: Repository) -> None:
    """If a server never answers, the mirror fails at its time limit and git is stopped."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        target = GitRemote(url=f"git://127.0.0.1:{listener.getsockname()[1]}/x.git")
        mirror = GitMirror(folder=tmp_path / "m", source=local_remote(source), target=target)
        mirror._prepare(LIMIT)  # noqa: SLF001 - so that the limit is the push's
        with pytest.raises(AttemptTimeout):
            mirror.run(3.0)
    with pytest.raises(ConnectionFailed):
        mirror.run(LIMIT)


def test_run_waits_for_another_no_longer_than_its_time(tmp_path: Path, source: Repository) -> None:
    """While a mirror runs, a second run of the same mirror ends at its own time limit."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = GitRemote(url=f"https://127.0.0.1:{silent.getsockname()[1]}/x.git")
        mirror = GitMirror(folder=tmp_path / "m", source=local_remote(source), target=target)
        with ThreadPoolExecutor() as pool:
            first = pool.submit(mirror.run, LIMIT)
            connection, _ = silent.accept()
            with pytest.raises(AttemptTimeout, match="Another run") as excinfo:
                mirror.run(0.1)
            connection.close()
            with pytest.raises(ConnectionFailed):
                first.result()
    assert not excinfo.value.may_have_been_processed


def test_too_much_output_is_truncated_and_ends_the_program(tmp_path: Path) -> None:
    """Of too much output only the beginning is kept, and the program is killed."""
    program = tmp_path / "git"
    program.write_text("#!/bin/sh\nhead -c 9000000 /dev/zero\n")
    program.chmod(0o755)

    ending = run_git(str(program), [], LIMIT, folder=str(tmp_path))

    assert LARGEST_OUTPUT == len(ending.out)


@pytest.mark.parametrize(
    "remote",
    [None, GitRemote(url="https://git.example.com/a.git", token=Secret(TOKEN))],
    ids=["", "token"],
)
def test_machine_without_threads_is_a_local_failure(
    tmp_path: Path, remote: GitRemote | None
) -> None:
    """If no thread can be started, git is ended, and a typed error says so."""
    with no_new_threads(), pytest.raises(LocalFailure, match="could not start another thread"):
        run_git(GIT, ["version"], LIMIT, folder=str(tmp_path), remote=remote)


def test_mirror_report_is_stored_under_its_idempotency_key(
    tmp_path: Path, source: Repository
) -> None:
    """A mirror is an operation whose report is stored under its idempotency key."""
    target = bare_repository(tmp_path / "target.git")
    mirror = GitMirror(
        folder=tmp_path / "m", source=local_remote(source), target=local_remote(target)
    )
    manager = ConnectorManager([Service("git", timeout=LIMIT)])

    reports = [
        manager.perform("git", mirror.operation(), idempotency_key="m1", payload="erp")
        for _ in range(2)
    ]

    assert reports[0] == reports[1]
    assert 2 == len(reports[1].changed)


@pytest.mark.parametrize(
    "options",
    [
        {"url": "https://me:pass@git.example/a.git"},
        {"url": "https://me@git.example/a.git"},
        {"url": "http://git.example/a.git"},
        {"url": "ext::sh -c true"},
        {"url": "-oProxyCommand=x"},
        {"url": "ssh://-oProxyCommand=x/a.git"},
        {"url": "ssh://-oProxyCommand=x@git.example/a.git"},
        {"url": "https://[git.example/a.git"},
        {"url": "https://git.example:99999/a.git"},
        {"url": "https://git.example/a\u2028.git"},
        {"url": "https://git.example/a.git", "user": "a\rb"},
        {"url": "https://git.example/a.git", "ca_file": "/ca\0.pem"},
        {"url": "ssh://git.example/a.git", "known_hosts": '/"k'},
        {"url": "file://host/a.git"},
        {"url": "https:///a.git"},
        {"url": "https://git.example/a.git", "identity": "/k"},
        {"url": "ssh://git.example/a.git", "token": Secret("t-12345")},
        {"url": "https://git.example/a.git", "token": Secret("t-12345\n")},
    ],
)
def test_unsafe_remotes_are_refused(options: dict[str, Any]) -> None:
    """A URL with a credential, another scheme or an option is refused without being shown."""
    with pytest.raises(InvalidData) as excinfo:
        GitRemote(**options)

    assert "me:pass" not in str(excinfo.value)


@pytest.mark.parametrize(
    "name, value",
    [("url", 5), ("token", 5), ("user", 5), ("ca_file", 5)],
)
def test_options_of_a_remote_have_their_types(name: str, value: Any) -> None:
    """An option of a wrong type is refused by name when the remote is created."""
    options: dict[str, Any] = {"url": "https://git.example/a.git"}
    with pytest.raises(ConfigurationError) as excinfo:
        GitRemote(**options | {name: value})

    assert name == excinfo.value.path


@pytest.mark.parametrize(
    "name, value",
    [("folder", 5), ("source", "x"), ("refs", 5), ("refs", [5]), ("forces", "no"), ("program", 5)],
)
def test_options_of_a_mirror_have_their_types(name: str, value: Any, tmp_path: Path) -> None:
    """An option of a wrong type is refused by name when the mirror is created."""
    remote = GitRemote(url="https://git.example/a.git")
    options: dict[str, Any] = {"folder": tmp_path, "source": remote, "target": remote}
    with pytest.raises(ConfigurationError) as excinfo:
        GitMirror(**options | {name: value})

    assert name == excinfo.value.path


def test_machine_own_list_of_known_hosts_is_not_read() -> None:
    """SSH reads only the configured list of known hosts, even if its path contains a space."""
    remote = GitRemote(url="ssh://git.example/a.git", known_hosts="/my keys/known_hosts")
    command = shlex.split(remote.ssh_command())

    process = subprocess.run(
        [command[0], "-G", *command[1:], "git.example"], capture_output=True, text=True, check=True
    ).stdout.splitlines()

    assert "userknownhostsfile /my keys/known_hosts" in [line.replace('"', "") for line in process]
    assert "globalknownhostsfile /dev/null" in process


def test_mirror_folder_may_be_relative(
    tmp_path: Path, source: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mirror's folder may be relative, even if its name looks like an option."""
    monkeypatch.chdir(tmp_path)
    target = bare_repository(tmp_path / "target.git")
    GitMirror(
        folder="-m", source=local_remote(source), target=local_remote(target), refs="refs/heads/*"
    ).run(LIMIT)

    assert (tmp_path / "-m" / "HEAD").exists()
    assert {"refs/heads/main"} == target.refs().keys()


def test_line_separator_in_a_ref_does_not_split_its_name(
    tmp_path: Path, source: Repository
) -> None:
    """A Unicode line separator in a ref's name does not split the name in the report."""
    git("branch", "a\u2028b", "main", folder=source.folder)
    target = bare_repository(tmp_path / "target.git")
    report = GitMirror(
        folder=tmp_path / "m", source=local_remote(source), target=local_remote(target)
    ).run(LIMIT)

    assert source.refs() == report.changed


def test_cut_output_ends_with_no_part_of_the_token(tmp_path: Path) -> None:
    """If a server repeats the token where output is cut, no part of the token is shown."""
    program = tmp_path / "git"
    size = LARGEST_OUTPUT - 5
    program.write_text(f"#!/bin/sh\nhead -c {size} /dev/zero | tr '\\0' .\nprintf %s {TOKEN}\n")
    program.chmod(0o755)
    remote = GitRemote(url="https://git.example/a.git", token=Secret(TOKEN))

    ending = run_git(str(program), [], LIMIT, folder=str(tmp_path), remote=remote)

    assert {"."} == set(ending.out)


def test_error_names_setting_to_change_if_path_is_too_long_for_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a path is too long for a socket, the error says which setting to change."""
    folder = tmp_path / ("l" * 120)
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    remote = GitRemote(url="https://git.example/a.git", token=Secret(TOKEN))

    with pytest.raises(LocalFailure, match="TMPDIR"):
        run_git(GIT, [], LIMIT, folder=str(tmp_path), remote=remote)


@pytest.mark.parametrize(
    "ref", ["main", "refs/heads/a b", "refs/heads/a..b", "refs/*/x", "+refs/x"]
)
def test_unsafe_refs_are_refused(tmp_path: Path, source: Repository, ref: str) -> None:
    """A text that is neither a full ref name nor a pattern is refused."""
    with pytest.raises(InvalidData):
        GitMirror(
            folder=tmp_path, source=local_remote(source), target=local_remote(source), refs=(ref,)
        )


def test_unwritable_folder_and_missing_program_are_named(
    tmp_path: Path, source: Repository
) -> None:
    """An unwritable folder raises a typed error; a missing program is named in its error."""
    (tmp_path / "file").touch()
    mirror = GitMirror(
        folder=tmp_path / "file" / "m", source=local_remote(source), target=local_remote(source)
    )

    with pytest.raises(LocalFailure):
        mirror.run(LIMIT)
    with pytest.raises(ConfigurationError, match="no-git"):
        GitMirror(
            folder=tmp_path / "m",
            source=local_remote(source),
            target=local_remote(source),
            program="/no-git",
        ).run(LIMIT)
    with pytest.raises(InvalidData):
        attrs.evolve(mirror, refs=())
