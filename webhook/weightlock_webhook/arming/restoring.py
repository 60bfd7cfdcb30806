"""What to write so that a configuration is the shipped one again. Pure."""

import base64
from collections.abc import Mapping, Sequence

from weightlock_webhook.arming.comparison import Configuration, mapping
from weightlock_webhook.arming.tokens import joined, path_of, with_token

_OWN_METADATA = ("name", "labels", "annotations")


def document_of(
    shipped: Configuration, bundle: str, token: str, last_seen: Configuration | None
) -> Mapping[str, object]:
    """The whole object to create.

    Labels and annotations are those that it had when it was last seen, so that Helm still knows it
    for its own; an annotation that was shipped is there in any case: cert-manager's cainjector
    fills in the caBundle by one.
    """
    known = mapping((last_seen or shipped).document.get("metadata"))
    metadata = {key: known[key] for key in _OWN_METADATA if key in known}
    annotations = {**_annotations(shipped), **_annotations(last_seen or shipped)}
    if annotations:
        metadata["annotations"] = annotations
    return {
        "apiVersion": shipped.document["apiVersion"],
        "kind": shipped.kind,
        "metadata": {**metadata, "name": shipped.name},
        "webhooks": entries_of(shipped, bundle, token),
    }


def entries_of(shipped: Configuration, bundle: str, token: str) -> Sequence[Mapping[str, object]]:
    """The shipped entries, calling by this token and trusting this bundle, as the API has it.

    An empty bundle is somebody else's to fill in.
    """
    trust = {"caBundle": bundle} if bundle else {}
    return [
        {**each, "clientConfig": {**with_token(mapping(each.get("clientConfig")), token), **trust}}
        for each in shipped.webhooks
    ]


def _annotations(configuration: Configuration) -> Mapping[str, object]:
    return mapping(mapping(configuration.document.get("metadata")).get("annotations"))


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


def path_patch(live: Configuration, token: str) -> Sequence[Mapping[str, object]]:
    """Operations of RFC 6902 that change nothing but the ends of paths; none if they are right.

    Each tests what the path was, too: an installer may write at the same time.
    """
    operations: list[Mapping[str, object]] = []
    for index, entry in enumerate(live.webhooks):
        place, path = path_of(mapping(entry.get("clientConfig")))
        if path and path != joined(path, token):
            at = f"/webhooks/{index}"
            field = f"{at}/clientConfig/{place}"
            operations += [
                {"op": "test", "path": f"{at}/name", "value": entry.get("name")},
                {"op": "test", "path": field, "value": path},
                {"op": "replace", "path": field, "value": joined(path, token)},
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
