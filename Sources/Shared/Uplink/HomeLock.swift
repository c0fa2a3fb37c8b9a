// One sync at a time on one home, and one `serve`: kernel locks on small files that hold the owner's pid. They vanish with
// the process, however it ends.

import Glibc

package final class HomeLock {
    private let file: Int32

    /// - Parameter name: "sync" or "serve".
    /// - Throws: `Failure(.busy)` with the pid of the process that holds it.
    package init(_ home: String, _ name: String) throws(Failure) {
        let path = "\(home)/\(name).lock"
        file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else {
            throw Failure(
                .damaged, "\(path) cannot be opened: \(String(cString: strerror(errno))).",
                next: "Check the owner and permissions of the folder.")
        }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            var text = [UInt8](repeating: 0, count: 20)
            let count = max(0, pread(file, &text, text.count, 0))
            let pid = String(decoding: text.prefix(count), as: UTF8.self)
            throw Failure(
                .busy, "Another `\(name)` is under way on \(home) (process \(pid)).",
                next: name == "serve" ? "Stop it first, or use it." : "Wait until it is done, then repeat.")
        }
        ftruncate(file, 0)
        let pid = Array(String(getpid()).utf8)
        _ = pwrite(file, pid, pid.count, 0)
    }

    /// After a refusal too: the object is whole by then. Closed twice, it may be another's file, a database's say, that is closed.
    deinit { close(file) }
}
