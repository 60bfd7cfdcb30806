"""Live reads: what the API server says now, for every answer that would let a pod in (A28, A38)."""
