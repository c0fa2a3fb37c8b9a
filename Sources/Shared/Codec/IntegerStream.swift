/// A sequence of integers whose count both sides know, in the cheapest of four forms. All structure of a body goes
/// through it too: row ids, mask and stamp indices, positions, lengths.
enum IntegerStream {
    enum Encoding: UInt8 {
        /// One value.
        case constant = 0
        /// Runs of equal values: the difference to the last run's value, the length.
        case runs = 1
        /// The first value, then differences.
        case delta = 2
        /// Differences to the least value, all lowest bytes first, then the next ones: each byte has its own habits.
        case planes = 3
    }

    /// What each form would take in bytes, from one pass without writing.
    struct Cost {
        var runs = 0
        var runBytes = 0
        var deltaBytes = 0
        var least = Int64.max
        var planeWidth = 0
        var count: Int

        init(_ values: [Int64]) {
            count = values.count
            var most = Int64.min
            var last: Int64 = 0
            var runStart = 0
            values.withUnsafeBufferPointer { values in
                for i in 0..<values.count {
                    let value = values[i]
                    let bytes = ByteWriter.zigzagBytes(value &- last)
                    deltaBytes += bytes
                    if i == 0 || value != last {
                        runs += 1
                        runBytes += bytes + ByteWriter.varintBytes(UInt64(i - runStart))
                        runStart = i
                    }
                    last = value
                    if value < least { least = value }
                    if value > most { most = value }
                }
            }
            let range = UInt64(bitPattern: most &- least)
            planeWidth = (64 - range.leadingZeroBitCount + 7) / 8
        }

        var planeBytes: Int { planeWidth * count }
        /// Forms that live from the order of the values.
        var sequentialBytes: Int { min(runBytes, deltaBytes) }
        var encoding: Encoding {
            if runs == 1 { return .constant }
            // A run's bytes are harder to compress than repeated ones.
            if runBytes * 2 < min(deltaBytes, planeBytes) { return .runs }
            // Differences of unordered values have more entropy than the values: take them only for a clear gain.
            return deltaBytes * 4 <= planeBytes * 3 ? .delta : .planes
        }
        var bytes: Int {
            switch encoding {
            case .constant: 2
            case .runs: runBytes
            case .delta: deltaBytes
            case .planes: planeBytes
            }
        }
    }

    static func encode(_ values: [Int64], into out: inout ByteWriter) {
        guard !values.isEmpty else { return }
        encode(values, cost: Cost(values), into: &out)
    }

    static func encode(_ values: [Int64], cost: Cost, into out: inout ByteWriter) {
        out.byte(cost.encoding.rawValue)
        switch cost.encoding {
        case .constant: out.zigzag(values[0])
        case .runs: encodeRuns(values, into: &out)
        case .delta:
            var last: Int64 = 0
            for value in values {
                out.zigzag(value &- last)
                last = value
            }
        case .planes:
            out.zigzag(cost.least)
            out.byte(UInt8(cost.planeWidth))
            out.raw(count: cost.planeBytes) { target in
                for i in 0..<values.count {
                    var rest = UInt64(bitPattern: values[i] &- cost.least)
                    var at = i
                    for _ in 0..<cost.planeWidth {
                        target[at] = UInt8(truncatingIfNeeded: rest)
                        rest >>= 8
                        at += values.count
                    }
                }
            }
        }
    }

    private static func encodeRuns(_ values: [Int64], into out: inout ByteWriter) {
        var last: Int64 = 0
        var start = 0
        while start < values.count {
            var end = start + 1
            while end < values.count, values[end] == values[start] { end += 1 }
            out.zigzag(values[start] &- last)
            out.varint(end - start - 1)
            last = values[start]
            start = end
        }
    }

    /// - Parameter count: capped by the caller, for a constant needs no bytes a value.
    static func decode(_ count: Int, _ what: String, from reader: inout ByteReader) throws(CodecError) -> [Int64] {
        guard count > 0 else { return [] }
        let at = reader.position
        let number = try reader.byte(what)
        guard let encoding = Encoding(rawValue: number) else {
            throw .unknownEncoding(what: what, number: Int(number), at: at)
        }
        switch encoding {
        case .constant: return Array(repeating: try reader.zigzag(what), count: count)
        case .runs: return try decodeRuns(count, what, from: &reader)
        case .delta:
            // Each takes a byte at least: do not reserve for more than there can be.
            guard count <= reader.left else {
                throw .truncated(what: what, at: reader.position, needed: count, left: reader.left)
            }
            var values: [Int64] = []
            values.reserveCapacity(count)
            var last: Int64 = 0
            for _ in 0..<count {
                last &+= try reader.zigzag(what)
                values.append(last)
            }
            return values
        case .planes: return try decodePlanes(count, what, from: &reader)
        }
    }

    private static func decodeRuns(
        _ count: Int, _ what: String, from reader: inout ByteReader
    ) throws(CodecError) -> [Int64] {
        var values: [Int64] = []
        values.reserveCapacity(count)
        var last: Int64 = 0
        while values.count < count {
            last &+= try reader.zigzag(what)
            let length = try reader.count(what, limit: count - values.count - 1) + 1
            values.append(contentsOf: repeatElement(last, count: length))
        }
        return values
    }

    private static func decodePlanes(
        _ count: Int, _ what: String, from reader: inout ByteReader
    ) throws(CodecError) -> [Int64] {
        let least = try reader.zigzag(what)
        let at = reader.position
        let width = Int(try reader.byte(what))
        guard (1...8).contains(width) else { throw .outOfRange(what: what, value: width, at: at) }
        let range = try reader.take(width * count, what)
        return reader.bytes.withUnsafeBufferPointer { source in
            [Int64](unsafeUninitializedCapacity: count) { values, written in
                for i in 0..<count {
                    var sum: UInt64 = 0
                    for plane in 0..<width {
                        sum |= UInt64(source[range.lowerBound + plane * count + i]) << UInt64(plane * 8)
                    }
                    values[i] = least &+ Int64(bitPattern: sum)
                }
                written = count
            }
        }
    }

    /// Values that must be indices into a table or otherwise lie in a range.
    static func decode(
        _ count: Int, in range: Range<Int64>, _ what: String, from reader: inout ByteReader
    ) throws(CodecError) -> [Int64] {
        let at = reader.position
        let values = try decode(count, what, from: &reader)
        for value in values where !range.contains(value) {
            throw .outOfRange(what: what, value: Int(value), at: at)
        }
        return values
    }
}
