"""Measurements. Every number in the documentation comes from a command in this folder."""
