"""Every configuration shown in the documentation loads and matches the schema."""

from __future__ import annotations

import re
import tomllib
from base64 import b64encode
from pathlib import Path

import pytest

import moorage.config
from moorage.config import json_schema, read_configuration
from moorage.testing.sandboxes.push.apns import ApnsSandbox
from tests.support.schema import fits

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```toml\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE_MARK = re.compile(r"# ([\w-]+\.toml)(, at the end)?\n")
OTHERS = {"credentials.toml", "pyproject.toml", "warehouse.toml"}
"""Names of documented TOML files that are not configurations of moorage."""


def _files_after_blocks(page: Path) -> list[tuple[str, str]]:
    """Return the content of a reader's configuration file after each TOML block of a page."""
    files: dict[str, str] = {}
    blocks: list[tuple[str, str]] = []
    for block in BLOCK.findall(page.read_text("utf-8")):
        mark = FILE_MARK.match(block)
        name = mark[1] if mark else ""
        files[name] = files[name] + block if mark and mark[2] else block
        if name not in OTHERS:
            blocks.append((page.name, files[name]))
    return blocks


BLOCKS = [shown_texts for page in PAGES for shown_texts in _files_after_blocks(page)]
SHOWN_BLOCKS = [(name, block) for name, block in BLOCKS if FILE_MARK.match(block)]
SCHEMA = json_schema()
SHOP = """
type Order { id: ID! }
type Orders { nodes: [Order] }
type Query { orders(first: Int): Orders }
type Mutation { add(id: ID!): Order }
"""
"""The GraphQL schema of the shop that the documentation configures."""

VALUES = {
    "base_url": "https://api.example",
    "account_sid": f"AC{1:032}",
    "api_key": "0123abcd",
}
"""The values of settings that the documentation's configurations take from variables."""


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment variables that the documentation's configurations use."""
    monkeypatch.setenv("APPLE_KEY", ApnsSandbox().private_key)
    for _, block in SHOWN_BLOCKS:
        for name in re.findall(r"secret://env/(\w+)", block):
            ring = f"1:{b64encode(bytes(32)).decode()}"
            monkeypatch.setenv(name, ring if name.endswith("_KEYS") else "a-secret")
        for setting, name in re.findall(r"^(\w+) = \"\$\{(\w+)\}\"", block, re.MULTILINE):
            monkeypatch.setenv(name, VALUES.get(setting, f"sqlite:///{name.lower()}.db"))


@pytest.mark.parametrize("name, block", SHOWN_BLOCKS, ids=[name for name, _ in SHOWN_BLOCKS])
def test_documented_configurations_load(
    name: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each configuration shown in the documentation is valid, without a warning."""
    # Read these secrets from the environment instead of from a secret manager.
    text = re.sub(r"secret://(ours|cloud)/[^\"]+", "secret://env/STRIPE_KEY", block)
    text = re.sub(r"secret://file/[^\"]+\.p8", "secret://env/APPLE_KEY", text)
    path = tmp_path / f"{name}.toml"
    path.write_text(text)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.graphql").write_text(SHOP)

    result = read_configuration(path)

    assert () == result.warnings
    for environment in result.environments:
        assert environment == read_configuration(path, environment).environment
    if result.migrated is None:
        assert fits(SCHEMA, SCHEMA, tomllib.loads(block))


def test_each_documented_configuration_is_marked_as_a_file() -> None:
    """Each configuration block in the documentation is marked as a file, so that it is tested."""
    assert BLOCKS == SHOWN_BLOCKS
    assert len(SHOWN_BLOCKS) >= 6


def test_configuration_example_in_docstring_of_moorage_config_is_valid(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The configuration example in the docstring of `moorage.config` is valid."""
    monkeypatch.setenv("TWILIO_TOKEN", "a-token")
    result = re.search(r"```toml\n(.*?)```", moorage.config.__doc__ or "", re.DOTALL)
    assert result is not None
    vonage = {"api_key": "0a1b2c3d"}
    tables = tomllib.loads(result[1].replace("AC…", "AC" + "0" * 32))
    tables["vendors"]["vonage"] = vonage

    assert 2 == len(read_configuration(tables).accounts)
