"""Executable model of the sync tree: rows, deletes, holds, policies, restored nodes, three or four tiers.

The rules of the merge in their shortest form (README, "The merge rule in one minute"), with one seq and one position a row
change, as the Swift code has them.  Beside the cheap causal context every write carries its full causal history, so that
`whole_run.py` can tell at quiescence what was lost, what diverged and which cases were false.  Tests/MergeModel replays the
histories that it prints and compares after every step.  Equal means equal values: two writes of one value converge silently.
"""
import copy

from whole_state import ALIVE, DEAD, GROUPS, LIFE, PARENT, SELF, Op, Row, converge

# What the Swift tests make wrong on purpose, here as well: the model must see that each of them loses or diverges.
MUTANTS = ("late_ctx pull_over no_hold no_case shrink hold_blind row_seq row_max quiet_policy life_alone no_values no_reshow "
           "kin_all case_left revive reshow_moves dead_forgets").split()


class Replica:
    def __init__(self, number, parent, bug, R):
        self.number, self.inc, self.parent, self.bug, self.R = number, 0, parent, bug, R
        self.kids = []
        if parent:
            parent.kids.append(self)
        self.rows, self.held = {}, set()
        self.pos = self.cursor = self.upseq = self.sent = self.merged = self.judged = 0
        self.outbox, self.unsettled, self.seen, self.applied, self.kin, self.ends = [], [], {}, {}, {}, [0]
        self.snap, self.false, self.holding, self.at = None, 0, False, 0

    site = property(lambda s: s.number * 100 + s.inc)
    isnode = property(lambda s: not s.kids)
    name = property(lambda s: s.site)       # whom its own writes name as their origin

    def row(self, r):
        return self.rows.setdefault(r, Row())

    # ---- one row change: one position ---------------------------------------------------------------
    def next(self):
        return self.pos + 1

    def begin(self):
        self.at, self.moved = self.next(), False

    def end(self):
        if self.moved:
            self.pos = self.at

    def commit(self):
        """A transaction ends: a page of the log may end here."""
        self.ends.append(self.pos)

    # ---- putting a value ----------------------------------------------------------------------------
    def put(self, r, g, op, site):
        """Writes a value, or shows it again where it is the one already there."""
        c = self.row(r).cells[g]
        if c.op and c.op.value == op.value and c.op.stamp == op.stamp and c.site == site:
            converge(c.op, op)
            self.show(c)
        else:
            self.write(r, g, op, site)

    def show(self, c):
        self.moved, c.pos = True, self.at

    def write(self, r, g, op, site):
        row = self.row(r)
        c = row.cells[g]
        self.show(c)
        c.op, c.site, c.at = op, site, self.at
        c.dirty = site != PARENT and self.parent is not None
        if g == LIFE and op.value == DEAD:
            row.graves.add(op.id)
        if site != PARENT and self.holding and self.kids and self.parent:
            (self.held.add if self.R.random() < .25 else self.held.discard)(r)
        if g == LIFE and op.value == DEAD and (self.isnode or self.bug == 'no_values'):
            for x in GROUPS:                                # a node forgets the values, a hub keeps them hidden
                cell = row.cells[x]
                cell.op, cell.dirty = None, False

    def whole(self, r):
        """Show the row again whole: whoever deleted it, or was told so, must get every group."""
        for g in GROUPS:
            c = self.row(r).cells[g]
            if c.op is not None and self.bug != 'no_reshow':
                self.show(c)

    # ---- an author's writes ---------------------------------------------------------------------------
    def author(self, r, time):
        """A node's mark has one author and time a row, its newest; they are known when it is sealed."""
        self.row(r).time = time
        return (self.name, time)

    def insert(self, r, time):
        stamp = self.author(r, time)
        for g in GROUPS:
            self.write(r, g, Op(r, g, (), stamp), SELF)
        self.write(r, LIFE, Op(r, LIFE, (), stamp, ALIVE), SELF)

    def edit(self, r, g, time, value=None):
        self.write(r, g, Op(r, g, self.row(r).cells[g].op.covers, self.author(r, time), value), SELF)

    def delete(self, r, time):
        self.write(r, LIFE, Op(r, LIFE, self.row(r).covers(), self.author(r, time), DEAD), SELF)

    def merge(self, r, other, time):
        """Two rows of one key become one: ordinary writes to the survivor, an ordinary delete of the other."""
        for g in GROUPS:
            hist = self.row(r).cells[g].op.covers | self.row(other).cells[g].op.covers
            self.write(r, g, Op(r, g, hist, (self.name, time)), SELF)

    # ---- cases ----------------------------------------------------------------------------------------
    def dispute(self, r, g, y, site):
        row = self.row(r)
        c, case = row.cells[g], row.cases.setdefault(g, [])
        if not case:
            case.append((c.op, c.site))
            self.false += c.op.id in y.hist or y.id in c.op.hist
        for o, s in list(case):
            if s == site and o.value == y.value:            # says again what it said: moves to the end
                case.remove((o, s))
                converge(o, y)
        case.append((y, site))
        newest = {s: o for o, s in case}
        show, by = min(((o, s) for s, o in newest.items()), key=lambda x: (x[0].value, x[0].stamp, x[1]))
        self.put(r, g, show, by)

    def decide(self, r, g, value, time):
        row = self.row(r)
        hist = frozenset().union(*(o.covers for o, _ in row.cases.pop(g)))
        self.write(r, g, Op(r, g, hist, (self.name, time), value), SELF)

    def row_case(self, r, life, y, site):
        """`y` says that the row lives (an edit of it does) or that it is dead, and what is here says otherwise."""
        row = self.row(r)
        c = row.cells[LIFE]
        if c.op is not None and not row.case:
            row.case.append((c.op.value, c.op, c.site))
        self.join(row, life, y, site)
        if row.dead:
            hist = frozenset().union(*(o.covers for _, o, _ in row.case if o.kind == LIFE and o.value == ALIVE))
            self.write(r, LIFE, Op(r, LIFE, hist, (self.name, 0), ALIVE, system=True), SELF)
            self.whole(r)
        elif life == DEAD:
            self.show(c)
            self.whole(r)

    def join(self, row, life, y, site):
        for x in [x for x in row.case if x[0] == life and x[2] == site]:
            row.case.remove(x)
            Op.equal.setdefault(y.id, set()).update(x[1].covers)
        row.case.append((life, y, site))
        row.graves |= {y.id} & set(Op.graves)
        self.moved = True

    def decide_row(self, r, life, time):
        row = self.row(r)
        if life == DEAD and self.bug != 'case_left':        # deleting decides the row's open cases too, by writes: the delete
            for g in sorted(g for g, case in row.cases.items() if case):        # may be overruled before it goes up
                self.decide(r, g, row.cells[g].op.value, time)
        hist = row.covers().union(*(o.covers for _, o, _ in row.case))
        row.case, row.cases = [], {} if life == DEAD else row.cases
        self.write(r, LIFE, Op(r, LIFE, hist, (self.name, time), life), SELF)
        if life == ALIVE:
            self.whole(r)

    # ---- child -> parent --------------------------------------------------------------------------------
    def seal(self):
        """What is undisputed and not held goes into one segment; a living row's groups are judged before its life."""
        out = []
        for r, row in sorted(self.rows.items()):
            for cells in self.sealable(r, row):
                self.upseq += 1
                for g in cells:
                    row.cells[g].dirty = False
                if LIFE in cells and row.dead:
                    row.end = self.upseq
                out.append((self.upseq, r, {g: row.cells[g].op for g in cells}))
                self.unsettled.append((self.upseq, r, frozenset(cells)))
        if out:
            self.outbox.append((self.cursor, out))

    def sealable(self, r, row):
        """The row's changes that may go up, as lists of cells: cells of one stamp go together, those of the life's last."""
        dirty = [g for g in GROUPS + (LIFE,) if row.cells[g].dirty and row.cells[g].op is not None]
        if not dirty:
            return []
        if self.isnode:                                     # holds nothing, and has one author and time a row
            if row.dead:
                dirty = [LIFE]
            for g in dirty:
                row.cells[g].op.stamp = (self.name, row.time)
            return [dirty]
        stuck = row.case or row.alive and r in self.held
        stuck = stuck or self.unjudged(row) and self.bug != 'revive'
        # A row whose life waits is new to the parent: it goes up whole or not at all.
        stuck = stuck or row.alive and LIFE in dirty and any(row.cases.values())
        if stuck and self.bug != 'no_hold':
            return []
        if row.dead:
            if self.bug == 'dead_forgets':
                for g in GROUPS:
                    row.cells[g].dirty = False
            return [[LIFE]] if LIFE in dirty else []
        groups = [g for g in dirty if g != LIFE and (not row.cases.get(g) or self.bug == 'no_hold')]
        stamps = list(dict.fromkeys(row.cells[g].op.stamp for g in groups))
        if LIFE in dirty:
            last = row.cells[LIFE].op.stamp
            groups.append(LIFE)
            stamps = [s for s in stamps if s != last] + [last]
        return [[g for g in groups if row.cells[g].op.stamp == s] for s in stamps]

    def unjudged(self, row):
        """It lives again, and its delete that went up is not known to be judged."""
        return row.alive and row.end > self.judged

    def push(self, first, upto):
        for seg in self.outbox[first:upto]:
            self.parent.ingest(self, seg)
        self.sent = upto

    def ingest(self, child, seg):
        ctx, s, before = child.cursor if self.bug == 'late_ctx' else seg[0], child.site, self.pos
        if seg[1][-1][0] <= self.seen.get(s, 0):
            return
        new = [x for x in seg[1] if x[0] > self.seen.get(s, 0)]
        for seq, r, cells in sorted(new, key=lambda x: not self.fresh(x)):
            self.begin()
            for g, y in cells.items():
                self.judge(s, r, g, y, ctx)
            self.end()
        self.seen[s] = seg[1][-1][0]
        if self.pos == before:                              # nothing moved: the child learns all the same that it is merged
            self.pos = self.next()
        self.applied.setdefault(s, []).append((seg[1][-1][0], self.pos))
        self.commit()

    def fresh(self, change):
        """A whole living row that nobody has heard of here: the fast path takes those of a segment first."""
        _, r, cells = change
        unknown = not any(c.op for c in self.row(r).cells.values())
        return unknown and len(cells) == len(GROUPS) + 1 and cells[LIFE].value == ALIVE

    def saw(self, c, s, ctx):
        return c.at == 0 or c.site == s or c.at <= ctx or self.inherited(c, s)

    def inherited(self, c, s):
        old, limit = self.kin.get(s, (None, 0))
        return c.site == old and (c.at <= limit or self.bug == 'kin_all')

    def by_time(self, r, g):
        return g == 1

    def is_later(self, y, here):
        """Of one author's words the one that comes later is; but what this hub wrote itself only comes back."""
        if y.stamp[0] == here.stamp[0]:
            return y.stamp[0] != self.name and y.stamp[1] >= here.stamp[1]
        return (y.stamp[1], y.stamp[0]) > (here.stamp[1], here.stamp[0])

    def judge(self, s, r, g, y, ctx):
        row = self.row(r)
        c = row.cells[g]
        if g == LIFE:
            return self.judge_life(s, r, row, c, y, ctx)
        if row.dead and not row.case:                       # equal or not: whoever typed it takes the row to be alive
            self.row_case(r, ALIVE, y, s)
        if c.op and c.op.value == y.value and not row.cases.get(g):
            converge(c.op, y)
            if self.by_time(r, g) and y.stamp[1] > c.op.stamp[1] and c.op.stamp[0] != self.name:
                self.put(r, g, y, s)                        # typed again later: what was typed in between loses to it
            return
        fits = self.saw(c, s, ctx) or self.bug == 'no_case'
        if c.op is None or fits and (not row.cases.get(g) or self.bug in ('shrink', 'no_case')):
            row.cases.pop(g, None)
            self.put(r, g, y, s)
        elif self.by_time(r, g) and not row.cases.get(g):   # a policy decides: the later claimed time wins
            theirs = self.is_later(y, c.op)
            best = y if theirs else c.op
            win = Op(r, g, c.op.covers | y.covers, best.stamp, best.value, system=True)
            if self.bug == 'quiet_policy' and not theirs:
                c.op = win
            elif c.site == PARENT and not theirs:           # it stays the parent's own word, and need not go up again
                Op.equal.setdefault(c.op.id, set()).update(y.covers)
                self.write(r, g, c.op, PARENT)
            else:
                self.write(r, g, win, SELF)
        else:
            self.dispute(r, g, y, s)

    def judge_life(self, s, r, row, c, y, ctx):
        if c.op and c.op.value == y.value and not row.case:
            return converge(c.op, y)
        ok = self.saw(c, s, ctx) and not row.case
        if y.value == DEAD and self.bug != 'life_alone':
            ok = ok and not any(row.cases.values()) and all(self.saw(row.cells[x], s, ctx) for x in GROUPS)
        if not ok:
            return self.row_case(r, y.value, y, s)
        if y.value == DEAD:
            row.cases = {}
        self.put(r, LIFE, y, s)
        if y.value == ALIVE:
            self.whole(r)

    # ---- parent -> child ----------------------------------------------------------------------------------
    def pending(self, merged):
        """Row -> its cells that the parent has not merged yet."""
        cells = {}
        for seq, r, groups in self.unsettled:
            if seq > merged:
                cells.setdefault(r, set()).update(GROUPS + (LIFE,) if self.bug == 'row_seq' else groups)
        return cells if self.bug != 'pull_over' else {}

    def settle(self, merged):
        self.unsettled = [x for x in self.unsettled if x[0] > merged]

    def pull(self, upto):
        p = self.parent
        merged = max([self.merged] + [q for q, at in p.applied.get(self.site, ()) if at <= upto])
        pending, self.reaches_end = self.pending(merged), upto == p.pos
        for r in sorted(p.rows):
            theirs = p.rows[r]
            newest = max(c.pos for c in theirs.cells.values())
            told = []
            for g in (LIFE,) + GROUPS:
                t = theirs.cells[g]
                show = any(self.cursor < x <= upto for x in ((t.pos,) if self.bug == 'reshow_moves' else (t.pos, t.at)))
                if self.bug == 'row_max':
                    show = self.cursor < newest <= upto and t.pos > self.cursor
                if t.op is not None and show and not (g != LIFE and theirs.dead):
                    told.append(g)
            if not told:
                continue
            self.told = told
            self.begin()
            for g in told:
                (self.take_node if self.isnode else self.take)(r, g, theirs, pending.get(r, ()))
            self.end()
        self.settle(merged)
        self.cursor, self.merged = upto, merged
        if upto == p.pos:
            self.judged = merged
        self.commit()

    def take_node(self, r, g, theirs, pending):
        """A node has sealed all its own: what waits is passed over, the rest is replaced."""
        t, row = theirs.cells[g], self.row(r)
        row.graves |= theirs.graves
        if g in pending or g == LIFE and t.op.value == DEAD and pending:
            return                                          # the parent will judge it
        if g != LIFE and not row.alive:
            return                                          # its life brings it whole
        c = row.cells[g]
        if c.op and c.op.value == t.op.value:
            return converge(c.op, t.op)
        self.write(r, g, t.op, PARENT)

    def take(self, r, g, theirs, pending):
        t, row = theirs.cells[g], self.row(r)
        c, life = row.cells[g], row.cells[LIFE]
        row.graves |= theirs.graves
        mine, above = t.site == self.site, bool(theirs.cases.get(g))
        same = c.op is not None and c.op.value == t.op.value
        if g != LIFE and row.dead and life.dirty and not same and not mine and not row.case and self.bug != 'hold_blind':
            self.row_case(r, ALIVE, t.op, PARENT)           # deleted here and held, changed above
        if g == LIFE and row.case:
            self.join(row, t.op.value, t.op, PARENT)
        elif g != LIFE and row.dead and not row.case:
            if LIFE not in pending:                         # else the parent will judge the delete
                self.accept(r, g, c, t, mine, same)         # hidden until its life comes back; no case in a dead row
        elif row.cases.get(g):
            self.dispute(r, g, t.op, PARENT)
            c.base = max(c.base, t.at)
        elif g == LIFE and t.op.value == DEAD and (any(row.cases.values()) or any(row.cells[x].dirty for x in GROUPS)):
            if self.bug != 'hold_blind' and row.alive:
                self.row_case(r, DEAD, t.op, PARENT)        # held or disputed here, deleted above
        elif c.dirty and c.op is not None:                  # held here: whoever else wrote it above is a rival
            if same:
                self.accept(r, g, c, t, mine, same)
            elif t.at > c.base and not mine and not above and self.bug != 'hold_blind':
                if g == LIFE:                               # (at or before the base: this value was made over it)
                    self.row_case(r, t.op.value, t.op, PARENT)
                else:
                    self.dispute(r, g, t.op, PARENT)
                    c.base = max(c.base, t.at)
        elif g in pending or g == LIFE and t.op.value == DEAD and set(GROUPS) & set(pending):
            return                                          # the parent will judge it
        else:
            was = row.life()
            self.accept(r, g, c, t, mine, same)
            if g == LIFE and not same and row.alive:        # whoever took it to be dead gets it whole
                if was == DEAD:                             # the delete had covered what is here, but for what the parent
                    for x in GROUPS:                        # never had: it shows the row without
                        row.cells[x].dirty = row.cells[x].dirty and self.reaches_end and x not in self.told
                self.whole(r)

    def accept(self, r, g, c, t, mine, same):
        if same:
            converge(c.op, t.op)
        else:
            self.write(r, g, t.op, PARENT)
        if not (same and mine):                             # one's own word coming back tells nothing of another's
            c.base = max(c.base, t.at)

    # ---- restore of a node from its backup ----------------------------------------------------------------
    STATE = "rows pos cursor upseq sent merged judged outbox unsettled".split()

    def backup(self):
        self.seal()                                         # or what is sealed after it is sealed twice
        self.snap = copy.deepcopy({a: getattr(self, a) for a in self.STATE})

    def restore(self, everyone):
        p, old = self.parent, self.site
        for a, v in copy.deepcopy(self.snap).items():
            setattr(self, a, v)
        self.snap = None
        left = set().union(*(r.knows() for r in everyone))
        for ops in Op.all.values():                         # only what lay on this disk alone may go
            for i in [i for i in ops if i not in left]:
                del ops[i]
        had = p.seen.get(old, 0)
        if had <= self.upseq:
            self.sent = min([i for i, s in enumerate(self.outbox) if s[1][-1][0] > had] or [len(self.outbox)])
            return
        self.inc += 1
        limit = max([at for q, at in p.applied.get(old, ()) if q <= self.upseq] + [p.kin.get(old, (0, 0))[1]])
        p.kin[self.site] = (old, limit)
        p.seen[self.site] = self.upseq
        p.applied[self.site] = [(q, at) for q, at in p.applied.get(old, ()) if q <= self.upseq]
        self.sent = len(self.outbox)

    def knows(self):
        ops = [o for row in self.rows.values() for o in [c.op for c in row.cells.values() if c.op]
               + [x[1] for x in row.case] + [o for k in row.cases.values() for o, _ in k]]
        ops += [o for seg in self.outbox for x in seg[1] for o in x[2].values()]
        known = set().union(*(o.covers for o in ops)) if ops else set()
        return known | set().union(*(Op.equal.get(i, ()) for i in known)) if known else known
