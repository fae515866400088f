"""Resolves references: `${NAME}` to environment variables, `secret://` to secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from moorage.config.problems import REPORTED, key, path_below, similar_word
from moorage.config.structure import EnvironmentText
from moorage.domain.values.json_text import is_list, is_object
from moorage.domain.values.patterns import late_pattern
from moorage.errors import ConnectorError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from moorage.config.problems import Report
    from moorage.domain.auth.credential_codec import AnyCredentials
    from moorage.domain.secrets.secret import Secret

SCHEME: Final = "secret://"
_VARIABLE: Final = late_pattern(r"\$\$\{|\$\{([^}]*)\}?")
_NAME: Final = late_pattern(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_MISTAKEN_REFERENCE: Final = late_pattern(
    r"\$\(?[A-Z_][A-Z0-9_]*\)?|%\(\w+\)s|%[A-Z_][A-Z0-9_]*%|\{\{\s*[\w.]+\s*\}\}|env:/{0,3}[A-Z_][A-Z0-9_]*"
    r"|(?!secret://)(?i:secrets?(?::/{0,3}|//)(?:env|file)/.+|secrets?://[A-Z0-9_-]+/.+)"
)
"""Texts in the forms of other programs, and misspelled references."""

_SECRET: Final = late_pattern(r"secret://([A-Za-z0-9_-]+)/([^\x00-\x1f]+)")


class References:
    """Resolves references; each secret is looked up only once.

    Args:
        variables: the environment variables.
        providers: the readers of secrets by provider name; a reader returns None for a secret that
            does not exist.
        report: collects the references that cannot be resolved.
        tables: the names of configured providers, because problems of a provider are reported at
            its table; None if the table `[secrets]` does not apply.
    """

    def __init__(
        self,
        variables: Mapping[str, str],
        providers: Mapping[str, Callable[[str], Secret | AnyCredentials | None]],
        report: Report,
        tables: Collection[str] | None = (),
    ) -> None:
        self._variables = variables
        self._providers = providers
        self._report = report
        self._tables = tables or ()
        self._may_add_provider = tables is not None
        self._secrets: dict[str, Any] = {}

    def follow_references(self, value: Any, path: str) -> Any:
        """Return the value with its references resolved."""
        if is_object(value):
            return {
                name: self.follow_references(entry, path_below(path, key(name)))
                for name, entry in value.items()
            }
        if is_list(value):
            return [
                self.follow_references(entry, f"{path}[{position}]")
                for position, entry in enumerate(value)
            ]
        if not isinstance(value, str):
            return value
        if _MISTAKEN_REFERENCE.fullmatch(value) and not isinstance(value, EnvironmentText):
            return self._report.add(
                path,
                "The value looks like a reference, but moorage would use the text itself.",
                "Write ${NAME} for an environment variable, or secret://env/NAME for a secret"
                " in an environment variable.",
            )
        problems_before = len(self._report.problems)
        text = value if isinstance(value, EnvironmentText) else self._expand_variables(value, path)
        if len(self._report.problems) > problems_before:
            return REPORTED
        return self._secret(str(text), path) if text.startswith(SCHEME) else text

    def _expand_variables(self, text: str, path: str) -> str:
        if "${" not in text:
            return text

        def replacement(match: re.Match[str]) -> str:
            return "${" if match[1] is None else self._variable(match, path)

        whole_match = _VARIABLE.fullmatch(text)
        expanded_text = _VARIABLE.sub(replacement, text)
        return (
            EnvironmentText(expanded_text)
            if whole_match and whole_match[1] is not None
            else expanded_text
        )

    def _variable(self, match: re.Match[str], path: str) -> str:
        reference = _NAME.fullmatch(match[1])
        if reference is None or not match[0].endswith("}") or "${" in match[0][2:]:
            self._report.add(
                path,
                "The text contains an invalid reference to an environment variable.",
                "Write ${NAME} or ${NAME:-fallback}, not nested; write $${ for a literal ${.",
            )
            return ""
        value = self._variables.get(reference[1], "")
        if value or reference[2] is not None:
            return value or reference[2]
        if reference[1] not in self._variables:
            self._report.add(
                path,
                f"The environment variable {reference[1]} is not set.",
                f"Set the variable, or write a default: ${{{reference[1]}:-default}}.",
                nearest=similar_word(reference[1], self._variables),
            )
        return ""

    def _secret(self, text: str, path: str) -> Any:
        if text not in self._secrets:
            self._secrets[text] = self._look_up(text)
        secret = self._secrets[text]
        if not isinstance(secret, Problem):
            return secret
        if secret.found:
            self._report.add(path, secret.found, secret.remedy, nearest=secret.nearest)
        return self._report.unreadable_placeholder(path)

    def _look_up(self, text: str) -> Any:
        """Look up the secret of a `secret://` reference; return a problem if it cannot be read."""
        parts = _SECRET.fullmatch(text)
        if parts is None:
            return Problem(
                "",
                "The text is not a valid reference to a secret.",
                "Write secret://env/NAME, secret://file/path, or secret:// with a provider"
                " under [secrets].",
            )
        provider, name = parts[1], parts[2]
        read_secret = self._providers.get(provider)
        if read_secret is None and provider in self._tables:
            # The error points to the provider's table.
            return Problem("", "", "")
        if read_secret is None:
            hint = f"; or add [secrets.{key(provider)}]" if self._may_add_provider else ""
            return Problem(
                "",
                f"There is no secret provider named {key(provider)}.",
                f"Use one of: {', '.join(self._providers)}{hint}.",
                similar_word(provider, self._providers),
            )
        try:
            secret = read_secret(name)
        except ConnectorError as error:
            return Problem("", f"The secret cannot be read: {error.message}", error.remedy)
        if secret is None or not secret:
            remedy = {
                "env": f"Set the environment variable {name}.",
                "file": "Write the secret to that file, and let this process read the file.",
            }.get(provider, "Store the secret there, or correct its name.")
            return Problem("", f"The secret {text} does not exist or is empty.", remedy)
        return secret


def is_secret_reference(text: str) -> bool:
    """Return whether a string refers to a secret without containing one, even as a fallback."""
    if text.startswith(SCHEME):
        return True
    references = [match[1] for match in _VARIABLE.finditer(text) if match[1] is not None]
    fallbacks = [reference.partition(":-")[2] for reference in references]
    return bool(references) and all(
        not fallback or fallback.startswith(SCHEME) for fallback in fallbacks
    )
