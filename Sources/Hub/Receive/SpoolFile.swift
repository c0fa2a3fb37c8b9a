// One growing upload on disk.

import Glibc
import Shared

final class SpoolFile: Sendable {
    private let file: Int32
    private let path: String

    init(_ path: String) throws(Failure) {
        self.path = path
        file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw Self.failure("opened", path) }
    }
    deinit { close(file) }

    func write(_ bytes: [UInt8], at offset: Int) throws(Failure) {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { pwrite(file, $0.baseAddress! + done, $0.count - done, off_t(offset + done)) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw Self.failure("written", path) }
            done += count
        }
    }

    func sync() throws(Failure) {
        guard fsync(file) == 0 else { throw Self.failure("written to disk", path) }
    }

    private static func failure(_ what: String, _ path: String) -> Failure {
        let reason = String(cString: strerror(errno))
        return Failure(
            errno == ENOSPC ? .busy : .damaged, "The upload \(path) cannot be \(what): \(reason).",
            next: "Free some space on the hub's disk.")
    }
}
