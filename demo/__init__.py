"""The whole story on a real cluster, in a terminal: `make demo`, or `python -m demo`.

Every command that it shows is run as shown, and what it says about the outcome is checked: a demo
that would tell something else than what happened fails.
"""
