/// Every bound of the codec, with its unit and its reason. The encoder keeps the same bounds as the decoder, so that
/// nothing is ever sealed that a receiver would refuse.
package enum Limits {
    /// Uncompressed body that a builder aims at (`SegmentSizer`). Small enough to be re-sent over a bad line, large
    /// enough that the compressor has seen what it will ever see.
    package static let segmentRawBytesMax = 1 << 20
    /// Uncompressed body that a decoder accepts.
    package static let segmentRawBytesHardMax = 4 << 20
    /// The same of a log page. It ends where a merge transaction ended, and a segment of few cells may have it show as many whole rows:
    /// `segmentChangesAim` of 2,000 bytes.
    package static let pageRawBytesHardMax = 32 << 20
    /// Compressed body that a decoder accepts: what zstd makes at worst of `segmentRawBytesHardMax` random bytes.
    package static let segmentBodyBytesMax = segmentRawBytesHardMax + 64 << 10
    package static let pageBodyBytesMax = pageRawBytesHardMax + 1 << 20
    /// Uncompressed by compressed bytes, asked only of bodies above `segmentRawBytesMax`: below it an inflated body
    /// costs no more than any honest one, and a column of equal values honestly reaches 10,000.
    package static let segmentRatioMax = 1_024
    /// Row changes in a segment; a 1 MiB body of deletes that differ by one has fewer.
    package static let segmentChangesMax = 1 << 18
    /// Row changes that a builder aims at: what they touch may be shown whole, in one page.
    package static let segmentChangesAim = 1 << 14
    /// Changes × fields over all forms, absent cells included: 13 bytes each in memory, 52 MiB at most.
    package static let segmentCellsMax = 1 << 22
    /// Bytes of all decoded texts. Dictionary and shared prefixes expand after zstd has, so the raw cap does not bound
    /// them.
    package static let segmentTextBytesMax = 32 << 20
    package static let pageTextBytesMax = 2 * pageRawBytesHardMax
    /// Bytes of one text: a field is a line of a form, not a document. Kept far above what any form allows.
    package static let textBytesMax = 1 << 20
    /// Bytes of all texts of a row that a node sends: one such row and a body that is all but full are within the hard limit.
    package static let rowTextBytesMax = 2 << 20
    /// Forms in one segment; the catalogue has about 120.
    package static let segmentFormsMax = 4_096
    /// Sites that a log page names in `merged`: the direct children of one hub that write in one school.
    package static let pageSitesMax = 1 << 16
    /// Ranges of seqs in quarantine that a log page names of one site.
    package static let pageRangesMax = 1 << 16
    /// log2 of the window a zstd frame may ask for: never more than the largest body.
    package static let zstdWindowLogMax = 22
}

/// Tells a builder when to cut, from what it has put in so far.
///
/// It counts what the plainest encoding would take, so a body of mere text ends near `segmentRawBytesMax` and all
/// others below it. A guide: the hard limit is four times away.
package struct SegmentSizer: Sendable {
    private var bytes = 256
    private var changes = 0
    private var cells = 0
    package init() {}

    /// Counts one row change.
    ///
    /// - Parameter texts: its text cells; `textBytes` is their UTF-8 together.
    /// - Parameter numbers: its integer and real cells.
    /// - Parameter fields: columns of its form that are open in this segment; absent cells take memory too.
    package mutating func add(texts: Int, textBytes: Int, numbers: Int, fields: Int) {
        // Row id 8, indices of mask and stamp 2 each, half a new stamp or placement; a text's end, a number's planes.
        bytes += 24 + textBytes + texts * 2 + numbers * 8
        changes += 1
        cells += fields
    }

    package var rawBytes: Int { bytes }
    /// No further change should be added. One that is larger than a segment alone still goes, alone.
    package var isFull: Bool {
        bytes >= Limits.segmentRawBytesMax || changes >= Limits.segmentChangesAim
            || cells >= Limits.segmentCellsMax / 2
    }
}
