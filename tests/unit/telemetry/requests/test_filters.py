from __future__ import annotations

from typing import Any

import pytest

from varka.base.errors import VarkaError
from varka.telemetry.requests.filters import Filter
from varka.telemetry.requests.record import Line, Request, Workload

REFUSED = "rbac_access_denied_matched_policy[ns[shop]-policy[deny-all]-rule[0]]"


def request(**fields: Any) -> Request:
    reviews = Workload(name="reviews-v1", namespace="default", pod="reviews-v1-abc")
    return Request(line=Line(start_time="t", **fields), source=Workload(name="web", namespace="front", pod="web-1"), destination=reviews, reporter=reviews)


@pytest.mark.parametrize(
    ("wanted", "line", "shown"),
    [
        (Filter(), {}, True),
        (Filter(workloads=("reviews-v1",)), {}, True),
        (Filter(workloads=("web.front",)), {}, True),
        (Filter(workloads=("web.default", "web-1")), {}, True),
        (Filter(workloads=("web.default",)), {}, False),
        (Filter(codes=("403",)), {"response_code": 403}, True),
        (Filter(codes=("5xx", "4XX")), {"response_code": 403}, True),
        (Filter(codes=("5xx",)), {"response_code": 403}, False),
        (Filter(codes=("0",)), {"response_code": 0}, True),
        (Filter(flags=("uf",)), {"response_flags": "UF,URX"}, True),
        (Filter(flags=("UH",)), {"response_flags": "UF,URX"}, False),
        (Filter(policies=("deny-all",)), {"response_code_details": REFUSED}, True),
        (Filter(policies=("shop/deny-all",)), {"response_code_details": REFUSED}, True),
        (Filter(policies=("other",)), {"response_code_details": REFUSED}, False),
        (Filter(policies=("none",)), {"response_code_details": "via_upstream"}, False),
        (Filter(slower=10), {"duration": 10}, True),
        (Filter(slower=10), {"duration": 9}, False),
        (Filter(slower=10, codes=("200",)), {"duration": 10, "response_code": 404}, False),
    ],
)
def test_what_is_wanted_is_shown(wanted: Filter, line: dict[str, Any], shown: bool) -> None:
    """All kinds of conditions must hold; of several values of one, any."""
    assert wanted.wants(request(**line)) is shown


@pytest.mark.parametrize("code", ["abc", "99", "xx5", "6xx", "4030"])
def test_a_code_that_is_none_is_refused(code: str) -> None:
    """A filter that can match nothing is a mistake to tell."""
    with pytest.raises(VarkaError, match="is no response code"):
        Filter(codes=(code,))
