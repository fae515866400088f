"""Repositories that `git` fetches from and pushes to."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs

from moorage.domain.secrets.frames import careful
from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.domain.secrets.secret import Secret

_SCHEMES: Final = frozenset({"https", "ssh", "git", "file"})
_HOST: Final = late_pattern(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,252}")


def _is_url(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    parts = urlsplit(value)
    problem = None
    if parts.scheme not in _SCHEMES or any(character <= " " for character in value):
        problem = "is no URL with https, ssh, git or file"
    elif parts.password is not None or (parts.username is not None and parts.scheme != "ssh"):
        problem = "contains a credential"
    elif parts.scheme == "file" and (parts.netloc or not parts.path.startswith("/")):
        problem = "names no absolute path"
    elif parts.scheme != "file" and _HOST.fullmatch(parts.hostname or "") is None:
        problem = "names no host"
    if problem is not None:
        raise InvalidData(
            f"The URL of a git repository {problem}.",
            field=attribute.name,
            remedy="Write it such as 'https://git.example/acme/erp.git', and give the credential"
            " as `token`, or as `identity` for SSH.",
        )


@careful
@attrs.frozen(kw_only=True)
class GitRemote:
    """A git repository at another place, and what opens it.

    Attributes:
        url: its URL, with https, ssh, git or file. It contains no credential.
        token: the password or the access token, for https.
        user: the name that is sent with the token; most hosts take any.
        identity: the file of a private key without a passphrase, for ssh.
        known_hosts: the file with the host's public key, for ssh; no other key is accepted.
        ca_file: the certificates that the host's certificate may come from, for https; by default
            those of the system.
    """

    url: str = attrs.field(validator=_is_url)
    token: Secret | None = attrs.field(default=None, repr=False)
    user: str = "moorage"
    identity: str | None = None
    known_hosts: str | None = None
    ca_file: str | None = None

    def __attrs_post_init__(self) -> None:
        """Check that the credential fits the URL."""
        scheme = urlsplit(self.url).scheme
        for name, fitting in (("token", "https"), ("identity", "ssh"), ("known_hosts", "ssh")):
            if getattr(self, name) is not None and scheme != fitting:
                raise InvalidData(
                    f"A repository with {scheme} takes no {name}.",
                    field=name,
                    remedy=f"Use a URL with {fitting}, or leave {name} out.",
                )
        if "\n" in self.user or (self.token is not None and b"\n" in self.token.reveal_bytes()):
            raise InvalidData(
                "The user or the token of a git repository contains a line break.",
                field="token",
                remedy="Remove the line break at its end.",
            )

    @property
    def scheme(self) -> str:
        """The scheme of the URL, which is the only one that `git` may use."""
        return urlsplit(self.url).scheme

    def options(self) -> list[str]:
        """Return the options of `git` for this repository; no credential is in them."""
        options = ["http.followRedirects=false", "credential.helper="]
        if self.ca_file is not None:
            options.append(f"http.sslCAInfo={self.ca_file}")
        return [part for option in options for part in ("-c", option)]

    def ssh_command(self) -> str:
        """Return the command with which `git` starts `ssh`."""
        parts = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
        if self.known_hosts is not None:
            parts += ["-o", f"UserKnownHostsFile={self.known_hosts}"]
        if self.identity is not None:
            parts += ["-o", "IdentitiesOnly=yes", "-i", self.identity]
        return shlex.join(parts)
