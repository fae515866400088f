"""The output files of a Kubernetes step. A second container writes them to its log.

The step is then the init container of its pod. If it succeeds, the second container begins, finds
the same working directory, and writes the files in Base64. From its log, the files can be read
outside of the cluster.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Final

from moorage.errors import VendorFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

CONTAINER: Final = "files"
"""The name of the container that writes the files."""

LARGEST: Final = 4 * 1024 * 1024
"""The number of bytes of all files. In Base64 and with times they fit in the 10 MiB of a log that a
node keeps."""

_PART_END: Final = b".\n"
"""The first and the last line of the log; Base64 has no points."""

_SCRIPT: Final = f"""set -e
left={LARGEST}
number=0
echo .
for path do
  if [ -f "./$path" ] && [ ! -L "./$path" ] && [ -r "./$path" ]; then
    size=$(wc -c < "./$path")
    if [ "$size" -le "$left" ]; then
      left=$((left - size))
      echo ". $number"
      base64 "./$path"
    fi
  fi
  number=$((number + 1))
done
echo .
"""


def writing_command(paths: Sequence[str]) -> list[str]:
    """Return the command that writes files to the log, using `sh`, `wc` and `base64`."""
    return ["sh", "-c", _SCRIPT, CONTAINER, *paths]


def file_in_log(log: bytes, number: int) -> bytes | None:
    """Return the n-th file in the log; None if the log does not contain it.

    Raises:
        VendorFailed: a part is missing, because the container was ended or a node cut its log.
    """
    if not log.startswith(_PART_END) or not log.endswith(b"\n" + _PART_END):
        raise VendorFailed(
            "The log of the container that reads the files does not contain all files of the step.",
            remedy="Check the time limit of the pod, and the size limit of logs on the nodes.",
            retryable=False,
        )
    _, is_there, remainder = log.removesuffix(_PART_END).partition(b"\n. %d\n" % number)
    return base64.b64decode(remainder.partition(b".")[0]) if is_there else None
