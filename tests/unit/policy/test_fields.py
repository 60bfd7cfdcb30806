"""Reading mappings that are passed on whole."""

import pytest

from weightlock.errors import Malformed
from weightlock.policy.fields import Fields


def fields(**value: object) -> Fields:
    return Fields(value, "spec", None, Malformed)


def test_mappings_are_found_as_they_are() -> None:
    assert fields(a={"b": 1}).mapping("a") == {"b": 1}
    assert fields(a=[{"b": 1}, {}]).mappings("a") == [{"b": 1}, {}]
    assert fields().mappings("a") == []


@pytest.mark.parametrize("value", [None, "x", ["x"], 1])
def test_anything_else_is_named(value: object) -> None:
    with pytest.raises(Malformed, match=r"spec\.a: .* expected a mapping"):
        fields(a=value).mapping("a")
    with pytest.raises(Malformed, match=r"spec\.a\[0\]: .* expected a mapping"):
        fields(a=[value]).mappings("a")


def test_what_is_missing_is_named() -> None:
    with pytest.raises(Malformed, match=r"spec\.a: missing"):
        fields().mapping("a")
