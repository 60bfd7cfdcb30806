"""The page about the API is the one that the definitions make."""

from tests.support.api_reference import FILE, reference


def test_the_reference_is_up_to_date() -> None:
    assert FILE.read_text() == reference(), "run: python -m tests.support.api_reference"
