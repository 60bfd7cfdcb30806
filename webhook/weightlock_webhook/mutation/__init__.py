"""What the answers Hold and Inject do to a pod, and whether a stored pod still has it.

Nothing that is already in a pod is taken for ours by its name: a pod is injected if it has exactly
the containers that would be injected now, and held if it has our gate (A16, A17).
"""
