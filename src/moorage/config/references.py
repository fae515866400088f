"""What texts of a configuration refer to: `${NAME}` to the environment, `secret://` to a secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.config.problems import WRONG, key, near, under
from moorage.config.structure import Filled
from moorage.domain.values.json_text import is_list, is_object
from moorage.errors import ConnectorError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from moorage.config.problems import Report
    from moorage.domain.auth.keeping import Kept
    from moorage.domain.secrets.secret import Secret

SCHEME: Final = "secret://"
_PLACE: Final = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_NAME: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_SECRET: Final = re.compile(r"secret://([A-Za-z0-9_-]+)/([^\x00-\x1f]+)")


class References:
    """Follows references, each secret once.

    Args:
        variables: the environment.
        providers: by name, what reads a secret; None is returned for one that is not there.
        report: is told what leads nowhere.
        tables: the names of those that are configured; what is wrong with one is told of itself.
    """

    def __init__(
        self,
        variables: Mapping[str, str],
        providers: Mapping[str, Callable[[str], Secret | Kept | None]],
        report: Report,
        tables: Collection[str] = (),
    ) -> None:
        self._variables = variables
        self._providers = providers
        self._report = report
        self._tables = tables
        self._found: dict[str, Any] = {}

    def followed(self, value: Any, path: str) -> Any:
        """The value with what its texts refer to."""
        if is_object(value):
            return {name: self.followed(one, under(path, key(name))) for name, one in value.items()}
        if is_list(value):
            return [self.followed(one, f"{path}[{place}]") for place, one in enumerate(value)]
        if not isinstance(value, str):
            return value
        known = len(self._report.problems)
        text = value if isinstance(value, Filled) else self._filled(value, path)
        if len(self._report.problems) > known:
            return WRONG
        return self._secret(str(text), path) if text.startswith(SCHEME) else text

    def _filled(self, text: str, path: str) -> str:
        if "${" not in text:
            return text

        def said(found: re.Match[str]) -> str:
            return "${" if found[1] is None else self._variable(found, path)

        whole = _PLACE.fullmatch(text)
        filled = _PLACE.sub(said, text)
        return Filled(filled) if whole and whole[1] is not None else filled

    def _variable(self, found: re.Match[str], path: str) -> str:
        known = _NAME.fullmatch(found[1])
        if known is None or not found[0].endswith("}") or "${" in found[0][2:]:
            self._report.add(
                path,
                "this is no reference to an environment variable.",
                "Write ${NAME} or ${NAME:-fallback}, none inside another; or $${ where a text has"
                " ${ in it.",
            )
            return ""
        value = self._variables.get(known[1], "")
        if value or known[2] is not None:
            return value or known[2]
        if known[1] not in self._variables:
            self._report.add(
                path,
                f"the environment variable {known[1]} is not set.",
                f"Set it, or write ${{{known[1]}:-a fallback}}.",
                nearest=near(known[1], self._variables),
            )
        return ""

    def _secret(self, text: str, path: str) -> Any:
        if text not in self._found:
            self._found[text] = self._looked_up(text)
        found = self._found[text]
        if not isinstance(found, Problem):
            return found
        if found.found:
            self._report.add(path, found.found, found.remedy, nearest=found.nearest)
        return self._report.lack(path)

    def _looked_up(self, text: str) -> Any:
        """The secret that a text refers to; a problem where there is none, which may be empty."""
        parts = _SECRET.fullmatch(text)
        if parts is None:
            return Problem(
                "",
                "this is no reference to a secret.",
                "Write secret://env/NAME, secret://file/path, or the name of one of [secrets].",
            )
        provider, name = parts[1], parts[2]
        read = self._providers.get(provider)
        if read is None and provider in self._tables:
            # The problem is told where the provider stands.
            return Problem("", "", "")
        if read is None:
            return Problem(
                "",
                f"{key(provider)} is no provider of secrets.",
                f"Use one of: {', '.join(self._providers)}; or add [secrets.{key(provider)}].",
                near(provider, self._providers),
            )
        try:
            secret = read(name)
        except ConnectorError as error:
            return Problem("", f"this secret cannot be read: {error.message}", error.remedy)
        if secret is None or not secret:
            remedy = {
                "env": f"Set the environment variable {name}.",
                "file": "Put the secret into that file, and let this process read it.",
            }.get(provider, "Put the secret there, or correct its name.")
            return Problem("", f"{text} cannot be found, or is empty.", remedy)
        return secret


def refers(text: str) -> bool:
    """Whether a text says where a secret is, and holds none in a fallback either."""
    if text.startswith(SCHEME):
        return True
    inner = [found[1] for found in _PLACE.finditer(text) if found[1] is not None]
    fallbacks = [one.partition(":-")[2] for one in inner]
    return bool(inner) and all(not one or one.startswith(SCHEME) for one in fallbacks)
