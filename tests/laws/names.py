"""Strategies for file names, fine ones and others."""

from hypothesis import strategies as st

from weightlock.errors import UnsafeName
from weightlock.formats import filenames

components = st.text(
    st.characters(
        codec="utf-8", exclude_categories=("Cc", "Cf", "Zl", "Zp"), exclude_characters="/\\"
    ),
    min_size=1,
    max_size=12,
)
any_names = st.one_of(
    st.text(st.sampled_from("aA/.\\:\n\u202e\u00e9e\u0301\udc80~"), max_size=12),
    st.lists(components, min_size=1, max_size=4).map("/".join),
    st.text(max_size=20),
)


def is_fine(name: str) -> bool:
    try:
        filenames.check(name)
    except UnsafeName:
        return False
    return True


names = any_names.filter(is_fine)
