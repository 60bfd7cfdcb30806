"""Decodes what the API server sends, whatever a tenant has put into some of it."""

from typing import Protocol, TypeVar

from weightlock.formats.nesting import shallow

Decoded_co = TypeVar("Decoded_co", covariant=True)


class Decoder(Protocol[Decoded_co]):
    """One of msgspec's."""

    def decode(self, content: bytes, /) -> Decoded_co:
        """Read a document."""
        ...


def decoded(decoder: Decoder[Decoded_co], content: bytes) -> Decoded_co:
    """Read a document; what is nested too deeply counts as absent.

    Raises:
        msgspec.MsgspecError: it is not what was expected.
    """
    try:
        return decoder.decode(content)
    except RecursionError:  # one object of a list must not cost all the others
        return decoder.decode(shallow(content))
