"""Golden vectors of every format, and the script that makes them (generate.py)."""
