"""Executable model of hubs (and nodes) put back from copies of their homes, over the model of the merge (`whole_model.py`).

What `hr_late` of the design's own model does, in the form that the product has (Sources/Hub/Receive/PutBack.swift,
Hub/Merge/TakeBack.swift, Shared/Uplink/NewEpoch.swift): a child keeps the pages of its parent's log as they came, each with the
mark of the transaction at which it was made; a hub that was put back learns of it from a child or from its parent, starts an
epoch, and is a new site above; each child hands back the pages that are lost there, cuts its cursor and that of all it sealed to
the end of its last page made within the log that survived, and owes again what the lost time had called merged.
"""
import copy

from whole_model import Replica as Whole
from whole_state import ALIVE, DEAD, GROUPS, LIFE, PARENT, SELF, Op, converge

EPOCH = 1 << 40                 # a position is epoch * 2^40 + counter
BY_DELETE = 'D'                 # what a delete covers: every group
HEADS_MAX = 16                  # ends of segments that a new incarnation names
# What the Swift tests make wrong on purpose, here as well: the names are those of the design's model.
MUTANTS = ("naive min hand late_hello cut_R no_cut not_owed no_case whole_seq no_reshow newer_wins older_wins same_inc same_epoch "
           "open_claims no_chain once_only case_survives empty_graves").split()


class Segment:
    """seg[0] its cursor, seg[1] its changes, as `whole_model.py` has them."""
    chains = 0

    def __init__(self, cursor, rows, epoch):
        self.cursor, self.rows, self.epoch, self.cut = cursor, rows, epoch, None
        self.sign()

    def sign(self):
        Segment.chains += 1
        self.chain = Segment.chains

    def __getitem__(self, i):
        return (self.cursor, self.rows)[i]

    first = property(lambda s: s.rows[0][0])
    last = property(lambda s: s.rows[-1][0])


class Page:
    """Entries: (row, {cell: op}, where written, writer, disputed here or above, disputed here); merged: site -> seq as of the page's end; chains: the
    chain of each of these sites there."""
    def __init__(self, upto, made, mark, entries, merged, chains, graves):
        self.upto, self.made, self.mark, self.entries, self.merged, self.chains = upto, made, mark, entries, merged, chains
        self.graves = graves            # row -> Row.graves, for the counting alone

    epoch = property(lambda s: s.made // EPOCH)

    def __deepcopy__(self, memo):
        return self


class Replica(Whole):
    STATE = ("rows held pos cursor upseq merged judged outbox unsettled seen applied kin ends inc epoch link pages returned down marks chains ended "
             "older putback cover taken heard").split()
    marked = 0

    def __init__(self, number, parent, bug, R):
        super().__init__(number, parent, bug, R)
        self.epoch, self.link, self.lives, self.there, self.away = 1, 0, 0, True, 0
        self.pages, self.returned, self.marks, self.chains, self.older = [], [], {}, {}, []
        self.down = []                  # what was handed back, each with the page with which all of it had come down again
        self.ended = {}                 # site -> {seq at which a segment of it ended: chain}, those inherited included
        self.putback, self.cover, self.taken, self.covered, self.alike = False, {}, {}, None, {}
        self.heard = {}                 # site -> {(seq, chain) that a lost log had merged: whether its replica is known to have it}

    name = property(lambda s: s.site if s.isnode else s.number * 100)

    # ---- positions and their marks ------------------------------------------------------------------
    def next(self):
        return self.pos + 1 if self.pos >= self.epoch * EPOCH else self.epoch * EPOCH + 1

    def commit(self):
        super().commit()
        if self.pos not in self.marks:
            Replica.marked += 1
            self.marks[self.pos] = Replica.marked

    def survives(self, page):
        return self.marks.get(page.upto if self.bug == 'cut_R' else page.made) == page.mark

    # ---- a hub that was put back ---------------------------------------------------------------------
    def start_epoch(self, above=0):
        if self.bug == 'same_epoch':
            self.putback = True
            return
        self.epoch, self.putback = max(above, self.pos // EPOCH, self.epoch) + 1, True
        self.pos = self.epoch * EPOCH + 1
        self.commit()

    def note_put_back(self, child):
        """A child that knows of more than there is here tells it; one of an older epoch tells nothing new."""
        if child.link < self.epoch or child.link == 0:
            return
        lost = child.pages and not self.survives(child.pages[-1])
        if child.link > self.epoch or lost or child.received > self.seen.get(child.site, 0):
            self.start_epoch(child.link)

    # ---- hello ----------------------------------------------------------------------------------------
    def hello(self):
        p = self.parent
        if self.putback:
            self.reincarnate()
        self.introduce_again()
        p.note_put_back(self)
        if self.overtaken() or self.another_life():
            self.reincarnate()
            p.note_put_back(self)
        self.enter()
        self.received = p.seen.get(self.site, 0)

    def overtaken(self):
        """The parent holds more of this site than was sealed here, or something else."""
        has = self.parent.seen.get(self.site, 0)
        if has == 0:
            return False
        mine = {s.last: s.chain for s in self.outbox}.get(has)
        return mine != self.parent.chains.get(self.site, {}).get(has)

    def another_life(self):
        """A lost log of the parent had merged of this site what was never sealed here: it is of a life that is forgotten here."""
        p, mine = self.parent, {s.last: s.chain for s in self.outbox}
        points = [x for x in p.heard.get(self.site, ()) if x[0] > p.seen.get(self.site, 0)]
        if self.bug == 'no_chain' or all(mine.get(q) == chain for q, chain in points):
            p.heard.get(self.site, {}).update((x, True) for x in points)
            return False
        return True

    def introduce_again(self):
        """A parent that was put back may not know this incarnation, but one before it."""
        p = self.parent
        if self.site not in p.chains and self.inc:
            old = next((s for s in sorted(self.older) if s in p.chains), None)
            if old is not None:
                self.adopt(self.inc, p.incarnate(self.site, old, self.heads()))

    def reincarnate(self):
        p = self.parent
        if not self.isnode and not self.putback:
            self.start_epoch()
        self.introduce_again()
        if self.bug == 'same_inc':
            self.putback = False
            return
        self.lives += 1
        old, new = self.site, self.number * 100 + self.lives
        shared = p.incarnate(new, old, self.heads())
        self.older.append(old)
        self.adopt(self.lives, shared)
        self.putback = False

    def heads(self):
        return [(s.last, s.chain) for s in self.outbox[-HEADS_MAX - 1:]]

    def adopt(self, inc, shared):
        """What the parent does not share is signed again, with the cursor that it was sealed with."""
        self.inc, self.received = inc, shared
        for seg in self.outbox:
            if seg.last > shared:
                seg.sign()

    def incarnate(self, new, old, heads):
        held = self.chains.setdefault(old, {})
        shared, chain = max([(q, c) for q, c in heads if held.get(q) == c], default=(0, 0))
        if new not in self.chains:
            self.chains[new] = {shared: chain} if shared else {}
            self.applied[new] = [(q, at) for q, at in self.applied.get(old, ()) if q <= shared]
            self.ended[new] = {q: c for q, c in self.ended.get(old, {}).items() if q <= shared}
            self.kin[new] = (old, max([at for _, at in self.applied[new]], default=0))
            if shared:
                self.seen[new] = shared
        return self.seen.get(new, 0)

    # ---- a parent in a new epoch ------------------------------------------------------------------------
    received = 0

    def enter(self):
        p = self.parent
        if self.link == p.epoch:
            for page in self.returned:                      # an epoch's number may come twice: until all has come down again
                p.take_back(page, self.pages[-1].made if self.pages else 0, self.site)
            return
        if self.link == 0:
            self.link = p.epoch
            return
        self.seal()
        lost = next((i for i, g in enumerate(reversed(self.pages)) if p.survives(g)), len(self.pages))
        keep = len(self.pages) - lost
        lost, self.pages = self.pages[keep:], self.pages[:keep]
        again = [] if self.bug == 'once_only' else [g for g, by in self.down if by in lost]     # cases come down in part
        self.returned = again + self.returned + lost
        self.down = [(g, by) for g, by in self.down if by not in lost]
        base, survived = (self.pages[-1].upto, self.pages[-1].made) if self.pages else (0, 0)
        if self.bug not in ('naive', 'min') and (self.bug != 'hand' or self.there):
            for page in self.returned:
                p.take_back(page, survived, self.site)
        self.link, self.cursor = p.epoch, min(self.cursor, base)
        has = p.seen.get(self.site, 0)
        self.merged = min(self.merged, has)
        self.judged = min(self.judged, self.merged)
        if self.bug not in ('naive', 'no_cut'):
            for seg in self.outbox:
                if seg.last > self.merged:
                    seg.cut = base if seg.cut is None else min(seg.cut, base)
        if self.bug != 'not_owed':
            waiting = {x[0] for x in self.unsettled}
            for seg in self.outbox:
                if seg.last > self.merged:
                    self.unsettled += [(q, r, frozenset(cells)) for q, r, cells in seg.rows if q not in waiting]
            self.unsettled.sort(key=lambda x: x[0])
        self.lower()

    def lower(self):
        """What a value was made over in the lost log tells nothing of what the parent writes at those positions now."""
        for row in self.rows.values():
            for c in row.cells.values():
                c.base = min(c.base, self.cursor)

    # ---- segments -------------------------------------------------------------------------------------
    def seal(self):
        n = len(self.outbox)
        super().seal()
        if len(self.outbox) > n:
            cursor, rows = self.outbox[n]
            self.outbox[n] = Segment(cursor, rows, self.link)

    def push(self, first, upto):
        for seg in self.outbox[first:upto]:
            self.parent.ingest(self, seg)
        self.received = max(self.received, self.parent.seen.get(self.site, 0))

    def ingest(self, child, seg):
        s, before = child.site, self.pos
        if seg.last <= self.seen.get(s, 0):
            return
        ctx = min(seg.cursor, seg.cursor if seg.cut is None else seg.cut, self.pos)
        again = max(seg.epoch, 1) < self.epoch
        for seq, r, cells in sorted(seg.rows, key=lambda x: not self.fresh(x)):
            fresh = self.fresh((seq, r, cells))
            self.begin()
            for g, y in cells.items():
                told, gone = self.is_covered(r, g, s, seq), g != LIFE and self.is_covered(r, BY_DELETE, s, seq)
                if not again or fresh or not told and not gone:
                    self.judge(s, r, g, y, ctx)
                elif not told and self.bug != 'empty_graves':
                    self.keep_aside(s, r, g, y, ctx)
            if again and not fresh and self.bug != 'no_reshow':
                self.moved = True
                row = self.row(r)
                # Its sender may have passed over what stands here instead; who edits a row has not deleted it.
                for g in list(cells) + [LIFE] * (row.dead and LIFE not in cells):
                    c = row.cells[g]
                    if c.op is not None:
                        self.show(c)
                        if c.site != s:                     # and does not know it, though its cursor says so
                            c.at, c.dirty = self.at, c.dirty or c.site != PARENT and self.parent is not None
                if row.alive and LIFE in cells and cells[LIFE].value == DEAD:
                    self.whole(r)                           # its sender has deleted it
            self.end()
        self.seen[s] = seg.last
        self.chains.setdefault(s, {})[seg.last] = seg.chain
        self.ended.setdefault(s, {})[seg.last] = seg.chain
        if self.pos == before:
            self.pos = self.next()
        self.applied.setdefault(s, []).append((seg.last, self.pos))
        self.commit()

    def keep_aside(self, s, r, g, y, ctx):
        """No page has told it, for its row was dead: as the lost log's tombstone had it, so that the row is whole should it live again."""
        c = self.row(r).cells[g]
        if not self.row(r).cases.get(g) and self.saw(c, s, ctx) and (c.op is None or c.op.value != y.value):
            self.put(r, g, y, s)

    def is_covered(self, r, g, s, seq):
        q, chain = self.cover.get((r, g), {}).get(s, (0, 0))
        return seq <= q and self.heard[s].get((q, chain), False)

    # ---- pages ------------------------------------------------------------------------------------------
    def page(self, after, upto):
        entries = []
        for r, row in sorted(self.rows.items()):
            places = {}
            for g in (LIFE,) + GROUPS:
                c = row.cells[g]
                if c.op is None or g != LIFE and row.dead or not (after < c.pos <= upto or after < c.at <= upto):
                    continue
                case = bool(row.case if g == LIFE else row.cases.get(g))
                places.setdefault((c.at, c.pos, c.site, c.op.stamp, case, c.open), {})[g] = c.op
            for (at, _, site, _, case, open), cells in places.items():
                entries.append((r, cells, at, max(site, SELF), case or open, case))
        merged = {s: max([q for q, at in done if at <= upto], default=0) for s, done in self.applied.items()}
        made = upto if self.bug == 'cut_R' else self.pos
        chains = {s: self.ended.get(s, {}).get(q, 0) for s, q in merged.items()}
        return Page(upto, self.pos, self.marks[made], entries, merged, chains, {e[0]: frozenset(self.rows[e[0]].graves) for e in entries})

    def pull(self, upto):
        if upto <= self.cursor:
            return
        page = self.parent.page(self.cursor, upto)
        super().pull(upto)
        self.pages.append(page)
        if upto == page.made:
            self.down += [(g, page) for g in self.returned]
            self.returned = []

    def take(self, r, g, theirs, pending):
        super().take(r, g, theirs, pending)
        t = theirs.cells[g]
        self.row(r).cells[g].open = t.open or bool(theirs.case if g == LIFE else theirs.cases.get(g))

    # ---- what comes back ----------------------------------------------------------------------------------
    def take_back(self, page, survived, giver):
        before = self.pos
        self.alike = {s: self.same_life(s, (q, page.chains[s]), giver) for s, q in page.merged.items() if q}
        for r, cells, written, writer, disputed, here in sorted(page.entries, key=lambda e: (e[0], LIFE in e[1])):
            self.take_entry(page, survived, r, cells, written, writer, disputed, here)
        if self.bug == 'whole_seq':
            for s, q in page.merged.items():
                if s in self.chains and q > self.seen.get(s, 0):
                    self.seen[s] = q
        if self.pos != before:
            self.commit()

    def same_life(self, s, point, giver):
        """Whether what is here of a site, and may come, is what the lost log had merged up to a point: False means that the
        site's replica has lost that and numbered anew, None that it has not been asked yet."""
        if self.bug == 'no_chain':
            point = point[0], 0
        held = self.ended.get(s, {}).get(point[0]) == point[1]
        if not held and self.seen.get(s, 0) >= point[0] and self.bug != 'no_chain':
            return False
        known = self.heard.setdefault(s, {})
        known[point] = known.get(point, False) or held or s == giver or self.bug == 'no_chain'     # who hands it back has it
        return known[point] or None

    def take_entry(self, page, survived, r, cells, written, writer, disputed, here):
        self.row(r).graves |= page.graves[r]
        row, earlier = self.row(r), {g: self.taken.get((r, g, page.epoch), []) for g in GROUPS + (LIFE,)}
        if self.alike.get(writer) is False:
            writer = SELF                                   # the site is another's now: nobody here counts as its writer
        claims = not disputed or self.bug in ('open_claims', 'no_case')
        covered = self.covered_cells(page, survived, row, earlier, written) if claims else set()

        def known(c, g):
            # What stands here since before was asked about in the lost log alone: that is not known.
            lost = here and c.at == written and not row.case and not row.cases.get(g) and self.bug != 'case_survives'
            if written <= survived and not lost:
                return True
            if any(was == written and (open or not disputed) or was > written and not open for was, _, open in earlier[g]):
                return True
            # The same child's later word stands here.
            s, q = self.merge_at(c.at) if c.op is not None and c.at > survived else (0, 0)
            return writer != SELF and c.site == writer == s and q > page.merged.get(s, 0) and not (row.case if g == LIFE else row.cases.get(g))

        rest = {g: y for g, y in cells.items() if not known(row.cells[g], g)}
        if claims:
            life = cells.get(LIFE)
            for g in (BY_DELETE, LIFE) if life and life.value == DEAD else cells:
                cover = self.cover.setdefault((r, g), {})
                for s in (s for s, same in self.alike.items() if same is not False):
                    if page.merged[s] > cover.get(s, (0, 0))[0]:
                        cover[s] = page.merged[s], page.chains[s] if self.bug != 'no_chain' else 0
        if not rest:
            return
        self.begin()
        self.covered, self.judged_row = covered, row
        for g in sorted(rest, key=lambda g: (g == LIFE, g)):
            if not claims and (g == LIFE or g == 0) and row.life() != DEAD:
                self.reopen(r, g, rest[g], writer)
            else:
                self.judge(writer, r, g, rest[g], survived if claims else 0)
        self.covered = None
        for g in rest:
            c, open = row.cells[g], bool(row.case if g == LIFE else row.cases.get(g))
            c.open = c.open or disputed
            entries = self.taken.setdefault((r, g, page.epoch), [])
            entries[:] = [e for e in entries if e[0] != written] + [
                (written, c.at if c.at == self.at and self.is_told(c, writer, rest[g]) else 0, open or disputed)]
        self.end()

    def reopen(self, r, g, y, writer):
        """There was a case in the lost log: only a decision closes it."""
        c = self.row(r).cells[g]
        if c.op is None:
            self.put(r, g, y, writer)
        if g == LIFE:
            self.row_case(r, y.value, y, writer)
        else:
            self.dispute(r, g, y, writer)

    def is_told(self, c, writer, y):
        """What stands is the cell that came back, no decision of a policy: that covers more."""
        return c.site == writer and c.op.stamp == y.stamp and (c.op is y or not c.op.system)

    def covered_cells(self, page, survived, row, earlier, written):
        """The row's cells that the lost log had merged, or written over, when it made the page."""
        out = set()
        for g, c in row.cells.items():
            if c.op is None or c.at <= survived:
                continue
            entry = next((e for e in earlier[g] if e[1] == c.at), None)
            if entry:
                if entry[0] < written and not entry[2]:
                    out.add(g)
            elif c.site > SELF and self.alike.get(c.site):
                s, q = self.merge_at(c.at)
                if s == c.site and q <= page.merged[c.site]:
                    out.add(g)
        return out

    def merge_at(self, at):
        """The child, and its seq, of the merge whose transaction has this position."""
        end = min((x for x in self.marks if x >= at), default=0)
        return next(((s, q) for s, done in self.applied.items() for q, x in done if x == end), (0, 0))

    def inherited(self, c, s):
        # What was taken back stands where that was, before its own site came again, though it be of after the copy: only merges tell.
        return super().inherited(c, s) and (self.bug == 'kin_all' or self.merge_at(c.at)[0] == c.site)

    def saw(self, c, s, ctx):
        if self.covered is None:
            return super().saw(c, s, ctx)
        return c.at == 0 or c.at <= ctx or any(c is self.judged_row.cells[g] for g in self.covered)

    def judge(self, s, r, g, y, ctx):
        if self.covered is not None and self.bug in ('newer_wins', 'older_wins'):
            row = self.row(r)
            c = row.cells[g]
            if c.op is None or self.bug == 'older_wins' or c.at < self.epoch * EPOCH:
                row.cases.pop(g, None)
                self.put(r, g, y, s)
            return
        super().judge(s, r, g, y, ctx)

    # ---- restore --------------------------------------------------------------------------------------------
    def backup(self):
        self.seal()
        self.snap = copy.deepcopy({a: getattr(self, a) for a in self.STATE + ['received']})

    def restore(self, everyone):
        for a, v in copy.deepcopy(self.snap).items():
            setattr(self, a, v)
        left = set().union(*(r.knows() for r in everyone))
        for ops in Op.all.values():                         # only what lay on this disk alone may go
            for i in [i for i in ops if i not in left]:
                del ops[i]

    def knows(self):
        ops = [y for page in self.pages + self.returned + [g for g, _ in self.down] for e in page.entries for y in e[1].values()]
        known = set().union(*(o.covers for o in ops)) if ops else set()
        return known | set().union(*(Op.equal.get(i, ()) for i in known)) | super().knows() if known else super().knows()
