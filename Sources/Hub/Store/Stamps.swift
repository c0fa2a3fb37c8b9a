// Provenance ↔ stamp number. Each combination of writer, origin, author and time stands once in zz_stamp, so that a cell
// carries one small number.

import GRDB
import Shared

struct Stamps {
    private let db: Database
    private var numbers: [Provenance: Int64] = [:]
    private var provenances: [Int64: Provenance] = [:]
    /// Most cells of a row have the same: comparing is cheaper than hashing.
    private var last: (provenance: Provenance, number: Int64) = (MergeRow.nobody, 0)

    /// Lives as long as one transaction: what it caches may be rolled back.
    init(_ db: Database) { self.db = db }

    mutating func number(_ provenance: Provenance) throws -> Int64 {
        if last.provenance == provenance { return last.number }
        if let known = numbers[provenance] {
            last = (provenance, known)
            return known
        }
        let arguments: StatementArguments = [
            Self.key(provenance.writer), provenance.stamp.origin.key, provenance.stamp.author, provenance.stamp.time,
        ]
        // The first receipt's clamp stays: a later one would be kinder to the same wrong clock.
        try db.cachedStatement(sql: "INSERT OR IGNORE INTO zz_stamp (writer, origin, author, time, clamped) VALUES (?, ?, ?, ?, ?)")
            .execute(arguments: arguments + [provenance.clamped])
        let number = try Int64.fetchOne(
            db.cachedStatement(sql: "SELECT stamp FROM zz_stamp WHERE writer = ? AND origin = ? AND author = ? AND time = ?"),
            arguments: arguments)!
        numbers[provenance] = number
        provenances[number] = provenance
        return number
    }

    /// Stamp 0 is nobody: a cell that was never written.
    mutating func provenance(_ number: Int64) throws -> Provenance {
        if number == 0 { return MergeRow.nobody }
        if last.number == number { return last.provenance }
        if let known = provenances[number] {
            last = (known, number)
            return known
        }
        guard let row = try Row.fetchOne(
            db.cachedStatement(sql: "SELECT writer, origin, author, time, clamped FROM zz_stamp WHERE stamp = ?"), arguments: [number])
        else {
            throw Failure(.damaged, "Stamp \(number) is missing in zz_stamp.", next: "Restore the hub's last backup.")
        }
        let provenance = Provenance(
            writer: Self.writer(row["writer"]),
            stamp: Stamp(origin: SiteID(key: row["origin"]), author: row["author"], time: row["time"]), clamped: row["clamped"])
        numbers[provenance] = number
        provenances[number] = provenance
        return provenance
    }

    static func key(_ writer: Provenance.Writer) -> Int64 {
        switch writer {
        case .hub: 0
        case .parent: 1
        case .child(let site): site.key
        }
    }

    static func writer(_ key: Int64) -> Provenance.Writer {
        switch key {
        case 0: .hub
        case 1: .parent
        default: .child(SiteID(key: key))
        }
    }
}
