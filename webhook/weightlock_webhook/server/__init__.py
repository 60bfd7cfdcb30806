"""HTTPS for the API server, and plain HTTP for probes and metrics.

The port is open to every pod of the cluster, so everything about a connection is bounded: bytes,
time, how many, how many at once (A06, A40).
"""
