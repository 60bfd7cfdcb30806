"""Integrity for AI checkpoints: hash, sign and verify, on any machine."""

__version__ = "0.1.0"
