import Crypto

/// A SHA-256: of a body, of a whole header (the chain), of a catalogue.
package struct ContentHash: Hashable, Sendable, CustomStringConvertible {
    package static let byteCount = 32
    /// Always 32 bytes.
    package let bytes: [UInt8]

    /// nil unless there are 32 bytes.
    package init?(bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        self.bytes = Array(bytes)
    }

    package init(of source: [UInt8]) { bytes = Array(SHA256.hash(data: source)) }
    package init(of source: ArraySlice<UInt8>) { bytes = Array(SHA256.hash(data: source)) }

    private init(zeros: Void) { bytes = Array(repeating: 0, count: Self.byteCount) }
    /// What the first segment of a chain names as its previous one.
    package static let none = ContentHash(zeros: ())

    /// The first eight bytes: enough to tell the lives of one site apart.
    package var prefix: UInt64 { bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) } }

    /// 64 lower-case hexadecimal digits.
    package var description: String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(64)
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}

import Foundation

extension ContentHash {
    /// As it stands in the small JSON documents of the wire.
    package var base64: String { Data(bytes).base64EncodedString() }
}
