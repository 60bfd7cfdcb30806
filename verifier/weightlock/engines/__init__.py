"""Engines: the same segment roots, computed by whatever hardware there is."""
