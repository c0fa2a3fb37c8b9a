// Check digits and codes of the public standards, on bytes: they run once a row on every put, import and merge.

/// GB 11643-1999, the 18-digit citizen number; residence permits of Hong Kong, Macao and Taiwan follow the same scheme.
package enum CitizenNumber {
    private static let weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
    private static let checks = Array("10X98765432".utf8)

    /// 17 digits, a real birth date, and the check character of ISO 7064 MOD 11-2.
    package static func isValid(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        guard hasBirth(text) else { return false }
        var sum = 0
        for index in 0..<17 {
            guard let digit = digit(text[index]) else { return false }
            sum += digit * weights[index]
        }
        return text[17] == checks[sum % 11]
    }

    /// `YYYY-MM-DD` from digits 7 to 14; nil when they are no date.
    package static func birth(_ text: UnsafeBufferPointer<UInt8>) -> [UInt8]? {
        guard hasBirth(text) else { return nil }
        return [text[6], text[7], text[8], text[9], 0x2D, text[10], text[11], 0x2D, text[12], text[13]]
    }

    private static func hasBirth(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        guard text.count == 18, text[6..<14].allSatisfy({ 0x30...0x39 ~= $0 }) else { return false }
        func number(_ range: Range<Int>) -> Int { text[range].reduce(0) { $0 * 10 + Int($1) - 0x30 } }
        let (year, month, day) = (number(6..<10), number(10..<12), number(12..<14))
        return year >= 1800 && 1...12 ~= month && day >= 1 && day <= daysIn(month: month, year: year)
    }

    /// GB/T 2261.1: "1" male, "2" female, from digit 17; nil when it is no digit.
    package static func sex(_ text: UnsafeBufferPointer<UInt8>) -> UInt8? {
        guard text.count == 18, let digit = digit(text[16]) else { return nil }
        return digit % 2 == 1 ? 0x31 : 0x32
    }

    private static func digit(_ byte: UInt8) -> Int? { 0x30...0x39 ~= byte ? Int(byte) - 0x30 : nil }

    private static func daysIn(month: Int, year: Int) -> Int {
        switch month {
        case 4, 6, 9, 11: 30
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        default: 31
        }
    }
}

/// GB 32100-2015, the unified social credit code; the 9-character organisation codes of GB 11714 are accepted beside it.
package enum CreditCode {
    private static let alphabet = Array("0123456789ABCDEFGHJKLMNPQRTUWXY".utf8)
    private static let organisationWeights = [3, 7, 9, 10, 5, 8, 4, 2]

    package static func isValid(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        text.count == 9 || text.count == 10 ? isOrganisationCode(text) : isCreditCode(text)
    }

    private static func isCreditCode(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        guard text.count == 18 else { return false }
        var sum = 0
        var weight = 1
        for byte in text.prefix(17) {
            guard let value = alphabet.firstIndex(of: byte) else { return false }
            sum += value * weight
            weight = weight * 3 % 31
        }
        return alphabet.firstIndex(of: text[17]) == (31 - sum % 31) % 31
    }

    /// Eight characters and a check character modulo 11, with or without the hyphen before it.
    private static func isOrganisationCode(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        guard text.count == 9 || text[8] == 0x2D else { return false }
        var sum = 0
        for (byte, weight) in zip(text.prefix(8), organisationWeights) {
            switch byte {
            case 0x30...0x39: sum += (Int(byte) - 0x30) * weight
            case 0x41...0x5A: sum += (Int(byte) - 0x41 + 10) * weight
            default: return false
            }
        }
        let check = 11 - sum % 11
        return text.last == (check == 10 ? 0x58 : check == 11 ? 0x30 : UInt8(0x30 + check))
    }
}
