"""The HTTP client on pyreqwest."""
