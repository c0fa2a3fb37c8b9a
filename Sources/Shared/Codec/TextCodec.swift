/// The texts of one column, whose count both sides know, in the cheapest of a few encodings.
///
/// The cost of each is estimated in bytes before zstd, from one or two passes; only digit groups and character tables are tried
/// out.
enum TextCodec {
    enum Encoding: UInt8 {
        case constant = 0
        /// Distinct texts, and an index each.
        case dictionary = 1
        /// Each text ends with a zero byte; taken when no text has one.
        case terminated = 2
        /// Lengths, then all bytes.
        case sized = 3
        case dates = 4
        /// Digits of one length, two a byte.
        case digitPairs = 5
        /// Digits of one length, as integers: for numbers that count up.
        case digitIntegers = 6
        /// Bytes in common with the text before, then the rest.
        case prefixShared = 7
        /// Like `digitPairs`, without a last character that follows from the digits.
        case checkedPairs = 8
        /// Digits of one length in groups of their own habits.
        case digitGroups = 9
        /// A table of the characters, then their numbers.
        case characters = 10
    }

    /// How deep in a column some texts stand; each level allows less, so that a forged one cannot recurse without end.
    enum Nesting {
        case column, entries, exceptions
        func allows(_ encoding: Encoding) -> Bool {
            switch encoding {
            case .constant, .terminated, .sized, .prefixShared, .characters: true
            case .dates, .digitPairs, .digitIntegers, .checkedPairs, .digitGroups: self != .exceptions
            case .dictionary: self == .column
            }
        }
    }

    static func encode(_ texts: TextSource, nesting: Nesting = .column, into out: inout ByteWriter) {
        guard texts.count > 0 else { return }
        let survey = texts.survey()
        if survey.allEqual { return encodeConstant(texts, into: &out) }
        let candidates = candidates(texts, survey, nesting)
        guard let (groups, pattern, exceptions) = candidates.groups else {
            return encode(texts, survey, candidates, into: &out)
        }
        // Rhythms between rows show in the compressor alone, so these two are tried out.
        var (plain, grouped) = (ByteWriter(), ByteWriter())
        encode(texts, survey, candidates, into: &plain)
        grouped.byte(Encoding.digitGroups.rawValue)
        encodeExceptions(exceptions, of: texts, into: &grouped)
        grouped.varint(pattern.prefix.count)
        grouped.raw(pattern.prefix)
        grouped.byte(UInt8(pattern.digits))
        groups.write(into: &grouped)
        out.raw(trialBytes(grouped.bytes) * 33 < trialBytes(plain.bytes) * 32 ? grouped.bytes : plain.bytes)
    }

    private static func trialBytes(_ bytes: [UInt8]) -> Int {
        (try? ZstdFrame.compress(bytes, level: 3, mayUseDictionary: false).count) ?? .max / 64
    }

    private static func encode(
        _ texts: TextSource, _ survey: TextSource.Survey, _ candidates: Candidates, into out: inout ByteWriter
    ) {
        switch candidates.choice {
        case .dictionary:
            let (firsts, indices) = candidates.distinct!
            out.byte(Encoding.dictionary.rawValue)
            out.varint(firsts.count)
            encode(texts.picking(firsts), nesting: .entries, into: &out)
            IntegerStream.encode(indices, into: &out)
        case .dates:
            out.byte(Encoding.dates.rawValue)
            encodeExceptions(candidates.exceptions, of: texts, into: &out)
            IntegerStream.encode(candidates.days, into: &out)
        case .digitPairs, .digitIntegers, .checkedPairs, .digitGroups: encodeDigits(texts, candidates, into: &out)
        case .prefixShared: encodePrefixShared(texts, into: &out)
        case .terminated, .sized:
            guard let table = CharacterTable(texts, totalBytes: survey.totalBytes) else { fallthrough }
            var (plain, numbered) = (ByteWriter(), ByteWriter())
            encodePlain(texts, hasZero: survey.hasZero, totalBytes: survey.totalBytes, into: &plain)
            numbered.byte(Encoding.characters.rawValue)
            table.write(texts, into: &numbered)
            out.raw(trialBytes(numbered.bytes) * 33 < trialBytes(plain.bytes) * 32 ? numbered.bytes : plain.bytes)
        default: encodePlain(texts, hasZero: survey.hasZero, totalBytes: survey.totalBytes, into: &out)
        }
    }

    /// What was found while choosing, so that it is not computed again.
    private struct Candidates {
        var choice = Encoding.terminated
        var cost: Int
        var distinct: (firsts: [Int], indices: [Int64])?
        var exceptions: [Int] = []
        var days: [Int64] = []
        var pattern: DigitPattern?
        var integers: [Int64] = []
        var groups: (DigitGroups, DigitPattern, exceptions: [Int])?

        mutating func offer(_ encoding: Encoding, cost other: Int) -> Bool {
            guard other < cost else { return false }
            choice = encoding
            cost = other
            return true
        }
    }

    private static func candidates(_ texts: TextSource, _ survey: TextSource.Survey, _ nesting: Nesting) -> Candidates {
        let count = texts.count
        var found = Candidates(cost: survey.totalBytes + count)
        // Where the compressor would find the same match, saying so costs two bytes: only a long prefix is worth it.
        if survey.sharedBytes * 2 >= survey.totalBytes {
            _ = found.offer(.prefixShared, cost: survey.totalBytes - survey.sharedBytes + 2 * count)
        }
        if nesting == .exceptions { return found }
        if let (days, exceptions) = dates(in: texts) {
            let cost = IntegerStream.Cost(days).bytes + exceptions.count * (DatePattern.byteCount + 3)
            if found.offer(.dates, cost: cost) {
                found.days = days
                found.exceptions = exceptions
            }
        } else if let pattern = DigitPattern(sampling: texts) {
            if !offerDigits(pattern, texts, &found), pattern.isChecked { _ = offerDigits(pattern.unchecked, texts, &found) }
        }
        if nesting == .column, count >= 4, let distinct = texts.distinct() {
            let perText = survey.totalBytes / count + 1
            let entryBytes = distinct.firsts.count * min(perText, found.cost / count + 1)
            if found.offer(.dictionary, cost: entryBytes + IntegerStream.Cost(distinct.indices).bytes) {
                found.distinct = distinct
            }
        }
        return found
    }

    private static func dates(in texts: TextSource) -> (days: [Int64], exceptions: [Int])? {
        // Looking at the first few spares all other columns a pass.
        guard (0..<min(texts.count, 4)).contains(where: { DatePattern.day(texts.bytes($0)) != nil }) else { return nil }
        var days: [Int64] = []
        var exceptions: [Int] = []
        days.reserveCapacity(texts.count)
        for i in 0..<texts.count {
            if let day = DatePattern.day(texts.bytes(i)) { days.append(day) } else { exceptions.append(i) }
            if exceptions.count > 4 + i / 8 { return nil }
        }
        return (days, exceptions)
    }

    /// - Returns: false if too many texts do not fit.
    private static func offerDigits(_ pattern: DigitPattern, _ texts: TextSource, _ found: inout Candidates) -> Bool {
        var exceptions: [Int] = []
        var integers: [Int64] = []
        let asIntegers = pattern.digits <= DigitPattern.integerDigitsMax && !pattern.isChecked
        if asIntegers { integers.reserveCapacity(texts.count) }
        var differences: UInt64 = 0
        var last = -1
        for i in 0..<texts.count {
            let text = texts.bytes(i)
            if !pattern.fits(text) {
                exceptions.append(i)
                if exceptions.count > 4 + i / 8 { return false }
                continue
            }
            if asIntegers { integers.append(pattern.integer(text)) }
            if last >= 0 { differences |= pattern.differences(text, texts.bytes(last)) }
            last = i
        }
        let fitting = texts.count - exceptions.count
        if found.groups == nil {
            let others = Set(exceptions)
            let all = (0..<texts.count).filter { !others.contains($0) }
            found.groups = DigitGroups(texts, fitting: all, pattern: pattern).map { ($0, pattern, exceptions) }
        }
        let exceptionBytes = exceptions.count * (pattern.length + 3) + pattern.prefix.count
        let pairs = pattern.varyingPairs(differences) * fitting
        var choice = pattern.isChecked ? Encoding.checkedPairs : .digitPairs
        var cost = pairs
        if asIntegers {
            let integerCost = IntegerStream.Cost(integers)
            // Digits keep their habits by place, binary planes smear them: take those only for a clear gain.
            if integerCost.sequentialBytes * 4 <= pairs * 3 || integerCost.planeBytes * 2 <= pairs {
                choice = .digitIntegers
                cost = integerCost.bytes
            }
        }
        if found.offer(choice, cost: cost + exceptionBytes) {
            found.pattern = pattern
            found.exceptions = exceptions
            found.integers = integers
        }
        return true
    }

    private static func encodeConstant(_ texts: TextSource, into out: inout ByteWriter) {
        out.byte(Encoding.constant.rawValue)
        out.varint(texts.bytes(0).count)
        out.raw(texts.bytes(0))
    }

    /// Where the exceptions stand, then their texts.
    private static func encodeExceptions(_ exceptions: [Int], of texts: TextSource, into out: inout ByteWriter) {
        out.varint(exceptions.count)
        IntegerStream.encode(exceptions.map(Int64.init), into: &out)
        encode(texts.picking(exceptions), nesting: .exceptions, into: &out)
    }

    private static func encodeDigits(_ texts: TextSource, _ found: Candidates, into out: inout ByteWriter) {
        let pattern = found.pattern!
        out.byte(found.choice.rawValue)
        encodeExceptions(found.exceptions, of: texts, into: &out)
        out.varint(pattern.prefix.count)
        out.raw(pattern.prefix)
        out.byte(UInt8(pattern.digits))
        if found.choice == .digitIntegers { return IntegerStream.encode(found.integers, into: &out) }
        let fitting = texts.count - found.exceptions.count
        out.raw(count: fitting * pattern.pairBytes) { target in
            var next = found.exceptions[...]
            var at = 0
            for i in 0..<texts.count {
                if next.first == i {
                    next.removeFirst()
                } else {
                    pattern.writePairs(texts.bytes(i), to: target + at, stride: fitting)
                    at += 1
                }
            }
        }
    }

    private static func encodePrefixShared(_ texts: TextSource, into out: inout ByteWriter) {
        out.byte(Encoding.prefixShared.rawValue)
        var shared: [Int64] = []
        var rests: [Int64] = []
        for i in 0..<texts.count {
            let common = i == 0 ? 0 : TextSource.commonPrefix(texts.bytes(i), texts.bytes(i - 1))
            shared.append(Int64(common))
            rests.append(Int64(texts.bytes(i).count - common))
        }
        IntegerStream.encode(shared, into: &out)
        IntegerStream.encode(rests, into: &out)
        for i in 0..<texts.count {
            out.raw(UnsafeBufferPointer(rebasing: texts.bytes(i)[Int(shared[i])...]))
        }
    }

    private static func encodePlain(
        _ texts: TextSource, hasZero: Bool, totalBytes: Int, into out: inout ByteWriter
    ) {
        if hasZero {
            out.byte(Encoding.sized.rawValue)
            IntegerStream.encode((0..<texts.count).map { Int64(texts.bytes($0).count) }, into: &out)
            for i in 0..<texts.count { out.raw(texts.bytes(i)) }
            return
        }
        out.byte(Encoding.terminated.rawValue)
        out.varint(totalBytes + texts.count)
        for i in 0..<texts.count {
            out.raw(texts.bytes(i))
            out.byte(0)
        }
    }
}
