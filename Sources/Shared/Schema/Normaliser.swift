// What a person typed or pasted → what is stored. Slips that have one meaning are mended (full-width digits, spaces, a lower
// x in an ID number, a code's name); everything else is refused with a sentence, or left to the rules.

/// Why a typed value cannot be stored, in the words of the person who reads the form.
package struct EntryProblem: Error, Hashable, Sendable {
    package let message: String
    package let fix: String
}

package struct Normaliser: Sendable {
    package let catalogue: Catalogue
    package init(catalogue: Catalogue) { self.catalogue = catalogue }

    /// - Returns: `.null` for an empty text.
    package func value(_ typed: String, for field: Field) throws(EntryProblem) -> Value {
        let text = trimmed(typed)
        guard !text.isEmpty else { return .null }
        switch field.type {
        case .text:
            return .text(text)
        case .integer, .flag:
            if field.type == .flag, let flag = ["是": 1, "否": 0, "有": 1, "无": 0][text] { return .integer(Int64(flag)) }
            guard let number = Int64(halfWidth(text)) else {
                throw EntryProblem(message: "\(field.title)“\(text)”不是整数", fix: "请只填数字，不要带单位")
            }
            return .integer(number)
        case .decimal:
            guard let number = Double(halfWidth(text)), number.isFinite else {
                throw EntryProblem(message: "\(field.title)“\(text)”不是数字", fix: "请只填数字，不要带单位")
            }
            return .real(number)
        case .date:
            return .text(date(halfWidth(text)) ?? text)
        case .yearMonth:
            return .text(yearMonth(halfWidth(text)) ?? text)
        case .code:
            let plain = halfWidth(text)
            guard let code = catalogue.codeSets[field.codes!]?.code(for: plain) ?? catalogue.codeSets[field.codes!]?.code(for: text)
            else { return .text(text) }        // the rule "in the code set" names it
            return .text(code)
        case .idNumber:
            return .text(halfWidth(text).uppercased())
        case .phone, .region:
            return .text(halfWidth(text))
        }
    }

    private func trimmed(_ text: String) -> String {
        var part = Substring(text)
        let blank: Set<Character> = [" ", "\t", "\n", "\r", "\r\n", "\u{3000}", "\u{A0}", "\u{FEFF}"]
        while let first = part.first, blank.contains(first) { part.removeFirst() }
        while let last = part.last, blank.contains(last) { part.removeLast() }
        if part.first == "'" { part.removeFirst() }        // Excel's mark for "this is text"
        return String(part)
    }

    /// Full-width ASCII (U+FF01 to U+FF5E) → ASCII.
    private func halfWidth(_ text: String) -> String {
        String(String.UnicodeScalarView(text.unicodeScalars.map { scalar in
            (0xFF01...0xFF5E).contains(scalar.value) ? Unicode.Scalar(scalar.value - 0xFEE0)! : scalar
        }))
    }

    /// 2008/9/1, 2008.9.1, 2008年9月1日, 20080901 → 2008-09-01; nil when it reads as none of them.
    private func date(_ text: String) -> String? {
        let parts = numbers(text)
        if parts.count == 3, parts[0].count == 4 { return [parts[0], pad(parts[1]), pad(parts[2])].joined(separator: "-") }
        if parts.count == 1, parts[0].count == 8, text.count == 8 {
            let digits = Array(parts[0])
            return "\(String(digits[0..<4]))-\(String(digits[4..<6]))-\(String(digits[6..<8]))"
        }
        return nil
    }

    /// The same of a month; of a whole date, as spreadsheets have months, its month.
    private func yearMonth(_ text: String) -> String? {
        let parts = numbers(text)
        if (2...3).contains(parts.count), parts[0].count == 4 { return parts[0] + "-" + pad(parts[1]) }
        if parts.count == 1, parts[0].count == 6, text.count == 6 {
            return String(parts[0].prefix(4)) + "-" + String(parts[0].suffix(2))
        }
        return nil
    }

    /// None where anything else is said than a date: of 约2008年9月 or 2023年9月至2024年6月 a date would be a part.
    private func numbers(_ text: String) -> [String] {
        guard text.allSatisfy({ $0.isASCII && $0.isNumber || "年月日号/-.–— ".contains($0) }) else { return [] }
        return text.split { !$0.isASCII || !$0.isNumber }.map(String.init)
    }

    private func pad(_ text: String) -> String { text.count == 1 ? "0" + text : text }
}
