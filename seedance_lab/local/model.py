"""What stands behind an endpoint: one input goes in, one clip and its charge come out.

As at the service, the input is validated here and not at submission, and what is refused costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pydantic

from seedance_lab.endpoints import Endpoint, Size, ratio_value, tokens
from seedance_lab.local.files import Files
from seedance_lab.local.pictures import Picture, Pictures
from seedance_lab.local.records import Charge, FileRecord
from seedance_lab.local.refusals import internal, invalid, refuse
from seedance_lab.local.renderer import Job, Renderer, RenderError
from seedance_lab.local.safety import is_flagged


class Made(NamedTuple):
    """A clip: its file, the seed that was used, and the charge (None when no price is known)."""

    file: FileRecord
    seed: int
    charge: Charge | None


class Model:
    """Makes clips.

    Args:
        files: Where they are put.
        pictures: Where first and last frames come from.
        renderer: Who draws.
    """

    def __init__(self, files: Files, pictures: Pictures, renderer: Renderer) -> None:
        self._files = files
        self._pictures = pictures
        self._renderer = renderer

    async def make(
        self, request_id: str, endpoint: Endpoint, arguments: object, *, on_progress: Callable[[float], None]
    ) -> Made:
        """Make the clip of one request. Made again, it is the same file and the same seed.

        Raises:
            ModelError: The input is not taken, or the renderer failed.
        """
        wanted = validated(endpoint, arguments)
        if wanted["enable_safety_checker"] and is_flagged(wanted["prompt"]):
            raise refuse("content_policy_violation", "prompt", wanted["prompt"])
        used: list[Picture] = []
        try:
            image = await self._picture(wanted, "image_url", used)
            end_image = await self._picture(wanted, "end_image_url", used)
            shape = image.size if image else None
            size = endpoint.size(wanted["resolution"], wanted["aspect_ratio"], shape)
            seconds = int(wanted["duration"])
            # The id is random already; drawn from it, a seed survives a restart without being stored.
            drawn = int(request_id[:8], 16)
            seed = wanted["seed"] if wanted["seed"] is not None else drawn
            file = self._files.output(request_id)
            job = Job(
                id=request_id,
                out=self._files.path(file),
                image=image.path if image else None,
                end_image=end_image.path if end_image else None,
                prompt=wanted["prompt"],
                width=size.width,
                height=size.height,
                ratio=ratio_value(endpoint.ratio(wanted["aspect_ratio"], shape)),
                seconds=seconds,
                seed=seed,
                camera_fixed=wanted["camera_fixed"],
            )
            try:
                rendered = await self._renderer.render(job, on_progress=on_progress)
            except BaseException:
                job.out.unlink(missing_ok=True)
                raise
        except RenderError as error:
            if error.kind == "image_load_error":
                raise refuse(
                    "image_load_error", "image_url", wanted.get("image_url"), reason=str(error)
                ) from error
            raise internal(str(error)) from error
        finally:
            for picture in used:
                if picture.temporary:
                    picture.path.unlink(missing_ok=True)
        return Made(file._replace(size=rendered.size_bytes), seed, charge(endpoint, size, seconds))

    async def _picture(self, wanted: dict[str, Any], field: str, used: list[Picture]) -> Picture | None:
        url = wanted.get(field)
        if url is None:
            return None
        picture = await self._pictures.get(url, field)
        used.append(picture)
        return picture


def validated(endpoint: Endpoint, arguments: object) -> dict[str, Any]:
    """The input with its defaults filled in.

    Raises:
        ModelError: With pydantic's items.
    """
    try:
        return endpoint.input.model_validate(arguments).model_dump(mode="json")
    except pydantic.ValidationError as error:
        raise invalid(error) from error


def charge(endpoint: Endpoint, size: Size, seconds: int) -> Charge | None:
    """What a clip costs, in millions of video tokens; None when the price is unknown."""
    price = endpoint.price.usd_per_million_tokens
    units = tokens(size, seconds) / 1e6
    return None if price is None else Charge(units, price, units * price)
