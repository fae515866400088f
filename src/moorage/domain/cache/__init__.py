"""The rules for reusing HTTP answers."""
