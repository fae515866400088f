"""Mirrors of git repositories, made with the `git` program.

This folder starts a foreign program and gives it credentials. It knows the domain and the ports,
and must not know how calls are protected.
"""
