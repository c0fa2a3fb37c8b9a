// Where the cells of a row stand, packed: one base (position, stamp) in columns of the row, and a blob with the cells that
// differ from it. A row that nobody else touched has no blob.

import Shared

/// The metadata of one row as stored.
struct RowMeta {
    var at: Position
    /// Stamp number.
    var by: Int64
    /// nil when every cell stands at the base, nothing is disputed and the row has no case.
    var exceptions: [UInt8]?

    private enum Flag {
        static let disputed: UInt8 = 1
        static let ownWriting: UInt8 = 2        // written and stamp differ from the base
        static let shownApart: UInt8 = 4        // the log shows it elsewhere than where it was written
        static let based: UInt8 = 8             // the parent's position it was made over
        static let disputedAbove: UInt8 = 16
    }
    private static let rowCase: UInt8 = 1

    /// One cell as packed; group 0 is the life.
    struct Entry {
        var group: Int
        var written: Position
        var shown: Position
        var stamp: Int64
        var disputed: Bool
        var base: Position
        var disputedAbove = false
        /// Of another version of the catalogue: what is not said of it was never written, whatever the base is.
        var isForeign = false
    }

    static func pack(_ entries: [Entry], rowCase: Bool) -> RowMeta {
        let base = mostCommon(entries)
        var writer = ByteWriter()
        writer.byte(rowCase ? Self.rowCase : 0)
        var count = 0
        for entry in entries where !entry.isForeign || entry.written != .none {
            var flags: UInt8 = entry.disputed ? Flag.disputed : 0
            if entry.isForeign || entry.written != base.at || entry.stamp != base.by { flags |= Flag.ownWriting }
            if entry.shown != entry.written { flags |= Flag.shownApart }
            if entry.base != .none { flags |= Flag.based }
            if entry.disputedAbove { flags |= Flag.disputedAbove }
            guard flags != 0 else { continue }
            count += 1
            writer.varint(entry.group)
            writer.byte(flags)
            if flags & Flag.ownWriting != 0 {
                writer.zigzag(entry.written.rawValue - base.at.rawValue)
                writer.zigzag(entry.stamp - base.by)
            }
            if flags & Flag.shownApart != 0 { writer.zigzag(entry.shown.rawValue - entry.written.rawValue) }
            if flags & Flag.based != 0 { writer.zigzag(entry.base.rawValue) }
        }
        return RowMeta(at: base.at, by: base.by, exceptions: count == 0 && !rowCase ? nil : writer.bytes)
    }

    /// Fills the entries, which hold the groups (0 for the life) on call.
    func unpack(into entries: inout [Entry]) throws -> (hasRowCase: Bool, disputed: Bool) {
        for index in entries.indices where !entries[index].isForeign {
            entries[index].written = at
            entries[index].shown = at
            entries[index].stamp = by
        }
        guard let exceptions else { return (false, false) }
        var reader = ByteReader(exceptions)
        let hasRowCase = try reader.byte("row flags") & Self.rowCase != 0
        var disputed = false
        while reader.left > 0 {
            let group = Int(try reader.varint("group"))
            let flags = try reader.byte("cell flags")
            var entry = Entry(group: group, written: at, shown: at, stamp: by, disputed: flags & Flag.disputed != 0, base: .none)
            if flags & Flag.ownWriting != 0 {
                entry.written = Position(at.rawValue + (try reader.zigzag("written")))
                entry.stamp = by + (try reader.zigzag("stamp"))
            }
            entry.shown = entry.written
            if flags & Flag.shownApart != 0 { entry.shown = Position(entry.written.rawValue + (try reader.zigzag("shown"))) }
            if flags & Flag.based != 0 { entry.base = Position(try reader.zigzag("base")) }
            entry.disputedAbove = flags & Flag.disputedAbove != 0
            disputed = disputed || entry.disputed
            guard let index = entries.firstIndex(where: { $0.group == group }) else { continue }
            entry.isForeign = entries[index].isForeign
            entries[index] = entry
        }
        return (hasRowCase, disputed)
    }

    /// The first of the places where most cells stand. Nearly all rows have one or two: a list is faster than a dictionary.
    private static func mostCommon(_ entries: [Entry]) -> (at: Position, by: Int64) {
        var places: [(at: Position, by: Int64, count: Int)] = []
        for entry in entries where !entry.isForeign {
            if let known = places.firstIndex(where: { $0.at == entry.written && $0.by == entry.stamp }) {
                places[known].count += 1
            } else {
                places.append((entry.written, entry.stamp, 1))
            }
        }
        var most = (at: Position.none, by: Int64(0), count: 0)
        for place in places where place.count > most.count { most = place }
        return (most.at, most.by)
    }
}

/// The rows of an extent: (form, row id) in order, a few bytes each.
enum ExtentRows {
    static func pack(_ rows: [(form: FormNumber, row: RowID)]) -> [UInt8] {
        var writer = ByteWriter(reserving: rows.count * 3)
        var previous = (form: 0, row: Int64(0))
        for (form, row) in rows {
            writer.varint(form)
            writer.zigzag(row.rawValue &- (form == previous.form ? previous.row : 0))
            previous = (form, row.rawValue)
        }
        return writer.bytes
    }

    static func unpack(_ bytes: [UInt8]) throws -> [(form: FormNumber, row: RowID)] {
        var reader = ByteReader(bytes)
        var rows: [(form: FormNumber, row: RowID)] = []
        var previous = (form: 0, row: Int64(0))
        while reader.left > 0 {
            let form = Int(try reader.varint("form"))
            let row = (try reader.zigzag("row")) &+ (form == previous.form ? previous.row : 0)
            rows.append((form, RowID(row)))
            previous = (form, row)
        }
        return rows
    }
}
