"""How the operator speaks to the API server, and the small state that it keeps there."""
