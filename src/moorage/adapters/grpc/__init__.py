"""The connector of gRPC services."""
