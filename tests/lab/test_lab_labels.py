"""Labels and label selectors."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.state.labels import Selector, key_problem, labels_problem, value_problem
from tests.lab.cloud_api import CloudApi

LABELS = {"env": "production", "role-app": "true", "empty": "", "example.com/team": "web"}


@pytest.mark.parametrize(
    "selector",
    [
        "env",
        "!nothing",
        "env=production",
        "env==production",
        "env = production",
        "env!=staging",
        "nothing!=staging",
        "env in (production,staging)",
        "env in ( production , staging )",
        "env notin (staging)",
        "nothing notin (staging)",
        "empty",
        "empty=",
        "example.com/team=web",
        "env=production,role-app",
        "env in (production,staging),role-app=true,!nothing",
    ],
)
def test_selectors_that_match(selector: str) -> None:
    assert Selector.parse(selector).matches(LABELS)


@pytest.mark.parametrize(
    "selector",
    [
        "nothing",
        "!env",
        "env=staging",
        "env!=production",
        "nothing=",
        "env in (staging)",
        "nothing in (staging)",
        "env notin (production)",
        "env=production,nothing",
    ],
)
def test_selectors_that_do_not_match(selector: str) -> None:
    assert not Selector.parse(selector).matches(LABELS)


@pytest.mark.parametrize(
    "selector",
    ["", ",", "env,", "env=a=b", "env in production", "env in (a", "env >= 3", "a b", "!", "env=-a", "_env", "!env=a"],
)
def test_selectors_that_are_none(selector: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Selector.parse(selector)


@pytest.mark.parametrize("key", ["a", "A-b_c.d", "a" * 63, "example.com/a", "e/a", f"{'a' * 63}.b/c"])
def test_keys_that_are_allowed(key: str) -> None:
    assert key_problem(key) is None


@pytest.mark.parametrize(
    "key",
    ["", "-a", "a-", "a" * 64, "a b", "/a", "a/", "a/b/c", "Ex.com/a", f"{'a.' * 127}a/b", "hetzner.cloud/a", "ä"],
)
def test_keys_that_are_refused(key: str) -> None:
    assert key_problem(key)


@pytest.mark.parametrize("value", ["", "a", "1.2-3_x", "a" * 63])
def test_values_that_are_allowed(value: str) -> None:
    assert value_problem(value) is None


@pytest.mark.parametrize("value", ["-", "a-", ".a", "a" * 64, "a b", "a/b", "a\n"])
def test_values_that_are_refused(value: str) -> None:
    assert value_problem(value)


ALPHANUMERIC = string.ascii_letters + string.digits
names = st.text(ALPHANUMERIC + "-_.", min_size=1, max_size=63).filter(
    lambda text: text[0] in ALPHANUMERIC and text[-1] in ALPHANUMERIC
)
label_sets = st.dictionaries(names, names | st.just(""), min_size=1, max_size=5)


@given(label_sets)
def test_a_selector_made_of_a_servers_labels_matches_it(labels: dict[str, str]) -> None:
    assert labels_problem(labels) is None
    assert Selector.parse(",".join(f"{key}={value}" for key, value in labels.items())).matches(labels)
    assert Selector.parse(",".join(labels)).matches(labels)


@given(label_sets, names, names)
def test_a_term_and_its_negation_never_agree(labels: dict[str, str], key: str, value: str) -> None:
    for term, negation in [
        (key, f"!{key}"),
        (f"{key}={value}", f"{key}!={value}"),
        (f"{key} in ({value},x)", f"{key} notin ({value},x)"),
    ]:
        assert Selector.parse(term).matches(labels) != Selector.parse(negation).matches(labels)


def test_the_cloud_refuses_labels_that_are_not_allowed(cloud_api: CloudApi) -> None:
    for labels in ({"hetzner.cloud/a": "b"}, {"a": "-"}):
        _, error = cloud_api.refused("POST", "/placement_groups", name="g", type="spread", labels=labels)
        assert error["details"]["fields"][0]["name"] == "labels"


def test_labels_replace_those_before(cloud_api: CloudApi) -> None:
    group = cloud_api.client.placement_groups.create(name="g", type="spread", labels={"a": "1"}).placement_group
    assert group.update(labels={"b": "2"}).labels == {"b": "2"}
    assert group.update(name="h").labels == {"b": "2"}
    assert group.update(labels={}).labels == {}
