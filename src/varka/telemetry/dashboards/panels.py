"""The parts of a dashboard. Queries are PromQL, where `$name` stands for a variable of the dashboard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["timeseries", "stat", "table", "heatmap"]
RANGE = "[$__rate_interval]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One question; `legend` names its series, with `{{label}}` for a label's value."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture; `unit` is Grafana's name of it, `width` is of 24 columns."""

    title: str
    queries: tuple[Query, ...]
    unit: str = "short"
    kind: Kind = "timeseries"
    description: str = ""
    width: int = 12
    height: int = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A choice at the top: the values that a query of labels gives, or fixed ones."""

    name: str
    label: str
    query: str = ""
    options: tuple[str, ...] = ()
    several: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """A page."""

    uid: str
    title: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = ()


def rate(metric: str, matchers: str, by: str = "") -> str:
    """The sum of a counter's rates, by labels."""
    grouping = f" by ({by}) " if by else ""
    return f"sum{grouping}(rate({metric}{{{matchers}}}{RANGE}))"


def quantile(share: float, metric: str, matchers: str, by: str = "") -> str:
    """A quantile of a histogram, by labels."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{{{matchers}}}{RANGE})))"


def share_of_success(matchers: str, by: str = "") -> str:
    """The part of requests that were no 5xx, by labels."""
    good = f'response_code!~"5.*", {matchers}' if matchers else 'response_code!~"5.*"'
    return f"{rate('istio_requests_total', good, by)} / {rate('istio_requests_total', matchers, by)}"


def spread(metric: str, matchers: str, *, by: str = "", legend: str = "") -> tuple[Query, ...]:
    """The median, the 90th, 95th and 99th percentile of a histogram."""
    return tuple(Query(expr=quantile(share, metric, matchers, by), legend=f"{legend} p{round(share * 100)}".strip()) for share in (0.5, 0.9, 0.95, 0.99))
