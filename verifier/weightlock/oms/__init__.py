"""OpenSSF Model Signing bundles: read, verified, written."""
