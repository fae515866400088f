"""Each page of the documentation can be followed as printed, in a fresh environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.pages import PAGES, ROOT, PageRuleBroken, blocks, follow, plan
from tools.pages_in_fresh_environments import packages_of

if TYPE_CHECKING:
    from pathlib import Path


def _page_title(page: Path) -> str:
    return str(page.relative_to(ROOT))


FOLLOWED = [page for page in PAGES if blocks(page.read_text("utf-8"))]


@pytest.mark.untraced
@pytest.mark.parametrize("page", FOLLOWED, ids=_page_title)
def test_page_is_complete(page: Path, tmp_path: Path) -> None:
    """Following a page as printed needs nothing else, and produces the output that it shows."""
    follow(_page_title(page), page.read_text("utf-8"), tmp_path)


SHOWN_ONLY = {
    "docs/how-to/schemas.md": 2,  # names a registry of yours
    "docs/how-to/configuration.md": 1,  # parts of two files of a package of yours
    "docs/how-to/connectors.md": 2,  # parts of two files of a package of yours
    "docs/how-to/sql.md": 1,  # the settings of a server that is not there
    "docs/how-to/odata.md": 1,  # names a service of yours
    "docs/how-to/steps.md": 5,  # needs a Docker Engine, or Podman
    "docs/how-to/graphql.md": 1,  # names a service of yours
    "docs/how-to/xml-rpc.md": 1,  # names a service of yours
    "docs/how-to/soap.md": 2,  # names a service of yours, and files that you save
    "docs/how-to/openapi.md": 2,  # a command for a file of yours, and the package that it writes
    "docs/how-to/asyncapi.md": 3,  # a command for a file of yours, and the package that it writes
    "docs/how-to/rate-limits.md": 2,  # a unit of systemd, and a part of a DaemonSet
    "docs/how-to/operate-pipelines.md": 2,  # names a server of yours
    "docs/how-to/pipelines.md": 4,  # names servers of yours
    "docs/how-to/pipeline-sinks.md": 1,  # the table of a server that is not there
    "docs/how-to/queues.md": 5,  # names a broker of yours
    "docs/how-to/kubernetes.md": 1,  # names a cluster of yours
    "docs/how-to/steps-on-kubernetes.md": 4,  # names a cluster of yours
    "docs/how-to/git-hosts.md": 2,  # names repositories of yours
    "docs/how-to/git-mirror.md": 1,  # names repositories of yours
    "docs/how-to/steps-on-github.md": 3,  # names a repository of yours
    "docs/how-to/steps-on-gitlab.md": 3,  # names a project of yours
    "docs/how-to/steps-on-ecs.md": 3,  # names a cluster of yours
    "docs/how-to/steps-on-azure.md": 2,  # names a subscription of yours
    "docs/how-to/steps-on-cloud-run.md": 2,  # names a project of yours
    "docs/how-to/steps-over-ssh.md": 1,  # names a machine of yours
    "docs/how-to/grpc.md": 2,  # names a service of yours, and commands for it
    "docs/how-to/own-adapters.md": 1,  # a part of a file of a package of yours
    "docs/how-to/credentials.md": 1,  # what asks for a password
    "docs/how-to/secret-managers.md": 1,  # what the vendors' own programs do
    "docs/vendors/web_push.md": 1,  # a service worker of a browser
    "docs/how-to/add-a-contract.md": 2,  # parts of files of moorage itself
    "docs/tutorials/production.md": 2,  # a unit of systemd, and variables for a server of yours
    "docs/how-to/mail-in.md": 1,  # names a mailbox of yours
    "docs/how-to/shipping.md": 2,  # name a customer and an order of yours
    "docs/explanation/crashes.md": 1,  # what takes hours
    "docs/how-to/unknown-payments.md": 2,  # a key of a service of yours, and lost encryption keys
    "docs/vendors/open_banking_uk.md": 1,  # a script in a browser
}
"""How many blocks of a page are shown and cannot be run."""


def test_few_blocks_are_not_run() -> None:
    """Only the blocks counted in this test are not run."""
    result = {
        _page_title(page): sum(
            block.language == "text" for block in blocks(page.read_text("utf-8"))
        )
        for page in PAGES
    }

    assert {name: count for name, count in result.items() if count} == SHOWN_ONLY


GOOD = """
```console
$ pip install '.[cli]'
$ export TOKEN=t
$ moorage check
…
vat  …
$ sh -c 'echo begun; sleep 60' &
begun
$ false
$ echo $?
1
```

```python
import os

import words

print(words.WORD, os.environ["TOKEN"])  # → word t
```
"""
FILES = """
```toml
# moorage.toml
[services.vat]
base_url = "https://vat.example"
```

```python
# words.py
WORD = "w"
```

```python
# words.py, at the end
WORD += "ord"
```
"""


def test_files_commands_and_python_go_together(tmp_path: Path) -> None:
    """A page's files are written, its commands run, and its Python sees the shell's variables."""
    follow("page.md", FILES + GOOD, tmp_path)


@pytest.mark.parametrize(
    "text, message",
    [
        ("```python\nprint(VENDOR)\n```", "NameError: name 'VENDOR' is not defined"),
        ("```python\nprint(1)  # → 2\n```", "the block printed\n1"),
        ("```python\nimport sys; print(1, file=sys.stderr)\n```", "to the standard error"),
        ("```python\nimport redis\n```", "No module named 'redis'"),
        ("```python\nimport tools\n```", "No module named 'tools'"),
        ("```console\n$ echo one\ntwo\n```", "`echo one` printed"),
        ("```console\n$ false\n```", "`false` ended with 1"),
        ("```console\n$ moorage check\n```", "needs cyclopts, which is not installed"),
        ("```console\n$ pip install '.[sails]'\n```", "there is no extra sails"),
        ("```console\n$ make sails\n```", "no target sails"),
        ("```console\nls\n```", "begins with `$ `"),
        ("```toml\n[vendors.stripe]\n```", "must name the file"),
        ("```python\ndef test_it(): ...\n```", "a test must be in a file"),
        ("<!-- setup\nVENDOR = 1\n-->\n\n```python\nVENDOR\n```", "'VENDOR' is not defined"),
        ("    ```python\n    print(1)\n    ```", "is indented"),
        ("```pyton\nprint(1)\n```", "`pyton` is not an allowed language"),
    ],
)
def test_incomplete_page_is_refused(text: str, message: str, tmp_path: Path) -> None:
    """A page that needs undefined names, packages or files, or shows wrong results, is reported."""
    with pytest.raises(PageRuleBroken) as excinfo:
        follow("page.md", f"\n{text}\n", tmp_path)

    assert message in str(excinfo.value)


def packages(*commands: str) -> str:
    """Return the packages that a page with the given commands installs, as text."""
    lines = "\n".join(f"$ {command}" for command in commands)
    return str(packages_of("page.md", plan(f"\n```console\n{lines}\n```\n")))


def test_fresh_environment_has_the_packages_that_the_page_installs() -> None:
    """A page's environment has the extras and packages that any of its commands installs."""
    result = packages(
        "pip install '.[redis,cli]' ./adapters-examples/moorage-flask", "pip install pytest"
    )

    assert result == "moorage[cli,redis] + moorage-flask + pytest"
    assert packages("moorage check") == "moorage"


def test_pages_with_the_same_packages_share_an_environment() -> None:
    """Pages with the same packages share an environment; other packages need a new one."""
    first, other, third = (
        packages_of("page.md", plan(f"\n```console\n$ pip install {names}\n```\n"))
        for names in ("pytest '.[cli]'", "'.[cli]' pytest", "'.[cli]'")
    )

    assert first.folder == other.folder
    assert first.folder != third.folder


def test_page_that_installs_its_own_package_shares_its_environment_with_no_other_page() -> None:
    """A page that installs its own package shares its environment with no other page."""
    assert packages("pip install -e .") == "moorage + a package of page.md"
