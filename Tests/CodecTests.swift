import Crypto
import Foundation
import Testing

@testable import Shared

private func seal(
    _ body: SegmentBody, kind: SegmentHeader.Kind = .changes, decoding: ContentHash = SegmentCodec.decodingHash
) throws -> SealedSegment {
    try SegmentCodec.seal(
        body: body, kind: kind, scope: ScopeID(0x1111), site: SiteID(0x2222), firstSeq: Seq(41),
        lastSeq: Seq(40 + Int64(max(1, body.changeCount))), cursor: Position(epoch: 1, counter: 7), epoch: 1,
        previousHash: ContentHash(of: [1]), catalogueHash: ContentHash(of: [2]), decodingHash: decoding, level: 9,
        signingKey: codecKey)
}

private func open(_ bytes: [UInt8]) throws(CodecError) -> SegmentBody {
    try SegmentCodec.decode(try SegmentCodec.verify(bytes, key: codecKey.publicKey))
}

/// A signed header over any bytes at all: what a forger with a valid key can send.
private func forge(raw: [UInt8], frame: [UInt8]? = nil, rawLength: Int? = nil, lastSeq: Int64 = 41) throws -> [UInt8] {
    let frame = try frame ?? ZstdFrame.compress(raw, level: 3)
    var header = try seal(sample(changes: 1)).header
    header.lastSeq = Seq(lastSeq)
    header.rawLength = rawLength ?? raw.count
    header.bodyLength = frame.count
    header.bodyHash = ContentHash(of: frame)
    header.valuesDigest = ContentHash(of: raw)
    return try header.signedBytes + Array(codecKey.signature(for: header.signedBytes)) + frame
}

private func column(_ values: [Value]) -> CellColumn {
    var column = CellColumn()
    for value in values { column.append(value) }
    return column
}

/// One form; a column a list of values, all present.
private func body(_ columns: [[Value]]) -> SegmentBody {
    var form = FormChanges(form: 5)
    let count = columns[0].count
    form.rows = (0..<count).map { RowID(Int64($0) * 3) }
    form.life = Array(repeating: .alive, count: count)
    form.fields = Array(1...columns.count)
    form.masks = Array(repeating: form.fields.reduce(into: FieldMask()) { $0.insert($1) }, count: count)
    form.stamps = Array(repeating: 0, count: count)
    form.columns = columns.map(column)
    var body = SegmentBody()
    body.stamps = [Stamp(origin: SiteID(9), author: "王老师", time: 1_790_000_000)]
    body.forms = [form]
    return body
}

/// Every encoding at once, always the same: the golden files.
private func sample(changes count: Int) -> SegmentBody {
    func scatter(_ i: Int) -> Int { Int(UInt32(truncatingIfNeeded: i &* 2_654_435_761 &+ i &* i &* 40_503)) }
    func value(_ column: Int, _ i: Int) -> Value {
        switch column {
        case 0: return .text("在读")
        case 1: return .text(["男", "女", "男"][i % 3])
        case 2: return .text("名字\(i * 7919 % 1009)号")
        case 3: return .text("\u{0}\(i * 7919 % 1009)带零")
        case 4: return .text("2010-0\(1 + i % 9)-\(10 + i * 7 % 19)")
        case 5: return .text("138\(10_000_000 + scatter(i) % 89_999_999)")
        case 6: return .text("G\(41_999_990 + i)")
        case 7: return .text("河南省郑州市中牟县官渡镇第\(i)村民小组")
        case 8: return .integer(Int64(i * i) - 50)
        case 9: return .real(Double(i) / 7)
        case 10: return [Value.null, .integer(.min), .text("")][i % 3]
        case 11: return .text(i == 5 ? "无" : "41010\(i % 10)19990101123X")
        default: return .null
        }
    }
    return body((0..<13).map { column in (0..<count).map { value(column, $0) } })
}

private func samplePage() -> SegmentBody {
    var body = sample(changes: 12)
    body.page = LogPageInfo(
        after: Position(epoch: 1, counter: 5), upTo: Position(epoch: 2, counter: 30),
        logEnd: Position(epoch: 2, counter: 99), merged: [SiteID(3): Seq(7), SiteID(.max): Seq(1)])
    for i: Int64 in 0..<12 {
        let written = Position(epoch: 1, counter: i)
        body.forms[0].placements.append(
            Placement(
                written: written, shown: i == 4 ? Position(epoch: 2, counter: 4) : written,
                writer: SiteID(UInt64(i / 6)), disputed: i == 7))
    }
    return body
}

// MARK: Round trips

@Suite struct CodecRoundTrips {
    private static func value(_ kind: Int, _ i: Int, _ rng: inout Seeded) -> Value {
        switch kind {
        case 0: .null
        case 1: .integer(Int64(bitPattern: rng.next() >> UInt64(rng.below(64))))
        case 2: .real(Double(bitPattern: rng.next()))
        case 3: .text(String(repeating: ["张", "a", "\u{0}", "🀄", "é"][rng.below(5)], count: rng.below(5)))
        case 4: .text(["男", "女", ""][rng.below(3)])
        case 5: .text("20\(10 + rng.below(90))-\(10 + rng.below(3))-\(10 + rng.below(20))")
        case 6: .text("1\(1_000_000_000 + rng.below(8_999_999_999))")
        case 7: .text("\(100_000 + rng.below(99_999))19990101\(100 + rng.below(899))\(rng.chance(9) ? "X" : "1")")
        case 8: .text("G41-\(100_000 + i)")
        case 9: .text("河南省郑州市中牟县\(i)号")
        case 10: .integer(Int64(i) * 3 + Int64(rng.below(2)))
        case 11: .integer(rng.chance(50) ? .min : .max)
        case 12: .text("常数")
        default: .text("\(rng.next())".prefix(rng.below(19)).description)
        }
    }

    /// Random forms, masks and kinds; in some columns a few cells of another kind break the pattern.
    @Test(arguments: UInt64(1)...150) func anyBodyComesBack(seed: UInt64) throws {
        var rng = Seeded(seed)
        var body = SegmentBody()
        let isPage = rng.chance(40)
        for i in 0..<1 + rng.below(20) {
            let time = Int64(bitPattern: rng.next()) >> 20
            body.stamps.append(
                Stamp(origin: SiteID(rng.next() % 3), author: ["", "李", "outside program"][i % 3], time: time))
        }
        for number in 0..<rng.below(4) {
            var form = FormChanges(form: number * 1000)
            let count = rng.below(4) == 0 ? rng.below(3) : rng.below(120)
            let fields = (0..<rng.below(9)).map { _ in 1 + rng.below(FieldMask.fieldNumberMax) }
            var masks = [FieldMask(), FieldMask(), FieldMask()]
            for n in 0..<3 {
                for field in fields where n == 0 || rng.chance(50) { masks[n].insert(field) }
            }
            let mixed = rng.chance(40)
            for i in 0..<count {
                form.rows.append(RowID(mixed ? Int64(bitPattern: rng.next()) : Int64(i)))
                form.life.append(Life(rawValue: UInt8(rng.below(3)))!)
                form.masks.append(masks[mixed ? rng.below(3) : 0])
                form.stamps.append(Int32(rng.below(body.stamps.count)))
                if isPage {
                    let written = Position(Int64(bitPattern: rng.next()) >> UInt64(rng.below(60)))
                    form.placements.append(
                        Placement(
                            written: written, shown: rng.chance(80) ? written : Position(9),
                            writer: SiteID(rng.next() % 4), disputed: rng.chance(10)))
                }
            }
            form.fields = form.masks.reduce(FieldMask()) { $0 | $1 }.fields
            for field in form.fields {
                let kind = rng.below(14)
                let stray = rng.chance(50) ? rng.below(20) : 0
                var cells = CellColumn()
                for i in 0..<count {
                    let present = form.masks[i].contains(field)
                    cells.append(present ? Self.value(rng.chance(stray) ? rng.below(14) : kind, i, &rng) : .null)
                }
                form.columns.append(cells)
            }
            body.forms.append(form)
        }
        if isPage {
            let merged = [SiteID(rng.next()): Seq(3)]
            body.page = LogPageInfo(after: .none, upTo: Position(5), logEnd: Position(.max), merged: merged)
        }
        let raw = try BodyCodec.encode(body).bytes
        #expect(try BodyCodec.decode(raw) == body, "seed \(seed)")
        if isPage || body.changeCount > 0 {
            #expect(try open(seal(body, kind: isPage ? .logPage : .changes).bytes) == body, "seed \(seed)")
        }
    }

    @Test(arguments: UInt64(1)...100) func anyIntegersComeBack(seed: UInt64) throws {
        var rng = Seeded(seed)
        let width = UInt64(rng.below(64)), repeats = rng.below(100)
        var values: [Int64] = []
        for _ in 0..<rng.below(300) {
            values.append(rng.chance(repeats) ? values.last ?? .min : Int64(bitPattern: rng.next()) >> width)
        }
        var out = ByteWriter()
        IntegerStream.encode(values, into: &out)
        var reader = ByteReader(out.bytes)
        #expect(try IntegerStream.decode(values.count, "test", from: &reader) == values, "seed \(seed)")
        #expect(reader.left == 0, "seed \(seed)")
    }

    @Test func eachShapeTakesItsEncoding() {
        func encoding(_ make: (Int) -> String) -> TextCodec.Encoding? {
            var out = ByteWriter()
            ColumnCodec.encode(column((0..<400).map { .text(make($0)) }), cells: Array(0..<400), into: &out)
            return TextCodec.Encoding(rawValue: out.bytes[1])
        }
        #expect(encoding { _ in "在读" } == .constant)
        #expect(encoding { ["男", "女"][$0 % 2] } == .dictionary)
        #expect(encoding { "n\($0 * 7919 % 1009)m" } == .terminated)
        func name(_ n: Int) -> String {
            [n * 7_919 % 31, n * n * 31 % 29, n * 104_729 % 23].map { String(UnicodeScalar(UInt32(0x4E00 + $0))!) }.joined()
        }
        #expect(encoding(name) == .characters)
        #expect(encoding { "20\(20 + $0 / 100)0\($0 * $0 / 3 % 7)0\(1 + $0 % 4)" } == .digitGroups)
        #expect(encoding { ["11010519491231002X", "440524188001010014"][$0 * $0 % 7 % 2] } == .dictionary)
        #expect(encoding { "\u{0}n\($0 * 7919 % 1009)m" } == .sized)
        #expect(encoding { "20\(10 + $0 * 7 % 89)-\(10 + $0 % 3)-\(10 + $0 * 5 % 19)" } == .dates)
        #expect(encoding { $0 == 7 ? "空号" : "139\(10_000_000 + $0 * $0 * 7_654_321 % 89_999_999)" } == .digitPairs)
        #expect(encoding { "G41150000002024\(10_000 + $0)" } == .digitIntegers)
        #expect(encoding { "河南省郑州市中牟县官渡镇第\($0)村民小组" } == .prefixShared)
    }

    @Test func goldenSampleHasEveryTextEncoding() {
        var seen: Set<UInt8> = []
        for column in sample(changes: 40).forms[0].columns where column.tags.allSatisfy({ $0 == 3 }) {
            var out = ByteWriter()
            ColumnCodec.encode(column, cells: Array(0..<40), into: &out)
            seen.insert(out.bytes[1])
        }
        #expect(seen.sorted() == Array(0...7))
    }

    @Test func datesAreExactOrLeftAlone() {
        func day(_ text: String) -> Int64? {
            var text = text
            return text.withUTF8(DatePattern.day)
        }
        #expect(day("1970-01-01") == 0 && day("2000-03-01") == 11_017)
        let none = "2023-02-29 1900-02-29 2024-13-01 2024-00-10 2024-04-31 2024-1-01 2024/01/01 0000-00-00"
        for bad in none.split(separator: " ").map(String.init) {
            #expect(day(bad) == nil, "\(bad)")
        }
        // All days of the first, the last and some leap years, both ways.
        for first in ["0000-01-01", "1600-01-01", "1900-01-01", "2024-01-01", "9999-01-01"] {
            let start = day(first)!
            for number in start..<start + 365 {
                var text = [UInt8](repeating: 0, count: 10)
                text.withUnsafeMutableBufferPointer { DatePattern.write(number, to: $0.baseAddress!) }
                #expect(text.withUnsafeBufferPointer(DatePattern.day) == number)
            }
        }
    }

    @Test func sizerGuidesBelowTheLimit() throws {
        var sizer = SegmentSizer()
        var values: [Value] = []
        while !sizer.isFull {
            values.append(.text("自由文本\(values.count &* 2_654_435_761)"))
            sizer.add(texts: 1, textBytes: 22, numbers: 0, fields: 1)
        }
        #expect(try BodyCodec.encode(body([values])).bytes.count <= Limits.segmentRawBytesMax)
    }
}

// MARK: Golden files

@Suite struct CodecGolden {
    static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Golden")

    /// What was sealed once is read for ever. `ZZSYNC_WRITE_GOLDEN=1` writes the files of a NEW format version; files
    /// of an old one are never rewritten. Another libzstd packs otherwise, signatures may be random: so only bodies are
    /// compared.
    @Test(arguments: ["changes", "page", "small"]) func stillReads(name: String) throws {
        let expected = name == "page" ? samplePage() : sample(changes: name == "small" ? 2 : 40)
        let file = Self.folder.appendingPathComponent("\(name)-1.zzs")
        if ProcessInfo.processInfo.environment["ZZSYNC_WRITE_GOLDEN"] != nil {
            try Data(seal(expected, kind: name == "page" ? .logPage : .changes).bytes).write(to: file)
        }
        let bytes = [UInt8](try Data(contentsOf: file))
        #expect(try open(bytes) == expected)
        let old = try SegmentCodec.inspect(bytes)
        let new = try seal(expected, kind: old.kind).header
        #expect(old.valuesDigest == new.valuesDigest, "the encoder writes another body than it did")
        if name == "small" { #expect(bytes[288] & 3 == 1 && bytes[289] == 1, "its frame names dictionary 1") }
        #expect(old.decodingHash == new.decodingHash && old.rawLength == new.rawLength && old.cursor == new.cursor)
    }
}

// MARK: The dictionary of small segments

@Suite struct CodecDictionary {
    /// A body of a few words that nodes send is a third smaller; a large one takes no dictionary.
    @Test func smallBodiesAreSmaller() throws {
        let raw = try BodyCodec.encode(sample(changes: 2)).bytes
        let (with, without) = (try ZstdFrame.compress(raw, level: 10), try ZstdFrame.compress(raw, level: 10, mayUseDictionary: false))
        #expect(with.count < without.count, "\(with.count) bytes with the dictionary, \(without.count) without")
        for frame in [with, without] { #expect(try ZstdFrame.decompress(frame[...], rawLength: raw.count, at: 0) == raw) }
        let large = [UInt8](repeating: 7, count: SmallDictionary.rawBytesMax + 1)
        #expect(try ZstdFrame.compress(large, level: 10) == ZstdFrame.compress(large, level: 10, mayUseDictionary: false))
    }
}

// MARK: Hostile bytes

@Suite struct CodecHostile {
    /// Runs the block and returns what it threw.
    private func thrown(_ block: () throws -> Any) -> CodecError? {
        do {
            _ = try block()
            return nil
        } catch { return error as? CodecError }
    }

    @Test func everyTruncationThrows() throws {
        let bytes = try seal(sample(changes: 6)).bytes
        for length in 0..<bytes.count {
            #expect(thrown { try open(Array(bytes[..<length])) } != nil, "\(length) bytes")
        }
        #expect(thrown { try open(bytes + [0]) } == .trailingBytes(what: "segment", count: 1, at: bytes.count))
    }

    @Test func everyFlippedBitThrows() throws {
        let bytes = try seal(sample(changes: 6)).bytes
        for at in bytes.indices {
            for bit in [0, 3, 7] {
                var bad = bytes
                bad[at] ^= 1 << UInt8(bit)
                #expect(thrown { try open(bad) } != nil, "bit \(bit) of byte \(at)")
            }
        }
    }

    /// Behind a valid signature anything may stand: a body is read to the end or refused, it never traps.
    @Test(arguments: UInt64(1)...40) func brokenBodiesNeverTrap(seed: UInt64) throws {
        var rng = Seeded(seed)
        let raw = try BodyCodec.encode(seed % 2 == 0 ? samplePage() : sample(changes: 12)).bytes
        for at in raw.indices where at % 40 == Int(seed - 1) {
            #expect(thrown { try BodyCodec.decode(Array(raw[..<at])) } != nil, "seed \(seed), \(at) bytes")
        }
        for _ in 0..<150 {
            var bad = raw
            for _ in 0...rng.below(3) {
                bad[rng.below(bad.count)] = [0, 1, 0x7F, 0x80, 0xFF, UInt8(rng.below(256))][rng.below(6)]
            }
            if let body = try? BodyCodec.decode(bad) {
                #expect(try BodyCodec.decode(BodyCodec.encode(body).bytes) == body, "seed \(seed)")
            }
        }
    }

    @Test func headersThatCannotBe() throws {
        var bytes = try seal(sample(changes: 3)).bytes
        bytes[4] = 2
        #expect(thrown { try SegmentCodec.inspect(bytes) } == .futureFormat(version: 2, known: 1))
        #expect(thrown { try SegmentCodec.inspect(Array("PK\u{3}\u{4}".utf8) + bytes) } == .badMagic(at: 0))
        let other = Curve25519.Signing.PrivateKey().publicKey
        let segment = try seal(sample(changes: 3))
        #expect(thrown { try SegmentCodec.verify(segment.bytes, key: other) } == .badSignature(at: 220))
        #expect(segment.hash == (try SegmentCodec.verify(segment.bytes, key: codecKey.publicKey)).hash)
        #expect(segment.hash == ContentHash(of: segment.bytes[..<284]))
        let unknown = try seal(sample(changes: 3), decoding: ContentHash(of: [7]))
        #expect(thrown { try open(unknown.bytes) } == .unknownDecoding(hash: ContentHash(of: [7]).description))
        #expect(CodecError.unknownDecoding(hash: "").mayBeReadableLater)
        #expect(!CodecError.badSignature(at: 1).mayBeReadableLater)
        // One change more than seqs, and a page where changes were said.
        let raw = try BodyCodec.encode(sample(changes: 2)).bytes
        #expect(thrown { try open(forge(raw: raw)) } == .inconsistent(what: "changes", found: 2, expected: 1, at: 0))
        let page = try BodyCodec.encode(samplePage()).bytes
        let noPage = CodecError.inconsistent(what: "page", found: 1, expected: 0, at: 0)
        #expect(thrown { try open(forge(raw: page, lastSeq: 52)) } == noPage)
        let trailing = CodecError.trailingBytes(what: "body", count: 1, at: raw.count)
        #expect(thrown { try open(forge(raw: raw + [0], lastSeq: 42)) } == trailing)
    }

    @Test func bombsAreRefusedBeforeMemoryIsTaken() throws {
        let zeros = [UInt8](repeating: 0, count: 50_000)
        let frame = try ZstdFrame.compress(zeros, level: 19)
        // Declares much: more than the hard cap; more than the ratio allows; more than the frame says.
        let much = Limits.segmentRawBytesHardMax + 1
        let bomb = CodecError.bomb(rawBytes: much, compressedBytes: frame.count, ratioMax: 1024, at: 52)
        #expect(thrown { try SegmentCodec.inspect(forge(raw: zeros, frame: frame, rawLength: much)) } == bomb)
        #expect(thrown { try SegmentCodec.inspect(forge(raw: zeros, frame: frame, rawLength: 1 << 20 + 1)) } != nil)
        #expect(
            thrown { try open(forge(raw: zeros, frame: frame, rawLength: 60_000)) }
                == .inconsistent(what: "declared content size", found: 50_000, expected: 60_000, at: 289))
        // Declares little in header and frame (two bytes at 5: size - 256), inflates much.
        var liar = frame
        liar[5] = 0
        liar[6] = 0
        guard case .badFrame? = thrown({ try open(forge(raw: zeros, frame: liar, rawLength: 256)) }) else {
            return #expect(Bool(false), "a frame that inflates past its size was read")
        }
        // A window of 2^28, a dictionary, no size, a second frame, another format.
        let head: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD]
        func inflate(_ frame: [UInt8]) -> CodecError? {
            thrown { try ZstdFrame.decompress(frame[...], rawLength: 300, at: 0) }
        }
        let window = CodecError.overLimit(what: "zstd window log", value: 28, limit: 22, at: 5)
        #expect(inflate(head + [0x80, 18 << 3, 44, 1, 0, 0, 1, 0, 0]) == window)
        #expect(inflate(head + [0x21, 9, 44, 1, 0, 0]) == .badFrame(reason: "it needs dictionary 9, which is not here", at: 4))
        #expect(inflate(head + [0x00, 0, 1, 0, 0]) == .badFrame(reason: "it does not declare its size", at: 0))
        let skippable: [UInt8] = [0x50, 0x2A, 0x4D, 0x18, 0, 0, 0, 0]
        #expect(inflate(skippable) == .badFrame(reason: "it does not begin as a frame", at: 0))
        let small = try ZstdFrame.compress([UInt8](repeating: 1, count: 300), level: 3)
        #expect(inflate(small + small) == .trailingBytes(what: "zstd frame", count: small.count, at: small.count))
        // Small for zstd, huge as cells: one constant text for very many rows.
        let many = body([Array(repeating: .text("x"), count: 200_000)])
        var raw = try BodyCodec.encode(many).bytes
        raw.removeLast(2)
        raw += [0xE8, 0x07] + [UInt8](repeating: 0x78, count: 1000)
        let tooMuch = CodecError.overLimit(
            what: "text bytes", value: 200_000_000, limit: 32 << 20, at: raw.count - 1000)
        #expect(thrown { try BodyCodec.decode(raw) } == tooMuch)
    }

    @Test func textsMustBeUTF8() throws {
        var bad = body([[.text("abcd"), .text("中文字"), .text("efgh")]])
        var raw = try BodyCodec.encode(bad).bytes
        let at = try #require(raw.lastIndex(of: 0xE4))
        raw[at] = 0xFF
        guard case .invalidUTF8(what: "text", _)? = thrown({ try open(forge(raw: raw, lastSeq: 43)) }) else {
            return #expect(Bool(false), "invalid UTF-8 was read")
        }
        // A character that is split between two cells is invalid in both, though the arena as a whole is not.
        var split = CellColumn()
        for piece: [UInt8] in [[0xE4, 0xB8], [0xAD], []] { piece.withUnsafeBufferPointer { split.append(utf8: $0) } }
        bad.forms[0].columns = [split]
        #expect(thrown { try seal(bad) } == .invalidUTF8(what: "form 5 field 1", at: 0))
    }

    @Test(arguments: [UInt8(0x20), 0x21, 0, 6, 0xFF]) func reservedLayoutsAreKeptForLater(number: UInt8) throws {
        var raw = try BodyCodec.encode(body([[.null]])).bytes
        raw[raw.count - 1] = number
        let error = thrown { try open(forge(raw: raw)) }
        #expect(error == .unknownEncoding(what: "column layout", number: Int(number), at: raw.count - 1))
        #expect(error?.mayBeReadableLater == true)
    }

    @Test func sentencesSayWhatWhereAndWhatNext() {
        #expect(CodecError.truncated(what: "body", at: 284, needed: 900, left: 20).description
            == "'body' at byte 284 needs 900 bytes, 20 are left. Fetch the segment again.")
        #expect(CodecError.overLimit(what: "cells", value: 9, limit: 8, at: 3).description
            == "'cells' at byte 3 is 9, limit 8. Cut the segment smaller, or refuse its sender.")
    }

    @Test func varintsHaveOneSpelling() throws {
        for bytes: [UInt8] in [[0x80, 0x00], Array(repeating: 0xFF, count: 9) + [0x02], [0x80]] {
            #expect(thrown { () throws(CodecError) in
                var reader = ByteReader(bytes)
                return try reader.varint("n")
            } != nil)
        }
        var out = ByteWriter()
        for value in [UInt64.max, 0, 127, 128] { out.varint(value) }
        var reader = ByteReader(out.bytes)
        for value in [UInt64.max, 0, 127, 128] { #expect(try reader.varint("n") == value) }
    }
}
