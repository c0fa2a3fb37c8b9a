// Small files that must survive a power cut whole: keys today, anchors and invites by the same call.

import Foundation
import Glibc

package enum DurableFile {
    /// Replaces the file at `path`: after a crash it holds either the old bytes or the new ones, never a part.
    ///
    /// - Parameter mode: permission bits; 0o600 for secrets. Set before the first byte is written.
    /// - Throws: `Failure(.refused)`, naming the path and the system's reason; the old file is unchanged.
    package static func write(_ bytes: [UInt8], to path: String, mode: mode_t = 0o600) throws(Failure) {
        // Beside the target, because rename is atomic only within one file system; with the pid, because two may write.
        let temporary = "\(path).\(getpid()).\(UInt32.random(in: 0...UInt32.max)).tmp"
        let file = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard file >= 0 else { throw failed("create", temporary, errno) }
        var step = "write"
        var isDone = writeAll(bytes, to: file)
        if isDone { (step, isDone) = ("change the mode of", fchmod(file, mode) == 0) }  // whatever the umask says
        if isDone { (step, isDone) = ("fsync", fsync(file) == 0) }
        let reason = errno
        close(file)
        guard isDone else {
            unlink(temporary)
            throw failed(step, temporary, reason)
        }
        guard rename(temporary, path) == 0 else {
            let reason = errno
            unlink(temporary)
            throw failed("rename", temporary, reason)
        }
        try syncDirectory(of: path)
    }

    /// Reads a file of at most `bytesMax` bytes; nil when it is larger, an error number when it cannot be read.
    package static func read(_ path: String, bytesMax: Int) -> Result<[UInt8]?, Errno> {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return .failure(Errno(errno)) }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: bytesMax + 1)
        var count = 0
        while count < bytes.count {
            let more = bytes.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress! + count, $0.count - count) }
            if more < 0, errno == EINTR { continue }
            if more < 0 { return .failure(Errno(errno)) }
            if more == 0 { break }
            count += more
        }
        return .success(count > bytesMax ? nil : Array(bytes[..<count]))
    }

    /// An error number of the system, with its sentence.
    package struct Errno: Error, Hashable, CustomStringConvertible {
        package let number: Int32
        init(_ number: Int32) { self.number = number }
        package var description: String { String(cString: strerror(number)) }
    }

    private static func writeAll(_ bytes: [UInt8], to file: Int32) -> Bool {
        var at = 0
        while at < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress! + at, $0.count - at) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            at += count
        }
        return true
    }

    /// The new name itself is durable only when the directory is.
    private static func syncDirectory(of path: String) throws(Failure) {
        let directory = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let handle = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard handle >= 0 else { throw failed("open the directory", directory, errno) }
        defer { close(handle) }
        guard fsync(handle) == 0 else { throw failed("fsync the directory", directory, errno) }
    }

    private static func failed(_ step: String, _ path: String, _ reason: Int32) -> Failure {
        Failure(
            .refused, "Cannot \(step) \(path): \(Errno(reason)).",
            next: "Check that the disk has space and that this user may write there, then try again.")
    }
}
