"""The ports of a manager that all operations use, and code that the operations share."""
