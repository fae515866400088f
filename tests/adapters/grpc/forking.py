"""A program that calls a gRPC server, forks, calls it in the child, and prints both results."""

from __future__ import annotations

import sys
from typing import Any

from moorage import LocalFailure, OperationAttempt
from moorage.adapters.grpc.connector_sync import GrpcConnector
from tests.adapters.forked import run_in_forked_child
from tests.adapters.grpc.grpc_harness import ECHO


def main(address: str) -> None:
    """Print the results of calls in the child and in the parent."""
    connector = GrpcConnector(address, plaintext=True)
    operation = connector.call(ECHO, {"name": "bolt"})

    def call() -> Any:
        try:
            return operation.perform(OperationAttempt(1, 30.0))["name"]
        except LocalFailure as error:
            return type(error).__name__

    call()
    child = run_in_forked_child(call)
    sys.stdout.write(f"parent {call()}, child {child}\n")
    sys.stdout.flush()
    connector.close()


if __name__ == "__main__":
    main(sys.argv[1])
