"""Whatever the schema lets somebody write into a status, the operator overcomes it (A10, D07).

The webhook's guard refuses such writes; here it is not asked.
"""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support import crds
from tests.unit.operator_runtime.stage import NAMESPACE, Stage, verified

from weightlock_operator import census

Json = dict[str, Any]
SCHEMA = crds.schema("modelcheckpoints", "status")
INSTANTS = (
    "0001-01-01T00:00:00Z",
    "2026-11-21T11:00:00Z",
    "2026-11-21T12:00:00.123456789+23:59",
    "2026-02-28T23:59:60Z",
    "9999-12-31T23:59:59Z",
)
TEXTS = ("", "a", "Verified", "/a/../b", "\u202e\x00", "\U0001f600", "x" * 253)


Values = st.SearchStrategy[Any]


def values(schema: Json) -> Values:
    """What the server may take, most of the time."""
    words = schema.get("enum")
    found = st.sampled_from(words) if words else _BY_TYPE[schema["type"]](schema)
    return st.none() | found if schema.get("nullable") else found


def _objects(schema: Json) -> Values:
    needed = schema.get("required", ())
    fields = {key: values(each) for key, each in schema.get("properties", {}).items()}
    optional = {key: each for key, each in fields.items() if key not in needed}
    return st.fixed_dictionaries({key: fields[key] for key in needed}, optional=optional)


def _integers(schema: Json) -> Values:
    return st.sampled_from([schema.get("minimum", -1), schema.get("maximum", 2**63 - 1), 0, 1])


def _texts(schema: Json) -> Values:
    if schema.get("format") == "date-time":
        return st.sampled_from(INSTANTS)
    return st.just("a" * 64) if "{64}" in schema.get("pattern", "") else st.sampled_from(TEXTS)


_BY_TYPE: dict[str, Callable[[Json], Values]] = {
    "object": _objects,
    "array": lambda schema: st.lists(values(schema["items"]), max_size=3),
    "integer": _integers,
    "number": lambda _: st.sampled_from([0, 1.5, 1e300, -1]),
    "boolean": lambda _: st.booleans(),
    "string": _texts,
}


@pytest.fixture(scope="module")
def settled() -> tuple[Stage, str]:
    stage = Stage()
    return stage, verified(stage)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(forged=values(SCHEMA), kept=st.sets(st.sampled_from(sorted(SCHEMA["properties"]))))
def test_no_status_stops_the_operator_or_passes_for_a_verdict(
    settled: tuple[Stage, str], forged: Json, kept: set[str]
) -> None:
    stage, uid = settled
    stage.pass_time(60)
    body = stage.cluster.objects["modelcheckpoints", NAMESPACE, "llama"]
    ours = copy.deepcopy(body["status"])
    forged |= {key: ours[key] for key in kept & ours.keys()}
    if crds.errors(forged, SCHEMA):
        return
    body["status"] = forged
    stage.cluster.version += 1
    body["metadata"]["resourceVersion"] = str(stage.cluster.version)
    stage.hear()
    census.snapshot(stage.store)
    census.outcomes(stage.store, NAMESPACE, stage.now)
    stage.look(uid)
    status = stage.status()
    assert crds.errors(status, SCHEMA) == []
    if status["phase"] == "Verified":
        assert status["seal"] == ours.get("seal")
    # It finds its way back to the truth.
    for _ in range(3):
        stage.pass_time(3600)
        stage.look(uid)
        stage.run_jobs()
        stage.look(uid)
    assert stage.word() == ("Verified", "Verified")


@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
@pytest.mark.parametrize("field", ["lastVerified", "expires", "nextAttempt"])
def test_no_instant_is_beyond_arithmetic(field: str, instant: str) -> None:
    """A verdict of the year 9999 was one that nobody could ever take back."""
    stage = Stage()
    uid = verified(stage)
    body = stage.cluster.objects["modelcheckpoints", NAMESPACE, "llama"]
    body["status"] = {**body["status"], field: instant, "seal": "forged"}
    stage.cluster.version += 1
    body["metadata"]["resourceVersion"] = str(stage.cluster.version)
    stage.look(uid)
    assert stage.status()["phase"] != "Verified"
