import Crypto
import Foundation
import Testing

@testable import Shared

@Suite struct CodecRoundTrips: CodecSamples {
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
            let merged = [SiteID(rng.next()): ChainMark(seq: Seq(3), chain: rng.chance(50) ? rng.next() : 0)]
            body.page = LogPageInfo(after: .none, upTo: Position(5), logEnd: Position(.max), merged: merged)
            for _ in 0..<rng.below(3) {
                let first = Int64(1 + rng.below(1_000)), next = first + Int64(rng.below(50)) + 2
                body.page!.quarantined[SiteID(rng.next())] = [Seq(first)...Seq(next - 2), Seq(next)...Seq(rng.chance(20) ? .max - 1 : next)]
            }
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

@Suite struct CodecGolden: CodecSamples {
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

@Suite struct CodecDictionary: CodecSamples {
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
