"""Uploads and downloads of objects in parts or as streams."""
