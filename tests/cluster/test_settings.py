"""Where things are kept."""

from __future__ import annotations

from pathlib import Path

from e2e.cluster.settings import Settings


def test_the_base_directories_of_the_user_are_followed() -> None:
    settings = Settings.from_environ({"HOME": "/h", "XDG_CACHE_HOME": "/c", "XDG_STATE_HOME": "/s"})
    assert settings.cache == Path("/c/weightlock")
    assert settings.state == Path("/s/weightlock/clusters")


def test_an_empty_variable_counts_as_not_set() -> None:
    settings = Settings.from_environ({"HOME": "/h", "XDG_CACHE_HOME": "", "KUBEBUILDER_ASSETS": ""})
    assert settings.cache == Path("/h/.cache/weightlock")
    assert settings.assets is None


def test_the_node_image_of_kind_may_be_named() -> None:
    assert Settings.from_environ({"HOME": "/h", "WEIGHTLOCK_KIND_IMAGE": "a"}).kind_image == "a"
    assert Settings.from_environ({"HOME": "/h"}).kind_image is None


def test_all_of_the_users_own_kubeconfigs_are_known() -> None:
    settings = Settings.from_environ({"HOME": "/h", "KUBECONFIG": "/a:/b"})
    assert settings.user_kubeconfigs == (Path("/h/.kube/config"), Path("/a"), Path("/b"))
