"""Prints a history of `whole_model.py` for the Swift tests: what each replica did, and how it stood afterwards.

One record a line, words apart by one blank: a letter, then integers.

    S seed                                      a history begins
    N replica parent node                       a replica: its number, its parent's or 0, 1 for a node
    A letter-code replica arguments...          a step (the letters of whole_run.py, as character codes)
    T seed                                      the same, of one with hubs that are put back (hub_run.py)
    q replica numbers...                        which segments of its outbox its parent cannot understand (quarantine_run.py)
    h replica rows...                           the rows that it holds back from now on (invalid, or not released)
    z replica pos cursor merged judged seq      where a replica stands after a step
    t replica there                             whether it can speak to its parent (a mutant asks)
    e replica numbers...                        where it stands as one that may be put back: `Recorder.life`
    r replica row numbers...                    a row of it that changed: `hub_row` and `node_row` tell the numbers
    F                                           the history is over

Rows that a step did not print stand as they stood before: the reader compares those too.
"""
from whole_state import GROUPS, LIFE, Row


def number(site):
    return site


class Recorder:
    def __init__(self, out):
        self.out = out

    def start(self, seed, everyone):
        self.rows, self.helds = {}, {}
        self.lines = [f"{'T' if hasattr(everyone[0], 'epoch') else 'S'} {seed}"]
        for r in everyone:
            self.lines.append(f"N {r.number} {r.parent.number if r.parent else 0} {int(r.isnode)}")

    def step(self, letter, r, *args):
        if letter == 'I':
            args += tuple(r.row(args[0]).cells[g].op.value for g in GROUPS)
        self.lines.append(' '.join(map(str, ('A', ord(letter), r.number) + args)))
        for x in [r, r.parent] if letter in 'PRpl' else [r]:
            self.stand(x)

    def stand(self, r):
        self.held(r)
        self.lines.append(f"z {r.number} {0 if r.isnode else r.pos} {r.cursor} {r.merged} {r.judged} {r.upseq}")
        if hasattr(r, 'epoch'):
            self.life(r)
        pending = r.pending(r.merged)
        for x in sorted(set(r.rows) | {x for n, x in self.rows if n == r.number}):      # a restored node may lack some
            now = (node_row if r.isnode else hub_row)(r, r.rows.get(x) or Row(), pending.get(x, ()))
            if self.rows.get((r.number, x)) != now:
                self.rows[r.number, x] = now
                self.lines.append(f"r {r.number} {x} " + ' '.join(map(str, now)))

    def life(self, r):
        taken, covers = sum(map(len, r.taken.values())), sum(map(len, r.cover.values()))
        self.lines.append(f"e {r.number} {0 if r.isnode else r.epoch} {r.link} {r.site} {int(r.putback)} {len(r.pages)} {len(r.returned)} "
                          f"{r.received} {taken} {covers}")

    def there(self, r):
        self.lines.append(f"t {r.number} {int(r.there)}")

    def unreadable(self, r, numbers):
        self.lines.append(' '.join(map(str, ['q', r.number] + numbers)))

    def held(self, r):
        now = sorted(r.held)
        if self.helds.get(r.number, []) != now:
            self.helds[r.number] = now
            self.lines.append(' '.join(map(str, ['h', r.number] + now)))

    def finish(self):
        self.lines.append("F\n")
        self.out.write('\n'.join(self.lines))


def node_row(r, row, pending):
    """Present or not; the value, whether it waits to be sealed and whether it waits for the parent, of each group; the same
    two of the life."""
    out = [int(row.alive)]
    for g in GROUPS:
        c = row.cells[g]
        value = c.op.value if row.alive and c.op else 0
        out += [value, int(row.alive and c.dirty), int(g in pending)]
    return out + [int(row.cells[LIFE].dirty), int(LIFE in pending)]


def hub_row(r, row, pending):
    """The life, then each cell, the life's first: written, shown, value, who brought it, origin, time, base, waits to go up,
    waits for the parent, candidates; of each candidate: value, who brought it, origin, time."""
    out = [row.life(), int(r.unjudged(row))]
    for g in (LIFE,) + GROUPS:
        c = row.cells[g]
        if c.op is None:
            out += [0, 0, 0, 0, 0, 0, c.base, 0, int(g in pending), 0]
            continue
        out += [c.at, c.pos, c.op.value, c.site, *c.op.stamp, c.base, int(c.dirty), int(g in pending)]
        case = [(life, o, s) for life, o, s in row.case] if g == LIFE else [(o.value, o, s) for o, s in row.cases.get(g, ())]
        out.append(len(case))
        for value, o, s in case:
            out += [value, s, *o.stamp]
    return out
