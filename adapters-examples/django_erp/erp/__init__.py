"""The project: settings, addresses, and its two doors."""
