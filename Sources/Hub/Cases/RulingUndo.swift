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
        case _ where entry["kind"] as String == RuleCase.kind:
            try undoRule(decision)
        default:
            try reopen(decision)
        }
    }

    /// The value or life that was decided is open again, and the cases that went with it.
    mutating func reopen(_ decision: Row) throws {
        let cell = group.map { row.cells[$0] } ?? row.lifeCell
        guard cell.written.rawValue == decision["position"] as Int64 else {
            let isSame = group.map { ValuesJSON.encode(row.groupValues($0)) == decision["value"] as String } ?? false
            throw isSame ? askedAgain(decision) : writtenAgain(decision, cell)
        }
        // The case shows what was decided, among what others have written meanwhile: that must not go with an undo.
        if let later = group.map({ row.cases[$0] }) ?? row.rowCase, later.number != number { throw isDisputed(decision, later) }
        var stamps = store.stamps
        let open = OpenCase(number: number, candidates: try CaseStore.candidates(db, number: number, stamps: &stamps))
        row.reopen(group, open, by: by, at: takePosition())
        if group == nil { try reopenCells(closedBy: decision["record"], &stamps) }
        value = group.map { ValuesJSON.encode(row.groupValues($0)) } ?? decision["before"]
        try save(row)
        try reopenCase()
    }

    func isDisputed(_ decision: Row, _ later: OpenCase) -> Failure {
        Failure(
            .refused, "What decision \(decision["decision"] as Int64) wrote is disputed: case \(later.number ?? 0) is open.",
            next: "Nothing was changed; decide on that case, it has what was written since.")
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
        guard gone.life == .dead, survivor.life == .alive, try isUntouched(survivor, since: end) else {
            throw Failure(
                .refused, "The merged row was \(survivor.life == .alive ? "written again" : "deleted") since.",
                next: "Nothing was changed; add the other row again at the school.")
        }
        let old = ValuesJSON.decode(decision["before"])
        survivor.position = takePosition()
        for index in row.form.groups.indices {
            // A foreign field that came since stood in neither row.
            let values = row.form.groups[index].fields.map { $0 < old.count ? old[$0] : survivor.values[$0] }
            guard values != survivor.groupValues(index) else { continue }
            if let later = survivor.cases[index] { throw isDisputed(decision, later) }
            survivor.forceWrite(index, values, by: by)
        }
        gone.decideLife(.alive, by: by, at: takePosition())
        try save(survivor)
        try save(gone)
        try reopenCase()
    }

    /// Whether nobody has written the row since, other than by merges with a third row that were taken back themselves: those left the
    /// values as they were, at places of their own.
    private func isUntouched(_ survivor: MergeRow, since end: Position) throws -> Bool {
        guard survivor.lifeCell.written <= end else { return false }
        let later = survivor.cells.indices.filter { survivor.cells[$0].written > end }
        guard !later.isEmpty else { return true }
        // The survivor is written first, then the other row: the journal notes the place of the latter.
        let takenBack = try Set(
            Int64.fetchAll(
                db,
                sql: """
                    SELECT this.position - 1 FROM zz_decision AS merge JOIN zz_case AS twins ON twins.number = merge.number
                      JOIN zz_decision AS this ON this.decision IN (merge.decision, merge.undone_by)
                    WHERE merge.kind = 'merge' AND merge.undone_by IS NOT NULL AND twins.kind = 'twins' AND twins.scope = ?1 AND twins.form = ?2
                      AND ?3 IN (twins.id, twins.other_id)
                    """, arguments: [store.scope.key, survivor.form.number, survivor.id.rawValue]))
        return try later.allSatisfy { index in
            var written = survivor.cells[index].written
            while written > end {
                let before = try Int64.fetchOne(
                    db.cachedStatement(
                        sql: "SELECT written FROM zz_history WHERE scope = ? AND form = ? AND id = ? AND field_group = ? AND replaced = ?"),
                    arguments: [store.scope.key, survivor.form.number, survivor.id.rawValue, survivor.form.groups[index].number, written.rawValue])
                guard takenBack.contains(written.rawValue), let before else { return false }
                written = Position(before)
            }
            return true
        }
    }

    func reopenCase() throws { try Self.reopen(db, number) }

    /// A change request that is open again is a question: the value is held until somebody answers.
    private static func reopen(_ db: Database, _ number: Int64) throws {
        try db.execute(
            sql: "UPDATE zz_case SET kind = iif(kind = 'owner', 'cell', kind), closed_at = NULL, record = NULL, version = version + 1 WHERE number = ?",
            arguments: [number])
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
