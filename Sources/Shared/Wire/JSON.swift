import Foundation

/// JSON with sorted keys and plain slashes, as a String: for files that people read and values in the database.
package func encodeJSON(_ value: some Encodable, pretty: Bool = false) throws(Failure) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = pretty ? [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted] : [.sortedKeys, .withoutEscapingSlashes]
    do {
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    } catch {
        throw Failure(.damaged, "\(type(of: value)) cannot be written as JSON: \(error).", next: "Report this as a bug.")
    }
}
