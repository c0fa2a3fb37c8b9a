/// Appends numbers and bytes as `ByteReader` reads them: little-endian, varints of 7 bits a byte, signed ones zigzag.
package struct ByteWriter: Sendable {
    package private(set) var bytes: [UInt8] = []
    package init() {}
    package init(reserving capacity: Int) { bytes.reserveCapacity(capacity) }
    package var count: Int { bytes.count }

    package mutating func byte(_ value: UInt8) { bytes.append(value) }

    package mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }
    /// A count or length of ours: never negative.
    package mutating func varint(_ value: Int) { varint(UInt64(value)) }
    package mutating func zigzag(_ value: Int64) { varint(UInt64(bitPattern: value << 1 ^ value >> 63)) }

    package mutating func fixed<T: FixedWidthInteger>(_ value: T) {
        Swift.withUnsafeBytes(of: value.littleEndian) { bytes.append(contentsOf: $0) }
    }
    package mutating func raw(_ source: UnsafeBufferPointer<UInt8>) { bytes.append(contentsOf: source) }
    package mutating func raw(_ source: [UInt8]) { bytes.append(contentsOf: source) }
    package mutating func raw(_ source: ArraySlice<UInt8>) { bytes.append(contentsOf: source) }

    /// Appends `count` bytes that `fill` writes; it must write all of them.
    mutating func raw(count: Int, _ fill: (UnsafeMutablePointer<UInt8>) -> Void) {
        let start = bytes.count
        bytes.append(contentsOf: repeatElement(0, count: count))
        bytes.withUnsafeMutableBufferPointer { fill($0.baseAddress! + start) }
    }

    /// Bytes that `varint` takes.
    static func varintBytes(_ value: UInt64) -> Int { (70 - (value | 1).leadingZeroBitCount) / 7 }
    static func zigzagBytes(_ value: Int64) -> Int { varintBytes(UInt64(bitPattern: value << 1 ^ value >> 63)) }
}

/// Reads bytes that nobody vouches for: every read is checked against what is left, every count against a limit.
package struct ByteReader: Sendable {
    package let bytes: [UInt8]
    package private(set) var position: Int
    package init(_ bytes: [UInt8], at position: Int = 0) {
        self.bytes = bytes
        self.position = position
    }
    package var left: Int { bytes.count - position }

    /// The range of the next `count` bytes in `bytes`; nothing is copied.
    package mutating func take(_ count: Int, _ what: String) throws(CodecError) -> Range<Int> {
        guard count >= 0, count <= left else {
            throw .truncated(what: what, at: position, needed: count, left: left)
        }
        defer { position += count }
        return position..<position + count
    }

    package mutating func byte(_ what: String) throws(CodecError) -> UInt8 {
        guard position < bytes.count else { throw .truncated(what: what, at: position, needed: 1, left: 0) }
        defer { position += 1 }
        return bytes[position]
    }

    package mutating func varint(_ what: String) throws(CodecError) -> UInt64 {
        let start = position
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let next = try byte(what)
            // Ten bytes hold 64 bits; a last byte of 0 would be a second way to write the same number.
            guard shift < 63 || next <= 1, next != 0 || shift == 0 else {
                throw .outOfRange(what: what, value: Int(next), at: start)
            }
            value |= UInt64(next & 0x7F) << shift
            if next < 0x80 { return value }
            shift += 7
        }
    }

    package mutating func zigzag(_ what: String) throws(CodecError) -> Int64 {
        let value = try varint(what)
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    /// A count or length, refused before anything is allocated for it.
    package mutating func count(_ what: String, limit: Int) throws(CodecError) -> Int {
        let start = position
        let value = try varint(what)
        guard value <= UInt64(limit) else {
            throw .overLimit(what: what, value: Int(clamping: value), limit: limit, at: start)
        }
        return Int(value)
    }

    package mutating func fixed<T: FixedWidthInteger>(_ type: T.Type, _ what: String) throws(CodecError) -> T {
        let range = try take(T.bitWidth / 8, what)
        return bytes.withUnsafeBytes { T(littleEndian: $0.loadUnaligned(fromByteOffset: range.lowerBound, as: T.self)) }
    }

    package func expectEnd(of what: String) throws(CodecError) {
        guard left == 0 else { throw .trailingBytes(what: what, count: left, at: position) }
    }
}
