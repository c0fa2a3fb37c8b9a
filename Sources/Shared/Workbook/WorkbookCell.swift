import CWorkbook

/// One cell as the workbook stores it, before any form's rules are asked.
package enum WorkbookCell: Hashable, Sendable {
    /// No cell, or an empty one that only carries a format.
    case empty
    /// Never the empty string. Blanks are kept as typed.
    case text(String)
    /// `raw` is the number as stored, for example `1.10101199003074E+17`.
    case number(Double, raw: String)
    /// A number whose format shows a date.
    case date(WorkbookDate)
    case boolean(Bool)
    /// `#N/A`, `#REF!`, …
    case error(String)
    /// A formula whose result is not in the file: a program wrote it, and no spreadsheet program has saved it since.
    case formulaWithoutResult

    /// No value, or a text of blanks only (also U+3000, the blank of Chinese input methods).
    package var isBlank: Bool {
        switch self {
        case .empty: true
        case .text(let text): text.unicodeScalars.allSatisfy(\.properties.isWhitespace)
        default: false
        }
    }

    /// The value as the person sees it in the sheet, except that dates are always `YYYY-MM-DD`.
    /// `nil` where there is none to take: an error, or a formula without its result.
    package var shown: String? {
        switch self {
        case .empty: ""
        case .text(let text): text
        case .number(let value, _): Self.shown(value)
        case .date(let date): date.iso
        case .boolean(let value): value ? "TRUE" : "FALSE"
        case .error, .formulaWithoutResult: nil
        }
    }

    /// A number of more than 15 digits: spreadsheets keep 15, so an ID number (身份证号) or card number typed into a cell
    /// that is not text has lost its end for good, and must be typed again.
    package var hasLostDigits: Bool {
        if case .number(let value, _) = self { abs(value) >= 1e15 } else { false }
    }

    private static func shown(_ value: Double) -> String {
        // Excel shows long whole numbers as 1.1E+17; a person wants the digits.
        if value == value.rounded(), abs(value) < 1e18 { return String(Int64(value)) }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: 32) { room in
            zz_number_shown(value, room.baseAddress, room.count)
            return String(cString: room.baseAddress!)
        }
    }
}

/// One row that holds at least one value.
package struct WorkbookRow: Hashable, Sendable {
    /// 1-based, as Excel shows it in the margin.
    package let number: Int
    /// By 0-based column; ends with the last cell that holds a value.
    package let cells: [WorkbookCell]

    /// `.empty` beyond the last cell.
    package subscript(column: Int) -> WorkbookCell { column < cells.count ? cells[column] : .empty }
}

/// How columns are named in a sheet.
package enum WorkbookColumn {
    /// `A` for 0, `AA` for 26.
    package static func name(_ column: Int) -> String {
        let letter = String(UnicodeScalar(UInt8(65 + column % 26)))
        return column < 26 ? letter : name(column / 26 - 1) + letter
    }

    /// The 0-based column of a reference such as `AB12`; `nil` if it does not begin with 1 to 3 letters.
    static func index(_ reference: String) -> Int? {
        var column = 0, letters = 0
        for byte in reference.utf8 {
            let letter = byte & 0xDF  // upper case
            guard letter >= 65, letter <= 90 else { break }
            column = column * 26 + Int(letter) - 64
            letters += 1
            if letters > 3 { return nil }
        }
        return letters == 0 ? nil : column - 1
    }
}
