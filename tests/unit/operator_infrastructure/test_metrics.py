import asyncio

from prometheus_client.parser import text_string_to_metric_families
from tests.support.memory_cluster import Hands

from weightlock.reasons import Verdict
from weightlock_operator.api import cluster_errors
from weightlock_operator.api.cluster_errors import ClusterTrouble
from weightlock_operator.metrics import ANSWERS, DEVICES, RESULTS, Metrics, Snapshot, device_kind


def samples(metrics: Metrics) -> dict[tuple[str, tuple[str, ...]], float]:
    text = asyncio.run(metrics.exposition()).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_it_says_what_runs() -> None:
    assert samples(Metrics("1.2.3"))["weightlock_build_info", ("1.2.3", "operator")] == 1


def test_objects_are_counted_when_asked() -> None:
    metrics = Metrics("1")
    metrics.snapshot = lambda: Snapshot(
        checkpoints={("Verified", "post-quantum"): 2},
        jobs={"running": 1},
        sunsets={"post-quantum": 1798761600.0},
    )
    metrics.queue_length = lambda: 3
    metrics.watch_ages = lambda: {"jobs": 1.5}
    found = samples(metrics)
    assert found["weightlock_checkpoints", ("Verified", "post-quantum")] == 2
    assert found["weightlock_jobs", ("running",)] == 1
    assert found["weightlock_queue_length", ()] == 3
    assert found["weightlock_watch_age_seconds", ("jobs",)] == 1.5
    sunset = "weightlock_classical_sunset_timestamp_seconds"
    assert found[sunset, ("post-quantum",)] == 1798761600


def test_however_often_somebody_asks_counting_takes_a_twentieth_of_the_time() -> None:
    hands = Hands()
    metrics = Metrics("1", hands)
    counts: list[float] = []

    def count() -> Snapshot:
        hands.seconds += 3
        counts.append(hands.seconds)
        return Snapshot(jobs={"running": len(counts)})

    metrics.snapshot = count
    for _ in range(100):
        found = samples(metrics)
        assert found["weightlock_jobs", ("running",)] == len(counts), "what was counted last"
        hands.seconds += 1
    assert len(counts) == 2


def test_a_verification_is_counted_with_its_speed() -> None:
    metrics = Metrics("1")
    metrics.verification_ended("Verified", "NVIDIA H100 80GB HBM3", 2 * 10**9, 0.5)
    found = samples(metrics)
    assert found["weightlock_verifications_total", ("Verified", "cuda")] == 1
    assert found["weightlock_verified_bytes_total", ("cuda",)] == 2 * 10**9
    assert found["weightlock_verification_bytes_per_second_sum", ("cuda",)] == 4 * 10**9


def test_the_number_of_series_does_not_grow_with_what_reports_say() -> None:
    metrics = Metrics("1")
    metrics.verification_ended("Failed", "cpu", 1, 1)
    before = len(samples(metrics))
    for number in range(1000):
        metrics.verification_ended("Failed", f"cpu model {number}", number, -1)
    assert len(samples(metrics)) == before


def test_devices_are_one_of_four_words() -> None:
    words = {device_kind(text) for text in ("cpu", "NVIDIA H200", "AMD MI300", "TPU", "")}
    assert words == {"cpu", "cuda", "rocm", "other"} == set(DEVICES)


def test_counters_begin_at_zero_so_that_the_first_increment_is_seen() -> None:
    found = samples(Metrics("1"))
    for result in RESULTS:
        for device in DEVICES:
            key = tuple(sorted((result, device)))
            assert found["weightlock_verifications_total", key] == 0
    assert found["weightlock_verified_bytes_total", ("cuda",)] == 0
    assert found["weightlock_verification_bytes_per_second_count", ("rocm",)] == 0
    assert found["weightlock_reconcile_duration_seconds_count", ("trouble",)] == 0
    assert found["weightlock_api_requests_total", ("GET", "Throttled")] == 0


def test_nothing_that_happens_makes_a_new_series() -> None:
    metrics = Metrics("1")
    before = samples(metrics).keys()
    for result in (Verdict.VERIFIED, Verdict.CLASSICAL_ONLY, Verdict.FAILED, Verdict.ERROR):
        metrics.verification_ended(result.value, "TPU", 1, 1)
    for word in ("ok", "conflict", "trouble", "malformed", "error", "not_leader"):
        with metrics.reconciling() as result_of_look:
            result_of_look.word = word
    for kind in kinds_of_trouble():
        metrics.count_request("PATCH", kind)
    metrics.count_request("GET", "Ok")
    assert samples(metrics).keys() == before


def kinds_of_trouble() -> set[str]:
    """Every answer that there is a word for; without a Lease nothing is sent."""
    found = {
        name
        for name, kind in vars(cluster_errors).items()
        if isinstance(kind, type) and issubclass(kind, ClusterTrouble)
    }
    return found - {"ClusterTrouble", "NotLeader"}


def test_every_answer_of_the_api_server_has_its_word() -> None:
    assert set(ANSWERS) == kinds_of_trouble() | {"Ok"}
