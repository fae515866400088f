"""The vendors as the conformance kits take them: a module for each, of its name."""
