// Where a test may kill this process: the kill -9 tests name a point in the environment and the process ends there, without a
// chance to tidy up, as if the power had gone. The simulator, which has a whole country in one process, watches a replica's
// folder instead: it is told of each point before anything more is done.
//
// A point is "step.place": the step of the data's path (import, seal, push, merge, forward, pull) and where in it. Points stand
// at both sides of every commit that another commit or another machine relies on.

import Foundation
import Glibc
import Synchronization

package enum KillPoint {
    /// ZZSYNC_KILL_AT=step.place or step (any place of it), with :N for the N-th time that it is reached in this process.
    private static let wanted: (point: String, count: Int)? = {
        guard let text = ProcessInfo.processInfo.environment["ZZSYNC_KILL_AT"] else { return nil }
        let parts = text.split(separator: ":")
        return parts.isEmpty ? nil : (String(parts[0]), parts.count > 1 ? Int(parts[1]) ?? 1 : 1)
    }()
    private static let reached = Mutex(0)
    /// Folder → who is told.
    private static let watchers = Mutex<[String: @Sendable (String) -> Void]>([:])

    /// From here on `body` is told, at once and wherever the code runs, which points the replica in `directory` reaches.
    ///
    /// - Parameter body: nil ends it.
    package static func watch(_ directory: String, _ body: (@Sendable (String) -> Void)?) {
        watchers.withLock { $0[directory] = body }
    }

    /// - Parameter path: the folder of the replica, or a file in it.
    package static func reach(_ point: String, in path: String) {
        let watcher = watchers.withLock { all in
            all.isEmpty ? nil : all.first { path == $0.key || path.hasPrefix($0.key + "/") }?.value
        }
        watcher?(point)
        end(at: point)
    }

    private static func end(at point: String) {
        guard let wanted, point == wanted.point || point.hasPrefix(wanted.point + ".") else { return }
        let count = reached.withLock { count in
            count += 1
            return count
        }
        guard count == wanted.count else { return }
        if let marker = ProcessInfo.processInfo.environment["ZZSYNC_KILL_MARK"] {
            _ = FileManager.default.createFile(atPath: marker, contents: Data(point.utf8))
        }
        kill(getpid(), SIGKILL)
    }
}
