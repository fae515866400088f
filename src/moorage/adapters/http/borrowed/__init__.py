"""HTTP clients that use another library's client, such as one of the application."""
