"""What is remembered against rollback: under which policies, and how it is written down."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.policy.builders import policy

from weightlock.policy.bounds import MAX_VERSION
from weightlock.verdict.floors import VouchedModel, entry_of, highest_seen, read_entry

PROD = VouchedModel("ClusterModelPolicy prod", "llama")
vouched_models = st.builds(VouchedModel, st.text(), st.text())


@given(vouched=vouched_models, version=st.integers(1, MAX_VERSION))
def test_what_is_written_is_what_is_read(vouched: VouchedModel, version: int) -> None:
    assert read_entry(*entry_of(vouched, version)) == (vouched, version)


@given(one=vouched_models, other=vouched_models)
def test_no_two_share_a_key(one: VouchedModel, other: VouchedModel) -> None:
    assert (entry_of(one, 1)[0] == entry_of(other, 1)[0]) == (one == other)


def test_keys_tell_where_the_policy_ends() -> None:
    assert entry_of(VouchedModel("a", "bc"), 1)[0] != entry_of(VouchedModel("ab", "c"), 1)[0]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("[" * 100_000, id="too deep"),
        pytest.param("[]", id="a list"),
        pytest.param("{}", id="no fields"),
        pytest.param(json.dumps({"model": "llama", "version": 7}), id="no policy"),
        pytest.param(json.dumps({**PROD._asdict(), "version": 7, "more": 1}), id="one field more"),
        *(
            pytest.param(json.dumps({**PROD._asdict(), "version": 7, **change}), id=str(change))
            for change in (
                {"model": 1},
                {"policy": None},
                {"version": True},
                {"version": "7"},
                {"version": 0},
                {"version": MAX_VERSION + 1},
                {"model": "mistral"},
                {"policy": "ClusterModelPolicy dev"},
            )
        ),
    ],
)
def test_a_damaged_entry_says_nothing(text: str) -> None:
    assert read_entry(entry_of(PROD, 7)[0], text) is None


@pytest.mark.parametrize("names", [{"model": 1}, {"policy": None}, {"model": ["llama"]}], ids=str)
def test_an_entry_of_what_is_no_name_says_nothing_under_its_own_key(names: dict[str, Any]) -> None:
    odd = PROD._replace(**names)
    assert read_entry(*entry_of(odd, 7)) is None


def test_the_highest_of_the_policies_that_are_asked_counts() -> None:
    dev = PROD._replace(policy="ClusterModelPolicy dev")
    floors = {PROD: 7, dev: 9, PROD._replace(model="mistral"): 11}
    assert highest_seen(floors, [PROD.policy], "llama") == 7
    assert highest_seen(floors, [PROD.policy, dev.policy, "another"], "llama") == 9
    assert highest_seen(floors, [], "llama") == 0


def test_a_policys_namespace_is_told_from_its_name() -> None:
    assert VouchedModel(policy("p", "team-a").origin, "a/b c").namespace == "team-a"
    assert VouchedModel(policy("p").origin, "a/b c").namespace == ""
