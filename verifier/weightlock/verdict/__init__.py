"""From evidence to a verdict: pure, ordered, sealed."""
