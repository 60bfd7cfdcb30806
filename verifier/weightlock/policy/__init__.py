"""Policies as frozen values: parsed once, composed by intersection."""
