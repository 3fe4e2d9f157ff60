from __future__ import annotations

import pytest

from varka.model.policies import condition_keys
from varka.model.policies.condition_keys import Key


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        ("source.ip", Key.SOURCE_IP),
        ("request.headers[X-User]", Key.HEADER),
        ("request.auth.claims[a][b]", Key.CLAIM),
        ("experimental.envoy.filters.network.mysql_proxy[db.table]", Key.ENVOY_FILTER),
        ("request.headers", None),
        ("request.headers[]", None),
        ("request.headers[a][b]", None),
        ("request.headers[a", None),
        ("request.auth.claims[a][]", None),
        ("experimental.envoy.filters.[a]", None),
        ("source.ips", None),
        ("", None),
    ],
)
def test_kinds(key: str, kind: Key | None) -> None:
    """Keys are known by their whole text, or by what stands before well-formed brackets."""
    assert condition_keys.of(key) is kind


def test_what_stands_in_brackets() -> None:
    """Header, claim and metadata are named in brackets; audiences and presenter are claims of their own."""
    assert condition_keys.header("request.headers[X-User]") == "X-User"
    assert [condition_keys.claim(key) for key in ("request.auth.claims[a][b]", "request.auth.audiences", "request.auth.presenter")] == [
        ("a", "b"),
        ("aud",),
        ("azp",),
    ]
    assert condition_keys.envoy_filter("experimental.envoy.filters.network.mysql_proxy[db.table]") == ("envoy.filters.network.mysql_proxy", "db.table")
