from __future__ import annotations

from typing import Any

import aiohttp

from varka.control.debug_server import DebugServer


class Subject:
    """Nothing much to see."""

    def __init__(self) -> None:
        self.is_ready = False

    def ready(self) -> bool:
        return self.is_ready

    def sync_status(self) -> list[dict[str, Any]]:
        return [{"proxy": "a.default"}]

    def config_dump(self, proxy: str) -> dict[str, Any] | None:
        return {"proxy": proxy} if proxy == "a.default" else None

    def endpoints(self, proxy: str) -> list[dict[str, Any]]:
        return []

    def configuration(self) -> list[dict[str, Any]]:
        return []


async def test_pages() -> None:
    """Readiness follows the subject, metrics have Istio's names, debugging is answered on loopback."""
    subject = Subject()
    server = DebugServer(subject, {"version": "1.28.2", "revision": "default"})
    port = await server.start("127.0.0.1", 0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:

        async def get(path: str) -> tuple[int, str]:
            async with session.get(path) as answer:
                return answer.status, await answer.text()

        assert (await get("/ready"))[0] == 503
        subject.is_ready = True
        assert (await get("/ready"))[0] == 200
        metrics = (await get("/metrics"))[1]
        assert "# TYPE pilot_total_xds_internal_errors counter" in metrics and "pilot_total_xds_internal_errors_total" not in metrics
        assert '"version": "1.28.2"' in (await get("/version"))[1]
        assert '"proxy": "a.default"' in (await get("/debug/syncz"))[1]
        assert [(await get(f"/debug/config_dump{query}"))[0] for query in ("", "?proxyID=b.default", "?proxyID=a.default")] == [400, 404, 200]
    await server.stop()


async def test_debug_pages_are_not_for_other_pods() -> None:
    """Only loopback counts as a port-forward."""
    server = DebugServer(Subject(), {"version": "1", "revision": "r"})
    port = await server.start("0.0.0.0", 0)
    async with aiohttp.ClientSession() as session:
        from_elsewhere = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
        async with aiohttp.ClientSession(connector=from_elsewhere) as other:
            async with other.get(f"http://127.0.0.1:{port}/debug/syncz") as answer:
                assert answer.status == 403
            async with other.get(f"http://127.0.0.1:{port}/metrics") as answer:
                assert answer.status == 200
        async with session.get(f"http://127.0.0.1:{port}/debug/syncz") as answer:
            assert answer.status == 200
    await server.stop()
