"""What the API server sends, as Python's objects: whatever a tenant has put into some of them."""

import json

from weightlock.cluster_names import PREFIX
from weightlock.formats.nesting import shallow
from weightlock.verdict.storage import MOUNT_OPTIONS_ANNOTATION
from weightlock_operator.api.cluster import Json


def parsed(content: bytes) -> Json:
    """A document.

    Raises:
        ValueError: it is no JSON object.
    """
    try:
        document = json.loads(content)
    except RecursionError:  # one object of a list must not cost all the others
        document = json.loads(shallow(content))
    if not isinstance(document, dict):
        raise ValueError(f"found {type(document).__name__}, expected an object")
    return document


def lightened(body: Json) -> Json:
    """An object without what nobody here reads, and without other people's annotations.

    Both may be a megabyte in each of thousands of objects that any tenant makes.
    """
    metadata = {key: value for key, value in body["metadata"].items() if key != "managedFields"}
    annotations = metadata.pop("annotations", None)
    if isinstance(annotations, dict):
        ours = {key: text for key, text in annotations.items() if _is_read(key)}
        if ours:
            metadata["annotations"] = ours
    return {**body, "metadata": metadata}


def _is_read(annotation: str) -> bool:
    return annotation.startswith(PREFIX) or annotation == MOUNT_OPTIONS_ANNOTATION
