// What a decision wrote is written back, at a new position, and its case is open again as it was.

import Foundation
import GRDB
import Shared

extension Ruling {
    mutating func undo(_ decision: Row) throws {
        guard entry["cut"] as String? == nil else {
            throw Failure(
                .refused, "Case \(number) was decided under a version of the catalogue that cuts the form's groups differently.",
                next: "Nothing was changed; correct the value with an ordinary write.")
        }
        switch decision["kind"] as String {
        case "distinct":
            try reopenCase()
        case "merge":
            try undoMerge(decision)
        case "return":
            guard entry["closed_at"] as Int64? == nil else {
                throw Failure(.refused, "Case \(number) was closed since it was returned.", next: "Nothing was changed.")
            }
            // A later question stands: its record is the position after the decision's own.
            try db.execute(
                sql: """
                    UPDATE zz_case SET version = version + 1, returned = (SELECT max(position) + 1 FROM zz_decision
                      WHERE number = ?1 AND kind = 'return' AND undone_by IS NULL AND decision <> ?2) WHERE number = ?1
                    """, arguments: [number, decision["decision"] as Int64])
        case "apply":
            try undoApply(decision)
        case _ where entry["kind"] as String == "owner" && decision["policy"] as String? == nil:
            try undoAnswer(decision)
        case _ where entry["kind"] as String == RuleCase.kind:
            try undoRule(decision)
        default:
            try reopen(decision)
        }
    }

    /// The value or life that was decided is open again, and the cases that went with it.
    mutating func reopen(_ decision: Row) throws {
        let cell = group.map { row.cells[$0] } ?? row.lifeCell
        guard try lastWrite(row, group, since: Position(decision["position"])) == Position(decision["position"]) else {
            throw moved(decision, group, cell)
        }
        // The case shows what was decided, among what others have written meanwhile: that must not go with an undo.
        if let later = group.map({ row.cases[$0] }) ?? row.rowCase, later.number != number { throw isDisputed(decision, later) }
        try checkSame(decision, row, group)
        var stamps = store.stamps
        let open = OpenCase(number: number, candidates: try CaseStore.candidates(db, number: number, stamps: &stamps))
        row.reopen(group, open, by: by, at: takePosition())
        if group == nil { try reopenCells(closedBy: decision["record"], &stamps) }
        value = group.map { ValuesJSON.encode(row.groupValues($0)) } ?? decision["before"]
        try save(row)
        try reopenCase()
    }

    /// A change request that was answered is open again: what its owner had written stands, as his word.
    private mutating func undoAnswer(_ decision: Row) throws {
        guard let group else { return try reopen(decision) }
        let position: Int64 = decision["position"]
        let cell = row.cells[group]
        guard try lastWrite(row, group, since: Position(position)) == Position(position) else { throw moved(decision, group, cell) }
        if let later = row.cases[group] { throw isDisputed(decision, later) }
        try checkSame(decision, row, group)
        let old = ValuesJSON.decode(decision["before"])
        if old != row.groupValues(group) {
            row.position = takePosition()
            row.forceWrite(group, old, by: try owners(group, writtenOverAt: position) ?? by)
            try save(row)
        }
        value = ValuesJSON.encode(old)
        try Self.reopen(db, number, asQuestion: false)
    }

    /// Whose the value was that a decision wrote over: the parent's still, where it has not been told; else this hub says it for him.
    private func owners(_ group: Int, writtenOverAt position: Int64) throws -> Provenance? {
        var owners = try provenance(group, writtenOverAt: position)
        if owners?.writer == .parent, try unsent(position).isSuperset(of: row.form.groups[group].mask) { return owners }
        owners?.writer = .hub
        return owners
    }

    /// - Parameter group: nil for the row's life.
    /// - Throws: `Failure(.refused)` where somebody typed what stands there too: an undo would take his word without his knowing.
    func checkSame(_ decision: Row, _ row: MergeRow, _ group: Int?) throws {
        // The decision's first write is one place before the one that it notes, where it wrote two rows.
        let first = Position(decision["position"]).advanced(by: -1)
        let too = try Row.fetchOne(
            db.cachedStatement(
                sql: "SELECT author, time FROM zz_same JOIN zz_stamp USING (stamp) WHERE scope = ? AND form = ? AND id = ? AND field_group = ? AND written >= ? LIMIT 1"),
            arguments: [store.scope.key, row.form.number, row.id.rawValue, group.map { row.form.groups[$0].number } ?? 0, first.rawValue])
        guard let too else { return }
        throw Failure(
            .refused,
            "What decision \(decision["decision"] as Int64) wrote was written by \(too["author"] as String) too, at \(shownTime(too["time"])), who had not seen the decision.",
            next: "Nothing was changed: an undo would take that word as well. Correct the value with an ordinary write.")
    }

    func isDisputed(_ decision: Row, _ later: OpenCase) -> Failure {
        Failure(
            .refused, "What decision \(decision["decision"] as Int64) wrote is disputed: case \(later.number ?? 0) is open.",
            next: "Nothing was changed; decide on that case, it has what was written since.")
    }

    private func moved(_ decision: Row, _ group: Int?, _ cell: Cell) -> Failure {
        let isSame = group.map { ValuesJSON.encode(row.groupValues($0)) == decision["value"] as String } ?? false
        return isSame ? askedAgain(decision) : writtenAgain(decision, cell)
    }

    /// A policy let the value stand against another since: that is asked about by itself.
    func askedAgain(_ decision: Row) -> Failure {
        Failure(
            .refused, "What decision \(decision["decision"] as Int64) wrote was kept since against another value that came.",
            next: "Nothing was changed; answer what is asked about it now, or correct the value with an ordinary write.")
    }

    func writtenAgain(_ decision: Row, _ cell: Cell) -> Failure {
        return Failure(
            .refused, "What decision \(decision["decision"] as Int64) wrote was written again by \(cell.by.stamp.author) at \(shownTime(cell.by.stamp.time)).",
            next: "Nothing was changed; correct the value with an ordinary write.")
    }

    /// A delete that decided had closed the row's cell cases too: they are open again, each showing what it showed.
    private mutating func reopenCells(closedBy record: Int64, _ stamps: inout Stamps) throws {
        let closed = try Row.fetchAll(
            db, sql: "SELECT number, field_group FROM zz_case WHERE scope = ? AND form = ? AND id = ? AND record = ? AND kind = 'cell'",
            arguments: [store.scope.key, row.form.number, row.id.rawValue, record])
        for cell in closed {
            guard let index = row.form.groups.firstIndex(where: { $0.number == cell["field_group"] as Int }) else { continue }
            let number: Int64 = cell["number"]
            let open = OpenCase(number: number, candidates: try CaseStore.candidates(db, number: number, stamps: &stamps))
            row.reopen(index, open, by: by, at: row.position)
            try Self.reopen(db, number)
        }
    }

    private mutating func undoMerge(_ decision: Row) throws {
        guard let otherID = entry["other_id"] as Int64?,
            let other = try store.load(row.form, [RowID(otherID)])[RowID(otherID)]
        else { throw Failure(.damaged, "The other row of case \(number) is gone.", next: "Run `zzsync hub status`.") }
        var (survivor, gone) = row.id < other.id ? (row, other) : (other, row)
        let end = Position(decision["position"]).advanced(by: 1)
        let places = [nil] + survivor.cells.indices.map { $0 }
        guard gone.life == .dead, survivor.life == .alive, try places.allSatisfy({ try lastWrite(survivor, $0, since: end) <= end }) else {
            throw Failure(
                .refused, "The merged row was \(survivor.life == .alive ? "written again" : "deleted") since.",
                next: "Nothing was changed; add the other row again at the school.")
        }
        guard try lastWrite(gone, nil, since: Position(decision["position"])) == Position(decision["position"]) else {
            throw Failure(
                .refused, "That row \(gone.id) does not live was decided again since, by \(gone.lifeCell.by.stamp.author).",
                next: "Nothing was changed; undo that decision first.")
        }
        try checkSame(decision, gone, nil)
        let old = ValuesJSON.decode(decision["before"])
        survivor.position = takePosition()
        for index in row.form.groups.indices {
            // A foreign field that came since stood in neither row.
            let values = row.form.groups[index].fields.map { $0 < old.count ? old[$0] : survivor.values[$0] }
            guard values != survivor.groupValues(index) else { continue }
            if let later = survivor.cases[index] { throw isDisputed(decision, later) }
            try checkSame(decision, survivor, index)
            survivor.forceWrite(index, values, by: by)
        }
        gone.decideLife(.alive, by: by, at: takePosition())
        try save(survivor)
        try save(gone)
        try reopenCase()
    }

    /// Where a cell was written last, passing over what merges with another row wrote after a position and that were taken back themselves: those
    /// left what stood there as it was, at places of their own.
    ///
    /// - Parameter group: nil for the row's life.
    private func lastWrite(_ row: MergeRow, _ group: Int?, since end: Position) throws -> Position {
        var written = group.map { row.cells[$0].written } ?? row.lifeCell.written
        guard written > end else { return written }
        let takenBack = try mergesTakenBack(row)
        while written > end {
            let before = try Int64.fetchOne(
                db.cachedStatement(sql: "SELECT written FROM zz_history WHERE scope = ? AND form = ? AND id = ? AND field_group = ? AND replaced = ?"),
                arguments: [store.scope.key, row.form.number, row.id.rawValue, group.map { row.form.groups[$0].number } ?? 0, written.rawValue])
            guard takenBack.contains(written.rawValue), let before else { break }
            written = Position(before)
        }
        return written
    }

    /// Where merges of the row that were undone, and their undos, wrote it.
    private func mergesTakenBack(_ row: MergeRow) throws -> Set<Int64> {
        // The survivor is written first, then the other row: the journal notes the place of the latter.
        try Set(
            Int64.fetchAll(
                db.cachedStatement(
                    sql: """
                        SELECT this.position - place.value FROM json_each('[0, 1]') AS place, zz_case AS twins
                          JOIN zz_decision AS merge ON merge.number = twins.number JOIN zz_decision AS this ON this.decision IN (merge.decision, merge.undone_by)
                        WHERE merge.kind = 'merge' AND merge.undone_by IS NOT NULL AND twins.kind = 'twins' AND twins.scope = ?1 AND twins.form = ?2
                          AND ?3 IN (twins.id, twins.other_id)
                        """), arguments: [store.scope.key, row.form.number, row.id.rawValue]))
    }

    func reopenCase() throws { try Self.reopen(db, number) }

    /// What the system made a change request, and somebody took back, is a question: the value is held until somebody answers.
    /// An answer that is taken back leaves it a request.
    private static func reopen(_ db: Database, _ number: Int64, asQuestion: Bool = true) throws {
        try db.execute(
            sql: """
                UPDATE zz_case SET kind = iif(?1 AND kind = 'owner', 'cell', kind), closed_at = NULL, record = NULL, version = version + 1
                WHERE number = ?2
                """, arguments: [asQuestion, number])
    }
}

extension MergeRow {
    /// A case that was decided is open again: what it shows is shown.
    mutating func reopen(_ group: Int?, _ open: OpenCase, by: Provenance, at position: Position) {
        self.position = position
        if let group {
            cases[group] = open
            forceWrite(group, open.shown.values, by: open.shown.by)
        } else {
            decideLife(.alive, by: by, at: position)
            rowCase = open
        }
    }
}
