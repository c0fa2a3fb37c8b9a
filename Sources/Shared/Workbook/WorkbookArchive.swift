import CWorkbook
import Glibc

/// The zip file around a workbook. Reads one part at a time; owned by one task.
final class WorkbookArchive {
    let path: String
    let limits: WorkbookLimits
    fileprivate let zip: OpaquePointer

    init(path: String, limits: WorkbookLimits) throws(WorkbookError) {
        try FileSniffer.requireZip(path: path, fileBytesMax: limits.fileBytesMax)
        var code: Int32 = 0
        guard let zip = zip_open(path, ZIP_RDONLY, &code) else {
            // The first bytes were a zip's; its table stands at the end, so this is a file cut off or overwritten.
            throw .damaged(
                WorkbookPlace(path: path), reason: "its end is missing or overwritten (\(Self.sentence(zipCode: code)))"
            )
        }
        self.path = path
        self.limits = limits
        self.zip = zip
    }

    deinit { zip_discard(zip) }

    /// A part by its name; `nil` if there is none. Upper and lower case are the same by the format's rules, and some
    /// programs under Windows write backslashes.
    func part(_ name: String) throws(WorkbookError) -> PartStream? {
        var index = zip_name_locate(zip, name, zip_flags_t(ZIP_FL_NOCASE))
        if index < 0 {
            let windowsName = String(name.map { $0 == "/" ? "\\" : $0 })
            index = zip_name_locate(zip, windowsName, zip_flags_t(ZIP_FL_NOCASE))
        }
        return index < 0 ? nil : try PartStream(archive: self, name: name, index: UInt64(index))
    }

    func requiredPart(_ name: String) throws(WorkbookError) -> PartStream {
        guard let stream = try part(name) else {
            throw .damaged(WorkbookPlace(path: path, part: name), reason: "the part is missing")
        }
        return stream
    }

    private static func sentence(zipCode: Int32) -> String {
        var error = zip_error_t()
        zip_error_init_with_code(&error, zipCode)
        defer { zip_error_fini(&error) }
        return String(cString: zip_error_strerror(&error))
    }
}

/// The bytes of one part, unpacked as they are asked for and counted against the limits.
final class PartStream {
    let place: WorkbookPlace
    let limits: WorkbookLimits
    private let archive: WorkbookArchive  // must outlive `file`
    private let file: OpaquePointer
    private let packedBytes: Int
    private var unpackedBytes = 0

    fileprivate init(archive: WorkbookArchive, name: String, index: UInt64) throws(WorkbookError) {
        place = WorkbookPlace(path: archive.path, part: name)
        limits = archive.limits
        self.archive = archive
        var stat = zip_stat_t()
        guard zip_stat_index(archive.zip, index, 0, &stat) == 0, let file = zip_fopen_index(archive.zip, index, 0)
        else {
            let error = zip_get_error(archive.zip)
            if [ZIP_ER_NOPASSWD, ZIP_ER_WRONGPASSWD, ZIP_ER_ENCRNOTSUPP].contains(zip_error_code_zip(error)) {
                throw .passwordProtected(path: archive.path)
            }
            throw .damaged(place, reason: String(cString: zip_error_strerror(error)))
        }
        self.file = file
        packedBytes = max(1, Int(clamping: stat.comp_size))
    }

    deinit { zip_fclose(file) }

    /// - Returns: how many bytes were put into `buffer`; 0 at the end, where libzip has also compared the checksum.
    func read(into buffer: UnsafeMutableRawPointer, count: Int) throws(WorkbookError) -> Int {
        let got = zip_fread(file, buffer, UInt64(count))
        guard got >= 0 else {
            throw .damaged(place, reason: String(cString: zip_error_strerror(zip_file_get_error(file))))
        }
        unpackedBytes += Int(got)
        if unpackedBytes > limits.partBytesMax {
            throw .tooLarge(place, what: "more than \(limits.partBytesMax) bytes when unpacked, which is the limit")
        }
        if unpackedBytes > limits.ratioFloorBytes, unpackedBytes / packedBytes > limits.ratioMax {
            throw .tooLarge(place, what: "more than \(limits.ratioMax) times its packed size, which is the limit")
        }
        return Int(got)
    }
}
