// Replays histories that Tests/models/whole_run.py prints, and compares after every step: values, positions, writers, cases
// with their candidates, what waits. The format is described in Tests/models/whole_history.py.

import Foundation

@testable import Hub
@testable import Shared

/// The printed histories, word by word: numbers apart from the letter that a line begins with.
struct HistoryReader {
    private let bytes: [UInt8]
    private var at = 0
    private(set) var words: [Int] = []

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The next line's letter, its numbers in `words`; nil at the end.
    mutating func next() -> UInt8? {
        bytes.withUnsafeBufferPointer { bytes in
            guard at < bytes.count else { return nil }
            words.removeAll(keepingCapacity: true)
            let letter = bytes[at]
            at += 1
            while at < bytes.count, bytes[at] != 0x0A {
                at += 1
                var value = 0
                let negative = bytes[at] == 0x2D
                if negative { at += 1 }
                while at < bytes.count, bytes[at] >= 0x30 {
                    value = value * 10 + Int(bytes[at]) - 0x30
                    at += 1
                }
                words.append(negative ? -value : value)
            }
            at += 1
            return letter
        }
    }
}

/// One history being replayed.
struct ModelHistory {
    let seed: Int
    private let mutants: MergeMutant
    private var replicas: [Int: ModelReplica] = [:]
    /// What the model says of each row of each replica.
    private var expected: [Int: [Int: [Int]]] = [:]
    private var standings: [Int: [Int]] = [:]
    /// What it says of replicas in histories with hubs that are put back.
    private var lives: [Int: [Int]] = [:]
    private let chains = ModelCounter()
    /// 0 in histories without them.
    private let epoch: Int
    private var touched: Set<Int> = []
    private var lastStep = "the start"
    private(set) var steps = 0

    init(seed: Int, epoch: Int = 0, mutants: MergeMutant) {
        self.epoch = epoch
        self.seed = seed
        self.mutants = mutants
    }

    /// Takes a line of the history.
    ///
    /// - Returns: how the replicas differ from the model after the step before it; nil when they agree.
    mutating func take(_ letter: UInt8, _ words: [Int]) throws -> String? {
        switch UnicodeScalar(letter) {
        case "N":
            replicas[words[0]] = ModelReplica(
                number: words[0], parent: replicas[words[1]], isNode: words[2] == 1, epoch: epoch, chains: chains, mutants: mutants)
        case "A":
            if let difference = compare() { return difference }
            steps += 1
            lastStep = "step \(steps): \(UnicodeScalar(UInt8(words[0]))) \(words.dropFirst().map(String.init).joined(separator: " "))"
            try act(UnicodeScalar(UInt8(words[0])), replicas[words[1]]!, Array(words.dropFirst(2)))
        case "q":
            replicas[words[0]]!.unreadable.formUnion(words.dropFirst())
        case "h":
            replicas[words[0]]!.invalid = Set(words.dropFirst().map { RowID(Int64($0)) })
        case "t":
            replicas[words[0]]!.restoring.isThere = words[1] == 1
        case "e":
            lives[words[0]] = words
        case "z":
            touched.insert(words[0])
            standings[words[0]] = words
        case "r":
            expected[words[0], default: [:]][words[1]] = Array(words.dropFirst(2))
        default:
            return compare()
        }
        return nil
    }

    private func act(_ letter: UnicodeScalar, _ replica: ModelReplica, _ words: [Int]) throws {
        func row(_ index: Int) -> RowID { RowID(Int64(words[index])) }
        switch letter {
        case "I": replica.insert(row(0), words[1], Array(words[2...]))
        case "E": try replica.edit(row(0), words[1], words[2], words[3])
        case "D": try replica.delete(row(0), words[1])
        case "M": try replica.merge(row(0), row(1), words[2], Array(words[3...]))
        case "d": try replica.decide(row(0), words[1], words[2], words[3])
        case "k": try replica.decideLife(row(0), Life(rawValue: UInt8(words[1]))!, words[2])
        case "P": try replica.push(words[0]..<words[1])
        case "L": try replica.pull(upTo: Position(Int64(words[0])))
        case "U": try replica.release(Seq(Int64(words[1])), of: replicas.values.first { $0.site.rawValue == UInt64(words[0]) }!)
        case "B": replica.backup()
        case "p":
            if !mutants.contains(.lateHello) { try replica.hello() }
            try replica.push(words[0]..<words[1])
            replica.link.received = max(replica.link.received, replica.parent!.store.merged(of: replica.site))
        case "l":
            try replica.hello()
            try replica.pull(upTo: Position(Int64(words[0])))
        case "b": replica.copyHome()
        case "r": replica.putBack()
        case "R": replica.restore(as: words[0])
        default: preconditionFailure("the model printed a step that is not known here: \(letter)")
        }
        guard !mutants.isDisjoint(with: [.collect, .collectLate]) else { return }
        for hub in replicas.values where !hub.isNode { hub.collect(replicas.values.filter { $0.parent === hub }) }
    }

    // MARK: comparing

    private mutating func compare() -> String? {
        defer { touched.removeAll(keepingCapacity: true) }
        for number in touched.sorted() {
            let replica = replicas[number]!
            let link = replica.link
            let standing = [
                number, Int(replica.store.logEnd.rawValue), Int(link.cursor.rawValue), Int(link.merged.rawValue),
                Int(link.judged.rawValue), Int(link.nextSeq.rawValue) - 1,
            ]
            guard standing == standings[number]! else {
                return explain(replica, "pos, cursor, merged, judged, seq", standings[number]!, standing)
            }
            if let model = lives[number], model != life(replica) {
                return explain(replica, "epoch, link, site, put back, pages, returned, received, taken, covers", model, life(replica))
            }
            let known = expected[number] ?? [:]
            let here = replica.isNode ? Set(replica.table.keys).union(replica.marks.keys) : Set(replica.store.rows.keys)
            for id in Set(known.keys).union(here.map { Int($0.rawValue) }).sorted() {
                let numbers = replica.isNode ? nodeRow(replica, RowID(Int64(id))) : hubRow(replica, RowID(Int64(id)))
                if let model = known[id] {
                    guard numbers == model else { return explain(replica, "row \(id)", model, numbers) }
                } else if numbers.contains(where: { $0 != 0 }) {
                    return explain(replica, "row \(id)", [], numbers)
                }
            }
        }
        return nil
    }

    /// As `Recorder.life` in whole_history.py.
    private func life(_ replica: ModelReplica) -> [Int] {
        let (link, store) = (replica.link, replica.store)
        return [
            replica.number, replica.isNode ? 0 : replica.epoch, link.epoch, Int(replica.site.rawValue), replica.restoring.isPutBack ? 1 : 0,
            link.pages.count, link.returned.count, Int(link.received.rawValue), store.taken.values.reduce(0) { $0 + $1.count },
            store.covers.values.reduce(0) { $0 + $1.count },
        ]
    }

    private func explain(_ replica: ModelReplica, _ what: String, _ model: [Int], _ swift: [Int]) -> String {
        "seed \(seed), \(lastStep): replica \(replica.number), \(what)\n  model \(model)\n  Swift \(swift)"
    }

    /// As `node_row` in whole_history.py.
    private func nodeRow(_ replica: ModelReplica, _ id: RowID) -> [Int] {
        let row = replica.table[id]
        let mark = replica.marks[id] ?? ModelReplica.Mark()
        let pending = replica.link.pending(id)
        var numbers = [row == nil ? 0 : 1]
        for group in ModelForm.form.groups {
            let values = row.map { row in group.fields.map { row[$0] } } ?? [.null]
            numbers.append(values.allSatisfy(\.isNull) ? 0 : ModelForm.number(values))
            numbers.append(row != nil && !(mark.mask & group.mask).isEmpty ? 1 : 0)
            numbers.append((pending.fields & group.mask).isEmpty ? 0 : 1)
        }
        return numbers + [mark.life == .unchanged ? 0 : 1, pending.life ? 1 : 0]
    }

    /// As `hub_row` in whole_history.py.
    private func hubRow(_ replica: ModelReplica, _ id: RowID) -> [Int] {
        let row = replica.store.rows[id] ?? MergeRow(form: ModelForm.form, id: id)
        let pending = replica.link.pending(id)
        let dirty = replica.dirty(row)
        var numbers = [Int(row.life.rawValue), row.life == .alive && replica.link.isDeleteUnjudged(id) ? 1 : 0]
        add(
            row.lifeCell, Int(row.life.rawValue), dirty: dirty.life, pending: pending.life,
            candidates: (row.rowCase?.candidates ?? []).map { (Int($0.life.rawValue), $0.by) }, to: &numbers)
        for (index, group) in row.form.groups.enumerated() {
            add(
                row.cells[index], ModelForm.number(row.groupValues(index)), dirty: !(dirty.fields & group.mask).isEmpty,
                pending: !(pending.fields & group.mask).isEmpty,
                candidates: (row.cases[index]?.candidates ?? []).map { (ModelForm.number($0.values), $0.by) }, to: &numbers)
        }
        return numbers
    }

    private func add(
        _ cell: Cell, _ value: Int, dirty: Bool, pending: Bool, candidates: [(value: Int, by: Provenance)],
        to numbers: inout [Int]
    ) {
        func who(_ by: Provenance) -> [Int] {
            [ModelForm.number(by.writer), Int(by.stamp.origin.rawValue), Int(by.stamp.time)]
        }
        if cell.isWritten {
            numbers += [Int(cell.written.rawValue), Int(cell.shown.rawValue), value] + who(cell.by)
        } else {
            numbers += [0, 0, 0, 0, 0, 0]
        }
        numbers += [Int(cell.base.rawValue), dirty ? 1 : 0, pending ? 1 : 0, candidates.count]
        for candidate in candidates { numbers += [candidate.value] + who(candidate.by) }
    }
}
