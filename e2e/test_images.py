"""The images that run on the cluster are as small as promised."""

from __future__ import annotations

import pytest

from e2e.images.archive import image_sizes
from e2e.images.product import CONTROL_PLANE, CONTROL_PLANE_BYTES, Product
from e2e.install import ARCHIVE


@pytest.mark.parametrize("product", CONTROL_PLANE, ids=lambda product: product.target)
def test_an_image_of_the_control_plane_is_small(product: Product) -> None:
    assert image_sizes(ARCHIVE)[product.name] < CONTROL_PLANE_BYTES
