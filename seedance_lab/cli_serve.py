"""The embedded engine for other programs, from a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import platformdirs

from seedance_lab.local.environment import exports, variables
from seedance_lab.local.serve import DISK_GB, Behaviour
from seedance_lab.local.serve import serve as serve_engine


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Anything else lets other machines in.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one."
)
@click.option(
    "--folder", type=click.Path(file_okay=False), help="Its queue, files and ledger; kept between starts."
)
@click.option(
    "--slots", type=click.IntRange(1), default=2, show_default=True, help="Requests worked on at a time."
)
@click.option("--stub", is_flag=True, help="Answer at once with a still clip, for tests of other programs.")
@click.option("--tls", is_flag=True, help="Serve https, with a certificate for this machine only.")
@click.option(
    "--fault", "faults", multiple=True, help="Such as submit:drop-after@2, status:502%20; repeat it."
)
@click.option(
    "--latency",
    default="instant",
    show_default=True,
    help="Or `model`, the service's times, or seconds a clip.",
)
@click.option(
    "--speed", type=float, default=1.0, show_default=True, help="Divides the waits of --latency model."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of chances and spreads.")
@click.option("--balance-usd", type=float, help="The account's money; it runs down, then answers 403.")
@click.option("--admin", is_flag=True, help="Let /admin/faults and /admin/clock exist.")
@click.option("--webhooks-to-loopback", is_flag=True, help="Let webhooks go to this machine.")
@click.option(
    "--disk-gb",
    type=click.FloatRange(0),
    default=DISK_GB,
    show_default=True,
    help="Room for its files, in 10^9 bytes; 0: no limit. Beyond it the oldest go that are no longer needed, never "
    "a clip that nobody has fetched: when only such are left, new requests and uploads get 507.",
)
@click.option(
    "--forget-unfetched",
    is_flag=True,
    help="Let clips go too that nobody has fetched, once their results have expired (after an hour).",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="ID:SECRET",
    help="Take this key only; repeat it for more. All are one account. Any key is good without it. Studies send "
    "local:simulator.",
)
@click.option("--env", "env", is_flag=True, help="Print exports for fal's Python client; serve nothing.")
def serve(
    host: str, port: int, folder: str | None, slots: int, stub: bool, tls: bool, env: bool, **behaviour: Any
) -> None:
    """Serve the embedded engine on a port: fal's protocol, no key, no money.

    Prints one line with its URL once it answers.

    \b
      seedance-lab serve --port 0
      SEEDANCE_LAB_ENGINE=http://127.0.0.1:8000 seedance-lab demo --folder studies/served

    A service with its moods, for the tests of any client:

    \b
      seedance-lab serve --latency model --speed 60 --fault submit:drop-after@2 --fault "status:502%20"

    fal's own Python client, unmodified, in a second terminal (or after a & in the first):

    \b
      seedance-lab serve --tls
      eval "$(seedance-lab serve --env)" && python uses_fal_client.py
    """
    home = (
        Path(folder)
        if folder
        else Path(platformdirs.user_data_path("seedance-lab", appauthor=False)) / "engine"
    )
    if env:
        click.echo(exports(variables(home, host=host, port=port)))
        return
    serve_engine(
        home,
        host=host,
        port=port,
        slots=slots,
        stub=stub,
        secure=tls,
        behaviour=Behaviour(**behaviour),
        announce=lambda url: click.echo(url),
    )
