/// How texts stand in a workbook's XML: `_xHHHH_` is one UTF-16 unit, for characters that XML cannot hold.
enum CellText {
    /// `a_x000D_b` is `a`, carriage return, `b`; `_x005F_x000D_` is the text `_x000D_` itself.
    static func decoded(_ bytes: [UInt8]) -> String {
        let text = String(decoding: bytes, as: UTF8.self)
        guard hasEscape(bytes) else { return text }
        var units: [UInt16] = []
        var rest = Array(text.utf16)[...]
        while let unit = rest.first {
            if let escaped = escape(in: rest) {
                units.append(escaped)
                rest = rest.dropFirst(7)
            } else {
                units.append(unit)
                rest = rest.dropFirst()
            }
        }
        return String(decoding: units, as: UTF16.self)
    }

    /// The opposite: what `decoded` gives back as `text`, for whatever text.
    static func encoded(_ text: String) -> String {
        guard needsEncoding(text) else { return text }
        var result = ""
        var rest = Array(text.utf16)[...]
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x5F where escape(in: rest) != nil: result += "_x005F_"
            // XML has no other control characters, and reads a carriage return as a line feed.
            case 0..<0x20 where scalar != "\t" && scalar != "\n", 0xFFFE, 0xFFFF:
                let digits = String(scalar.value, radix: 16, uppercase: true)
                result += "_x" + String(repeating: "0", count: 4 - digits.utf8.count) + digits + "_"
            default: result.unicodeScalars.append(scalar)
            }
            rest = rest.dropFirst(UTF16.width(scalar))
        }
        return result
    }

    private static func needsEncoding(_ text: String) -> Bool {
        var previous: UInt8 = 0
        for byte in text.utf8 {
            if byte < 0x20 && byte != 0x09 && byte != 0x0A { return true }
            if previous == UInt8(ascii: "_") && byte == UInt8(ascii: "x") { return true }
            if previous == 0xBF && byte >= 0xBE { return true }  // ends U+FFFE or U+FFFF, or another: harmless
            previous = byte
        }
        return false
    }

    private static func hasEscape(_ bytes: [UInt8]) -> Bool {
        var previous: UInt8 = 0
        for byte in bytes {
            if previous == UInt8(ascii: "_") && byte == UInt8(ascii: "x") { return true }
            previous = byte
        }
        return false
    }

    /// The unit that `_xHHHH_` at the start of `units` stands for; `nil` if none stands there.
    private static func escape(in units: ArraySlice<UInt16>) -> UInt16? {
        let seven = units.prefix(7)
        guard seven.count == 7, seven.first == 0x5F, seven.last == 0x5F, seven[seven.startIndex + 1] == 0x78 else {
            return nil
        }
        var value: UInt16 = 0
        for unit in seven.dropFirst(2).dropLast() {
            guard let digit = Character(UnicodeScalar(unit) ?? "?").hexDigitValue, unit < 0x80 else { return nil }
            value = value << 4 | UInt16(digit)
        }
        return value
    }
}
