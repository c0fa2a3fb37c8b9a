extension ColumnCodec {
    /// How a predicted column says which of its cells are exceptions.
    private enum PlaceEncoding: UInt8 {
        /// Their indices among the present cells, ascending.
        case places = 0
        /// A bit a present cell, low bit first.
        case bits = 1
    }

    /// Writes the column by its prediction where that is clearly cheaper, else as it is.
    ///
    /// - Parameter prediction: a cell a change.
    /// - Parameter isCovered: whether a change carries all that its prediction is made from.
    /// - Returns: whether the prediction is used.
    static func encode(
        _ column: CellColumn, cells: [Int32], prediction: CellColumn, isCovered: (Int) -> Bool, into out: inout ByteWriter
    ) -> Bool {
        var places: [Int64] = []
        var exceptions: [Int32] = []
        for (place, cell) in cells.enumerated() where !isCovered(Int(cell)) || !column.equals(prediction, at: Int(cell)) {
            places.append(Int64(place))
            exceptions.append(cell)
        }
        let hits = cells.count - exceptions.count
        // A column of equal cells takes three bytes anyway and then depends on nothing.
        let isConstant = cells.allSatisfy { column.equals(column, at: Int($0), and: Int(cells[0])) }
        guard hits * hitsMin >= cells.count, !isConstant else {
            encode(column, cells: cells, into: &out)
            return false
        }
        var predicted = ByteWriter()
        predicted.byte(Layout.predicted.rawValue)
        predicted.varint(exceptions.count)
        if !exceptions.isEmpty {
            encodePlaces(places, of: cells.count, into: &predicted)
            encode(column, cells: exceptions, into: &predicted)
            var plain = ByteWriter()
            encode(column, cells: cells, into: &plain)
            // By entropy, for a flag a byte packs to a bit; a tenth is the margin of that estimate.
            guard DigitGroups.entropyBytes(predicted.bytes) * 1.1 < DigitGroups.entropyBytes(plain.bytes) else {
                out.raw(plain.bytes)
                return false
            }
        }
        out.raw(predicted.bytes)
        return true
    }

    /// At least one cell in this many must be predicted.
    private static let hitsMin = 16

    private static func encodePlaces(_ places: [Int64], of count: Int, into out: inout ByteWriter) {
        let cost = IntegerStream.Cost(places)
        guard (count + 7) / 8 < cost.bytes else {
            out.byte(PlaceEncoding.places.rawValue)
            return IntegerStream.encode(places, cost: cost, into: &out)
        }
        out.byte(PlaceEncoding.bits.rawValue)
        out.raw(count: (count + 7) / 8) { target in
            for place in places { target[Int(place) >> 3] |= 1 << UInt8(place & 7) }
        }
    }

    /// A predicted column as far as its bytes tell.
    struct Exceptions {
        /// Indices among the present cells, ascending.
        let places: [Int]
        /// Only these cells, in order.
        let cells: CellColumn
    }

    /// Reads what follows the layout; needs no predictor, so that a segment's set is known before it is asked for.
    static func decodeExceptions(
        cellCount: Int, from reader: inout ByteReader, budget: inout DecodeBudget
    ) throws(CodecError) -> Exceptions {
        let count = try reader.count("exceptions", limit: cellCount)
        guard count > 0 else { return Exceptions(places: [], cells: CellColumn()) }
        let at = reader.position
        let number = try reader.byte("exceptions")
        var places: [Int] = []
        switch PlaceEncoding(rawValue: number) {
        case .places:
            for place in try IntegerStream.decode(count, in: 0..<Int64(cellCount), "exception", from: &reader) {
                if let last = places.last, place <= last {
                    throw .outOfRange(what: "exception", value: Int(place), at: at)
                }
                places.append(Int(place))
            }
        case .bits:
            let range = try reader.take((cellCount + 7) / 8, "exceptions")
            for i in 0..<range.count * 8 where reader.bytes[range.lowerBound + i >> 3] >> UInt8(i & 7) & 1 == 1 {
                guard i < cellCount else { throw .outOfRange(what: "exception", value: i, at: at) }
                places.append(i)
            }
            guard places.count == count else {
                throw .inconsistent(what: "exceptions", found: places.count, expected: count, at: at)
            }
        case nil: throw .unknownEncoding(what: "exceptions", number: Int(number), at: at)
        }
        let cells = try decode(count: count, present: nil, from: &reader, budget: &budget)
        return Exceptions(places: places, cells: cells)
    }

    /// The whole column: predicted cells, exceptions, and nulls where a change does not carry the field.
    static func merge(
        _ prediction: CellColumn, _ exceptions: Exceptions, present: (Int) -> Bool, isCovered: (Int) -> Bool, count: Int,
        what: @autoclosure () -> String, budget: inout DecodeBudget
    ) throws(CodecError) -> CellColumn {
        var column = CellColumn()
        column.reserve(count)
        var place = 0
        var next = 0
        for change in 0..<count {
            guard present(change) else {
                column.appendNull()
                continue
            }
            if next < exceptions.places.count, exceptions.places[next] == place {
                column.append(exceptions.cells, at: next)
                next += 1
            } else {
                guard isCovered(change) else { throw .outOfRange(what: what(), value: change, at: 0) }
                if prediction.tags[change] == CellColumn.Tag.text.rawValue {
                    let length = prediction.textRange(change).count
                    guard length <= Limits.textBytesMax else {
                        throw .overLimit(what: what(), value: length, limit: Limits.textBytesMax, at: 0)
                    }
                    try budget.take(textBytes: length, at: 0)
                }
                column.append(prediction, at: change)
            }
            place += 1
        }
        return column
    }
}

extension CellColumn {
    /// Same kind and same value, texts byte by byte.
    func equals(_ other: CellColumn, at cell: Int, and otherCell: Int? = nil) -> Bool {
        let b = otherCell ?? cell
        guard tags[cell] == other.tags[b] else { return false }
        guard tags[cell] == Tag.text.rawValue else { return words[cell] == other.words[b] }
        return bytes[textRange(cell)] == other.bytes[other.textRange(b)]
    }

    mutating func append(_ other: CellColumn, at cell: Int) {
        switch Tag(rawValue: other.tags[cell])! {
        case .null: appendNull()
        case .integer: append(integer: other.words[cell])
        case .real: append(real: Double(bitPattern: UInt64(bitPattern: other.words[cell])))
        case .text:
            other.bytes.withUnsafeBufferPointer { append(utf8: UnsafeBufferPointer(rebasing: $0[other.textRange(cell)])) }
        }
    }
}
