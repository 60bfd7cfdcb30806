"""Annotations of a pod by which a container runtime gives it devices and mounts of its own (B21).

They pass everything that looks at volumes: what they mount, nobody has verified, and what they do
to the pod of a verification makes its report worth nothing.
"""

from typing import Final

INJECTING_DOMAINS: Final = ("cdi.k8s.io", "nri.io")
"""Container Device Interface, and plugins of the Node Resource Interface; subdomains too."""

INJECTING_PREFIXES: Final = ("io.kubernetes.cri-o.",)
"""CRI-O's own, of which some name devices and change how volumes are mounted."""


def injects(annotation: str) -> bool:
    """Whether the annotation of that key may put something into the pod."""
    domain = annotation.partition("/")[0].lower()
    return annotation.startswith(INJECTING_PREFIXES) or any(
        domain == each or domain.endswith(f".{each}") for each in INJECTING_DOMAINS
    )
