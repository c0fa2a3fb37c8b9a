/// A day (and time) of a cell. Spreadsheets store days as numbers and tell them from numbers by the cell's format only.
package struct WorkbookDate: Hashable, Sendable {
    package let year: Int
    package let month: Int
    package let day: Int
    /// 0 for a plain date.
    package let secondOfDay: Int
    /// As stored: a serial number, or an ISO 8601 text.
    package let raw: String

    /// `YYYY-MM-DD`.
    package var iso: String { "\(Self.padded(year, 4))-\(Self.padded(month, 2))-\(Self.padded(day, 2))" }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}

extension WorkbookDate {
    /// From a serial number.
    ///
    /// - Parameter is1904: days count from 1904-01-01 (old Macintosh workbooks) instead of 1899-12-31.
    /// - Returns: `nil` for what is no day: a time alone (below 1), beyond the year 9999, and serial 60 of the 1900
    ///   system, which is the 29 February 1900 that never was (Lotus 1-2-3's error, kept by Excel; days before it count
    ///   one less).
    init?(serial: Double, raw: String, is1904: Bool) {
        guard serial >= (is1904 ? 0 : 1), serial < 2_958_466 else { return nil }
        var whole = Int(serial)
        // Excel stores times with rounding errors: 23:59:59.9999 is the next midnight.
        var second = Int(((serial - Double(whole)) * 86_400).rounded())
        if second == 86_400 { (whole, second) = (whole + 1, 0) }
        guard is1904 || whole != 60 else { return nil }
        // Days since 1970-01-01.
        let days = is1904 ? whole - 24_107 : whole - (whole < 60 ? 25_568 : 25_569)
        (year, month, day) = Self.civil(daysSince1970: days)
        secondOfDay = second
        self.raw = raw
    }

    /// From a cell of type `d`: `2024-09-01` or `2024-09-01T08:30:00`, with or without a zone.
    init?(iso raw: String) {
        let fields = raw.split { !$0.isASCII || !$0.isNumber }.prefix(6).compactMap { Int($0) }
        guard fields.count >= 3, raw.utf8.count >= 10, (0...9999).contains(fields[0]), (1...12).contains(fields[1]),
            (1...31).contains(fields[2]), fields.dropFirst(3).allSatisfy({ (0...60).contains($0) })
        else { return nil }
        (year, month, day) = (fields[0], fields[1], fields[2])
        secondOfDay = fields.count == 6 ? fields[3] * 3600 + fields[4] * 60 + fields[5] : 0
        self.raw = raw
    }

    /// Gregorian day of a day count; years begin in March, so that the leap day is the last.
    /// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
    private static func civil(daysSince1970: Int) -> (Int, Int, Int) {
        let shifted = daysSince1970 + 719_468
        let era = shifted / 146_097  // never negative: serials begin in 1899
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }
}

/// Which number formats show a date.
enum DateFormats {
    /// Source: ECMA-376 part 1, 18.8.30, with the numbers that the Chinese editions add (27 to 36, 50 to 58).
    static func isDate(builtIn id: Int) -> Bool {
        switch id {
        case 14...22, 27...36, 45...47, 50...58: true
        default: false
        }
    }

    /// A format of the workbook's own: a date if `y`, `m` or `d` stands outside quotes, brackets and escapes.
    /// Only the first section counts; the others are for negative numbers, zero and text.
    static func isDate(code: String) -> Bool {
        var rest = code.utf8.makeIterator()
        while let byte = rest.next() {
            switch byte {
            case UInt8(ascii: "\""): while let quoted = rest.next(), quoted != UInt8(ascii: "\"") {}
            case UInt8(ascii: "["): while let bracketed = rest.next(), bracketed != UInt8(ascii: "]") {}
            case UInt8(ascii: "\\"), UInt8(ascii: "_"), UInt8(ascii: "*"): _ = rest.next()
            case UInt8(ascii: ";"): return false
            default:
                switch byte | 0x20 {
                case UInt8(ascii: "y"), UInt8(ascii: "m"), UInt8(ascii: "d"): return true
                default: break
                }
            }
        }
        return false
    }
}
