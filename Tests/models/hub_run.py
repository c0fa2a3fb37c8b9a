"""Runs `hub_model.py` on random histories: counts what is lost, or prints the histories for the Swift tests.

    python3 hub_run.py check SEEDS [TIERS] [MUTANT] [FIRST] [both] [deletes]
    python3 hub_run.py print SEEDS [TIERS] [FIRST] [both] [deletes]

Rows are born, edited, merged by policies and decided; no node is put back (`whole_run.py` does that, without hubs that are put
back). With `both`, a hub that is put back mostly takes its parent along; with `deletes`, rows are deleted too.
"""
import random
import sys

import whole_run
from hub_model import Replica, Segment
from whole_run import Quiet, count, decisions, write
from whole_state import Op

def push(r, R, log):
    if r.bug != 'late_hello':
        r.hello()
    r.seal()
    has = r.parent.seen.get(r.site, 0)
    sent = sum(1 for s in r.outbox if s.last <= has)
    first = max(0, sent - R.randint(0, 1))
    upto = R.randint(sent, len(r.outbox))
    if r.bug == 'late_hello' and (r.putback or r.overtaken()):
        r.hello()
    r.push(first, upto)
    log.step('p', r, first, upto)


def pull(r, R, log):
    r.hello()
    r.seal()
    p = r.parent
    ends = sorted({e for e in p.ends if e >= r.cursor} | {p.pos})
    upto = ends[R.randint(0, len(ends) - 1)]
    r.pull(upto)
    log.step('l', r, upto)


def run(seed, tiers=3, bug=None, steps=400, log=Quiet(), deletes=False, nodes_too=False, both=False):
    R = random.Random(seed)
    Op.count, Op.all, Op.equal, Op.lives, Op.graves = 0, {}, {}, set(), {}
    Segment.chains = Replica.marked = 0
    whole_run.Replica = Replica
    top, hubs, cities, nodes = whole_run.tree(tiers, bug, R)
    everyone, born = [top] + hubs + cities + nodes, 0
    log.start(seed, everyone)
    for r in everyone:
        r.holding = True
    restores = 0
    for t in range(steps):
        r, a = R.choice(everyone), R.random()
        there = r.parent and r.away <= t
        if a < (.35 if r in nodes else .08):
            born = write(r, R, born, r in nodes, log, deletes)
        elif a < .6 and there:
            push(r, R, log)
        elif a < .85 and there:
            pull(r, R, log)
        elif a < .95:
            decisions(r, R, log, .4)
            for x in sorted(r.held):
                if R.random() < .5:
                    r.held.discard(x)
            log.held(r)
        elif r not in nodes or nodes_too:
            if r.snap and R.random() < .4:
                together = [r] + [r.parent] * bool(both and r.parent and r.parent.snap and R.random() < .7)
                for x in together:
                    x.restore(everyone)
                    log.step('r', x)
                restores += len(together)
                for x in r.kids + together:
                    if R.random() < .5:                     # away for long
                        x.away = max(x.away, t + R.randint(1, 200))
                    x.there = x.away <= t
                    log.there(x)
                if R.random() < .7:                         # else the same backup may serve again
                    r.snap = None
            elif not r.snap or R.random() < .3:
                r.backup()
                log.step('b', r)
    whole_run.push, whole_run.pull = push, pull
    whole_run.settle(everyone, nodes + cities + hubs, R, log)
    log.finish()
    return count(top, everyone, born) + (restores,)


if __name__ == '__main__':
    sys.exit(whole_run.main(run, both='both' in sys.argv, deletes='deletes' in sys.argv))
