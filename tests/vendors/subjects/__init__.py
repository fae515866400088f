"""Test subjects for the conformance kits: one module for each vendor."""
