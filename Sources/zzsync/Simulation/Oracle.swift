// Who wrote what having seen what: the full causal history of every cell, kept beside the real country and unknown to it.
//
// The product carries a position and a cursor; here every value carries the set of all values that its author had before his
// eyes, and those before theirs. Every write of a clerk has a value of its own in its cell, so that a value names its write
// (where an operator takes a candidate the value stands for both, which can only make the oracle milder). A write is lost when it
// neither stands in the final value's history nor in a delete that had seen it, and no policy has put it into the journal.

/// One group of one row.
struct CellKey: Hashable, Sendable {
    let row: RowKey
    /// Index into the form's groups.
    let group: Int
}

struct RowKey: Hashable, Sendable {
    let scope: UInt64
    let form: Int
    let id: Int64
}

/// Who writes: one action of a clerk at a node.
struct Clerk {
    let node: String
    /// As which of all writes of the country.
    let number: Int
    /// Stands for the action in stamps and journals.
    var author: String { "\(node)#\(number)" }
}

/// Who decides: one verdict at a hub.
struct Judge {
    let site: String
    /// Stands for the verdict in stamps and journals.
    let author: String
}

@SimulationActor final class Oracle {
    struct Entry {
        /// Everything that its authors had seen, and what that was written over.
        var past: Set<String>
        /// A person typed it, and it is not empty.
        var isEntry: Bool
        var author: String
        /// Group → what stood in the rest of the row before the author's eyes.
        var beside: [Int: String] = [:]
        /// Where and when it was typed.
        var made = Made()
        /// What operators who chose it had before their eyes.
        var rulings: [Ruling] = []
    }
    struct Ruling {
        var author: String
        var made: Made
        var past: Set<String>
        /// It went with a disk.
        var isForgotten = false
        /// Sites below a hub that held the chosen value already when it was told of the decision (Rulings.swift).
        var metAbove: Set<String> = []
    }
    struct Death {
        var author: String
        var made = Made()
        var isForgotten = false
        /// Group → what was seen of it.
        var past: [Int: Set<String>]
        /// Operators who let the row live.
        var overruled: [Ruling] = []
        /// By a clerk: it must not come to nothing unseen.
        var isEntry: Bool
    }
    /// At which site, and in which turn of the country.
    struct Made {
        var site = ""
        var turn = 0
    }

    private(set) var cells: [CellKey: [String: Entry]] = [:]
    private(set) var deaths: [RowKey: [Death]] = [:]
    private let scheduler: Scheduler
    /// Site → turns of which its disk keeps nothing: each from the copy that was put back to the moment at which it was.
    private var lostTurns: [String: [ClosedRange<Int>]] = [:]

    init(_ scheduler: Scheduler) { self.scheduler = scheduler }

    private func made(at site: String) -> Made { Made(site: site, turn: scheduler.turns) }

    // MARK: what people do

    /// - Parameters:
    ///   - old: what stood there before the author's eyes; nil for a new row.
    ///   - beside: group → what stood in the whole row when it was written.
    func write(_ cell: CellKey, _ value: String, over old: String?, by clerk: Clerk, isEmpty: Bool, beside: [Int: String]) {
        var entry = cells[cell]?[value] ?? Entry(past: [], isEntry: false, author: clerk.author)
        entry.beside = beside
        entry.made = made(at: clerk.node)
        if let old { entry.past.formUnion(known(cell, old)) }
        if !isEmpty { entry.isEntry = true }
        cells[cell, default: [:]][value] = entry
    }

    /// - Parameter seen: group → the value that was shown.
    func delete(_ row: RowKey, seen: [Int: String], by clerk: Clerk) {
        deaths[row, default: []].append(
            Death(author: clerk.author, made: made(at: clerk.node), past: pasts(row, seen), isEntry: true))
    }

    /// An operator's answer for a cell covers all that he was shown.
    func decide(_ cell: CellKey, _ value: String, covering seen: [String], by judge: Judge) {
        var entry = cells[cell]?[value] ?? Entry(past: [], isEntry: false, author: judge.author)
        var past: Set<String> = []
        for other in seen { past.formUnion(known(cell, other)) }
        past.remove(value)
        entry.rulings.append(Ruling(author: judge.author, made: made(at: judge.site), past: past))
        cells[cell, default: [:]][value] = entry
    }

    /// A hub was told of a decision, and held its value already.
    ///
    /// - Parameter below: the sites under that hub.
    func meet(_ cell: CellKey, _ value: String, by author: String, below: Set<String>) {
        for index in (cells[cell]?[value]?.rulings ?? []).indices where cells[cell]![value]!.rulings[index].author == author {
            cells[cell]![value]!.rulings[index].metAbove.formUnion(below)
        }
    }

    /// An operator lets a row die, or merges it into another one.
    func decideDeath(_ row: RowKey, seen: [Int: [String]], by judge: Judge) {
        let past = Dictionary(uniqueKeysWithValues: seen.map { group, values in
            (group, values.reduce(into: Set<String>()) { $0.formUnion(known(CellKey(row: row, group: group), $1)) })
        })
        deaths[row, default: []].append(Death(author: judge.author, made: made(at: judge.site), past: past, isEntry: false))
    }

    /// An operator lets a row live: every delete so far is answered.
    func decideLife(_ row: RowKey, by judge: Judge) {
        let ruling = Ruling(author: judge.author, made: made(at: judge.site), past: [])
        for index in (deaths[row] ?? []).indices { deaths[row]![index].overruled.append(ruling) }
    }

    // MARK: what is gone with a disk

    /// A site's home was put back. What was typed or decided there since its copy, and is held nowhere, is nobody's loss; and nobody has
    /// seen what a decision that is gone had covered. The same holds for what was lost earlier: this disk may have held the rest of it.
    func forget(at site: String, since turn: Int, held: Held) {
        lostTurns[site, default: []].append(turn + 1...max(turn + 1, scheduler.turns))
        // Decisions first: what one that is gone had covered is not held because the value that it chose is.
        markRulings(true) { isLost($0.made) && !held.authors.contains($0.author) }
        markDeaths(true) { isLost($1.made) && !held.authors.contains($1.author) && !held.dead.contains($0) }
        for (cell, entries) in cells {
            let known = (held.words[cell] ?? []).reduce(into: Set<String>()) { $0.formUnion(self.known(cell, $1)) }
            for (word, entry) in entries {
                if entry.isEntry, isLost(entry.made), !known.contains(word) { cells[cell]![word]!.isEntry = false }
            }
        }
    }

    /// What was on its way while a disk was lost has come in since: its decisions and deletes are somewhere after all.
    func remember(_ held: Held) {
        markRulings(false) { held.authors.contains($0.author) }
        markDeaths(false) { held.authors.contains($1.author) }
    }

    private func markRulings(_ isForgotten: Bool, where fits: (Ruling) -> Bool) {
        func marked(_ ruling: Ruling) -> Ruling {
            var ruling = ruling
            if fits(ruling) { ruling.isForgotten = isForgotten }
            return ruling
        }
        for (cell, entries) in cells {
            for (word, entry) in entries where !entry.rulings.isEmpty { cells[cell]![word]!.rulings = entry.rulings.map(marked) }
        }
        for (row, all) in deaths {
            for index in all.indices { deaths[row]![index].overruled = all[index].overruled.map(marked) }
        }
    }

    private func markDeaths(_ isForgotten: Bool, where fits: (RowKey, Death) -> Bool) {
        for (row, all) in deaths {
            for index in all.indices where fits(row, all[index]) { deaths[row]![index].isForgotten = isForgotten }
        }
    }

    private func isLost(_ made: Made) -> Bool { lostTurns[made.site]?.contains { $0.contains(made.turn) } ?? false }

    // MARK: what follows

    /// The value and everything that was seen before it.
    func known(_ cell: CellKey, _ value: String) -> Set<String> {
        guard let entry = cells[cell]?[value] else { return [value] }
        return entry.rulings.reduce(into: entry.past.union([value])) { if !$1.isForgotten { $0.formUnion($1.past) } }
    }

    /// The same with what decisions for these words have covered since, where a hub above whoever wrote over them held the word when it was
    /// told of the decision: nothing moved there ("a value that merely comes back takes no new position"), so that nobody is asked, and
    /// nobody need be: the operator had seen what he decided against, and the writer the word that he decided for. A decision at the
    /// writer's own parent counts only if he had it before his eyes: that hub asks.
    ///
    /// - Parameter site: where all of them were before somebody's eyes.
    private func widened(_ cell: CellKey, _ words: Set<String>, seenAt site: String? = nil) -> Set<String> {
        let entries = cells[cell] ?? [:]
        var (words, count) = (words, -1)
        /// - Parameter word: what a decision was against is not written over what it chose, though that had stood before as well.
        func add(_ past: Set<String>, _ site: String, notAgainst word: String?) {
            for ruling in past.flatMap({ entries[$0]?.rulings ?? [] }) where !ruling.isForgotten && ruling.metAbove.contains(site) {
                if let word, ruling.past.contains(word) { continue }
                words.formUnion(ruling.past)
            }
        }
        while count != words.count {
            count = words.count
            for word in words {
                guard let entry = entries[word] else { continue }
                let writers = [(entry.past, entry.made.site)] + entry.rulings.filter { !$0.isForgotten }.map { ($0.past, $0.made.site) }
                for (past, site) in writers { add(past.intersection(words), site, notAgainst: word) }
            }
            if let site { add(words, site, notAgainst: nil) }
        }
        return words
    }

    func isKnownValue(_ cell: CellKey, _ value: String) -> Bool { cells[cell]?[value] != nil }

    private func pasts(_ row: RowKey, _ seen: [Int: String]) -> [Int: Set<String>] {
        Dictionary(uniqueKeysWithValues: seen.map { ($0, known(CellKey(row: row, group: $0), $1)) })
    }

    /// One of the two had seen the other, in every cell that the case is about: nobody had to be asked.
    func isFalse(_ cells: [(cell: CellKey, candidates: [String])]) -> Bool {
        guard let sides = cells.first?.candidates.indices, sides.count > 1 else { return !cells.isEmpty }
        return sides.contains { newest in
            cells.allSatisfy { cell, candidates in candidates.allSatisfy { known(cell, candidates[newest]).contains($0) } }
        }
    }

    /// A case of a row's life is false when the delete had seen everything that the hub shows of the row.
    func isFalse(_ row: RowKey, deletedBy: [String], shown: [Int: String]) -> Bool {
        guard let death = deaths[row]?.last(where: { !$0.isForgotten && deletedBy.contains($0.author) }) else { return false }
        return shown.allSatisfy { group, word in
            cells[CellKey(row: row, group: group)]?[word] == nil || death.past[group]?.contains(word) == true
        }
    }

    /// The entries of a cell that its final value does not know, and nobody had seen who deleted the row: what was deleted
    /// knowingly need not come back when the row is kept after all.
    func unknown(_ cell: CellKey, to value: String) -> [(value: String, entry: Entry)] {
        let known = widened(cell, known(cell, value))
        return (cells[cell] ?? [:]).filter { word, entry in
            entry.isEntry && !known.contains(word) && !isInDeath(cell, word)
        }.map { ($0, $1) }.sorted { $0.0 < $1.0 }
    }

    /// The entries of a dead row that none of its deletes had seen.
    func unseen(_ row: RowKey, groups: Range<Int>, tombstone: [Int: Set<String>]) -> [(value: String, entry: Entry)] {
        groups.flatMap { group in
            let cell = CellKey(row: row, group: group)
            return (cells[cell] ?? [:]).filter { word, entry in
                entry.isEntry && tombstone[group]?.contains(word) != true && !isInDeath(cell, word)
            }.map { ($0, $1) }
        }.sorted { $0.0 < $1.0 }
    }

    /// Whoever deleted the row had seen it.
    func isInDeath(_ cell: CellKey, _ word: String) -> Bool {
        deaths[cell.row]?.contains { death in
            !death.isForgotten && death.past[cell.group].map { widened(cell, $0, seenAt: death.made.site).contains(word) } == true
        } == true
    }

    /// Deletes of clerks that came to nothing, though the row lives.
    func unanswered(_ row: RowKey) -> [Death] { (deaths[row] ?? []).filter { !$0.isForgotten && $0.isEntry && $0.overruled.allSatisfy(\.isForgotten) } }

    var rows: Set<RowKey> { Set(cells.keys.map(\.row)).union(deaths.keys) }
}
