// What the tests of the codec and of its predictions share.

import Crypto
import Foundation

@testable import Shared

/// Replays: the seed is the test's argument, so a failure names it.
struct Seeded: RandomNumberGenerator {
    var state: UInt64
    init(_ seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 | 1 }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
    mutating func below(_ limit: Int) -> Int { Int(next() % UInt64(limit)) }
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
}

/// Signs what the codec's tests seal: fixed, so that golden files stay as they are.
let codecKey = try! Curve25519.Signing.PrivateKey(rawRepresentation: (0..<32).map { UInt8($0) })

/// Segments that the codec's suites seal, open and forge.
protocol CodecSamples {}

extension CodecSamples {
    func seal(
        _ body: SegmentBody, kind: SegmentHeader.Kind = .changes, decoding: ContentHash = SegmentCodec.decodingHash
    ) throws -> SealedSegment {
        try SegmentCodec.seal(
            body: body, kind: kind, scope: ScopeID(0x1111), site: SiteID(0x2222), firstSeq: Seq(41),
            lastSeq: Seq(40 + Int64(max(1, body.changeCount))), cursor: Position(epoch: 1, counter: 7), epoch: 1,
            previousHash: ContentHash(of: [1]), catalogueHash: ContentHash(of: [2]), decodingHash: decoding, level: 9,
            signingKey: codecKey)
    }

    func open(_ bytes: [UInt8]) throws(CodecError) -> SegmentBody {
        try SegmentCodec.decode(try SegmentCodec.verify(bytes, key: codecKey.publicKey))
    }

    /// A signed header over any bytes at all: what a forger with a valid key can send.
    func forge(raw: [UInt8], frame: [UInt8]? = nil, rawLength: Int? = nil, lastSeq: Int64 = 41) throws -> [UInt8] {
        let frame = try frame ?? ZstdFrame.compress(raw, level: 3)
        var header = try seal(sample(changes: 1)).header
        header.lastSeq = Seq(lastSeq)
        header.rawLength = rawLength ?? raw.count
        header.bodyLength = frame.count
        header.bodyHash = ContentHash(of: frame)
        header.valuesDigest = ContentHash(of: raw)
        return try header.signedBytes + Array(codecKey.signature(for: header.signedBytes)) + frame
    }

    func column(_ values: [Value]) -> CellColumn {
        var column = CellColumn()
        for value in values { column.append(value) }
        return column
    }

    /// One form; a column a list of values, all present.
    func body(_ columns: [[Value]]) -> SegmentBody {
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
    func sample(changes count: Int) -> SegmentBody {
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

    func samplePage() -> SegmentBody {
        var body = sample(changes: 12)
        body.page = LogPageInfo(
            after: Position(epoch: 1, counter: 5), upTo: Position(epoch: 2, counter: 30),
            logEnd: Position(epoch: 2, counter: 99), merged: [SiteID(3): ChainMark(seq: Seq(7), chain: 0), SiteID(.max): ChainMark(seq: Seq(1), chain: 0)])
        for i: Int64 in 0..<12 {
            let written = Position(epoch: 1, counter: i)
            body.forms[0].placements.append(
                Placement(
                    written: written, shown: i == 4 ? Position(epoch: 2, counter: 4) : written,
                    writer: SiteID(UInt64(i / 6)), disputed: i == 7))
        }
        return body
    }
}
