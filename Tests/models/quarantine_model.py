"""Executable model of quarantine, over the model of the merge (`whole_model.py`): segments that a parent cannot understand when they
come, and that are released later, in any order, below what the same site has sent since.

Its form is the product's (Hub/Merge/MergeWorker.swift, SegmentMerger.swift, Shared/Merge/MergedSeqs.swift): while a segment of a site
lies in quarantine, its later ones are judged with the older cursor; a page names the seqs that lay there at its end, and the child
goes on waiting for their cells, but for those that a later change of it, which is merged, has written again; what is released passes
over the cells that its site has written since.
"""
from whole_model import Replica as Whole
from whole_state import DEAD, GROUPS, LIFE

# What the Swift tests make wrong on purpose, here as well: `quar` is all three.
MUTANTS = "quar silent own_cursor blind_release".split()


class Replica(Whole):
    def __init__(self, number, parent, bug, R):
        super().__init__(number, parent, bug, R)
        self.received = {}              # child's site -> the last seq that came, understood or not
        self.words = {}                 # (child's site, row, cell) -> the last seq that was understood and says something of it
        self.lying = {}                 # child's site -> its segments in quarantine
        self.ever = {}                  # child's site -> [[first, last, position at which it was merged]] of all that ever lay there
        self.deletes = set()            # of its own seqs: deletes
        self.gaps = []                  # of its own seqs: what lay in quarantine at the end of the last page

    def is_wrong(self, bug):
        return self.bug in (bug, 'quar')

    # ---- child -> parent ----------------------------------------------------------------------------
    def push(self, first, upto, unreadable=()):
        for i in range(first, upto):
            self.parent.receive(self, self.outbox[i], i in unreadable)
        self.sent = upto

    def receive(self, child, seg, unreadable):
        s, first, last = child.site, seg[1][0][0], seg[1][-1][0]
        if last <= self.received.get(s, 0):
            return
        self.received[s] = last
        if unreadable:
            self.lying.setdefault(s, []).append(seg)
            self.ever.setdefault(s, []).append([first, last, None])
        else:
            self.understood(s, seg)
            self.ingest(child, (self.context(s, seg), seg[1]))

    def understood(self, s, seg):
        """Who deletes a row has no more to say of any of its cells."""
        for seq, r, cells in seg[1]:
            for g in GROUPS + (LIFE,) if LIFE in cells and cells[LIFE].value == DEAD else cells:
                self.words[s, r, g] = max(self.words.get((s, r, g), 0), seq)

    def context(self, s, seg):
        """What its authors had seen, and those of all that lies below it."""
        below = [q[0] for q in self.lying.get(s, ()) if q[1][0][0] < seg[1][0][0]]
        return min([seg[0]] + ([] if self.is_wrong('own_cursor') else below))

    def release(self, s, number):
        """The child's segment is understood now."""
        seg, before = self.lying[s].pop(number), self.pos
        self.understood(s, seg)
        ctx, last = self.context(s, seg), seg[1][-1][0]
        for seq, r, cells in sorted(seg[1], key=lambda x: not self.fresh(x)):
            self.begin()
            for g in [g for g in cells if not self.overtaken(s, r, g, last)]:
                self.judge(s, r, g, cells[g], ctx)
            self.end()
        if self.pos == before:
            self.pos = self.next()
        if last > self.seen.get(s, 0):
            self.seen[s] = last
            self.applied.setdefault(s, []).append((last, self.pos))
        next(x for x in self.ever[s] if x[1] == last)[2] = self.pos
        self.commit()

    def overtaken(self, s, r, g, last):
        """Its site has said something of the cell since, be it what stood there already."""
        row = self.row(r)
        if self.words.get((s, r, g), 0) <= last or self.is_wrong('blind_release'):
            return False
        if g != LIFE and row.dead:
            self.show(row.cells[LIFE])                      # its sender passed over the row's end while this waited
        return True

    # ---- parent -> child ----------------------------------------------------------------------------
    def pull(self, upto):
        lay = [(a, b) for a, b, at in self.parent.ever.get(self.site, ()) if at is None or at > upto]
        self.gaps = [] if self.is_wrong('silent') else lay
        super().pull(upto)
        for row in self.rows.values():
            if upto == self.parent.pos and not self.waits(row.end, self.merged):
                row.end = 0

    def waits(self, seq, merged):
        return seq > merged or any(a <= seq <= b for a, b in self.gaps)

    def unjudged(self, row):
        return row.alive and row.end > 0

    def seal(self):
        n = len(self.outbox)
        super().seal()
        for _, rows in self.outbox[n:]:
            self.deletes |= {seq for seq, _, cells in rows if LIFE in cells and cells[LIFE].value == DEAD}

    def answers(self, seq, groups):
        """What a change that is merged says of a row's cells; who deletes a row has no more to say of any."""
        return frozenset(GROUPS + (LIFE,)) if seq in self.deletes else groups

    def pending(self, merged):
        """Row -> its cells that the parent has not judged yet; a later word that it has merged answers the earlier ones."""
        cells = {}
        for seq, r, groups in self.unsettled:
            if self.waits(seq, merged):
                cells[r] = cells.get(r, frozenset()) | groups
            else:
                cells[r] = cells.get(r, frozenset()) - self.answers(seq, groups)
        return {r: groups for r, groups in cells.items() if groups}

    def settle(self, merged):
        done = [(seq, r, self.answers(seq, groups)) for seq, r, groups in self.unsettled if not self.waits(seq, merged)]
        left = [x for x in self.unsettled if self.waits(x[0], merged)]
        self.unsettled = [(seq, r, groups - frozenset().union(*(g for q, x, g in done if x == r and q > seq))) for seq, r, groups in left]
