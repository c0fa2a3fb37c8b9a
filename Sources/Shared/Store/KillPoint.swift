// Where a test may kill this process: the kill -9 tests name a step in the environment and the process ends there, without a
// chance to tidy up, as if the power had gone.

import Foundation
import Glibc
import Synchronization

package enum KillPoint {
    /// ZZSYNC_KILL_AT=step or step:N (the N-th time that the step is reached in this process).
    private static let wanted: (step: String, count: Int)? = {
        guard let text = ProcessInfo.processInfo.environment["ZZSYNC_KILL_AT"] else { return nil }
        let parts = text.split(separator: ":")
        return parts.isEmpty ? nil : (String(parts[0]), parts.count > 1 ? Int(parts[1]) ?? 1 : 1)
    }()
    private static let reached = Mutex(0)

    /// Marks a step of the data's path: import, seal, push, merge, forward.
    package static func reach(_ step: String) {
        guard let wanted, wanted.step == step else { return }
        let count = reached.withLock { count in
            count += 1
            return count
        }
        guard count == wanted.count else { return }
        if let marker = ProcessInfo.processInfo.environment["ZZSYNC_KILL_MARK"] {
            _ = FileManager.default.createFile(atPath: marker, contents: Data(step.utf8))
        }
        kill(getpid(), SIGKILL)
    }
}
