// Files that people write with whatever program they have: catalogue, policies, worked conflicts. UTF-8, with or without a byte order
// mark, lines ended in any way there is. What is not UTF-8 is refused where it begins: read with replacement characters it would
// be told as an unknown form or field, in words that nobody has written.

import Foundation

package enum TextFile {
    /// - Parameter next: what to do where the file cannot be read.
    /// - Throws: `Failure(.usage)` that names the file, and the first line that is not UTF-8.
    package static func read(_ path: String, orElse next: String = "Check its permissions.") throws(Failure) -> String {
        guard let data = FileManager.default.contents(atPath: path) else { throw Failure(.usage, "\(path) cannot be read.", next: next) }
        let bytes = data.starts(with: [0xEF, 0xBB, 0xBF]) ? data.dropFirst(3) : data
        guard let text = String(validating: bytes, as: UTF8.self) else {
            let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            let line = lines.firstIndex { String(validating: $0, as: UTF8.self) == nil } ?? 0
            let isWide = data.starts(with: [0xFF, 0xFE]) || data.starts(with: [0xFE, 0xFF])
            throw Failure(
                .usage, "\(path), line \(line + 1): the text is not UTF-8.",
                next: "It is probably \(isWide ? "UTF-16 (“Unicode”)" : "GBK (“ANSI”)"). Save it as UTF-8: 另存为，编码选 UTF-8.")
        }
        return text.replacing("\r\n", with: "\n").replacing("\r", with: "\n")
    }
}

/// The line (1-based) of the `index`-th `[[table]]` block, or of a key in it; exact, for the style is one key a line.
package func lineOf(table: String, index: Int, key: String?, in text: String) -> Int? {
    var seen = -1
    var blockLine: Int?
    for (number, raw) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
        if raw.header == "[[\(table)]]" {
            if blockLine != nil { return blockLine }
            seen += 1
            if seen == index { blockLine = number + 1 }
        } else if blockLine != nil, let key, raw.sets(key) {
            return number + 1
        }
    }
    return blockLine
}

/// The line (1-based) where a key of a file's head, or a table of this name, begins.
package func lineOf(key: String, in text: String) -> Int? {
    text.split(separator: "\n", omittingEmptySubsequences: false)
        .firstIndex { $0.sets(key) || $0.header == "[\(key)]" || $0.header == "[[\(key)]]" }.map { $0 + 1 }
}

extension Substring {
    /// "[[ step ]]  # note" → "[[step]]"; nil for other lines.
    fileprivate var header: String? {
        let line = prefix { $0 != "#" }
        guard line.first(where: { !$0.isWhitespace }) == "[" else { return nil }
        return line.filter { !$0.isWhitespace && $0 != "\"" }
    }

    fileprivate func sets(_ key: String) -> Bool {
        let line = drop { $0.isWhitespace || $0 == "\"" }
        return line.hasPrefix(key) && line.dropFirst(key.count).first { !$0.isWhitespace && $0 != "\"" } == "="
    }
}
