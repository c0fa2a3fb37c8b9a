"""What the model of the sync tree keeps: writes with their full causal histories, cells, rows."""

GROUPS = (0, 1)             # group 1 is decided by the policy `newest`, group 0 by an operator
LIFE = 'L'
ALIVE, DEAD = 1, 2          # as in Swift's `Life`
PARENT, SELF = -1, 0        # who brought a cell, beside the numbers of the children's sites


class Op:
    """One write, as its author made it."""
    count, all, equal = 0, {}, {}       # equal: an op -> what an equal op covered
    lives, graves = set(), {}           # ops on lives; a delete -> what it covered

    def __init__(self, row, kind, hist, stamp, value=None, system=False):
        Op.count += 1
        self.id, self.row, self.kind, self.hist, self.system = Op.count, row, kind, frozenset(hist), system
        self.value = self.id if value is None else value
        self.stamp = stamp              # (origin, claimed time)
        Op.all.setdefault(row, {})[self.id] = self
        if kind == LIFE:
            Op.lives.add(self.id)
            if value == DEAD:
                Op.graves[self.id] = self.covers

    def __deepcopy__(self, memo):
        return self

    @property
    def covers(self):
        return self.hist | {self.id}


def converge(a, b):
    """Two ops of one value met: neither writes over the other."""
    if a is b:
        return
    for x, y in ((a, b), (b, a)):
        ids = y.covers
        if y.kind == LIFE and y.value == ALIVE:             # that a row lives says nothing about its values,
            graves = [Op.graves[i] for i in ids if i in Op.graves]      # but a delete that was overruled had covered some
            ids = (ids & Op.lives).union(*graves)
        Op.equal.setdefault(x.id, set()).update(ids)


class Cell:
    def __init__(self):
        self.op, self.site = None, SELF
        self.pos = self.at = 0          # where the log shows it last; where it was written (rule 2)
        self.base = 0                   # the newest writing at the parent that this value was made over
        self.open = False               # disputed above, as far as was told (hub_model.py)
        self.dirty = False              # the parent has not got it and it is not sealed


class Row:
    def __init__(self):
        self.cells = {g: Cell() for g in GROUPS + (LIFE,)}
        self.cases = {}                 # group -> [(op, site)], in order of arrival
        self.case = []                  # open case of the row (edit against delete): [(life, op, site)]
        self.end = 0                    # seq of its last delete sent up
        self.time = 0                   # at a node: claimed time of its last write
        self.graves = set()             # for the counting alone: the deletes that were heard of here, overruled or not

    def life(self):
        op = self.cells[LIFE].op
        return op.value if op else 0

    dead = property(lambda s: s.life() == DEAD)
    alive = property(lambda s: s.life() == ALIVE)

    def covers(self):
        return frozenset().union(*(c.op.covers for c in self.cells.values() if c.op))

    def settled(self):
        return self.alive and not self.case and not any(self.cases.values()) and all(self.cells[g].op for g in GROUPS)
