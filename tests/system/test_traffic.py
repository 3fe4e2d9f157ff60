"""Traffic management on a real mesh with Bookinfo: what a VirtualService says is what requests meet, as soon as it is applied."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.clusters import PROGRAMS, Cluster, eventually

ROOT = Path(__file__).parents[2]
NETWORKING = ROOT.parent / "shared" / "istio-1.28.2" / "samples" / "bookinfo" / "networking"
HTTPBIN = """
apiVersion: v1
kind: Service
metadata: {name: httpbin}
spec: {selector: {app: httpbin}, ports: [{name: http, port: 8000, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: httpbin}
spec:
  selector: {matchLabels: {app: httpbin}}
  template:
    metadata: {labels: {app: httpbin}}
    spec: {containers: [{name: httpbin, image: mccutchen/go-httpbin, ports: [{containerPort: 8080}]}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}, {name: v3, labels: {version: v3}}]
"""
REVIEWS = "http://reviews:9080/reviews/0"
RATINGS = "http://ratings:9080/ratings/0"


class Bookinfo:
    """Bookinfo and httpbin with sidecars; productpage's container is where requests come from."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def install(self) -> None:
        """Install Istio and the applications."""
        self.cluster.run(str(PROGRAMS / "istioctl"), "install", "-y")
        self.cluster.kubectl("label", "namespace", "default", "istio-injection=enabled")
        self.cluster.kubectl("apply", "-f", str(ROOT / "samples/bookinfo/bookinfo.yaml"))
        self.cluster.apply(HTTPBIN)
        self.cluster.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=90s", timeout=120)

    def routes(self, host: str, http: str) -> None:
        """A VirtualService for one host, in place of the one before."""
        self.cluster.apply(f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {host}}}\nspec:\n  hosts: [{host}]\n  http: {http}\n")

    def sh(self, script: str) -> str:
        """Output of a script beside productpage."""
        return self.cluster.kubectl("exec", "deploy/productpage-v1", "-c", "productpage", "--", "sh", "-c", script, check=False).stdout

    def ask(self, url: str, *, shows: str = "%{http_code}", header: str = "x-none: 1") -> str:
        """What curl's `-w` shows of one request."""
        return self.sh(f"curl -s -m 20 -o /dev/null -w '{shows}' -H '{header}' {url}")

    def versions(self, count: int, header: str = "x-none: 1") -> Counter[str]:
        """Which versions of reviews answer `count` requests."""
        return Counter(
            re.findall(
                r"reviews-(v\d)", self.sh(f"for i in $(seq {count}); do curl -s -m 5 -H '{header}' {REVIEWS} | grep -o 'reviews-v[0-9]' | head -1; done")
            )
        )

    def log(self, app: str, pattern: str) -> list[str]:
        """Lines of the access logs of a workload's proxies."""
        shown = self.cluster.kubectl("logs", "-l", f"app={app}", "-c", "istio-proxy", "--tail=-1", "--prefix").stdout
        return [line for line in shown.splitlines() if re.search(pattern, line)]


@pytest.fixture(scope="module")
def bookinfo() -> Iterator[Bookinfo]:
    """One mesh for this module."""
    cluster = Cluster("traffic")
    try:
        cluster.up()
        made = Bookinfo(cluster)
        made.install()
        yield made
    finally:
        cluster.destroy()


@pytest.fixture(autouse=True)
def clean(bookinfo: Bookinfo) -> Iterator[None]:
    """No route of one test is left for the next."""
    yield
    bookinfo.cluster.kubectl("delete", "virtualservice", "--all")


def test_weights_move_all_requests(bookinfo: Bookinfo) -> None:
    """100/0, then 0/100, then about a half each; without a route every version answers."""
    eventually(lambda: set(bookinfo.versions(30)) == {"v1", "v2", "v3"}, what="all versions")
    shares = "[{{route: [{{destination: {{host: reviews, subset: v1}}, weight: {}}}, {{destination: {{host: reviews, subset: v3}}, weight: {}}}]}}]"
    bookinfo.routes("reviews", shares.format(100, 0))
    eventually(lambda: bookinfo.versions(30) == {"v1": 30}, what="all requests at v1")
    bookinfo.routes("reviews", shares.format(0, 100))
    eventually(lambda: bookinfo.versions(30) == {"v3": 30}, what="all requests at v3")
    bookinfo.routes("reviews", shares.format(50, 50))
    eventually(lambda: len(bookinfo.versions(20)) == 2, what="both versions")
    found = bookinfo.versions(200)
    assert found.total() == 200 and 60 <= found["v1"] <= 140, found


def test_a_header_chooses_the_version(bookinfo: Bookinfo) -> None:
    """Requests of jason go to v2, all others to v1; the page shows it to whoever is logged in."""
    bookinfo.routes(
        "reviews",
        "[{match: [{headers: {end-user: {exact: jason}}}], route: [{destination: {host: reviews, subset: v2}}]}, "
        "{route: [{destination: {host: reviews, subset: v1}}]}]",
    )
    eventually(lambda: bookinfo.versions(10, "end-user: jason") == {"v2": 10} and bookinfo.versions(10) == {"v1": 10}, what="routes by header")
    assert bookinfo.versions(5, "end-user: jasons") == {"v1": 5}
    login = "curl -s -m 5 -o /dev/null -c /tmp/jar -d 'username=jason&passwd=x' http://127.0.0.1:9080/login; curl -s -m 9 -b /tmp/jar http://127.0.0.1:9080/productpage"
    assert "reviews-v2" in bookinfo.sh(login)
    assert "reviews-v1" in bookinfo.sh("curl -s -m 9 http://127.0.0.1:9080/productpage")


def test_an_abort_meets_those_it_is_for(bookinfo: Bookinfo) -> None:
    """500 from the caller's own proxy for jason, 200 for others; the access log says that it was injected."""
    bookinfo.routes(
        "ratings",
        "[{match: [{headers: {end-user: {exact: jason}}}], fault: {abort: {httpStatus: 500, percentage: {value: 100}}}, "
        "route: [{destination: {host: ratings}}]}, {route: [{destination: {host: ratings}}]}]",
    )
    eventually(lambda: bookinfo.ask(RATINGS, header="end-user: jason") == "500", what="the fault")
    assert bookinfo.ask(RATINGS) == "200"
    assert bookinfo.sh(f"curl -s -m 5 -H 'end-user: jason' {RATINGS}") == "fault filter abort"
    eventually(lambda: bookinfo.log("productpage", r'"GET /ratings/0 HTTP/1.1" 500 FI fault_filter_abort'), what="the flag FI")


def test_a_delay_is_as_long_as_it_says(bookinfo: Bookinfo) -> None:
    """Two seconds more at least, and the answer is still the service's."""
    bookinfo.routes("ratings", "[{fault: {delay: {fixedDelay: 2s, percentage: {value: 100}}}, route: [{destination: {host: ratings}}]}]")
    eventually(lambda: float(bookinfo.ask(RATINGS, shows="%{time_total}")) >= 2, what="the delay")
    assert bookinfo.ask(RATINGS) == "200"


def test_a_timeout_ends_a_slow_request(bookinfo: Bookinfo) -> None:
    """504 after half a second, while a fast path answers."""
    bookinfo.routes("httpbin", "[{timeout: 0.5s, route: [{destination: {host: httpbin}}]}]")
    eventually(lambda: bookinfo.ask("http://httpbin:8000/delay/5") == "504", what="the timeout")
    assert float(bookinfo.ask("http://httpbin:8000/delay/5", shows="%{time_total}")) < 5
    assert bookinfo.ask("http://httpbin:8000/get") == "200"


def test_retries_are_as_many_as_asked(bookinfo: Bookinfo) -> None:
    """Three more attempts after a first 503, none for what retryOn does not name, none at all with attempts 0."""

    def attempts(path: str) -> int:
        bookinfo.ask(f"http://httpbin:8000{path}")
        bookinfo.ask("http://httpbin:8000/get?end=" + path.partition("?")[2])
        eventually(lambda: bookinfo.log("httpbin", re.escape("end=" + path.partition("?")[2])), what="the last line of the log")
        return len(bookinfo.log("httpbin", re.escape(f'"GET {path} ')))

    bookinfo.routes("httpbin", "[{retries: {attempts: 3, perTryTimeout: 2s, retryOn: 5xx}, route: [{destination: {host: httpbin}}]}]")
    numbers = iter(range(100))
    eventually(lambda: attempts(f"/status/500?try={next(numbers)}") == 4, what="three retries")
    assert attempts("/status/503?once=1") == 4
    assert attempts("/status/404?once=2") == 1
    bookinfo.routes("httpbin", "[{retries: {attempts: 0}, route: [{destination: {host: httpbin}}]}]")
    eventually(lambda: attempts(f"/status/503?none={next(numbers)}") == 1, what="no retries")


def test_a_mirror_gets_copies(bookinfo: Bookinfo) -> None:
    """v1 answers, v3 sees the same requests under a host that ends with -shadow, and nobody waits for it."""
    bookinfo.routes("reviews", "[{route: [{destination: {host: reviews, subset: v1}}], mirror: {host: reviews, subset: v3}, mirrorPercentage: {value: 100}}]")
    eventually(lambda: bookinfo.versions(10) == {"v1": 10}, what="the route")
    bookinfo.sh(f"curl -s -m 5 -H 'x-request-id: mirrored-1' {REVIEWS}")
    lines = eventually(lambda: bookinfo.log("reviews", r'reviews-v3.*"GET /reviews/0.*mirrored-1'), what="the copy")
    assert "reviews-shadow:9080" in lines[0] or "reviews:9080-shadow" in lines[0]
    assert len(bookinfo.log("reviews", r'reviews-v1.*"GET /reviews/0.*mirrored-1')) == 1


def test_redirect_and_rewrite(bookinfo: Bookinfo) -> None:
    """301 to another path and host from the caller's proxy; a prefix replaced on the way to the service; both by their own match."""
    bookinfo.routes(
        "httpbin",
        "[{match: [{uri: {exact: /old}}], redirect: {uri: /new, authority: elsewhere.example.com, redirectCode: 308}}, "
        "{match: [{uri: {prefix: /api/}}], rewrite: {uri: /anything/}, route: [{destination: {host: httpbin}, "
        "headers: {request: {set: {x-added: by-route}}, response: {add: {x-seen: 'yes'}}}}]}, "
        "{route: [{destination: {host: httpbin}}]}]",
    )
    shows = "%{http_code} %{redirect_url}"
    eventually(lambda: bookinfo.ask("http://httpbin:8000/old", shows=shows).startswith("308 http://elsewhere.example.com"), what="the redirect")
    assert bookinfo.ask("http://httpbin:8000/old", shows=shows).endswith("/new")
    answer = bookinfo.sh("curl -s -i -m 5 http://httpbin:8000/api/books?x=1")
    assert re.search(r'"url": "http://httpbin:8000/anything/books\?x=1"', answer), answer
    assert re.search(r'"X-Added": \[\s*"by-route"', answer) and "x-seen: yes" in answer.lower()
    assert bookinfo.ask("http://httpbin:8000/get") == "200"


@pytest.mark.skipif(not NETWORKING.is_dir(), reason="the folder ../shared with upstream's samples is absent")
@pytest.mark.parametrize(
    ("file", "header", "wanted"),
    [
        ("virtual-service-all-v1.yaml", "x-none: 1", {"v1"}),
        ("virtual-service-reviews-test-v2.yaml", "end-user: jason", {"v2"}),
        ("virtual-service-reviews-v3.yaml", "x-none: 1", {"v3"}),
        ("virtual-service-reviews-50-v3.yaml", "x-none: 1", {"v1", "v3"}),
        ("virtual-service-reviews-jason-v2-v3.yaml", "end-user: jason", {"v2"}),
    ],
)
def test_upstream_s_routes_apply_unchanged(bookinfo: Bookinfo, file: str, header: str, wanted: set[str]) -> None:
    """With upstream's own DestinationRules."""
    bookinfo.cluster.kubectl("apply", "-f", str(NETWORKING / "destination-rule-all.yaml"))
    bookinfo.cluster.kubectl("apply", "-f", str(NETWORKING / file))
    eventually(lambda: set(bookinfo.versions(20, header)) == wanted, what=f"the routes of {file}")
