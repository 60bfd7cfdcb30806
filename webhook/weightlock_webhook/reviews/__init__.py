"""AdmissionReviews: read strictly, answered by whoever serves the path, and written.

The server hands each body to one review handler by path. A handler gathers what it needs from the
collaborators that `collaborators` describes, and decides with pure functions.
"""
