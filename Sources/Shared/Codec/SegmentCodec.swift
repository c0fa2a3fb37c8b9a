import Crypto

/// A segment as it is stored and sent.
package struct SealedSegment: Sendable {
    package let bytes: [UInt8]
    package let header: SegmentHeader
    /// SHA-256 of the whole header with its signature: what the next segment of the chain names as its previous one.
    package let hash: ContentHash
}

/// A segment whose signature and body hash were checked; made in this file only, and `decode` takes nothing else (`decodeOwn` vouches for its own).
package struct VerifiedSegment: Sendable {
    package let header: SegmentHeader
    package let hash: ContentHash
    fileprivate let bytes: [UInt8]
    fileprivate init(bytes: [UInt8], header: SegmentHeader) {
        self.bytes = bytes
        self.header = header
        hash = SegmentCodec.hash(bytes)
    }
}

/// Body to signed bytes and back: seal; inspect → verify → decode.
package enum SegmentCodec {
    /// Stands where decoding needs nothing beside this program's format. A segment with predicted columns names the hash
    /// of all that those need (`Predictors`); one that names a set unknown here is kept until a program knows it.
    package static let decodingHash = ContentHash(of: Array("zzsync segment format 1: no fills, no dictionary".utf8))

    /// Encodes, compresses, hashes and signs.
    ///
    /// - Parameter predictors: of the sender's catalogue; none leaves every column as it is.
    /// - Parameter decodingHash: nil means the one that follows from the body.
    /// - Parameter level: zstd's, 1...19; 9 to 12 while people wait, 19 for what is kept.
    /// - Throws: if any receiver would refuse the segment; nothing that is returned can be refused for its form.
    package static func seal(
        body: SegmentBody, kind: SegmentHeader.Kind, scope: ScopeID, site: SiteID, firstSeq: Seq, lastSeq: Seq,
        cursor: Position, epoch: Int, previousHash: ContentHash, catalogueHash: ContentHash,
        predictors: Predictors = .none, decodingHash: ContentHash? = nil, level: Int,
        signingKey: Curve25519.Signing.PrivateKey
    ) throws(CodecError) -> SealedSegment {
        let raw = try BodyCodec.encode(body, predictors: predictors)
        let frame = try ZstdFrame.compress(raw.bytes, level: level, cuts: raw.cuts)
        try ZstdFrame.checkSize(rawLength: raw.bytes.count, rawBytesMax: kind.rawBytesMax, bodyLength: frame.count, at: 0)
        let header = SegmentHeader(
            kind: kind, scope: scope, site: site, firstSeq: firstSeq, lastSeq: lastSeq, cursor: cursor, epoch: epoch,
            rawLength: raw.bytes.count, bodyLength: frame.count, previousHash: previousHash,
            catalogueHash: catalogueHash, decodingHash: decodingHash ?? predictors.decodingHash(of: raw.predicted)!, bodyHash: ContentHash(of: frame),
            valuesDigest: ContentHash(of: raw.bytes))
        try header.check()
        try checkKind(header, body)
        return try sign(header, frame[...], signingKey)
    }

    /// The same changes with the same cursor, as another site's: a new incarnation's, whose chain follows `previousHash`.
    package static func signAgain(
        _ bytes: [UInt8], site: SiteID, previousHash: ContentHash, signingKey: Curve25519.Signing.PrivateKey
    ) throws(CodecError) -> SealedSegment {
        var header = try inspect(bytes)
        header.site = site
        header.previousHash = previousHash
        return try sign(header, bytes[SegmentHeader.byteCount...], signingKey)
    }

    private static func sign(
        _ unsigned: SegmentHeader, _ frame: ArraySlice<UInt8>, _ key: Curve25519.Signing.PrivateKey
    ) throws(CodecError) -> SealedSegment {
        var header = unsigned
        var bytes = header.signedBytes
        guard let signature = try? key.signature(for: bytes) else { throw .badSignature(at: SegmentHeader.signedByteCount) }
        header.signature = Array(signature)
        bytes.reserveCapacity(SegmentHeader.byteCount + frame.count)
        bytes.append(contentsOf: header.signature)
        bytes.append(contentsOf: frame)
        return SealedSegment(bytes: bytes, header: header, hash: hash(bytes))
    }

    /// Reads the header alone: structure and limits, no cryptography. What it says is a claim until `verify`.
    ///
    /// - Parameter bytes: the segment, or as much of it as has arrived: the header's bytes are enough.
    package static func inspect(_ bytes: [UInt8]) throws(CodecError) -> SegmentHeader {
        try SegmentHeader(parsing: bytes)
    }

    /// Checks the length, the signature over the header, and the body against the header.
    ///
    /// - Parameter key: of the site that the header names; finding it is the caller's business.
    package static func verify(
        _ bytes: [UInt8], key: Curve25519.Signing.PublicKey
    ) throws(CodecError) -> VerifiedSegment {
        let header = try inspect(bytes)
        let end = SegmentHeader.byteCount + header.bodyLength
        guard bytes.count >= end else {
            throw .truncated(
                what: "body", at: SegmentHeader.byteCount, needed: header.bodyLength,
                left: bytes.count - SegmentHeader.byteCount)
        }
        guard bytes.count == end else { throw .trailingBytes(what: "segment", count: bytes.count - end, at: end) }
        guard key.isValidSignature(header.signature, for: bytes[..<SegmentHeader.signedByteCount]) else {
            throw .badSignature(at: SegmentHeader.signedByteCount)
        }
        guard ContentHash(of: bytes[SegmentHeader.byteCount...]) == header.bodyHash else {
            throw .badBodyHash(at: SegmentHeader.byteCount)
        }
        return VerifiedSegment(bytes: bytes, header: header)
    }

    /// Inflates within the limits and reads the body; the digest and every length must agree.
    ///
    /// - Parameter predictors: of the receiver's catalogue.
    package static func decode(
        _ segment: VerifiedSegment, predictors: Predictors = .none
    ) throws(CodecError) -> SegmentBody {
        let header = segment.header
        let body: SegmentBody
        if header.decodingHash == decodingHash {
            body = try BodyCodec.parse(try inflate(segment), mayPredict: false).body
        } else {
            // Which predictors it takes stands in the body. One of another set may break every rule known here, so
            // nothing but the set is reported.
            guard let parsed = try? BodyCodec.parse(try inflate(segment), mayPredict: true),
                predictors.decodingHash(of: parsed.predicted) == header.decodingHash
            else { throw .unknownDecoding(hash: header.decodingHash.description) }
            body = try BodyCodec.complete(parsed, predictors)
        }
        try checkKind(header, body)
        return body
    }

    /// A segment of one's own outbox, whose signature nobody doubts.
    package static func decodeOwn(
        _ bytes: [UInt8], predictors: Predictors
    ) throws(CodecError) -> (header: SegmentHeader, body: SegmentBody) {
        let header = try inspect(bytes)
        return (header, try decode(VerifiedSegment(bytes: bytes, header: header), predictors: predictors))
    }

    private static func inflate(_ segment: VerifiedSegment) throws(CodecError) -> [UInt8] {
        let header = segment.header
        let raw = try ZstdFrame.decompress(
            segment.bytes[SegmentHeader.byteCount...], rawLength: header.rawLength, rawBytesMax: header.kind.rawBytesMax, at: SegmentHeader.byteCount)
        guard ContentHash(of: raw) == header.valuesDigest else {
            throw .badValuesDigest(at: SegmentHeader.valuesDigestOffset)
        }
        return raw
    }

    /// What the next segment of the chain names as its previous one.
    package static func hash(_ bytes: [UInt8]) -> ContentHash { ContentHash(of: bytes.prefix(SegmentHeader.byteCount)) }

    /// The head of that hash: by it an upload says which segment it is. Two copies of one home number apart what is not the same.
    package static func mark(_ bytes: [UInt8]) -> String { mark(hash(bytes)) }
    package static func mark(_ hash: ContentHash) -> String { String(hash.description.prefix(16)) }

    private static func checkKind(_ header: SegmentHeader, _ body: SegmentBody) throws(CodecError) {
        let pages = (found: body.page == nil ? 0 : 1, expected: header.kind == .logPage ? 1 : 0)
        guard pages.found == pages.expected else {
            throw .inconsistent(what: "page", found: pages.found, expected: pages.expected, at: 0)
        }
        guard header.kind == .changes else { return }
        let seqs = Int(clamping: header.lastSeq.rawValue - header.firstSeq.rawValue) + 1
        guard body.changeCount == seqs else {
            throw .inconsistent(what: "changes", found: body.changeCount, expected: seqs, at: 0)
        }
    }
}
