"""Signing and checking signatures, whichever library or device does it."""
