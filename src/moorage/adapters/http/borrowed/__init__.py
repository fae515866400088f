"""HTTP adapters for a client object that the application already has."""
