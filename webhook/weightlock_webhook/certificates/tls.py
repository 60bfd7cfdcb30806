"""The TLS context of the listener: made once, and given new certificates while it serves.

TLS 1.2 at least, which every API server speaks; 1.3 wherever both can. The groups of the key
exchange are left to OpenSSL: from 3.5 on it offers X25519MLKEM768 first by itself, and so does the
API server from Kubernetes 1.33 on. To name groups here could only take that away.
"""

import os
import ssl
from pathlib import Path
from typing import Final

from weightlock.errors import Malformed
from weightlock_webhook.certificates.authority import Pair

HYBRID_SINCE: Final = (3, 5)


def server_context(client_authorities: tuple[str, ...] = ()) -> ssl.SSLContext:
    """A context without a certificate yet.

    With authorities given, every client must show a certificate of one of them.

    Raises:
        Malformed: for authorities that are none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    # AES-GCM or ChaCha20 with forward secrecy; TLS 1.3 has nothing else anyway.
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    if client_authorities:
        try:
            context.load_verify_locations(cadata="\n".join(client_authorities))
        except (ssl.SSLError, ValueError) as error:
            raise Malformed("the authorities of clients are not certificates in PEM") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def take(context: ssl.SSLContext, pair: Pair) -> None:
    """Serve this certificate from the next handshake on; connections that are open stay.

    Raises:
        Malformed: if it cannot be used; then the context serves what it served before.
    """
    # A half-loaded pair would break the context, so a scratch one tries first.
    _load(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), pair)
    _load(context, pair)


def client_context(
    trusted: str, pair: Pair | None = None, *, only_leaf: bool = False
) -> ssl.SSLContext:
    """For the canary, which comes in by the same door as the API server.

    `only_leaf`: `trusted` is the server's own certificate, whoever signed it.

    Raises:
        Malformed: for a bundle that is none.
    """
    try:
        context = ssl.create_default_context(cadata=trusted)
    except (ssl.SSLError, ValueError) as error:
        raise Malformed("the bundle is not certificates in PEM") from error
    if only_leaf:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if pair is not None:
        _load(context, pair)
    return context


def offers_hybrid(version: tuple[int, ...] = ssl.OPENSSL_VERSION_INFO) -> bool:
    """Whether the key exchange is post-quantum with clients that can."""
    return version[:2] >= HYBRID_SINCE


def _load(context: ssl.SSLContext, pair: Pair) -> None:
    # The ssl module reads files only. This one has no name and is gone with its descriptor, so the
    # key never reaches a disk and the root file system may be read-only.
    descriptor = os.memfd_create("pair", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(f"{pair.certificate}\n{pair.key}".encode())
        context.load_cert_chain(Path(f"/proc/self/fd/{descriptor}"))
    except (ssl.SSLError, OSError) as error:
        raise Malformed("the certificate and its key cannot be served") from error
    finally:
        os.close(descriptor)
