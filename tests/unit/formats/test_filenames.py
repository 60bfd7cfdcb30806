"""File names with one reading on every system; each hostile name beside one that is fine (A34)."""

import pytest

from weightlock.errors import UnsafeName
from weightlock.formats import filenames
from weightlock.names import ENVELOPE_FILE, OMS_FILE


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["a", "a"], id="a name of one letter, twice"),
        pytest.param(["weights.bin", "weights.bin"], id="a name twice"),
        pytest.param([OMS_FILE], id="the name of the OMS bundle"),
        pytest.param([ENVELOPE_FILE], id="the name of the envelope"),
        pytest.param(["Model.SIG"], id="the name of the bundle in capitals"),
    ],
)
def test_names_that_collide_are_refused(names: list[str]) -> None:
    with pytest.raises(UnsafeName):
        filenames.check_all(names)
