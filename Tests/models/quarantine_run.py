"""Runs `quarantine_model.py` on random histories: counts what is lost, or prints the histories for the Swift tests.

    python3 quarantine_run.py check SEEDS [TIERS] [MUTANT] [FIRST]
    python3 quarantine_run.py print SEEDS [TIERS] [FIRST]

Nobody is put back (`whole_run.py` and `hub_run.py` do that, without quarantine).
"""
import random
import sys

import whole_run
from quarantine_model import Replica
from whole_run import Quiet, count, write
from whole_state import Op

SHARE = .15                             # of the segments cannot be understood when they come


def push(r, R, log, share=SHARE):
    r.seal()
    first = max(0, r.sent - R.randint(0, 1))
    upto = R.randint(r.sent, len(r.outbox))
    unreadable = [i for i in range(r.sent, upto) if share and R.random() < share]
    if unreadable:
        log.unreadable(r, unreadable)
    r.push(first, upto, unreadable)
    log.step('P', r, first, upto)


def release(r, R, log, share):
    """Any of what lies there, in any order."""
    for s in sorted(r.lying):
        while r.lying[s] and R.random() < share:
            i = R.randrange(len(r.lying[s]))
            last = r.lying[s][i][1][-1][0]
            r.release(s, i)
            log.step('U', r, s, last)


def decisions(r, R, log, share):
    whole_decisions(r, R, log, share)
    release(r, R, log, 1 if share == 1 else .3)


whole_decisions = whole_run.decisions


def run(seed, tiers=3, bug=None, steps=400, log=Quiet()):
    R = random.Random(seed)
    Op.count, Op.all, Op.equal, Op.lives, Op.graves = 0, {}, {}, set(), {}
    whole_run.Replica = Replica
    top, hubs, cities, nodes = whole_run.tree(tiers, bug, R)
    everyone, born = [top] + hubs + cities + nodes, 0
    log.start(seed, everyone)
    for r in everyone:
        r.holding = True
    for _ in range(steps):
        r, a = R.choice(everyone), R.random()
        if a < (.35 if r in nodes else .08):
            born = write(r, R, born, r in nodes, log)
        elif a < .6 and r.parent:
            push(r, R, log)
        elif a < .85 and r.parent:
            whole_run.pull(r, R, log)
        else:
            decisions(r, R, log, .4)
            for x in sorted(r.held):
                if R.random() < .5:
                    r.held.discard(x)
            log.held(r)
    whole_run.push, whole_run.decisions = lambda r, R, log: push(r, R, log, 0), decisions       # nothing more comes to lie there
    whole_run.settle(everyone, nodes + cities + hubs, R, log)
    log.finish()
    return count(top, everyone, born)


if __name__ == '__main__':
    sys.exit(whole_run.main(run))
