from pathlib import Path

import pytest

from weightlock_operator.settings import VARIABLES, Settings, SettingsInvalid, help_text

IMAGE = "registry.example/weightlock/verifier@sha256:" + "a" * 64
MINIMAL = {"WEIGHTLOCK_VERIFIER_IMAGE": IMAGE}


def test_one_image_is_all_that_must_be_said() -> None:
    settings = Settings.from_environ(MINIMAL)
    assert settings.verifier_cpu_image == IMAGE
    assert settings.namespace == "weightlock-system"
    assert settings.exempt_namespaces == {"kube-system", "weightlock-system"}
    assert (settings.http_host, settings.http_port) == ("0.0.0.0", 8080)  # noqa: S104
    assert settings.identity


def test_everything_can_be_said() -> None:
    settings = Settings.from_environ(
        MINIMAL
        | {
            "WEIGHTLOCK_VERIFIER_CPU_IMAGE": IMAGE.replace("a" * 64, "b" * 64),
            "WEIGHTLOCK_VERIFIER_IMAGE_IDS": f"sha256:{'c' * 64}, x@sha256:{'d' * 64}",
            "WEIGHTLOCK_IMAGE_PULL_SECRETS": "one, two",
            "WEIGHTLOCK_IMAGE_PULL_POLICY": "Never",
            "WEIGHTLOCK_EXEMPT_NAMESPACES": "kube-system,monitoring",
            "WEIGHTLOCK_HTTP_ADDRESS": "127.0.0.1:0",
            "WEIGHTLOCK_LOG_FORMAT": "json",
            "WEIGHTLOCK_WORKERS": "4",
        }
    )
    assert settings.verifier_image_ids == (f"sha256:{'c' * 64}", f"x@sha256:{'d' * 64}")
    assert settings.image_pull_secrets == ("one", "two")
    assert settings.exempt_namespaces == {"kube-system", "monitoring"}
    assert (settings.http_host, settings.http_port, settings.workers) == ("127.0.0.1", 0, 4)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("WEIGHTLOCK_VERIFIER_IMAGE", "verifier:latest", id="a tag"),
        pytest.param("WEIGHTLOCK_VERIFIER_CPU_IMAGE", "verifier", id="no digest"),
        pytest.param("WEIGHTLOCK_VERIFIER_IMAGE_IDS", "verifier:1", id="an image id by tag"),
        pytest.param("WEIGHTLOCK_IMAGE_PULL_POLICY", "never", id="a policy in other case"),
        pytest.param("WEIGHTLOCK_ALLOW_TAGS", "yes", id="no boolean"),
        pytest.param("WEIGHTLOCK_HTTP_ADDRESS", "8080", id="no address"),
        pytest.param("WEIGHTLOCK_HTTP_ADDRESS", ":http", id="no port"),
        pytest.param("WEIGHTLOCK_LOG_FORMAT", "xml", id="no format"),
        pytest.param("WEIGHTLOCK_WORKERS", "0", id="no workers"),
        pytest.param("WEIGHTLOCK_WORKERS", "١٦", id="digits of another script"),
        pytest.param("WEIGHTLOCK_VERIFER_IMAGE", IMAGE, id="a misspelt name"),
    ],
)
def test_what_says_nothing_usable_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=name):
        Settings.from_environ({**MINIMAL, name: value})


def test_without_an_image_nothing_starts() -> None:
    with pytest.raises(SettingsInvalid, match="WEIGHTLOCK_VERIFIER_IMAGE: missing"):
        Settings.from_environ({})


def test_a_test_cluster_may_use_tags() -> None:
    environ = {"WEIGHTLOCK_VERIFIER_IMAGE": "verifier:dev", "WEIGHTLOCK_ALLOW_TAGS": "true"}
    assert Settings.from_environ(environ).verifier_image == "verifier:dev"


def test_other_programs_variables_are_not_ours() -> None:
    assert Settings.from_environ({**MINIMAL, "PATH": "/bin"}) == Settings.from_environ(MINIMAL)


def test_help_names_every_variable() -> None:
    text = help_text("weightlock_operator")
    assert all(variable.name in text and variable.meaning in text for variable in VARIABLES)


def test_the_documentation_names_every_variable() -> None:
    text = Path("docs/operator.md").read_text()
    assert not [variable.name for variable in VARIABLES if f"`{variable.name}`" not in text]
