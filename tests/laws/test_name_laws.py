"""File names: what is fine is canonical, and no two that are one for some storage (A34).

The laws were tried against mutations of the code; what they let pass, the tables of the unit
tests catch.
"""

from collections.abc import Callable

from hypothesis import assume, given
from hypothesis import strategies as st
from tests.laws.names import any_names, is_fine, names

from weightlock.errors import UnsafeName
from weightlock.formats import filenames


@given(any_names)
def test_a_name_that_is_fine_is_its_own_canonical_form(name: str) -> None:
    assume(is_fine(name))
    assert name == "/".join(part for part in name.split("/") if part not in {"", ".", ".."})
    assert not name.startswith("/")
    assert name.encode().decode() == name
    assert "\\" not in name
    assert not any(ord(character) < 32 or 127 <= ord(character) < 160 for character in name)


@given(names)
def test_every_folder_above_a_fine_name_has_a_fine_name(name: str) -> None:
    parts = name.split("/")
    assert all(is_fine("/".join(parts[:count])) for count in range(1, len(parts)))


@given(any_names)
def test_a_name_is_shown_on_one_line(name: str) -> None:
    shown = filenames.printable(name)
    assert len(shown.splitlines()) == 1
    assert "\x1b" not in shown
    shown.encode()


@given(st.lists(names, min_size=2, max_size=4, unique_by=filenames.folded), st.data())
def test_distinct_names_are_fine_together_and_no_variant_of_one_is(
    distinct: list[str], data: st.DataObject
) -> None:
    try:
        filenames.check_all(distinct)
    except UnsafeName:
        assume(False)  # the name of an unsigned file
    variants: list[Callable[[str], str]] = [str.upper, str.lower, str.swapcase, str.casefold, str]
    variant = data.draw(st.sampled_from(variants))(data.draw(st.sampled_from(distinct)))
    assume(filenames.folded(variant) in map(filenames.folded, distinct) and is_fine(variant))
    for at in range(len(distinct) + 1):
        try:
            filenames.check_all([*distinct[:at], variant, *distinct[at:]])
        except UnsafeName:
            continue
        raise AssertionError(variant)
