"""Paths on a volume, in their one normal form, compared by component and never as strings (A01)."""

from dataclasses import dataclass
from typing import Final

from weightlock.errors import Malformed
from weightlock.policy.scalars import shown

MAX_PATH_BYTES: Final = 4096
MAX_COMPONENT_BYTES: Final = 255


@dataclass(frozen=True, slots=True)
class VolumePath:
    """An absolute path below a volume's root. Law: VolumePath.parse(str(p)) == p."""

    components: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "/" + "/".join(self.components)

    @classmethod
    def parse(cls, text: str) -> "VolumePath":
        """The path of a text that is its own normal form.

        Raises:
            Malformed: for whatever a kernel could read as another path: relative paths, `.`, `..`,
                doubled or trailing slashes, control characters, names that are too long.
        """
        components = tuple(text[1:].split("/")) if text != "/" else ()
        if not text.startswith("/") or not all(map(_is_component, components)):
            raise Malformed(
                f"found {shown(text)}, expected a normalised absolute path such as /models/llama"
                " (no '.', '..', '//' or trailing '/')"
            )
        if len(text.encode()) > MAX_PATH_BYTES:
            raise Malformed(f"found a path of {len(text)} characters, expected a shorter one")
        return cls(components)

    def covers(self, other: "VolumePath") -> bool:
        """Whether the other path is equal to this one or below it."""
        return other.components[: len(self.components)] == self.components

    def overlaps(self, other: "VolumePath") -> bool:
        """Whether one of the two covers the other."""
        return self.covers(other) or other.covers(self)


def _is_component(text: str) -> bool:
    return (
        text not in ("", ".", "..")
        and "\\" not in text
        and text.isprintable()
        and len(text.encode(errors="surrogatepass")) <= MAX_COMPONENT_BYTES
    )
