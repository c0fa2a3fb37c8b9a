extension TextCodec {
    /// - Parameter count: capped by the caller.
    static func decode(
        _ count: Int, nesting: Nesting = .column, from reader: inout ByteReader, budget: inout DecodeBudget
    ) throws(CodecError) -> TextList {
        guard count > 0 else { return TextList() }
        let at = reader.position
        let number = try reader.byte("text encoding")
        guard let encoding = Encoding(rawValue: number), nesting.allows(encoding) else {
            throw .unknownEncoding(what: "text encoding", number: Int(number), at: at)
        }
        switch encoding {
        case .constant: return try decodeConstant(count, from: &reader, budget: &budget)
        case .dictionary: return try decodeDictionary(count, from: &reader, budget: &budget)
        case .terminated: return try decodeTerminated(count, from: &reader, budget: &budget)
        case .sized:
            return try decodeSized(count, shared: nil, from: &reader, budget: &budget)
        case .prefixShared:
            let shared = try IntegerStream.decode(count, in: lengths, "shared length", from: &reader)
            return try decodeSized(count, shared: shared, from: &reader, budget: &budget)
        case .characters: return try CharacterTable.read(count, from: &reader, budget: &budget)
        case .dates: return try decodeDates(count, from: &reader, budget: &budget)
        case .digitPairs, .digitIntegers, .checkedPairs, .digitGroups:
            return try decodeDigits(count, encoding, from: &reader, budget: &budget)
        }
    }

    private static let lengths = 0..<Int64(Limits.textBytesMax) + 1

    private static func decodeConstant(
        _ count: Int, from reader: inout ByteReader, budget: inout DecodeBudget
    ) throws(CodecError) -> TextList {
        let length = try reader.count("text length", limit: Limits.textBytesMax)
        let range = try reader.take(length, "text")
        try budget.take(textBytes: length.multipliedSaturating(by: count), at: range.lowerBound)
        var list = TextList()
        list.reserve(texts: count, bytes: count * length)
        for _ in 0..<count { list.append(reader.bytes[range]) }
        return list
    }

    private static func decodeDictionary(
        _ count: Int, from reader: inout ByteReader, budget: inout DecodeBudget
    ) throws(CodecError) -> TextList {
        let entryCount = try reader.count("dictionary entries", limit: count)
        let entries = try decode(entryCount, nesting: .entries, from: &reader, budget: &budget)
        let at = reader.position
        let indices = try IntegerStream.decode(count, in: 0..<Int64(entryCount), "dictionary index", from: &reader)
        var total = 0
        for index in indices { total += entries.range(Int(index)).count }
        try budget.take(textBytes: total, at: at)
        var list = TextList()
        list.reserve(texts: count, bytes: total)
        entries.bytes.withUnsafeBufferPointer { bytes in
            for index in indices { list.append(UnsafeBufferPointer(rebasing: bytes[entries.range(Int(index))])) }
        }
        return list
    }

    private static func decodeTerminated(
        _ count: Int, from reader: inout ByteReader, budget: inout DecodeBudget
    ) throws(CodecError) -> TextList {
        let total = try reader.count("text bytes", limit: budget.textBytes)
        let range = try reader.take(total, "texts")
        guard total >= count else {
            throw .inconsistent(what: "text bytes", found: total, expected: count, at: range.lowerBound)
        }
        try budget.take(textBytes: total - count, at: range.lowerBound)
        var list = TextList()
        list.reserve(texts: count, bytes: total - count)
        reader.bytes[range].withUnsafeBufferPointer { source in
            var start = 0
            for i in 0..<source.count where source[i] == 0 {
                list.append(UnsafeBufferPointer(rebasing: source[start..<i]))
                start = i + 1
            }
        }
        // The last text too must be ended, and there must be as many ends as texts.
        guard list.count == count, list.bytes.count == total - count else {
            throw .inconsistent(what: "texts", found: list.count, expected: count, at: range.lowerBound)
        }
        return list
    }

    /// Lengths, then the bytes; with `shared`, the first bytes of each text come from the one before it.
    private static func decodeSized(
        _ count: Int, shared: [Int64]?, from reader: inout ByteReader, budget: inout DecodeBudget
    ) throws(CodecError) -> TextList {
        let at = reader.position
        let rests = try IntegerStream.decode(count, in: lengths, "text length", from: &reader)
        var total = rests.reduce(0, &+)
        let range = try reader.take(Int(total), "texts")
        if let shared { total += shared.reduce(0, &+) }
        try budget.take(textBytes: Int(total), at: at)
        var list = TextList()
        list.reserve(texts: count, bytes: Int(total))
        var start = range.lowerBound
        for i in 0..<count {
            let end = start + Int(rests[i])
            if let shared, shared[i] > 0 {
                let last = i == 0 ? 0..<0 : list.range(i - 1)
                guard shared[i] <= last.count else {
                    throw .outOfRange(what: "shared length", value: Int(shared[i]), at: at)
                }
                guard Int(shared[i]) + end - start <= Limits.textBytesMax else {
                    throw .overLimit(
                        what: "text length", value: Int(shared[i]) + end - start, limit: Limits.textBytesMax, at: at)
                }
                list.append(prefix: last.prefix(Int(shared[i])), then: reader.bytes[start..<end])
            } else {
                list.append(reader.bytes[start..<end])
            }
            start = end
        }
        return list
    }

    private static func decodeDates(
        _ count: Int, from reader: inout ByteReader, budget: inout DecodeBudget
    ) throws(CodecError) -> TextList {
        let exceptions = try decodeExceptions(count, from: &reader, budget: &budget)
        let fitting = count - exceptions.places.count
        let at = reader.position
        let days = try IntegerStream.decode(fitting, in: DatePattern.range, "date", from: &reader)
        try budget.take(textBytes: fitting * DatePattern.byteCount, at: at)
        return exceptions.merged(count: count, length: DatePattern.byteCount) { i, target in
            DatePattern.write(days[i], to: target)
        }
    }

    private static func decodeDigits(
        _ count: Int, _ encoding: Encoding, from reader: inout ByteReader, budget: inout DecodeBudget
    ) throws(CodecError) -> TextList {
        let exceptions = try decodeExceptions(count, from: &reader, budget: &budget)
        let fitting = count - exceptions.places.count
        let prefix = try reader.take(
            try reader.count("digit prefix", limit: DigitPattern.prefixMax), "digit prefix")
        let at = reader.position
        let digits = Int(try reader.byte("digits"))
        let isChecked = encoding == .checkedPairs
        let most = encoding != .digitIntegers ? DigitPattern.digitsMax : DigitPattern.integerDigitsMax
        guard (2...most).contains(digits) else { throw .outOfRange(what: "digits", value: digits, at: at) }
        let length = prefix.count + digits + (isChecked ? 1 : 0)
        try budget.take(textBytes: fitting * length, at: at)
        let head = Array(reader.bytes[prefix])
        func put(_ target: UnsafeMutablePointer<UInt8>) -> UnsafeMutablePointer<UInt8> {
            for i in 0..<head.count { target[i] = head[i] }
            return target + head.count
        }
        if encoding == .digitGroups {
            let write = try DigitGroups.read(fitting, digits: digits, from: &reader)
            return exceptions.merged(count: count, length: length) { i, target in write(i, put(target)) }
        }
        guard encoding != .digitIntegers else {
            let end = DigitPattern.integerEnd(digits: digits)
            let values = try IntegerStream.decode(fitting, in: 0..<end, "digits", from: &reader)
            return exceptions.merged(count: count, length: length) { i, target in
                DigitPattern.write(integer: values[i], digits: digits, to: put(target))
            }
        }
        let planes = try reader.take(fitting * ((digits + 1) / 2), "digits")
        var allValid = true
        let list = reader.bytes[planes].withUnsafeBufferPointer { source in
            exceptions.merged(count: count, length: length) { i, target in
                let text = put(target)
                var valid = DigitPattern.readPairs(source.baseAddress! + i, stride: fitting, digits: digits, to: text)
                if isChecked {
                    valid = valid && text[digits - 1] != 0x58
                    text[digits] = valid ? DigitPattern.check(text, count: digits) : 0x30
                }
                allValid = allValid && valid
            }
        }
        guard allValid else { throw .outOfRange(what: "digits", value: digits, at: planes.lowerBound) }
        return list
    }

    /// The texts of a column that do not follow its pattern.
    private struct Exceptions {
        var places: [Int64] = []
        var texts = TextList()

        /// All texts in order: `write` makes the i-th fitting one, `length` bytes.
        func merged(count: Int, length: Int, _ write: (Int, UnsafeMutablePointer<UInt8>) -> Void) -> TextList {
            var list = TextList()
            list.reserve(texts: count, bytes: texts.bytes.count + (count - places.count) * length)
            var next = 0
            withUnsafeTemporaryAllocation(of: UInt8.self, capacity: length) { scratch in
                scratch.initialize(repeating: 0)
                for i in 0..<count {
                    if next < places.count, places[next] == i {
                        list.append(texts.bytes[texts.range(next)])
                        next += 1
                    } else {
                        write(i - next, scratch.baseAddress!)
                        list.append(UnsafeBufferPointer(scratch))
                    }
                }
            }
            return list
        }
    }

    private static func decodeExceptions(
        _ count: Int, from reader: inout ByteReader, budget: inout DecodeBudget
    ) throws(CodecError) -> Exceptions {
        let at = reader.position
        let exceptionCount = try reader.count("exceptions", limit: count - 1)
        guard exceptionCount > 0 else { return Exceptions() }
        let places = try IntegerStream.decode(exceptionCount, in: 0..<Int64(count), "exception", from: &reader)
        for i in 1..<max(1, places.count) where places[i] <= places[i - 1] {
            throw .outOfRange(what: "exception", value: Int(places[i]), at: at)
        }
        let texts = try decode(exceptionCount, nesting: .exceptions, from: &reader, budget: &budget)
        return Exceptions(places: places, texts: texts)
    }
}
