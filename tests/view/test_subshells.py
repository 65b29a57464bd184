"""Where a page's messages are taken."""

from __future__ import annotations

from seedance_lab.view.subshells import all_heard_aside, heard_aside


class RoutingComm:
    """As ipykernel 7.4 has it: an answer goes to the thread that spoke last, here the cell's own."""

    def _reply_subshell_for(self, data: object, default: str | None) -> str | None:
        return None


class PlainComm:
    """As other kernels have it."""


class Widget:
    def __init__(self, comm: object, children: tuple[object, ...] = ()) -> None:
        self.comm, self.children = comm, children


def test_messages_are_taken_where_the_front_end_asks() -> None:
    box = Widget(RoutingComm(), (Widget(RoutingComm(), (Widget(RoutingComm()),)), Widget(RoutingComm())))
    all_heard_aside(box)
    for widget in (box, *box.children, *box.children[0].children):  # type: ignore[attr-defined]
        assert widget.comm._reply_subshell_for({}, "subshell-1") == "subshell-1"
        assert widget.comm._reply_subshell_for({}, None) is None


def test_another_kernel_is_left_as_it_is() -> None:
    plain, closed = Widget(PlainComm()), Widget(None)
    assert heard_aside(plain) is plain
    assert vars(plain.comm) == {}
    assert heard_aside(closed) is closed


def test_the_kernel_still_has_the_way_that_is_changed_here() -> None:
    """Without it nothing is changed, and a stop during a cell may come late: see the test in JupyterLab."""
    from ipykernel.comm.comm import BaseComm

    comm = BaseComm(primary=False)
    comm._reply_subshell_id = None
    assert comm._reply_subshell_for({}, "subshell-1") is None
    heard_aside(Widget(comm))
    assert comm._reply_subshell_for({}, "subshell-1") == "subshell-1"
