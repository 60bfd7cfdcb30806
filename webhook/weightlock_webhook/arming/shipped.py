"""The file with the configurations as they were shipped: what the chart rendered, mounted."""

from pathlib import Path

import yaml

from weightlock.errors import Malformed, Unreadable
from weightlock_webhook.arming.comparison import API_VERSION, PLURALS, Configuration, mapping


def read(path: Path) -> tuple[Configuration, ...]:
    """Both configurations of the file.

    Raises:
        Unreadable: if the file cannot be read.
        Malformed: if it holds anything but one of each kind.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Unreadable(f"cannot read {path}") from error
    return configurations_in(text)


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
