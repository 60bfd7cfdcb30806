"""The Weightlock admission webhook: decides from recorded verdicts which pods may mount what."""
