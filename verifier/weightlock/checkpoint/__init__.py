"""A checkpoint on a file system: walked and opened without trusting what lies there."""
