"""Fixtures for every test: a real API server, and a cluster with a node."""

pytest_plugins = ["e2e.cluster.pytest_plugin"]
