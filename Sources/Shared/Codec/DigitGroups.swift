import Foundation

/// Digits of one length, cut where what stands left and right has habits of its own (a year, a code, a serial number): each
/// group has its distinct values and an index each, so that a group that stands still, repeats in a rhythm or knows a few
/// values only costs what it says alone.
struct DigitGroups {
    struct Group {
        var digits: Int
        var values: [Int64]
        /// Into `values`, one a text.
        var indices: [UInt8]
    }

    private(set) var groups: [Group] = []
    static let valuesMax = 256
    /// Digits of a group whose values fit an Int64.
    static let digitsMax = 18
    /// Fewer texts do not pay for the tables.
    private static let textsMin = 64
    private static let jointMax = 4_096

    /// nil when a pair of digits knows too many values, or one group alone would be left.
    ///
    /// - Parameter fitting: the texts that fit the pattern.
    init?(_ texts: TextSource, fitting: [Int], pattern: DigitPattern) {
        guard fitting.count >= Self.textsMin, !pattern.isChecked else { return nil }
        let start = pattern.prefix.count
        // Pairs from the end, as years and serial numbers have even lengths; one digit may be left in front.
        var at = start
        while at < pattern.end {
            let digits = (pattern.end - at) % 2 == 1 ? 1 : 2
            guard let group = Self.pair(texts, fitting, at: at, digits: digits) else { return nil }
            if let last = groups.last, let joint = Self.join(last, group) {
                groups[groups.count - 1] = joint
            } else {
                groups.append(group)
            }
            at += digits
        }
        guard groups.count(where: { $0.values.count > 1 }) > 1 else { return nil }
    }

    private static func pair(_ texts: TextSource, _ fitting: [Int], at: Int, digits: Int) -> Group? {
        var group = Group(digits: digits, values: [], indices: [])
        group.indices.reserveCapacity(fitting.count)
        var numbers = [Int16](repeating: -1, count: 100)
        for i in fitting {
            let text = texts.bytes(i)
            var value = Int(text[at]) - 0x30
            if digits == 2 {
                // An X has no place here.
                guard text[at + 1] <= 0x39 else { return nil }
                value = value * 10 + Int(text[at + 1]) - 0x30
            }
            if numbers[value] < 0 {
                numbers[value] = Int16(group.values.count)
                group.values.append(Int64(value))
                // Near random: packing as pairs is as good.
                if group.values.count > 64 { return nil }
            }
            group.indices.append(UInt8(numbers[value]))
        }
        return group
    }

    /// The two as one group if that is clearly cheaper: what they know of each other outweighs the table.
    private static func join(_ a: Group, _ b: Group) -> Group? {
        let cells = a.values.count * b.values.count
        guard cells <= jointMax, a.digits + b.digits <= digitsMax else { return nil }
        // Two that stand still make one that does.
        if cells == 1 {
            return Group(digits: a.digits + b.digits, values: [a.values[0] * power(b.digits) + b.values[0]], indices: a.indices)
        }
        guard a.values.count > 1, b.values.count > 1 else { return nil }
        var numbers = [Int32](repeating: -1, count: cells)
        var joint = Group(digits: a.digits + b.digits, values: [], indices: [])
        joint.indices.reserveCapacity(a.indices.count)
        for i in 0..<a.indices.count {
            let cell = Int(a.indices[i]) * b.values.count + Int(b.indices[i])
            if numbers[cell] < 0 {
                guard joint.values.count < valuesMax else { return nil }
                numbers[cell] = Int32(joint.values.count)
                joint.values.append(a.values[Int(a.indices[i])] * power(b.digits) + b.values[Int(b.indices[i])])
            }
            joint.indices.append(UInt8(numbers[cell]))
        }
        let saved = entropyBytes(a.indices) + entropyBytes(b.indices) - entropyBytes(joint.indices)
        return saved > Double(joint.values.count * 2 + 16) ? joint : nil
    }

    private static func power(_ digits: Int) -> Int64 { (0..<digits).reduce(1) { power, _ in power * 10 } }

    /// What an ideal coder of single bytes makes of them.
    static func entropyBytes(_ bytes: [UInt8]) -> Double {
        var counts = [Int](repeating: 0, count: 256)
        for byte in bytes { counts[Int(byte)] += 1 }
        let total = Double(bytes.count)
        return counts.reduce(0) { $1 == 0 ? $0 : $0 - Double($1) * log2(Double($1) / total) } / 8
    }

    func write(into out: inout ByteWriter) {
        out.varint(groups.count)
        for group in groups {
            out.varint(group.digits)
            out.varint(group.values.count)
            IntegerStream.encode(group.values, into: &out)
            IntegerStream.encode(group.indices.map(Int64.init), into: &out)
        }
    }

    /// Reads what `write` makes, as a function that puts the digits of a text.
    static func read(
        _ fitting: Int, digits: Int, from reader: inout ByteReader
    ) throws(CodecError) -> (Int, UnsafeMutablePointer<UInt8>) -> Void {
        let at = reader.position
        var left = digits
        var groups: [(digits: Int, texts: [UInt8], indices: [Int64])] = []
        for _ in 0..<(try reader.count("digit groups", limit: digits)) {
            let width = try reader.count("group digits", limit: min(left, digitsMax))
            guard width > 0 else { throw .outOfRange(what: "group digits", value: 0, at: at) }
            left -= width
            let count = try reader.count("group values", limit: valuesMax)
            let values = try IntegerStream.decode(count, in: 0..<power(width), "group values", from: &reader)
            let indices = try IntegerStream.decode(fitting, in: 0..<Int64(count), "group indices", from: &reader)
            var texts: [UInt8] = []
            for value in values {
                var rest = value
                var text = [UInt8](repeating: 0x30, count: width)
                for i in stride(from: width - 1, through: 0, by: -1) {
                    text[i] += UInt8(rest % 10)
                    rest /= 10
                }
                texts += text
            }
            groups.append((width, texts, indices))
        }
        guard left == 0 else { throw .inconsistent(what: "group digits", found: digits - left, expected: digits, at: at) }
        return { i, target in
            var target = target
            for group in groups {
                let from = Int(group.indices[i]) * group.digits
                for k in 0..<group.digits { target[k] = group.texts[from + k] }
                target += group.digits
            }
        }
    }
}
