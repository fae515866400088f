"""The ports that all operations use, and the code that they share."""
