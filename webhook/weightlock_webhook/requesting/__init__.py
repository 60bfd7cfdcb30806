"""Asking the operator for a verdict: a refused pod does not exist, so an event speaks for it."""
