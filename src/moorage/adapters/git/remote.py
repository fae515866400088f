"""Repositories that `git` fetches from and pushes to."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import attrs

from moorage.domain.secrets.options import checked_options, maybe_secret
from moorage.domain.values.patterns import late_pattern
from moorage.errors import InvalidData

if TYPE_CHECKING:
    from moorage.domain.secrets.secret import Secret

_SCHEMES: Final = frozenset({"https", "ssh", "git", "file"})
_HOST: Final = late_pattern(r"[A-Za-z0-9][A-Za-z0-9.:-]{0,252}")


def _is_url(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    problem = None
    try:
        parts = urlsplit(value)
        has_port = parts.port != 0
    except ValueError:
        parts, has_port = urlsplit(""), False
    is_plain = value.isprintable() and " " not in value
    if not has_port:
        problem = "has a host or a port that cannot be parsed"
    elif parts.scheme not in _SCHEMES or not is_plain:
        problem = "is not a URL with https, ssh, git or file"
    elif parts.password is not None or (parts.username is not None and parts.scheme != "ssh"):
        problem = "contains a credential"
    elif (parts.username or "").startswith("-"):
        problem = "has a user name that begins with a hyphen"
    elif parts.scheme == "file" and (parts.netloc or not parts.path.startswith("/")):
        problem = "does not contain an absolute path"
    elif parts.scheme != "file" and _HOST.fullmatch(parts.hostname or "") is None:
        problem = "does not contain a host"
    if problem is not None:
        raise InvalidData(
            f"The URL of a git repository {problem}.",
            field=attribute.name,
            remedy="Use a URL such as 'https://git.example/acme/erp.git', and pass the"
            " credential as `token`, or as `identity` for SSH.",
        )


@checked_options
@attrs.frozen(kw_only=True)
class GitRemote:
    """A git repository on another server or in another folder, with its credentials.

    Attributes:
        url: the remote repository's URL, with https, ssh, git or file. It contains no credential.
        token: the password or the access token, for https.
        user: the name that is sent with the token; most hosts accept any name.
        identity: the file of a private key without a passphrase, for ssh.
        known_hosts: the file with the host's public key, for ssh; no other key is accepted.
        ca_file: the file of the certificate authorities that are trusted, for https; by default the
            system's.
    """

    url: str = attrs.field(validator=_is_url)
    token: Secret | None = attrs.field(default=None, converter=maybe_secret, repr=False)
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
                    f"A repository with a URL of {scheme} does not accept {name}.",
                    field=name,
                    remedy=f"Use a URL with {fitting}, or leave out {name}.",
                )
        token = b"" if self.token is None else self.token.reveal_bytes()
        if not self.user.isprintable() or any(byte < ord(" ") for byte in token):
            raise InvalidData(
                "The user or the token of a git repository contains a line break or another"
                " control character.",
                field="token",
                remedy="Remove the control character, such as a line break at the end.",
            )
        for name in ("identity", "known_hosts", "ca_file"):
            path = getattr(self, name)
            if path is not None and not (path and path.isprintable() and '"' not in path):
                raise InvalidData(
                    f"The {name} of a git repository is not a valid path of a file.",
                    field=name,
                    remedy="Pass a path without quotes and control characters.",
                )

    @property
    def scheme(self) -> str:
        """The scheme of the URL, which is the only protocol that `git` may use."""
        return urlsplit(self.url).scheme

    def options(self) -> list[str]:
        """Return the options of `git` for this repository, without any credential."""
        options = ["http.followRedirects=false", "credential.helper="]
        if self.ca_file is not None:
            options.append(f"http.sslCAInfo={self.ca_file}")
        return [part for option in options for part in ("-c", option)]

    def ssh_command(self) -> str:
        """Return the `ssh` command that `git` runs; a `GitMirror` passes it on."""
        parts = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
        if self.known_hosts is not None:
            # With quotes, a path that contains spaces counts as one file.
            parts += ["-o", f'UserKnownHostsFile="{self.known_hosts}"']
            parts += ["-o", "GlobalKnownHostsFile=/dev/null"]
        if self.identity is not None:
            parts += ["-o", "IdentitiesOnly=yes", "-i", self.identity]
        return shlex.join(parts)
