"""The ports of a manager that all operations use, and the code that operations share."""
