"""The webhook's own certificates: an authority in a Secret, a leaf in each replica's memory.

ECDSA P-256 is what signs them. They vouch for a TLS session of a few days inside one cluster, not
for a checkpoint: whoever breaks the curve in ten years gains nothing from the handshakes of today,
and no API server verifies a post-quantum certificate yet. What a recording could be decrypted with
later is the key exchange; that is hybrid wherever OpenSSL offers it (see `tls`).
"""
