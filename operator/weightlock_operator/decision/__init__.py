"""What the operator does about a checkpoint: facts in, a decision out. Pure; start at reconcile."""
