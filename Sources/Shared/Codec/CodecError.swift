/// Why bytes were refused. Every case says what, where (byte offset), against which limit; `description` adds the next
/// step.
///
/// `at` counts from the first byte of the segment while the header and the frame are judged, and from the first byte of
/// the uncompressed body afterwards ("body byte" in the sentence).
package enum CodecError: Error, Equatable, CustomStringConvertible {
    case truncated(what: String, at: Int, needed: Int, left: Int)
    case badMagic(at: Int)
    case futureFormat(version: Int, known: Int)
    /// The segment needs fills, code tables, functions or a dictionary that this program does not have.
    case unknownDecoding(hash: String)
    case unknownEncoding(what: String, number: Int, at: Int)
    case overLimit(what: String, value: Int, limit: Int, at: Int)
    case outOfRange(what: String, value: Int, at: Int)
    /// Two statements of the segment contradict each other.
    case inconsistent(what: String, found: Int, expected: Int, at: Int)
    case trailingBytes(what: String, count: Int, at: Int)
    case invalidUTF8(what: String, at: Int)
    case badSignature(at: Int)
    case badBodyHash(at: Int)
    case badValuesDigest(at: Int)
    case badFrame(reason: String, at: Int)
    /// Inflates to more than it may: the declared or actual size against the compressed one.
    case bomb(rawBytes: Int, compressedBytes: Int, ratioMax: Int, at: Int)

    /// A newer program or catalogue may read the very same bytes: quarantine them. False = damaged or forged.
    package var mayBeReadableLater: Bool {
        switch self {
        case .futureFormat, .unknownDecoding, .unknownEncoding: true
        default: false
        }
    }

    package var description: String {
        switch self {
        case .truncated(let what, let at, let needed, let left):
            "'\(what)' at byte \(at) needs \(needed) bytes, \(left) are left. Fetch the segment again."
        case .badMagic(let at):
            "Byte \(at) does not begin a segment (ZZS1). Check that the file is a zzsync segment, then fetch it again."
        case .futureFormat(let version, let known):
            "Segment format \(version) at byte 4 is newer than \(known), the newest this program reads. Update zzsync; "
                + "the bytes are kept until then."
        case .unknownDecoding(let hash):
            "The segment needs decoding set \(hash), which this program lacks. Update zzsync and its catalogue; the "
                + "bytes are kept until then."
        case .unknownEncoding(let what, let number, let at):
            "'\(what)' at body byte \(at) uses encoding \(number), which this program lacks. Update zzsync; the bytes "
                + "are kept until then."
        case .overLimit(let what, let value, let limit, let at):
            "'\(what)' at byte \(at) is \(value), limit \(limit). Cut the segment smaller, or refuse its sender."
        case .outOfRange(let what, let value, let at):
            "'\(what)' at byte \(at) is \(value), which means nothing. Fetch the segment again."
        case .inconsistent(let what, let found, let expected, let at):
            "'\(what)' at byte \(at) is \(found), but \(expected) follows from the rest. Fetch the segment again."
        case .trailingBytes(let what, let count, let at):
            "\(count) bytes follow the end of '\(what)' at byte \(at). Fetch the segment again."
        case .invalidUTF8(let what, let at):
            "'\(what)' at body byte \(at) is not valid UTF-8. Correct the text where it was entered."
        case .badSignature(let at):
            "The signature at byte \(at) is not of the expected key over this header. Fetch the segment again; if it "
                + "stays so, check which site sent it."
        case .badBodyHash(let at):
            "The body from byte \(at) has another hash than the header says. Fetch the segment again."
        case .badValuesDigest(let at):
            "The inflated body has another digest than the header says at byte \(at). Keep the segment, report it."
        case .badFrame(let reason, let at):
            "The zstd frame at byte \(at) cannot be read: \(reason). Fetch the segment again."
        case .bomb(let raw, let compressed, let ratio, let at):
            "The zstd frame at byte \(at) turns \(compressed) bytes into \(raw) or more, limit "
                + "\(Limits.segmentRawBytesHardMax) bytes (a log page \(Limits.pageRawBytesHardMax)) and \(ratio) to 1. Refuse its sender."
        }
    }
}
