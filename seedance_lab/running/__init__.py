"""One pass over a plan: every request through the engine and the journal, paid for at most once.

book       the open journal: lines, records, dollars       signals    stop, pause, cancel, leave
window     how many requests are at the service            pace       when to look at each
sending    the only path that can cost money               reconcile  what became of a lost answer
waiting    looks at what is at the service                 fetching   brings what was paid for
runner     the pass itself
"""

from seedance_lab.running.runner import Runner

__all__ = ["Runner"]
