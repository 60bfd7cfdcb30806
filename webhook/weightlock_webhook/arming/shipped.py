"""The file with the configurations as they were shipped: what the chart rendered, mounted."""

import logging
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import yaml

from weightlock.errors import Malformed, Unreadable, WeightlockError
from weightlock_webhook.arming.comparison import API_VERSION, PLURALS, Configuration, mapping

log: Final = logging.getLogger(__name__)


class ShippedFile:
    """The file, read anew each time; one that cannot be read leaves what was read before.

    It is taken apart only when it has changed: YAML takes some 20 ms, in which nobody is answered.

    Raises:
        Unreadable: if it cannot be read at the start.
        Malformed: if it holds anything else then.
    """

    def __init__(self, path: Path, annotations: Mapping[str, str] = MappingProxyType({})) -> None:
        """`annotations` are those that the installer adds to what the file says."""
        self._path = path
        self._annotations = annotations
        self._text = text_of(path)
        self._latest = self._read(self._text)

    def __call__(self) -> tuple[Configuration, ...]:
        """Both configurations."""
        try:
            text = text_of(self._path)
            if text != self._text:
                self._text, self._latest = text, self._read(text)
        except WeightlockError as error:
            log.warning("the shipped configurations: %s", error.message)
        return self._latest

    def _read(self, text: str) -> tuple[Configuration, ...]:
        return tuple(_annotated(each, self._annotations) for each in configurations_in(text))


def read(path: Path) -> tuple[Configuration, ...]:
    """Both configurations of the file.

    Raises:
        Unreadable: if the file cannot be read.
        Malformed: if it holds anything but one of each kind.
    """
    return configurations_in(text_of(path))


def text_of(path: Path) -> str:
    """What the file holds.

    Raises:
        Unreadable: if the file cannot be read.
    """
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(f"cannot read {path}") from error


def _annotated(shipped: Configuration, annotations: Mapping[str, str]) -> Configuration:
    if not annotations:
        return shipped
    metadata = mapping(shipped.document.get("metadata"))
    known = {**mapping(metadata.get("annotations")), **annotations}
    document = {**shipped.document, "metadata": {**metadata, "annotations": known}}
    return Configuration(shipped.kind, shipped.name, document)


def configurations_in(text: str) -> tuple[Configuration, ...]:
    """Both configurations of a YAML text.

    Raises:
        Malformed: if it holds anything but one of each kind.
    """
    try:
        documents = [mapping(each) for each in yaml.safe_load_all(text) if each is not None]
    except yaml.YAMLError as error:
        raise Malformed("the shipped configurations are not YAML") from error
    found = [Configuration.of(each) for each in documents if each.get("apiVersion") == API_VERSION]
    if sorted(each.kind for each in found) != sorted(PLURALS) or len(found) != len(documents):
        raise Malformed(f"expected exactly one {' and one '.join(PLURALS)}")
    return tuple(found)
