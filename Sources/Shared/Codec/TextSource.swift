// The texts of a column, as the encoder sees them and as the decoder makes them: ranges in one arena, no String a cell.

/// Texts to encode, in someone else's arena; valid inside the closure that lends `base`.
struct TextSource {
    let base: UnsafePointer<UInt8>
    let starts: [Int32]
    let ends: [Int32]
    var count: Int { starts.count }

    func bytes(_ i: Int) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(start: base + Int(starts[i]), count: Int(ends[i] - starts[i]))
    }

    func picking(_ picks: [Int]) -> TextSource {
        TextSource(base: base, starts: picks.map { starts[$0] }, ends: picks.map { ends[$0] })
    }

    /// What the choice of an encoding rests on, from one pass.
    struct Survey {
        var totalBytes = 0
        /// Bytes that each text has in common with the one before it.
        var sharedBytes = 0
        var allEqual = true
        var hasZero = false
    }

    func survey() -> Survey {
        var survey = Survey()
        for i in 0..<count {
            let text = bytes(i)
            survey.totalBytes += text.count
            if !survey.hasZero, text.contains(0) { survey.hasZero = true }
            guard i > 0 else { continue }
            let last = bytes(i - 1)
            let shared = Self.commonPrefix(text, last)
            survey.sharedBytes += shared
            if shared != text.count || text.count != last.count { survey.allEqual = false }
        }
        return survey
    }

    static func commonPrefix(_ a: UnsafeBufferPointer<UInt8>, _ b: UnsafeBufferPointer<UInt8>) -> Int {
        let limit = min(a.count, b.count)
        var i = 0
        while i < limit, a[i] == b[i] { i += 1 }
        return i
    }

    static func equal(_ a: UnsafeBufferPointer<UInt8>, _ b: UnsafeBufferPointer<UInt8>) -> Bool {
        a.count == b.count && commonPrefix(a, b) == a.count
    }

    /// The distinct texts by first appearance and each text's index among them; nil when they hardly repeat.
    func distinct() -> (firsts: [Int], indices: [Int64])? {
        var slots = [Int32](repeating: -1, count: 64)
        var firsts: [Int] = []
        var hashes: [UInt64] = []
        var indices: [Int64] = []
        indices.reserveCapacity(count)
        for i in 0..<count {
            let text = bytes(i)
            let hash = Self.hash(text)
            var slot = Int(truncatingIfNeeded: hash) & (slots.count - 1)
            var entry = Int(slots[slot])
            while entry >= 0, hashes[entry] != hash || !Self.equal(bytes(firsts[entry]), text) {
                slot = (slot + 1) & (slots.count - 1)
                entry = Int(slots[slot])
            }
            if entry < 0 {
                entry = firsts.count
                // Given up early: a column of names or addresses must not pay for a table of all of them.
                guard entry < 64 + i / 2 else { return nil }
                slots[slot] = Int32(entry)
                firsts.append(i)
                hashes.append(hash)
                if firsts.count * 2 > slots.count { Self.grow(&slots, hashes) }
            }
            indices.append(Int64(entry))
        }
        return (firsts, indices)
    }

    private static func grow(_ slots: inout [Int32], _ hashes: [UInt64]) {
        slots = [Int32](repeating: -1, count: slots.count * 4)
        for entry in 0..<hashes.count {
            var slot = Int(truncatingIfNeeded: hashes[entry]) & (slots.count - 1)
            while slots[slot] >= 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = Int32(entry)
        }
    }

    /// Eight bytes a step; the low bits are good enough for a table, nothing more is asked of it.
    private static func hash(_ text: UnsafeBufferPointer<UInt8>) -> UInt64 {
        let raw = UnsafeRawBufferPointer(text)
        var hash = UInt64(truncatingIfNeeded: text.count) &* 0x9E37_79B9_7F4A_7C15
        var i = 0
        while i + 8 <= raw.count {
            hash = (hash ^ raw.loadUnaligned(fromByteOffset: i, as: UInt64.self)) &* 0xFF51_AFD7_ED55_8CCD
            hash ^= hash >> 32
            i += 8
        }
        var tail: UInt64 = 0
        while i < raw.count {
            tail = tail << 8 | UInt64(raw[i])
            i += 1
        }
        hash = (hash ^ tail) &* 0xC4CE_B9FE_1A85_EC53
        return hash ^ hash >> 29
    }
}

/// Decoded texts end to end.
struct TextList {
    private(set) var bytes: [UInt8] = []
    private(set) var ends: [Int] = []
    var count: Int { ends.count }

    mutating func reserve(texts: Int, bytes count: Int) {
        ends.reserveCapacity(texts)
        bytes.reserveCapacity(count)
    }
    mutating func append(_ text: UnsafeBufferPointer<UInt8>) {
        bytes.append(contentsOf: text)
        ends.append(bytes.count)
    }
    mutating func append(_ text: ArraySlice<UInt8>) {
        bytes.append(contentsOf: text)
        ends.append(bytes.count)
    }
    /// A text that begins with bytes of an earlier one.
    mutating func append(prefix: Range<Int>, then rest: ArraySlice<UInt8>) {
        // Byte by byte: a slice of `bytes` would share its storage and have it copied whole.
        for i in prefix { bytes.append(bytes[i]) }
        append(rest)
    }
    func range(_ i: Int) -> Range<Int> { (i == 0 ? 0 : ends[i - 1])..<ends[i] }
}

/// What is left of the limits that one segment's columns share; taken before memory is.
struct DecodeBudget {
    var cells = Limits.segmentCellsMax
    private let textBytesMax: Int
    private(set) var textBytes: Int

    init(textBytesMax: Int = Limits.segmentTextBytesMax) {
        self.textBytesMax = textBytesMax
        textBytes = textBytesMax
    }

    mutating func take(cells count: Int, at: Int) throws(CodecError) {
        guard count <= cells else {
            throw .overLimit(
                what: "cells", value: Limits.segmentCellsMax - cells + count, limit: Limits.segmentCellsMax, at: at)
        }
        cells -= count
    }
    mutating func take(textBytes count: Int, at: Int) throws(CodecError) {
        guard count <= textBytes else {
            throw .overLimit(
                what: "text bytes", value: textBytesMax - textBytes + count, limit: textBytesMax, at: at)
        }
        textBytes -= count
    }
}
