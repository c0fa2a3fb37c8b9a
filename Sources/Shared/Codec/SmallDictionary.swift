// The dictionary that a small segment is compressed with: a few changes are too short for a compressor to learn from, and most
// segments of a school are an hour of typing. Trained on what nodes seal (Tests/workbooks/train_dictionary.py), 4 KiB, part of
// the program. The frame names it by number; a receiver that does not have it keeps the segment in quarantine until it has.
//
// Measured on segments of 1 to 8 changes that it was not trained on: `make bench` prints it.

import CZstd
import CatalogueData

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
