// JSON as both sides write it: keys in order, slashes as they are, so that the same document has the same bytes.

import Foundation

package enum WireJSON {
    /// - Parameter pretty: for files that people open (invites, keys); the wire counts bytes.
    package static func encode(_ value: some Encodable, pretty: Bool = false) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting =
            pretty
            ? [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted] : [.sortedKeys, .withoutEscapingSlashes]
        do {
            return [UInt8](try encoder.encode(value))
        } catch {
            preconditionFailure("our own documents can always be written as JSON: \(error)")
        }
    }

    /// Nil if the bytes are not such a document.
    package static func decode<T: Decodable>(_ type: T.Type, from bytes: [UInt8]) -> T? {
        try? JSONDecoder().decode(type, from: Data(bytes))
    }
}
