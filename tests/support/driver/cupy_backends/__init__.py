"""A CuPy whose driver has trouble; see runtime.py."""
