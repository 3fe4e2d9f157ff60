"""Waiting for a control plane to vouch for its webhooks: pods created before that would be refused."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from varka.base.errors import VarkaError

if TYPE_CHECKING:
    from varka.cli.istioctl.session import Session
    from varka.client.api import Object


async def injector(opened: Session, name: str, seconds: float) -> None:
    """Wait until istiod has put its root into a webhook configuration for injection."""
    from varka.client import resources

    selector = f"metadata.name={name}"
    try:
        async with asyncio.timeout(seconds):
            current = await opened.api.list(resources.MUTATING_WEBHOOKS, field_selector=selector)
            if any(_trusted(obj) for obj in current.items):
                return
            async for event in opened.api.watch(resources.MUTATING_WEBHOOKS, resource_version=current.resource_version, field_selector=selector):
                if _trusted(event.object):
                    return
    except TimeoutError as error:
        raise VarkaError(
            f"istiod did not take over the webhook {name} within {seconds:.0f} s", f"see `kubectl logs -n {opened.istio_namespace} -l app=istiod`"
        ) from error


def _trusted(configuration: Object) -> bool:
    webhooks = configuration.get("webhooks") or []
    return bool(webhooks) and all(hook["clientConfig"].get("caBundle") for hook in webhooks)
