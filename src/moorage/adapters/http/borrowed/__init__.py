"""HTTP through a client object that the host already has."""
