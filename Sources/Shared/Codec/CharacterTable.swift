/// Short texts of a script whose characters take several bytes (names): the distinct characters by falling frequency, then a
/// byte or two a character. The compressor codes single bytes, and half of each character's bytes tell it nothing.
struct CharacterTable {
    /// Scalars, the most frequent first.
    private var scalars: [UInt16] = []
    private var ranks: [Int32] = []

    static let textsMin = 64
    /// Ranks below this take one byte, which is the rank and one; the others take two.
    private static let singles = 239
    static let entriesMax = singles + 16 * 256

    /// nil unless the texts are made for it. They are valid UTF-8.
    init?(_ texts: TextSource, totalBytes: Int) {
        guard texts.count >= Self.textsMin, totalBytes <= texts.count * 24 else { return nil }
        var counts = [Int32](repeating: 0, count: 1 << 16)
        var characters = 0
        for i in 0..<texts.count {
            guard Self.each(texts.bytes(i), { counts[Int($0)] += 1; characters += 1 }) else { return nil }
        }
        // Mostly ASCII: nothing to gain.
        guard characters * 3 < totalBytes * 2 else { return nil }
        scalars = (0..<UInt16.max).filter { counts[Int($0)] > 0 }
        guard scalars.count <= Self.entriesMax else { return nil }
        scalars.sort { (counts[Int($1)], $0) < (counts[Int($0)], $1) }
        ranks = counts
        for (rank, scalar) in scalars.enumerated() { ranks[Int(scalar)] = Int32(rank) }
    }

    /// - Returns: false if one lies outside the basic plane.
    private static func each(_ text: UnsafeBufferPointer<UInt8>, _ body: (UInt16) -> Void) -> Bool {
        var i = 0
        while i < text.count {
            let byte = text[i]
            if byte < 0x80 {
                body(UInt16(byte))
                i += 1
            } else if byte < 0xE0 {
                body(UInt16(byte & 0x1F) << 6 | UInt16(text[i + 1] & 0x3F))
                i += 2
            } else if byte < 0xF0 {
                body(UInt16(byte & 0x0F) << 12 | UInt16(text[i + 1] & 0x3F) << 6 | UInt16(text[i + 2] & 0x3F))
                i += 3
            } else {
                return false
            }
        }
        return true
    }

    func write(_ texts: TextSource, into out: inout ByteWriter) {
        out.varint(scalars.count)
        for scalar in scalars { out.raw(Array(String(UnicodeScalar(scalar)!).utf8)) }
        var codes: [UInt8] = []
        for i in 0..<texts.count {
            _ = Self.each(texts.bytes(i)) { scalar in
                let rank = Int(ranks[Int(scalar)])
                if rank < Self.singles {
                    codes.append(UInt8(rank + 1))
                } else {
                    codes.append(UInt8(Self.singles + 1 + (rank - Self.singles) >> 8))
                    codes.append(UInt8(truncatingIfNeeded: rank - Self.singles))
                }
            }
            codes.append(0)
        }
        out.varint(codes.count)
        out.raw(codes)
    }

    static func read(
        _ count: Int, from reader: inout ByteReader, budget: inout DecodeBudget
    ) throws(CodecError) -> TextList {
        let at = reader.position
        let entryCount = try reader.count("characters", limit: entriesMax)
        // Where an entry's bytes lie.
        var entries: [Range<Int>] = []
        for _ in 0..<entryCount {
            let head = try reader.byte("character")
            guard head < 0x80 || (0xC0..<0xF0).contains(head) else {
                throw .outOfRange(what: "character", value: Int(head), at: reader.position - 1)
            }
            let rest = try reader.take(head < 0x80 ? 0 : head < 0xE0 ? 1 : 2, "character")
            entries.append(rest.lowerBound - 1..<rest.upperBound)
        }
        let range = try reader.take(try reader.count("codes", limit: reader.left), "codes")
        // A text takes a byte at least.
        guard count <= range.count else { throw .truncated(what: "codes", at: at, needed: count, left: range.count) }
        var list = TextList()
        list.reserve(texts: count, bytes: range.count * 3)
        var text: [UInt8] = []
        var i = range.lowerBound
        while i < range.upperBound {
            let code = Int(reader.bytes[i])
            i += 1
            if code == 0 {
                guard text.count <= Limits.textBytesMax else {
                    throw .overLimit(what: "text length", value: text.count, limit: Limits.textBytesMax, at: at)
                }
                try budget.take(textBytes: text.count, at: at)
                list.append(text[...])
                text.removeAll(keepingCapacity: true)
                continue
            }
            var rank = code - 1
            if code > singles {
                guard i < range.upperBound else { throw .truncated(what: "codes", at: i, needed: 1, left: 0) }
                rank = singles + (code - singles - 1) << 8 + Int(reader.bytes[i])
                i += 1
            }
            guard rank < entries.count else { throw .outOfRange(what: "character code", value: rank, at: i - 1) }
            for k in entries[rank] { text.append(reader.bytes[k]) }
        }
        guard text.isEmpty, list.count == count else {
            throw .inconsistent(what: "texts", found: list.count, expected: count, at: at)
        }
        return list
    }
}
