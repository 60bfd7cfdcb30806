"""The formats, pure: bytes in, values out, one error tree."""
