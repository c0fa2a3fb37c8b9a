import Foundation

/// An answer as it comes in, line by line and piece by piece, within its bounds: what another machine sends is not kept
/// without a limit.
struct ReplyAssembly {
    /// Lower-case name → value, of the last answer (an interim 1xx may come before).
    private(set) var headers: [String: String] = [:]
    private(set) var body: [UInt8] = []
    private(set) var isTooLarge = false
    private let bodyBytesMax: Int
    private var headerBytes = 0
    private static let headerBytesMax = 64 * 1024

    init(bodyBytesMax: Int) { self.bodyBytesMax = bodyBytesMax }

    /// False when it is too much; the piece is not kept.
    mutating func takeBody(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard body.count + bytes.count <= bodyBytesMax else {
            isTooLarge = true
            return false
        }
        body.append(contentsOf: bytes)
        return true
    }

    /// Takes one line, with its end; false when it is too much.
    mutating func takeHeader(_ bytes: UnsafeRawBufferPointer) -> Bool {
        headerBytes += bytes.count
        guard headerBytes <= Self.headerBytesMax else {
            isTooLarge = true
            return false
        }
        let line = String(decoding: bytes, as: UTF8.self)
        // A status line starts over: what came before belonged to an interim answer.
        if line.hasPrefix("HTTP/") { headers = [:] }
        if let colon = line.firstIndex(of: ":") {
            let value = line[line.index(after: colon)...].trimmingCharacters(in: .whitespacesAndNewlines)
            headers[line[..<colon].lowercased()] = value
        }
        return true
    }
}
