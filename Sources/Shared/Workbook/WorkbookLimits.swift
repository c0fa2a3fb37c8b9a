/// Bounds of what is read. A workbook comes from anybody's disk; none may fill a school's memory or hold up its node.
package struct WorkbookLimits: Sendable {
    /// The file as it lies on disk.
    package var fileBytesMax = 256 << 20
    /// One part, unpacked, counted while unpacking: what the zip claims is not trusted. A sheet of 100,000 rows x 30
    /// columns is 140 MB.
    package var partBytesMax = 256 << 20
    /// Unpacked to packed. Sheets reach 10 to 70, a bomb of zeros 1000.
    package var ratioMax = 200
    /// The ratio counts from here on: a small part of equal rows may pack very well and do no harm.
    package var ratioFloorBytes = 16 << 20
    /// One tag or comment. expat begins an unfinished one anew with every piece: endless ones would take hours.
    package var tagBytesMax = 1 << 20
    /// Excel's own limit is 32767 characters.
    package var cellBytesMax = 256 << 10
    /// A value further right is refused. Excel's limit is 16384; a form has under 200 columns.
    package var columnsMax = 1024
    /// Different texts of a workbook, each 16 bytes and its characters.
    package var sharedStringsMax = 4_000_000

    package init() {}

    /// For reading back what this process has just written.
    static var ownFile: WorkbookLimits {
        var limits = WorkbookLimits()
        limits.fileBytesMax = .max
        limits.partBytesMax = .max
        limits.ratioMax = .max
        limits.columnsMax = WorkbookLimits.excelColumnsMax
        limits.sharedStringsMax = .max
        return limits
    }

    static let excelRowsMax = 1_048_576
    static let excelColumnsMax = 16_384
}
