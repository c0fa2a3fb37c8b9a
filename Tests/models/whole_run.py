"""Runs `whole_model.py` on random histories: counts what is lost, or prints the histories for the Swift tests.

    python3 whole_run.py check SEEDS [TIERS] [MUTANT] [FIRST]
    python3 whole_run.py print SEEDS [TIERS] [FIRST]
"""
import random
import sys

from whole_history import Recorder
from whole_model import Replica
from whole_state import ALIVE, DEAD, GROUPS, LIFE, Op, Row


class Quiet:
    """Stands in for the recorder."""
    def __getattr__(self, _):
        return lambda *a: None


def closed(ids):
    ids, todo = set(ids), list(ids)
    while todo:
        for i in Op.equal.get(todo.pop(), set()) - ids:
            ids.add(i)
            todo.append(i)
    return ids


def tree(tiers, bug, R):
    top = Replica(1, None, bug, R)
    hubs = [Replica(2 + i, top, bug, R) for i in range(2)]
    cities = [Replica(4 + i, hubs[i], bug, R) for i in range(2)] if tiers == 4 else []
    homes = cities + hubs
    nodes = [Replica(10 + i, homes[i % len(homes)], bug, R) for i in range(6 if cities else 4)]
    return top, hubs, cities, nodes


def push(r, R, log):
    r.seal()
    first = max(0, r.sent - R.randint(0, 1))
    upto = R.randint(r.sent, len(r.outbox))
    r.push(first, upto)
    log.step('P', r, first, upto)


def pull(r, R, log):
    r.seal()
    p = r.parent
    ends = sorted({e for e in p.ends if e >= r.cursor} | {p.pos})       # never inside a merge transaction
    upto = ends[R.randint(0, len(ends) - 1)]
    r.pull(upto)
    log.step('L', r, upto)


def one(r, log, letter, *args):
    """One write of an author or operator: a transaction of its own."""
    r.begin()
    {'I': r.insert, 'E': r.edit, 'D': r.delete, 'd': r.decide, 'k': r.decide_row}[letter](*args)
    r.end()
    r.commit()
    log.step(letter, r, *args)


def write(r, R, born, isnode, log, deletes=True):
    """An author's write at a node or a hub; tells how many rows there are then."""
    free = [x for x, w in r.rows.items() if w.settled()]
    b, time = R.random(), R.randint(1, 9)
    if isnode and born < 4 and b < .3:
        before = Op.count
        one(r, log, 'I', born, time)
        assert Op.count == before + 3
        return born + 1
    if not deletes and not .1 <= b < .85:
        return born
    if r.kids and len(free) > 1 and b < .1:
        x, y = sorted(R.sample(free, 2))
        r.begin()
        r.merge(x, y, time)
        r.end()
        r.begin()
        r.delete(y, time)
        r.end()
        r.commit()
        log.step('M', r, x, y, time, *(r.row(x).cells[g].op.value for g in GROUPS))
    elif free and b < .85:
        x, g = R.choice(free), R.choice(GROUPS)
        present = r.row(x).cells[g].op.value
        others = sorted({o.value for o in Op.all[x].values() if o.kind == g and o.value != present})
        one(r, log, 'E', x, g, time, R.choice(others) if others and R.random() < .12 else Op.count + 1)
    elif free:
        one(r, log, 'D', R.choice(free), time)
    return born


def decisions(r, R, log, share):
    for x, w in sorted(r.rows.items()):
        if w.case and R.random() < share:
            one(r, log, 'k', x, ALIVE if R.random() < .5 else DEAD, R.randint(1, 9))
        for g in GROUPS:
            if w.cases.get(g) and R.random() < share:
                values = [o.value for o, _ in w.cases[g]] + [Op.count + 1]
                one(r, log, 'd', x, g, R.choice(values), R.randint(1, 9))


class Whole:
    randint = staticmethod(lambda a, b: b)


def settle(everyone, below, R, log):
    """Everything is decided, released, pushed and pulled, until nothing moves."""
    still = 0
    for i in range(60):
        before = [(r.pos, r.cursor, r.upseq) for r in everyone]
        for r in everyone:
            r.holding = i < 3
            if i:
                r.held.clear()
                log.held(r)
            decisions(r, R, log, 1)
        for r in below:
            push(r, Whole, log)
        for r in below[::-1]:
            pull(r, Whole, log)
        still = still + 1 if i > 3 and before == [(r.pos, r.cursor, r.upseq) for r in everyone] else 0
        if still == 2:
            return


def run(seed, tiers=3, bug=None, steps=400, log=Quiet()):
    R = random.Random(seed)
    Op.count, Op.all, Op.equal, Op.lives, Op.graves = 0, {}, {}, set(), {}
    top, hubs, cities, nodes = tree(tiers, bug, R)
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
            pull(r, R, log)
        elif a < .95:
            decisions(r, R, log, .4)
            for x in sorted(r.held):
                if R.random() < .5:
                    r.held.discard(x)
            log.held(r)
        elif r in nodes:
            if r.snap and R.random() < .4:
                r.restore(everyone)
                log.step('R', r, r.inc, r.sent)
            elif not r.snap:
                r.backup()
                log.step('B', r)
    settle(everyone, nodes + cities + hubs, R, log)
    log.finish()
    return count(top, everyone, born)


def count(top, everyone, born):
    lost = diverged = partial = 0
    for x in range(born):
        w, ops = top.rows.get(x), Op.all.get(x, {}).values()
        if w is None or w.cells[LIFE].op is None:           # never reached the top: deleted below, by one who knew
            graves = [closed(v.cells[LIFE].op.covers) for v in [r.rows[x] for r in everyone if x in r.rows] if v.dead]
            lost += sum(1 for o in ops if not o.system and not any(o.id in g for g in graves))
        else:
            # A delete that was overruled, and was then lost with every disk that had it, tells all the same what its author had seen.
            graves = set().union(*(r.rows[x].graves for r in everyone if x in r.rows)) - set(Op.all[x])
            cover, by_life = closed(w.covers()), closed(w.cells[LIFE].op.covers.union(*(Op.graves[i] for i in graves)))
            for o in ops:
                if o.system:
                    continue
                if o.kind in GROUPS and w.alive:
                    c = w.cells[o.kind].op
                    lost += not (c and o.id in closed(c.covers)) and o.id not in by_life
                else:
                    lost += o.id not in cover
            partial += w.alive and any(w.cells[g].op is None for g in GROUPS)
        views = {tuple(v.cells[g].op and v.cells[g].op.value for g in GROUPS) if v.alive else None
                 for v in [r.rows.get(x) or Row() for r in everyone]}
        diverged += len(views) > 1
    return lost, diverged, partial, sum(r.false for r in everyone)


def check(run, seeds, tiers=3, bug=None, first=0, false_most=None, **k):
    """Counts what is lost. `run` gives lost, diverged, partial, false cases, and where hubs are put back, how often."""
    res = [run(s, tiers, bug, **k) for s in range(first, first + seeds)]
    t, n = [sum(c) for c in zip(*res)], [sum(1 for r in res if r[i]) for i in range(4)]
    bad = [s + first for s, r in enumerate(res) if any(r[:3])][:6]
    restores = ''.join(f" restores={c}" for c in t[4:])
    print(f"{bug or 'design':13} tiers={tiers} seeds={seeds}{restores} lost={t[0]} ({n[0]} seeds) diverged={t[1]} ({n[1]}) "
          f"partial={t[2]} ({n[2]}) false cases={t[3]} ({n[3]}) bad {bad}", flush=True)
    return 1 if any(t[:3]) or false_most is not None and n[3] > seeds * false_most else 0


def main(run, false_most=None, **k):
    """The command line of every model: `false_most` is the share of runs that may have a false case, `k` goes to `run`."""
    words = dict(enumerate(sys.argv))
    verb, seeds, tiers = words[1], int(words[2]), int(words.get(3, 3))
    if verb == 'check':
        return check(run, seeds, tiers, words.get(4), int(words.get(5, 0)), false_most, **k)
    first = int(words.get(4, 0))
    for seed in range(first, first + seeds):
        run(seed, tiers, None, log=Recorder(sys.stdout), **k)
    return 0


if __name__ == '__main__':
    sys.exit(main(run, false_most=.1))
