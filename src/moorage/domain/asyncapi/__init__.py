"""AsyncAPI descriptions: the channels, operations and messages of an application."""
