"""What to write so that a configuration is the shipped one again. Pure."""

import base64
from collections.abc import Mapping, Sequence

from weightlock_webhook.arming.comparison import Configuration, mapping

_OWN_METADATA = ("name", "labels", "annotations")


def document_of(
    shipped: Configuration, bundle: str, last_seen: Configuration | None
) -> Mapping[str, object]:
    """The whole object to create.

    Labels and annotations are those that it had when it was last seen, so that Helm still knows it
    for its own.
    """
    known = mapping((last_seen or shipped).document.get("metadata"))
    metadata = {key: known[key] for key in _OWN_METADATA if key in known}
    return {
        "apiVersion": shipped.document["apiVersion"],
        "kind": shipped.kind,
        "metadata": {**metadata, "name": shipped.name},
        "webhooks": entries_of(shipped, bundle),
    }


def entries_of(shipped: Configuration, bundle: str) -> Sequence[Mapping[str, object]]:
    """The shipped entries, trusting this bundle; an empty one is somebody else's to fill in."""
    if not bundle:
        return list(shipped.webhooks)
    encoded = encoded_bundle(bundle)
    return [
        {**each, "clientConfig": {**mapping(each.get("clientConfig")), "caBundle": encoded}}
        for each in shipped.webhooks
    ]


def bundle_patch(live: Configuration, bundle: str) -> Sequence[Mapping[str, object]]:
    """Operations of RFC 6902 that change nothing but caBundles; none if they are right.

    Each tests the name first: entries have no key but their place, which another writer may change.
    """
    wanted = encoded_bundle(bundle)
    operations: list[Mapping[str, object]] = []
    for index, (entry, found) in enumerate(zip(live.webhooks, live.bundles, strict=True)):
        if found != wanted:
            at = f"/webhooks/{index}"
            operations += [
                {"op": "test", "path": f"{at}/name", "value": entry.get("name")},
                {"op": "add", "path": f"{at}/clientConfig/caBundle", "value": wanted},
            ]
    return operations


def encoded_bundle(bundle: str) -> str:
    """A bundle as the API has it."""
    return base64.b64encode(bundle.encode("ascii")).decode("ascii")


def decoded_bundle(encoded: str) -> str:
    """A bundle as PEM; "" for what is none."""
    try:
        return base64.b64decode(encoded, validate=True).decode("ascii")
    except ValueError:
        return ""
