// Two shapes of text that pack well: dates and digits of one length. Found by looking at the texts, never by a field's
// name. A few texts may break the pattern ("exceptions"): one mistyped phone number must not spoil 5,000.

/// `YYYY-MM-DD`, years 0000...9999, a day that exists; packed as the day number (1970-01-01 = 0).
enum DatePattern {
    static let byteCount = 10

    static func day(_ text: UnsafeBufferPointer<UInt8>) -> Int64? {
        guard text.count == byteCount, text[4] == 0x2D, text[7] == 0x2D else { return nil }
        var parts = (0, 0, 0)
        for i in 0..<byteCount where i != 4 && i != 7 {
            let digit = Int(text[i]) - 0x30
            guard digit >= 0, digit <= 9 else { return nil }
            if i < 4 { parts.0 = parts.0 * 10 + digit } else if i < 7 { parts.1 = parts.1 * 10 + digit } else {
                parts.2 = parts.2 * 10 + digit
            }
        }
        let (year, month, day) = parts
        guard (1...12).contains(month), day >= 1, day <= daysIn(month, of: year) else { return nil }
        return Int64(number(year, month, day))
    }

    /// The first and the last day that can be written.
    static let range = Int64(number(0, 1, 1))..<Int64(number(9999, 12, 31)) + 1

    static func write(_ day: Int64, to target: UnsafeMutablePointer<UInt8>) {
        // The inverse of `number`, after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
        let shifted = Int(day) + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let dayOfMonth = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        func put(_ value: Int, _ at: Int) { target[at] = UInt8(0x30 + value % 10) }
        put(year / 1000, 0)
        put(year / 100, 1)
        put(year / 10, 2)
        put(year, 3)
        target[4] = 0x2D
        put(month / 10, 5)
        put(month, 6)
        target[7] = 0x2D
        put(dayOfMonth / 10, 8)
        put(dayOfMonth, 9)
    }

    private static func daysIn(_ month: Int, of year: Int) -> Int {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    private static func number(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let year = month <= 2 ? year - 1 : year
        let era = (year >= 0 ? year : year - 399) / 400
        let yearOfEra = year - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

/// A fixed prefix, then a fixed number of digits, of which the last may be `X` (identity numbers).
struct DigitPattern {
    static let digitsMax = 64
    static let prefixMax = 32
    /// Digits whose value fits an Int64, with the last one counted to base 11.
    static let integerDigitsMax = 18

    /// Range of the prefix in the arena.
    var prefix: UnsafeBufferPointer<UInt8>
    /// Those that are packed.
    var digits: Int
    /// One more character follows from the digits: ISO 7064 MOD 11-2, as in citizen numbers.
    var isChecked = false
    var end: Int { prefix.count + digits }
    var length: Int { isChecked ? end + 1 : end }
    var pairBytes: Int { (digits + 1) / 2 }

    /// The pattern that most of the first texts have; nil when that is not a useful one.
    init?(sampling texts: TextSource) {
        var best: DigitPattern?
        var votes = 0
        for i in 0..<min(texts.count, 33) {
            let shape = DigitPattern(shapeOf: texts.bytes(i))
            // Boyer and Moore's majority vote.
            if votes == 0 {
                best = shape
                votes = 1
            } else if best?.prefix.count == shape?.prefix.count, best?.digits == shape?.digits {
                votes += 1
            } else {
                votes -= 1
            }
        }
        guard let best else { return nil }
        self = best
        drop(checkSampling: texts)
        if !isChecked { shorten(sampling: texts) }
    }

    /// With the check character packed like any digit.
    var unchecked: DigitPattern {
        var all = self
        all.digits = length - prefix.count
        all.isChecked = false
        return all
    }

    /// Drops the last character where nearly all of the first texts agree that it follows from the others.
    private mutating func drop(checkSampling texts: TextSource) {
        guard digits > 2 else { return }
        var checked = self
        checked.digits -= 1
        checked.isChecked = true
        var votes = (follows: 0, others: 0)
        for i in 0..<min(texts.count, 33) where fits(texts.bytes(i)) {
            if checked.fits(texts.bytes(i)) { votes.follows += 1 } else { votes.others += 1 }
        }
        if votes.follows >= 3, votes.others * 8 <= votes.follows { self = checked }
    }

    /// The character that makes the digits before it valid.
    static func check(_ digits: UnsafePointer<UInt8>, count: Int) -> UInt8 {
        var sum = 0
        for i in 0..<count { sum = (sum + Int(digits[i]) - 0x30) * 2 % 11 }
        let value = UInt8((12 - sum) % 11)
        return value == 10 ? 0x58 : 0x30 + value
    }

    /// Numbers too long for an integer often begin alike (a school's code): what the first texts share goes to the
    /// prefix.
    private mutating func shorten(sampling texts: TextSource) {
        let target = length - Self.integerDigitsMax
        guard digits > Self.integerDigitsMax, target <= Self.prefixMax else { return }
        let whole = UnsafeBufferPointer(start: prefix.baseAddress!, count: length)
        for i in 0..<min(texts.count, 33) where texts.bytes(i).count == length {
            if TextSource.commonPrefix(texts.bytes(i), whole) < target { return }
        }
        prefix = UnsafeBufferPointer(rebasing: whole[..<target])
        digits = Self.integerDigitsMax
    }

    private init?(shapeOf text: UnsafeBufferPointer<UInt8>) {
        var start = text.count
        if start > 0, text[start - 1] == 0x58 { start -= 1 }
        while start > 0, text[start - 1] &- 0x30 <= 9 { start -= 1 }
        // A lone X at the end is no number.
        guard text.count - start >= 2, start <= Self.prefixMax, text.count - start <= Self.digitsMax else { return nil }
        prefix = UnsafeBufferPointer(rebasing: text[..<start])
        digits = text.count - start
    }

    func fits(_ text: UnsafeBufferPointer<UInt8>) -> Bool {
        guard text.count == length else { return false }
        for i in 0..<prefix.count where text[i] != prefix[i] { return false }
        for i in prefix.count..<length - 1 where text[i] &- 0x30 > 9 { return false }
        let last = text[length - 1]
        if isChecked { return last == Self.check(text.baseAddress! + prefix.count, count: digits) }
        return last &- 0x30 <= 9 || last == 0x58
    }

    /// Bit i: digit i of the two differs. Both fit.
    func differences(_ a: UnsafeBufferPointer<UInt8>, _ b: UnsafeBufferPointer<UInt8>) -> UInt64 {
        var bits: UInt64 = 0
        for i in 0..<digits where a[prefix.count + i] != b[prefix.count + i] { bits |= 1 << UInt64(i) }
        return bits
    }

    /// Planes of `writePairs` in which anything changes; the others vanish in the compressor.
    func varyingPairs(_ differences: UInt64) -> Int {
        // An odd first digit stands alone: shift by one, and all pairs begin at even bits.
        let bits = UInt128(differences) << UInt128(digits & 1)
        return (0..<pairBytes).count { bits >> UInt128($0 * 2) & 3 != 0 }
    }

    /// 0...9, X is 10; only the last digit is ever X.
    private static func digit(_ byte: UInt8) -> UInt8 { byte == 0x58 ? 10 : byte - 0x30 }

    /// For up to `integerDigitsMax` digits: all but the last as a decimal number, times 11, plus the last.
    func integer(_ text: UnsafeBufferPointer<UInt8>) -> Int64 {
        var value: Int64 = 0
        for i in prefix.count..<end - 1 { value = value * 10 + Int64(text[i] - 0x30) }
        return value * 11 + Int64(Self.digit(text[end - 1]))
    }

    /// One past the largest value that `integer` gives for `digits`.
    static func integerEnd(digits: Int) -> Int64 { (1..<digits).reduce(11) { power, _ in power * 10 } }

    static func write(integer: Int64, digits: Int, to target: UnsafeMutablePointer<UInt8>) {
        let last = UInt8(integer % 11)
        target[digits - 1] = last == 10 ? 0x58 : 0x30 + last
        var rest = integer / 11
        var i = digits - 2
        while i >= 0 {
            target[i] = 0x30 + UInt8(rest % 10)
            rest /= 10
            i -= 1
        }
    }

    /// Two digits a byte, the last byte to base 11: byte `pair` of a text goes to plane `pair`.
    func writePairs(_ text: UnsafeBufferPointer<UInt8>, to target: UnsafeMutablePointer<UInt8>, stride: Int) {
        var source = prefix.count
        var at = 0
        if digits & 1 == 1, digits > 1 {
            target[0] = text[source] - 0x30
            source += 1
            at = stride
        }
        while source + 2 < end {
            target[at] = (text[source] - 0x30) * 10 + text[source + 1] - 0x30
            source += 2
            at += stride
        }
        target[at] = (text[source] - 0x30) * 11 + Self.digit(text[source + 1])
    }

    /// - Returns: false if a byte is none that `writePairs` makes.
    static func readPairs(
        _ source: UnsafePointer<UInt8>, stride: Int, digits: Int, to target: UnsafeMutablePointer<UInt8>
    ) -> Bool {
        var i = 0
        var at = 0
        if digits & 1 == 1 {
            guard source[0] <= 9 else { return false }
            target[0] = 0x30 + source[0]
            i = 1
            at = stride
        }
        while i + 2 < digits {
            let pair = source[at]
            guard pair <= 99 else { return false }
            target[i] = 0x30 + pair / 10
            target[i + 1] = 0x30 + pair % 10
            i += 2
            at += stride
        }
        let pair = source[at]
        guard pair <= 109 else { return false }
        target[i] = 0x30 + pair / 11
        let last = pair % 11
        target[i + 1] = last == 10 ? 0x58 : 0x30 + last
        return true
    }
}
