/// One field's cells of the changes that carry it; absent cells cost nothing.
///
/// A column is first parted by kind (null, integer, real, text), then each kind is encoded alone: so every mix of
/// values comes back exactly, and a few nulls or numbers among texts do not keep the texts from packing well. Which
/// encoding is used follows from the values alone; no field is named.
enum ColumnCodec {
    /// What the first byte of a column says. 1...4 mean that all cells are of one kind.
    enum Layout: UInt8 {
        case nulls = 1
        case integers = 2
        case reals = 3
        case texts = 4
        /// The kinds follow.
        case mixed = 5
        /// Follows from other columns, with exceptions (`PredictedColumn`); stands only where the header names a decoding
        /// set.
        case predicted = 0x20
        /// Reserved: key id and ciphertext; never predicted.
        case encrypted = 0x21
    }

    /// Kinds of the cells of a mixed column.
    private enum KindEncoding: UInt8 {
        /// (length - 1) × 4 + kind.
        case runs = 0
        /// The two kinds, then a bit a cell, low bit first.
        case bits = 1
    }

    /// - Parameter cells: the indices of the present cells, ascending; at least one.
    static func encode(_ column: CellColumn, cells: [Int32], into out: inout ByteWriter) {
        var counts = (0, 0, 0, 0)
        for cell in cells {
            switch column.tags[Int(cell)] {
            case 0: counts.0 += 1
            case 1: counts.1 += 1
            case 2: counts.2 += 1
            default: counts.3 += 1
            }
        }
        let kinds = [counts.0, counts.1, counts.2, counts.3]
        if let only = kinds.firstIndex(of: cells.count) {
            out.byte(UInt8(only + 1))
        } else {
            out.byte(Layout.mixed.rawValue)
            encodeKinds(column.tags, cells, kinds: kinds, into: &out)
        }
        if counts.1 > 0 { IntegerStream.encode(words(of: .integer, column, cells), into: &out) }
        if counts.2 > 0 { IntegerStream.encode(words(of: .real, column, cells), into: &out) }
        if counts.3 > 0 { encodeTexts(column, cells, count: counts.3, into: &out) }
    }

    private static func words(of tag: CellColumn.Tag, _ column: CellColumn, _ cells: [Int32]) -> [Int64] {
        var words: [Int64] = []
        words.reserveCapacity(cells.count)
        for cell in cells where column.tags[Int(cell)] == tag.rawValue { words.append(column.words[Int(cell)]) }
        return words
    }

    private static func encodeTexts(_ column: CellColumn, _ cells: [Int32], count: Int, into out: inout ByteWriter) {
        var starts: [Int32] = []
        var ends: [Int32] = []
        starts.reserveCapacity(count)
        ends.reserveCapacity(count)
        for cell in cells where column.tags[Int(cell)] == CellColumn.Tag.text.rawValue {
            starts.append(column.starts[Int(cell)])
            ends.append(Int32(column.words[Int(cell)]))
        }
        // An arena of empty texts only has no address.
        let arena = column.bytes.isEmpty ? [0] : column.bytes
        arena.withUnsafeBufferPointer {
            TextCodec.encode(TextSource(base: $0.baseAddress!, starts: starts, ends: ends), into: &out)
        }
    }

    private static func encodeKinds(_ tags: [UInt8], _ cells: [Int32], kinds: [Int], into out: inout ByteWriter) {
        var runs = ByteWriter()
        var start = 0
        while start < cells.count {
            let tag = tags[Int(cells[start])]
            var end = start + 1
            while end < cells.count, tags[Int(cells[end])] == tag { end += 1 }
            runs.varint((end - start - 1) << 2 | Int(tag))
            start = end
        }
        let used = kinds.indices.filter { kinds[$0] > 0 }
        guard used.count == 2, (cells.count + 7) / 8 < runs.count else {
            out.byte(KindEncoding.runs.rawValue)
            return out.raw(runs.bytes)
        }
        out.byte(KindEncoding.bits.rawValue)
        out.byte(UInt8(used[0] << 2 | used[1]))
        out.raw(count: (cells.count + 7) / 8) { target in
            for i in 0..<cells.count where tags[Int(cells[i])] == used[1] { target[i >> 3] |= 1 << UInt8(i & 7) }
        }
    }

    // MARK: Decoding

    /// What the bytes of a column give: its cells, or the exceptions to a prediction that is made later.
    enum Decoded {
        case cells(CellColumn)
        case predicted(Exceptions)
    }

    /// Like `decode`, for a segment whose columns may be predicted.
    static func decodeOrPredict(
        count: Int, present: [Bool]?, from reader: inout ByteReader, budget: inout DecodeBudget
    ) throws(CodecError) -> Decoded {
        guard reader.left > 0, reader.bytes[reader.position] == Layout.predicted.rawValue else {
            return .cells(try decode(count: count, present: present, from: &reader, budget: &budget))
        }
        _ = try reader.byte("column layout")
        let cellCount = present?.reduce(0) { $0 + ($1 ? 1 : 0) } ?? count
        return .predicted(try decodeExceptions(cellCount: cellCount, from: &reader, budget: &budget))
    }

    /// - Parameter present: one element a change; nil when all are present.
    /// - Parameter count: changes of the form; the column gets as many cells, absent ones null.
    static func decode(
        count: Int, present: [Bool]?, from reader: inout ByteReader, budget: inout DecodeBudget
    ) throws(CodecError) -> CellColumn {
        let at = reader.position
        let cellCount = present?.reduce(0) { $0 + ($1 ? 1 : 0) } ?? count
        let number = try reader.byte("column layout")
        guard let layout = Layout(rawValue: number), layout != .predicted, layout != .encrypted else {
            throw .unknownEncoding(what: "column layout", number: Int(number), at: at)
        }
        let kinds: [UInt8]
        if layout == .mixed {
            kinds = try decodeKinds(cellCount, from: &reader)
        } else {
            kinds = Array(repeating: layout.rawValue - 1, count: cellCount)
        }
        var counts = [0, 0, 0, 0]
        for kind in kinds { counts[Int(kind)] += 1 }
        let integers = try IntegerStream.decode(counts[1], "integers", from: &reader)
        let reals = try IntegerStream.decode(counts[2], "reals", from: &reader)
        let texts = try TextCodec.decode(counts[3], from: &reader, budget: &budget)
        try checkUTF8(texts, at: at)
        return assemble(count: count, present: present, kinds: kinds, integers, reals, texts)
    }

    private static func assemble(
        count: Int, present: [Bool]?, kinds: [UInt8], _ integers: [Int64], _ reals: [Int64], _ texts: TextList
    ) -> CellColumn {
        // Most columns: they stand in the list as a column wants them.
        if texts.count == count { return CellColumn(texts: texts.bytes, ends: texts.ends) }
        var column = CellColumn()
        column.reserve(count)
        var next = (cell: 0, integer: 0, real: 0, text: 0)
        var start = 0
        texts.bytes.withUnsafeBufferPointer { bytes in
            for i in 0..<count {
                if let present, !present[i] {
                    column.appendNull()
                    continue
                }
                switch kinds[next.cell] {
                case 0: column.appendNull()
                case 1:
                    column.append(integer: integers[next.integer])
                    next.integer += 1
                case 2:
                    column.append(real: Double(bitPattern: UInt64(bitPattern: reals[next.real])))
                    next.real += 1
                default:
                    let end = texts.ends[next.text]
                    column.append(utf8: UnsafeBufferPointer(rebasing: bytes[start..<end]))
                    start = end
                    next.text += 1
                }
                next.cell += 1
            }
        }
        return column
    }

    private static func decodeKinds(_ count: Int, from reader: inout ByteReader) throws(CodecError) -> [UInt8] {
        let at = reader.position
        let number = try reader.byte("kinds")
        switch KindEncoding(rawValue: number) {
        case .runs:
            var kinds: [UInt8] = []
            kinds.reserveCapacity(count)
            while kinds.count < count {
                let run = try reader.count("kinds", limit: (count - kinds.count) << 2 - 1)
                kinds.append(contentsOf: repeatElement(UInt8(run & 3), count: run >> 2 + 1))
            }
            return kinds
        case .bits:
            let pair = try reader.byte("kinds")
            guard pair < 16 else { throw .outOfRange(what: "kinds", value: Int(pair), at: at) }
            let range = try reader.take((count + 7) / 8, "kinds")
            return (0..<count).map { i in
                reader.bytes[range.lowerBound + i >> 3] >> UInt8(i & 7) & 1 == 1 ? pair & 3 : pair >> 2
            }
        case nil: throw .unknownEncoding(what: "kinds", number: Int(number), at: at)
        }
    }

    /// Each text alone must be valid: all together are, and none begins inside a character.
    static func checkUTF8(_ texts: TextList, at: Int) throws(CodecError) {
        let valid = texts.bytes.withUnsafeBufferPointer { bytes in
            isUTF8(bytes) && !texts.ends.contains { $0 < bytes.count && bytes[$0] & 0xC0 == 0x80 }
        }
        guard valid else { throw .invalidUTF8(what: "text", at: at) }
    }

    /// The same question before sealing: a stranger's program can store any bytes in SQLite, and a sealed segment that
    /// no receiver accepts would stop its whole chain.
    static func isValidUTF8(_ column: CellColumn) -> Bool {
        guard !column.bytes.isEmpty else { return true }
        return column.bytes.withUnsafeBufferPointer { bytes in
            guard isUTF8(bytes) else { return false }
            for i in 0..<column.count where column.tags[i] == CellColumn.Tag.text.rawValue {
                let start = Int(column.starts[i])
                if start < bytes.count, bytes[start] & 0xC0 == 0x80 { return false }
            }
            return true
        }
    }

    /// ASCII is skipped eight bytes a step, the rest is the standard library's judgement.
    private static func isUTF8(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        let raw = UnsafeRawBufferPointer(bytes)
        var i = 0
        while i + 8 <= raw.count, raw.loadUnaligned(fromByteOffset: i, as: UInt64.self) & 0x8080_8080_8080_8080 == 0 {
            i += 8
        }
        guard i < bytes.count else { return true }
        return String(validating: UnsafeBufferPointer(rebasing: bytes[i...]), as: UTF8.self) != nil
    }
}
