"""The queue: order, places, cancelling, charging, and going on after a restart."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from pathlib import Path

import PIL.Image
import pytest

from seedance_lab.endpoints import ENDPOINTS, LITE, LITE_TEXT, Size
from seedance_lab.errors import EngineError
from seedance_lab.local import Service, StubRenderer
from seedance_lab.local.renderer import IDENTITY, Rendered, RenderError
from seedance_lab.local.store import Store

from .support import HeldRenderer, engine, picture

TEXT = {"prompt": "boats"}


def test_requests_run_in_order_of_arrival_a_few_at_a_time(tmp_path: Path) -> None:
    """As at the service: two slots, the rest queued with their place, counted from 0."""

    async def main() -> None:
        held = HeldRenderer()
        async with engine(tmp_path, renderer=held, slots=2) as lab:
            ids = [lab.service.submit(LITE_TEXT, TEXT)[0] for _ in range(5)]
            await held.arrived(2)
            views = [lab.service.view(request_id) for request_id in ids]
            assert [v.state for v in views if v] == ["IN_PROGRESS"] * 2 + ["IN_QUEUE"] * 3
            assert [v.position for v in views if v] == [None, None, 0, 1, 2]
            held.release(ids[1])
            await held.arrived(3)
            assert [job.id for job in held.jobs] == ids[:3]

    asyncio.run(main())


def test_a_queued_request_that_is_cancelled_never_runs_and_costs_nothing(tmp_path: Path) -> None:
    """What lies behind it moves up."""

    async def main() -> None:
        held = HeldRenderer()
        async with engine(tmp_path, renderer=held, slots=1) as lab:
            running, queued, last = (lab.service.submit(LITE_TEXT, TEXT)[0] for _ in range(3))
            await held.arrived(1)
            assert lab.service.cancel(queued) == "OK"
            assert lab.service.cancel(queued) == "ALREADY_COMPLETED"
            view = lab.service.view(last)
            assert view is not None
            assert view.position == 0
            held.release(running)
            await held.arrived(2)
            assert held.jobs[1].id == last
            assert [line.request_id for line in lab.service.store.ledger()] == [running]

    asyncio.run(main())


@pytest.mark.parametrize("at_once", [True, False])
def test_a_running_request_that_is_cancelled_stops_and_costs_nothing(
    tmp_path: Path, *, at_once: bool
) -> None:
    """At once: its task has not made its first step, and a cancelled task that never ran runs no handler."""

    async def main() -> None:
        held = HeldRenderer()
        async with engine(tmp_path, renderer=held, slots=1) as lab:
            request_id, _ = lab.service.submit(LITE_TEXT, TEXT)
            if not at_once:
                await held.arrived(1)
            assert lab.service.cancel(request_id) == "CANCELLATION_REQUESTED"
            assert lab.service.cancel(request_id) == "CANCELLATION_REQUESTED"
            await asyncio.wait_for(lab.service.wait(request_id), 5)
            record = lab.service.store.find(request_id)
            assert record is not None
            assert record.status_code == 499
            assert lab.service.store.ledger() == []
            next_id, _ = lab.service.submit(LITE_TEXT, TEXT)
            await held.arrived(1 if at_once else 2)
            assert held.jobs[-1].id == next_id

    asyncio.run(main())


def test_what_was_unfinished_goes_on_after_a_restart_with_the_same_seed(tmp_path: Path) -> None:
    """Closing is quick because nothing is waited for; the folder knows what is left."""

    async def main() -> None:
        held = HeldRenderer()
        async with engine(tmp_path, renderer=held, slots=1) as lab:
            ids = [lab.service.submit(LITE_TEXT, TEXT)[0] for _ in range(3)]
            await held.arrived(1)
            seed = held.jobs[0].seed
        async with engine(tmp_path, slots=1) as lab:
            for request_id in ids:
                await asyncio.wait_for(lab.service.wait(request_id), 10)
            first = lab.service.store.find(ids[0])
            assert first is not None
            assert first.output is not None
            assert json.loads(first.output)["seed"] == seed
            assert sorted(line.request_id for line in lab.service.store.ledger()) == sorted(ids)

    asyncio.run(main())


def test_what_was_asked_to_stop_is_not_begun_again_after_a_kill(tmp_path: Path) -> None:
    """Its owner was told so; found by `server_crash_matrix`, which saw it rendered and charged."""
    store = Store(tmp_path)
    store.open()
    store.add("r1", LITE_TEXT.id, json.dumps(TEXT), 1.0)
    store.begin("r1", 2.0)
    store.stop("r1")
    store.close()

    async def main() -> None:
        held = HeldRenderer()
        async with engine(tmp_path, renderer=held) as lab:
            record = lab.service.find("r1")
            assert record is not None
            assert (record.state, record.status_code, record.started_at) == ("COMPLETED", 499, 2.0)
            assert (held.jobs, lab.service.store.ledger()) == ([], [])

    asyncio.run(main())


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda e: e.alias)
def test_a_clip_costs_its_tokens_at_the_endpoints_price(tmp_path: Path, endpoint) -> None:
    """The ledger is what a study's estimate is held against."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            arguments = {**TEXT, "duration": 2, "resolution": "480p", "aspect_ratio": "16:9"}
            if endpoint.takes_image:
                arguments["image_url"] = await lab.upload()
            request_id, _ = lab.service.submit(endpoint, arguments)
            await asyncio.wait_for(lab.service.wait(request_id), 10)
            (line,) = lab.service.store.ledger()
            assert line.cost_usd == pytest.approx(endpoint.price.usd(Size(864, 480), 2))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("aspect_ratio", "shape", "expected", "ratio"),
    [
        ("auto", (800, 600), (1120, 832), 4 / 3),
        ("auto", (600, 800), (832, 1120), 3 / 4),
        ("21:9", (800, 600), (1504, 640), 21 / 9),
    ],
)
def test_the_renderer_gets_the_models_size_and_the_nominal_ratio(
    tmp_path: Path, aspect_ratio: str, shape: tuple[int, int], expected: tuple[int, int], ratio: float
) -> None:
    """The crop follows the nominal ratio, the pixels the table; they differ by some percent."""

    async def main() -> None:
        held = HeldRenderer()
        async with engine(tmp_path, renderer=held) as lab:
            url = await lab.upload(picture(*shape))
            await lab.submit(**TEXT, image_url=url, end_image_url=url, aspect_ratio=aspect_ratio, seed=5)
            await held.arrived(1)
            job = held.jobs[0]
            assert (job.width, job.height) == expected
            assert job.ratio == pytest.approx(ratio)
            assert (job.seed, job.seconds, job.camera_fixed) == (5, 5, False)
            assert job.image == job.end_image
            assert job.image is not None

    asyncio.run(main())


def test_a_portrait_by_exif_is_a_portrait(tmp_path: Path) -> None:
    """Phones store landscape pixels and a note to turn them."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6

    async def main() -> None:
        held = HeldRenderer()
        async with engine(tmp_path, renderer=held) as lab:
            await lab.submit(**TEXT, image_url=await lab.upload(picture(800, 600, kind="JPEG", exif=exif)))
            await held.arrived(1)
            assert (held.jobs[0].width, held.jobs[0].height) == (832, 1120)

    asyncio.run(main())


def test_the_first_thing_logged_is_that_this_is_a_simulator(tmp_path: Path) -> None:
    """Whoever reads the logs must not take the clip for the model's."""

    async def main() -> None:
        async with engine(tmp_path) as lab:
            request_id, _ = lab.service.submit(LITE_TEXT, TEXT)
            await lab.service.wait(request_id)
            view = lab.service.view(request_id, logs=True)
            assert view is not None
            assert view.logs is not None
            assert view.logs[0]["message"] == IDENTITY

    asyncio.run(main())


class _Failing:
    def __init__(self, error: Exception) -> None:
        self._error = error

    async def render(self, job, *, on_progress) -> Rendered:
        job.out.write_bytes(b"half")
        raise self._error

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (RenderError("codec"), 500, "internal_server_error"),
        (RenderError("picture", "image_load_error"), 422, "image_load_error"),
        (ZeroDivisionError("a bug"), 500, "internal_server_error"),
    ],
)
def test_a_failed_request_ends_uncharged_and_the_queue_goes_on(
    tmp_path: Path, error: Exception, status: int, kind: str
) -> None:
    """Whatever broke: the owner is told in the service's words, half a file is not kept."""

    async def main() -> None:
        async with engine(tmp_path, renderer=_Failing(error), slots=1) as lab:
            for _ in range(2):
                answer = await lab.result(**TEXT, image_url=await lab.upload())
                assert answer.status_code == status
                assert answer.json()["detail"][0]["type"] == kind
            assert lab.service.store.ledger() == []
            assert list(lab.service.store.files.glob("*.mp4")) == []

    asyncio.run(main())


def test_a_service_can_be_started_again(tmp_path: Path) -> None:
    """Closing the engine in a notebook and using it again is one session."""

    async def main() -> None:
        service = Service(tmp_path, renderer=StubRenderer())
        for _ in range(2):
            await service.start()
            request_id, _ = service.submit(LITE_TEXT, TEXT)
            await asyncio.wait_for(service.wait(request_id), 10)
            await service.aclose()
            await service.aclose()
        with pytest.raises(EngineError, match="not running"):
            service.submit(LITE, TEXT)

    asyncio.run(main())


def test_it_runs_on_a_loop_in_a_thread(tmp_path: Path) -> None:
    """In a notebook the main thread's loop is not ours."""
    errors: list[BaseException] = []

    async def main() -> None:
        async with engine(tmp_path) as lab:
            assert (await lab.result(**TEXT, image_url=await lab.upload(), duration="2")).status_code == 200

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:  # noqa: BLE001  # handed to the main thread, whatever it is
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert errors == []


def test_no_slots_at_all_are_refused(tmp_path: Path) -> None:
    """Everything would wait for ever."""
    with pytest.raises(EngineError, match="slots=0"):
        Service(tmp_path, slots=0)


def test_the_server_process_loads_no_codec() -> None:
    """It would start slower, and die of a codec's crash; drawing is the workers' business."""
    code = "import sys, seedance_lab.local.serve; print({'av', 'cv2', 'numpy', 'PIL'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
