import CZstd
import CatalogueData

/// One zstd frame that declares its size, and a small one its dictionary; no checksum (the header's hashes do that).
package enum ZstdFrame {
    /// - Parameter cuts: ascending offsets in `raw` where the kind of data changes. A block ends there, for a block has
    ///   one table of symbol frequencies, and texts and packed digits spoil each other's (4 to 6 % measured).
    /// - Parameter mayUseDictionary: false to see what it saves.
    package static func compress(
        _ raw: [UInt8], level: Int, cuts: [Int] = [], mayUseDictionary: Bool = true
    ) throws(CodecError) -> [UInt8] {
        guard let context = ZSTD_createCCtx() else { throw .badFrame(reason: "no memory to compress", at: 0) }
        defer { ZSTD_freeCCtx(context) }
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, Int32(clamping: level))
        let isSmall = mayUseDictionary && raw.count <= SmallDictionary.rawBytesMax
        if isSmall {
            ZSTD_CCtx_refCDict(context, SmallDictionary.compressing)
        } else if raw.count > 1 << 18 {
            // The level's own tables take 12 MB for a segment of 1 MiB. These take 2 MB: measured, no byte more.
            ZSTD_CCtx_setParameter(context, ZSTD_c_hashLog, 18)
            ZSTD_CCtx_setParameter(context, ZSTD_c_chainLog, 18)
        }
        ZSTD_CCtx_setPledgedSrcSize(context, UInt64(raw.count))
        var out = [UInt8](repeating: 0, count: ZSTD_compressBound(raw.count) + cuts.count * 64 + 64)
        var failure: String?
        let written = out.withUnsafeMutableBytes { target -> Int in
            var output = ZSTD_outBuffer(dst: target.baseAddress, size: target.count, pos: 0)
            raw.withUnsafeBytes { source in
                var start = 0
                for end in (isSmall ? [] : cuts) + [raw.count] where failure == nil {
                    var input = ZSTD_inBuffer(src: source.baseAddress.map { $0 + start }, size: end - start, pos: 0)
                    let mode = end == raw.count ? ZSTD_e_end : ZSTD_e_flush
                    let rest = ZSTD_compressStream2(context, &output, &input, mode)
                    if ZSTD_isError(rest) != 0 {
                        failure = String(cString: ZSTD_getErrorName(rest))
                    } else if rest != 0 || input.pos != input.size {
                        failure = "output bound too small"
                    }
                    start = end
                }
            }
            return output.pos
        }
        if let failure { throw .badFrame(reason: failure, at: 0) }
        out.removeLast(out.count - written)
        return out
    }

    /// Inflates the one frame that `frame` is, into exactly `rawLength` bytes.
    ///
    /// All is known before memory is taken: the frame must declare `rawLength` itself, and that is within the limits.
    /// - Parameter at: where the frame begins, for the errors.
    package static func decompress(
        _ frame: ArraySlice<UInt8>, rawLength: Int, rawBytesMax: Int = Limits.segmentRawBytesHardMax, at: Int
    ) throws(CodecError) -> [UInt8] {
        try checkSize(rawLength: rawLength, rawBytesMax: rawBytesMax, bodyLength: frame.count, at: at)
        let needsDictionary = try checkHead(frame, rawLength: rawLength, at: at)
        guard let context = ZSTD_createDCtx() else { throw .badFrame(reason: "no memory to inflate", at: at) }
        defer { ZSTD_freeDCtx(context) }
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Int32(Limits.zstdWindowLogMax))
        if needsDictionary { ZSTD_DCtx_refDDict(context, SmallDictionary.inflating) }
        var failure: String?
        let raw = [UInt8](unsafeUninitializedCapacity: rawLength) { target, written in
            let result = frame.withUnsafeBytes {
                ZSTD_decompressDCtx(context, target.baseAddress, rawLength, $0.baseAddress, $0.count)
            }
            if ZSTD_isError(result) != 0 {
                failure = String(cString: ZSTD_getErrorName(result))
            } else {
                written = result
            }
        }
        if let failure { throw .badFrame(reason: failure, at: at) }
        guard raw.count == rawLength else {
            throw .inconsistent(what: "inflated length", found: raw.count, expected: rawLength, at: at)
        }
        return raw
    }

    /// The sizes that a header declares, before anything is allocated for them; also asked by the encoder.
    package static func checkSize(rawLength: Int, rawBytesMax: Int, bodyLength: Int, at: Int) throws(CodecError) {
        let isBomb =
            rawLength > rawBytesMax
            || rawLength > max(Limits.segmentRawBytesMax, bodyLength.multipliedSaturating(by: Limits.segmentRatioMax))
        guard !isBomb else {
            throw .bomb(
                rawBytes: rawLength, compressedBytes: bodyLength, ratioMax: Limits.segmentRatioMax, at: at)
        }
    }

    /// - Returns: whether the frame was made with the small dictionary.
    private static func checkHead(_ frame: ArraySlice<UInt8>, rawLength: Int, at: Int) throws(CodecError) -> Bool {
        let head = Array(frame.prefix(6))
        // Skippable and legacy frames begin otherwise and would be inflated by older rules.
        guard head.count == 6, head[0...3] == [0x28, 0xB5, 0x2F, 0xFD] else {
            throw .badFrame(reason: "it does not begin as a frame", at: at)
        }
        // RFC 8878, 3.1.1.1: without the single-segment flag a window byte follows the descriptor.
        if head[4] & 0x20 == 0 {
            let windowLog = 10 + Int(head[5] >> 3)
            guard windowLog <= Limits.zstdWindowLogMax else {
                throw .overLimit(what: "zstd window log", value: windowLog, limit: Limits.zstdWindowLogMax, at: at + 5)
            }
        }
        let (declared, size, dictionary) = frame.withUnsafeBytes {
            (
                ZSTD_getFrameContentSize($0.baseAddress, $0.count), ZSTD_findFrameCompressedSize($0.baseAddress, $0.count),
                ZSTD_getDictID_fromFrame($0.baseAddress, $0.count)
            )
        }
        guard dictionary == 0 || dictionary == SmallDictionary.number else {
            throw .badFrame(reason: "it needs dictionary \(dictionary), which is not here", at: at + 4)
        }
        // UInt64.max - 1 and UInt64.max are zstd's own "error" and "unknown".
        guard declared < UInt64.max - 1 else { throw .badFrame(reason: "it does not declare its size", at: at) }
        guard declared == UInt64(rawLength) else {
            throw .inconsistent(
                what: "declared content size", found: Int(clamping: declared), expected: rawLength, at: at + 5)
        }
        guard ZSTD_isError(size) == 0 else { throw .badFrame(reason: "its blocks are cut short", at: at) }
        guard size == frame.count else {
            throw .trailingBytes(what: "zstd frame", count: frame.count - size, at: at + size)
        }
        return dictionary != 0
    }
}

extension Int {
    func multipliedSaturating(by factor: Int) -> Int {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? .max : product
    }
}

/// The dictionary that a small segment is compressed with: a few changes are too short for a compressor to learn from, and most
/// segments of a school are an hour of typing. Trained on what nodes seal (Tests/workbooks/train_dictionary.py), 4 KiB, part of
/// the program. The frame names it by number; a receiver that does not have it keeps the segment in quarantine until it has.
///
/// Measured on segments of 1 to 8 changes that it was not trained on: `make bench` prints it.
package enum SmallDictionary {
    /// The number in the frame. A dictionary of another content has another number, and this one stays: what was sealed with it
    /// must stay readable.
    static let number: UInt32 = 1
    /// Bodies up to so many bytes take it: larger ones have enough of their own.
    package static let rawBytesMax = 4_096
    /// Small inputs cost nothing at a high level.
    private static let level: Int32 = 19

    /// Immutable once made, and zstd shares them between threads.
    private struct Prepared: @unchecked Sendable {
        let compressing: OpaquePointer
        let inflating: OpaquePointer
    }

    private static let prepared: Prepared = {
        let (bytes, size) = (zz_small_dictionary(), zz_small_dictionary_size())
        guard let compressing = ZSTD_createCDict(bytes, size, level), let inflating = ZSTD_createDDict(bytes, size),
            ZSTD_getDictID_fromDDict(inflating) == number
        else { fatalError("zstd: the built-in dictionary cannot be used") }
        return Prepared(compressing: compressing, inflating: inflating)
    }()

    static var compressing: OpaquePointer { prepared.compressing }
    static var inflating: OpaquePointer { prepared.inflating }
}
