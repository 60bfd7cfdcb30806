"""What several tests need: sample checkpoints, keys, and ways to disturb them."""
