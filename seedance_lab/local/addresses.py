"""Ids of endpoints, their apps, and the URLs of a request.

The service's URLs of a request hold owner and app only; its OpenAPI lists the full id. Both are taken; what
counts is the request's id.
"""

from __future__ import annotations

from typing import Any

from seedance_lab.endpoints import ENDPOINTS


def owner_and_app(endpoint_id: str) -> str:
    """The first two parts of an endpoint's id."""
    return "/".join(endpoint_id.split("/")[:2])


APPS = tuple(dict.fromkeys(owner_and_app(endpoint.id) for endpoint in ENDPOINTS))


def is_same_app(app: str, endpoint_id: str) -> bool:
    """Whether a path names this endpoint, in full or by owner and app."""
    return app in {endpoint_id, owner_and_app(endpoint_id)}


def urls(base: str, endpoint_id: str, request_id: str) -> dict[str, Any]:
    """A request's id and its three URLs."""
    url = f"{base}/queue/{owner_and_app(endpoint_id)}/requests/{request_id}"
    return {
        "request_id": request_id,
        "response_url": url,
        "status_url": f"{url}/status",
        "cancel_url": f"{url}/cancel",
    }
