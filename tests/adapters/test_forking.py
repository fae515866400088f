"""Objects that are reset after a fork in the child."""

import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from moorage.adapters.concurrency.forking import (
    around_fork,
    in_child,
    pause_before_fork,
    record_imported_modules,
    restart_in_child,
    restart_in_workers_of_uwsgi,
    resume_after_fork,
    was_imported_before_fork,
)
from tests.adapters.forked import run_in_forked_child


class _Owner:
    def __init__(self) -> None:
        self.started = 0

    def start(self) -> None:
        self.started += 1

    def stop(self) -> None:
        self.started -= 1


def test_fork_calls_each_registered_object_reset_once() -> None:
    """A fork calls each registered object's reset once, even if it was registered repeatedly."""
    first, second = _Owner(), _Owner()
    for owner in (first, second, second):
        in_child(owner, _Owner.start)

    restart_in_child()

    assert (1, 1) == (first.started, second.started)


def test_registration_does_not_keep_the_object_alive() -> None:
    """Registering an object for forks does not keep the object alive."""
    owner = _Owner()
    lost_owner = weakref.ref(owner)
    in_child(owner, _Owner.start)
    around_fork(owner, _Owner.stop, _Owner.start)

    del owner
    gc.collect()

    assert lost_owner() is None


def test_registered_owners_stop_around_a_fork() -> None:
    """An object registered with around_fork stops before a fork and restarts in the parent."""
    pausing_owner, other_owner = _Owner(), _Owner()
    around_fork(pausing_owner, _Owner.stop, _Owner.start)
    in_child(other_owner, _Owner.start)

    pause_before_fork()
    stopped_thread = pausing_owner.started
    resume_after_fork()

    assert (-1, 0, 0) == (stopped_thread, pausing_owner.started, other_owner.started)


def test_thread_resumes_what_it_has_paused() -> None:
    """A thread that forks resumes the objects that it has paused, and no others."""
    paused_owner, later_owner = _Owner(), _Owner()
    around_fork(paused_owner, _Owner.stop, _Owner.start)

    pause_before_fork()
    around_fork(later_owner, _Owner.stop, _Owner.start)
    other_thread = threading.Thread(target=resume_after_fork)
    other_thread.start()
    other_thread.join()
    after_other_thread = paused_owner.started
    resume_after_fork()

    assert (-1, 0, 0) == (after_other_thread, paused_owner.started, later_owner.started)


_FORK_AFTER_FIRST_USE = """
import os, sys
from moorage.adapters.concurrency.forking import around_fork

class Owner:
    def __init__(self):
        self.pauses = self.resumes = 0
        around_fork(self, Owner.pause, Owner.resume)
    def pause(self):
        self.pauses += 1
    def resume(self):
        self.resumes += 1

owners = []

def as_if_another_thread_came_in_between(frame, event, function):
    if event == "c_call" and function.__name__ == "register_at_fork":
        sys.setprofile(None)
        owners.append(Owner())

sys.setprofile(as_if_another_thread_came_in_between)
owners.append(Owner())
sys.setprofile(None)
child = os.fork()
if not child:
    os._exit(0)
os.waitpid(child, 0)
print({(owner.pauses, owner.resumes) for owner in owners})
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_fork_pauses_objects_once_after_first_use_in_two_threads() -> None:
    """If two threads register the first objects at once, a fork still pauses each object once."""
    result = subprocess.run(
        [sys.executable, "-c", _FORK_AFTER_FIRST_USE], capture_output=True, text=True, check=True
    )
    assert "{(1, 1)}" == result.stdout.strip()


def test_module_counts_as_inherited_if_it_was_loaded_before_fork() -> None:
    """A module that was loaded before the fork is recorded as inherited."""
    name = "a module of which nobody knows"
    inherited_before = was_imported_before_fork(name)

    record_imported_modules([name])

    assert (False, True) == (inherited_before, was_imported_before_fork(name))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_child_inherits_loaded_modules() -> None:
    """In a forked child, modules that the parent loaded are recorded as inherited.

    Modules that the child itself loads are not recorded.
    """

    def list_imported() -> object:
        sys.modules["loaded by the child"] = sys
        return was_imported_before_fork("pytest"), was_imported_before_fork("loaded by the child")

    assert (True, False) == run_in_forked_child(list_imported)
    assert not was_imported_before_fork("pytest")


# --- uWSGI, which forks without Python's fork handlers ---------------------------


def count_restarts(hook: Callable[[], object]) -> int:
    """Return how often a function that a server calls after a fork restarts an object."""
    owner = _Owner()
    in_child(owner, _Owner.start)
    restarts_before = owner.started
    hook()
    return owner.started - restarts_before


def test_worker_of_uwsgi_restarts_objects_and_calls_the_functions_of_the_program() -> None:
    """After a fork, uWSGI's function restarts the objects, and then calls the earlier function."""
    calls: list[str] = []
    server = SimpleNamespace(post_fork_hook=lambda: calls.append("own"))

    restart_in_workers_of_uwsgi({"uwsgi": server})

    assert (1, ["own"]) == run_in_forked_child(
        lambda: (count_restarts(server.post_fork_hook), calls)
    )


def test_process_that_uwsgi_did_not_fork_restarts_nothing() -> None:
    """If uWSGI calls its function in the process that loaded the program, nothing restarts."""
    server = SimpleNamespace()
    restart_in_workers_of_uwsgi({"uwsgi": server})

    assert 0 == count_restarts(server.post_fork_hook)
    assert 1 == run_in_forked_child(lambda: count_restarts(server.post_fork_hook))


def test_functions_of_uwsgidecorators_run_after_the_restart() -> None:
    """If `uwsgidecorators` is loaded, its list of functions begins with the restart."""
    server = SimpleNamespace(post_fork_hook=object())
    decorators = SimpleNamespace(postfork_chain=[server])

    restart_in_workers_of_uwsgi({"uwsgi": server, "uwsgidecorators": decorators})

    restart, program_function = decorators.postfork_chain
    assert server is program_function
    assert 1 == run_in_forked_child(lambda: count_restarts(restart))


def test_other_servers_get_no_function() -> None:
    """Where uWSGI is not loaded, nothing is registered."""
    modules: dict[str, object] = {}
    restart_in_workers_of_uwsgi(modules)
    assert {} == modules
