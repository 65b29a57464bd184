"""The server's own document: complete, and true of a few hundred answers to whatever schemathesis thinks of."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from seedance_lab.endpoints import ENDPOINTS, LITE_TEXT
from seedance_lab.local import Service, StubRenderer, create_app
from seedance_lab.local.fetch import Fetcher, FetchError

from .support import KEY

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


class _Offline(Fetcher):
    async def fetch(self, url: str, to: Path, *, limit: int) -> None:
        raise FetchError("no network in tests")


def _requests(base: str) -> list[str]:
    """A clip, a refusal, and some that are still on their way."""
    with httpx.Client(base_url=base, headers=KEY, trust_env=False) as client:
        bodies = [{"prompt": "p", "duration": 2}, {}, *([{"prompt": "p", "duration": 12}] * 4)]
        answers = [client.post(f"/queue/{LITE_TEXT.id}", json=body) for body in bodies]
        return [answer.json()["request_id"] for answer in answers]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of an engine on a loop in a thread."""
    ready, urls = threading.Event(), []
    servers: list[uvicorn.Server] = []

    async def main() -> None:
        service = Service(
            tmp_path_factory.mktemp("engine"), renderer=StubRenderer(), fetcher=_Offline(), slots=8
        )
        await service.start()
        app = create_app(service, admin=True)
        server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None))
        servers.append(server)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        urls.append(f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}")
        ready.set()
        await serving
        await service.aclose()

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(20)
    yield urls[0]
    servers[0].should_exit = True
    thread.join(20)


def test_no_answer_is_outside_its_schema_and_none_is_a_server_error(served: str) -> None:
    """Every operation of the document, with valid input and with what only looks like it."""
    schema = schemathesis.openapi.from_url(f"{served}/openapi.json")
    failures: list[str] = []
    # Made up ids are all unknown; half of them are exchanged for real ones.
    ids = itertools.cycle(_requests(served))
    coins = itertools.cycle([True, False])
    seen: dict[str, set[int]] = {}
    operations = [found.ok() for found in schema.get_all_operations()]
    # Last: what they put in force would be done to the others. Some faults are the rules' own, so that they succeed.
    for operation in sorted(operations, key=lambda operation: operation.path.startswith("/admin/")):

        @settings(
            max_examples=20,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy())
        def check(case) -> None:
            if "request_id" in case.path_parameters and len(str(case.path_parameters["request_id"])) % 2:
                case.path_parameters["request_id"] = next(ids)
            if case.operation.label == "POST /admin/faults" and isinstance(case.body, dict) and next(coins):
                case.body["rules"] = ["history:late=0.5/3", "any:502%20"]
            response = case.call(headers=KEY)
            seen.setdefault(case.operation.label, set()).add(response.status_code)
            try:
                case.validate_response(response, checks=CHECKS)
            except Exception as error:  # noqa: BLE001  # all of them are wanted at once
                failures.append(f"{case.operation.label}: {error}")

        check()
    assert failures == []
    # That most operations were answered with a success shows that the cases reached behind the refusals.
    assert sum(200 in statuses for statuses in seen.values()) > len(seen) * 2 / 3, seen
    admin = {label: statuses for label, statuses in seen.items() if "/admin/" in label}
    assert len(admin) == 5
    assert all(200 in statuses for statuses in admin.values()), admin


def test_admin_routes_are_in_the_document_only_where_they_exist(tmp_path: Path) -> None:
    """With their bodies, and what they need."""
    without = create_app(Service(tmp_path)).openapi()
    assert not any("/admin/" in path for path in without["paths"])
    assert "admin" not in {tag["name"] for tag in without["tags"]}
    document = create_app(Service(tmp_path), admin=True).openapi()
    added = {path: set(said) for path, said in document["paths"].items() if path not in without["paths"]}
    assert added == {"/admin/faults": {"get", "post", "delete"}, "/admin/clock": {"get", "post"}}
    for path, methods in added.items():
        for method in methods:
            operation = document["paths"][path][method]
            assert operation["security"] == [{"apiKeyAuth": []}]
            assert ("requestBody" in operation) == (method == "post")
            assert "$ref" in str(operation["responses"]["200"])


def test_the_document_has_every_operation(tmp_path: Path) -> None:
    """A route without a word in the document does not exist for who generates a client."""
    document = create_app(Service(tmp_path), admin=True).openapi()
    paths = document["paths"]
    for endpoint in ENDPOINTS:
        for host in ("queue", "run"):
            body = paths[f"/{host}/{endpoint.id}"]["post"]["requestBody"]["content"]["application/json"]
            assert body["schema"]["$ref"].rsplit("/", 1)[-1] in document["components"]["schemas"]
    for path, operations in paths.items():
        for method, operation in operations.items():
            assert operation["summary"], path
            assert any(status.startswith("2") for status in operation["responses"]), (method, path)
            if "{" in path or method != "get":
                assert any(status.startswith("4") for status in operation["responses"]), (method, path)
