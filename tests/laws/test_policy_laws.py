"""Laws of policies, verdicts and seals: true of every input, not of examples."""

import contextlib
import re
from dataclasses import replace
from datetime import datetime

from hypothesis import assume, given
from hypothesis import strategies as st
from tests.unit.policy.builders import (
    EVERYTHING,
    Json,
    replaced,
)
from tests.unit.policy.test_checkpoints import CHECKPOINT, STATUS
from tests.unit.verdict.strategies import (
    KEYS,
    any_policy,
    evidences,
    expectations,
    findings,
    instants,
    moments,
    paths,
    policies,
    records,
    some_policies,
    volume_facts,
    volume_rules,
    volumes,
)

from weightlock.errors import Malformed, PolicyInvalid
from weightlock.policy.checkpoints import Checkpoint
from weightlock.policy.composition import Composition
from weightlock.policy.hashing import policy_hash
from weightlock.policy.objects import Policy
from weightlock.policy.paths import VolumePath
from weightlock.policy.scalars import glob_matches, instant
from weightlock.policy.spec import (
    Enforcement,
    OnFailure,
    OnUnverified,
    PolicySpec,
    ReadOnly,
)
from weightlock.policy.volumes import VolumeAction, VolumeFacts, VolumeRule, Volumes
from weightlock.reasons import Verdict, verdict_of
from weightlock.verdict.evidence import Evidence, Finding
from weightlock.verdict.judge import Expected, judge
from weightlock.verdict.judgement import Judgement
from weightlock.verdict.records import VerdictRecord, instant_text, record_of, status_of
from weightlock.verdict.seal import SealKey, encoded, seal, seal_intact


def judged(
    facts: Evidence, found: list[Policy], now: datetime, expected: Expected | None = None
) -> Judgement:
    return judge(facts, Composition.of(found).requirements, now, expected or Expected())


def worth(judgement: Judgement) -> int:
    """How much a judgement allows: nothing, a classical signature, that with tolerance, all."""
    if judgement.verdict is Verdict.VERIFIED:
        return 3
    return judgement.verdict is Verdict.CLASSICAL_ONLY and 1 + judgement.classical_tolerated


@given(evidences(), some_policies(), any_policy, instants, expectations)
def test_more_policies_never_allow_more(
    facts: Evidence, found: list[Policy], more: Policy, now: datetime, expected: Expected
) -> None:
    before, after = (judged(facts, each, now, expected) for each in (found, [*found, more]))
    assert worth(after) <= worth(before)
    assert before.admits or not after.admits


def denied(facts: Evidence, found: list[Policy], now: datetime) -> bool:
    """Whether a pod is kept from a checkpoint: a verdict that admits not, and somebody enforces."""
    binding = Composition.of(found).binding
    judgement = judge(facts, binding.requirements, now)
    return binding.enforcement is Enforcement.ENFORCE and not judgement.admits


@given(evidences(), some_policies(), any_policy, instants)
def test_one_more_policy_never_turns_a_denial_into_an_admission(
    facts: Evidence, found: list[Policy], more: Policy, now: datetime
) -> None:
    assert denied(facts, [*found, more], now) or not denied(facts, found, now)


@given(evidences(), some_policies(2), instants)
def test_the_order_of_requirements_never_matters(
    facts: Evidence, found: list[Policy], now: datetime
) -> None:
    demanded = list(Composition.of(found).requirements)
    assert judge(facts, demanded[::-1], now) == judge(facts, demanded, now)
    assert judge(facts, demanded[1:] + demanded[:1], now) == judge(facts, demanded, now)


@given(evidences(), some_policies(), instants)
def test_the_same_policy_twice_is_the_same_policy(
    facts: Evidence, found: list[Policy], now: datetime
) -> None:
    demanded = Composition.of(found).requirements
    assert judge(facts, demanded * 2, now) == judge(facts, demanded, now)
    assert Composition.of(found * 2) == Composition.of(found)


@given(evidences(), some_policies(), instants)
def test_the_order_of_signatures_never_matters(
    facts: Evidence, found: list[Policy], now: datetime
) -> None:
    turned = replace(facts, signatures=facts.signatures[::-1], signers=facts.signers[::-1])
    first, second = judged(facts, found, now), judged(turned, found, now)
    assert (first.verdict, first.reason) == (second.verdict, second.reason)


@given(evidences(), some_policies(), instants, findings)
def test_finding_something_never_allows_more(
    facts: Evidence, found: list[Policy], now: datetime, finding: Finding
) -> None:
    worse = replace(facts, findings=(*facts.findings, finding))
    assert worth(judged(worse, found, now)) == 0


@given(evidences(), some_policies(), instants)
def test_bad_content_is_failed_and_unknown_content_never_passes(
    facts: Evidence, found: list[Policy], now: datetime
) -> None:
    verdict = judged(facts, found, now).verdict
    if any(verdict_of(finding.reason) is Verdict.FAILED for finding in facts.findings):
        assert verdict is Verdict.FAILED
    if facts.findings or not facts.content_compared:
        assert verdict in (Verdict.FAILED, Verdict.ERROR)


@given(evidences(), some_policies(), instants)
def test_what_is_verified_is_signed_post_quantum_by_a_trusted_key(
    facts: Evidence, found: list[Policy], now: datetime
) -> None:
    judgement = judged(facts, found, now)
    signed = {fact.keyid for fact in facts.signatures if fact.valid and fact.trusted}
    quantum_safe = {key.keyid for key in KEYS.values() if key.algorithm.is_post_quantum}
    if judgement.verdict is Verdict.VERIFIED:
        for trusted in (each.spec.signatures for each in found):
            for rule in trusted.rules:
                able = {each.keyid for each in trusted.members(rule)} & quantum_safe
                assert signed & able or not able
            assert signed & quantum_safe & {each.keyid for each in trusted.authorities}
        assert judgement.authorities
    if judgement.verdict is Verdict.CLASSICAL_ONLY:
        assert signed


@given(evidences(), some_policies(), instants, st.integers(0, 4))
def test_taking_a_signature_away_never_allows_more(
    facts: Evidence, found: list[Policy], now: datetime, index: int
) -> None:
    assume(index < len(facts.signatures))
    assume(all(fact.valid and fact.trusted for fact in facts.signatures))
    fewer = facts.signatures[:index] + facts.signatures[index + 1 :]
    # Without its list of signers a document proves less; with it, it says that one is missing.
    for signers in ((), facts.signers):
        before = judged(replace(facts, signers=()), found, now)
        after = judged(replace(facts, signatures=fewer, signers=signers), found, now)
        assert worth(after) <= worth(before)


@given(evidences(), some_policies(), st.sampled_from(sorted(KEYS)), instants)
def test_denying_a_key_never_allows_more(
    facts: Evidence, found: list[Policy], name: str, now: datetime
) -> None:
    denied = replace(found[0].spec.denied, keyids=found[0].spec.denied.keyids | {KEYS[name].keyid})
    stricter = replace(found[0], spec=replace(found[0].spec, denied=denied))
    before, after = judged(facts, found, now), judged(facts, [stricter, *found[1:]], now)
    assert worth(after) <= worth(before)


@given(evidences(), some_policies(), instants, instants)
def test_waiting_never_allows_more(
    facts: Evidence, found: list[Policy], first: datetime, second: datetime
) -> None:
    """The policies here have no notBefore, the one thing that time brings."""
    earlier, later = sorted((first, second))
    assert worth(judged(facts, found, later)) <= worth(judged(facts, found, earlier))


STRICTNESS = list(VolumeAction).index


@given(some_policies(), any_policy, volume_facts)
def test_more_policies_are_never_laxer(
    found: list[Policy], more: Policy, volume: VolumeFacts
) -> None:
    before, after = Composition.of(found), Composition.of([more, *found])
    assert list(Enforcement).index(after.enforcement) <= list(Enforcement).index(before.enforcement)
    assert list(OnUnverified).index(after.on_unverified) <= list(OnUnverified).index(
        before.on_unverified
    )
    assert list(OnFailure).index(after.on_failure) <= list(OnFailure).index(before.on_failure)
    assert list(ReadOnly).index(after.read_only) <= list(ReadOnly).index(before.read_only)
    assert after.max_age <= before.max_age
    assert after.limits.total <= before.limits.total
    assert STRICTNESS(after.action_for(volume)) >= STRICTNESS(before.action_for(volume))
    assert set(before.requirements) <= set(after.requirements)


@given(some_policies(2))
def test_the_order_of_policies_never_matters(found: list[Policy]) -> None:
    assert Composition.of(found[::-1]) == Composition.of(found)
    assert policy_hash(found[::-1]) == policy_hash(found)


@given(policies(), policies())
def test_policies_have_one_hash_exactly_if_they_say_the_same(first: Policy, second: Policy) -> None:
    assert (policy_hash([first]) == policy_hash([second])) is (first.spec == second.spec)


@given(volumes, volume_facts)
def test_the_order_of_volume_rules_never_matters(found: Volumes, volume: VolumeFacts) -> None:
    turned = replace(found, rules=found.rules[::-1])
    assert turned.action_for(volume) is found.action_for(volume)


@given(volumes, volume_rules, volume_facts)
def test_a_rule_as_strict_as_the_default_never_frees_anything(
    found: Volumes, rule: VolumeRule, volume: VolumeFacts
) -> None:
    assume(STRICTNESS(rule.action) >= STRICTNESS(found.default))
    assume(all(STRICTNESS(each.action) >= STRICTNESS(found.default) for each in found.rules))
    more = replace(found, rules=(*found.rules, rule))
    assert STRICTNESS(more.action_for(volume)) >= STRICTNESS(found.action_for(volume))


@given(volumes, volume_facts)
def test_a_volume_is_freed_only_by_a_rule_that_holds_all_of_it(
    found: Volumes, volume: VolumeFacts
) -> None:
    if STRICTNESS(found.action_for(volume)) < STRICTNESS(found.default):
        assert volume.path is None or any(
            not rule.paths or any(path.covers(volume.path) for path in rule.paths)
            for rule in found.rules
        )
        assert any(rule.covers(volume) for rule in found.rules)


@given(volume_rules, volume_facts)
def test_what_a_rule_covers_it_overlaps(rule: VolumeRule, volume: VolumeFacts) -> None:
    assert rule.overlaps(volume) or not rule.covers(volume)


@given(paths, paths)
def test_paths_cover_one_another_only_if_they_are_equal(
    first: VolumePath, second: VolumePath
) -> None:
    assert (first.covers(second) and second.covers(first)) is (first == second)
    assert first.overlaps(second) is second.overlaps(first)
    assert VolumePath.parse(str(first)) == first


@given(st.text(st.sampled_from("/.a\\\x00 "), max_size=8))
def test_a_path_that_is_read_is_written_the_same(text: str) -> None:
    with contextlib.suppress(Malformed):
        assert str(VolumePath.parse(text)) == text


@given(st.text("ab*?", max_size=8), st.text("abc", max_size=8))
def test_globs_are_what_the_regular_expression_says(pattern: str, text: str) -> None:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    assert glob_matches(pattern, text) is bool(re.fullmatch(expression, text))


@given(moments)
def test_an_instant_survives_its_text(moment: datetime) -> None:
    assert instant(instant_text(moment)) == moment


KEY = SealKey(b"\x07" * 32)


@given(records, records)
def test_two_records_are_encoded_alike_only_if_they_are_equal(
    first: VerdictRecord, second: VerdictRecord
) -> None:
    assert (encoded(first) == encoded(second)) is (first == second)


@given(records, st.integers(0, 400), st.characters())
def test_a_seal_with_one_character_changed_is_broken(
    record: VerdictRecord, index: int, character: str
) -> None:
    intact = seal(record, KEY)
    at = index % len(intact)
    changed = intact[:at] + character + intact[at + 1 :]
    assert seal_intact(record, changed, [KEY]) is (changed == intact)


@given(records)
def test_a_record_survives_its_status(record: VerdictRecord) -> None:
    status = {"phase": "ClassicalOnly", **status_of(record)}
    metadata = {"name": "x", "namespace": "y", "uid": record.checkpoint_uid or "-"}
    found = Checkpoint.from_object({**CHECKPOINT, "metadata": metadata, "status": status})
    assert record_of(found) == replace(record, checkpoint_uid=record.checkpoint_uid or "-")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["name", "a", "rules", "key", "paths"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


def places(value: object, prefix: str = "") -> list[str]:
    """Every path into a mapping."""
    found = [prefix.rstrip(".")] if prefix else []
    children: list[tuple[object, object]] = []
    if isinstance(value, dict):
        children = list(value.items())
    elif isinstance(value, list):
        children = list(enumerate(value))
    for key, child in children:
        if "." not in str(key):
            found += places(child, f"{prefix}{key}.")
    return found


@given(st.sampled_from(places(EVERYTHING)), json_values)
def test_whatever_a_field_holds_only_our_own_error_comes_out(where: str, value: object) -> None:
    with contextlib.suppress(PolicyInvalid):
        PolicySpec.from_spec(replaced(EVERYTHING, where, value))


WHOLE: Json = {**CHECKPOINT, "status": STATUS}


@given(st.sampled_from(places(WHOLE)), json_values)
def test_whatever_a_checkpoint_holds_only_our_own_error_comes_out(
    where: str, value: object
) -> None:
    with contextlib.suppress(Malformed):
        Checkpoint.from_object(replaced(WHOLE, where, value))
