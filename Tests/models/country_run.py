"""Runs `whole_model.py` on the history of a played country (`zzsync simulate`), and counts the cases that it opens.

    python3 country_run.py FILE...

Each file is the history of one school, as Tests/Simulation/HistoryWitness.swift writes it down: who wrote what, when each replica
sealed, merged and pulled, what was decided.  Positions and seqs are the country's; the model has its own beside them.  Prints one line:
cells asked about and how many of them falsely, lives asked about and how many of them falsely.  A case is false when one of the two
that opened it had seen the other; one of a row's life, when the delete had seen all that the hub shows of the row.
"""
import sys

import whole_model
import whole_state
from whole_state import ALIVE, DEAD, LIFE, SELF, Op


class Counted(whole_model.Replica):
    """Counts its cases."""
    timed = {}                          # row -> its groups that are decided by time

    def __init__(self, number, parent):
        super().__init__(number, parent, None, None)
        self.cells = self.false_cells = self.lives = self.false_lives = 0
        self.opened = []
        self.places, self.sealed = {0: 0}, {0: 0}       # the country's position -> the model's; its seq -> segments

    def by_time(self, r, g):
        return g in self.timed[r]

    @staticmethod
    def had_seen(op, g):
        """By value, as the country's oracle knows a write: who had seen one of two equal words had seen the other."""
        return {o.value for i in op.covers for o in [Op.all[op.row][i]] if o.kind == g}

    def dispute(self, r, g, y, site):
        if not self.row(r).cases.get(g):
            here = self.row(r).cells[g].op
            self.cells += 1
            self.false_cells += here.value in self.had_seen(y, g) or y.value in self.had_seen(here, g)
        super().dispute(r, g, y, site)

    def row_case(self, r, life, y, site):
        row = self.row(r)
        if not row.case:
            self.lives += 1
            self.opened.append((r, y if y.kind == LIFE and y.value == DEAD else row.cells[LIFE].op))
        super().row_case(r, life, y, site)

    def look(self):
        """What a new case of a row's life is about, as the hub shows the row when somebody first looks at it."""
        for r, death in self.opened:
            shown = [(g, self.row(r).cells[g].op) for g in whole_model.GROUPS]
            self.false_lives += all(o is None or o.value in self.had_seen(death, g) for g, o in shown)
        self.opened = []


class Country:
    def __init__(self):
        self.sites = {}
        self.time = 0

    def one(self, site, do):
        site.begin()
        do()
        site.end()
        site.commit()

    def insert(self, site, r, values):
        stamp = site.author(r, self.time)
        for g in whole_model.GROUPS:
            site.write(r, g, Op(r, g, (), stamp, values[g]), SELF)
        site.write(r, LIFE, Op(r, LIFE, (), stamp, ALIVE), SELF)

    def step(self, letter, n, *a):
        self.time += 1
        if letter == 'G':
            whole_model.GROUPS = whole_state.GROUPS = tuple(range(n))
        elif letter == 'W':
            Counted.timed[n] = set(a)
        elif letter == 'N':
            self.sites[n] = Counted(n, self.sites.get(a[0]))
        elif letter == 's':
            site = self.sites[n]
            site.seal()
            site.sealed[a[0]] = len(site.outbox)
        elif letter == 'i':
            self.merge(self.sites[n], self.sites[a[0]], a[1])
            self.sites[n].places[a[2]] = self.sites[n].pos
        elif letter == 'p':
            self.sites[n].places[a[0]] = self.sites[n].pos
        elif letter == 'c':
            site = self.sites[n]
            site.pull(site.parent.places[a[0]])
            site.look()
        else:
            self.act(letter, self.sites[n], *a)

    def merge(self, hub, child, seq):
        upto = child.sealed[seq]
        if upto > child.sent:
            child.push(child.sent, upto)
        hub.look()

    def act(self, letter, site, r, *a):
        if letter == 'I':
            self.one(site, lambda: self.insert(site, r, a))
        elif letter == 'E':
            self.one(site, lambda: site.edit(r, a[0], self.time, a[1]))
        elif letter == 'D':
            self.one(site, lambda: site.delete(r, self.time))
        elif letter == 'd':
            self.one(site, lambda: site.decide(r, a[0], a[1], self.time))
        elif letter == 'k':
            self.one(site, lambda: site.decide_row(r, a[0], self.time))


def main():
    totals = [0, 0, 0, 0]
    for path in sys.argv[1:]:
        Op.count, Op.all, Op.equal, Op.lives, Op.graves = 0, {}, {}, set(), {}
        country = Country()
        with open(path, encoding='utf-8') as lines:
            for number, line in enumerate(lines, 1):
                letter, *words = line.split()
                try:
                    country.step(letter, *map(int, words))
                except (KeyError, AttributeError) as error:
                    print(f"{path}:{number}: the model stands elsewhere: {line.strip()}: {error!r}")
                    return 1
        for s in country.sites.values():
            totals = [a + b for a, b in zip(totals, (s.cells, s.false_cells, s.lives, s.false_lives))]
    print(*totals)
    return 0


if __name__ == '__main__':
    sys.exit(main())
