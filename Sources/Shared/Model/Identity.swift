// The ids and counters of zzsync, one type each: two `UInt64` in one signature are a bug waiting.

/// One school: the unit of sequence, lock, access, digest and sharding.
///
/// Random, given by the hub's first invite; the school's code and name change, this does not.
package struct ScopeID: Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt64
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }
    /// 16 lower-case hexadecimal digits, the form used in URLs and invites.
    package var description: String { hex16(rawValue) }
    /// Reads the form that `description` prints; nil for anything else.
    package init?(_ text: String) {
        guard let value = parseHex16(text) else { return nil }
        self.init(value)
    }
}

/// One incarnation of a replica: the first 8 bytes of the SHA-256 of its Ed25519 public key.
package struct SiteID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let rawValue: UInt64
    package init(_ rawValue: UInt64) { self.rawValue = rawValue }
    package static func < (l: Self, r: Self) -> Bool { l.rawValue < r.rawValue }
    package var description: String { hex16(rawValue) }
    package init?(_ text: String) {
        guard let value = parseHex16(text) else { return nil }
        self.init(value)
    }
}

/// A record's id, unique in (scope, form). Printed as a decimal string, for JSON numbers lose digits.
package struct RowID: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let rawValue: Int64
    package init(_ rawValue: Int64) { self.rawValue = rawValue }
    package static func < (l: Self, r: Self) -> Bool { l.rawValue < r.rawValue }
    package var description: String { String(rawValue) }
}

/// A site's own change counter in a scope: 1-based, increasing by one with every row change sealed. 0 = none yet.
package struct Seq: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let rawValue: Int64
    package init(_ rawValue: Int64) { self.rawValue = rawValue }
    package static let none = Seq(0)
    package static func < (l: Self, r: Self) -> Bool { l.rawValue < r.rawValue }
    package var description: String { String(rawValue) }
    package func advanced(by count: Int) -> Seq { Seq(rawValue + Int64(count)) }
}

/// A hub's counter in a scope, given when a change is merged: (epoch, counter), ordered by epoch first.
///
/// A hub restored from a backup starts a higher epoch. 0 = before everything ("no position yet").
package struct Position: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// epoch × 2^40 + counter: 2^40 changes an epoch, 2^23 epochs.
    package let rawValue: Int64
    package init(_ rawValue: Int64) { self.rawValue = rawValue }
    package init(epoch: Int, counter: Int64) { rawValue = Int64(epoch) << 40 | counter }
    package static let none = Position(0)
    package var epoch: Int { Int(rawValue >> 40) }
    package var counter: Int64 { rawValue & (1 << 40 - 1) }
    package static func < (l: Self, r: Self) -> Bool { l.rawValue < r.rawValue }
    package func advanced(by count: Int) -> Position { Position(rawValue + Int64(count)) }
    /// The next position of a log that ends here, at a hub in `epoch`; a new epoch starts its own count.
    package func next(inEpoch epoch: Int) -> Position {
        self.epoch < epoch ? Position(epoch: epoch, counter: 1) : advanced(by: 1)
    }
    package var description: String { "\(epoch).\(counter)" }
}

/// The number of a form in the catalogue: never reused, the form's name on the wire.
package typealias FormNumber = Int

/// Which fields of a form: bit (field number − 1). Field numbers are 1...126 and never reused.
package struct FieldMask: Hashable, Sendable {
    package var bits: UInt128
    package init(_ bits: UInt128 = 0) { self.bits = bits }
    /// Every field that there could be.
    package static let all = FieldMask(~0)
    package static let fieldNumberMax = 126
    package func contains(_ field: Int) -> Bool { bits >> UInt128(field - 1) & 1 == 1 }
    package mutating func insert(_ field: Int) { bits |= 1 << UInt128(field - 1) }
    package var isEmpty: Bool { bits == 0 }
    package func isSuperset(of other: FieldMask) -> Bool { other.bits & ~bits == 0 }
    package static func | (l: Self, r: Self) -> Self { FieldMask(l.bits | r.bits) }
    package static func & (l: Self, r: Self) -> Self { FieldMask(l.bits & r.bits) }
    /// The field numbers, ascending.
    package var fields: [Int] {
        var rest = bits
        var out: [Int] = []
        while rest != 0 {
            let bit = rest.trailingZeroBitCount
            out.append(bit + 1)
            rest &= rest - 1
        }
        return out
    }
}

func hex16(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}

func parseHex16(_ text: String) -> UInt64? {
    guard text.utf8.count == 16, text.utf8.allSatisfy({ $0 != 0x2B && $0 != 0x2D }) else { return nil }
    return UInt64(text, radix: 16)
}
