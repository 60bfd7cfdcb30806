"""What nobody but Weightlock may do to Weightlock's own objects, labels and annotations. Pure.

A guard looks at who asks, at the object, and at what changed; it returns a refusal or nothing.
Whether a pod may mount what it mounts is not decided here.
"""
