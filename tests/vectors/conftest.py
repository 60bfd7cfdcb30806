"""Published vectors: a folder `shared/vectors` beside the checkout, or where a variable says."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from weightlock.signatures.slh_dsa_liboqs import Liboqs, installed_liboqs

VARIABLE = "WEIGHTLOCK_VECTORS"
BESIDE_THE_CHECKOUT = Path(__file__).parents[3] / "shared" / "vectors"


@pytest.fixture(scope="session")
def published() -> Callable[[str], Any]:
    """Reads a JSON document of the folder of published vectors."""
    named = os.environ.get(VARIABLE)  # noqa: TID251 # where this machine keeps the vectors
    folder = Path(named) if named else BESIDE_THE_CHECKOUT
    if not folder.is_dir():
        pytest.skip(
            f"published vectors are absent: {VARIABLE} is not set and there is no folder"
            " ../shared/vectors beside the checkout"
        )
    return lambda name: json.loads((folder / name).read_bytes())


@pytest.fixture(scope="session")
def liboqs() -> Liboqs:
    found = installed_liboqs()
    if found is None:
        pytest.skip("liboqs is not installed: no shared library found (OQS_INSTALL_PATH names one)")
    return found
