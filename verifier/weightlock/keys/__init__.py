"""Keys: every PEM form that OpenSSL and the RFCs produce, read and written."""
