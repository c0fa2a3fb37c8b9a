import Crypto
import Foundation
import Testing

@testable import Shared

@Suite struct CodecHostile: CodecSamples {
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
        var body = seed % 2 == 0 ? samplePage() : sample(changes: 12)
        if seed % 4 == 0 { body.page!.quarantined = [SiteID(3): [Seq(2)...Seq(4), Seq(7)...Seq(7)], SiteID(9): [Seq(1)...Seq(300)]] }
        let raw = try BodyCodec.encode(body).bytes
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
