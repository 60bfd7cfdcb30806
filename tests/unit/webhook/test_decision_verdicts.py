"""Only a verdict that stands lets a container have a path; each denial with its compliant twin."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.unit.policy.builders import (
    EC,
    NOW,
    PQ,
    PQ_TOO,
    authority,
    policy,
    rule,
    signatures,
)
from tests.unit.webhook.cluster import (
    LLAMA,
    OTHER_KEY,
    VERIFIED_AT,
    answer,
    checkpoint,
    claim,
    claim_object,
    facts,
    recorded,
    sealed,
    storage,
)
from tests.unit.webhook.objects import Object, claim_volume, container, mount, pod_spec

from weightlock.policy.checkpoints import Checkpoint
from weightlock.policy.objects import Metadata
from weightlock.reasons import Reason, Verdict
from weightlock.verdict.floors import VouchedModel
from weightlock_webhook.decision.answers import Outcome
from weightlock_webhook.decision.facts import Facts
from weightlock_webhook.decision.storage import claim_of

GOVERNING = "ClusterModelPolicy post-quantum"


def at(sub_path: str) -> Object:
    return pod_spec(containers=[container(mount(subPath=sub_path))])


@pytest.mark.parametrize(
    ("denied", "allowed"),
    [
        pytest.param(pod_spec(), at("good"), id="the whole volume"),
        pytest.param(at("."), at("./good//"), id="the whole volume in other words"),
        pytest.param(
            pod_spec(containers=[container()]),
            at("good"),
            id="declared and mounted by nobody: an ephemeral container may",
        ),
        pytest.param(
            at("good") | {"initContainers": [container(mount(subPath=""), name="i")]},
            at("good") | {"initContainers": [container(mount(subPath="good/x"), name="i")]},
            id="an init container with the whole volume",
        ),
        pytest.param(
            at("good") | {"ephemeralContainers": [container(mount(), name="debugger")]},
            at("good") | {"ephemeralContainers": [container(name="debugger")]},
            id="a debugger with the whole volume",
        ),
    ],
)
def test_a_path_must_be_at_or_below_a_verified_one(denied: Object, allowed: Object) -> None:
    found = facts(checkpoints=[checkpoint(path="/good")])
    refused = answer(denied, found)
    assert [each.reason for each in refused.refusals] == [Reason.PATH_NOT_COVERED]
    assert '"/good"' in refused.message
    assert answer(allowed, found).message == ""


@pytest.mark.parametrize(
    ("beside", "within"),
    [
        pytest.param(at("evil"), at("good"), id="another folder"),
        pytest.param(at("good-evil"), at("good"), id="a folder whose name starts the same"),
        pytest.param(at("Good"), at("good/weights"), id="another spelling, and a folder inside"),
        pytest.param(
            at("good") | {"initContainers": [container(mount(subPath="evil"), name="i")]},
            at("good") | {"initContainers": [container(mount(subPath="good/x"), name="i")]},
            id="an init container elsewhere",
        ),
    ],
)
def test_a_folder_beside_all_that_are_registered_is_one_that_nobody_registered(
    beside: Object, within: Object
) -> None:
    known = [checkpoint(path="/good"), checkpoint("deep", path="/a/b")]
    found = facts(checkpoints=known)
    refused = answer(beside, found)
    assert refused.outcome is Outcome.DENY
    assert [each.reason for each in refused.refusals] == [Reason.NO_CHECKPOINT]
    assert '"/a/b", "/good"' in refused.message
    assert "weightlock register" in refused.message
    assert answer(within, found).message == ""
    held = answer(beside, facts(policy(onUnverified="Hold"), checkpoints=known))
    assert held.outcome is Outcome.HOLD
    injected = answer(beside, facts(policy(onUnverified="Inject"), checkpoints=known))
    assert injected.outcome is Outcome.INJECT


def test_a_folder_that_holds_a_registered_one_is_never_held() -> None:
    found = facts(policy(onUnverified="Hold"), checkpoints=[checkpoint(path="/a/b")])
    for sub_path in ("", "a"):
        refused = answer(at(sub_path), found)
        assert (refused.outcome, refused.reason) == (Outcome.DENY, Reason.PATH_NOT_COVERED)
        assert 'for example "a/b"' in refused.message


def test_a_held_pod_says_what_it_waits_for_and_what_autoregister_leaves_to_people() -> None:
    known = [checkpoint(path="/good")]
    by_hand, by_itself = (
        answer(at("new"), facts(policy(onUnverified="Hold", autoRegister=auto), checkpoints=known))
        for auto in (False, True)
    )
    (waits,) = by_hand.waits
    assert waits == (
        'Held: NoCheckpoint: container "trainer", volume "model", path "/new". Have it verified:'
        ' weightlock register --namespace team-a --claim "llama" --path "/new"'
    )
    assert by_itself.waits[0].removeprefix(waits) == (
        " (autoRegister does not: it leaves claims alone that have a checkpoint)"
    )
    unregistered = answer(
        at("new"), facts(policy(onUnverified="Hold", autoRegister=True), checkpoints=[])
    )
    assert "autoRegister" not in unregistered.waits[0]
    assert answer(at("new"), facts(checkpoints=known)).waits == (), "what is denied is not held"


def test_a_second_volume_that_nobody_mounts_is_judged_too() -> None:
    spec = pod_spec(claim_volume(), claim_volume("evil", "evil"))
    found = facts(storage=storage(LLAMA, claim("evil")))
    assert [each.reason for each in answer(spec, found).refusals] == [Reason.NO_CHECKPOINT]


GOOD = checkpoint()


def with_status(**changes: Any) -> Checkpoint:
    """The good checkpoint after somebody without the key wrote its status."""
    assert GOOD.status is not None
    return replace(GOOD, status=replace(GOOD.status, **changes))


@pytest.mark.parametrize(
    ("reason", "found", "outcome"),
    [
        pytest.param(Reason.NO_CHECKPOINT, [], Outcome.HOLD, id="nobody registered it"),
        pytest.param(
            Reason.NO_CHECKPOINT,
            [checkpoint(about=claim("other"))],
            Outcome.HOLD,
            id="only another claim is registered",
        ),
        pytest.param(
            Reason.NOT_VERIFIED, [replace(GOOD, status=None)], Outcome.HOLD, id="no status yet"
        ),
        *(
            pytest.param(
                Reason.NOT_VERIFIED, [with_status(phase=phase)], Outcome.HOLD, id=f"{phase}"
            )
            for phase in (Verdict.PENDING, Verdict.VERIFYING, Verdict.STALE, Verdict.ERROR)
        ),
        pytest.param(
            Reason.NOT_VERIFIED,
            [with_status(last_verified=None)],
            Outcome.HOLD,
            id="verified at no time",
        ),
        pytest.param(
            Reason.CONTENT_MISMATCH,
            [with_status(phase=Verdict.FAILED, reason="ContentMismatch", message="w.bin\x1b[0m")],
            Outcome.DENY,
            id="failed on its content",
        ),
        pytest.param(
            Reason.NOT_VERIFIED,
            [with_status(phase=Verdict.FAILED, reason="Verified")],
            Outcome.DENY,
            id="failed for a reason that is none",
        ),
        pytest.param(
            Reason.SEAL_BROKEN, [sealed(GOOD, OTHER_KEY)], Outcome.HOLD, id="sealed by a tenant"
        ),
        pytest.param(Reason.SEAL_BROKEN, [with_status(seal="")], Outcome.HOLD, id="not sealed"),
        pytest.param(
            Reason.SEAL_BROKEN,
            [with_status(model_version=9)],
            Outcome.HOLD,
            id="one field changed under the seal",
        ),
        pytest.param(
            Reason.SEAL_BROKEN,
            [replace(GOOD, metadata=Metadata(GOOD.metadata.name, "team-a", "uid-x", 1))],
            Outcome.HOLD,
            id="deleted and made again",
        ),
        pytest.param(
            Reason.SPEC_CHANGED,
            [
                replace(
                    GOOD,
                    metadata=Metadata(GOOD.metadata.name, "team-a", GOOD.metadata.uid, 2),
                )
            ],
            Outcome.HOLD,
            id="edited since",
        ),
        pytest.param(
            Reason.IDENTITY_CHANGED,
            [checkpoint(volume=recorded(LLAMA, "/elsewhere"))],
            Outcome.HOLD,
            id="verified at another path",
        ),
        pytest.param(
            Reason.VERDICT_EXPIRED,
            [checkpoint(last_verified=NOW - timedelta(hours=168))],
            Outcome.HOLD,
            id="older than maxAge",
        ),
        pytest.param(
            Reason.CLOCK_BEHIND,
            [checkpoint(last_verified=NOW + timedelta(hours=1))],
            Outcome.HOLD,
            id="verified in the future",
        ),
        pytest.param(
            Reason.SIGNER_UNTRUSTED,
            [checkpoint(signed_by=[PQ_TOO])],
            Outcome.DENY,
            id="signed by somebody else",
        ),
        pytest.param(
            Reason.UNSIGNED, [checkpoint(signed_by=[])], Outcome.DENY, id="signed by nobody"
        ),
        pytest.param(
            Reason.IDENTITY_MISMATCH,
            [checkpoint(model_name="mistral")],
            Outcome.DENY,
            id="another model than was registered",
        ),
    ],
)
def test_a_verdict_that_does_not_stand(
    reason: Reason, found: list[Checkpoint], outcome: Outcome
) -> None:
    refused = answer(pod_spec(), facts(policy(onUnverified="Hold"), checkpoints=found))
    assert (refused.outcome, [each.reason for each in refused.refusals]) == (outcome, [reason])
    assert answer(pod_spec(), facts(policy(), checkpoints=found)).outcome is Outcome.DENY
    assert answer(pod_spec(), facts(policy(), checkpoints=[*found, GOOD])).outcome is Outcome.ALLOW


@pytest.mark.parametrize(
    ("status", "words"),
    [
        pytest.param({"phase": Verdict.PENDING}, "found phase Pending,", id="no verdict yet"),
        pytest.param(
            {"phase": Verdict.ERROR, "reason": "Unreadable\n"},
            'found phase Error ("Unreadable\\n"),',
            id="no answer, and why",
        ),
        pytest.param(
            {"last_verified": None},
            "found phase Verified without status.lastVerified,",
            id="no instant",
        ),
        pytest.param(
            {"phase": Verdict.FAILED, "reason": "ExtraFile", "message": "x\x1b[0m.pkl" + "y" * 400},
            'found phase Failed: "x\\x1b[0m.pklyyy',
            id="a message of somebody else's, escaped",
        ),
    ],
)
def test_a_denial_says_what_the_status_says(status: dict[str, Any], words: str) -> None:
    message = answer(pod_spec(), facts(checkpoints=[with_status(**status)])).message
    assert 'checkpoint "llama-step-1200": ' in message
    assert words in message
    assert len(message) < 700
    assert "kubectl describe modelcheckpoint --namespace team-a llama-step-1200" in message


PENDING = claim_of(claim_object("llama", "uid-llama"), None)
REMADE = replace(LLAMA, uid="uid-new")


@pytest.mark.parametrize(
    ("reason", "found"),
    [
        pytest.param(Reason.CLAIM_UNBOUND, {"storage": storage()}, id="no such claim"),
        pytest.param(Reason.CLAIM_UNBOUND, {"storage": storage(PENDING)}, id="a claim not bound"),
        pytest.param(
            Reason.IDENTITY_CHANGED, {"storage": storage(REMADE)}, id="a claim made again"
        ),
        pytest.param(
            Reason.IDENTITY_CHANGED,
            {"storage": storage(claim(csi={"driver": "disk.example", "volumeHandle": "vol-2"}))},
            id="a claim on another disk",
        ),
        pytest.param(
            Reason.WRITER_SEEN,
            {"storage": storage(replace(LLAMA, writer_seen_at=NOW))},
            id="a writer since",
        ),
        pytest.param(
            Reason.RESTORED_FROM_BACKUP, {"restored_at": NOW}, id="the cluster was restored since"
        ),
        pytest.param(Reason.SEAL_BROKEN, {"seal_keys": ()}, id="no key to check a seal with"),
        pytest.param(
            Reason.ROLLBACK,
            {"highest_versions": {VouchedModel(GOVERNING, "llama"): 4}},
            id="a newer version was seen",
        ),
    ],
)
def test_facts_that_unmake_a_good_verdict(reason: Reason, found: dict[str, Any]) -> None:
    refused = answer(pod_spec(), facts(**found))
    assert (refused.outcome, [each.reason for each in refused.refusals]) == (
        Outcome.DENY,
        [reason],
    )
    assert answer(pod_spec(), facts()).outcome is Outcome.ALLOW


def test_versions_that_another_policy_vouched_for_are_its_own() -> None:
    others = {VouchedModel(f"{GOVERNING}-too", "llama"): 4, VouchedModel(GOVERNING, "gemma"): 4}
    assert answer(pod_spec(), facts(highest_versions=others)).outcome is Outcome.ALLOW


def test_each_policy_minds_its_own_floor() -> None:
    floors = {VouchedModel("ClusterModelPolicy b", "llama"): 4}
    refused = answer(pod_spec(), facts(policy("a"), policy("b"), highest_versions=floors))
    assert refused.reason is Reason.ROLLBACK
    watched = facts(policy("a"), policy("b", enforcement="Audit"), highest_versions=floors)
    assert answer(pod_spec(), watched).outcome is Outcome.ALLOW


EXPIRED = signatures(authority("release", PQ, notAfter="2026-11-21T12:00:00Z"))
CURRENT = signatures(authority("release", PQ, notAfter="2026-11-21T12:00:01Z"))
BOTH = signatures(
    authority("release", PQ), authority("second", PQ_TOO), rules=[rule("a", "release", "second")]
)
TWO_OF_TWO = signatures(
    authority("release", PQ),
    authority("second", PQ_TOO),
    rules=[rule("a", "release", "second", atLeast=2)],
)
OTHER_MODELS = signatures(authority("release", PQ, models=["mistral-*"]))


@pytest.mark.parametrize(
    ("reason", "denies", "allows"),
    [
        pytest.param(
            Reason.SIGNER_UNTRUSTED,
            {"signatures": signatures(authority("release", PQ_TOO))},
            {"signatures": BOTH},
            id="the key was removed from the policy",
        ),
        pytest.param(
            Reason.KEY_EXPIRED, {"signatures": EXPIRED}, {"signatures": CURRENT}, id="it expired"
        ),
        pytest.param(
            Reason.SIGNER_MISSING,
            {"signatures": TWO_OF_TWO},
            {"signatures": BOTH},
            id="one of two signed",
        ),
        pytest.param(
            Reason.SIGNER_UNTRUSTED,
            {"signatures": OTHER_MODELS},
            {"signatures": signatures(authority("release", PQ, models=["llama"]))},
            id="the key is for other models",
        ),
        pytest.param(
            Reason.KEY_REVOKED,
            {"denied": {"keyids": [PQ.keyid]}},
            {"denied": {"keyids": [PQ_TOO.keyid]}},
            id="the key is denied",
        ),
        pytest.param(
            Reason.DIGEST_DENIED,
            {"denied": {"digests": ["sha256:" + "64" * 32]}},
            {"denied": {"digests": ["sha512:" + "64" * 64]}},
            id="the root is denied",
        ),
        pytest.param(
            Reason.ALGORITHM_FORBIDDEN,
            {"digests": {"allowed": ["sha512"]}},
            {"digests": {"allowed": ["sha256"]}},
            id="the hash is not allowed",
        ),
        pytest.param(
            Reason.ROLLBACK,
            {"rollback": {"floors": [{"models": ["llama*"], "version": 4}]}},
            {"rollback": {"floors": [{"models": ["llama*"], "version": 3}]}},
            id="the version is too old",
        ),
        pytest.param(
            Reason.VERDICT_EXPIRED,
            {"freshness": {"maxAge": "1h"}},
            {"freshness": {"maxAge": "61m"}},
            id="the verdict is too old",
        ),
    ],
)
def test_recorded_signatures_are_judged_by_the_policy_of_now(
    reason: Reason, denies: Object, allows: Object
) -> None:
    refused = answer(pod_spec(), facts(policy(**denies)))
    assert [each.reason for each in refused.refusals] == [reason]
    assert answer(pod_spec(), facts(policy(**allows))).message == ""


def classical_policy(sunset: str, action: str = "Warn") -> Object:
    return signatures(
        authority("release", PQ),
        authority("legacy", EC),
        rules=[rule("any", "release", "legacy")],
        classical={"action": action, "sunset": sunset},
    )


def test_classical_signatures_warn_until_their_sunset_and_then_deny() -> None:
    classical = [checkpoint(signed_by=[EC], phase=Verdict.CLASSICAL_ONLY)]
    before = facts(
        policy(signatures=classical_policy("2026-11-21T12:00:01Z")), checkpoints=classical
    )
    found = answer(pod_spec(), before)
    assert (found.outcome, found.reason) == (Outcome.ALLOW, Reason.CLASSICAL_ONLY)
    assert "weightlock notarize" in found.warnings[0]
    for sunset, action in (("2026-11-21T12:00:00Z", "Warn"), ("2028-01-01T00:00:00Z", "Deny")):
        after = facts(policy(signatures=classical_policy(sunset, action)), checkpoints=classical)
        refused = answer(pod_spec(), after)
        assert [each.reason for each in refused.refusals] == [Reason.CLASSICAL_ONLY]


def rival(**status: Any) -> Checkpoint:
    return checkpoint(
        "rival",
        **{
            "phase": Verdict.FAILED,
            "reason": "ContentMismatch",
            "last_verified": VERIFIED_AT + timedelta(minutes=1),
            **status,
        },
    )


@pytest.mark.parametrize(
    ("other", "outcome"),
    [
        *(
            pytest.param(rival(reason=reason), Outcome.DENY, id=f"a later look found {reason}")
            for reason in (
                "ContentMismatch",
                "ExtraFile",
                "MissingFile",
                "UnsafeEntry",
                "UnsafeName",
            )
        ),
        pytest.param(
            rival(last_verified=VERIFIED_AT - timedelta(minutes=1)),
            Outcome.ALLOW,
            id="an earlier look found bad content, mended since",
        ),
        pytest.param(
            rival(reason="SignerUntrusted"), Outcome.ALLOW, id="a later look disliked the signer"
        ),
        pytest.param(rival(last_verified=None), Outcome.ALLOW, id="a look at no time"),
        pytest.param(
            rival(volume=recorded(LLAMA, "/x")), Outcome.ALLOW, id="a look at another place"
        ),
        pytest.param(rival(phase=Verdict.PENDING), Outcome.ALLOW, id="a look that is not over"),
    ],
)
def test_a_later_look_at_the_same_place_counts(other: Checkpoint, outcome: Outcome) -> None:
    assert answer(pod_spec(), facts(checkpoints=[GOOD, other])).outcome is outcome
    assert answer(pod_spec(), facts(checkpoints=[other, GOOD])).outcome is outcome


def test_the_closest_good_checkpoint_vouches() -> None:
    inner, outer = checkpoint("inner", path="/good"), checkpoint("outer")
    found = answer(at("good/weights"), facts(checkpoints=[outer, inner]))
    assert [each.checkpoint for each in found.vouched] == ["inner"]
    assert found.vouched[0].authorities == ("release",)
    assert found.vouched[0].digest == "sha256:" + "64" * 32


@pytest.mark.parametrize("order", [1, -1], ids=["the bad one first", "the bad one last"])
def test_one_that_waits_for_its_verdict_can_still_cure_what_a_bad_one_does_not(order: int) -> None:
    bad = checkpoint("a", phase=Verdict.FAILED, reason="Unsigned")
    waiting = checkpoint("b", phase=Verdict.PENDING, signatures=())
    known = [bad, waiting][::order]
    held = answer(pod_spec(), facts(policy(onUnverified="Hold"), checkpoints=known))
    assert (held.outcome, held.reason) == (Outcome.HOLD, Reason.NOT_VERIFIED)
    alone = answer(pod_spec(), facts(policy(onUnverified="Hold"), checkpoints=[bad]))
    assert (alone.outcome, alone.reason) == (Outcome.DENY, Reason.UNSIGNED)


def test_a_denial_says_whether_the_claim_is_there() -> None:
    missing = answer(pod_spec(), facts(storage=storage()))
    assert '"llama" does not exist' in missing.message
    pending = answer(pod_spec(), facts(storage=storage(claim_of(claim_object(), None))))
    assert '"llama" is not bound' in pending.message


def test_a_denial_names_a_folder_that_would_do() -> None:
    known = [checkpoint(f"c{path[1]}", path=path) for path in ("/z", "/b/y", "/b/x", "/a")]
    refused = answer(at("b"), facts(checkpoints=known))
    assert 'for example "b/x"' in refused.message


def test_a_path_that_several_containers_reach_is_judged_once() -> None:
    spec = pod_spec(containers=[container(mount(), name="a"), container(mount(), name="b")])
    assert len(answer(spec, facts()).vouched) == 1
    assert len(answer(spec, facts(checkpoints=[])).refusals) == 1


def test_without_a_digest_nothing_is_post_quantum() -> None:
    found = answer(pod_spec(), facts(checkpoints=[checkpoint(digest=None)]))
    assert found.outcome is Outcome.DENY


def test_a_classical_verdict_may_have_no_digest_of_ours() -> None:
    upstream = checkpoint(
        signed_by=[EC], phase=Verdict.CLASSICAL_ONLY, digest=None, model_name=None
    )
    found: Facts = facts(
        policy(signatures=classical_policy("2028-01-01T00:00:00Z")),
        checkpoints=[upstream],
    )
    assert [each.digest for each in answer(pod_spec(), found).vouched] == [""]
