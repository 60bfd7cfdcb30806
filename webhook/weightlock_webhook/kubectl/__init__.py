"""What `weightlock` (and `kubectl weightlock`) does on a live cluster: register, and explain why.

Both ask what the webhook asks: which volumes of a pod must be verified, and what stands against it.
So they live beside the decision and call it, instead of having an opinion of their own. The server
imports nothing from here. Only connection.py knows the `kubernetes` package, and imports it late.
"""
