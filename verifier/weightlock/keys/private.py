"""Private keys as PEM text and as files.

Read: PKCS#8, encrypted or not, and the older blocks of RSA and elliptic-curve keys. Written: PKCS#8
only, ML-DSA in seed form. Nothing here repeats key material in a message (F05).
"""

from pathlib import Path
from typing import Final

from weightlock.errors import KeyUnusable, Malformed
from weightlock.formats import pem
from weightlock.keys import files, pbes2
from weightlock.keys.pkcs8 import (
    PrivateKey,
    private_key_of_pkcs1,
    private_key_of_pkcs8,
    private_key_of_sec1,
)

MAX_PRIVATE_KEY_BYTES: Final = 16 * 1024
"""The largest text read as a private key; RSA of 16384 bits has 12.7 KB, ML-DSA-87 has 7 KB."""

_PLAIN: Final = "PRIVATE KEY"
_ENCRYPTED: Final = "ENCRYPTED PRIVATE KEY"
_READERS: Final = {
    _PLAIN: private_key_of_pkcs8,
    "RSA PRIVATE KEY": private_key_of_pkcs1,
    "EC PRIVATE KEY": private_key_of_sec1,
}
_ADVICE: Final = {
    "PUBLIC KEY": "this is the public half; name the file that `weightlock keygen` wrote as"
    " --private-key",
    "CERTIFICATE": "a certificate has no private key; name the key's own file",
    "OPENSSH PRIVATE KEY": "convert a copy with `ssh-keygen -p -m PKCS8 -f COPY`",
    "DSA PRIVATE KEY": "Weightlock does not sign with DSA; use `weightlock keygen`",
}


def private_key(text: bytes, passphrase: bytes | None = None) -> PrivateKey:
    """The key of a PEM text. A passphrase is not used if the key is not encrypted.

    Raises:
        KeyUnusable: if there is not exactly one private key that can be used.
    """
    try:
        block = _one_block(pem.blocks(text, "the private key", max_bytes=MAX_PRIVATE_KEY_BYTES))
        if block.label == _ENCRYPTED:
            return private_key_of_pkcs8(_decrypted(block, passphrase))
        return _READERS[block.label](block.data)
    except Malformed as error:
        # Not Malformed: what is wrong is the tool of the question, not the checkpoint.
        raise KeyUnusable(error.message, hint=error.hint) from error


def private_key_text(key: PrivateKey, passphrase: bytes | None = None) -> str:
    """The PEM text. Law: private_key(private_key_text(key, p).encode(), p) == key."""
    if passphrase is None:
        return pem.encode(_PLAIN, key.pkcs8)
    if not passphrase:
        raise KeyUnusable("an empty passphrase protects nothing")
    return pem.encode(_ENCRYPTED, pbes2.encrypt(key.pkcs8, passphrase))


def read_private_key(path: Path, passphrase: bytes | None = None) -> PrivateKey:
    """The key of a file that only its owner can read.

    Raises:
        KeyUnusable: if the file or the key in it cannot or must not be used.
    """
    try:
        text = files.read_secret(path, "the private key", max_bytes=MAX_PRIVATE_KEY_BYTES)
    except KeyUnusable as error:
        # Of the public half, anybody may read the file: `chmod 600` would be the wrong advice.
        raise (_public_half(path) or error) from error
    try:
        return private_key(text, passphrase)
    except KeyUnusable as error:
        raise KeyUnusable(f"{path}: {error.message}", hint=error.hint) from error


def write_private_key(path: Path, key: PrivateKey, passphrase: bytes | None = None) -> None:
    """Create the file with mode 0600.

    Raises:
        KeyUnusable: if it exists already or cannot be created.
    """
    text = private_key_text(key, passphrase)
    files.create(path, text.encode("ascii"), mode=files.PRIVATE_MODE)


def _public_half(path: Path) -> KeyUnusable | None:
    """The error for a file that is a public key; None for any other."""
    try:
        text = files.read_public(path, "the private key", max_bytes=MAX_PRIVATE_KEY_BYTES)
    except KeyUnusable:
        return None
    if not text.startswith(b"-----BEGIN PUBLIC KEY-----"):
        return None
    return KeyUnusable(
        f"{path}: a PUBLIC KEY where a private key belongs", hint=_ADVICE["PUBLIC KEY"]
    )


def _one_block(found: tuple[pem.Block, ...]) -> pem.Block:
    # `openssl ecparam -genkey` writes the curve's block before the key's; the key names it again.
    if len(found) > 1 and found[0].label == "EC PARAMETERS":
        found = found[1:]
    labels = [block.label for block in found]
    if len(labels) == 1 and (labels[0] in _READERS or labels[0] == _ENCRYPTED):
        return found[0]
    advice = [_ADVICE[label] for label in labels if label in _ADVICE]
    raise Malformed(
        "expected exactly one PEM block PRIVATE KEY,"
        f" found {len(labels)}: {', '.join(labels[:3]) or 'none'}",
        hint=advice[0] if advice else "keep the private key in a file by itself",
    )


def _decrypted(block: pem.Block, passphrase: bytes | None) -> bytes:
    if passphrase is None:
        raise KeyUnusable(
            "the private key is encrypted and no passphrase was given",
            hint="put the passphrase into a file with mode 0600 and add --passphrase-file FILE",
        )
    return pbes2.decrypt(block.data, passphrase)
