import Glibc

/// Tells from its bytes what a file is: people rename a .csv or a web page to .xlsx, and are owed a better word than
/// "bad zip".
enum FileSniffer {
    /// Returns if the file begins as a zip, else says what it is instead.
    static func requireZip(path: String, fileBytesMax: Int) throws(WorkbookError) {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw .unreadable(path: path, reason: String(cString: strerror(errno))) }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw .unreadable(path: path, reason: String(cString: strerror(errno))) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .unreadable(path: path, reason: "it is not a file") }
        guard status.st_size <= fileBytesMax else {
            throw .tooLarge(
                WorkbookPlace(path: path), what: "\(status.st_size) bytes on disk, and the limit is \(fileBytesMax)")
        }
        let head = try read(file, path: path, at: 0, count: 4096)
        if head.starts(with: [0x50, 0x4B, 0x03, 0x04]) { return }
        if head.starts(with: [0x50, 0x4B, 0x05, 0x06]) { throw .notWorkbook(path: path, found: "an empty zip file") }
        if head.starts(with: [0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1]) {
            throw try isEncryptedPackage(file, path: path, fileBytes: Int(status.st_size))
                ? .passwordProtected(path: path) : .oldFormat(path: path)
        }
        throw .notWorkbook(path: path, found: kind(ofHead: head))
    }

    /// A workbook with a password is no zip but an OLE compound file, the container of .xls, with the real file,
    /// encrypted, in a stream of this name. Its directory may lie anywhere: look through the whole file instead of
    /// following sectors.
    private static func isEncryptedPackage(_ file: Int32, path: String, fileBytes: Int) throws(WorkbookError) -> Bool {
        let name = Array("EncryptedPackage".utf8.map { [$0, 0] }.joined())  // UTF-16LE
        var offset = 0
        while offset < fileBytes {
            let piece = try read(file, path: path, at: offset, count: 1 << 20)
            if piece.contains(name) { return true }
            if piece.count <= name.count { return false }
            offset += piece.count - name.count  // the name may lie across two pieces
        }
        return false
    }

    private static func kind(ofHead head: [UInt8]) -> String {
        if head.isEmpty { return "an empty file" }
        if head.starts(with: Array("%PDF".utf8)) { return "a PDF file" }
        let start = String(decoding: head, as: UTF8.self).lowercased()
        if start.contains("<html") || start.contains("<table") { return "a web page with a spreadsheet's name" }
        if start.contains("<?xml") { return "an XML file" }
        if head.contains(0) { return "of a kind that zzsync does not know" }
        return "a text file (CSV?) with a spreadsheet's name"
    }

    private static func read(_ file: Int32, path: String, at offset: Int, count: Int) throws(WorkbookError) -> [UInt8] {
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let got = pread(file, buffer.baseAddress! + filled, count - filled, off_t(offset + filled))
                if got == 0 { return }
                if got < 0 {
                    if errno == EINTR { continue }
                    failure = errno
                    return
                }
                filled += got
            }
        }
        guard failure == 0 else { throw .unreadable(path: path, reason: String(cString: strerror(failure))) }
        return bytes
    }
}
