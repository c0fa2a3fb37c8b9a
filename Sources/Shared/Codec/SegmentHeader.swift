/// What a segment says about itself: 284 bytes, the last 64 an Ed25519 signature over all before them.
///
/// A fixed layout, little-endian, no optional parts: whoever forwards segments reads it without knowing bodies.
package struct SegmentHeader: Hashable, Sendable {
    package enum Kind: UInt8, Sendable {
        /// A site's own changes on their way up.
        case changes = 1
        /// A page of a hub's log on its way down.
        case logPage = 2

        package var rawBytesMax: Int { self == .changes ? Limits.segmentRawBytesHardMax : Limits.pageRawBytesHardMax }
    }

    package static let magic = Array("ZZS1".utf8)
    package static let formatVersion = 1
    package static let signedByteCount = 220
    package static let signatureByteCount = 64
    package static let byteCount = signedByteCount + signatureByteCount
    static let valuesDigestOffset = 188

    package var kind: Kind
    package var scope: ScopeID
    /// Who signed it.
    package var site: SiteID
    /// Both inclusive; a log page has no seqs of its own and may have `none`.
    package var firstSeq: Seq
    package var lastSeq: Seq
    /// The parent's position up to which the authors had seen the parent's log.
    package var cursor: Position
    package var epoch: Int
    package var rawLength: Int
    package var bodyLength: Int
    package var previousHash: ContentHash
    package var catalogueHash: ContentHash
    package var decodingHash: ContentHash
    /// Of the compressed body.
    package var bodyHash: ContentHash
    /// Of the uncompressed body.
    package var valuesDigest: ContentHash
    package var signature: [UInt8] = []
}

extension SegmentHeader {
    /// The header without its signature.
    var signedBytes: [UInt8] {
        var out = ByteWriter(reserving: Self.byteCount)
        out.raw(Self.magic)
        out.fixed(UInt16(Self.formatVersion))
        out.byte(kind.rawValue)
        out.byte(0)  // reserved
        out.fixed(scope.rawValue)
        out.fixed(site.rawValue)
        out.fixed(firstSeq.rawValue)
        out.fixed(lastSeq.rawValue)
        out.fixed(cursor.rawValue)
        out.fixed(UInt32(epoch))
        out.fixed(UInt32(rawLength))
        out.fixed(UInt32(bodyLength))
        for hash in [previousHash, catalogueHash, decodingHash, bodyHash, valuesDigest] { out.raw(hash.bytes) }
        precondition(out.count == Self.signedByteCount)
        return out.bytes
    }

    /// Reads what `signedBytes` and a signature make; what follows is not looked at.
    init(parsing bytes: [UInt8]) throws(CodecError) {
        var reader = ByteReader(bytes)
        guard bytes[try reader.take(4, "magic")].elementsEqual(Self.magic) else { throw .badMagic(at: 0) }
        let version = Int(try reader.fixed(UInt16.self, "format version"))
        // Before all else: a newer format may have another layout from here on.
        guard version <= Self.formatVersion else { throw .futureFormat(version: version, known: Self.formatVersion) }
        guard version == Self.formatVersion else { throw .outOfRange(what: "format version", value: version, at: 4) }
        let kindNumber = try reader.byte("kind")
        guard let kind = Kind(rawValue: kindNumber) else {
            throw .outOfRange(what: "kind", value: Int(kindNumber), at: 6)
        }
        let reserved = try reader.byte("reserved")
        guard reserved == 0 else { throw .outOfRange(what: "reserved", value: Int(reserved), at: 7) }
        self.kind = kind
        scope = ScopeID(try reader.fixed(UInt64.self, "scope"))
        site = SiteID(try reader.fixed(UInt64.self, "site"))
        firstSeq = Seq(try reader.fixed(Int64.self, "first seq"))
        lastSeq = Seq(try reader.fixed(Int64.self, "last seq"))
        cursor = Position(try reader.fixed(Int64.self, "cursor"))
        epoch = Int(try reader.fixed(UInt32.self, "epoch"))
        rawLength = Int(try reader.fixed(UInt32.self, "raw length"))
        bodyLength = Int(try reader.fixed(UInt32.self, "body length"))
        previousHash = try Self.hash("previous hash", &reader)
        catalogueHash = try Self.hash("catalogue hash", &reader)
        decodingHash = try Self.hash("decoding hash", &reader)
        bodyHash = try Self.hash("body hash", &reader)
        valuesDigest = try Self.hash("values digest", &reader)
        signature = Array(bytes[try reader.take(Self.signatureByteCount, "signature")])
        try check()
    }

    private static func hash(_ what: String, _ reader: inout ByteReader) throws(CodecError) -> ContentHash {
        ContentHash(bytes: reader.bytes[try reader.take(ContentHash.byteCount, what)])!
    }

    /// Ranges and limits, the same for what is sealed and what is read.
    func check() throws(CodecError) {
        // A site's seqs begin at 1; a log page may stand outside every count.
        let least: Int64 = kind == .changes ? 1 : 0
        guard firstSeq.rawValue >= least else {
            throw .outOfRange(what: "first seq", value: Int(firstSeq.rawValue), at: 24)
        }
        guard lastSeq >= firstSeq else { throw .outOfRange(what: "last seq", value: Int(lastSeq.rawValue), at: 32) }
        if kind == .changes, lastSeq.rawValue - firstSeq.rawValue >= Int64(Limits.segmentChangesMax) {
            throw .overLimit(
                what: "changes", value: Int(lastSeq.rawValue - firstSeq.rawValue), limit: Limits.segmentChangesMax,
                at: 32)
        }
        guard cursor >= .none else { throw .outOfRange(what: "cursor", value: Int(cursor.rawValue), at: 40) }
        // What a position has room for.
        guard epoch >= 0, epoch < 1 << 23 else { throw .outOfRange(what: "epoch", value: epoch, at: 48) }
        let bodyBytesMax = kind == .changes ? Limits.segmentBodyBytesMax : Limits.pageBodyBytesMax
        guard bodyLength <= bodyBytesMax else {
            throw .overLimit(what: "body length", value: bodyLength, limit: bodyBytesMax, at: 56)
        }
        try ZstdFrame.checkSize(rawLength: rawLength, rawBytesMax: kind.rawBytesMax, bodyLength: bodyLength, at: 52)
    }
}
