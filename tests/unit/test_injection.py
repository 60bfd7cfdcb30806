"""Which annotations let a container runtime put things into a pod (B21)."""

import pytest

from weightlock.injection import injects


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        ("cdi.k8s.io/x", True),
        ("nvidia.cdi.k8s.io/container.x", True),
        ("CDI.k8s.io/x", True),
        ("mounts.nri.io/container.main", True),
        ("nri.io/x", True),
        ("io.kubernetes.cri-o.Devices", True),
        ("example/cdi.k8s.io", False),
        ("notcdi.k8s.io/x", False),
        ("kubernetes.io/psp", False),
        ("cdi", False),
        ("", False),
    ],
)
def test_annotations(annotation: str, expected: bool) -> None:
    assert injects(annotation) is expected
