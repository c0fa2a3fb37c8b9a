// What travels: the row changes of a segment, laid out by form and by column.
//
// Two designs were weighed. A row-wise list of changes is the easier one to write, and costs one small array and up to
// 30 strings a row; the column-wise one costs a few arrays a form, is what the codec wants anyway, and lets the store bind
// bytes without making a String. The second was chosen.

/// Who typed a change, where and when. Hubs preserve it on the way up and down.
package struct Stamp: Hashable, Sendable {
    /// The site at which it was typed, not the one that forwards it.
    package var origin: SiteID
    /// As claimed by the origin; "outside program" where a stranger's SQLite program wrote.
    package var author: String
    /// Seconds since 1970 by the origin's clock; for display, audit and `newest` only, never for causality.
    package var time: Int64
    package init(origin: SiteID, author: String, time: Int64) {
        self.origin = origin
        self.author = author
        self.time = time
    }
}

/// What a change says about the life of its row.
package enum Life: UInt8, Sendable {
    case unchanged = 0
    case alive = 1
    case dead = 2
}

/// One field of every change in a `FormChanges`: a column of cells in one arena, no object per cell.
package struct CellColumn: Hashable, Sendable {
    package enum Tag: UInt8, Sendable { case null = 0, integer = 1, real = 2, text = 3 }

    /// One tag a cell.
    package private(set) var tags: [UInt8] = []
    /// An integer's value, a real's bit pattern, or for a text the END of its bytes in `bytes` (its start is in `starts`).
    package private(set) var words: [Int64] = []
    /// Where a text's bytes begin; 0 for other cells.
    package private(set) var starts: [Int32] = []
    /// The UTF-8 of all texts.
    package private(set) var bytes: [UInt8] = []

    package init() {}
    /// Texts alone, laid end to end.
    init(texts bytes: [UInt8], ends: [Int]) {
        tags = Array(repeating: Tag.text.rawValue, count: ends.count)
        words = ends.map(Int64.init)
        starts = ends.isEmpty ? [] : [0] + ends.dropLast().map(Int32.init)
        self.bytes = bytes
    }
    package var count: Int { tags.count }

    package mutating func reserve(_ cells: Int) {
        tags.reserveCapacity(cells)
        words.reserveCapacity(cells)
        starts.reserveCapacity(cells)
    }

    package mutating func appendNull() { append(.null, 0, 0) }
    package mutating func append(integer: Int64) { append(.integer, integer, 0) }
    package mutating func append(real: Double) { append(.real, Int64(bitPattern: real.bitPattern), 0) }
    /// The caller vouches that the bytes are valid UTF-8 (SQLite's own text, or checked by the decoder).
    package mutating func append(utf8: UnsafeBufferPointer<UInt8>) {
        let start = Int32(bytes.count)
        bytes.append(contentsOf: utf8)
        append(.text, Int64(bytes.count), start)
    }
    package mutating func append(_ value: Value) {
        switch value {
        case .null: appendNull()
        case .integer(let value): append(integer: value)
        case .real(let value): append(real: value)
        case .text(var value): value.withUTF8 { append(utf8: $0) }
        }
    }
    private mutating func append(_ tag: Tag, _ word: Int64, _ start: Int32) {
        tags.append(tag.rawValue)
        words.append(word)
        starts.append(start)
    }

    /// The byte range of a text cell in `bytes`.
    package func textRange(_ cell: Int) -> Range<Int> { Int(starts[cell])..<Int(words[cell]) }

    package subscript(cell: Int) -> Value {
        switch Tag(rawValue: tags[cell])! {
        case .null: .null
        case .integer: .integer(words[cell])
        case .real: .real(Double(bitPattern: UInt64(bitPattern: words[cell])))
        case .text: .text(String(decoding: bytes[textRange(cell)], as: UTF8.self))
        }
    }
}

/// A column as plain memory, for loops over every cell of a form: a column taken out of its array retains and releases its four arrays each
/// time, which was a third of a merge.
package struct PlainColumn {
    package let tags: UnsafePointer<UInt8>
    package let words: UnsafePointer<Int64>
    package let starts: UnsafePointer<Int32>
    /// Where the texts' bytes are; where all are empty, any place: a text without a place would be null to SQLite.
    package let bytes: UnsafePointer<CChar>
}

/// Where a hub's log has a change; stands in log pages only.
package struct Placement: Hashable, Sendable {
    /// The position at which the cells were written (rule 2 judges by it).
    package var written: Position
    /// The position at which the log shows them last; differs from `written` when a cell is shown again.
    package var shown: Position
    /// The hub's direct child whose change this was; the hub's own site if it was made there or came from above.
    package var writer: SiteID
    /// The cells are disputed at the hub.
    package var disputed: Bool
    /// They are disputed at a hub above, as far as that was told.
    package var disputedAbove: Bool
    package init(written: Position, shown: Position, writer: SiteID, disputed: Bool, disputedAbove: Bool = false) {
        self.written = written
        self.shown = shown
        self.writer = writer
        self.disputed = disputed
        self.disputedAbove = disputedAbove
    }
}

/// The row changes of one form in a segment; every array has one element a change, in order of seq.
package struct FormChanges: Hashable, Sendable {
    package var form: FormNumber
    package var rows: [RowID] = []
    package var life: [Life] = []
    /// Which fields each change carries; a judge groups them by its own catalogue.
    package var masks: [FieldMask] = []
    /// Index into `SegmentBody.stamps`.
    package var stamps: [Int32] = []
    /// Log pages only, else empty.
    package var placements: [Placement] = []
    /// The fields that any change carries, ascending; `columns` stand in the same order.
    package var fields: [Int] = []
    /// A cell whose mask bit is off is null and means nothing.
    package var columns: [CellColumn] = []

    package init(form: FormNumber) { self.form = form }
    package var count: Int { rows.count }

    /// Gives the columns as plain memory, which is valid during the call; there must be a change.
    package func withPlainColumns<Result>(_ body: ([PlainColumn]) throws -> Result) rethrows -> Result {
        var plain: [PlainColumn] = []
        return try withPlainColumns(from: 0, &plain, body)
    }

    private func withPlainColumns<Result>(from index: Int, _ plain: inout [PlainColumn], _ body: ([PlainColumn]) throws -> Result) rethrows -> Result {
        guard index < columns.count else { return try body(plain) }
        return try columns[index].tags.withUnsafeBufferPointer { tags in
            try columns[index].words.withUnsafeBufferPointer { words in
                try columns[index].starts.withUnsafeBufferPointer { starts in
                    try columns[index].bytes.withUnsafeBufferPointer { bytes in
                        let texts = UnsafeRawPointer(bytes.baseAddress ?? tags.baseAddress!).assumingMemoryBound(to: CChar.self)
                        plain.append(PlainColumn(tags: tags.baseAddress!, words: words.baseAddress!, starts: starts.baseAddress!, bytes: texts))
                        return try withPlainColumns(from: index + 1, &plain, body)
                    }
                }
            }
        }
    }
}

/// The decoded body of a segment.
package struct SegmentBody: Hashable, Sendable {
    package var stamps: [Stamp] = []
    package var forms: [FormChanges] = []
    /// Log pages only.
    package var page: LogPageInfo?
    package init() {}
    /// Row changes in all forms together; the segment's last seq is its first plus this minus one.
    package var changeCount: Int { forms.reduce(0) { $0 + $1.count } }
}

/// Where a segment of a site ended: its last seq, and the first eight bytes of the chain's hash there, by which two lives of one
/// site are told apart that have numbered alike. 0: not known.
package struct ChainMark: Hashable, Sendable {
    package var seq: Seq
    package var chain: UInt64
    package init(seq: Seq, chain: UInt64) {
        self.seq = seq
        self.chain = chain
    }
}

/// What a log page says beside its changes.
package struct LogPageInfo: Hashable, Sendable {
    /// Exclusive: the page holds what the log shows or wrote after this.
    package var after: Position
    /// Inclusive: the child's next cursor. A page ends where a merge transaction ended.
    package var upTo: Position
    /// The end of the hub's log when the page was made; equal to `upTo` when the page reaches it.
    package var logEnd: Position
    /// Up to where the hub had merged each of its direct children as of `upTo`.
    package var merged: [SiteID: ChainMark]
    /// What of each lay in quarantine as of `upTo`: ascending, apart. A site of which nothing did stands nowhere.
    package var quarantined: [SiteID: [ClosedRange<Seq>]]
    package init(
        after: Position, upTo: Position, logEnd: Position, merged: [SiteID: ChainMark], quarantined: [SiteID: [ClosedRange<Seq>]] = [:]
    ) {
        self.after = after
        self.upTo = upTo
        self.logEnd = logEnd
        self.merged = merged
        self.quarantined = quarantined
    }
}
