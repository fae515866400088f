"""Connections for protocols that moorage implements itself."""
