// Rows of system forms, as this hub writes them: ordinary rows of one group, which nobody disputes because each has one writer.

import GRDB
import Shared

extension MergeRow {
    /// A record of this hub, new in the log.
    static func record(_ form: Form, _ id: RowID, _ values: [Value], by: Provenance, at position: Position) -> MergeRow {
        var row = MergeRow(form: form, id: id)
        row.position = position
        row.put(life: .alive, by: by)
        row.put(0, values, by: by)
        return row
    }
}

/// Ids of the records of one transaction: scattered by site, program and position, then one after the other, so that a thousand of them
/// cost little on the wire. A hub that was put back uses positions again until somebody tells it, but not in the same program.
struct RecordIDs {
    private var next: Int64

    /// - Parameters:
    ///   - position: the first that the transaction takes.
    ///   - scope: whose log that is; nil for what stands in none.
    init(_ home: HubHome, at position: Position, of scope: ScopeID?) {
        // Positions of two schools are the same numbers: their rows shall not have one id, though they might.
        let place = UInt64(position.rawValue) &* 0x9E37_79B9_7F4A_7C15 &+ (scope?.rawValue ?? 0)
        var mixed = home.keys.site.rawValue ^ home.idSeed ^ place
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        next = Int64((mixed ^ mixed >> 31) >> 2) + 1
    }

    mutating func mint() -> RowID {
        defer { next += 1 }
        return RowID(next)
    }
}

extension HubHome {
    /// This hub as its records name it.
    var recordName: String { "\(identity.code) \(identity.name)" }

    /// A record that is a change of the log for itself.
    func write(_ db: Database, _ record: DecisionRecord, _ id: RowID, to scope: ScopeID) throws {
        var store = try SQLiteScopeStore(db, scope: scope)
        let position = store.logEnd.next(inEpoch: epoch)
        let by = Provenance(writer: .hub, stamp: Stamp(origin: keys.site, author: record.author, time: record.at))
        try store.save([.record(SystemForms.decision, id, record.values, by: by, at: position)])
        try store.append(Extent(merged: nil, rows: [(SystemForms.decision.number, id)]), upTo: position)
        try ClaimKeeper(home: self).update(db, scope: scope)
    }
}

extension CaseView {
    /// Both sides as a record keeps them.
    var sides: [DecisionRecord.Side] {
        candidates.map { DecisionRecord.Side(values: $0.values, author: $0.author, time: $0.time, site: $0.site) }
            + (rows ?? []).map { DecisionRecord.Side(values: $0.values, author: $0.author, time: $0.time, site: $0.site) }
    }
}

extension DecisionRecord {
    /// The same as the other school reads it: its own row first.
    func turned(school: String, scope: ScopeID) -> DecisionRecord {
        var turned = self
        (turned.row, turned.otherRow) = (otherRow ?? row, row)
        (turned.otherSchool, turned.otherScope) = (school, scope.description)
        return turned
    }
}
