"""Fuzzers over everything that reads bytes of a stranger; README.md says how to run them."""
