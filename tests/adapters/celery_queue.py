"""A Celery application that uses folders as broker and result backend, without a server.

`python -m tests.adapters.celery_queue HOME PATH...` submits a task for each path to the workers
whose queue is in the folder HOME, and prints the outcomes as a line of JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from celery import Celery


def application(home: Path) -> Celery:
    """Return a Celery application whose broker and result backend are in this folder."""
    folders = {name: home / name for name in ("queue", "control", "results")}
    for folder in folders.values():
        folder.mkdir(exist_ok=True)
    app = Celery("vendors", broker="filesystem://", backend=folders["results"].as_uri())
    app.conf.update(
        broker_transport_options={
            "data_folder_in": str(folders["queue"]),
            "data_folder_out": str(folders["queue"]),
            "control_folder": str(folders["control"]),
            "polling_interval": 0.05,
        },
        worker_enable_remote_control=False,
    )
    return app


def main(home: str, *paths: str) -> None:
    """Submit all tasks, and wait for their results."""
    app = application(Path(home))
    requests = [app.send_task("ask", (path,)) for path in paths]
    sys.stdout.write(json.dumps([answer.get(timeout=120, interval=0.05) for answer in requests]))


if __name__ == "__main__":
    main(*sys.argv[1:])
