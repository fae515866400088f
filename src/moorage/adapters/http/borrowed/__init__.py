"""HTTP clients on a client object of another library, which the application may already have."""
